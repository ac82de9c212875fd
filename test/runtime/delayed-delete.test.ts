import { describe, expect, it } from 'vitest';
import { Deadlines } from '#base/deadlines';
import { ErrorCode } from '#model/errors';
import { leaderEpoch, nodeId, offset, ZERO_UUID } from '#model/ids';
import { DelayedDelete, type DeletionOutcome } from '#runtime/delayed-delete';
import { Partition } from '#runtime/partition';
import { FakeClock } from './fake-clock.ts';
import { FakeLog } from './fake-log.ts';
import { homeOf, ME, viewOf } from './replica-stage.ts';

const [TWO, THREE] = [nodeId(2), nodeId(3)];
const BEFORE = 5;

/** A partition of three replicas whose leader has deleted what lies below BEFORE. */
class Stage {
  readonly clock = new FakeClock();
  readonly log = new FakeLog('t', 0, this.clock);
  readonly partition: Partition;
  readonly dead = new Set<number>();
  outcomes: readonly DeletionOutcome[] | undefined;

  constructor(timeoutMs = 1000, isSaved = true) {
    const { log } = this;
    log.logStartOffset = offset(BEFORE);
    this.partition = new Partition(homeOf(), 't', ZERO_UUID, 0, log.asLog);
    if (isSaved) log.saveStart();
    this.partition.lead(viewOf(0, { replicas: [ME, TWO, THREE], isr: [ME, TWO] }), 1);
    const counts = (_partition: Partition, id: number): boolean => !this.dead.has(id);
    const deleted = [{ partition: this.partition, before: BEFORE }];
    new DelayedDelete(deleted, counts, new Deadlines(this.clock), (outcomes) => {
      this.outcomes = outcomes;
    }).start(timeoutMs);
  }

  fetched(id: typeof TWO, logStartOffset: number): void {
    const at = { fetchOffset: offset(0), durableOffset: offset(0) };
    this.partition.fetchedBy(id, { brokerEpoch: 1, ...at, logStartOffset });
  }
}

describe('a deletion of records', () => {
  it('is done when every follower that lives has told that its log starts there, in sync or not', () => {
    const stage = new Stage();
    stage.fetched(TWO, BEFORE);
    stage.fetched(THREE, BEFORE - 1);
    expect(stage.outcomes).toBeUndefined();
    stage.fetched(THREE, BEFORE + 1);
    expect(stage.outcomes).toEqual([{ error: ErrorCode.None, lowWatermark: BEFORE }]);
  });

  it('waits until the leader has saved where its log starts: a power cut would bring the records back', () => {
    const stage = new Stage(1000, false);
    stage.fetched(TWO, BEFORE);
    stage.fetched(THREE, BEFORE);
    expect(stage.outcomes).toBeUndefined();
    stage.log.saveStart();
    expect(stage.outcomes).toEqual([{ error: ErrorCode.None, lowWatermark: BEFORE }]);
  });

  it('does not wait for one that has been fenced meanwhile', () => {
    const stage = new Stage();
    stage.fetched(TWO, BEFORE);
    stage.dead.add(THREE);
    stage.partition.changed(viewOf(0, { partitionEpoch: 1, replicas: [ME, TWO, THREE], isr: [ME, TWO] }), 1);
    expect(stage.outcomes).toEqual([{ error: ErrorCode.None, lowWatermark: BEFORE }]);
  });

  it('tells the least start that is known when its time is up', () => {
    const stage = new Stage(1000);
    stage.fetched(TWO, 3);
    stage.fetched(THREE, BEFORE);
    stage.clock.advance(1000);
    expect(stage.outcomes).toEqual([{ error: ErrorCode.RequestTimedOut, lowWatermark: 3 }]);
  });

  it('ends with NOT_LEADER_OR_FOLLOWER if another leads, with KAFKA_STORAGE_ERROR if the log has failed', () => {
    const deposed = new Stage();
    deposed.partition.follow(leaderEpoch(1));
    expect(deposed.outcomes).toEqual([{ error: ErrorCode.NotLeaderOrFollower, lowWatermark: -1 }]);
    const broken = new Stage();
    broken.partition.failed();
    expect(broken.outcomes).toEqual([{ error: ErrorCode.KafkaStorageError, lowWatermark: -1 }]);
  });
});
