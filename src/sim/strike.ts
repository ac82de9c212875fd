/** One fault of the cluster, from its first moment to its last: it ends by itself, or when all faults are over. */
import { unreachable } from '#base/assert';
import type { Random } from '#base/ports';
import type { Cluster } from './cluster.ts';
import type { CoveragePoint } from './coverage.ts';
import { type DiskWeather, FINE_WEATHER, type Machine } from './machine.ts';
import type { LinkFault, SimLink } from './ports/sim-link.ts';
import { between } from './ports/sim-random.ts';
import type { FaultKind } from './swarm.ts';

const STOP_PATIENCE_MS = 10_000;
/** Whether a process has ended is looked at so often. */
const LOOK_MS = 50;
const RELAPSE_EVERY = 4;
const RELAPSE_MS = 2500;

export interface StrikeHost {
  /** No fault begins any more, and none ends by itself. */
  readonly isOver: boolean;
  readonly cluster: Cluster;
  /** Hosts of clients, whose ways to the nodes suffer too. */
  readonly clients: readonly string[];
  sometimes(point: CoveragePoint): void;
  /** Whether the machine's disk may be lost without a majority's memory going with it. */
  mayWipe(machine: Machine): boolean;
  wiped(machine: Machine): void;
  /** Who leads a partition that records are written to, and who follows it there. */
  replicating(): readonly (readonly [leader: Machine, follower: Machine])[];
  /** Damages what was synced of a log on the disk of the machine, which is down, if others have it; says where, if anywhere. */
  rot(machine: Machine, random: Random): string | undefined;
}

export class Strike {
  readonly #host: StrikeHost;
  /** Its own: what it draws does not depend on the faults before it. */
  readonly #random: Random;

  constructor(host: StrikeHost, random: Random) {
    this.#host = host;
    this.#random = random;
  }

  /** What cannot be done now becomes a fault that nearly always can, or one that always can. Says what it has become. */
  begin(kind: FaultKind): FaultKind {
    if (this.#try(kind)) return kind;
    if (this.#resetSome()) return 'reset';
    this.#jumpWall();
    return 'wall clock';
  }

  #try(kind: FaultKind): boolean {
    switch (kind) {
      case 'kill':
        return this.#down((machine) => machine.kill());
      case 'power cut':
        return this.#down((machine) => machine.losePower());
      case 'blackout':
        return this.#blackout();
      case 'rack loss':
        return this.#loseRack();
      case 'stop':
        return this.#stop();
      case 'wipe':
        return this.#wipe();
      case 'bit rot':
        return this.#rot();
      case 'disk swap':
        return this.#swapDisks();
      case 'stall':
        return this.#stall();
      case 'one-way cut':
      case 'two-way cut':
        return this.#cutPair(kind === 'two-way cut');
      case 'partition':
        return this.#partition();
      case 'isolation':
        return this.#isolate();
      case 'clog':
        return this.#clog();
      case 'slow link':
        return this.#onLink('slow', 1000, 15_000, 'is slow', (link) =>
          link.slow(between(this.#random, 1, 300), between(this.#random, 1, 100)),
        );
      case 'refusal':
        return this.#onLink('refusal', 100, 5000, 'refuses connections', (link) => link.refuse());
      case 'reset':
        return this.#resetSome();
      case 'half-open':
        return this.#sever();
      case 'wall clock':
        return this.#jumpWall();
      case 'drift':
        return this.#drift();
      case 'slow disk':
      case 'slow sync':
      case 'disk error':
      case 'disk full':
        return this.#disk(kind);
      default:
        return unreachable(kind);
    }
  }

  get #now(): number {
    return this.#host.cluster.world.clock.now();
  }

  #someUp(): Machine | undefined {
    const up = this.#host.cluster.machines.filter(({ isUp, isStopping }) => isUp && !isStopping);
    return up.length === 0 ? undefined : this.#host.cluster.any(this.#random, up);
  }

  /** Takes one down by `how`, and starts it again later: at once, soon, or after a session. */
  #down(how: (machine: Machine) => Promise<void>): boolean {
    const machine = this.#someUp();
    if (machine === undefined) return false;
    this.#take(machine, how, this.#absenceMs());
    return true;
  }

  /** Its last words may come late, after the first ones of its successor. */
  #stop(): boolean {
    const machine = this.#someUp();
    if (machine === undefined) return false;
    const isCutOff = this.#random.uint32() % 2 === 0;
    if (isCutOff) {
      const others = this.#host.cluster.machines.filter((other) => other !== machine);
      const ways = others.map((other): readonly [string, string] => [machine.name, other.name]);
      this.#cutAll(ways, between(this.#random, 500, 3000));
    }
    this.#take(machine, (one) => one.stop(STOP_PATIENCE_MS), isCutOff ? 0 : this.#absenceMs());
    return true;
  }

  #absenceMs(): number {
    const lot = this.#random.uint32() % 3;
    return lot === 0 ? 0 : between(this.#random, 0, lot === 1 ? 1000 : 12_000);
  }

  /** Some are struck again while they come back, in the middle of catching up. */
  #take(
    machine: Machine,
    how: (machine: Machine) => Promise<void>,
    absenceMs: number,
    mayRelapse: () => boolean = () => true,
  ): void {
    const { cluster, sometimes } = this.#host;
    const comeBack = (): void => {
      if (machine.phase !== 'down') return;
      machine.start();
      if (this.#random.uint32() % RELAPSE_EVERY > 0) return;
      this.#after(between(this.#random, 0, RELAPSE_MS), () => {
        if (machine.isUp && !machine.isStopping && mayRelapse()) this.#take(machine, how, 0, mayRelapse);
      });
    };
    how(machine).then(
      () => this.#after(absenceMs, comeBack),
      (failure: Error) => cluster.world.fail(failure),
    );
    if (cluster.upCount === 0) sometimes('all nodes down at once');
  }

  #blackout(): boolean {
    const up = this.#host.cluster.machines.filter(({ isUp }) => isUp);
    for (const machine of up) this.#take(machine, () => machine.losePower(), this.#absenceMs());
    return up.length > 0;
  }

  /** Its power is gone, or its uplink: nobody outside hears of it any more. */
  #loseRack(): boolean {
    const { cluster } = this.#host;
    const rack = cluster.rackOf(cluster.any(this.#random));
    const inside = cluster.machines.filter((machine) => cluster.rackOf(machine) === rack);
    if (this.#random.uint32() % 2 === 0) {
      const absenceMs = this.#absenceMs();
      this.#say(`rack ${rack} loses its power for ${Math.round(absenceMs)} ms`);
      for (const machine of inside) if (machine.isUp) this.#take(machine, () => machine.losePower(), absenceMs);
      return true;
    }
    const names = inside.map(({ name }) => name);
    const outside = cluster.machines.filter((machine) => !inside.includes(machine)).map(({ name }) => name);
    const durationMs = between(this.#random, 500, 15_000);
    this.#say(`rack ${rack} (${names.join()}) is cut off for ${Math.round(durationMs)} ms`);
    const pairs = names.flatMap((a) =>
      [...outside, ...this.#host.clients].map((b): readonly [string, string] => [a, b]),
    );
    this.#cutAll([...pairs, ...pairs.map(([a, b]): readonly [string, string] => [b, a])], durationMs);
    return true;
  }

  #wipe(): boolean {
    const machine = this.#someUp();
    if (machine === undefined || !this.#host.mayWipe(machine)) return false;
    const wipe = async (): Promise<void> => {
      await machine.losePower();
      machine.wipe();
      this.#host.wiped(machine);
    };
    this.#take(machine, wipe, this.#absenceMs(), () => this.#host.mayWipe(machine));
    return true;
  }

  /**
   * Two new disks in a row: whatever is said of the first one, by somebody whose words come late to the controller, must not be believed of
   * the second, which has nothing yet and cannot ask that one for it.
   */
  #swapDisks(): boolean {
    const { cluster, mayWipe, sometimes, replicating } = this.#host;
    const controller = cluster.machines.find(({ view }) => view?.isActive === true);
    const pairs = replicating().filter((pair) =>
      pair.every((one) => one !== controller && one.isUp && !one.isStopping),
    );
    const [late, machine] = pairs[this.#random.uint32() % Math.max(1, pairs.length)] ?? [];
    if (controller === undefined || late === undefined || machine === undefined) return false;
    if (!mayWipe(machine)) return false;
    const wipe = async (): Promise<void> => {
      await machine.kill();
      machine.wipe();
      this.#host.wiped(machine);
    };
    this.#take(machine, wipe, 0, () => mayWipe(machine));
    const lateMs = between(this.#random, 2000, 8000);
    this.#clogFor(late.name, controller.name, lateMs);
    this.#after(between(this.#random, 300, lateMs / 2), () => {
      if (!machine.isUp || machine.isStopping || !mayWipe(machine)) return;
      sometimes('disk replaced twice in a row');
      this.#take(machine, wipe, 0, () => mayWipe(machine));
      const ways = [machine.name, late.name] as const;
      this.#cutAll([ways, [ways[1], ways[0]]], lateMs);
    });
    return true;
  }

  /** Found when it comes back, or when somebody reads there. */
  #rot(): boolean {
    const machine = this.#someUp();
    if (machine === undefined) return false;
    const rot = async (): Promise<void> => {
      if (this.#random.uint32() % 2 === 0) await machine.losePower();
      else await machine.stop(STOP_PATIENCE_MS);
      if (machine.phase !== 'down') return;
      const where = this.#host.rot(machine, this.#random);
      if (where === undefined) return;
      this.#host.sometimes('synced records damaged');
      this.#say(`bits rot on the disk of ${machine.name}: ${where}`);
    };
    this.#take(machine, rot, this.#absenceMs());
    return true;
  }

  #stall(): boolean {
    const machine = this.#someUp();
    machine?.stall(between(this.#random, 50, 5000));
    return machine !== undefined;
  }

  /** Two different hosts, one of them a node. */
  #pair(): { readonly from: string; readonly to: string } {
    const { cluster, clients } = this.#host;
    const node = cluster.any(this.#random).name;
    const others = [...cluster.machines.map(({ name }) => name), ...clients].filter((name) => name !== node);
    const other = others[this.#random.uint32() % others.length] ?? node;
    return this.#random.uint32() % 2 === 0 ? { from: node, to: other } : { from: other, to: node };
  }

  #link(from: string, to: string): SimLink {
    return this.#host.cluster.world.network.link(from, to);
  }

  #clog(): boolean {
    const { from, to } = this.#pair();
    this.#clogFor(from, to, between(this.#random, 0, 5000));
    return true;
  }

  #clogFor(from: string, to: string, durationMs: number): void {
    this.#say(`${from} > ${to} clogs for ${Math.round(durationMs)} ms`);
    this.#link(from, to).clog(this.#now + durationMs);
  }

  #onLink(fault: LinkFault, fromMs: number, toMs: number, what: string, begin: (link: SimLink) => void): boolean {
    const { from, to } = this.#pair();
    const durationMs = between(this.#random, fromMs, toMs);
    this.#say(`${from} > ${to} ${what} for ${Math.round(durationMs)} ms`);
    this.#begin(fault, [this.#link(from, to)], durationMs, begin);
    return true;
  }

  /** Each of them lasts for that time, whatever else befalls the link. */
  #begin(fault: LinkFault, links: readonly SimLink[], durationMs: number, begin: (link: SimLink) => void): void {
    for (const link of links) begin(link);
    this.#after(durationMs, () => {
      for (const link of links) link.over(fault, this.#now);
    });
  }

  #cutAll(pairs: readonly (readonly [string, string])[], durationMs: number): void {
    const links = pairs.map(([from, to]) => this.#link(from, to));
    this.#begin('cut', links, durationMs, (link) => link.cut(this.#now));
  }

  #cutPair(bothWays: boolean): boolean {
    const { from, to } = this.#pair();
    const durationMs = between(this.#random, 100, 15_000);
    this.#say(`${from} > ${to} cut ${bothWays ? 'both ways ' : ''}for ${Math.round(durationMs)} ms`);
    this.#cutAll(
      bothWays
        ? [
            [from, to],
            [to, from],
          ]
        : [[from, to]],
      durationMs,
    );
    return true;
  }

  /** The nodes fall into two parts. */
  #partition(): boolean {
    const names = this.#host.cluster.machines.map(({ name }) => name);
    if (names.length < 2) return false;
    // One at least on each side: nobody is cut off from nobody.
    const [first, second] = [this.#random.uint32() % names.length, this.#random.uint32() % (names.length - 1)];
    const other = second < first ? second : second + 1;
    const isHere = (place: number): boolean => place !== other && (place === first || this.#random.uint32() % 2 === 0);
    const side = names.filter((_, place) => isHere(place));
    this.#apart(
      side,
      names.filter((name) => !side.includes(name)),
    );
    return true;
  }

  /** One node hears nobody, is heard by nobody, or both. */
  #isolate(): boolean {
    const names = this.#host.cluster.machines.map(({ name }) => name);
    if (names.length < 2) return false;
    const one = this.#host.cluster.any(this.#random).name;
    this.#apart(
      [one],
      names.filter((name) => name !== one),
    );
    return true;
  }

  #apart(left: readonly string[], right: readonly string[]): void {
    const way = this.#random.uint32() % 4;
    const durationMs = between(this.#random, 500, 20_000);
    this.#say(
      `${left.join()} ${way === 0 ? '>' : way === 1 ? '<' : '|'} ${right.join()} for ${Math.round(durationMs)} ms`,
    );
    const pairs = left.flatMap((a) => right.map((b): readonly [string, string] => [a, b]));
    const back = pairs.map(([a, b]): readonly [string, string] => [b, a]);
    this.#cutAll(way === 0 ? pairs : way === 1 ? back : [...pairs, ...back], durationMs);
  }

  #resetSome(): boolean {
    return this.#severOne(true, true, 'resets');
  }

  #sever(): boolean {
    const way = this.#random.uint32() % 3;
    return this.#severOne(way === 0, way === 1, 'forgets');
  }

  #severOne(tellsThis: boolean, tellsPeer: boolean, what: string): boolean {
    const { cluster } = this.#host;
    const { network } = cluster.world;
    const machine = cluster.any(this.#random);
    const connections = network.connectionsOf(machine.name);
    const connection = connections[this.#random.uint32() % Math.max(1, connections.length)];
    if (connection === undefined) return false;
    const other = connection.remote.host;
    this.#say(`the network ${what} a connection of ${machine.name} with ${other}`);
    connection.sever(tellsThis, tellsPeer);
    // A node that is told nothing needs some seconds of silence to notice.
    const until = this.#now + (tellsThis && tellsPeer ? 1000 : 10_000);
    for (const link of [this.#link(machine.name, other), this.#link(other, machine.name)]) link.disturbed(until);
    return true;
  }

  #jumpWall(): boolean {
    const { cluster } = this.#host;
    const { name } = cluster.any(this.#random);
    const byMs = Math.round(between(this.#random, -1, 1) * 10 ** between(this.#random, 0, 8));
    this.#say(`the wall clock of ${name} jumps by ${byMs} ms`);
    cluster.world.time(name).jumpWall(byMs);
    return true;
  }

  #drift(): boolean {
    const { cluster } = this.#host;
    const { name } = cluster.any(this.#random);
    const rate = between(this.#random, 0.95, 1.05);
    this.#say(`the clocks of ${name} go ${rate.toFixed(3)} times as fast as the world`);
    cluster.world.time(name).setRate(rate);
    return true;
  }

  #disk(kind: 'slow disk' | 'slow sync' | 'disk error' | 'disk full'): boolean {
    const machine = this.#someUp();
    if (machine === undefined) return false;
    const durationMs = between(this.#random, 200, 8000);
    this.#say(`${machine.name} has a ${kind} for ${Math.round(durationMs)} ms`);
    const weather = this.#weather(kind);
    machine.weather = weather;
    const { refusedCount } = machine;
    this.#after(durationMs, () => {
      if (kind === 'disk full' && machine.refusedCount > refusedCount) this.#host.sometimes('disk full');
      // Another fault of the disk, which began meanwhile, lasts as long as it was meant to.
      if (machine.weather === weather) machine.weather = FINE_WEATHER;
      // One that has ended for it comes back by itself, as under a supervisor.
      this.#restart(machine);
    });
    return true;
  }

  #weather(kind: 'slow disk' | 'slow sync' | 'disk error' | 'disk full'): DiskWeather {
    switch (kind) {
      case 'slow disk':
        return { ...FINE_WEATHER, latencyMsMax: between(this.#random, 1, 1000) };
      case 'slow sync':
        return { ...FINE_WEATHER, syncMs: 2000 };
      case 'disk error':
        return { ...FINE_WEATHER, fail: 'EIO' };
      case 'disk full':
        return { ...FINE_WEATHER, fail: 'ENOSPC' };
      default:
        return unreachable(kind);
    }
  }

  #restart(machine: Machine): void {
    if (machine.isUp) return;
    if (machine.hasEnded) this.#host.sometimes('node ended by its disk');
    startWhenDown(this.#host.cluster, machine);
  }

  /** If the faults are not over by then. */
  #after(delayMs: number, run: () => void): void {
    const unlessOver = (): void => {
      if (!this.#host.isOver) run();
    };
    this.#host.cluster.world.clock.timer(unlessOver).arm(delayMs);
  }

  #say(what: string): void {
    const { trace, clock } = this.#host.cluster.world;
    trace.text(what);
    if (trace.isRead) trace.say(clock.now(), 'nemesis', `* ${what}`);
  }
}

/** Now, or as soon as its disk is at rest. */
export function startWhenDown(cluster: Cluster, machine: Machine): void {
  if (machine.phase === 'down') machine.start();
  else if (!machine.isUp || machine.isStopping)
    cluster.world.clock.timer(() => startWhenDown(cluster, machine)).arm(LOOK_MS);
}
