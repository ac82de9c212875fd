import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseVoters } from '#model/choose-voters';

const alike = (count: number) => Array.from({ length: count }, () => undefined);

describe('the voters of a new cluster', () => {
  test.each([
    [1, 1],
    [2, 1],
    [3, 3],
    [4, 3],
    [5, 5],
    [6, 5],
    [100, 5],
  ])('are of %i nodes %i', (nodes, voters) => {
    expect(chooseVoters(alike(nodes)).size).toBe(voters);
  });

  test('are the first nodes where all are alike', () => {
    expect([...chooseVoters(alike(4))]).toEqual([0, 1, 2]);
  });

  test('come from every rack, also one that comes late', () => {
    expect([...chooseVoters(['a', 'a', 'a', 'b'])].sort()).toEqual([0, 1, 3]);
  });

  test('property: no rack has two more of them than another that has nodes left', () => {
    const racks = fc.array(fc.constantFrom('a', 'b', 'c', 'd', undefined), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(racks, (rackOf) => {
        const chosen = chooseVoters(rackOf);
        const votersIn = (rack: string | undefined) => [...chosen].filter((index) => rackOf[index] === rack).length;
        const most = Math.max(...rackOf.map(votersIn));
        for (const rack of rackOf) {
          const size = rackOf.filter((other) => other === rack).length;
          expect(votersIn(rack)).toBeGreaterThanOrEqual(Math.min(size, most - 1));
        }
      }),
    );
  });
});
