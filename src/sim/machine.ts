import { AssertionError, assert } from '#base/assert';
import type { IoErrorCode, Logger, Random } from '#base/ports';
import { type DiskOperation, FaultDisk, type Strike } from '#faults/fault-disk';
import { type ParsedBrokerConfig, parseBrokerConfig } from '#model/parse-broker-config';
import type { PlantedBugs } from '#model/planted-bugs';
import type { MakeNode, NodeView, ReplicaView, SimNode } from './node-view.ts';
import type { MemoryDisk } from './ports/memory-disk.ts';
import { between } from './ports/sim-random.ts';
import type { SimWorld } from './ports/sim-world.ts';

export const KAFKA_PORT = 9092;
export const PEER_PORT = 9093;

/** What is wrong with a machine's disk for the time being. */
export interface DiskWeather {
  /** Each operation takes up to so much longer; */
  readonly latencyMsMax: number;
  /** a sync so much. */
  readonly syncMs: number;
  /** Every write and sync fails so. */
  readonly fail: IoErrorCode | undefined;
}

export const FINE_WEATHER: DiskWeather = { latencyMsMax: 0, syncMs: 0, fail: undefined };

export interface MachineOptions {
  /** Also its host name. */
  readonly name: string;
  readonly config: ReadonlyMap<string, string>;
  readonly planted: PlantedBugs;
  readonly makeNode: MakeNode;
  /** It could not start, or called fatal, without any fault of its disk. */
  readonly onBroken: (error: Error) => void;
  /** What was not synced is lost, and the disk at rest. */
  readonly onCrashed: (machine: Machine) => void;
}

/** 'leaving': the process is gone or going, and its disk is not at rest yet. */
type Phase = 'down' | 'up' | 'leaving';

/** A host with a disk, on which the processes of one node come and go. */
export class Machine {
  readonly name: string;
  readonly disk: MemoryDisk;
  weather: DiskWeather = FINE_WEATHER;
  /** When its process last came, went, or could not do as it pleased. */
  troubledAt = 0;
  /** Counts its processes. */
  lifeCount = 0;
  /** Counts what its disk has refused. */
  refusedCount = 0;
  readonly #world: SimWorld;
  readonly #options: MachineOptions;
  readonly #config: ParsedBrokerConfig;
  readonly #random: Random;
  #phase: Phase = 'down';
  #volatile: FaultDisk | undefined;
  #node: SimNode | undefined;
  #isStopping = false;
  #isStarting = false;
  /** The disk has failed under the present process: its death is no surprise. */
  #diskFailed = false;
  #hasEnded = false;

  constructor(world: SimWorld, options: MachineOptions) {
    this.name = options.name;
    this.#world = world;
    this.#options = options;
    const parsed = parseBrokerConfig(options.config);
    if ('errors' in parsed) throw new Error(parsed.errors.join('; '));
    this.#config = parsed;
    this.#random = world.random.fork(`machine ${options.name}`);
    this.disk = world.disk(options.name);
  }

  get phase(): Phase {
    return this.#phase;
  }

  get isUp(): boolean {
    return this.#phase === 'up';
  }

  get isStalled(): boolean {
    return this.isUp && this.#world.stalledUntil(this.name) > this.#world.clock.now();
  }

  /** Its last process has ended by itself, and no other has come. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The process was asked to stop, and has not yet. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  get isReady(): boolean {
    return this.isUp && !this.#isStopping && this.#node?.ready === true;
  }

  /** Of the present process, once it has one. */
  get view(): NodeView | undefined {
    return this.#phase === 'up' ? this.#node?.view?.() : undefined;
  }

  /** Of the present process. */
  replicas(): Iterable<ReplicaView> {
    return this.#phase === 'up' ? (this.#node?.replicas?.() ?? []) : [];
  }

  /** A new process over what is on the disk. */
  start(): void {
    assert(this.#phase === 'down', `${this.name} is down`);
    this.#volatile ??= new FaultDisk(this.#world.clock, this.disk, {
      ignoreSync: false,
      outlivesUsers: true,
      strike: (operation) => this.#strike(operation),
    });
    this.lifeCount += 1;
    this.#diskFailed = false;
    this.#hasEnded = false;
    this.#isStarting = true;
    this.#isStopping = false;
    this.#phase = 'up';
    this.troubledAt = this.#world.clock.now();
    const life = this.lifeCount;
    const { planted, makeNode } = this.#options;
    const ports = this.#world.ports(this.name, {
      disks: [this.#volatile],
      fatal: (error) => this.#died(life, 'called fatal', error),
      forgetsFolders: planted.has('no-directory-fsync'),
      logger: logger(this.#world, this.name, this.#options.onBroken),
    });
    this.#say('starts');
    const node = makeNode(ports, this.#config, planted);
    this.#node = node;
    node.start().then(
      () => {
        if (life === this.lifeCount) this.#isStarting = false;
      },
      (error: Error) => {
        // Who is asked to stop gives up its start.
        if (life !== this.lifeCount || !this.#isStopping) this.#died(life, 'could not start', error);
      },
    );
  }

  /** SIGKILL: what it has written stays, synced or not. */
  async kill(): Promise<void> {
    const volatile = this.#leave('is killed', false);
    await volatile.abandon();
    this.#phase = 'down';
  }

  /** The host is dark at once; what was not synced is lost, or torn. */
  async losePower(): Promise<void> {
    await this.#crash('loses its power', true);
  }

  /** SIGTERM, and SIGKILL if it has not ended after `patienceMs`. */
  async stop(patienceMs: number): Promise<void> {
    assert(this.isUp && !this.#isStopping, `${this.name} is up`);
    this.#isStopping = true;
    this.#say('is asked to stop');
    const life = this.lifeCount;
    const { clock } = this.#world;
    await new Promise<void>((resolve) => {
      clock.timer(() => resolve()).arm(patienceMs);
      this.#node?.stop().then(resolve, (error: Error) => this.#died(life, 'could not stop', error));
    });
    if (life === this.lifeCount && this.isUp) await this.kill();
  }

  /** An empty disk takes the place of the machine's; it is down. */
  wipe(): void {
    assert(this.#phase === 'down', `${this.name} is down`);
    this.#say('gets an empty disk');
    this.#volatile = undefined;
    this.disk.wipe();
  }

  stall(durationMs: number): void {
    this.#say(`stalls for ${Math.round(durationMs)} ms`);
    this.troubledAt = this.#world.clock.now();
    this.#world.stall(this.name, durationMs);
  }

  /** The disk is sound again. A clock that is off stays off: nothing may depend on it. */
  heal(): void {
    this.weather = FINE_WEATHER;
  }

  async #crash(why: string, isDark: boolean): Promise<void> {
    const volatile = this.#leave(why, isDark);
    await volatile.crash(this.#random);
    this.#volatile = undefined;
    this.#phase = 'down';
    this.#options.onCrashed(this);
  }

  #leave(why: string, isDark: boolean): FaultDisk {
    const volatile = this.#volatile;
    assert(this.isUp && volatile !== undefined, `${this.name} is up`);
    this.#say(why);
    this.#phase = 'leaving';
    this.#node = undefined;
    this.#isStopping = false;
    this.troubledAt = this.#world.clock.now();
    this.#world.kill(this.name, isDark);
    return volatile;
  }

  /** The process ends by itself. Only a broken disk is a reason, and never that what must hold does not. */
  #died(life: number, how: string, error: Error): void {
    if (life !== this.lifeCount || !this.isUp) return;
    this.#say(`${how}: ${error.message}`);
    this.#hasEnded = true;
    const isExpected = this.#diskFailed && !hasBrokenInvariant(error);
    if (!isExpected) this.#options.onBroken(new Error(`${this.name} ${how}: ${error.message}`, { cause: error }));
    // What the kernel knew of a failed file is gone with the process: the next one sees what is on the disk.
    this.#crash('ends', false).catch((failure: Error) => this.#world.fail(failure));
  }

  #strike(operation: DiskOperation): Strike | undefined {
    const { latencyMsMax, syncMs, fail } = this.weather;
    const isSync = operation === 'sync' || operation === 'syncDir';
    const delayMs = latencyMsMax > 0 ? between(this.#random, 0, latencyMsMax) : 0;
    const changes = isSync || operation === 'write' || operation === 'open' || operation === 'makeDir';
    if (fail !== undefined && changes && !(fail === 'ENOSPC' && isSync)) {
      // Who serves by then goes on without room.
      if (fail !== 'ENOSPC' || this.#isStarting || this.#isStopping) this.#diskFailed = true;
      this.refusedCount += 1;
      return { delayMs, fail };
    }
    if (isSync && syncMs > 0) return { delayMs: delayMs + syncMs };
    return delayMs > 0 ? { delayMs } : undefined;
  }

  #say(what: string): void {
    const { trace, clock } = this.#world;
    trace.text(`${this.name} ${what}`);
    if (trace.isRead) trace.say(clock.now(), this.name, `* ${what}`);
  }
}

/** The network of a simulation changes nothing that is sent, and no bits rot under a process: no disk and no link is a reason for these. */
const CONFESSIONS = [
  /^a decision about .* failed$/,
  /^what was fetched is refused$/,
  /^a message of a peer is not understood$/,
  /^connection closed: (?!a produce request with acks=0 was refused|it took nothing|a request that it began did not go on)/,
];

export function isConfession(message: string): boolean {
  return CONFESSIONS.some((confession) => confession.test(message));
}

function hasBrokenInvariant(error: unknown): boolean {
  return error instanceof Error && (error instanceof AssertionError || hasBrokenInvariant(error.cause));
}

/** `onBroken` is told of what a node says only where one of them has gone wrong, and goes on as if nothing had happened. */
function logger({ trace, clock }: SimWorld, name: string, onBroken: (error: Error) => void): Logger {
  const write = (level: string) => (fields: object, message: string) => {
    if (trace.isRead) trace.say(clock.now(), name, `${level} ${message} ${JSON.stringify(fields)}`);
    if (isConfession(message)) onBroken(new Error(`${name} says: ${message} ${JSON.stringify(fields)}`));
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
