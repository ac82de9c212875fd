import { describe, expect, it } from 'vitest';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { faultOfProbe } from '#sim/workload/consumer';
import { faultOfMove } from '#sim/workload/mover';

const ids = (...list: number[]) => list.map(nodeId);

describe('an acknowledged move of a partition', () => {
  const moving = { replicas: ids(3, 4, 1), adding: ids(3, 4), removing: ids(1) };
  const moved = { replicas: ids(3, 4), adding: [], removing: [] };

  it('goes to its target, on the way as at its end', () => {
    expect([faultOfMove(moving, [3, 4]), faultOfMove(moved, [3, 4])]).toEqual([undefined, undefined]);
    expect(faultOfMove(moved, [4, 3])).toContain('goes to 3,4, and not to 4,3');
    expect(faultOfMove(moving, [3])).toContain('goes to 3,4');
  });

  it('goes on no more when it was taken back', () => {
    expect(faultOfMove(moving, null)).toContain('still moves');
    expect(faultOfMove(moved, null)).toBeUndefined();
  });
});

describe('a fetch in an epoch that is not the leader’s', () => {
  it('I8: gets an error, and no records', () => {
    expect(faultOfProbe(ErrorCode.FencedLeaderEpoch, 0)).toBeUndefined();
    expect(faultOfProbe(ErrorCode.None, 0)).toContain('no error');
    expect(faultOfProbe(ErrorCode.UnknownLeaderEpoch, 1)).toContain('gives records');
  });
});
