import { describe, expect, test } from 'vitest';
import { ALL_IN_SYNC, type PendingAnswer, ProduceRound } from '#api/produce-round';
import { ErrorCode, errorName } from '#model/errors';
import type { Partition } from '#runtime/partition';

/** The round of a request for two partitions, whose acknowledgements the test gives. */
class Stage {
  readonly events: string[] = [];
  readonly acknowledge: ((error: ErrorCode) => void)[] = [];
  readonly answers: readonly PendingAnswer[] = [0, 1].map((index) => ({ index, errorCode: 0, baseOffset: 7 }));
  readonly round: ProduceRound;

  constructor(acks: number) {
    const hold = () => {
      this.events.push('held');
      return () => void this.events.push('let go');
    };
    this.round = new ProduceRound(acks === 0 ? undefined : hold, () => {
      this.events.push(this.answers.map(({ errorCode }) => errorName(errorCode as ErrorCode)).join());
    });
    const wait = (_: number, done: (error: ErrorCode) => void): void => void this.acknowledge.push(done);
    const partition = { whenCommitted: wait, whenDurable: wait } as unknown as Partition;
    for (const answer of this.answers) this.round.await(partition, 7, acks, answer);
    this.round.begun();
  }

  settle(place: number, error: ErrorCode = ErrorCode.None): void {
    this.acknowledge[place]?.(error);
  }
}

describe('a Produce request', () => {
  test('is answered when each of its partitions is, with what came of it', () => {
    const stage = new Stage(ALL_IN_SYNC);
    stage.settle(1, ErrorCode.NotEnoughReplicasAfterAppend);
    expect(stage.events).toEqual([]);
    stage.settle(0);
    expect(stage.events).toEqual(['NONE,NOT_ENOUGH_REPLICAS_AFTER_APPEND']);
    expect(stage.answers.map(({ baseOffset }) => baseOffset)).toEqual([7, -1]);
    stage.round.expire();
    expect(stage.events).toHaveLength(1);
  });

  test('whose time is up keeps its memory until the last of its records is down, or never will be', () => {
    const stage = new Stage(ALL_IN_SYNC);
    stage.round.expire();
    expect(stage.events).toEqual(['held', 'REQUEST_TIMED_OUT,REQUEST_TIMED_OUT']);
    stage.settle(0);
    expect(stage.events).toHaveLength(2);
    stage.settle(1, ErrorCode.NotLeaderOrFollower);
    expect(stage.events.at(-1)).toBe('let go');
    expect(stage.answers.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.RequestTimedOut,
      ErrorCode.RequestTimedOut,
    ]);
  });

  test('of which a part was acknowledged in time waits for the other part only', () => {
    const stage = new Stage(1);
    stage.settle(0);
    stage.round.expire();
    expect(stage.events).toEqual(['held', 'NONE,REQUEST_TIMED_OUT']);
    stage.settle(1);
    expect(stage.events.at(-1)).toBe('let go');
  });

  test('that asks for no acknowledgement has no time limit', () => {
    const stage = new Stage(0);
    stage.round.expire();
    expect(stage.events).toEqual([]);
    stage.settle(0);
    stage.settle(1);
    expect(stage.events).toEqual(['NONE,NONE']);
  });
});
