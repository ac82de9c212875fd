import { describe, expect, it } from 'vitest';
import { nodeId } from '#model/ids';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import { createCodecs } from '#platform/codecs';
import { ReachChecker } from '#sim/checkers/reach-checker';
import { Cluster } from '#sim/cluster';
import type { CoveragePoint } from '#sim/coverage';
import { SimWorld } from '#sim/ports/sim-world';
import { FakeView, replica, ruleBrokenBy } from './support.ts';

/** Three machines whose nodes do nothing. */
class Rig {
  readonly world = new SimWorld({ seed: 1, codecs: createCodecs() });
  readonly views = [1, 2, 3].map((id) => new FakeView(id));
  readonly cluster = new Cluster(this.world, {
    nodeCount: 3,
    voterCount: 3,
    rackCount: 1,
    config: new Map(),
    planted: NO_PLANTED_BUGS,
    makeNode: (_ports, { config }) => ({
      start: async () => {},
      stop: async () => {},
      ready: true,
      view: () => this.views[config.nodeId - 1],
    }),
  });
  readonly seen: CoveragePoint[] = [];
  readonly checker = new ReachChecker(this.cluster, (point) => this.seen.push(point));
  #index = 100;

  constructor() {
    this.cluster.startAll();
  }

  witness(id: number) {
    const view = this.views[id - 1] as FakeView;
    return { name: `n${id}`, view, disk: { hardState: undefined, lastIndex: 0, holds: () => true } };
  }

  /** Stands for election, by a vote for itself. */
  raiseEpoch(id: number): void {
    const witness = this.witness(id);
    this.checker.look(witness);
    witness.view.epoch += 1;
    witness.view.hardState = { epoch: witness.view.epoch, votedFor: replica(id) };
    this.checker.look(witness);
  }

  /** The process that its machine has now; gives the broker epoch. */
  register(id: number): number {
    this.#index += 1;
    const broker = { id: nodeId(id), incarnation: replica(id).directoryId, brokerEpoch: 0, fenced: true, rack: null };
    const record = {
      kind: 'registerBroker',
      broker: { ...broker, listeners: [], directories: [], features: [] },
    } as const;
    this.checker.decided(this.witness(1), this.#index, [record]);
    return this.#index;
  }

  decide(kind: 'fenceBroker' | 'unfenceBroker', id: number, brokerEpoch: number): void {
    this.checker.decided(this.witness(1), 200, [{ kind, id: nodeId(id), brokerEpoch }]);
  }

  cut(...ways: readonly (readonly [number, number])[]): void {
    for (const [from, to] of ways) this.world.network.link(`n${from}`, `n${to}`).cut(this.world.clock.now());
  }

  heal(): void {
    this.cluster.healAll();
  }

  pass(ms: number): Promise<void> {
    return this.world.run(this.world.clock.now() + ms);
  }
}

describe('the rule pre-vote', () => {
  it('is kept by who stands for election with a majority in reach, or that was in reach when it asked', async () => {
    const rig = new Rig();
    await rig.pass(10_000);
    rig.cut([1, 2], [2, 1]);
    await rig.pass(10_000);
    rig.raiseEpoch(1);
    rig.cut([1, 3]);
    await rig.pass(4000);
    rig.raiseEpoch(1);
  });

  it('is broken by who raises the epoch though nobody could answer it for long, by one way cut as by two', async () => {
    const rig = new Rig();
    rig.cut([1, 2], [3, 1]);
    await rig.pass(5000);
    expect(ruleBrokenBy(() => rig.raiseEpoch(1))).toBe('pre-vote');
  });

  it('is broken by who raises the epoch though the others are dead', async () => {
    const rig = new Rig();
    for (const id of [2, 3]) await rig.world.complete(rig.cluster.machine(id)?.losePower() ?? Promise.resolve());
    await rig.pass(5000);
    expect(ruleBrokenBy(() => rig.raiseEpoch(1))).toBe('pre-vote');
  });

  it('says nothing of a node that takes over the epoch of another', async () => {
    const rig = new Rig();
    rig.cut([1, 2], [1, 3]);
    await rig.pass(5000);
    const witness = rig.witness(1);
    rig.checker.look(witness);
    witness.view.epoch += 1;
    rig.checker.look(witness);
  });
});

describe('the rule fencing', () => {
  it('is broken by a controller that fences a broker that could talk to it for a session', async () => {
    const rig = new Rig();
    const brokerEpoch = rig.register(2);
    await rig.pass(3000);
    expect(ruleBrokenBy(() => rig.decide('fenceBroker', 2, brokerEpoch))).toBe('fencing');
  });

  it('is kept by one that fences who stands in a later epoch, and broken again once both are in one', async () => {
    const rig = new Rig();
    const brokerEpoch = rig.register(2);
    await rig.pass(3000);
    rig.raiseEpoch(2);
    rig.decide('fenceBroker', 2, brokerEpoch);
    rig.witness(1).view.epoch += 1;
    expect(ruleBrokenBy(() => rig.decide('fenceBroker', 2, brokerEpoch))).toBe('fencing');
  });

  it('is broken by one that fences a process that has only just registered, and was refused by nobody', async () => {
    const rig = new Rig();
    await rig.pass(3000);
    const brokerEpoch = rig.register(2);
    await rig.pass(500);
    rig.cut([2, 1]);
    for (const refusedAgoMs of [Number.POSITIVE_INFINITY, 1500]) {
      rig.world.network.link('n1', 'n2').refusedAt = rig.world.clock.now() - refusedAgoMs;
      expect(ruleBrokenBy(() => rig.decide('fenceBroker', 2, brokerEpoch))).toBe('fencing');
    }
    rig.world.network.link('n1', 'n2').refusedAt = rig.world.clock.now();
    rig.decide('fenceBroker', 2, brokerEpoch);
  });

  it('is kept by one that fences who could not talk to it of late, was stalled, is gone, or came back as another process', async () => {
    const rig = new Rig();
    const brokerEpoch = rig.register(2);
    await rig.pass(3000);
    rig.cut([2, 1]);
    await rig.pass(500);
    rig.decide('fenceBroker', 2, brokerEpoch);
    expect(rig.seen).toEqual(['broker fenced', 'broker fenced by mistake']);
    rig.heal();
    await rig.pass(10_000);
    rig.cluster.machine(2)?.stall(2000);
    await rig.pass(3000);
    rig.decide('fenceBroker', 2, brokerEpoch);
    await rig.world.complete(rig.cluster.machine(2)?.kill() ?? Promise.resolve());
    await rig.pass(10_000);
    rig.decide('fenceBroker', 2, brokerEpoch);
    rig.cluster.startAll();
    await rig.pass(10_000);
    rig.decide('fenceBroker', 2, brokerEpoch);
  });
});

describe('the rule I7', () => {
  it('is broken by a controller that lets clients to a process that has not seen its own registration', async () => {
    const rig = new Rig();
    const brokerEpoch = rig.register(2);
    const view = rig.views[1] as FakeView;
    view.appliedIndex = brokerEpoch;
    rig.decide('unfenceBroker', 2, brokerEpoch);
    view.appliedIndex = brokerEpoch - 1;
    expect(ruleBrokenBy(() => rig.decide('unfenceBroker', 2, brokerEpoch))).toBe('I7');
  });
});
