import { describe, expect, it } from 'vitest';
import { whatCoreLacks, whatIsMissing } from '#sim/final-state';
import { drawCore, leaveOutside } from '#sim/healed-core';
import { SimRandom } from '#sim/ports/sim-random';
import { Scenario } from './scenario.ts';

describe('a part of a cluster', () => {
  it.each([1, 2, 3])(
    'does without a node that is dead, or out of reach, once that one is fenced (seed %i)',
    async (seed) => {
      const scenario = await Scenario.whole(seed);
      const { cluster, world } = scenario;
      const outside = cluster.machines.slice(2);
      const core = { inside: cluster.machines.slice(0, 2), outside };
      expect(whatCoreLacks(core)).toContain('broker 3 is not fenced');
      await world.complete(leaveOutside(new SimRandom(`lots ${seed}`), cluster, core, []));
      await scenario.pass(20_000);
      expect(whatCoreLacks(core)).toBeUndefined();
      expect(whatIsMissing(cluster)).toBeDefined();
      cluster.healAll();
      cluster.startAll();
      await scenario.becomesWhole(30_000);
    },
  );

  it('that has no majority lacks a leader', async () => {
    const scenario = await Scenario.whole();
    const { machines } = scenario.cluster;
    for (const machine of machines.slice(1)) await scenario.losePower(machine);
    await scenario.pass(20_000);
    expect(whatCoreLacks({ inside: machines.slice(0, 1) })).toBe('nobody leads');
    expect(scenario.observer.canDoWithout(machines.slice(1))).toBe(false);
    expect(scenario.observer.canDoWithout(machines.slice(2))).toBe(true);
  });

  it('is drawn now and then, never without those who are needed', async () => {
    const { machines } = (await Scenario.whole()).cluster;
    const random = new SimRandom('cores');
    const draws = Array.from({ length: 100 }, () => drawCore(random, machines, (outside) => outside.length === 1));
    const drawn = draws.filter((core) => core !== undefined);
    expect(drawn.length).toBeGreaterThan(10);
    expect(drawn.length).toBeLessThan(60);
    for (const { inside, outside } of drawn) expect([inside.length, outside.length]).toEqual([2, 1]);
  });
});
