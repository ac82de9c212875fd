import { describe, expect, it } from 'vitest';
import type { Machine } from '#sim/machine';
import { Scenario } from './scenario.ts';

const SEEDS = [1, 2, 3, 4, 5];

function machines({ cluster }: Scenario): readonly [Machine, Machine, Machine] {
  const [one, two, three] = cluster.machines;
  if (one === undefined || two === undefined || three === undefined) throw new Error('three nodes');
  return [one, two, three];
}

describe('the first start of three nodes', () => {
  it.each(SEEDS)('makes one cluster, all registered and serving within a second (seed %i)', async (seed) => {
    const scenario = new Scenario(seed);
    scenario.cluster.startAll();
    await scenario.becomesWhole(1000);
    expect(scenario.clusterIds.size).toBe(1);
  });

  it('waits for a voter that is not there, and says for whom', async () => {
    const scenario = new Scenario();
    const [one, two, three] = machines(scenario);
    one.start();
    two.start();
    await scenario.pass(20_000);
    expect([one.view?.lastIndex, two.view?.lastIndex]).toEqual([0, 0]);
    expect(scenario.logged.filter((line) => line.includes('waits for voter 3 (n3:9093)')).length).toBeGreaterThan(0);
    three.start();
    await scenario.becomesWhole(5000);
  });

  it('comes to one cluster whatever moment the power of all goes', { timeout: 120_000 }, async () => {
    for (let atEvent = 20; atEvent < 1000; atEvent += 20) {
      const scenario = new Scenario(atEvent);
      const { trace } = scenario.world;
      scenario.cluster.startAll();
      await scenario.world.run(() => trace.eventCount >= atEvent);
      await scenario.world.complete(Promise.all(scenario.cluster.machines.map((machine) => machine.losePower())));
      scenario.cluster.startAll();
      await scenario.becomesWhole(10_000);
      expect(scenario.clusterIds.size).toBe(1);
    }
  });

  it('comes to one cluster whatever moment one node is killed', { timeout: 120_000 }, async () => {
    for (let atEvent = 20; atEvent < 1000; atEvent += 20) {
      const scenario = new Scenario(atEvent);
      const { trace } = scenario.world;
      scenario.cluster.startAll();
      await scenario.world.run(() => trace.eventCount >= atEvent);
      const victim = scenario.cluster.any(scenario.world.random);
      await scenario.world.complete(victim.kill());
      await scenario.pass(1000);
      victim.start();
      await scenario.becomesWhole(10_000);
      expect(scenario.clusterIds.size).toBe(1);
    }
  });
});

describe('a cluster of three', () => {
  it.each(SEEDS)('is the same after all are killed at once, or lose their power (seed %i)', async (seed) => {
    const scenario = await Scenario.whole(seed);
    const [id] = scenario.clusterIds;
    const { committedIndex } = scenario.observer;
    for (const end of ['kill', 'losePower'] as const) {
      await scenario.world.complete(Promise.all(scenario.cluster.machines.map((machine) => machine[end]())));
      scenario.cluster.startAll();
      await scenario.becomesWhole(10_000);
      expect([...scenario.clusterIds]).toEqual([id]);
      expect(scenario.observer.committedIndex).toBeGreaterThan(committedIndex);
    }
  });

  it.each(SEEDS)(
    'heals by itself when the disk of one is replaced: the empty one becomes a voter again (seed %i)',
    async (seed) => {
      const scenario = await Scenario.whole(seed);
      const [id] = scenario.clusterIds;
      const { follower } = scenario;
      const former = follower.view?.self.directoryId;
      await scenario.replaceDisk(follower);
      await scenario.becomesWhole(10_000);
      await scenario.pass(5000);
      const present = follower.view?.self.directoryId;
      expect(present).not.toBe(former);
      for (const { view } of scenario.cluster.machines) {
        expect(view?.voters.map(({ directoryId }) => directoryId)).toContain(present);
        expect(view?.voters).toHaveLength(3);
      }
      expect([...scenario.clusterIds]).toEqual([id]);
    },
  );

  it.each(SEEDS)(
    'with one disk replaced while another node is down has no leader, says why, and heals when that one is back (seed %i)',
    async (seed) => {
      const scenario = await Scenario.whole(seed);
      const [id] = scenario.clusterIds;
      const [one, two, three] = machines(scenario);
      await scenario.losePower(three);
      await scenario.replaceDisk(two);
      await scenario.pass(30_000);
      expect(one.view?.isActive).toBe(false);
      // It may have learned something before the leader gave up; it votes for nobody all the same.
      expect(two.view?.role).toBe('observer');
      const said = scenario.logged.filter((line) => line.startsWith('n2 ') && line.includes('does not vote before'));
      expect(said.length).toBeGreaterThan(0);
      three.start();
      await scenario.becomesWhole(15_000);
      expect([...scenario.clusterIds]).toEqual([id]);
    },
  );

  it('has another leader within three seconds when the first goes dark, and within one when it is killed', async () => {
    for (const [end, withinMs] of [
      ['losePower', 3000],
      ['kill', 1000],
    ] as const) {
      const scenario = await Scenario.whole();
      const { leader } = scenario;
      if (leader === undefined) throw new Error('a whole cluster has a leader');
      await scenario.world.complete(leader[end]());
      const before = scenario.now;
      await scenario.world.run(() => scenario.leader !== undefined);
      expect(scenario.now - before).toBeLessThan(withinMs);
    }
  });

  it('elects nobody and fences nobody while one node stalls for 400 ms every second', async () => {
    const scenario = await Scenario.whole();
    const epoch = scenario.leader?.view?.epoch;
    for (let second = 0; second < 30; second += 1) {
      scenario.cluster.any(scenario.world.random).stall(400);
      await scenario.pass(1000);
    }
    expect(scenario.leader?.view?.epoch).toBe(epoch);
    expect([...scenario.observer.coverage.counts.keys()]).not.toContain('broker fenced');
  });

  it('elects nobody and fences nobody while the syncs of a disk take two seconds', async () => {
    for (const role of ['leader', 'follower'] as const) {
      const scenario = await Scenario.whole();
      const epoch = scenario.leader?.view?.epoch;
      const machine = role === 'leader' ? scenario.leader : scenario.follower;
      if (machine === undefined) throw new Error('a whole cluster has a leader');
      machine.weather = { latencyMsMax: 0, syncMs: 2000, fail: undefined };
      await scenario.pass(30_000);
      expect(scenario.leader?.view?.epoch).toBe(epoch);
      expect([...scenario.observer.coverage.counts.keys()]).not.toContain('broker fenced');
    }
  });
});
