import { describe, expect, it } from 'vitest';
import { SimRandom } from '#sim/ports/sim-random';
import { drawSwarm, FAULT_KINDS, type Swarm } from '#sim/swarm';

const swarms = Array.from({ length: 300 }, (_, seed): Swarm => {
  return drawSwarm(new SimRandom(`swarm ${seed}`), { durationMs: 60_000, nodeCountMax: 7 });
});

describe('a swarm', () => {
  it('has at least twenty faults, in the time that it is given, in order', () => {
    for (const { faults } of swarms) {
      expect(faults.length).toBeGreaterThanOrEqual(20);
      expect(faults.every(({ at }, index) => at >= (faults[index - 1]?.at ?? 0) && at < 60_000)).toBe(true);
    }
  });

  it('leaves kinds out; all swarms together leave out none', () => {
    const kinds = swarms.map(({ faults }) => new Set(faults.map(({ kind }) => kind)));
    expect(kinds.filter(({ size }) => size < 5).length).toBeGreaterThan(20);
    expect(new Set(kinds.flatMap((set) => [...set]))).toEqual(new Set(FAULT_KINDS));
  });

  it('has one to seven nodes, of which an odd number vote, or both of two', () => {
    const sizes = new Set(swarms.map(({ nodeCount, voterCount }) => `${voterCount} of ${nodeCount}`));
    expect(sizes).toEqual(
      new Set(['1 of 1', '1 of 2', '2 of 2', '3 of 3', '3 of 4', '3 of 5', '5 of 5', '3 of 7', '5 of 7']),
    );
  });

  it('has the nodes that are asked for', () => {
    const options = { durationMs: 60_000, nodeCountMax: 7, nodeCount: 3 };
    expect(drawSwarm(new SimRandom('any'), options)).toMatchObject({ nodeCount: 3, voterCount: 3 });
  });
});
