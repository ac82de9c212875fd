import { describe, expect, test, vi } from 'vitest';
import { Deadlines } from '#base/deadlines';
import { coordinatorPartition } from '#coordinator/coordinator-partition';
import type { JoinGroupCommand, OffsetCommitCommand } from '#coordinator/group-commands';
import { endMarkerBatch } from '#log/end-marker';
import type { MetadataDelta, PartitionDelta } from '#metadata/delta';
import type { MetadataImage } from '#metadata/image';
import type { Partition as PartitionState } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { leaderEpoch, type NodeId, nodeId, offset, ZERO_UUID } from '#model/ids';
import { OFFSETS_TOPIC } from '#model/internal-topics';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { parseTopicConfig } from '#model/topic-config';
import { createCodecs } from '#platform/codecs';
import { readBatchHeader } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import { GroupHost, offsetsTopic } from '#runtime/group-host';
import type { Partition } from '#runtime/partition';
import { countingRandom, subscription } from '../coordinator/fixtures.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeLog } from './fake-log.ts';
import { ledPartition } from './replica-stage.ts';
import { batchOf } from './stub-log.ts';

const ME = nodeId(1);
const codecs = createCodecs();

interface Options {
  readonly partitions?: number;
  readonly settings?: Readonly<Record<string, string>>;
  readonly maxMessageBytes?: string;
}

/** A host with the partitions of the offsets topic that a test opens, over logs that the test syncs. */
class Stage {
  readonly clock = new FakeClock();
  readonly deadlines = new Deadlines(this.clock);
  readonly logs: FakeLog[] = [];
  readonly partitions: Partition[] = [];
  readonly errors: object[] = [];
  readonly warnings: string[] = [];
  readonly host: GroupHost;
  topicExists = true;
  leader: NodeId | null = ME;
  topicAsked = 0;
  /** Of each registered broker. */
  readonly fenced: boolean[] = [false];
  readonly #count: number;

  constructor({ partitions = 1, settings = {}, maxMessageBytes = '1048588' }: Options = {}) {
    this.#count = partitions;
    const given = new Map(Object.entries({ 'group.initial.rebalance.delay.ms': '0', ...settings }));
    const parsed = parseBrokerConfig(given, 1);
    if (!('config' in parsed)) throw new Error(parsed.errors.join());
    const quiet = () => {};
    const topicConfig = parseTopicConfig(new Map([['max.message.bytes', maxMessageBytes]]), new Map());
    this.host = new GroupHost({
      ports: {
        clock: this.clock,
        codecs,
        random: countingRandom(),
        logger: {
          debug: quiet,
          info: quiet,
          warn: (_, message) => this.warnings.push(message),
          error: (fields) => this.errors.push(fields),
        },
      },
      nodeId: ME,
      image: this.#image(),
      partitions: { configOf: () => topicConfig, quarantine: async () => {} },
      deadlines: this.deadlines,
      config: () => parsed.config,
      createOffsetsTopic: () => {
        this.topicAsked += 1;
      },
    });
  }

  /** Opens all partitions and lets them load. */
  opened(): this {
    for (let index = 0; index < this.#count; index += 1) this.open(index);
    this.clock.turn();
    return this;
  }

  open(index: number, log = new FakeLog(OFFSETS_TOPIC, index, this.clock)): Partition {
    log.clock = this.clock;
    this.logs[index] = log;
    const events = { failing: (failed: Partition) => this.host.resigning(failed) };
    const partition = ledPartition(log.asLog, 3, ZERO_UUID, events);
    this.partitions[index] = partition;
    this.host.ready(partition);
    return partition;
  }

  get log(): FakeLog {
    const log = this.logs[0];
    if (log === undefined) throw new Error('no partition is open');
    return log;
  }

  /** The host hears of it. */
  changed(delta: Partial<MetadataDelta>): void {
    const nothing = {
      topicsCreated: [],
      topicsDeleted: [],
      partitions: [],
      electedOutOfSync: [],
      configs: [],
      brokers: [],
      fenced: [],
    };
    this.host.topicsChanged({ index: 2, cluster: false, ...nothing, ...delta });
  }

  #image(): MetadataImage {
    const { fenced } = this;
    const topic = () => ({
      name: OFFSETS_TOPIC,
      id: ZERO_UUID,
      partitions: Array.from({ length: this.#count }, (_, partition) => ({ partition, leader: this.leader })),
    });
    return {
      topic: (name: string) => (this.topicExists && name === OFFSETS_TOPIC ? topic() : undefined),
      get brokers() {
        return new Map(fenced.map((isFenced, id) => [id, { fenced: isFenced }]));
      },
    } as unknown as MetadataImage;
  }
}

/** What has become of a promise by now; 'pending' if nothing has. */
async function now<T>(promise: Promise<T>): Promise<T | 'pending'> {
  for (let turns = 0; turns < 10; turns += 1) await undefined;
  return Promise.race([promise, Promise.resolve('pending' as const)]);
}

function commit(groupId: string, committedOffset: number, metadata = ''): OffsetCommitCommand {
  return {
    groupId,
    generationIdOrMemberEpoch: -1,
    memberId: '',
    groupInstanceId: null,
    retentionTimeMs: -1,
    staleEpochKnown: true,
    topics: [
      {
        name: 'orders',
        topicId: ZERO_UUID,
        partitions: [{ partitionIndex: 0, committedOffset, committedLeaderEpoch: -1, committedMetadata: metadata }],
      },
    ],
  };
}

function committed(errorCode: ErrorCode) {
  return { topics: [{ name: 'orders', topicId: ZERO_UUID, partitions: [{ partitionIndex: 0, errorCode }] }] };
}

/** Partition 0 of the offsets topic. */
function leaderChanged(from: NodeId, to: NodeId): PartitionDelta {
  const state = (leader: NodeId) => ({ partition: 0, replicas: [ME], leader }) as unknown as PartitionState;
  return { topic: OFFSETS_TOPIC, topicId: ZERO_UUID, partition: 0, before: state(from), after: state(to) };
}

function fetchOf(groupId: string) {
  return { groupId, memberId: null, memberEpoch: -1, topics: null, requireStable: true };
}

function fetched(groupId: string, committedOffset: number) {
  return expect.objectContaining({
    groupId,
    errorCode: ErrorCode.None,
    topics: [expect.objectContaining({ name: 'orders', partitions: [expect.objectContaining({ committedOffset })] })],
  });
}

function join(groupId: string, memberId = ''): JoinGroupCommand {
  return {
    groupId,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    memberId,
    groupInstanceId: null,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: subscription(['orders']) }],
    clientId: 'app',
    clientHost: '/127.0.0.1',
    memberIdRequired: false,
    skipAssignmentKnown: true,
  };
}

describe('answers and durability', () => {
  test('a commit is acknowledged when its record is durable, not before', async () => {
    const stage = new Stage().opened();
    const answer = stage.host.offsetCommit(commit('g', 42));
    expect(await now(answer)).toBe('pending');
    stage.log.sync();
    expect(await now(answer)).toEqual(committed(ErrorCode.None));
  });

  test('an offset is not told before it is durable', async () => {
    const stage = new Stage().opened();
    void stage.host.offsetCommit(commit('g', 42));
    const answer = stage.host.offsetFetch(fetchOf('g'));
    expect(await now(answer)).toBe('pending');
    stage.log.sync();
    expect(await now(answer)).toEqual(fetched('g', 42));
  });

  test('what is read of groups waits for their records, not for those of others', async () => {
    const stage = new Stage().opened();
    void stage.host.offsetCommit(commit('g', 42));
    stage.log.sync();
    void stage.host.offsetCommit(commit('other', 1));
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toEqual(fetched('g', 42));
    expect(await now(stage.host.describeGroups(['g']))).toMatchObject([{ groupId: 'g', groupState: 'Empty' }]);
    const waiting = [
      stage.host.offsetFetch(fetchOf('other')),
      stage.host.describeGroups(['g', 'other']),
      stage.host.listGroups({ statesFilter: [], typesFilter: [] }),
    ];
    for (const answer of waiting) expect(await now<unknown>(answer)).toBe('pending');
    stage.log.sync();
    for (const answer of waiting) expect(await now<unknown>(answer)).not.toBe('pending');
  });

  test('that a group is gone is not told before its tombstones are durable', async () => {
    const stage = new Stage().opened();
    void stage.host.offsetCommit(commit('g', 42));
    stage.log.sync();
    void stage.host.deleteGroups(['g']);
    const answer = stage.host.offsetFetch(fetchOf('g'));
    expect(await now(answer)).toBe('pending');
    stage.log.sync();
    expect(await now(answer)).toMatchObject({ errorCode: ErrorCode.None, topics: [] });
  });

  test('what is loaded and not durable yet is not told either', async () => {
    const before = new Stage().opened();
    void before.host.offsetCommit(commit('g', 42));
    const after = new Stage();
    after.open(0, before.log);
    after.clock.turn();
    const answer = after.host.offsetFetch(fetchOf('g'));
    expect(await now(answer)).toBe('pending');
    after.log.sync();
    expect(await now(answer)).toEqual(fetched('g', 42));
  });

  test('a log that is durable at once answers at once', async () => {
    const stage = new Stage().opened();
    stage.log.immediate = true;
    expect(await now(stage.host.offsetCommit(commit('g', 1)))).toEqual(committed(ErrorCode.None));
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toEqual(fetched('g', 1));
  });

  test('an answer that is not durable in offsets.commit.timeout.ms is COORDINATOR_NOT_AVAILABLE', async () => {
    const stage = new Stage({ settings: { 'offsets.commit.timeout.ms': '500' } }).opened();
    const answer = stage.host.offsetCommit(commit('g', 42));
    stage.clock.advance(499);
    expect(await now(answer)).toBe('pending');
    stage.clock.advance(1);
    expect(await now(answer)).toEqual(committed(ErrorCode.CoordinatorNotAvailable));
    stage.log.sync();
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toEqual(fetched('g', 42));
  });

  test('a heartbeat does not wait for the log', async () => {
    const stage = new Stage().opened();
    const joined = await now(stage.host.joinGroup(join('g')));
    if (joined === 'pending') throw new Error('the first join waits');
    void stage.host.offsetCommit(commit('other', 1));
    const { generationId, memberId } = joined;
    const beat = stage.host.heartbeat({ groupId: 'g', generationId, memberId, groupInstanceId: null });
    expect(beat.errorCode).toBe(ErrorCode.None);
  });

  test('a sync hands out assignments when the generation is durable', async () => {
    const stage = new Stage().opened();
    const joined = await now(stage.host.joinGroup(join('g')));
    if (joined === 'pending') throw new Error('the first join waits');
    const { generationId, memberId } = joined;
    const assignment = Uint8Array.of(7);
    const sync = stage.host.syncGroup({
      groupId: 'g',
      generationId,
      memberId,
      groupInstanceId: null,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: [{ memberId, assignment }],
    });
    expect(await now(sync)).toBe('pending');
    stage.log.sync();
    expect(await now(sync)).toMatchObject({ errorCode: ErrorCode.None, protocolName: 'range', assignment });
  });
});

describe('failures of the log', () => {
  test('a commit that the log refuses is NOT_COORDINATOR and leaves no trace', async () => {
    const stage = new Stage().opened();
    stage.log.refusal = 'full';
    expect(await now(stage.host.offsetCommit(commit('g', 42)))).toEqual(committed(ErrorCode.NotCoordinator));
    stage.log.refusal = undefined;
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toMatchObject({ errorCode: ErrorCode.None, topics: [] });
  });

  test('when appended records are dropped, groups begin anew from what the log holds', async () => {
    const stage = new Stage().opened();
    const kept = stage.host.offsetCommit(commit('g', 1));
    stage.log.sync();
    const dropped = stage.host.offsetCommit(commit('g', 2));
    const behind = stage.host.offsetFetch(fetchOf('g'));
    stage.log.reject();
    expect(await now(kept)).toEqual(committed(ErrorCode.None));
    expect(await now(dropped)).toEqual(committed(ErrorCode.NotCoordinator));
    expect(await now(behind)).toMatchObject({ errorCode: ErrorCode.NotCoordinator });
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toMatchObject({
      errorCode: ErrorCode.CoordinatorLoadInProgress,
    });
    stage.clock.turn();
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toEqual(fetched('g', 1));
  });

  test('dropped records are noticed though nobody waits for them', async () => {
    const stage = new Stage({ settings: { 'offsets.commit.timeout.ms': '500' } }).opened();
    void stage.host.offsetCommit(commit('g', 2));
    stage.clock.advance(500);
    stage.log.reject();
    stage.clock.turn();
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toMatchObject({ errorCode: ErrorCode.None, topics: [] });
  });

  test('a parked join is answered NOT_COORDINATOR when the log fails, and the group is served no longer', async () => {
    const stage = new Stage({ settings: { 'group.initial.rebalance.delay.ms': '3000' } }).opened();
    const parked = stage.host.joinGroup(join('g'));
    expect(await now(parked)).toBe('pending');
    stage.log.listener?.failed();
    expect(await now(parked)).toMatchObject({ errorCode: ErrorCode.NotCoordinator });
    stage.leader = nodeId(2);
    expect(await now(stage.host.offsetCommit(commit('g', 1)))).toEqual(committed(ErrorCode.NotCoordinator));
  });

  test('a record that fits in no batch is refused with UNKNOWN_SERVER_ERROR', async () => {
    const stage = new Stage({ maxMessageBytes: '300' }).opened();
    const answer = stage.host.offsetCommit(commit('g', 1, 'x'.repeat(300)));
    expect(await now(answer)).toEqual(committed(ErrorCode.UnknownServerError));
  });

  test('records beyond max.message.bytes go out as several batches of one append', async () => {
    const stage = new Stage({ maxMessageBytes: '300' }).opened();
    const command = commit('g', 1);
    const partitions = Array.from({ length: 20 }, (_, partitionIndex) => ({
      partitionIndex,
      committedOffset: partitionIndex,
      committedLeaderEpoch: -1,
      committedMetadata: null,
    }));
    void stage.host.offsetCommit({ ...command, topics: [{ name: 'orders', topicId: ZERO_UUID, partitions }] });
    expect(stage.log.batches.length).toBeGreaterThan(1);
    for (const batch of stage.log.batches) expect(batch.length).toBeLessThanOrEqual(300);
    stage.log.sync();
    const again = new Stage();
    again.open(0, stage.log);
    again.clock.turn();
    const loaded = await now(again.host.offsetFetch(fetchOf('g')));
    if (loaded === 'pending') throw new Error('not loaded');
    expect(loaded.topics[0]?.partitions.map(({ committedOffset }) => committedOffset).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, index) => index),
    );
  });
});

describe('loading', () => {
  test('while a partition loads its groups are COORDINATOR_LOAD_IN_PROGRESS, but members may heartbeat', async () => {
    const stage = new Stage();
    const log = new FakeLog(OFFSETS_TOPIC, 0, stage.clock);
    append(log, 'key');
    stage.open(0, log);
    expect(await now(stage.host.offsetCommit(commit('g', 1)))).toEqual(committed(ErrorCode.CoordinatorLoadInProgress));
    const joining = stage.host.joinGroup(join('g'));
    expect(await now(joining)).toBe('pending');
    expect(await now(stage.host.listGroups({ statesFilter: [], typesFilter: [] }))).toEqual({
      errorCode: ErrorCode.CoordinatorLoadInProgress,
      groups: [],
    });
    const beat = stage.host.heartbeat({ groupId: 'g', generationId: 1, memberId: 'm', groupInstanceId: null });
    expect(beat.errorCode).toBe(ErrorCode.None);
  });

  test('a partition has after a restart what it had before', async () => {
    const before = new Stage().opened();
    void before.host.offsetCommit(commit('g', 7));
    void before.host.offsetCommit(commit('h', 8));
    before.log.sync();
    const after = new Stage();
    after.open(0, before.log);
    after.clock.turn();
    expect(await now(after.host.offsetFetch(fetchOf('g')))).toEqual(fetched('g', 7));
    expect(await now(after.host.offsetFetch(fetchOf('h')))).toEqual(fetched('h', 8));
  });

  test('a long log is loaded in slices, in order', async () => {
    const before = new Stage().opened();
    before.log.immediate = true;
    const commits = 4_000;
    for (let made = 0; made < commits; made += 1) {
      void before.host.offsetCommit(commit(`g${made % 10}`, made, 'x'.repeat(100)));
    }
    const after = new Stage();
    before.log.readCount = 0;
    after.open(0, before.log);
    after.clock.turn();
    expect(before.log.readCount).toBe(Math.ceil(before.log.sizeBytes / (256 * 1024)));
    expect(before.log.readCount).toBeGreaterThan(2);
    for (let group = 0; group < 10; group += 1) {
      expect(await now(after.host.offsetFetch(fetchOf(`g${group}`)))).toEqual(
        fetched(`g${group}`, commits - 10 + group),
      );
    }
  });

  test('a log that ends before its end is not taken for a whole one', async () => {
    const stage = new Stage();
    const log = new FakeLog(OFFSETS_TOPIC, 0, stage.clock);
    log.logEndOffset = offset(5);
    stage.open(0, log);
    stage.clock.turn();
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toMatchObject({
      errorCode: ErrorCode.CoordinatorLoadInProgress,
    });
    expect(stage.errors).toHaveLength(1);
  });

  test('control batches are no records of groups', async () => {
    const stage = new Stage();
    const log = new FakeLog(OFFSETS_TOPIC, 0, stage.clock);
    append(log, 'x', true);
    stage.open(0, log);
    stage.clock.turn();
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toMatchObject({ errorCode: ErrorCode.None });
  });

  test('offsets of transactions are loaded with what their markers decided, and with what is still open', async () => {
    const before = new Stage().opened();
    const begin = async (producerId: number, groupId: string, committedOffset: number) => {
      const [, [header]] = batchOf(1, { producerId, producerEpoch: 0, baseSequence: -1, transactional: true });
      const partition = await before.host.servedPartition(groupId);
      if (typeof partition === 'number' || header === undefined) throw new Error('nothing is served');
      const verification = partition.beginVerification(header, false);
      if (typeof verification !== 'object') throw new Error('nothing to verify');
      const transaction = { producerId, producerEpoch: 0, verification };
      void before.host.txnOffsetCommit(commit(groupId, committedOffset), transaction);
      before.log.sync();
    };
    const end = (producerId: number, aborted: boolean) => {
      const marker = { aborted, coordinatorEpoch: 0 };
      const { bytes, header } = endMarkerBatch({ producerId, producerEpoch: 0 }, marker, 1_000, codecs);
      const [partition] = before.partitions as [Partition];
      return before.host.endTransaction(0, producerId, aborted, () =>
        partition.appendMarker(bytes, header, marker, false),
      );
    };
    await begin(1, 'committed', 11);
    await begin(2, 'aborted', 12);
    await begin(3, 'open', 13);
    const answers = [end(1, false), end(2, true)];
    expect(await now(Promise.all(answers))).toBe('pending');
    expect(await now(before.host.offsetFetch(fetchOf('committed')))).toBe('pending');
    expect(await now(before.host.offsetFetch(fetchOf('open')))).not.toBe('pending');
    before.log.sync();
    expect(await Promise.all(answers)).toEqual([ErrorCode.None, ErrorCode.None]);
    const after = new Stage();
    after.open(0, before.log);
    after.clock.turn();
    for (const host of [before.host, after.host]) {
      expect(await now(host.offsetFetch(fetchOf('committed')))).toEqual(fetched('committed', 11));
      expect(await now(host.offsetFetch(fetchOf('aborted')))).toMatchObject({ topics: [] });
      const topics = [{ name: 'orders', topicId: ZERO_UUID, partitionIndexes: [0] }];
      const open = await now(
        host.offsetFetch({ groupId: 'open', memberId: null, memberEpoch: -1, topics, requireStable: true }),
      );
      expect(open).toMatchObject({ topics: [{ partitions: [{ errorCode: ErrorCode.UnstableOffsetCommit }] }] });
    }
  });

  test('a marker that comes while groups load is not written: its coordinator comes again', async () => {
    const before = new Stage().opened();
    void before.host.offsetCommit(commit('g', 7));
    before.log.sync();
    const stage = new Stage();
    stage.open(0, before.log);
    const never = () => {
      throw new Error('written');
    };
    expect(await stage.host.endTransaction(0, 1, false, never)).toBe(ErrorCode.NotLeaderOrFollower);
    expect(await stage.host.endTransaction(7, 1, false, never)).toBe(ErrorCode.NotLeaderOrFollower);
    const served = stage.host.servedPartition('g');
    expect(await now(served)).toBe('pending');
    stage.clock.turn();
    expect(await now(served)).toBe(stage.partitions[0]);
  });

  test('records that nobody can read leave the partition unserved and are told in an error line', async () => {
    const stage = new Stage();
    const log = new FakeLog(OFFSETS_TOPIC, 0, stage.clock);
    append(log, '\u0000\u0001\u0000');
    stage.open(0, log);
    stage.clock.turn();
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toMatchObject({
      errorCode: ErrorCode.CoordinatorLoadInProgress,
    });
    expect(stage.errors).toHaveLength(1);
  });

  test('a log whose start moves while it is read is read again', async () => {
    const stage = new Stage().opened();
    void stage.host.offsetCommit(commit('g', 7));
    stage.log.sync();
    const again = new Stage();
    stage.log.readResult = 'out-of-range';
    again.open(0, stage.log);
    again.clock.turn();
    expect(await now(again.host.offsetFetch(fetchOf('g')))).toEqual(fetched('g', 7));
  });

  test('offsets of a topic that is deleted while they load are forgotten', async () => {
    const before = new Stage().opened();
    void before.host.offsetCommit(commit('g', 7));
    before.log.sync();
    const after = new Stage();
    after.open(0, before.log);
    after.changed({ topicsDeleted: [{ name: 'orders', id: ZERO_UUID, partitions: [] }] });
    after.clock.turn();
    before.log.sync();
    expect(await now(after.host.offsetFetch(fetchOf('g')))).toMatchObject({ errorCode: ErrorCode.None, topics: [] });
  });
});

describe('time', () => {
  test('a member that is silent for its session leaves the group', async () => {
    const stage = new Stage().opened();
    stage.log.immediate = true;
    const joined = await now(stage.host.joinGroup(join('g')));
    if (joined === 'pending') throw new Error('the first join waits');
    const { generationId, memberId } = joined;
    const beat = { groupId: 'g', generationId, memberId, groupInstanceId: null };
    for (let beats = 0; beats < 5; beats += 1) {
      stage.clock.advance(9_000);
      expect(stage.host.heartbeat(beat).errorCode).toBe(ErrorCode.None);
    }
    stage.clock.advance(10_001);
    expect(stage.host.heartbeat(beat).errorCode).toBe(ErrorCode.UnknownMemberId);
  });

  test('a node that stood still longer than the session hears its members first', async () => {
    const stage = new Stage().opened();
    stage.log.immediate = true;
    const joined = await now(stage.host.joinGroup(join('g')));
    if (joined === 'pending') throw new Error('the first join waits');
    const { generationId, memberId } = joined;
    stage.clock.stall(60_000);
    const beat = stage.host.heartbeat({ groupId: 'g', generationId, memberId, groupInstanceId: null });
    expect(beat.errorCode).toBe(ErrorCode.None);
  });

  test('a parked join is answered when the initial delay is over', async () => {
    const stage = new Stage({ settings: { 'group.initial.rebalance.delay.ms': '3000' } }).opened();
    const joined = stage.host.joinGroup(join('g'));
    stage.clock.advance(2_999);
    expect(await now(joined)).toBe('pending');
    stage.clock.advance(3_001);
    expect(await now(joined)).toMatchObject({ errorCode: ErrorCode.None, generationId: 1 });
  });
});

describe('where groups are', () => {
  test('without an offsets topic it is asked for and no coordinator is told', () => {
    const stage = new Stage();
    stage.topicExists = false;
    expect(stage.host.coordinatorOf('g')).toBeUndefined();
    expect(stage.topicAsked).toBe(1);
  });

  test('the offsets topic is not asked for before as many brokers serve as it shall have replicas, which is said once', () => {
    const stage = new Stage({ settings: { 'offsets.topic.replication.factor': '3' } });
    stage.topicExists = false;
    stage.fenced.push(false, true);
    expect(stage.host.coordinatorOf('g')).toBeUndefined();
    expect(stage.topicAsked).toBe(0);
    expect(stage.host.coordinatorOf('another')).toBeUndefined();
    expect(stage.warnings).toEqual([
      'clients wait for the topic __consumer_offsets, which is made when 3 brokers serve (offsets.topic.replication.factor)',
    ]);
    stage.fenced.splice(0, 3, false, false, false);
    expect(stage.host.coordinatorOf('g')).toBeUndefined();
    expect(stage.topicAsked).toBe(1);
  });

  test('a coordinator is told once its partition is open here', () => {
    const stage = new Stage();
    expect(stage.host.coordinatorOf('g')).toBeUndefined();
    stage.opened();
    expect(stage.host.coordinatorOf('g')).toBe(ME);
    expect(stage.topicAsked).toBe(0);
  });

  test('the leader of the group’s partition is its coordinator wherever it is', () => {
    const stage = new Stage();
    stage.leader = nodeId(2);
    expect(stage.host.coordinatorOf('g')).toBe(2);
    stage.leader = null;
    expect(stage.host.coordinatorOf('g')).toBeUndefined();
  });

  test('groups of a partition that is not here are NOT_COORDINATOR', async () => {
    const stage = new Stage({ partitions: 2 });
    const [mine, other] = ['a', 'b'].sort((x, y) => coordinatorPartition(x, 2) - coordinatorPartition(y, 2)) as [
      string,
      string,
    ];
    stage.open(0);
    stage.clock.turn();
    stage.log.immediate = true;
    expect(await now(stage.host.offsetCommit(commit(mine, 1)))).toEqual(committed(ErrorCode.None));
    stage.leader = nodeId(2);
    expect(await now(stage.host.offsetCommit(commit(other, 1)))).toEqual(committed(ErrorCode.NotCoordinator));
    expect(
      stage.host.heartbeat({ groupId: other, generationId: 0, memberId: '', groupInstanceId: null }).errorCode,
    ).toBe(ErrorCode.NotCoordinator);
    const described = await now(stage.host.describeGroups([other, mine]));
    expect(described).toEqual([
      { groupId: other, errorCode: ErrorCode.NotCoordinator },
      expect.objectContaining({ groupId: mine, groupState: 'Empty' }),
    ]);
  });

  test('who leads by the metadata and does not serve yet is loading: clients ask again there, and members live on', async () => {
    const stage = new Stage();
    const error = ErrorCode.CoordinatorLoadInProgress;
    const member = { groupId: 'g', generationId: 1, memberId: 'm', groupInstanceId: null };
    expect(stage.host.coordinatorOf('g')).toBeUndefined();
    expect(await now(stage.host.leaveGroup({ groupId: 'g', members: [] }))).toMatchObject({ errorCode: error });
    expect(await now(stage.host.offsetCommit(commit('g', 1)))).toEqual(committed(error));
    expect(await now(stage.host.offsetFetch(fetchOf('g')))).toMatchObject({ errorCode: error });
    expect(await now(stage.host.describeGroups(['g']))).toEqual([{ groupId: 'g', errorCode: error }]);
    expect(stage.host.heartbeat(member)).toEqual({ errorCode: ErrorCode.None });
    stage.leader = nodeId(2);
    expect(await now(stage.host.joinGroup(join('g')))).toMatchObject({ errorCode: ErrorCode.NotCoordinator });
    expect(stage.host.heartbeat(member)).toEqual({ errorCode: ErrorCode.NotCoordinator });
  });

  test('offsets of a transaction wait for a coordinator that has not heard of its topic, or is loading; for a second at most', async () => {
    const stage = new Stage();
    stage.topicExists = false;
    const served = stage.host.servedPartition('g');
    stage.clock.advance(20);
    expect(await now(served)).toBe('pending');
    stage.topicExists = true;
    stage.changed({ topicsCreated: [{ name: OFFSETS_TOPIC, id: ZERO_UUID }] });
    expect(await now(served)).toBe('pending');
    stage.opened();
    expect(await now(served)).toBe(stage.partitions[0]);

    const [never, loading] = [new Stage(), new Stage()];
    never.topicExists = false;
    const [unknown, unready] = [never.host.servedPartition('g'), loading.host.servedPartition('g')];
    for (let looks = 0; looks < 49; looks += 1) {
      for (const { clock } of [never, loading]) clock.advance(20);
      expect([await now(unknown), await now(unready)]).toEqual(['pending', 'pending']);
    }
    for (const { clock } of [never, loading]) clock.advance(20);
    expect([await now(unknown), await now(unready)]).toEqual([
      ErrorCode.NotCoordinator,
      ErrorCode.CoordinatorLoadInProgress,
    ]);
  });

  test('who joins waits as well, and is told to ask again after a second', async () => {
    const [stage, never] = [new Stage(), new Stage()];
    const [joining, refused] = [stage.host.joinGroup(join('g')), never.host.joinGroup(join('g'))];
    stage.clock.advance(20);
    expect(await now(joining)).toBe('pending');
    stage.opened();
    await now(joining);
    stage.log.sync();
    expect(await now(joining)).toMatchObject({ errorCode: ErrorCode.None });
    for (let looks = 0; looks < 50; looks += 1) {
      expect(await now(refused)).toBe('pending');
      never.clock.advance(20);
    }
    expect(await now(refused)).toMatchObject({ errorCode: ErrorCode.CoordinatorLoadInProgress });
  });

  test('who waits is told when another broker comes to lead', async () => {
    const stage = new Stage();
    const joining = stage.host.joinGroup(join('g'));
    expect(await now(joining)).toBe('pending');
    stage.leader = nodeId(2);
    stage.changed({ partitions: [leaderChanged(ME, nodeId(2))] });
    expect(await now(joining)).toMatchObject({ errorCode: ErrorCode.NotCoordinator });
  });

  test('who waits sets one deadline, however long the partition loads', async () => {
    const stage = new Stage();
    const deadlines = vi.spyOn(stage.deadlines, 'after');
    const joins = Array.from({ length: 100 }, (_, index) => stage.host.joinGroup(join(`g${index}`)));
    for (let waitedMs = 0; waitedMs < 900; waitedMs += 20) {
      stage.clock.advance(20);
      stage.changed({ partitions: [leaderChanged(ME, ME)] });
      expect(await now(Promise.race(joins))).toBe('pending');
    }
    expect(deadlines).toHaveBeenCalledTimes(100);
    stage.opened();
    stage.log.immediate = true;
    for (const { errorCode } of await Promise.all(joins)) expect(errorCode).toBe(ErrorCode.None);
  });

  test('offsets of a transaction do not wait where another broker leads', async () => {
    const stage = new Stage();
    stage.leader = nodeId(2);
    expect(await now(stage.host.servedPartition('g'))).toBe(ErrorCode.NotCoordinator);
  });

  test('a partition that closes answers what is parked and what waits', async () => {
    const stage = new Stage({ settings: { 'group.initial.rebalance.delay.ms': '3000' } }).opened();
    const parked = stage.host.joinGroup(join('g'));
    const waiting = stage.host.offsetCommit(commit('other', 1));
    const [partition] = stage.partitions;
    if (partition === undefined) throw new Error('no partition is open');
    stage.leader = nodeId(2);
    stage.host.resigning(partition);
    partition.retire(ErrorCode.UnknownTopicOrPartition);
    expect(await now(parked)).toMatchObject({ errorCode: ErrorCode.NotCoordinator });
    expect(await now(waiting)).toEqual(committed(ErrorCode.CoordinatorNotAvailable));
    expect(await now(stage.host.offsetCommit(commit('g', 1)))).toEqual(committed(ErrorCode.NotCoordinator));
  });

  test('lists and deletes groups of all its partitions', async () => {
    const stage = new Stage({ partitions: 4 }).opened();
    for (const log of stage.logs) log.immediate = true;
    const ids = ['a', 'b', 'c', 'd', 'e'];
    for (const id of ids) await stage.host.offsetCommit(commit(id, 1));
    const listed = await stage.host.listGroups({ statesFilter: [], typesFilter: [] });
    expect(listed.groups.map(({ groupId }) => groupId).sort()).toEqual(ids);
    expect(await stage.host.deleteGroups(['e', 'nobody', 'a'])).toEqual([
      { groupId: 'e', errorCode: ErrorCode.None },
      { groupId: 'nobody', errorCode: ErrorCode.GroupIdNotFound },
      { groupId: 'a', errorCode: ErrorCode.None },
    ]);
    const left = await stage.host.listGroups({ statesFilter: [], typesFilter: [] });
    expect(left.groups.map(({ groupId }) => groupId).sort()).toEqual(['b', 'c', 'd']);
  });
});

test('the offsets topic is compacted and made as the broker configs say', () => {
  const given = { 'offsets.topic.num.partitions': '7', 'offsets.topic.replication.factor': '3' };
  const parsed = parseBrokerConfig(new Map(Object.entries(given)), 3);
  if (!('config' in parsed)) throw new Error(parsed.errors.join());
  expect(offsetsTopic(parsed.config)).toEqual({
    name: OFFSETS_TOPIC,
    partitionCount: 7,
    replicationFactor: 3,
    assignments: [],
    configs: new Map([
      ['cleanup.policy', 'compact'],
      ['compression.type', 'producer'],
      ['segment.bytes', '104857600'],
    ]),
  });
});

/** A batch of one record that no coordinator wrote. */
function append(log: FakeLog, key: string, control = false): void {
  const bytes = buildBatch(
    {
      baseOffset: 0,
      leaderEpoch: 0,
      control,
      records: [{ timestamp: 1, key: Buffer.from(key), value: Buffer.from('v') }],
    },
    codecs,
  );
  const header = readBatchHeader(bytes, 0);
  if (typeof header === 'string') throw new Error(header);
  log.append(bytes, [header], leaderEpoch(0));
  log.sync();
}
