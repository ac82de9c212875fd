import { describe, expect, it } from 'vitest';
import type { Ports } from '#base/ports';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import { createCodecs } from '#platform/codecs';
import { Cluster } from '#sim/cluster';
import type { CoveragePoint } from '#sim/coverage';
import { SimRandom } from '#sim/ports/sim-random';
import { SimWorld } from '#sim/ports/sim-world';
import { Strike } from '#sim/strike';
import type { FaultKind } from '#sim/swarm';

/** Machines whose nodes do nothing, and may be struck. */
class Target {
  /** What was done to them. */
  readonly told: string[] = [];
  readonly world = new SimWorld({
    seed: 1,
    codecs: createCodecs(),
    trace: (_at, who, what) => who === 'nemesis' && this.told.push(what),
  });
  readonly seen: CoveragePoint[] = [];
  readonly cluster: Cluster;
  /** Of the last process of the first machine. */
  ports: Ports | undefined;
  mayWipe = false;
  wipedCount = 0;
  #strikes = 0;

  readonly #salt: number;

  constructor(nodeCount: number, salt = 0) {
    this.#salt = salt;
    this.cluster = new Cluster(this.world, {
      ...{ nodeCount, voterCount: nodeCount, rackCount: 1, config: new Map(), planted: NO_PLANTED_BUGS },
      makeNode: (ports, { config }) => {
        if (config.nodeId === 1) this.ports = ports;
        return { start: async () => {}, stop: async () => {}, ready: true };
      },
    });
    this.cluster.startAll();
  }

  strike(kind: FaultKind): FaultKind {
    this.#strikes += 1;
    const host = {
      isOver: false,
      cluster: this.cluster,
      clients: [],
      sometimes: (point: CoveragePoint) => this.seen.push(point),
      mayWipe: () => this.mayWipe,
      wiped: () => {
        this.wipedCount += 1;
      },
      replicating: () => [],
      rot: () => undefined,
    };
    return new Strike(host, new SimRandom(`strike ${this.#salt}/${this.#strikes}`)).begin(kind);
  }

  pass(ms: number): Promise<void> {
    return this.world.run(this.world.clock.now() + ms);
  }

  isCut(from: number, to: number): boolean {
    return this.world.network.link(`n${from}`, `n${to}`).isCut;
  }
}

describe('a partition', () => {
  it.each([2, 3])(
    'of %i nodes cuts somebody off from somebody, one way at least, until it is over',
    async (nodeCount) => {
      const ids = Array.from({ length: nodeCount }, (_, index) => index + 1);
      const ways = ids.flatMap((from) => ids.map((to) => [from, to] as const)).filter(([from, to]) => from !== to);
      for (let salt = 0; salt < 40; salt += 1) {
        const target = new Target(nodeCount, salt);
        expect(target.strike('partition')).toBe('partition');
        expect(ways.some(([from, to]) => target.isCut(from, to))).toBe(true);
        await target.pass(20_001);
        expect(ways.some(([from, to]) => target.isCut(from, to))).toBe(false);
      }
    },
  );
});

describe('a cut', () => {
  it('lasts as long as it is meant to, whatever ends before it on the same link', async () => {
    for (let salt = 0; salt < 20; salt += 1) {
      const target = new Target(2, salt);
      const kinds = ['two-way cut', 'slow link', 'refusal', 'two-way cut', 'partition'] as const;
      for (const kind of kinds) target.strike(kind);
      const lasting = target.told.filter((line) => / (cut both ways|\|) /.test(line));
      const durations = lasting.map((line) => Number(/for (\d+) ms/.exec(line)?.[1]));
      expect(durations.length).toBeGreaterThanOrEqual(2);
      await target.pass(Math.max(...durations) - 2);
      expect([target.isCut(1, 2), target.isCut(2, 1)]).toEqual([true, true]);
      await target.pass(20_000);
      expect([target.isCut(1, 2), target.isCut(2, 1)]).toEqual([false, false]);
    }
  });
});

describe('a strike', () => {
  it('that cannot be is another one', async () => {
    const target = new Target(1);
    expect([target.strike('partition'), target.strike('wipe'), target.strike('disk swap')]).toEqual(
      Array(3).fill('wall clock'),
    );
    await target.world.complete(target.cluster.machine(1)?.losePower() ?? Promise.reject(new Error('no machine')));
    expect([target.strike('kill'), target.strike('stall')]).toEqual(['wall clock', 'wall clock']);
    expect(target.wipedCount).toBe(0);
  });

  it('that takes a machine down brings it back', async () => {
    for (const kind of ['kill', 'power cut', 'blackout', 'stop', 'wipe'] as const) {
      const target = new Target(1);
      target.mayWipe = true;
      expect(target.strike(kind)).toBe(kind);
      await target.pass(30_000);
      expect(target.cluster.machine(1)?.isUp).toBe(true);
      expect(target.cluster.machine(1)?.lifeCount).toBeGreaterThan(1);
      expect(target.wipedCount > 0).toBe(kind === 'wipe');
    }
  });

  it('at a disk counts as one that was full only if something was refused', async () => {
    for (const isUsed of [false, true]) {
      const target = new Target(1);
      await target.pass(100);
      target.strike('disk full');
      if (isUsed) target.ports?.disks[0]?.open('log', 'write').catch(() => {});
      await target.pass(8001);
      expect(target.seen).toEqual(isUsed ? ['disk full'] : []);
    }
  });

  it('at a disk has ended a process only if that has ended by itself', async () => {
    const ended = new Target(1);
    ended.strike('disk error');
    const { ports } = ended;
    ports?.disks[0]?.open('log', 'write').catch((error) => ports.fatal(error));
    await ended.pass(8001);
    expect([ended.seen, ended.cluster.machine(1)?.lifeCount]).toEqual([['node ended by its disk'], 2]);
    const killed = new Target(1);
    killed.strike('disk error');
    await killed.world.complete(killed.cluster.machine(1)?.kill() ?? Promise.reject(new Error('no machine')));
    await killed.pass(8001);
    expect([killed.seen, killed.cluster.machine(1)?.lifeCount]).toEqual([[], 2]);
  });
});
