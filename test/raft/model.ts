/** Arbitrary histories of a cluster, as data that fast-check can shrink. */
import fc from 'fast-check';
import type { PlantedBug } from '#model/planted-bugs';
import { Cluster, type Flight, type Machine } from './cluster.ts';
import { Invariants } from './invariants.ts';
import { bytesOf, ELECTION_TIMEOUT_MS, HEARTBEAT_MS, votersPayload } from './support.ts';

const KINDS = {
  /** Messages among the machines of `mask` pass, and their disks write, until it is quiet or for a while. */
  pass: 12,
  /** The machine's timer fires, and messages among the machines of `mask` pass. */
  stand: 6,
  tick: 6,
  deliver: 10,
  repeat: 3,
  drop: 4,
  dropAll: 1,
  write: 6,
  save: 4,
  propose: 6,
  crash: 4,
  restart: 6,
  snapshot: 2,
  reset: 2,
  transfer: 1,
  read: 2,
  addVoter: 2,
  removeVoter: 1,
  diskFull: 1,
  calm: 1,
} as const;
type Kind = keyof typeof KINDS | 'wipe' | 'reign';
export type Weights = { readonly [K in Kind]?: number };

/** Disks are wiped as well. */
export const WITH_WIPES: Weights = { ...KINDS, wipe: 2 };

/** Leaders come and go, and what they leave behind is scattered: the ground for figure 8 of the paper. */
export const SHORT_REIGNS: Weights = { reign: 12, crash: 4, restart: 8, propose: 2 };

export interface Step {
  readonly kind: Kind;
  /** Chooses a machine, or a message. */
  readonly which: number;
  /** A set of machines, or of whatever else the step needs. */
  readonly mask: number;
}

export interface History {
  readonly voters: number;
  readonly observers: number;
  readonly seed: number;
  readonly steps: readonly Step[];
}

export interface Scope {
  /** Of the kinds of steps, instead of the usual ones. */
  readonly weights?: Weights;
  readonly voters?: readonly number[];
}

export function histories(options: Scope = {}): fc.Arbitrary<History> {
  const kinds = Object.entries(options.weights ?? KINDS).map(([kind, weight]) => ({
    arbitrary: fc.constant(kind as Kind),
    weight,
  }));
  const step = fc.record({ kind: fc.oneof(...kinds), which: fc.nat(1000), mask: fc.nat(31) });
  return fc.record({
    voters: fc.constantFrom(...(options.voters ?? [3, 3, 4, 5])),
    observers: fc.nat(2),
    seed: fc.nat(1_000_000),
    steps: fc.array(step, { minLength: 20, maxLength: 160, size: 'max' }),
  });
}

export class Model {
  readonly cluster: Cluster;
  readonly invariants: Invariants;
  #proposed = 0;
  #wiped = false;

  constructor({ voters, observers, seed }: History, planted: readonly PlantedBug[]) {
    let invariants: Invariants | undefined;
    this.cluster = new Cluster({
      voters: Array.from({ length: voters }, (_, index) => index + 1),
      observers: Array.from({ length: observers }, (_, index) => voters + index + 1),
      seed,
      planted: new Set(planted),
      watch: (cluster) => {
        invariants = new Invariants(cluster);
        return invariants;
      },
    });
    if (invariants === undefined) throw new Error('nobody watches');
    this.invariants = invariants;
    for (const machine of this.cluster.machines) this.cluster.start(machine);
  }

  run(steps: readonly Step[]): void {
    for (const step of steps) this.#step(step);
  }

  /** All faults end: one leader, and everyone has what it has, within 10 s (unless the disks of a majority were wiped). */
  heal(): void {
    const { cluster } = this;
    for (const machine of cluster.machines) if (machine.raft === undefined) cluster.start(machine);
    this.#runFor(10_000);
    if (this.#wiped) return;
    const leaders = cluster.machines.filter(({ raft }) => raft?.role === 'leader');
    if (leaders.length !== 1 || leaders[0]?.raft?.isActive !== true)
      throw new Error(`${leaders.length} leaders 10 s after all faults ended`);
    const { raft } = leaders[0];
    for (const machine of cluster.machines) {
      if (machine.raft?.commitIndex !== raft.lastIndex)
        throw new Error(`n${machine.id} is at ${machine.raft?.commitIndex} of ${raft.lastIndex} after 10 s of calm`);
    }
  }

  #step({ kind, which, mask }: Step): void {
    const { cluster } = this;
    const machine = pick(cluster.machines, which);
    const { raft } = machine;
    switch (kind) {
      case 'pass':
        return this.#pass(mask, 40);
      case 'stand':
        this.#tick(machine);
        return this.#pass(mask | (1 << (machine.id - 1)), 60);
      case 'reign':
        return this.#reign(machine, which, mask);
      case 'tick':
        return this.#tick(machine);
      case 'deliver':
        return this.#deliver(which, false);
      case 'repeat':
        return this.#deliver(which, true);
      case 'drop':
        cluster.flying.splice(which % Math.max(1, cluster.flying.length), 1);
        return;
      case 'dropAll':
        cluster.flying.length = 0;
        return;
      case 'write':
        cluster.doLogWork(machine, mask % 3 === 0 ? 1 : undefined);
        return cluster.readSnapshot(machine);
      case 'save':
        return cluster.saveHardState(machine);
      case 'propose': {
        const leader = this.#leader(which);
        this.#proposed += 1;
        leader?.raft?.propose(bytesOf(`x${this.#proposed}`), cluster.now);
        if (leader !== undefined && mask % 4 > 0) cluster.settle(leader);
        return;
      }
      case 'crash':
        return cluster.crash(machine, mask % 3);
      case 'wipe':
        this.#wiped = true;
        return cluster.wipe(machine);
      case 'restart':
        if (raft === undefined) cluster.start(machine);
        return;
      case 'snapshot': {
        const { length } = this.invariants.committed;
        const index = Math.min(raft?.commitIndex ?? 0, length) - (mask % 3);
        if (index > (machine.disk.snapshot?.index ?? 0))
          cluster.takeSnapshot(machine, index, this.invariants.stateAt(index));
        return;
      }
      case 'reset':
        raft?.disconnected(pick(cluster.machines, mask).self.id, cluster.now);
        return cluster.settle(machine);
      case 'transfer':
        this.#leader(which)?.raft?.transfer(
          mask % 2 === 0 ? undefined : pick(cluster.machines, mask).self.id,
          cluster.now,
        );
        return;
      case 'read': {
        const leader = this.#leader(which) ?? machine;
        const ticket = leader.raft?.read();
        if (ticket !== undefined) this.invariants.readBegins(leader, ticket);
        return cluster.settle(leader);
      }
      case 'addVoter':
      case 'removeVoter':
        return this.#changeVoters(kind, which, mask);
      case 'diskFull':
        machine.logWork = [];
        raft?.diskFull(cluster.now);
        return cluster.settle(machine);
      case 'calm':
        return this.#runFor(500 + mask * 100);
    }
  }

  #changeVoters(kind: 'addVoter' | 'removeVoter', which: number, mask: number): void {
    const { cluster } = this;
    const leader = this.#leader(which);
    if (leader?.raft === undefined) return;
    const { raft } = leader;
    const observers = raft.progress(cluster.now).filter(({ isVoter, key }) => !isVoter && key.id !== leader.id);
    const added = observers[mask % Math.max(1, observers.length)];
    const voters: typeof raft.voters =
      kind === 'removeVoter'
        ? raft.voters.filter((_, index) => index !== mask % raft.voters.length)
        : added === undefined
          ? raft.voters
          : [...raft.voters, { ...added.key, host: added.address.host, port: added.address.port }];
    if (voters.length === 0 || voters === raft.voters) return;
    const index = raft.propose(bytesOf(votersPayload(voters)), cluster.now);
    if (index !== undefined) this.invariants.coverage.add(kind);
    cluster.settle(leader);
  }

  #leader(which: number): Machine | undefined {
    const leaders = this.cluster.machines.filter(({ raft }) => raft?.role === 'leader');
    return leaders[which % Math.max(1, leaders.length)];
  }

  #tick(machine: Machine): void {
    const { cluster } = this;
    cluster.now = Math.max(cluster.now, machine.raft?.deadline ?? 0);
    cluster.tick(machine);
  }

  /** The machines of `mask` elect it; then a few messages pass among some of them, whose disks write one entry after each. */
  #reign(machine: Machine, which: number, mask: number): void {
    const { cluster } = this;
    cluster.flying.length = 0;
    if (machine.raft === undefined) cluster.start(machine);
    cluster.now += ELECTION_TIMEOUT_MS;
    this.#tick(machine);
    const self = 1 << (machine.id - 1);
    this.#pass(mask | self, 60, ({ message }) => message.kind === 'voteRequest' || message.kind === 'voteResponse');
    const reached = (which >> 3) | self;
    for (let passed = 0; passed < which % 12; passed += 1) {
      const flight = this.#next(reached);
      if (flight === undefined) return;
      cluster.deliver(flight);
      cluster.saveHardState(cluster.machine(flight.to));
      cluster.doLogWork(cluster.machine(flight.to), 1);
    }
  }

  #deliver(which: number, again: boolean): void {
    const { cluster } = this;
    const position = which % Math.max(1, cluster.flying.length);
    const flight = cluster.flying[position];
    if (flight === undefined) return;
    if (!again) cluster.flying.splice(position, 1);
    cluster.deliver(flight);
  }

  /** In the order sent; what is for others stays under way. One disk of the set is slow: it writes nothing. */
  #pass(mask: number, messagesMax: number, passes: (flight: Flight) => boolean = () => true): void {
    const { cluster } = this;
    const slow = (mask * 7) % 11;
    for (let passed = 0; passed < messagesMax; passed += 1) {
      for (const machine of cluster.machines) if (isIn(mask, machine.id) && machine.id !== slow) cluster.sync(machine);
      const flight = this.#next(mask, passes);
      if (flight === undefined) return;
      cluster.deliver(flight);
    }
  }

  /** Takes the first that is under way among them. */
  #next(mask: number, passes: (flight: Flight) => boolean = () => true): Flight | undefined {
    const { flying } = this.cluster;
    const position = flying.findIndex((flight) => isIn(mask, flight.from) && isIn(mask, flight.to) && passes(flight));
    return position < 0 ? undefined : flying.splice(position, 1)[0];
  }

  #runFor(durationMs: number): void {
    const { cluster } = this;
    const end = cluster.now + durationMs;
    while (cluster.now < end) {
      this.#quiesce();
      const deadlines = cluster.machines.map(({ raft }) => raft?.deadline ?? Number.POSITIVE_INFINITY);
      cluster.now = Math.min(end, Math.max(cluster.now + 1, Math.min(...deadlines)));
      for (const machine of cluster.machines)
        if ((machine.raft?.deadline ?? Number.POSITIVE_INFINITY) <= cluster.now) cluster.tick(machine);
    }
    this.#quiesce();
  }

  #quiesce(): void {
    const { cluster } = this;
    for (const machine of cluster.machines) cluster.settle(machine);
    for (let passed = 0; passed < 5000; passed += 1) {
      for (const machine of cluster.machines) if (machine.isWriting) cluster.sync(machine);
      const flight: Flight | undefined = cluster.flying.shift();
      if (flight === undefined) return;
      cluster.deliver(flight);
    }
    throw new Error(`the machines never stop talking within ${HEARTBEAT_MS} ms of ${ELECTION_TIMEOUT_MS}`);
  }
}

/** Throws what does not hold. */
export function replay(history: History, planted: readonly PlantedBug[] = []): Model {
  const model = new Model(history, planted);
  model.run(history.steps);
  model.heal();
  return model;
}

function isIn(mask: number, id: number): boolean {
  return (mask & (1 << (id - 1))) !== 0;
}

function pick<T>(items: readonly T[], which: number): T {
  const item = items[which % items.length];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}
