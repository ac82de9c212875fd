import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LeaderEpochCache } from '#log/leader-epoch-cache';
import { leaderEpoch, offset } from '#model/ids';
import { divergencePoint } from '#replication/truncation';

/** A log as the epochs of its records: `[1, 1, 2]` is two records of epoch 1 and one of epoch 2. */
function cacheOf(log: readonly number[]): LeaderEpochCache {
  const cache = new LeaderEpochCache();
  for (const [at, epoch] of log.entries()) cache.assign(leaderEpoch(epoch), offset(at));
  return cache;
}

/** The leader's answer to a fetch at the follower's end; undefined: their logs do not part. */
function divergence(leader: readonly number[], follower: readonly number[]) {
  const last = follower.at(-1);
  if (last === undefined) return undefined;
  const end = cacheOf(leader).endOffsetFor(leaderEpoch(last), offset(leader.length));
  if (end === undefined) throw new Error('a leader knows of every epoch up to its own');
  return end.epoch < last || end.endOffset < follower.length ? end : undefined;
}

/** Cuts the follower until the leader has no more to say. Gives what is left of it. */
function settle(leader: readonly number[], follower: readonly number[]): readonly number[] {
  let log = follower;
  for (let round = 0; round <= follower.length; round += 1) {
    const diverging = divergence(leader, log);
    if (diverging === undefined) return log;
    const to = divergencePoint(cacheOf(log), offset(0), offset(log.length), diverging);
    expect(to).toBeLessThan(log.length);
    log = log.slice(0, to);
  }
  throw new Error('the logs never agree');
}

describe('where a follower is cut', () => {
  test('keeps what both have, though the follower is longer (KIP-101)', () => {
    expect(settle([1, 1, 2, 2], [1, 1, 1, 1, 1])).toEqual([1, 1]);
  });

  test('keeps all if the leader has the same and more, whatever high watermark is known', () => {
    expect(settle([1, 1, 1, 3], [1, 1, 1])).toEqual([1, 1, 1]);
  });

  test('finds the common part through several fast elections (KIP-279)', () => {
    expect(settle([1, 1, 3, 5], [1, 1, 2, 4, 4])).toEqual([1, 1]);
  });

  test('begins anew when nothing is shared', () => {
    expect(settle([5, 5], [1, 2, 3])).toEqual([]);
  });

  test('for any two histories that share a beginning, is never below it, and leaves no record of another history', () => {
    const epochs = (from: number) =>
      fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 6 }).map((steps) => {
        let epoch = from;
        return steps.map((step) => {
          epoch += step;
          return epoch;
        });
      });
    // Epochs of the one are even, of the other odd: no two leaders share one.
    const histories = epochs(0).chain((shared) => {
      const last = shared.at(-1) ?? 0;
      const double = (log: readonly number[]) => log.map((epoch) => 2 * epoch);
      return fc.record({
        shared: fc.constant(double(shared)),
        leader: epochs(last + 1).map(double),
        follower: epochs(last + 1).map((log) => double(log).map((epoch) => epoch + 1)),
      });
    });
    fc.assert(
      fc.property(histories, ({ shared, leader, follower }) => {
        // A leader has begun an epoch above all that were before.
        const top = Math.max(0, ...shared, ...leader, ...follower) + 1;
        const left = settle([...shared, ...leader, top], [...shared, ...follower]);
        expect(left).toEqual(shared);
      }),
      { numRuns: 500 },
    );
  });
});
