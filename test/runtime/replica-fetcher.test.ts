import { describe, expect, test } from 'vitest';
import { Deadlines } from '#base/deadlines';
import type { Connection, Network, Ports, Receiver } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { leaderEpoch, nodeId, offset, type Uuid, uuid } from '#model/ids';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import { type FetchRequest, readFetchRequest } from '#protocol/generated/fetch-request';
import { writeFetchResponse } from '#protocol/generated/fetch-response';
import { readRequestHeader, writeResponseHeader } from '#protocol/headers';
import { Reader } from '#protocol/reader';
import type { BatchHeader } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import { Writer } from '#protocol/writer';
import { Partition } from '#runtime/partition';
import { ReplicaFetcher } from '#runtime/replica-fetcher';
import { ReplicationThrottle } from '#runtime/replication-throttle';
import { UndurableBytes } from '#runtime/undurable-bytes';
import { FakeClock } from './fake-clock.ts';
import { homeOf } from './replica-stage.ts';
import { codecs, StubLog } from './stub-log.ts';

const LEADER = nodeId(2);
const FETCH = 1;
const VERSION = 17;
const SESSION = 77;
/** Of a few small batches. */
const UNDURABLE_BYTES_MAX = 200;

/** A follower's log: takes batches as they are. */
class FollowerLog extends StubLog {
  isFull = false;

  get directory() {
    return { isFull: this.isFull };
  }

  appendReplicated(_bytes: Uint8Array, headers: readonly BatchHeader[]) {
    if (this.isFull) return 'full';
    for (const header of headers) {
      this.epochs.assign(leaderEpoch(header.partitionLeaderEpoch), offset(header.baseOffset));
      this.logEndOffset = offset(header.baseOffset + header.lastOffsetDelta + 1);
    }
    return { baseOffset: this.logEndOffset, lastOffset: this.logEndOffset };
  }

  raiseStartTo(to: number): void {
    this.logStartOffset = offset(Math.min(to, this.durableOffset));
  }

  override truncateTo(to: number, done: () => void): void {
    this.logEndOffset = offset(to);
    this.durableOffset = offset(Math.min(this.durableOffset, to));
    this.epochs.truncateFromEnd(offset(to));
    done();
  }
}

/** It is cut when the test says so. */
class SlowlyCutLog extends FollowerLog {
  override truncateTo(to: number, done: () => void): void {
    this.endCut = () => super.truncateTo(to, done);
  }
}

interface Answered {
  readonly topicId: Uuid;
  readonly index: number;
  readonly errorCode?: ErrorCode;
  readonly highWatermark?: number;
  readonly logStartOffset?: number;
  readonly records?: Uint8Array;
  readonly diverging?: { readonly epoch: number; readonly endOffset: number };
}

/** A follower of partitions that broker 2 leads, which the test plays. */
class Stage {
  readonly clock = new FakeClock();
  readonly asked: FetchRequest[] = [];
  dials = 0;
  resets = 0;
  readonly fetcher: ReplicaFetcher;
  #receiver: Receiver | undefined;
  #correlationIds: number[] = [];
  throttledRate = Number.POSITIVE_INFINITY;
  isInSync = false;
  /** Where logs were begun anew. */
  readonly restarts: FollowerLog[] = [];

  constructor(undurable = new UndurableBytes(UNDURABLE_BYTES_MAX), maxBytes = { partition: 1000, response: 5000 }) {
    const connection: Connection = {
      remote: { host: 'h', port: 1 },
      queuedBytes: 0,
      send: (chunks) => this.#take(Buffer.concat(chunks)),
      pause: () => {},
      resume: () => {},
      end: () => {},
      reset: () => {
        this.resets += 1;
      },
    };
    const network: Pick<Network, 'connect'> = {
      connect: (_to, open) => {
        this.dials += 1;
        this.#receiver = open(connection);
      },
    };
    const quiet = () => {};
    const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
    const ports = { clock: this.clock, network, codecs, logger } as unknown as Ports;
    this.fetcher = new ReplicaFetcher(ports, new Deadlines(this.clock), {
      self: nodeId(1),
      leader: LEADER,
      waitMaxMs: 500,
      minBytes: 1,
      partitionMaxBytes: maxBytes.partition,
      responseMaxBytes: maxBytes.response,
      undurable,
      planted: NO_PLANTED_BUGS,
      throttle: new ReplicationThrottle({
        clock: this.clock,
        self: nodeId(1),
        rate: () => this.throttledRate,
        replicasOf: () => ['*'],
      }),
      onAppended: () => {},
      isInSync: () => this.isInSync,
      endpoint: () => ({ host: 'h', port: 1 }),
      brokerEpoch: () => 9,
    });
  }

  /** Whether a request has no answer yet. */
  get isAsked(): boolean {
    return this.#correlationIds.length > 0;
  }

  follow(log: FollowerLog): Partition {
    const partition = new Partition(
      {
        ...homeOf({
          synced: (synced) => this.fetcher.synced(synced),
          lost: (lost) => this.fetcher.lost(lost),
        }),
        restart: async (_log, startOffset) => {
          const restarted = new FollowerLog(log.topic, log.partition, log.topicId);
          restarted.logStartOffset = startOffset;
          restarted.savedStartOffset = startOffset;
          restarted.logEndOffset = startOffset;
          restarted.durableOffset = startOffset;
          this.restarts.push(restarted);
          return restarted.asLog;
        },
      },
      log.topic,
      log.topicId,
      log.partition,
      log.asLog,
    );
    partition.follow(leaderEpoch(3));
    this.fetcher.follow(partition);
    this.clock.turn();
    return partition;
  }

  /** The oldest request is answered. */
  async answer(...partitions: Answered[]): Promise<void> {
    const writer = new Writer();
    writer.int32(0);
    writeResponseHeader(writer, FETCH, VERSION, this.#correlationIds.shift() ?? -1);
    const responses = partitions.map(({ topicId, index, errorCode = 0, highWatermark = 0, records, ...more }) => ({
      topicId,
      partitions: [
        {
          partitionIndex: index,
          errorCode,
          highWatermark,
          logStartOffset: more.logStartOffset ?? 0,
          abortedTransactions: null,
          records: records === undefined ? [] : [records],
          ...(more.diverging === undefined ? {} : { divergingEpoch: more.diverging }),
        },
      ],
    }));
    writeFetchResponse(writer, { throttleTimeMs: 0, errorCode: 0, sessionId: SESSION, responses }, VERSION);
    await this.receive(writer);
  }

  /** A frame from the leader, whatever it says: its first four bytes are its length. */
  async receive(writer: Writer): Promise<void> {
    writer.patchInt32(0, writer.sizeBytes - 4);
    const bytes = Buffer.concat(writer.chunks());
    for (let at = 0; at < bytes.length; ) {
      const room = this.#receiver?.buffer() ?? new Uint8Array(0);
      const count = Math.min(room.length, bytes.length - at);
      room.set(bytes.subarray(at, at + count));
      this.#receiver?.received(count);
      at += count;
    }
    // A cut ends in promises.
    for (let turns = 0; turns < 5; turns += 1) await undefined;
    this.clock.turn();
  }

  /** The oldest request is answered with more topics than the frame can hold. */
  async unreadable(): Promise<void> {
    const writer = new Writer();
    writer.int32(0);
    writeResponseHeader(writer, FETCH, VERSION, this.#correlationIds.shift() ?? -1);
    writer.int32(0);
    writer.int16(0);
    writer.int32(SESSION);
    writer.int32(0x7f7f7f7f);
    await this.receive(writer);
  }

  /** Of one request: partition → what was told of it. */
  told(place: number) {
    const request = this.asked.at(place);
    return request?.topics.flatMap(({ topicId, partitions }) =>
      partitions.map(({ partition, fetchOffset, durableOffset, lastFetchedEpoch }) => ({
        topicId,
        partition,
        fetchOffset,
        durableOffset,
        lastFetchedEpoch,
      })),
    );
  }

  #take(bytes: Buffer): void {
    const reader = new Reader(bytes.subarray(4));
    this.#correlationIds.push(readRequestHeader(reader).correlationId);
    this.asked.push(readFetchRequest(reader, VERSION));
  }
}

const T = uuid('AAAAAAAAAAAAAAAAAAAAAQ');
const U = uuid('AAAAAAAAAAAAAAAAAAAAAg');

function batch(baseOffset: number, count: number, epoch = 3): Uint8Array {
  const records = Array.from({ length: count }, () => ({ timestamp: 1, key: null, value: null }));
  return buildBatch({ baseOffset, leaderEpoch: epoch, records }, codecs);
}

/** More than may be undurable. */
function large(baseOffset: number): Uint8Array {
  const records = [{ timestamp: 1, key: null, value: new Uint8Array(UNDURABLE_BYTES_MAX) }];
  return buildBatch({ baseOffset, leaderEpoch: 3, records }, codecs);
}

describe('a follower', () => {
  test('fetches from its end on, says who it is, and goes on in the session', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    const partition = stage.follow(log);
    expect(stage.asked[0]).toMatchObject({
      sessionId: 0,
      sessionEpoch: 0,
      replicaState: { replicaId: 1, replicaEpoch: 9 },
    });
    await stage.answer({ topicId: T, index: 0, records: batch(0, 3), highWatermark: 2 });
    expect([log.logEndOffset, partition.highWatermark]).toEqual([3, 0]);
    expect(stage.asked[1]).toMatchObject({ sessionId: SESSION, sessionEpoch: 1 });
    expect(stage.told(1)).toEqual([
      { topicId: T, partition: 0, fetchOffset: 3, durableOffset: 0, lastFetchedEpoch: 3 },
    ]);
  });

  test('asks for something also where the configs allow for no bytes: to ask for none says that there is no room', () => {
    const stage = new Stage(undefined, { partition: 0, response: 0 });
    stage.follow(new FollowerLog('t', 0, T));
    expect(stage.asked[0]?.maxBytes).toBe(1);
    expect(stage.asked[0]?.topics[0]?.partitions).toMatchObject([{ partitionMaxBytes: 1 }]);
  });

  test('closes its connection when there is nothing more to follow over it: the leader holds one for each that is open', () => {
    const stage = new Stage();
    stage.follow(new FollowerLog('t', 0, T));
    expect([stage.dials, stage.resets]).toEqual([1, 0]);
    stage.fetcher.close();
    expect(stage.resets).toBe(1);
  });

  test('tells by a report what it has synced while its fetch waits', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    const partition = stage.follow(log);
    await stage.answer({ topicId: T, index: 0, records: batch(0, 3), highWatermark: 2 });
    log.sync();
    stage.clock.turn();
    expect(stage.asked[2]).toMatchObject({ sessionEpoch: 2, maxBytes: 0, maxWaitMs: 0 });
    expect(stage.told(2)).toMatchObject([{ fetchOffset: 3, durableOffset: 3 }]);
    expect(partition.highWatermark).toBe(2);
    // The leader answers both, and then the next fetch waits.
    await stage.answer();
    await stage.answer();
    expect(stage.asked[3]).toMatchObject({ sessionEpoch: 3, maxBytes: 5000 });
  });

  test.each([
    ['out of sync waits, when its replication is throttled, until what it took is paid for (KIP-73)', false, 1],
    ['in sync is never throttled', true, 2],
  ])('%s', async (_, isInSync, askedAtOnce) => {
    const stage = new Stage();
    Object.assign(stage, { isInSync, throttledRate: 10 });
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    const records = batch(0, 3);
    await stage.answer({ topicId: T, index: 0, records, highWatermark: 2 });
    expect([log.logEndOffset, stage.asked.length]).toEqual([3, askedAtOnce]);
    stage.clock.advance(Math.ceil((1000 * records.length) / 10));
    stage.clock.turn();
    expect(stage.told(1)).toMatchObject([{ fetchOffset: 3 }]);
  });

  test('tells by a report that its log starts where its leader does, once that is on its disk: whoever deletes records waits for it', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    await stage.answer({ topicId: T, index: 0, records: batch(0, 3), highWatermark: 3 });
    log.sync();
    stage.clock.turn();
    for (const _ of stage.asked.slice(1)) await stage.answer();
    const asked = stage.asked.length;
    await stage.answer({ topicId: T, index: 0, highWatermark: 3, logStartOffset: 2 });
    expect([log.logStartOffset, stage.told(asked)]).toEqual([2, []]);
    log.saveStart();
    stage.clock.turn();
    expect(stage.asked.length).toBe(asked + 2);
    expect(stage.asked.at(-1)?.topics[0]?.partitions).toMatchObject([{ fetchOffset: 3, logStartOffset: 2 }]);
  });

  test('raises its start no further than its disk goes, and is told again of what is left', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    const told = { topicId: T, index: 0, highWatermark: 3, logStartOffset: 2 };
    await stage.answer({ ...told, records: batch(0, 3) });
    expect(log.logStartOffset).toBe(0);
    log.sync(1);
    stage.clock.turn();
    await stage.answer(told);
    expect(log.logStartOffset).toBe(1);
    log.sync();
    stage.clock.turn();
    await stage.answer(told);
    expect(log.logStartOffset).toBe(2);
  });

  test('whose log is full raises its start all the same: that may make room', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    await stage.answer({ topicId: T, index: 0, records: batch(0, 3), highWatermark: 3 });
    log.sync();
    stage.clock.turn();
    log.isFull = true;
    await stage.answer({ topicId: T, index: 0, records: batch(3, 1), highWatermark: 4, logStartOffset: 2 });
    expect([log.logEndOffset, log.logStartOffset]).toEqual([3, 2]);
  });

  test('whose log is full tells so at once: its leader need not wait for it', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    log.isFull = true;
    await stage.answer({ topicId: T, index: 0, records: batch(0, 1) });
    expect(stage.asked.at(-1)?.topics.flatMap(({ partitions }) => partitions)).toMatchObject([
      { fetchOffset: 0, partitionMaxBytes: 0 },
    ]);
  });

  test('that has lost its end for want of room tells so beside the fetch that waits', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    await stage.answer({ topicId: T, index: 0, records: batch(0, 5) });
    log.isFull = true;
    log.reject(2);
    stage.clock.turn();
    expect(stage.asked.at(-1)).toMatchObject({ maxBytes: 0, topics: [{ partitions: [{ partitionMaxBytes: 0 }] }] });
  });

  test('whose log is full refuses what comes all the same no more than once a second', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    log.isFull = true;
    stage.follow(log);
    for (let ms = 0; ms < 2_500; ms += 1) {
      if (stage.isAsked) await stage.answer({ topicId: T, index: 0, records: batch(0, 1) });
      stage.clock.advance(1);
    }
    expect(stage.asked).toHaveLength(3);
  });

  test('whose directory is full asks for no data until it has room, and looks once a second', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    log.isFull = true;
    stage.follow(log);
    const asked = () => stage.asked.at(-1)?.topics.flatMap(({ partitions }) => partitions);
    expect(asked()).toMatchObject([{ fetchOffset: 0, partitionMaxBytes: 0 }]);
    await stage.answer({ topicId: T, index: 0, highWatermark: 3 });
    // In the session still, so that its leader tells where it starts.
    expect(asked()).toEqual([]);
    stage.clock.advance(1_000);
    await stage.answer();
    expect(asked()).toMatchObject([{ fetchOffset: 0, partitionMaxBytes: 0 }]);
    log.isFull = false;
    stage.clock.advance(1_000);
    await stage.answer();
    expect(asked()).toMatchObject([{ fetchOffset: 0, partitionMaxBytes: 1000 }]);
  });

  test('takes no answer to a fetch from before its log lost its end: it would leave a hole', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    await stage.answer({ topicId: T, index: 0, records: batch(0, 5) });
    expect(stage.told(1)).toMatchObject([{ fetchOffset: 5 }]);
    log.reject(2);
    await stage.answer({ topicId: T, index: 0, records: batch(5, 3) });
    expect(log.logEndOffset).toBe(2);
    expect(stage.told(2)).toMatchObject([{ fetchOffset: 2 }]);
  });

  test('takes none either if a report has told of that end since: it is no answer to the report', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    const partition = stage.follow(log);
    await stage.answer({ topicId: T, index: 0, records: batch(0, 5) });
    log.reject(2);
    log.sync();
    stage.fetcher.synced(partition);
    stage.clock.turn();
    expect([stage.asked.at(-1)?.maxBytes, stage.told(-1)]).toMatchObject([0, [{ fetchOffset: 2, durableOffset: 2 }]]);
    await stage.answer({ topicId: T, index: 0, records: batch(5, 3) });
    expect(log.logEndOffset).toBe(2);
    await stage.answer();
    expect([stage.asked.at(-1)?.maxBytes, stage.asked.length]).toEqual([5000, 4]);
    await stage.answer({ topicId: T, index: 0, records: batch(2, 4) });
    expect(log.logEndOffset).toBe(6);
  });

  test('fetches no more while too much is not on its disk', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    await stage.answer({ topicId: T, index: 0, records: large(0) });
    // Where it is now it tells all the same.
    expect([stage.asked.at(-1)?.maxBytes, stage.told(-1)]).toMatchObject([0, [{ fetchOffset: 1 }]]);
    await stage.answer();
    expect(stage.asked).toHaveLength(2);
    log.sync();
    stage.clock.turn();
    expect([stage.asked.at(-1)?.maxBytes, stage.told(-1)]).toMatchObject([5000, [{ durableOffset: 1 }]]);
  });

  test('fetches again after its log has lost its end for want of room, and does not wait for that to be on its disk', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    await stage.answer({ topicId: T, index: 0, records: large(0) });
    await stage.answer();
    expect(stage.asked).toHaveLength(2);
    log.reject(0);
    stage.clock.turn();
    expect([stage.asked.at(-1)?.maxBytes, stage.told(-1)]).toMatchObject([5000, [{ fetchOffset: 0 }]]);
  });

  test('fetches for other logs after a directory has failed with what was not on its disk', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    stage.follow(new FollowerLog('u', 0, U));
    await stage.answer({ topicId: T, index: 0, records: large(0) });
    await stage.answer();
    expect(stage.asked.at(-1)?.maxBytes).toBe(0);
    log.listener?.failed();
    stage.clock.turn();
    expect(stage.asked.at(-1)).toMatchObject({
      maxBytes: 5000,
      forgottenTopicsData: [{ topicId: T, partitions: [0] }],
    });
  });

  test.each<readonly [string, (stage: Stage, partition: Partition) => Promise<void>]>([
    ['that is not followed any more', async (stage, partition) => stage.fetcher.unfollow(partition)],
    ['that is cut', (stage) => stage.answer({ topicId: T, index: 0, diverging: { epoch: 3, endOffset: 0 } })],
  ])('does not count what is not on the disk of a log %s', async (_, go) => {
    const undurable = new UndurableBytes(UNDURABLE_BYTES_MAX);
    const stage = new Stage(undurable);
    const partition = stage.follow(new FollowerLog('t', 0, T));
    const records = batch(0, 3);
    await stage.answer({ topicId: T, index: 0, records });
    expect(undurable.usedBytes).toBe(records.length);
    await go(stage, partition);
    expect(undurable.usedBytes).toBe(0);
  });

  test('fetches no more from any leader while too much of one is not on its disk', async () => {
    const undurable = new UndurableBytes(UNDURABLE_BYTES_MAX);
    const [stage, other] = [new Stage(undurable), new Stage(undurable)];
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    other.follow(new FollowerLog('u', 0, U));
    await stage.answer({ topicId: T, index: 0, records: large(0) });
    await other.answer({ topicId: U, index: 0 });
    expect(other.asked).toHaveLength(1);
    log.sync();
    other.clock.turn();
    expect([other.asked.length, other.asked.at(-1)?.maxBytes]).toEqual([2, 5000]);
  });

  test('holds no response for the small part of it that is not on its disk', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    const heldBytes: number[] = [];
    log.appendReplicated = (bytes, headers) => {
      heldBytes.push(bytes.buffer.byteLength);
      return FollowerLog.prototype.appendReplicated.call(log, bytes, headers);
    };
    stage.follow(log);
    stage.follow(new FollowerLog('u', 0, U));
    const records = batch(0, 1);
    await stage.answer({ topicId: T, index: 0, records }, { topicId: U, index: 0, records: new Uint8Array(4000) });
    expect(heldBytes).toEqual([records.length]);
  });

  test('takes no answer of an epoch that is over', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    const partition = stage.follow(log);
    partition.follow(leaderEpoch(4));
    await stage.answer({ topicId: T, index: 0, records: batch(0, 5), highWatermark: 5 });
    log.sync();
    expect([log.logEndOffset, partition.highWatermark]).toEqual([0, 0]);
    stage.fetcher.follow(partition);
    stage.clock.turn();
    expect(stage.asked.at(-1)?.topics[0]?.partitions).toMatchObject([{ currentLeaderEpoch: 4, fetchOffset: 0 }]);
  });

  test('cuts its log where the histories part, and asks again from there', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    log.epochs.assign(leaderEpoch(1), offset(0));
    log.epochs.assign(leaderEpoch(2), offset(4));
    log.fill(7);
    stage.follow(log);
    expect(stage.told(0)).toMatchObject([{ fetchOffset: 7, lastFetchedEpoch: 2 }]);
    await stage.answer({ topicId: T, index: 0, diverging: { epoch: 1, endOffset: 3 } });
    expect(log.logEndOffset).toBe(3);
    expect(stage.told(1)).toMatchObject([{ fetchOffset: 3, lastFetchedEpoch: 1 }]);
  });

  test('asks in the next epoch when the cut has ended that the leader before has led to', async () => {
    const stage = new Stage();
    const log = new SlowlyCutLog('t', 0, T);
    log.epochs.assign(leaderEpoch(1), offset(0));
    log.epochs.assign(leaderEpoch(2), offset(4));
    log.fill(7);
    const partition = stage.follow(log);
    await stage.answer({ topicId: T, index: 0, diverging: { epoch: 1, endOffset: 3 } });
    partition.follow(leaderEpoch(4));
    stage.fetcher.follow(partition);
    stage.clock.turn();
    expect([stage.isAsked, partition.isBeingCut]).toEqual([false, true]);
    log.endCut();
    for (let turns = 0; turns < 5; turns += 1) await undefined;
    stage.clock.turn();
    expect(stage.asked.at(-1)?.topics[0]?.partitions).toMatchObject([{ currentLeaderEpoch: 4, fetchOffset: 3 }]);
  });

  test.each([
    { its: 'records', fill: 5, diverging: { epoch: 2, endOffset: 12 } },
    { its: 'start, which is all it has', fill: 0, diverging: { epoch: 3, endOffset: 12 } },
  ])('begins anew where its leader does, if the histories part below its $its', async ({ fill, diverging }) => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    log.logStartOffset = offset(15);
    log.logEndOffset = offset(15);
    if (fill > 0) log.epochs.assign(leaderEpoch(2), offset(15));
    log.fill(fill);
    stage.follow(log);
    expect(stage.told(0)).toMatchObject([{ fetchOffset: 15 + fill, lastFetchedEpoch: fill > 0 ? 2 : -1 }]);
    await stage.answer({ topicId: T, index: 0, logStartOffset: 4, diverging });
    expect(stage.restarts.map(({ logStartOffset }) => logStartOffset)).toEqual([4]);
    expect(stage.told(1)).toMatchObject([{ fetchOffset: 4, lastFetchedEpoch: -1 }]);
  });

  test.each([
    ['ends below', 4],
    ['has other records', 12],
  ])(
    'tells the last epoch of records that were deleted, too, and begins anew behind a leader that %s',
    async (_, endOffset) => {
      const stage = new Stage();
      const log = new FollowerLog('t', 0, T);
      log.epochs.assign(leaderEpoch(2), offset(0));
      log.fill(9);
      log.logStartOffset = offset(9);
      log.epochs.truncateFromStart(offset(9));
      stage.follow(log);
      expect(stage.told(0)).toMatchObject([{ fetchOffset: 9, lastFetchedEpoch: 2 }]);
      await stage.answer({ topicId: T, index: 0, logStartOffset: 1, diverging: { epoch: 1, endOffset } });
      expect(stage.restarts.map(({ logStartOffset }) => logStartOffset)).toEqual([1]);
      expect(stage.told(-1)).toMatchObject([{ fetchOffset: 1, lastFetchedEpoch: -1 }]);
    },
  );

  test('goes on where it ends, with the log that it has, behind a leader that misses only an epoch in which nothing was written', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    log.epochs.assign(leaderEpoch(1), offset(0));
    log.fill(9);
    log.logStartOffset = offset(9);
    log.epochs.truncateFromStart(offset(9));
    log.epochs.assign(leaderEpoch(2), offset(9));
    stage.follow(log);
    expect(stage.told(0)).toMatchObject([{ fetchOffset: 9, lastFetchedEpoch: 2 }]);
    await stage.answer({ topicId: T, index: 0, logStartOffset: 4, diverging: { epoch: 1, endOffset: 9 } });
    expect([stage.restarts, log.logStartOffset]).toEqual([[], 9]);
    expect(stage.told(-1)).toMatchObject([{ fetchOffset: 9, lastFetchedEpoch: -1 }]);
  });

  test('asks no more for what it stopped following before the first answer', async () => {
    const stage = new Stage();
    const gone = stage.follow(new FollowerLog('t', 0, T));
    stage.follow(new FollowerLog('u', 0, U));
    stage.fetcher.unfollow(gone);
    stage.clock.turn();
    await stage.answer({ topicId: T, index: 0, errorCode: ErrorCode.UnknownTopicId });
    expect(stage.asked[1]?.forgottenTopicsData).toMatchObject([{ topicId: T, partitions: [0] }]);
    expect(stage.told(1)).toMatchObject([{ topicId: U }]);
  });

  test('gives up a connection that answers what cannot be read, and dials later and later while that goes on', async () => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    const pausesMs: number[] = [];
    for (let dials = 1; dials <= 5; dials += 1) {
      await stage.unreadable();
      let pauseMs = 0;
      for (; stage.dials === dials; pauseMs += 1) stage.clock.advance(1);
      stage.clock.turn();
      pausesMs.push(pauseMs);
    }
    expect(pausesMs).toEqual([20, 40, 80, 160, 200]);
    await stage.answer({ topicId: T, index: 0, records: batch(0, 3) });
    expect(log.logEndOffset).toBe(3);
  });

  test.each([
    ['a high watermark', { highWatermark: 2 ** 60 }],
    ['a start', { logStartOffset: 2 ** 60 }],
    ['an end of an epoch', { diverging: { epoch: 1, endOffset: 2 ** 60 } }],
  ])('refuses %s where no log is, and asks again in a second', async (_, answer) => {
    const stage = new Stage();
    const log = new FollowerLog('t', 0, T);
    stage.follow(log);
    await stage.answer({ topicId: T, index: 0, ...answer });
    expect([log.logEndOffset, stage.asked.length]).toEqual([0, 1]);
    stage.clock.advance(1_000);
    stage.clock.turn();
    expect(stage.told(1)).toMatchObject([{ fetchOffset: 0 }]);
  });

  test('waits with a partition that its leader refuses, and does not ask in vain meanwhile', async () => {
    const stage = new Stage();
    stage.follow(new FollowerLog('t', 0, T));
    await stage.answer({ topicId: T, index: 0, errorCode: ErrorCode.NotLeaderOrFollower });
    expect(stage.asked).toHaveLength(1);
    stage.clock.advance(60);
    expect(stage.told(1)).toMatchObject([{ topicId: T, fetchOffset: 0 }]);
  });

  test('asks a leader that has not heard yet that it leads again at once, and less and less often', async () => {
    const stage = new Stage();
    stage.follow(new FollowerLog('t', 0, T));
    const pausesMs: number[] = [];
    for (let asked = 1; asked <= 7; asked += 1) {
      await stage.answer({ topicId: T, index: 0, errorCode: ErrorCode.UnknownLeaderEpoch });
      let pauseMs = 0;
      for (; stage.asked.length === asked; pauseMs += 1) stage.clock.advance(1);
      pausesMs.push(pauseMs);
    }
    expect(pausesMs).toEqual([2, 4, 8, 16, 32, 50, 50]);
  });
});
