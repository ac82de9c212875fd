import { describe, expect, test } from 'vitest';
import { ErrorCode, errorName } from '#model/errors';
import { leaderEpoch, nodeId, offset, producerId } from '#model/ids';
import { ledPartition, viewOf } from './replica-stage.ts';
import { batchOf, StubLog } from './stub-log.ts';

function setUp() {
  const log = new StubLog();
  const partition = ledPartition(log.asLog, 5);
  const answers: string[] = [];
  const ask = (last: number, name = String(last)) =>
    partition.whenDurable(offset(last), (error) => answers.push(`${name}: ${errorName(error)}`));
  return { log, partition, answers, ask };
}

describe('a follower that is cut below what it took for committed', () => {
  test('takes it for committed no longer, nor does it as the next leader', () => {
    const { log, partition } = setUp();
    log.fill(10);
    partition.follow(leaderEpoch(6));
    partition.leaderIsAt(offset(10), offset(0));
    expect(partition.highWatermark).toBe(10);
    partition.truncateTo(offset(7));
    log.endCut();
    expect([partition.highWatermark, log.highWatermark]).toEqual([7, 7]);
    const two = [nodeId(1), nodeId(2)];
    partition.lead(viewOf(7, { replicas: two, isr: two }), 2);
    expect([partition.isReady, partition.append(...batchOf(1)).error]).toEqual([true, ErrorCode.None]);
    const answers: string[] = [];
    log.sync();
    partition.whenCommitted(offset(7), (error) => answers.push(errorName(error)));
    // Only this node has it.
    expect(answers).toEqual([]);
  });
});

describe('acknowledgements of a partition', () => {
  test('come in order, each when everything up to its batch is durable', () => {
    const { log, partition, answers, ask } = setUp();
    partition.append(...batchOf(2));
    ask(1);
    partition.append(...batchOf(3));
    ask(4);
    expect(answers).toEqual([]);
    log.sync(1);
    expect(answers).toEqual([]);
    log.sync(2);
    expect(answers).toEqual(['1: NONE']);
    log.sync(5);
    expect(answers).toEqual(['1: NONE', '4: NONE']);
  });

  test('come at once for what is durable already, as a duplicate may be', () => {
    const { log, answers, ask } = setUp();
    log.fill(3);
    ask(2);
    expect(answers).toEqual(['2: NONE']);
  });

  test('of batches that found no room fail, those before them still come', () => {
    const { log, answers, ask } = setUp();
    log.logEndOffset = offset(6);
    ask(1);
    ask(3);
    ask(5);
    log.reject(2);
    expect(answers).toEqual(['3: KAFKA_STORAGE_ERROR', '5: KAFKA_STORAGE_ERROR']);
    log.sync(2);
    expect(answers.at(-1)).toBe('1: NONE');
  });

  test('all fail when the directory goes offline, and nothing is taken any more', () => {
    const { log, partition, answers, ask } = setUp();
    log.fill(1);
    log.logEndOffset = offset(3);
    ask(1);
    ask(2);
    log.listener?.failed();
    expect(answers).toEqual(['1: KAFKA_STORAGE_ERROR', '2: KAFKA_STORAGE_ERROR']);
    expect(partition.log).toBeUndefined();
    expect(log.listener).toBeUndefined();
    expect(partition.append(...batchOf(1))).toEqual({ error: ErrorCode.KafkaStorageError });
    ask(7);
    expect(answers.at(-1)).toBe('7: KAFKA_STORAGE_ERROR');
  });

  test('fail with the reason of the retirement', () => {
    const { partition, answers, ask } = setUp();
    ask(0);
    partition.retire(ErrorCode.UnknownTopicOrPartition);
    expect(answers).toEqual(['0: UNKNOWN_TOPIC_OR_PARTITION']);
  });
});

describe('appending to a partition', () => {
  test('answers the offsets, in the epoch of the leader', () => {
    const { log, partition } = setUp();
    expect(partition.append(...batchOf(2))).toEqual({ error: ErrorCode.None, baseOffset: 0, lastOffset: 1 });
    expect(partition.append(...batchOf(1))).toEqual({ error: ErrorCode.None, baseOffset: 2, lastOffset: 2 });
    expect(log.epochs.latest()?.epoch).toBe(5);
  });

  test('of a duplicate appends nothing and answers its first offsets', () => {
    const { log, partition } = setUp();
    const by = (baseSequence: number) => ({ producerId: producerId(9), producerEpoch: 0, baseSequence });
    partition.append(...batchOf(1));
    partition.append(...batchOf(2, by(0)));
    partition.append(...batchOf(3, by(2)));
    expect(partition.append(...batchOf(2, by(0)))).toMatchObject({ baseOffset: 1, lastOffset: 2 });
    expect(partition.append(...batchOf(3, by(2)))).toMatchObject({ baseOffset: 3, lastOffset: 5 });
    expect(log.logEndOffset).toBe(6);
    expect(partition.append(...batchOf(1, by(7)))).toEqual({ error: ErrorCode.OutOfOrderSequenceNumber });
    expect(log.logEndOffset).toBe(6);
  });

  test('is refused while the log finds its way back from a full disk, and its producers are not what they were', () => {
    const { log, partition } = setUp();
    const by = (baseSequence: number) => ({ producerId: producerId(9), producerEpoch: 0, baseSequence });
    partition.append(...batchOf(2, by(0)));
    // Half rebuilt: the next sequence looks as if one were missing.
    log.isBeingRewound = true;
    expect(partition.append(...batchOf(3, by(5)))).toMatchObject({ error: ErrorCode.KafkaStorageError });
    log.isBeingRewound = false;
    expect(partition.append(...batchOf(3, by(2)))).toMatchObject({ error: ErrorCode.None });
  });

  test('says whether the disk is full or the log offline', () => {
    const { log, partition } = setUp();
    log.refusal = 'full';
    expect(partition.append(...batchOf(1))).toEqual({
      error: ErrorCode.KafkaStorageError,
      message: 'the disk is full',
    });
    log.refusal = 'offline';
    expect(partition.append(...batchOf(1))).toEqual({ error: ErrorCode.KafkaStorageError });
  });
});

describe('readers of a partition', () => {
  test('are woken when the high watermark moves and when the partition goes, until they look away', () => {
    const { log, partition } = setUp();
    let woken = 0;
    const watcher = {
      advanced: () => {
        woken += 1;
      },
    };
    partition.watch(watcher);
    log.fill(1);
    expect([woken, partition.highWatermark]).toEqual([1, 1]);
    partition.unwatch(watcher);
    log.fill(1);
    expect(woken).toBe(1);
    partition.watch(watcher);
    partition.retire(ErrorCode.NotLeaderOrFollower);
    expect(woken).toBe(2);
  });

  test('that look again while they are woken are not woken twice', () => {
    const { log, partition } = setUp();
    let woken = 0;
    const watcher = {
      advanced: () => {
        woken += 1;
        partition.unwatch(watcher);
        partition.watch(watcher);
      },
    };
    partition.watch(watcher);
    log.fill(1);
    expect(woken).toBe(1);
  });

  test('see what is durable only', () => {
    const { log, partition } = setUp();
    partition.append(...batchOf(4));
    expect(partition.highWatermark).toBe(0);
    log.sync(3);
    expect(partition.highWatermark).toBe(3);
  });

  test('with another leader epoch are told whose is older (KIP-320)', () => {
    const { partition } = setUp();
    const checked = [-1, 5, 4, 6].map((epoch) => partition.checkLeaderEpoch(epoch));
    expect(checked).toEqual([
      ErrorCode.None,
      ErrorCode.None,
      ErrorCode.FencedLeaderEpoch,
      ErrorCode.UnknownLeaderEpoch,
    ]);
  });

  test('learn where an epoch ends (KIP-279)', () => {
    const { partition } = setUp();
    partition.append(...batchOf(2));
    partition.lead(viewOf(8), 1);
    partition.append(...batchOf(1));
    expect(partition.endOffsetFor(5)).toEqual({ epoch: 5, endOffset: 2 });
    expect(partition.endOffsetFor(8)).toEqual({ epoch: 8, endOffset: 3 });
    expect(partition.endOffsetFor(7)).toEqual({ epoch: 5, endOffset: 2 });
    expect(partition.endOffsetFor(9)).toBeUndefined();
    expect(partition.endOffsetFor(-1)).toBeUndefined();
  });
});
