import { describe, expect, test } from 'vitest';
import { Deadlines } from '#base/deadlines';
import { endMarkerBatch } from '#log/end-marker';
import { ErrorCode } from '#model/errors';
import { leaderEpoch, nodeId, offset, ZERO_UUID } from '#model/ids';
import { MemoryBudget } from '#net/memory-budget';
import { emptiedBatch } from '#protocol/compacted-batch';
import { BATCH_HEADER_BYTES } from '#protocol/record-batch';
import { DelayedFetch, type FetchPlan, isInStep, type PartitionFetch } from '#runtime/delayed-fetch';
import type { FetchTarget } from '#runtime/fetch-sessions';
import type { Partition } from '#runtime/partition';
import { FakeClock } from './fake-clock.ts';
import { ledPartition, viewOf } from './replica-stage.ts';
import { batchOf, codecs, StubLog } from './stub-log.ts';

const BUDGET_BYTES = 10_000;

function setUp(partitionCount = 1) {
  const clock = new FakeClock();
  const budget = new MemoryBudget(BUDGET_BYTES);
  const logs = Array.from({ length: partitionCount }, (_, index) => new StubLog('t', index));
  const partitions = logs.map((log) => ledPartition(log.asLog));
  const missing = new Map<number, ErrorCode>();
  const answers: PartitionFetch[][] = [];
  const deadlines = new Deadlines(clock);
  const fetch = (plan: Partial<FetchPlan> = {}): DelayedFetch => {
    const whole = {
      targets: partitions.map((_, index) => target(index)),
      maxWaitMs: 500,
      minBytes: 1,
      maxBytes: 5000,
      reader: 'client' as const,
      ...plan,
    };
    const lookup = ({ partition }: FetchTarget) =>
      missing.get(partition) ?? partitions[partition] ?? ErrorCode.UnknownTopicOrPartition;
    const delayed = new DelayedFetch(whole, lookup, deadlines, budget, (results) => answers.push(results));
    delayed.start();
    return delayed;
  };
  const sizes = () => answers.map((results) => results.map(({ sizeBytes }) => sizeBytes));
  return { clock, budget, logs, partitions, missing, answers, sizes, fetch };
}

function target(partition: number, given: Partial<FetchTarget> = {}): FetchTarget {
  const base = { topic: 't', topicId: ZERO_UUID, partition, fetchOffset: 0, maxBytes: 1000 };
  return { ...base, currentLeaderEpoch: -1, lastFetchedEpoch: -1, logStartOffset: -1, durableOffset: -1, ...given };
}

function only<T>(items: readonly T[]): T {
  expect(items).toHaveLength(1);
  return items[0] as T;
}

describe('a fetch', () => {
  test('is answered at once when there are min.bytes', () => {
    const { logs, fetch, sizes } = setUp(2);
    logs[0]?.fill(1);
    logs[1]?.fill(1);
    fetch({ minBytes: 200 });
    expect(sizes()).toEqual([[100, 100]]);
  });

  test('of a follower leaves out what is withheld from it, and waits for the rest (KIP-73)', () => {
    const { logs, partitions, fetch, sizes, clock } = setUp(2);
    for (const log of logs) log.fill(1);
    fetch({ reader: 'follower', isWithheld: (partition) => partition === partitions[0] });
    expect(sizes()).toEqual([[0, 100]]);
    fetch({ reader: 'follower', isWithheld: () => true });
    expect(sizes()).toHaveLength(1);
    clock.advance(500);
    expect(sizes()[1]).toEqual([0, 0]);
  });

  test('waits until there are min.bytes, of all its partitions together', () => {
    const { logs, fetch, sizes } = setUp(2);
    fetch({ minBytes: 300 });
    logs[0]?.fill(1);
    logs[1]?.fill(1);
    expect(sizes()).toEqual([]);
    logs[0]?.fill(1);
    expect(sizes()).toEqual([[200, 100]]);
    logs[1]?.fill(1);
    expect(sizes()).toHaveLength(1);
  });

  test('is answered with what there is after max.wait, and not before', () => {
    const { clock, logs, fetch, sizes } = setUp(2);
    fetch({ minBytes: 1000 });
    logs[1]?.fill(1);
    clock.advance(499);
    expect(sizes()).toEqual([]);
    clock.advance(1);
    expect(sizes()).toEqual([[0, 100]]);
    clock.advance(10_000);
    logs[0]?.fill(100);
    expect(sizes()).toHaveLength(1);
  });

  test.each([0, -1])('with max.wait %i waits for nothing', (maxWaitMs) => {
    const { fetch, sizes } = setUp();
    fetch({ maxWaitMs });
    expect(sizes()).toEqual([[0]]);
  });

  test('is answered at once with less than min.bytes where max.bytes cuts it: to wait would bring no more', () => {
    const { logs, fetch, sizes } = setUp(2);
    logs[0]?.fill(20);
    fetch({ minBytes: 5000 });
    expect(sizes()).toEqual([[1000, 0]]);
    logs[1]?.fill(6);
    fetch({ minBytes: 5000, maxBytes: 900, targets: [target(1), target(0)] });
    expect(sizes()[1]).toEqual([600, 300]);
  });

  test('of no partitions is answered at once', () => {
    const { fetch, sizes } = setUp(0);
    fetch({ minBytes: 1000 });
    expect(sizes()).toEqual([[]]);
  });

  test('reads nothing above the high watermark', () => {
    const { logs, fetch, sizes } = setUp();
    const log = only(logs);
    log.fill(2);
    log.logEndOffset = 5 as typeof log.logEndOffset;
    fetch({ maxWaitMs: 0 });
    expect(sizes()).toEqual([[200]]);
  });

  test('returns a first batch that is larger than all limits, and no second', () => {
    const { logs, fetch, sizes } = setUp(2);
    for (const log of logs) log.fill(3);
    fetch({ targets: [target(0, { maxBytes: 1 }), target(1, { maxBytes: 1 })], maxBytes: 1 });
    expect(sizes()).toEqual([[100, 0]]);
  });

  test('returns at most max.bytes of a partition and in all, beyond the first batch', () => {
    const { logs, fetch, sizes } = setUp(3);
    for (const log of logs) log.fill(100);
    fetch({ maxBytes: 1500 });
    expect(sizes()).toEqual([[1000, 500, 0]]);
  });

  test('returns no more than the memory for answers has left', () => {
    const { budget, logs, fetch, sizes } = setUp(2);
    for (const log of logs) log.fill(100);
    budget.reserve(BUDGET_BYTES - 300);
    fetch();
    expect(sizes()).toEqual([[300, 0]]);
  });
});

describe('a read_committed fetch (KIP-98)', () => {
  function begin({ logs, partitions }: ReturnType<typeof setUp>, producerId: number): void {
    const [bytes, headers] = batchOf(1, { producerId, producerEpoch: 0, baseSequence: 0, transactional: true });
    partitions[0]?.append(bytes, headers, 'waived');
    logs[0]?.sync();
  }

  function end({ partitions }: ReturnType<typeof setUp>, producerId: number, aborted: boolean): void {
    const marker = { aborted, coordinatorEpoch: 0 };
    const { bytes, header } = endMarkerBatch({ producerId, producerEpoch: 0 }, marker, 1_000, codecs);
    partitions[0]?.appendMarker(bytes, header, marker, false);
  }

  test('ends where the first transaction that is open begins, and goes on when its marker is committed', () => {
    const stage = setUp();
    stage.logs[0]?.fill(1);
    begin(stage, 9);
    stage.fetch({ reader: 'read-committed', targets: [target(0, { fetchOffset: 1 })] });
    expect(stage.answers).toEqual([]);
    end(stage, 9, false);
    expect(stage.answers).toEqual([]);
    stage.logs[0]?.sync();
    expect(only(only(stage.answers))).toMatchObject({
      lastStableOffset: 3,
      highWatermark: 3,
      sizeBytes: 200,
      aborted: [],
    });
  });

  test('tells who has aborted what is in its records, and of nothing beyond them', () => {
    const stage = setUp();
    begin(stage, 7);
    begin(stage, 8);
    end(stage, 8, true);
    end(stage, 7, true);
    begin(stage, 9);
    end(stage, 9, true);
    stage.logs[0]?.sync();
    const aborted = (fetchOffset: number, maxBytes: number) => {
      stage.answers.length = 0;
      stage.fetch({ reader: 'read-committed', targets: [target(0, { fetchOffset, maxBytes })] });
      return only(only(stage.answers)).aborted?.map(({ producerId, firstOffset }) => [producerId, firstOffset]);
    };
    expect(aborted(0, 1000)).toEqual([
      [8, 1],
      [7, 0],
      [9, 4],
    ]);
    expect(aborted(0, 100)).toEqual([[7, 0]]);
    expect(aborted(3, 100)).toEqual([[7, 0]]);
    expect(aborted(4, 1000)).toEqual([[9, 4]]);
    stage.answers.length = 0;
    stage.fetch();
    expect(only(only(stage.answers)).aborted).toBeUndefined();
  });

  test('is refused what was deleted while it was read: nobody knows any longer who has aborted it', () => {
    const stage = setUp();
    const log = only(stage.logs);
    begin(stage, 7);
    end(stage, 7, true);
    log.fill(1);
    log.isCold = true;
    stage.fetch({ reader: 'read-committed' });
    let released = 0;
    const lease = {
      bytes: new Uint8Array(0),
      release: () => {
        released += 1;
      },
    };
    log.aborted.truncateTo(offset(0));
    log.logStartOffset = offset(2);
    const read = log.reads.shift();
    read?.done({ ...log.batches(0, 3, 1000, true), lease });
    expect(only(only(stage.answers))).toMatchObject({ error: ErrorCode.OffsetOutOfRange, sizeBytes: 0, chunks: [] });
    expect([released, stage.budget.usedBytes]).toEqual([1, 0]);
  });

  test('is told who has aborted what it reads, also if its disk fails before its other partitions are read', () => {
    const stage = setUp(2);
    begin(stage, 7);
    end(stage, 7, true);
    for (const log of stage.logs) {
      log.fill(1);
      log.isCold = true;
    }
    stage.fetch({ reader: 'read-committed' });
    stage.logs[0]?.completeRead();
    stage.partitions[0]?.failed();
    stage.logs[1]?.completeRead();
    const [first] = only(stage.answers);
    expect(first).toMatchObject({ sizeBytes: 300, aborted: [{ producerId: 7 }] });
  });
});

describe('an error of one partition', () => {
  test.each<readonly [string, Partial<FetchTarget>, ErrorCode]>([
    ['offset above the end', { fetchOffset: 3 }, ErrorCode.OffsetOutOfRange],
    ['offset below the start', { fetchOffset: 0 }, ErrorCode.OffsetOutOfRange],
    ['older leader epoch', { fetchOffset: 2, currentLeaderEpoch: 1 }, ErrorCode.FencedLeaderEpoch],
    ['newer leader epoch', { fetchOffset: 2, currentLeaderEpoch: 3 }, ErrorCode.UnknownLeaderEpoch],
    ['unknown last epoch', { fetchOffset: 2, lastFetchedEpoch: 9 }, ErrorCode.OffsetOutOfRange],
  ])('%s is told at once, beside what the others have', (_what, given, error) => {
    const { logs, partitions, fetch, answers } = setUp(2);
    logs[0]?.fill(2);
    const [first, log] = [partitions[0], logs[0]];
    if (first === undefined || log === undefined) throw new Error('there are two');
    first.lead(viewOf(2), 1);
    log.logStartOffset = 1 as typeof log.logStartOffset;
    fetch({ targets: [target(0, given), target(1)], minBytes: 1000 });
    expect(only(answers)).toMatchObject([{ error, sizeBytes: 0, highWatermark: -1 }, { error: ErrorCode.None }]);
  });

  test('is told at once when it comes while the fetch waits', () => {
    const { partitions, missing, fetch, answers } = setUp(2);
    fetch();
    missing.set(1, ErrorCode.UnknownTopicOrPartition);
    partitions[1]?.retire(ErrorCode.UnknownTopicOrPartition);
    expect(only(answers)).toMatchObject([{ error: ErrorCode.None }, { error: ErrorCode.UnknownTopicOrPartition }]);
  });

  test('that is offline is KAFKA_STORAGE_ERROR', () => {
    const { logs, fetch, answers } = setUp();
    fetch();
    only(logs).listener?.failed();
    expect(only(answers)).toMatchObject([{ error: ErrorCode.KafkaStorageError }]);
  });

  test('tells where histories part instead of an error, when the reader’s last epoch has ended earlier (KIP-595)', () => {
    const { logs, partitions, fetch, answers } = setUp();
    const [log, partition] = [only(logs), only(partitions)];
    log.epochs.assign(leaderEpoch(1), log.logEndOffset);
    log.fill(2);
    log.epochs.assign(leaderEpoch(3), log.logEndOffset);
    log.fill(2);
    partition.lead(viewOf(3), 1);
    fetch({ targets: [target(0, { fetchOffset: 4, lastFetchedEpoch: 1 })] });
    expect(only(answers)).toMatchObject([
      { error: ErrorCode.None, sizeBytes: 0, diverging: { epoch: 1, endOffset: 2 } },
    ]);
  });
});

describe('a fetch from a leader that does not know yet what was committed before it', () => {
  function unready() {
    const stage = setUp(2);
    const [log, partition] = [stage.logs[0] as StubLog, stage.partitions[0] as Partition];
    log.fill(5);
    const others = { replicas: [nodeId(1), nodeId(2)], isr: [nodeId(1), nodeId(2)] };
    log.logEndOffset = offset(8);
    partition.lead(viewOf(3, others), 1);
    log.sync();
    expect([partition.isReady, partition.highWatermark]).toEqual([false, 5]);
    const catchUp = (): void =>
      partition.fetchedBy(nodeId(2), {
        brokerEpoch: 1,
        fetchOffset: offset(8),
        durableOffset: offset(8),
        logStartOffset: 0,
      });
    return { ...stage, catchUp };
  }

  test('is told no high watermark, which an earlier leader may have told higher, beside what others have', () => {
    const { logs, fetch, answers } = unready();
    logs[1]?.fill(1);
    fetch();
    expect(only(answers)).toMatchObject([
      { error: ErrorCode.OffsetNotAvailable, highWatermark: -1, lastStableOffset: -1, sizeBytes: 0 },
      { error: ErrorCode.None, highWatermark: 1, sizeBytes: 100 },
    ]);
  });

  test('waits for it, and asks again if it takes too long', () => {
    const { fetch, answers, clock, catchUp } = unready();
    fetch();
    clock.advance(499);
    expect(answers).toEqual([]);
    clock.advance(1);
    expect(only(answers)[0]).toMatchObject({ error: ErrorCode.OffsetNotAvailable });
    fetch();
    catchUp();
    expect(answers[1]).toMatchObject([{ error: ErrorCode.None, highWatermark: 8, sizeBytes: 800 }, {}]);
  });
});

describe('a fetch that waits for a log on its way back from a full disk', () => {
  test('is answered as soon as a leader knows of its transactions, though nothing is written or committed by then', () => {
    const { logs, partitions, fetch, answers } = setUp();
    const [log, partition] = [only(logs), only(partitions)];
    log.fill(3);
    log.isBeingRewound = true;
    partition.lead(viewOf(3), 1);
    fetch();
    expect([partition.isReady, answers]).toEqual([false, []]);
    log.endRewind();
    expect(only(answers)).toMatchObject([{ error: ErrorCode.None, highWatermark: 3, sizeBytes: 300 }]);
  });

  test('is answered by a follower, too, that has learned meanwhile what is committed', () => {
    const { logs, partitions, fetch, answers } = setUp();
    const [log, partition] = [only(logs), only(partitions)];
    partition.follow(leaderEpoch(3));
    log.isBeingRewound = true;
    log.fill(3);
    fetch({ reader: 'read-committed' });
    partition.leaderIsAt(offset(3), offset(0));
    expect([partition.highWatermark, partition.lastStableOffset, answers]).toEqual([3, 0, []]);
    log.endRewind();
    expect(only(answers)).toMatchObject([{ error: ErrorCode.None, lastStableOffset: 3, sizeBytes: 300 }]);
  });
});

describe('a reader that is nearer to another replica', () => {
  test('is told at once where to read, and given nothing here (KIP-392)', () => {
    const { logs, fetch, answers } = setUp(2);
    logs[0]?.fill(3);
    logs[1]?.fill(2);
    fetch({ nearer: ({ partition }) => (partition === 0 ? nodeId(3) : undefined), minBytes: 1000 });
    expect(only(answers)).toMatchObject([{ sizeBytes: 0, preferredReplica: 3, highWatermark: 3 }, { sizeBytes: 200 }]);
  });
});

describe('a follower', () => {
  test('reads what its leader has written, durable or not', () => {
    const { logs, fetch, sizes } = setUp();
    const log = only(logs);
    log.logEndOffset = offset(4);
    fetch({ reader: 'follower' });
    expect(sizes()).toEqual([[400]]);
  });

  test('is woken by what is written, and a client by what is committed', () => {
    const { logs, fetch, sizes } = setUp();
    const log = only(logs);
    fetch();
    fetch({ reader: 'follower' });
    log.logEndOffset = offset(1);
    log.listener?.written(log.logEndOffset);
    expect(sizes()).toEqual([[100]]);
    log.sync();
    expect(sizes()).toEqual([[100], [100]]);
  });

  test('that reports what it has on its disk is answered at once, with nothing', () => {
    const { logs, fetch, sizes } = setUp();
    only(logs).fill(3);
    fetch({ reader: 'follower', maxBytes: 0, maxWaitMs: 0 });
    expect(sizes()).toEqual([[0]]);
  });

  test('that has no room for more of a partition is given none, not even a first batch, and waits', () => {
    const { logs, fetch, sizes, clock } = setUp(2);
    for (const log of logs) log.fill(2);
    fetch({ reader: 'follower', targets: [target(0, { maxBytes: 0 })] });
    expect(sizes()).toEqual([]);
    clock.advance(500);
    expect(sizes()).toEqual([[0]]);
    fetch({ reader: 'follower', targets: [target(0, { maxBytes: 0 }), target(1)] });
    expect(sizes()[1]).toEqual([0, 200]);
  });

  test('that has more to tell is answered with what there is', () => {
    const { fetch, sizes } = setUp();
    const waiting = fetch({ reader: 'follower' });
    expect(sizes()).toEqual([]);
    waiting.hurry();
    expect(sizes()).toEqual([[0]]);
  });

  test('with nothing that could be compared, beyond the end of the log, is told where that is', () => {
    const { logs, partitions, fetch, answers } = setUp();
    only(logs).fill(10);
    const beyond = target(0, { fetchOffset: 15 });
    fetch({ reader: 'follower', targets: [beyond] });
    expect(answers[0]).toMatchObject([
      { error: ErrorCode.None, diverging: { epoch: 0, endOffset: 10 }, logStartOffset: 0 },
    ]);
    expect(isInStep(beyond, only(partitions))).toBe(false);
    fetch({ targets: [beyond] });
    expect(answers[1]).toMatchObject([{ error: ErrorCode.OffsetOutOfRange }]);
  });

  test('below the start of the log is told where that is', () => {
    const { logs, fetch, answers } = setUp();
    const log = only(logs);
    log.fill(9);
    log.logStartOffset = offset(5);
    fetch({ reader: 'follower', targets: [target(0, { fetchOffset: 2 })] });
    expect(only(answers)).toMatchObject([{ error: ErrorCode.OffsetOutOfRange, logStartOffset: 5 }]);
  });
});

describe('a fetch that needs the disk', () => {
  function cold(partitionCount = 1) {
    const stage = setUp(partitionCount);
    for (const log of stage.logs) {
      log.isCold = true;
      log.fill(20);
    }
    return stage;
  }

  test('reserves its memory while it reads and gives it back', () => {
    const { budget, logs, fetch, sizes } = cold();
    fetch();
    expect(budget.usedBytes).toBe(1000);
    expect(sizes()).toEqual([]);
    only(logs).completeRead();
    expect(sizes()).toEqual([[1000]]);
    expect(budget.usedBytes).toBe(0);
  });

  test('reads its partitions side by side as far as max.bytes reaches, then what is left', () => {
    const { logs, fetch, sizes } = cold(3);
    fetch({ maxBytes: 2000 });
    expect(logs.map(({ reads }) => reads.length)).toEqual([1, 1, 0]);
    logs[1]?.completeRead();
    logs[0]?.reads.shift()?.done({ chunks: [new Uint8Array(300)], sizeBytes: 300 });
    expect(logs[2]?.reads[0]?.maxBytes).toBe(700);
    logs[2]?.completeRead();
    expect(sizes()).toEqual([[300, 1000, 700]]);
  });

  test.each<readonly ['failed' | 'out-of-range', ErrorCode]>([
    ['failed', ErrorCode.KafkaStorageError],
    ['out-of-range', ErrorCode.OffsetOutOfRange],
  ])('tells at once when a read is %s', (result, error) => {
    const { budget, logs, fetch, answers } = cold();
    fetch({ minBytes: 5000 });
    only(logs).reads.shift()?.done(result);
    expect(only(answers)).toMatchObject([{ error, sizeBytes: 0 }]);
    expect(budget.usedBytes).toBe(0);
  });

  test('releases what it read and did not send, and reads again when there is more', () => {
    const { budget, logs, fetch, sizes } = cold();
    const log = only(logs);
    let released = 0;
    fetch({ minBytes: 800, targets: [target(0, { fetchOffset: 15 })] });
    const lease = {
      release: () => {
        released += 1;
      },
    };
    log.reads
      .shift()
      ?.done({ ...log.batches(15, 20, 1000, true), lease } as Parameters<(typeof log.reads)[0]['done']>[0]);
    expect([released, budget.usedBytes, sizes().length]).toEqual([1, 0, 0]);
    log.fill(3);
    log.completeRead();
    expect(sizes()).toEqual([[800]]);
    expect(released).toBe(1);
  });

  test('is answered at once with less than min.bytes where a segment ends it', () => {
    const { logs, fetch, sizes } = cold();
    const log = only(logs);
    fetch({ minBytes: 900 });
    log.reads.shift()?.done(log.batches(0, 3, 1000, true));
    expect(sizes()).toEqual([[300]]);
  });

  test('misses no advance of another partition during the read', () => {
    const { logs, fetch, sizes } = setUp(2);
    const [slow, quick] = logs;
    if (slow === undefined || quick === undefined) throw new Error('there are two');
    slow.isCold = true;
    slow.fill(1);
    fetch({ targets: [target(1), target(0)], minBytes: 200, maxWaitMs: 60_000 });
    quick.fill(1);
    slow.completeRead();
    slow.completeRead();
    expect(sizes()).toEqual([[100, 100]]);
  });

  test('is answered when its reads have ended, if its time is up meanwhile', () => {
    const { clock, logs, fetch, sizes } = cold();
    const log = only(logs);
    fetch({ minBytes: 5000, targets: [target(0, { fetchOffset: 15 })] });
    log.completeRead();
    log.fill(1);
    clock.advance(500);
    expect(sizes()).toEqual([]);
    log.completeRead();
    expect(sizes()).toEqual([[600]]);
  });
});

describe('batches that compaction has emptied', () => {
  /** One of two records, at each of these offsets. */
  function emptied(...offsets: readonly number[]) {
    const [, [header]] = batchOf(2);
    if (header === undefined) throw new Error('there is one');
    const chunks = offsets.map((baseOffset) => Buffer.from(emptiedBatch({ ...header, baseOffset }, codecs)));
    return { chunks, sizeBytes: offsets.length * BATCH_HEADER_BYTES };
  }

  test('are left out where records follow: who goes by those would ask for the same without end, as kafkajs', () => {
    const { budget, logs, fetch, answers, sizes } = setUp();
    const log = only(logs);
    log.isCold = true;
    log.fill(20);
    let released = 0;
    const lease = {
      bytes: new Uint8Array(0),
      release: () => {
        released += 1;
      },
    };
    fetch();
    log.reads.shift()?.done({ ...emptied(0, 2), lease });
    expect([released, only(log.reads).from]).toEqual([1, 4]);
    log.reads.shift()?.done(emptied(8));
    expect([sizes(), only(log.reads).from, budget.usedBytes]).toEqual([[], 10, 1000]);
    log.completeRead();
    expect([sizes(), budget.usedBytes]).toEqual([[[1000]], 0]);
    expect(answers[0]?.[0]?.chunks.every((chunk) => chunk.length === log.batchBytes)).toBe(true);
  });

  test('are left out also in memory', () => {
    const { logs, fetch, sizes } = setUp();
    const log = only(logs);
    log.fill(20);
    log.readCached = () => emptied(0, 2);
    fetch();
    log.reads.shift()?.done(emptied(0, 2));
    log.completeRead();
    expect(sizes()).toEqual([[1000]]);
  });

  test.each([
    ['up to the end', [0, 18]],
    ['before a gap', [0, 12]],
  ])('are told where nothing follows, %s: without them a reader would not come to the end', (_where, offsets) => {
    const { logs, fetch, answers } = setUp();
    const log = only(logs);
    log.isCold = true;
    log.fill(20);
    const read = emptied(...offsets);
    const told = Buffer.concat(read.chunks);
    const [first] = read.chunks;
    // Another read may be given the buffer then.
    const lease = { bytes: new Uint8Array(0), release: () => void first?.fill(0) };
    fetch();
    log.reads.shift()?.done({ ...read, lease });
    log.reads.shift()?.done({ chunks: [], sizeBytes: 0 });
    const [answer] = only(answers);
    expect([answer?.sizeBytes, Buffer.concat(answer?.chunks ?? [])]).toEqual([told.length, told]);
  });

  test('are a follower’s as all others are', () => {
    const { logs, fetch, sizes } = setUp();
    const log = only(logs);
    log.isCold = true;
    log.fill(20);
    fetch({ reader: 'follower' });
    log.reads.shift()?.done(emptied(0));
    expect(sizes()).toEqual([[BATCH_HEADER_BYTES]]);
  });
});

describe('a fetch whose client has gone', () => {
  test('ends at once while it waits, and is woken no more', () => {
    const { clock, logs, fetch, answers } = setUp();
    const delayed = fetch();
    delayed.giveUp();
    expect(answers).toEqual([[]]);
    only(logs).fill(1);
    clock.advance(1000);
    expect(answers).toHaveLength(1);
  });

  test('ends with its reads, whose memory it gives back', () => {
    const { budget, logs, fetch, answers } = setUp();
    const log = only(logs);
    log.isCold = true;
    log.fill(1);
    const delayed = fetch({ minBytes: 1000 });
    delayed.giveUp();
    expect(answers).toEqual([]);
    log.completeRead();
    expect([answers.length, budget.usedBytes]).toEqual([1, 0]);
  });
});
