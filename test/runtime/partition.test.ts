import { describe, expect, test } from 'vitest';
import { endMarkerBatch } from '#log/end-marker';
import type { Verification } from '#log/verifications';
import { ErrorCode, errorName } from '#model/errors';
import { leaderEpoch, nodeId, offset, producerId } from '#model/ids';
import type { BatchHeader } from '#protocol/record-batch';
import { Partition } from '#runtime/partition';
import { homeOf, ledPartition, viewOf } from './replica-stage.ts';
import { batchOf, codecs, StubLog } from './stub-log.ts';

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
    ask(2);
    ask(5);
    log.reject(2);
    expect(answers).toEqual(['2: KAFKA_STORAGE_ERROR', '5: KAFKA_STORAGE_ERROR']);
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

  test('of all replicas fail when too few are left in sync: the high watermark would not move', () => {
    const { log, partition, answers } = setUp();
    const [me, other] = [nodeId(1), nodeId(2)];
    const replicas = [me, other];
    partition.lead(viewOf(6, { replicas, isr: replicas }), 2);
    partition.append(...batchOf(1));
    log.sync();
    partition.whenCommitted(offset(0), (error) => answers.push(errorName(error)));
    expect(answers).toEqual([]);
    partition.changed(viewOf(6, { replicas, isr: [me], partitionEpoch: 1 }), 2);
    expect(answers).toEqual(['NOT_ENOUGH_REPLICAS_AFTER_APPEND']);
    partition.whenCommitted(offset(0), (error) => answers.push(errorName(error)));
    expect(answers.at(1)).toBe('NOT_ENOUGH_REPLICAS_AFTER_APPEND');
    expect(partition.highWatermark).toBe(0);
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

  test('of a duplicate appends nothing and answers as the first time', () => {
    const { log, partition } = setUp();
    const by = (baseSequence: number) => ({ producerId: producerId(9), producerEpoch: 0, baseSequence });
    partition.append(...batchOf(1));
    partition.append(...batchOf(2, by(0)));
    partition.append(...batchOf(3, by(2)));
    expect(partition.append(...batchOf(2, by(0)))).toMatchObject({ baseOffset: 1, lastOffset: 2, appendTime: 1000 });
    expect(partition.append(...batchOf(3, by(2)))).toMatchObject({ baseOffset: 3, lastOffset: 5 });
    expect(log.logEndOffset).toBe(6);
    expect(partition.append(...batchOf(1, by(7)))).toEqual({ error: ErrorCode.OutOfOrderSequenceNumber });
    expect(log.logEndOffset).toBe(6);
  });

  test('of a later batch is refused in an empty log, where the first one of its producer is still to come', () => {
    const { log, partition } = setUp();
    const by = (baseSequence: number) => ({ producerId: producerId(9), producerEpoch: 0, baseSequence });
    expect(partition.append(...batchOf(1, by(2)))).toEqual({ error: ErrorCode.OutOfOrderSequenceNumber });
    expect(partition.append(...batchOf(2, by(0)))).toMatchObject({ error: ErrorCode.None, baseOffset: 0 });
    expect(partition.append(...batchOf(1, by(2)))).toMatchObject({ error: ErrorCode.None, baseOffset: 2 });
    expect(log.logEndOffset).toBe(3);
  });

  test('says of a marker what its coordinator has to know, and takes it as the end of the transaction', () => {
    const { log, partition } = setUp();
    const by = { producerId: producerId(9), producerEpoch: 3, baseSequence: 0, transactional: true };
    const [bytes, headers] = batchOf(1, by);
    const verification = partition.beginVerification(headers[0] as BatchHeader, false);
    expect(partition.append(bytes, headers, verification as Verification)).toMatchObject({ error: ErrorCode.None });
    const end = (producerEpoch: number, coordinatorEpoch: number, epochMustRise = false) => {
      const marker = { aborted: true, coordinatorEpoch };
      const batch = endMarkerBatch({ producerId: 9, producerEpoch }, marker, 1_000, codecs);
      return errorName(partition.appendMarker(batch.bytes, batch.header, marker, epochMustRise).error);
    };
    log.fill(1);
    expect([partition.highWatermark, partition.lastStableOffset]).toEqual([2, 0]);
    expect(end(2, 0)).toBe('INVALID_PRODUCER_EPOCH');
    expect(end(3, 0, true)).toBe('INVALID_PRODUCER_EPOCH');
    expect(end(4, 7, true)).toBe('NONE');
    expect(end(4, 6)).toBe('TRANSACTION_COORDINATOR_FENCED');
    expect(partition.lastStableOffset).toBe(0);
    log.sync();
    expect(partition.lastStableOffset).toBe(3);
    partition.follow(leaderEpoch(6));
    expect(end(5, 8)).toBe('NOT_LEADER_OR_FOLLOWER');
  });

  test('the last stable offset is within the log, also where the start of an open transaction was deleted', () => {
    const { log, partition } = setUp();
    partition.append(
      ...batchOf(3, { producerId: 9, producerEpoch: 0, baseSequence: 0, transactional: true }),
      'waived',
    );
    log.sync();
    expect(partition.lastStableOffset).toBe(0);
    log.logStartOffset = offset(2);
    expect(partition.lastStableOffset).toBe(2);
  });

  test('a transaction stays open in the eyes of readers while the log finds its way back from a full disk', () => {
    const { log, partition } = setUp();
    partition.append(
      ...batchOf(2, { producerId: 9, producerEpoch: 0, baseSequence: 0, transactional: true }),
      'waived',
    );
    log.sync();
    expect([partition.highWatermark, partition.lastStableOffset]).toEqual([2, 0]);
    // As replayed so far: nothing is open.
    log.isBeingRewound = true;
    log.producers.clear();
    expect(partition.lastStableOffset).toBe(0);
  });

  test('a leader whose log is still on its way back tells nobody of a last stable offset that is older than that of the one before it', () => {
    const { log, partition } = setUp();
    log.fill(4);
    partition.follow(leaderEpoch(6));
    log.isBeingRewound = true;
    partition.leaderIsAt(offset(4), offset(0));
    partition.lead(viewOf(7), 1);
    log.sync();
    expect([partition.highWatermark, partition.isReady]).toEqual([4, false]);
    log.isBeingRewound = false;
    expect([partition.isReady, partition.lastStableOffset]).toEqual([true, 4]);
    // What is known by then holds, if the log is taken back once more.
    log.isBeingRewound = true;
    expect([partition.isReady, partition.lastStableOffset]).toEqual([true, 4]);
  });

  test('of a transaction begins anew with each leader: what was verified before is worth nothing', () => {
    const { partition } = setUp();
    const by = { producerId: producerId(9), producerEpoch: 0, baseSequence: 0, transactional: true };
    const [bytes, headers] = batchOf(1, by);
    const begin = () => partition.beginVerification(headers[0] as BatchHeader, false);
    const before = begin();
    partition.lead(viewOf(6), 1);
    expect(partition.append(bytes, headers, before as Verification)).toEqual({ error: ErrorCode.InvalidTxnState });
    const after = begin();
    expect(partition.append(bytes, headers, after as Verification)).toMatchObject({ error: ErrorCode.None });
    expect(begin()).toBe('open');
    partition.follow(leaderEpoch(7));
    expect(begin()).toBe(ErrorCode.NotLeaderOrFollower);
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

describe('a leader whose full disk has taken back all of its epoch', () => {
  test('still tells a follower where their histories part', () => {
    const log = new StubLog();
    log.epochs.assign(leaderEpoch(5), offset(0));
    log.fill(4);
    const partition = ledPartition(log.asLog, 8);
    partition.append(...batchOf(1));
    log.reject(4);
    log.epochs.truncateFromEnd(offset(4));
    expect([5, 7, 8].map((epoch) => partition.endOffsetFor(epoch))).toEqual([
      { epoch: 5, endOffset: 4 },
      { epoch: 5, endOffset: 4 },
      { epoch: 8, endOffset: 4 },
    ]);
    expect(partition.endOffsetFor(9)).toBeUndefined();
  });
});

describe('a follower of a leader whose disk has come to a stand', () => {
  test('has caught up with what it can be given, and stays in sync: it may be needed soon', () => {
    class StandingLog extends StubLog {
      override get writtenOffset() {
        return offset(2);
      }
    }
    let now = 0;
    const log = new StandingLog();
    const partition = new Partition(
      homeOf({}, () => now),
      log.topic,
      log.topicId,
      log.partition,
      log.asLog,
    );
    const both = [nodeId(1), nodeId(2)];
    log.fill(2);
    partition.lead(viewOf(1, { replicas: both, isr: both }), 1);
    partition.append(...batchOf(3));
    const at = { fetchOffset: offset(2), durableOffset: offset(2), logStartOffset: 0 };
    for (; now < 20_000; now += 500) {
      partition.fetchedBy(nodeId(2), { brokerEpoch: 12, ...at });
      expect(partition.proposeIsr((id) => 10 + id, 5_000)).toBeUndefined();
    }
  });
});

describe('a follower whose leader was elected uncleanly', () => {
  /** A log that is cut when the test says so. */
  class CuttableLog extends StubLog {
    override highWatermark = offset(0);
    finishCut: () => void = () => {};

    raiseStartTo(): void {}

    override truncateTo(to: number, done: () => void): void {
      this.finishCut = () => {
        this.logEndOffset = offset(to);
        this.durableOffset = offset(to);
        done();
      };
    }
  }

  function cutFollower() {
    const log = new CuttableLog();
    const partition = new Partition(homeOf(), log.topic, log.topicId, log.partition, log.asLog);
    partition.follow(leaderEpoch(1));
    partition.leaderIsAt(offset(9), offset(0));
    log.fill(5);
    log.logEndOffset = offset(7);
    expect([partition.highWatermark, log.highWatermark]).toEqual([5, 5]);
    partition.follow(leaderEpoch(2));
    partition.truncateTo(offset(2));
    return { log, partition };
  }

  test('takes for committed no more than what its log is cut to: what comes there next is another history', () => {
    const { log, partition } = cutFollower();
    log.sync(7);
    expect([partition.highWatermark, log.highWatermark]).toEqual([2, 2]);
    log.finishCut();
    log.fill(3);
    expect([partition.highWatermark, log.highWatermark]).toEqual([2, 2]);
    partition.leaderIsAt(offset(4), offset(0));
    expect([partition.highWatermark, log.highWatermark]).toEqual([4, 4]);
  });

  test('takes nothing that it wrote as such a leader for committed when it follows again', () => {
    const log = new CuttableLog();
    const partition = new Partition(homeOf(), log.topic, log.topicId, log.partition, log.asLog);
    const both = [nodeId(1), nodeId(2)];
    partition.follow(leaderEpoch(1));
    partition.leaderIsAt(offset(9), offset(0));
    log.fill(5);
    partition.lead(viewOf(2, { replicas: both, isr: [nodeId(1)] }), 2);
    partition.append(...batchOf(2));
    partition.follow(leaderEpoch(3));
    log.sync();
    expect([log.durableOffset, partition.highWatermark]).toEqual([7, 5]);
  });

  test('begins anew with what is committed where the leader’s log starts', async () => {
    const [former, anew] = [new CuttableLog(), new CuttableLog()];
    const home = { ...homeOf(), restart: async () => anew.asLog };
    const partition = new Partition(home, former.topic, former.topicId, former.partition, former.asLog);
    partition.follow(leaderEpoch(1));
    partition.leaderIsAt(offset(9), offset(0));
    former.fill(5);
    partition.follow(leaderEpoch(2));
    partition.restartAt(offset(1));
    await partition.whenWhole();
    anew.logEndOffset = offset(1);
    anew.fill(6);
    expect([partition.highWatermark, anew.highWatermark]).toEqual([1, 1]);
    partition.leaderIsAt(offset(3), offset(1));
    expect([partition.highWatermark, anew.highWatermark]).toEqual([3, 3]);
  });

  test('that goes while it is cut keeps nobody waiting', async () => {
    const { partition } = cutFollower();
    const whole = partition.whenWhole();
    partition.retire(ErrorCode.NotLeaderOrFollower);
    await whole;
    expect(partition.isBeingCut).toBe(false);
  });

  test('that goes while it begins anew takes no log any more: another replica may have it', async () => {
    const [former, anew] = [new CuttableLog(), new CuttableLog()];
    const home = { ...homeOf(), restart: async () => anew.asLog };
    const partition = new Partition(home, former.topic, former.topicId, former.partition, former.asLog);
    partition.follow(leaderEpoch(1));
    partition.restartAt(offset(1));
    partition.retire(ErrorCode.NotLeaderOrFollower);
    await partition.whenRestarted();
    expect([partition.log, anew.listener]).toEqual([undefined, undefined]);
  });

  test('acknowledges as a leader what others have, not what once was', () => {
    const { log, partition } = cutFollower();
    log.finishCut();
    const other = nodeId(2);
    partition.lead(viewOf(3, { replicas: [nodeId(1), other], isr: [nodeId(1), other] }), 1);
    partition.append(...batchOf(1));
    const answers: string[] = [];
    partition.whenCommitted(offset(2), (error) => answers.push(errorName(error)));
    log.sync();
    expect(answers).toEqual([]);
    partition.fetchedBy(other, {
      brokerEpoch: 1,
      fetchOffset: offset(3),
      durableOffset: offset(3),
      logStartOffset: 0,
    });
    expect(answers).toEqual(['NONE']);
  });
});
