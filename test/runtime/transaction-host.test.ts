import { describe, expect, test } from 'vitest';
import { Deadlines } from '#base/deadlines';
import { coordinatorPartition } from '#coordinator/coordinator-partition';
import { TransactionState } from '#coordinator/transaction-state';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { type NodeId, nodeId, producerId, ZERO_UUID } from '#model/ids';
import { TRANSACTIONS_TOPIC } from '#model/internal-topics';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { parseTopicConfig } from '#model/topic-config';
import { createCodecs } from '#platform/codecs';
import type { WriteTxnMarkersRequestInput } from '#protocol/generated/write-txn-markers-request';
import type { Partition } from '#runtime/partition';
import { type ProducerIdBlock, ProducerIds } from '#runtime/producer-ids';
import { TransactionHost, transactionsTopic } from '#runtime/transaction-host';
import { FakeClock } from './fake-clock.ts';
import { FakeLog } from './fake-log.ts';
import { ledPartition } from './replica-stage.ts';

const ME = nodeId(1);
const EPOCH = 3;
const codecs = createCodecs();
const ORDERS = new Map([['orders', new Set([0])]]);
const NOBODY = { producerId: -1, producerEpoch: -1 };

/** A host with the partitions of the transactions topic that a test opens, over logs that the test syncs. */
class Stage {
  readonly clock = new FakeClock();
  readonly logs: FakeLog[] = [];
  readonly host: TransactionHost;
  /** Of markers; each answered by `writeMarkers`. */
  readonly requests: { readonly request: WriteTxnMarkersRequestInput; readonly answer: (response: unknown) => void }[] =
    [];
  topicExists = true;
  topicAsked = 0;
  leader: NodeId | null = ME;
  version = 2;
  hasIds = true;
  /** As the controller does. */
  allot = async (): Promise<ProducerIdBlock | undefined> =>
    this.hasIds ? { first: producerId(100), count: 1000 } : undefined;
  /** Of each registered broker. */
  readonly fenced: boolean[] = [false];
  readonly #count: number;

  constructor({ partitions = 1, settings = {} }: { partitions?: number; settings?: Record<string, string> } = {}) {
    this.#count = partitions;
    const parsed = parseBrokerConfig(new Map(Object.entries(settings)), 1);
    if (!('config' in parsed)) throw new Error(parsed.errors.join());
    const quiet = () => {};
    const topicConfig = parseTopicConfig(new Map(), new Map());
    this.host = new TransactionHost({
      ports: { clock: this.clock, codecs, logger: { debug: quiet, info: quiet, warn: quiet, error: quiet } },
      nodeId: ME,
      image: this.#image(),
      partitions: { configOf: () => topicConfig, quarantine: async () => {} },
      deadlines: new Deadlines(this.clock),
      requests: {
        send: (_to, _api, _version, request) =>
          new Promise((resolve) => {
            this.requests.push({
              request: request as WriteTxnMarkersRequestInput,
              answer: resolve as (response: unknown) => void,
            });
          }),
      },
      producerIds: new ProducerIds(() => this.allot()),
      config: () => parsed.config,
      createTransactionsTopic: () => {
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

  open(index: number, log = new FakeLog(TRANSACTIONS_TOPIC, index, this.clock)): Partition {
    log.clock = this.clock;
    this.logs[index] = log;
    const partition = ledPartition(log.asLog, EPOCH);
    this.host.ready(partition);
    return partition;
  }

  get log(): FakeLog {
    const log = this.logs[0];
    if (log === undefined) throw new Error('no partition is open');
    return log;
  }

  /** Durable, with all that follows from it. */
  async sync(): Promise<void> {
    for (const log of this.logs) log.sync();
    await settle();
    this.clock.turn();
    await settle();
  }

  /** Every leader writes the markers that it was sent. */
  async writeMarkers(): Promise<void> {
    for (const { request, answer } of this.requests.splice(0)) {
      answer({
        markers: request.markers.map(({ producerId: id, topics }) => ({
          producerId: id,
          topics: topics.map(({ name, partitionIndexes }) => ({
            name,
            partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode: 0 })),
          })),
        })),
      });
    }
    await settle();
  }

  init(transactionalId = 't') {
    return this.host.initProducerId({ transactionalId, timeoutMs: 60_000, expected: undefined });
  }

  add(producerEpoch: number, id = 100) {
    const asked = { transactionalId: 't', producerId: id, producerEpoch, partitions: ORDERS, clientVersion: 2 };
    return this.host.addPartitions(asked);
  }

  end(producerEpoch: number, isCommit = true) {
    return this.host.endTransaction({
      transactionalId: 't',
      producerId: 100,
      producerEpoch,
      isCommit,
      clientVersion: 2,
    });
  }

  /** What the coordinator knows of the id, once that is durable. */
  async state(transactionalId = 't'): Promise<string> {
    const described = this.host.describe(transactionalId);
    await this.sync();
    const known = await described;
    return 'errorCode' in known ? `error ${known.errorCode}` : `${known.producerEpoch} state ${known.state}`;
  }

  /** With an open transaction of `t`, durable. */
  async begun(): Promise<this> {
    this.opened();
    const init = this.init();
    await settle();
    await this.sync();
    await init;
    const added = this.add(0);
    await this.sync();
    await added;
    return this;
  }

  #image(): MetadataImage {
    const { fenced } = this;
    const topic = () => ({
      name: TRANSACTIONS_TOPIC,
      id: ZERO_UUID,
      partitions: Array.from({ length: this.#count }, (_, partition) => ({ partition, leader: this.leader })),
    });
    const level = () => this.version;
    return {
      topic: (name: string) => (this.topicExists && name === TRANSACTIONS_TOPIC ? topic() : undefined),
      partition: () => ({ leader: ME }),
      get brokers() {
        return new Map(fenced.map((isFenced, id) => [id, { fenced: isFenced }]));
      },
      get features() {
        return new Map([['transaction.version', { level: level() }]]);
      },
    } as unknown as MetadataImage;
  }
}

async function settle(): Promise<void> {
  for (let turns = 0; turns < 20; turns += 1) await undefined;
}

/** What has become of a promise by now; 'pending' if nothing has. */
async function now<T>(promise: Promise<T>): Promise<T | 'pending'> {
  await settle();
  return Promise.race([promise, Promise.resolve('pending' as const)]);
}

describe('answers and durability', () => {
  test('a producer gets its id when the record of it is durable, not before', async () => {
    const stage = new Stage().opened();
    const answer = stage.init();
    expect(await now(answer)).toBe('pending');
    await stage.sync();
    expect(await now(answer)).toEqual({ errorCode: ErrorCode.None, producerId: 100, producerEpoch: 0 });
  });

  test('a partition is in the transaction when that is durable: nobody is told earlier', async () => {
    const stage = new Stage().opened();
    const init = stage.init();
    await settle();
    await stage.sync();
    await init;
    const added = stage.add(0);
    const verified = stage.host.verifyPartitions({
      transactionalId: 't',
      producerId: 100,
      producerEpoch: 0,
      partitions: ORDERS,
    });
    expect([await now(added), await now(verified)]).toEqual(['pending', 'pending']);
    await stage.sync();
    expect(await now(added)).toBe(ErrorCode.None);
    expect(await now(verified)).toEqual({ errorCode: ErrorCode.None, missing: new Map() });
  });

  test('what is told of an id waits for its records, not for those of others', async () => {
    const stage = await new Stage().begun();
    void stage.init('u');
    await settle();
    expect(await now(stage.host.describe('t'))).toMatchObject({ state: TransactionState.Ongoing });
    expect(await now(stage.host.describe('u'))).toBe('pending');
  });

  test('ids are held against a pattern in slices: a hard one holds up nobody for long', async () => {
    const stage = new Stage().opened();
    const inits = Array.from({ length: 501 }, (_, index) => stage.init(`id-${index}`));
    await settle();
    await stage.sync();
    await Promise.all(inits);
    let asked = 0;
    const listed = stage.host.list({ states: undefined, producerIds: undefined, longerThanMs: -1 }, () => {
      asked += 1;
      return true;
    });
    expect([await now(listed), asked]).toEqual(['pending', 500]);
    stage.clock.turn();
    expect((await listed).transactions).toHaveLength(501);
  });

  test('an end is answered when the decision is durable, and only then are markers sent', async () => {
    const stage = await new Stage().begun();
    const ended = stage.end(0);
    stage.clock.turn();
    expect([await now(ended), stage.requests]).toEqual(['pending', []]);
    await stage.sync();
    expect(await now(ended)).toEqual({ errorCode: ErrorCode.None, producerId: 100, producerEpoch: 1 });
    expect(stage.requests.map(({ request }) => request.markers)).toEqual([
      [
        {
          producerId: 100,
          producerEpoch: 1,
          transactionResult: true,
          topics: [{ name: 'orders', partitionIndexes: [0] }],
          coordinatorEpoch: EPOCH,
          transactionVersion: 2,
        },
      ],
    ]);
  });

  test('a transaction is complete when all markers are written; until then the next one waits', async () => {
    const stage = await new Stage().begun();
    void stage.end(0);
    await stage.sync();
    const early = stage.add(1);
    expect(await stage.state()).toBe(`1 state ${TransactionState.PrepareCommit}`);
    expect(await early).toBe(ErrorCode.ConcurrentTransactions);
    await stage.writeMarkers();
    expect(await stage.state()).toBe(`1 state ${TransactionState.CompleteCommit}`);
    const next = stage.add(1);
    await stage.sync();
    expect(await next).toBe(ErrorCode.None);
  });

  test('an answer that is not durable in request.timeout.ms is COORDINATOR_NOT_AVAILABLE, and the markers go out later', async () => {
    const stage = await new Stage({ settings: { 'request.timeout.ms': '500' } }).begun();
    const ended = stage.end(0);
    stage.clock.advance(500);
    expect(await now(ended)).toEqual({ errorCode: ErrorCode.CoordinatorNotAvailable, ...NOBODY });
    await stage.sync();
    expect(stage.requests.length).toBe(1);
  });

  test('where no producer id can be had the client is told to come again', async () => {
    const stage = new Stage().opened();
    stage.hasIds = false;
    expect(await now(stage.init())).toEqual({ errorCode: ErrorCode.CoordinatorLoadInProgress, ...NOBODY });
    stage.hasIds = true;
    const answer = stage.init();
    await settle();
    await stage.sync();
    expect(await now(answer)).toMatchObject({ errorCode: ErrorCode.None });
  });

  test('a producer that has an id does not wait for the controller', async () => {
    const stage = await new Stage().begun();
    void stage.end(0);
    await stage.sync();
    await stage.writeMarkers();
    await stage.sync();
    const after = new Stage();
    after.allot = () => new Promise(() => {});
    after.open(0, stage.log);
    after.clock.turn();
    const answer = after.init();
    await after.sync();
    expect(await now(answer)).toEqual({ errorCode: ErrorCode.None, producerId: 100, producerEpoch: 2 });
    expect(await now(after.init('u'))).toBe('pending');
  });

  test('a time-out aborts without being asked', async () => {
    const stage = await new Stage().begun();
    stage.clock.advance(60_000);
    await stage.sync();
    expect(stage.requests[0]?.request.markers[0]).toMatchObject({ transactionResult: false, producerEpoch: 1 });
    await stage.writeMarkers();
    expect(await stage.state()).toBe(`1 state ${TransactionState.CompleteAbort}`);
  });
});

describe('failures of the log', () => {
  test('a decision that the log refuses leaves no trace', async () => {
    const stage = await new Stage().begun();
    stage.log.refusal = 'full';
    expect(await now(stage.end(0))).toEqual({ errorCode: ErrorCode.NotCoordinator, ...NOBODY });
    stage.log.refusal = undefined;
    expect(await stage.state()).toBe(`0 state ${TransactionState.Ongoing}`);
    expect(stage.requests).toEqual([]);
  });

  test('a decision that is lost is none: no marker tells of it', async () => {
    const stage = await new Stage().begun();
    const ended = stage.end(0);
    stage.log.reject();
    expect(await now(ended)).toEqual({ errorCode: ErrorCode.NotCoordinator, ...NOBODY });
    expect(await now(stage.end(0))).toMatchObject({ errorCode: ErrorCode.CoordinatorLoadInProgress });
    stage.clock.turn();
    expect(await stage.state()).toBe(`0 state ${TransactionState.Ongoing}`);
    expect(stage.requests).toEqual([]);
  });

  test('a completion that is lost is made up for after the reload', async () => {
    const stage = await new Stage().begun();
    void stage.end(0);
    await stage.sync();
    await stage.writeMarkers();
    stage.log.reject();
    stage.clock.turn();
    await stage.sync();
    expect(await stage.state()).toBe(`1 state ${TransactionState.PrepareCommit}`);
    await stage.writeMarkers();
    expect(await stage.state()).toBe(`1 state ${TransactionState.CompleteCommit}`);
  });
});

describe('coordinators that come and go', () => {
  test('a new coordinator writes the markers that the old one did not, under its own epoch', async () => {
    const before = await new Stage().begun();
    void before.end(0, false);
    await before.sync();
    const after = new Stage();
    after.open(0, before.log);
    after.clock.turn();
    await after.sync();
    expect(after.requests[0]?.request.markers[0]).toMatchObject({ transactionResult: false, producerEpoch: 1 });
    await after.writeMarkers();
    expect(await after.state()).toBe(`1 state ${TransactionState.CompleteAbort}`);
  });

  test('what is loaded but not committed yet has no markers before it is', async () => {
    const before = await new Stage().begun();
    void before.end(0);
    const after = new Stage();
    after.open(0, before.log);
    after.clock.turn();
    await settle();
    expect(after.requests).toEqual([]);
    await after.sync();
    expect(after.requests.length).toBe(1);
  });

  test('a coordinator that resigns sends no more, and completes nothing', async () => {
    const stage = new Stage();
    const partition = stage.open(0);
    await stage.begun();
    const [log] = stage.logs;
    void stage.end(0);
    await stage.sync();
    const records = log?.batches.length;
    stage.leader = nodeId(2);
    stage.host.resigning(partition);
    await stage.writeMarkers();
    stage.clock.advance(60_000);
    expect([stage.requests, log?.batches.length]).toEqual([[], records]);
    expect(await now(stage.end(0))).toEqual({ errorCode: ErrorCode.NotCoordinator, ...NOBODY });
  });

  test('while a partition loads its transactions are COORDINATOR_LOAD_IN_PROGRESS, and before that if this node leads it by the metadata', async () => {
    const stage = new Stage();
    const error = ErrorCode.CoordinatorLoadInProgress;
    expect(await now(stage.init())).toEqual({ errorCode: error, ...NOBODY });
    expect(await now(stage.add(0))).toBe(error);
    expect(await now(stage.end(0))).toEqual({ errorCode: error, ...NOBODY });
    expect(await now(stage.host.describe('t'))).toEqual({ transactionalId: 't', errorCode: error });
    stage.open(0, (await new Stage().begun()).log);
    expect(await now(stage.init())).toEqual({ errorCode: error, ...NOBODY });
    expect(await now(stage.add(0))).toBe(error);
    expect(await now(stage.end(0))).toEqual({ errorCode: error, ...NOBODY });
    expect(await now(stage.host.describe('t'))).toEqual({ transactionalId: 't', errorCode: error });
    const everything = { states: undefined, producerIds: undefined, longerThanMs: -1 };
    expect(await now(stage.host.list(everything, () => true))).toEqual({ errorCode: error, transactions: [] });
  });

  test('a transactional id belongs to the partition that it hashes to', async () => {
    const stage = new Stage({ partitions: 4 });
    const mine = coordinatorPartition('t', 4);
    stage.open(mine);
    stage.clock.turn();
    stage.logs[mine]?.sync();
    const other = ['a', 'b', 'c', 'd', 'e'].find((id) => coordinatorPartition(id, 4) !== mine) ?? '';
    expect([stage.host.coordinatorOf('t'), stage.host.coordinatorOf(other)]).toEqual([ME, undefined]);
    stage.leader = nodeId(2);
    expect(await now(stage.init(other))).toEqual({ errorCode: ErrorCode.NotCoordinator, ...NOBODY });
  });

  test('without a transactions topic it is asked for, once as many brokers serve as it shall have replicas', async () => {
    const stage = new Stage({ settings: { 'transaction.state.log.replication.factor': '3' } });
    stage.topicExists = false;
    expect([stage.host.coordinatorOf('t'), stage.topicAsked]).toEqual([undefined, 0]);
    stage.fenced.push(false, true);
    expect([stage.host.coordinatorOf('t'), stage.topicAsked]).toEqual([undefined, 0]);
    stage.fenced[2] = false;
    expect([stage.host.coordinatorOf('t'), stage.topicAsked]).toEqual([undefined, 1]);
    expect(await now(stage.init())).toMatchObject({ errorCode: ErrorCode.NotCoordinator });
  });
});

test('ids are counted by state, and transactions that wait for their markers', async () => {
  const stage = await new Stage().begun();
  const counts = () => [Object.fromEntries(stage.host.countByState()), stage.host.pendingMarkers];
  void stage.init('u');
  await stage.sync();
  expect(counts()).toEqual([{ [TransactionState.Empty]: 1, [TransactionState.Ongoing]: 1 }, 0]);
  void stage.end(0);
  await stage.sync();
  expect(counts()).toEqual([{ [TransactionState.Empty]: 1, [TransactionState.PrepareCommit]: 1 }, 1]);
  await stage.writeMarkers();
  await stage.sync();
  expect(counts()).toEqual([{ [TransactionState.Empty]: 1, [TransactionState.CompleteCommit]: 1 }, 0]);
  stage.clock.advance(8 * 24 * 3_600_000);
  expect(counts()).toEqual([{}, 0]);
});

test('the transactions topic is compacted and made as the broker configs say', () => {
  const given = { 'transaction.state.log.num.partitions': '7', 'transaction.state.log.replication.factor': '3' };
  const parsed = parseBrokerConfig(new Map(Object.entries(given)), 1);
  if (!('config' in parsed)) throw new Error(parsed.errors.join());
  const topic = transactionsTopic(parsed.config);
  expect(topic).toEqual({
    name: TRANSACTIONS_TOPIC,
    partitionCount: 7,
    replicationFactor: 3,
    assignments: [],
    configs: new Map([
      ['cleanup.policy', 'compact'],
      ['compression.type', 'uncompressed'],
      ['segment.bytes', '104857600'],
      ['unclean.leader.election.enable', 'false'],
    ]),
  });
  const strict = parseBrokerConfig(new Map([['transaction.state.log.min.isr', '2']]), 1);
  if (!('config' in strict)) throw new Error(strict.errors.join());
  expect(transactionsTopic(strict.config).configs.get('min.insync.replicas')).toBe('2');
});
