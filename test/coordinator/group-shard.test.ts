import { describe, expect, test } from 'vitest';
import { AssertionError, assert } from '#base/assert';
import type { CoordinatorRecord, Effects, Reply } from '#coordinator/effects';
import type { ConsumerHeartbeatCommand, JoinGroupCommand, OffsetCommitCommand } from '#coordinator/group-commands';
import {
  GROUPS_PER_TICK,
  type GroupConfig,
  PENDING_MEMBERS_MAX,
  RETENTION_STEPS_PER_TICK,
} from '#coordinator/group-config';
import { GroupShard } from '#coordinator/group-shard';
import { newMemberId } from '#coordinator/member-id';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { writeConsumerProtocolSubscription } from '#protocol/generated/consumer-protocol-subscription';
import { Writer } from '#protocol/writer';
import { countingRandom, subscription, TestTopics, testConfig, testParts } from './fixtures.ts';

const START = { mono: 0, wall: 1_700_000_000_000 };
const NO_FILTER = { statesFilter: [], typesFilter: [] };

function later(ms: number) {
  return { mono: START.mono + ms, wall: START.wall + ms };
}

function newShard(overrides: Partial<GroupConfig> = {}): GroupShard {
  const shard = new GroupShard({ ...testParts(), config: testConfig(overrides), random: countingRandom() });
  shard.loaded(START);
  return shard;
}

function joining(overrides: Partial<JoinGroupCommand> = {}): JoinGroupCommand {
  return {
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 20_000,
    memberId: '',
    groupInstanceId: null,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: subscription(['orders']) }],
    clientId: 'c',
    clientHost: '/127.0.0.1',
    memberIdRequired: false,
    skipAssignmentKnown: true,
    ...overrides,
  };
}

function beating(): ConsumerHeartbeatCommand {
  return {
    groupId: 'g',
    memberId: 'm',
    memberEpoch: 0,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: 20_000,
    subscribedTopicNames: ['orders'],
    subscribedTopicRegex: null,
    serverAssignor: null,
    topicPartitions: [],
    clientId: 'c',
    clientHost: '/127.0.0.1',
    memberIdRequired: true,
  };
}

function latestSubscription({ topics = ['orders'], rackId = null }: { topics?: string[]; rackId?: string | null }) {
  const version = 3;
  // Invalid UTF-8, which a reader makes three bytes of each byte.
  const asSent = (text: string) => text.replaceAll('\ufffd', '?');
  const writer = new Writer();
  writer.int16(version);
  writeConsumerProtocolSubscription(
    writer,
    {
      topics: topics.map(asSent),
      userData: null,
      ownedPartitions: [],
      generationId: 1,
      rackId: rackId && asSent(rackId),
    },
    version,
  );
  return Buffer.concat(writer.chunks()).map((byte) => (byte === 0x3f ? 0xff : byte));
}

function committing(groupId: string, name: string, partitions: number, metadata = ''): OffsetCommitCommand {
  return {
    groupId,
    generationIdOrMemberEpoch: -1,
    memberId: '',
    groupInstanceId: null,
    retentionTimeMs: -1,
    staleEpochKnown: true,
    topics: [
      {
        name,
        topicId: ZERO_UUID,
        partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
          partitionIndex,
          committedOffset: 1,
          committedLeaderEpoch: -1,
          committedMetadata: metadata,
        })),
      },
    ],
  };
}

function replayed(shard: GroupShard, effects: Effects): readonly CoordinatorRecord[] {
  for (const record of effects.records) shard.replay(record, START.wall);
  return effects.records;
}

function firstError(replies: readonly Reply[]): ErrorCode | undefined {
  return replies[0]?.response.errorCode;
}

describe('a decision of a consumer group that fails is given up alone, and nothing has changed', () => {
  class BreakableTopics extends TestTopics {
    isBroken = false;

    override topic(name: string) {
      assert(!this.isBroken, 'broken');
      return super.topic(name);
    }
  }

  function breakable() {
    const topics = new BreakableTopics({ orders: 3 });
    const shard = new GroupShard({ ...testParts(), topics });
    shard.loaded(START);
    return { shard, topics };
  }

  test('requests are answered UNKNOWN_SERVER_ERROR, until they can be decided', () => {
    const { shard, topics } = breakable();
    replayed(shard, shard.joinGroup(joining(), 1, START));
    for (const memberId of ['m', 'n']) {
      topics.isBroken = true;
      const failed = shard.consumerHeartbeat({ ...beating(), memberId }, START);
      expect(failed).toMatchObject({ records: [], replies: [], failure: new AssertionError('broken') });
      expect(failed.response.errorCode).toBe(ErrorCode.UnknownServerError);
      topics.isBroken = false;
      const upgraded = shard.consumerHeartbeat({ ...beating(), memberId }, START);
      expect(upgraded.response.errorCode).toBe(ErrorCode.None);
      replayed(shard, upgraded);
    }
    topics.isBroken = true;
    const joined = shard.joinGroup(joining(), 2, START);
    expect(joined).toMatchObject({ records: [], failure: new AssertionError('broken') });
    expect(joined.replies).toHaveLength(1);
    expect(firstError(joined.replies)).toBe(ErrorCode.UnknownServerError);
    const leaving = { groupId: 'g', members: [{ memberId: 'm', groupInstanceId: null }] };
    expect(shard.leaveGroup(leaving, START)).toMatchObject({
      records: [],
      response: { errorCode: ErrorCode.UnknownServerError },
    });
    topics.isBroken = false;
    expect(firstError(shard.joinGroup(joining(), 3, START).replies)).toBe(ErrorCode.None);
    expect(shard.leaveGroup(leaving, START).response.errorCode).toBe(ErrorCode.None);
  });

  test('sessions that have ended are judged again, those of other groups at once', () => {
    const { shard, topics } = breakable();
    for (const each of [{}, { memberId: 'n' }, { groupId: 'h' }]) {
      replayed(shard, shard.consumerHeartbeat({ ...beating(), ...each }, START));
    }
    shard.tick(START);
    replayed(shard, shard.consumerHeartbeat({ ...beating(), memberId: 'n' }, later(30_000)));
    const members = () => [...shard.observed()].map(({ memberCount }) => memberCount);
    topics.isBroken = true;
    const failed = shard.tick(later(50_000));
    expect(failed.failure).toEqual(new AssertionError('broken'));
    replayed(shard, failed);
    expect(members()).toEqual([2, 0]);
    topics.isBroken = false;
    replayed(shard, shard.tick(later(51_000)));
    expect(members()).toEqual([1, 0]);
  });
});

describe('bytes are borrowed: overwritten after the call they change nothing', () => {
  function overwrite(bytes: Uint8Array): void {
    bytes.fill(0x7a);
  }

  test('metadata, assignments and replayed records', () => {
    const shard = newShard();
    const metadata = Buffer.from(subscription(['orders']));
    const [joined] = shard.joinGroup(joining({ protocols: [{ name: 'range', metadata }] }), 1, START).replies;
    overwrite(metadata);
    const memberId = joined?.kind === 'join' ? joined.response.memberId : '';
    const assignment = Buffer.from('mine');
    const sync = {
      groupId: 'g',
      generationId: 1,
      memberId,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
    };
    const synced = shard.syncGroup({ ...sync, assignments: [{ memberId, assignment }] }, 2, START);
    overwrite(assignment);
    expect(synced.replies[0]?.response).toMatchObject({ assignment: new Uint8Array(Buffer.from('mine')) });
    replayed(shard, synced);
    const fresh = new GroupShard({ ...testParts(), config: testConfig(), random: countingRandom() });
    for (const record of synced.records) fresh.replay(record, START.wall);
    for (const { value } of synced.records) overwrite(value ?? new Uint8Array());
    fresh.loaded(START);
    const [member] = shard.describeGroups(['g'])[0]?.members ?? [];
    expect(Buffer.from(member?.memberMetadata ?? [])).toEqual(Buffer.from(subscription(['orders'])));
    expect(Buffer.from(member?.memberAssignment ?? []).toString()).toBe('mine');
    expect(fresh.describeGroups(['g'])).toEqual(shard.describeGroups(['g']));
  });
});

describe('what no record could hold is refused at the door', () => {
  /** Each invalid byte of a request has become three. */
  const long = '\ufffd'.repeat(0x7fff / 3 + 1);

  test('texts of a JoinGroup', () => {
    const shard = newShard();
    const errorOf = (overrides: Partial<JoinGroupCommand>) =>
      firstError(shard.joinGroup(joining(overrides), 1, START).replies);
    expect(errorOf({ groupId: long })).toBe(ErrorCode.InvalidGroupId);
    const protocols = [{ name: long, metadata: new Uint8Array() }];
    for (const overrides of [
      { memberId: long },
      { groupInstanceId: long },
      { clientId: long },
      { clientHost: long },
      { protocolType: long },
      { protocols },
    ]) {
      expect(errorOf(overrides), Object.keys(overrides)[0]).toBe(ErrorCode.InvalidRequest);
    }
    expect(shard.listGroups(NO_FILTER)).toEqual([]);
  });

  test('texts of a subscription, of who joins a consumer group and of who is there before it becomes one', () => {
    for (const subscribes of [{ topics: [long] }, { rackId: long }]) {
      const protocols = [{ name: 'range', metadata: latestSubscription(subscribes) }];
      const mixed = newShard();
      replayed(mixed, mixed.consumerHeartbeat(beating(), START));
      const joined = mixed.joinGroup(joining({ protocols }), 1, START);
      expect(firstError(joined.replies)).toBe(ErrorCode.InconsistentGroupProtocol);
      expect(joined.records).toEqual([]);
      const classic = newShard();
      expect(firstError(classic.joinGroup(joining({ protocols }), 1, START).replies)).toBe(ErrorCode.None);
      const upgrade = classic.consumerHeartbeat(beating(), START);
      expect(upgrade.response.errorCode).toBe(ErrorCode.GroupIdNotFound);
      expect(upgrade.records).toEqual([]);
    }
  });

  test('texts of an OffsetCommit', () => {
    const shard = newShard({ offsetMetadataSizeMax: 100_000 });
    const errorOf = (command: OffsetCommitCommand) => {
      const { response, records } = shard.offsetCommit(command, START);
      expect(records).toEqual([]);
      return response.topics[0]?.partitions[0]?.errorCode;
    };
    expect(errorOf(committing(long, 'orders', 1))).toBe(ErrorCode.InvalidGroupId);
    expect(errorOf(committing('g', long, 1))).toBe(ErrorCode.InvalidTopicException);
    expect(errorOf(committing('g', 'orders', 1, long))).toBe(ErrorCode.OffsetMetadataTooLarge);
  });

  test('a member id stays short and well formed whatever the client is called', () => {
    const memberId = newMemberId('🚀'.repeat(200), countingRandom());
    expect(memberId).toMatch(/^(🚀){127}\ufffd-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u);
  });
});

describe('bounds', () => {
  test('member ids handed out and not used yet', () => {
    const shard = newShard();
    const errors = new Set<ErrorCode | undefined>();
    for (let token = 0; token < PENDING_MEMBERS_MAX; token += 1) {
      errors.add(firstError(shard.joinGroup(joining({ memberIdRequired: true }), token, START).replies));
    }
    expect(errors).toEqual(new Set([ErrorCode.MemberIdRequired]));
    const one = shard.joinGroup(joining({ memberIdRequired: true }), PENDING_MEMBERS_MAX, START);
    expect(firstError(one.replies)).toBe(ErrorCode.CoordinatorNotAvailable);
    shard.tick(later(10_000));
    expect(shard.listGroups(NO_FILTER)).toEqual([]);
    expect(firstError(shard.joinGroup(joining({ memberIdRequired: true }), 0, later(10_000)).replies)).toBe(
      ErrorCode.MemberIdRequired,
    );
  });

  test('a tick serves a bounded number of groups, and is due again at once for the others', () => {
    const shard = newShard();
    const count = GROUPS_PER_TICK + 1;
    for (let index = 0; index < count; index += 1) {
      shard.joinGroup(joining({ groupId: `g${index}`, memberIdRequired: true }), index, START);
    }
    expect(shard.nextDeadline()).toBe(10_000);
    shard.tick(later(10_000));
    expect(shard.listGroups(NO_FILTER)).toHaveLength(1);
    expect(shard.nextDeadline()).toBe(10_000);
    shard.tick(later(10_000));
    expect(shard.listGroups(NO_FILTER)).toEqual([]);
  });

  test('retention looks at a bounded number of offsets per tick, and goes on at once', () => {
    const shard = newShard({ offsetsRetentionMs: 1_000, offsetsRetentionCheckIntervalMs: 5_000 });
    const partitions = RETENTION_STEPS_PER_TICK;
    for (const groupId of ['a', 'b', 'c'])
      replayed(shard, shard.offsetCommit(committing(groupId, 'orders', partitions), START));
    for (const left of [['b', 'c'], ['c'], []]) {
      expect(shard.nextDeadline()).toBeLessThanOrEqual(5_000);
      expect(replayed(shard, shard.tick(later(5_000)))).toHaveLength(partitions + 1);
      expect(shard.listGroups(NO_FILTER).map(({ groupId }) => groupId)).toEqual(left);
    }
    shard.tick(later(5_000));
    expect(shard.nextDeadline()).toBe(10_000);
  });
});

test('before it is loaded a shard has no deadlines', () => {
  const shard = new GroupShard({ ...testParts(), config: testConfig(), random: countingRandom() });
  expect(shard.nextDeadline()).toBe(Number.POSITIVE_INFINITY);
});

test('a group of a log older than Kafka 2.1, which does not say when it became empty, keeps offsets for the retention after their commit', () => {
  const shard = new GroupShard({
    ...testParts(),
    config: testConfig({ offsetsRetentionMs: 1_000, offsetsRetentionCheckIntervalMs: 500 }),
    random: countingRandom(),
  });
  // GroupMetadataKey g; GroupMetadataValue v1: consumer, generation 7, nobody in it.
  const record = {
    key: Buffer.from('0002000167', 'hex'),
    value: Buffer.from('00010008636f6e73756d657200000007ffffffff00000000', 'hex'),
  };
  shard.replay(record, START.wall);
  shard.loaded(START);
  replayed(shard, shard.offsetCommit(committing('g', 'orders', 1), START));
  expect(shard.tick(later(500)).records).toEqual([]);
  expect(shard.tick(later(1_000)).records).toHaveLength(2);
});
