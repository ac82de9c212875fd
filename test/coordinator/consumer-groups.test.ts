import { describe, expect, test } from 'vitest';
import type { CoordinatorRecord, Effects } from '#coordinator/effects';
import type { ConsumerHeartbeatCommand } from '#coordinator/group-commands';
import { type GroupConfig, REGEX_LENGTH_MAX, REGEX_MATCHES_PER_TICK } from '#coordinator/group-config';
import { readGroupRecord } from '#coordinator/group-records';
import { GroupShard } from '#coordinator/group-shard';
import { ErrorCode } from '#model/errors';
import { TestTopics, testConfig, testParts, topicId } from './fixtures.ts';

const START = { mono: 0, wall: 1_700_000_000_000 };
const DAY_MS = 24 * 3_600_000;

function later(ms: number) {
  return { mono: START.mono + ms, wall: START.wall + ms };
}

/** A shard that takes all that it writes. */
class Stage {
  readonly shard: GroupShard;
  readonly log: CoordinatorRecord[] = [];

  constructor(topics: TestTopics, config: Partial<GroupConfig> = {}) {
    this.shard = new GroupShard({ ...testParts(), topics, config: testConfig(config) });
    this.shard.loaded(START);
  }

  take<E extends Effects>(effects: E, now = START): E {
    for (const record of effects.records) this.shard.replay(record, now.wall);
    this.log.push(...effects.records);
    return effects;
  }

  heartbeat(more: Partial<ConsumerHeartbeatCommand>, now = START) {
    const joins = (more.memberEpoch ?? 0) === 0;
    const command = {
      groupId: 'g',
      memberId: 'm',
      memberEpoch: 0,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: joins ? 60_000 : -1,
      subscribedTopicNames: joins ? ['orders'] : null,
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: joins ? [] : null,
      clientId: 'c',
      clientHost: '/127.0.0.1',
      memberIdRequired: true,
      ...more,
    };
    return this.take(this.shard.consumerHeartbeat(command, now), now).response;
  }

  commit(name: string, now = START) {
    const partitions = [{ partitionIndex: 0, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata: null }];
    const command = {
      groupId: 'g',
      generationIdOrMemberEpoch: 1,
      memberId: 'm',
      groupInstanceId: null,
      retentionTimeMs: -1,
      staleEpochKnown: true,
      topics: [{ name, topicId: topicId(name), partitions }],
    };
    return this.take(this.shard.offsetCommit(command, now)).response;
  }

  /** The topics of which the group has offsets. */
  get committed(): readonly string[] {
    const everything = { groupId: 'g', memberId: null, memberEpoch: -1, topics: null, requireStable: false };
    return this.shard.offsetFetch(everything).topics.map(({ name }) => name);
  }
}

describe('regexes', () => {
  test('are matched in slices: a tick does so much and no more', () => {
    const names = Array.from({ length: 2 * REGEX_MATCHES_PER_TICK }, (_, index) => `t${index}`);
    const stage = new Stage(new TestTopics(Object.fromEntries(names.map((name) => [name, 1]))));
    stage.heartbeat({ subscribedTopicNames: [], subscribedTopicRegex: 't1.*' });
    const written = () => stage.log.some((record) => JSON.stringify(readGroupRecord(record)).includes('"regex"'));
    let ticks = 0;
    for (; !written(); ticks += 1) {
      expect(stage.shard.nextDeadline()).toBe(0);
      stage.take(stage.shard.tick(later(ticks + 1)));
    }
    expect(ticks).toBe(3);
    expect(stage.shard.nextDeadline()).toBeGreaterThan(ticks);
  });

  test.each([
    ['long', 'a'.repeat(REGEX_LENGTH_MAX + 1)],
    ['repetitive', '\\pL{900}'.repeat(10)],
    ['deep', '(a{30,}){30}'.repeat(3)],
  ])('that are too %s are refused', (_, regex) => {
    const stage = new Stage(new TestTopics({ orders: 1 }));
    expect(stage.heartbeat({ subscribedTopicRegex: regex }).errorCode).toBe(ErrorCode.InvalidRegularExpression);
  });

  test('that count as people do are taken', () => {
    const stage = new Stage(new TestTopics({ orders: 1 }));
    const answer = stage.heartbeat({ subscribedTopicRegex: '(orders|refunds)-[0-9]{4}-[0-9]{2}(-[a-z]{1,16})?' });
    expect(answer.errorCode).toBe(ErrorCode.None);
  });

  test('take no more time for an expression that is hard for others', () => {
    const stage = new Stage(new TestTopics({ [`${'a'.repeat(200)}b`]: 1 }));
    const started = process.cpuUsage();
    stage.heartbeat({ subscribedTopicNames: [], subscribedTopicRegex: '(a*)*(a*)*(a*)*(a*)*c' });
    stage.take(stage.shard.tick(later(1)));
    stage.take(stage.shard.tick(later(2)));
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1_000).toBeLessThan(1_000);
  });
});

describe('racks', () => {
  test('a member gets partitions of its rack, and when racks change there is another target', () => {
    const topics = new TestTopics();
    topics.rack(1, 'east');
    topics.rack(2, 'west');
    topics.set('orders', 4);
    const stage = new Stage(topics);
    stage.heartbeat({ memberId: 'm1', rackId: 'west' });
    stage.heartbeat({ memberId: 'm2', rackId: 'east' });
    const targets = () =>
      stage.shard
        .consumerGroupDescribe(['g'])[0]
        ?.members.map(({ targetAssignment }) => targetAssignment.topicPartitions.flatMap((each) => each.partitions));
    // Partition n is on broker 1 or 2 in turn.
    expect(targets()).toEqual([
      [1, 3],
      [0, 2],
    ]);
    topics.rack(2, 'north');
    stage.shard.topicsChanged([], 'all');
    stage.heartbeat({ memberId: 'm1', memberEpoch: 1 });
    expect(stage.shard.consumerGroupDescribe(['g'])[0]?.groupEpoch).toBe(3);
  });
});

test('who asks for all offsets is told none of an earlier topic of the same name', () => {
  const topics = new TestTopics({ orders: 1, payments: 1 });
  const stage = new Stage(topics);
  stage.heartbeat({});
  stage.commit('orders');
  stage.commit('payments');
  topics.set('orders', 1, 2);
  expect(stage.committed).toEqual(['payments']);
  topics.remove('orders');
  expect(stage.committed).toEqual(['orders', 'payments']);
});

describe('retention', () => {
  const config = { offsetsRetentionMs: 7 * DAY_MS, offsetsRetentionCheckIntervalMs: 1_000 };

  test('offsets of topics that a consumer group subscribes to stay, others go after their time', () => {
    const stage = new Stage(new TestTopics({ orders: 1, payments: 1 }), config);
    stage.heartbeat({});
    stage.commit('orders');
    stage.commit('payments');
    const now = later(8 * DAY_MS);
    stage.heartbeat({ memberEpoch: 1 }, now);
    stage.take(stage.shard.tick(now));
    expect(stage.committed).toEqual(['orders']);
  });

  test('what a consumer group committed long ago stays for as long again when its last member has left', () => {
    const stage = new Stage(new TestTopics({ orders: 1 }), config);
    stage.heartbeat({});
    stage.commit('orders');
    stage.heartbeat({ memberEpoch: -1 }, later(30 * DAY_MS));
    stage.take(stage.shard.tick(later(30 * DAY_MS + 2_000)));
    stage.take(stage.shard.tick(later(36 * DAY_MS)));
    expect(stage.committed).toEqual(['orders']);
    stage.take(stage.shard.tick(later(38 * DAY_MS)));
    expect(stage.committed).toEqual([]);
  });

  test('a consumer group without members and offsets is deleted, tombstones and all', () => {
    const stage = new Stage(new TestTopics({ orders: 1 }), config);
    stage.heartbeat({});
    stage.commit('orders');
    stage.heartbeat({ memberEpoch: -1 });
    stage.take(stage.shard.tick(later(DAY_MS)));
    expect(stage.shard.listGroups({ statesFilter: [], typesFilter: [] })).toHaveLength(1);
    stage.take(stage.shard.tick(later(8 * DAY_MS)));
    expect(stage.shard.listGroups({ statesFilter: [], typesFilter: [] })).toEqual([]);
    const latest = new Map(stage.log.map(({ key, value }) => [Buffer.from(key).toString('hex'), value]));
    expect([...latest.values()].every((value) => value === null)).toBe(true);
  });
});
