import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { offsetRecord } from '#coordinator/group-records';
import { GroupShard } from '#coordinator/group-shard';
import { TransactionalOffsets } from '#coordinator/transactional-offsets';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { TestTopics, testConfig, testParts } from './fixtures.ts';

const CONFIG = testConfig();
const NOTHING = -1;
const AT_START = { mono: 0, wall: 1_000_000 };

function value(offset: number, committedAt = AT_START.wall) {
  return { offset, leaderEpoch: -1, metadata: '', committedAt, expiresAt: -1, topicId: ZERO_UUID };
}

/** A loaded shard, with what its log would hold. */
class Shard {
  readonly log: { readonly replay: (shard: GroupShard) => void }[] = [];
  shard = new GroupShard({ ...testParts(), config: CONFIG });

  constructor() {
    this.shard.loaded(AT_START);
  }

  commit(
    offset: number,
    { group = 'g', partition = 0, producer }: { group?: string; partition?: number; producer?: number } = {},
  ) {
    this.#replay((shard) => shard.replay(offsetRecord(group, 't', partition, value(offset)), 0, producer));
  }

  end(producer: number, how: 'commit' | 'abort'): void {
    this.#replay((shard) => shard.replayMarker(producer, how === 'abort'));
  }

  delete(group = 'g', partition = 0): void {
    this.#replay((shard) => shard.replay(offsetRecord(group, 't', partition, null), 0));
  }

  /** What a decision writes. */
  carryOut({ records }: { readonly records: readonly Parameters<GroupShard['replay']>[0][] }): number {
    for (const record of records) this.#replay((shard) => shard.replay(record, 0));
    return records.length;
  }

  /** The same log, loaded by another. */
  loaded(): this {
    this.shard = new GroupShard({ ...testParts(), config: CONFIG });
    for (const { replay } of this.log) replay(this.shard);
    this.shard.loaded(AT_START);
    return this;
  }

  offset(requireStable = false, { group = 'g', partition = 0 } = {}): number | 'unstable' {
    const topics = [{ name: 't', topicId: ZERO_UUID, partitionIndexes: [partition] }];
    const found = this.shard.offsetFetch({ groupId: group, memberId: null, memberEpoch: -1, topics, requireStable })
      .topics[0]?.partitions[0];
    return found?.errorCode === ErrorCode.UnstableOffsetCommit ? 'unstable' : (found?.committedOffset ?? NOTHING);
  }

  #replay(replay: (shard: GroupShard) => void): void {
    this.log.push({ replay });
    replay(this.shard);
  }
}

describe('offsets that are committed within a transaction', () => {
  test('count from the marker of its commit on, and never if it is aborted', () => {
    const shard = new Shard();
    shard.commit(5, { producer: 1 });
    expect(shard.offset()).toBe(NOTHING);
    shard.end(1, 'commit');
    expect(shard.offset()).toBe(5);
    shard.commit(9, { producer: 1 });
    shard.end(1, 'abort');
    expect(shard.offset()).toBe(5);
  });

  test('are not told to whoever requires stable ones, until they are decided (KIP-447)', () => {
    const shard = new Shard();
    shard.commit(3);
    shard.commit(5, { producer: 1 });
    expect([shard.offset(), shard.offset(true), shard.offset(true, { partition: 1 })]).toEqual([3, 'unstable', -1]);
    const all = shard.shard.offsetFetch({
      groupId: 'g',
      memberId: null,
      memberEpoch: -1,
      topics: null,
      requireStable: true,
    });
    expect(all.topics[0]?.partitions).toMatchObject([
      { errorCode: ErrorCode.UnstableOffsetCommit, committedOffset: -1 },
    ]);
    shard.end(1, 'abort');
    expect(shard.offset(true)).toBe(3);
  });

  test('of the same transaction: the last one counts', () => {
    const shard = new Shard();
    shard.commit(5, { producer: 1 });
    shard.commit(6, { producer: 1 });
    shard.end(1, 'commit');
    expect(shard.offset()).toBe(6);
  });

  test('do not take back what was committed after them', () => {
    const shard = new Shard();
    shard.commit(5, { producer: 1 });
    shard.commit(7);
    shard.end(1, 'commit');
    expect(shard.offset(true)).toBe(7);
  });

  test('of two transactions: the one that committed them later counts, whichever ends first', () => {
    for (const order of [
      [1, 2],
      [2, 1],
    ]) {
      const shard = new Shard();
      shard.commit(5, { producer: 1 });
      shard.commit(6, { producer: 2 });
      for (const producer of order) shard.end(producer, 'commit');
      expect(shard.offset()).toBe(6);
    }
  });

  test('go with a tombstone, as those that count do', () => {
    const shard = new Shard();
    shard.commit(5, { producer: 1 });
    shard.delete();
    shard.end(1, 'commit');
    expect(shard.offset(true)).toBe(NOTHING);
  });

  test('keep their group, which nobody else knows of, until the transaction is over', () => {
    const shard = new Shard();
    shard.commit(5, { producer: 1 });
    expect(shard.shard.listGroups({ statesFilter: [], typesFilter: [] })).toHaveLength(1);
    shard.end(1, 'abort');
    expect(shard.shard.listGroups({ statesFilter: [], typesFilter: [] })).toHaveLength(0);
  });
});

describe('deletion', () => {
  const RETENTION_STEP = {
    mono: CONFIG.offsetsRetentionCheckIntervalMs,
    wall: AT_START.wall + CONFIG.offsetsRetentionMs,
  };

  test('of what has expired leaves alone what a transaction may change', () => {
    const shard = new Shard();
    shard.commit(3);
    shard.commit(5, { producer: 1 });
    shard.commit(8, { partition: 1 });
    expect(shard.carryOut(shard.shard.tick(RETENTION_STEP))).toBe(1);
    expect([shard.offset(), shard.offset(false, { partition: 1 })]).toEqual([3, NOTHING]);
    shard.end(1, 'abort');
    const later = { mono: 2 * RETENTION_STEP.mono, wall: RETENTION_STEP.wall };
    expect(shard.carryOut(shard.shard.tick(later))).toBeGreaterThan(0);
    expect(shard.offset()).toBe(NOTHING);
  });

  test('of a group takes the offsets of open transactions with it', () => {
    const shard = new Shard();
    shard.commit(3, { partition: 1 });
    shard.commit(5, { producer: 1 });
    shard.commit(6, { producer: 2 });
    shard.carryOut(shard.shard.deleteGroups(['g']));
    shard.end(1, 'commit');
    shard.end(2, 'commit');
    expect([shard.offset(true), shard.offset(true, { partition: 1 })]).toEqual([NOTHING, NOTHING]);
  });

  test('of a topic does, too', () => {
    const shard = new Shard();
    shard.commit(5, { producer: 1 });
    expect(shard.carryOut(shard.shard.topicsDeleted([{ name: 't', id: ZERO_UUID }]))).toBe(1);
    shard.end(1, 'commit');
    expect(shard.offset()).toBe(NOTHING);
  });

  test('of a partition does, too: what OffsetDelete has deleted does not come back with a marker', () => {
    const shard = new Shard();
    shard.commit(3, { partition: 1 });
    shard.commit(5, { producer: 1 });
    const topics = [{ name: 't', partitions: [0, 1, 2].map((partitionIndex) => ({ partitionIndex })) }];
    expect(shard.carryOut(shard.shard.offsetDelete({ groupId: 'g', topics }))).toBe(2);
    shard.end(1, 'commit');
    expect([shard.offset(), shard.offset(false, { partition: 1 })]).toEqual([NOTHING, NOTHING]);
  });
});

describe('whoever commits within a transaction', () => {
  const command = (given: object = {}) => ({
    groupId: 'g',
    generationIdOrMemberEpoch: -1,
    memberId: '',
    groupInstanceId: null,
    retentionTimeMs: -1,
    staleEpochKnown: true,
    topics: [
      {
        name: 't',
        topicId: ZERO_UUID,
        partitions: [{ partitionIndex: 0, committedOffset: 4, committedLeaderEpoch: -1, committedMetadata: null }],
      },
    ],
    ...given,
  });
  const ask = (shard: Shard, given: object = {}) =>
    shard.shard.txnOffsetCommit(command(given), AT_START).response.topics[0]?.partitions[0]?.errorCode;

  /** A stable group of one member, in generation 1. */
  function withMember(): { shard: Shard; memberId: string } {
    const shard = new Shard();
    const config = { ...CONFIG, initialRebalanceDelayMs: 0 };
    shard.shard = new GroupShard({ ...testParts(), config });
    shard.shard.loaded(AT_START);
    const join = {
      groupId: 'g',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      memberId: '',
      groupInstanceId: 'i',
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: new Uint8Array(0) }],
      clientId: 'app',
      clientHost: '/127.0.0.1',
      memberIdRequired: false,
      skipAssignmentKnown: true,
    };
    const later = { mono: 10, wall: AT_START.wall + 10 };
    const joining = shard.shard.joinGroup(join, 1, AT_START);
    shard.carryOut(joining);
    const joined = [...joining.replies, ...shard.shard.tick(later).replies].find(({ kind }) => kind === 'join');
    if (joined?.kind !== 'join') throw new Error('nobody joined');
    return { shard, memberId: joined.response.memberId };
  }

  test('without naming a member is never fenced, not even by members (KIP-98)', () => {
    const { shard } = withMember();
    expect(ask(shard)).toBe(ErrorCode.None);
    expect(ask(shard, { groupId: 'new' })).toBe(ErrorCode.None);
  });

  test('as a member of a consumer group must have its epoch; an older one is told in the words of this API (KIP-848)', () => {
    const shard = new Shard();
    const topics = new TestTopics({ t: 1 });
    shard.shard = new GroupShard({ ...testParts(), topics });
    shard.shard.loaded(AT_START);
    const { records, response } = shard.shard.consumerHeartbeat(
      {
        groupId: 'g',
        memberId: 'm',
        memberEpoch: 0,
        instanceId: null,
        rackId: null,
        rebalanceTimeoutMs: 10_000,
        subscribedTopicNames: ['t'],
        subscribedTopicRegex: null,
        serverAssignor: null,
        topicPartitions: [],
        clientId: 'app',
        clientHost: '/127.0.0.1',
        memberIdRequired: true,
      },
      AT_START,
    );
    shard.carryOut({ records });
    const as = (memberId: string, generationIdOrMemberEpoch: number) =>
      ask(shard, { memberId, generationIdOrMemberEpoch });
    expect(as('m', response.memberEpoch)).toBe(ErrorCode.None);
    expect(as('m', response.memberEpoch + 1)).toBe(ErrorCode.IllegalGeneration);
    expect(as('m', response.memberEpoch - 1)).toBe(ErrorCode.IllegalGeneration);
    expect(as('other', response.memberEpoch)).toBe(ErrorCode.UnknownMemberId);
    expect(ask(shard)).toBe(ErrorCode.None);
  });

  test('as a member must be one, of this generation and instance (KIP-447)', () => {
    const { shard, memberId } = withMember();
    const as = (given: object) =>
      ask(shard, { memberId, generationIdOrMemberEpoch: 1, groupInstanceId: 'i', ...given });
    expect(as({})).toBe(ErrorCode.None);
    expect(as({ generationIdOrMemberEpoch: 0 })).toBe(ErrorCode.IllegalGeneration);
    expect(as({ memberId: 'other' })).toBe(ErrorCode.FencedInstanceId);
    expect(as({ memberId: 'other', groupInstanceId: null })).toBe(ErrorCode.UnknownMemberId);
    expect(as({ groupId: 'new' })).toBe(ErrorCode.IllegalGeneration);
  });

  test('as a member of a consumer group must be one, in its epoch, which is told as a generation (KIP-848)', () => {
    const shard = new Shard();
    const heartbeat = shard.shard.consumerHeartbeat(
      {
        groupId: 'g',
        memberId: 'm',
        memberEpoch: 0,
        instanceId: null,
        rackId: null,
        rebalanceTimeoutMs: 60_000,
        subscribedTopicNames: ['t'],
        subscribedTopicRegex: null,
        serverAssignor: null,
        topicPartitions: [],
        clientId: 'app',
        clientHost: '/127.0.0.1',
        memberIdRequired: true,
      },
      AT_START,
    );
    shard.carryOut(heartbeat);
    const { memberEpoch } = heartbeat.response;
    const as = (given: object) => ask(shard, { memberId: 'm', generationIdOrMemberEpoch: memberEpoch, ...given });
    expect(as({})).toBe(ErrorCode.None);
    expect(as({ generationIdOrMemberEpoch: memberEpoch + 1 })).toBe(ErrorCode.IllegalGeneration);
    expect(as({ memberId: 'other' })).toBe(ErrorCode.UnknownMemberId);
    expect(as({ memberId: '', generationIdOrMemberEpoch: -1 })).toBe(ErrorCode.None);
  });
});

type Step =
  | { readonly kind: 'commit'; readonly producer: number | undefined; readonly partition: number }
  | { readonly kind: 'end'; readonly producer: number; readonly how: 'commit' | 'abort' }
  | { readonly kind: 'delete'; readonly partition: number };

const producers = fc.integer({ min: 1, max: 3 });
const partitions = fc.integer({ min: 0, max: 1 });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      producer: fc.option(producers, { nil: undefined }),
      partition: partitions,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      producer: producers,
      how: fc.constantFrom('commit' as const, 'abort' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), partition: partitions }) },
);

test('T1: after any history, loaded again or not, an offset is the last one that was written and not aborted; unstable while one that was written may yet be', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
      const shard = new Shard();
      // What the log says, read naively: writes in order, with the fate of their transactions.
      const writes: {
        partition: number;
        offset: number;
        producer: number | undefined;
        fate: 'open' | 'commit' | 'abort';
      }[] = [];
      steps.forEach((step, offset) => {
        if (step.kind === 'commit') {
          const { producer, partition } = step;
          shard.commit(offset, { partition, ...(producer === undefined ? {} : { producer }) });
          writes.push({ partition, offset, producer, fate: producer === undefined ? 'commit' : 'open' });
        } else if (step.kind === 'end') {
          shard.end(step.producer, step.how);
          for (const write of writes)
            if (write.producer === step.producer && write.fate === 'open') write.fate = step.how;
        } else {
          shard.delete('g', step.partition);
          for (const write of writes) if (write.partition === step.partition) write.fate = 'abort';
        }
      });
      for (let load = 0; load < 2; load += 1) {
        for (const partition of [0, 1]) {
          const here = writes.filter((write) => write.partition === partition);
          const expected = here.findLast(({ fate }) => fate === 'commit')?.offset ?? NOTHING;
          expect(shard.offset(false, { partition })).toBe(expected);
          const isOpen = here.some(({ fate }) => fate === 'open');
          expect(shard.offset(true, { partition })).toBe(isOpen ? 'unstable' : expected);
        }
        shard.loaded();
      }
    }),
  );
});

test('what is over leaves nothing behind', () => {
  const pending = new TransactionalOffsets();
  pending.replay(1, 'g', 't', 0, value(1));
  pending.replay(1, 'g', 't', 1, value(1));
  pending.replay(2, 'g', 't', 0, value(2));
  expect([...pending.of('g')]).toHaveLength(3);
  pending.delete('g', 't', 0);
  expect(pending.end(2, false)).toEqual([]);
  expect(pending.end(1, false)).toMatchObject([{ partition: 1, counts: true }]);
  expect([pending.hasPending('g'), pending.isPending('g', 't', 1)]).toEqual([false, false]);
});
