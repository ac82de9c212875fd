/** The machines of one simulated world: who belongs to whom, and who can reach whom. */
import { assert, at } from '#base/assert';
import type { Random } from '#base/ports';
import type { PlantedBugs } from '#model/planted-bugs';
import { KAFKA_PORT, Machine, PEER_PORT } from './machine.ts';
import type { MakeNode } from './node-view.ts';
import type { SimLink } from './ports/sim-link.ts';
import type { SimWorld } from './ports/sim-world.ts';

export interface ClusterOptions {
  /** 1 to 7. */
  readonly nodeCount: number;
  /** The first so many vote; the others are brokers only. */
  readonly voterCount: number;
  readonly rackCount: number;
  /** Of every node, beside what makes them a cluster. */
  readonly config: ReadonlyMap<string, string>;
  readonly planted: PlantedBugs;
  readonly makeNode: MakeNode;
}

export class Cluster {
  readonly world: SimWorld;
  readonly machines: readonly Machine[];
  readonly voterCount: number;
  /** Called when a machine's disk is at rest after it has lost what was not synced. */
  onCrashed: (machine: Machine) => void = () => {};
  readonly #rackCount: number;
  readonly #byName = new Map<string, Machine>();

  constructor(world: SimWorld, options: ClusterOptions) {
    const { nodeCount, voterCount, planted, makeNode } = options;
    assert(nodeCount >= 1 && nodeCount <= 7 && voterCount >= 1 && voterCount <= nodeCount, 'one to seven nodes');
    this.world = world;
    this.voterCount = voterCount;
    this.#rackCount = options.rackCount;
    this.machines = Array.from({ length: nodeCount }, (_, index) => {
      const config = new Map([...options.config, ...clusterConfig(index, options)]);
      const onBroken = (error: Error): void => world.fail(error);
      const onCrashed = (machine: Machine): void => this.onCrashed(machine);
      return new Machine(world, { name: nameOf(index), config, planted, makeNode, onBroken, onCrashed });
    });
    for (const machine of this.machines) this.#byName.set(machine.name, machine);
  }

  /** By node id, from 1 on. */
  machine(id: number): Machine | undefined {
    return this.machines[id - 1];
  }

  named(name: string): Machine | undefined {
    return this.#byName.get(name);
  }

  idOf(machine: Machine): number {
    return this.machines.indexOf(machine) + 1;
  }

  rackOf(machine: Machine): number {
    return this.machines.indexOf(machine) % this.#rackCount;
  }

  get voters(): readonly Machine[] {
    return this.machines.slice(0, this.voterCount);
  }

  get upCount(): number {
    return this.machines.filter(({ isUp }) => isUp).length;
  }

  any(random: Random, machines: readonly Machine[] = this.machines): Machine {
    return at(machines, random.uint32() % machines.length);
  }

  link(from: Machine, to: Machine): SimLink {
    return this.world.network.link(from.name, to.name);
  }

  /** Since when the two could talk to each other with nothing in between, both awake; Infinity if they cannot now. */
  talkSince(a: Machine, b: Machine): number {
    const now = this.world.clock.now();
    if (!a.isUp || !b.isUp || a.isStopping || b.isStopping) return Number.POSITIVE_INFINITY;
    const stalled = Math.max(this.world.stalledUntil(a.name), this.world.stalledUntil(b.name));
    if (stalled > now) return Number.POSITIVE_INFINITY;
    const links = a === b ? 0 : Math.max(this.link(a, b).goodSince(now), this.link(b, a).goodSince(now));
    return Math.max(links, stalled, a.troubledAt, b.troubledAt);
  }

  /** Since when nothing that one of the two asked can have been answered by the other; Infinity if it can have been now. */
  apartSince(a: Machine, b: Machine): number {
    if (a === b) return Number.POSITIVE_INFINITY;
    const [there, back] = [this.link(a, b), this.link(b, a)];
    const dead = b.isUp ? Number.POSITIVE_INFINITY : Math.max(b.troubledAt, back.lastArrivalAt);
    const apart = Math.min(there.cutOffSince, back.cutOffSince, dead);
    return Math.max(apart, this.world.stalledUntil(a.name));
  }

  /** Starts whoever is down. */
  startAll(): void {
    for (const machine of this.machines) if (machine.phase === 'down') machine.start();
  }

  /** Every link as new, every disk quick and sound; what is late or lost under way stays so. */
  healAll(): void {
    const now = this.world.clock.now();
    this.world.network.healAll(now);
    for (const machine of this.machines) machine.heal();
  }
}

function nameOf(index: number): string {
  return `n${index + 1}`;
}

function clusterConfig(index: number, { voterCount, rackCount }: ClusterOptions): ReadonlyMap<string, string> {
  const name = nameOf(index);
  const config = new Map([
    ['node.id', String(index + 1)],
    ['listeners', `PLAINTEXT://${name}:${KAFKA_PORT}`],
    ['peer.listener', `${name}:${PEER_PORT}`],
    ['broker.rack', `r${index % rackCount}`],
    ['group.initial.rebalance.delay.ms', '0'],
  ]);
  const voters = Array.from({ length: voterCount }, (_, voter) => `${voter + 1}@${nameOf(voter)}:${PEER_PORT}`);
  config.set('controller.quorum.voters', voters.join());
  if (index >= voterCount) config.set('process.roles', 'broker');
  return config;
}
