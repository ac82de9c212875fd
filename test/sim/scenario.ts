import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import { Node } from '#node/node';
import { createCodecs } from '#platform/codecs';
import { Cluster } from '#sim/cluster';
import { whatIsMissing } from '#sim/final-state';
import type { Machine } from '#sim/machine';
import { Observer } from '#sim/observer';
import { SimWorld } from '#sim/ports/sim-world';

/** Three real nodes in a world of their own, with all checkers, to which a test does what it likes. */
export class Scenario {
  readonly world: SimWorld;
  readonly cluster: Cluster;
  readonly observer: Observer;
  /** What nodes have logged. */
  readonly logged: string[] = [];

  constructor(seed = 1, nodeCount = 3) {
    const codecs = createCodecs();
    const trace = (_at: number, who: string, what: string): void => {
      if (/^(info|warn|error) /.test(what)) this.logged.push(`${who} ${what}`);
    };
    this.world = new SimWorld({ seed, codecs, cutShare: 0.3, trace });
    this.cluster = new Cluster(this.world, {
      nodeCount,
      voterCount: nodeCount,
      rackCount: nodeCount,
      config: new Map(),
      planted: NO_PLANTED_BUGS,
      makeNode: (ports, config, planted) => new Node(ports, config, { planted }),
    });
    this.observer = new Observer(this.cluster, codecs.crc32c.bind(codecs));
    this.world.onEvent = () => this.observer.look();
  }

  /** One that is up and whole. */
  static async whole(seed = 1, nodeCount = 3): Promise<Scenario> {
    const scenario = new Scenario(seed, nodeCount);
    scenario.cluster.startAll();
    await scenario.becomesWhole(5000);
    return scenario;
  }

  get now(): number {
    return this.world.clock.now();
  }

  get leader(): Machine | undefined {
    return this.cluster.machines.find(({ view }) => view?.isActive === true);
  }

  get follower(): Machine {
    const found = this.cluster.machines.find(({ isUp, view }) => isUp && view?.role === 'follower');
    if (found === undefined) throw new Error('nobody follows');
    return found;
  }

  get clusterIds(): ReadonlySet<string | undefined> {
    return new Set(this.cluster.machines.map(({ view }) => view?.image.cluster?.id));
  }

  pass(ms: number): Promise<void> {
    return this.world.run(this.now + ms);
  }

  /** Fails if it takes longer. */
  async becomesWhole(withinMs: number): Promise<void> {
    const until = this.now + withinMs;
    await this.world.run(() => whatIsMissing(this.cluster) === undefined || this.now > until);
    const missing = whatIsMissing(this.cluster);
    if (missing !== undefined) throw new Error(`after ${withinMs} ms ${missing}`);
  }

  /** Its power goes; it stays down. */
  losePower(machine: Machine): Promise<void> {
    return this.world.complete(machine.losePower());
  }

  /** It comes back with an empty disk. */
  async replaceDisk(machine: Machine): Promise<void> {
    await this.losePower(machine);
    machine.wipe();
    this.observer.wiped(machine);
    machine.start();
  }
}
