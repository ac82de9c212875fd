import { describe, expect, it } from 'vitest';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { faultOfProbe, firstSkipped } from '#sim/workload/consumer';
import { faultOfMove } from '#sim/workload/mover';
import { ProducerIds } from '#sim/workload/producer-ids';

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

describe('records that follow each other', () => {
  it('are all there from where they were asked for', () => {
    const at = (...offsets: number[]) => offsets.map((offset) => ({ offset }));
    expect([firstSkipped([], 3), firstSkipped(at(3, 4, 5), 3)]).toEqual([undefined, undefined]);
    expect([firstSkipped(at(4, 5), 3), firstSkipped(at(3, 4, 6), 3)]).toEqual([3, 5]);
  });
});

describe('a producer id', () => {
  it('is given to one producer, or to one transactional id, as often as it asks', () => {
    const ids = new ProducerIds();
    ids.given(7, 'ledger', 'n1');
    ids.given(7, 'ledger', 'n1');
    ids.given(8, 'p1, producer 1', 'n1');
    expect(ids.nodeCount).toBe(1);
    ids.given(9, 'p1, producer 2', 'n2');
    expect(ids.nodeCount).toBe(2);
    expect(() => ids.given(8, 'p1, producer 2', 'n1')).toThrow(/producer ids: the producer id 8/);
    expect(() => ids.given(7, 'p1, producer 3', 'n1')).toThrow(/producer ids/);
  });
});

describe('a fetch in an epoch that is not the leader’s', () => {
  it('I8: gets an error, and no records', () => {
    expect(faultOfProbe(ErrorCode.FencedLeaderEpoch, 0)).toBeUndefined();
    expect(faultOfProbe(ErrorCode.None, 0)).toContain('no error');
    expect(faultOfProbe(ErrorCode.UnknownLeaderEpoch, 1)).toContain('gives records');
  });
});
