import { assert } from '#base/assert';
import type { Clock, Codecs, Disk, Logger, Metrics, Mono, Ports, Random } from '#base/ports';
import { inMacrotask } from './drain.ts';
import { EventQueue } from './event-queue.ts';
import { withoutForbiddenGlobals } from './forbidden-globals.ts';
import { Life } from './life.ts';
import { MemoryDisk } from './memory-disk.ts';
import { ProcessDisk } from './process-disk.ts';
import { MachineTime, SimClock } from './sim-clock.ts';
import { SimNetwork } from './sim-network.ts';
import { SimRandom } from './sim-random.ts';
import { Trace, type TraceLine } from './trace.ts';

export interface SimWorldOptions {
  /** The same seed, the same history. */
  readonly seed: number;
  /** Pure functions, so the real ones serve. */
  readonly codecs: Codecs;
  /** Gets the lines of all nodes; none by default. */
  readonly logger?: Logger;
  /** Of what is sent, the share that is cut short at random: 3/4 by default. */
  readonly cutShare?: number;
  /** Gets every event in words, and what nodes log. */
  readonly trace?: TraceLine;
}

/** How one process of a node is started. */
export interface ProcessOptions {
  readonly disks: readonly Disk[];
  /** What it calls when it cannot go on; by default the world's run fails. Whatever it does, the caller gets the error thrown. */
  readonly fatal?: (error: Error) => void;
  /** syncDir does nothing: a planted bug. */
  readonly forgetsFolders?: boolean;
  readonly logger?: Logger;
}

const DISK_BYTES_DEFAULT = 2 ** 30;
const CUT_SHARE_DEFAULT = 0.75;

/** A world of nodes in virtual time: one queue of events, and everything that happens follows from the seed. */
export class SimWorld {
  /** Of the world itself, for what outlives nodes (a FaultDisk, a test's own steps). */
  readonly clock: Clock;
  readonly random: Random;
  readonly network: SimNetwork;
  readonly trace: Trace;
  /** Called after each event and all that follows from it at once. */
  onEvent: () => void = () => {};
  readonly #options: SimWorldOptions;
  readonly #events: EventQueue;
  readonly #lives = new Map<string, Life>();
  readonly #times = new Map<string, MachineTime>();
  #lifeCount = 0;
  /** Thrown to end a process, by itself: they end nothing else. */
  readonly #fatal = new WeakSet<Error>();
  #failure: Error | undefined;
  #bearsFailures = false;
  #running = false;

  constructor(options: SimWorldOptions) {
    this.#options = options;
    this.random = new SimRandom(`world ${options.seed}`);
    this.trace = new Trace(options.codecs.crc32c.bind(options.codecs), options.trace);
    this.#events = new EventQueue(this.random.fork('ties'), this.trace);
    this.network = new SimNetwork(this.#events, this.random.fork('network'), options.cutShare ?? CUT_SHARE_DEFAULT);
    this.clock = new SimClock(
      this.#events,
      this.#events.always,
      this.random.fork('clock'),
      new MachineTime(this.#events),
    );
  }

  /** An empty disk, which outlives the nodes that use it. */
  disk(name: string, sizeBytes: number = DISK_BYTES_DEFAULT): MemoryDisk {
    return new MemoryDisk(name, this.#events, this.random.fork(`disk ${name}`), sizeBytes);
  }

  /** A new incarnation of the node; the one before it, if any, was killed. `name` is its host on the network. */
  ports(name: string, options: ProcessOptions): Ports {
    assert(this.#lives.get(name)?.alive !== true, `${name} is alive`);
    this.#lifeCount += 1;
    const life = new Life(name, this.#lifeCount);
    this.#lives.set(name, life);
    const random = this.random.fork(name);
    return {
      clock: new SimClock(this.#events, life, random.fork('clock'), this.time(name)),
      random: random.fork('node'),
      disks: options.disks.map((disk) => new ProcessDisk(disk, this.#events, life, options.forgetsFolders ?? false)),
      network: this.network.port(name, life),
      codecs: this.#options.codecs,
      logger: options.logger ?? this.#options.logger ?? SILENT,
      metrics: UNREAD,
      fatal: (error) => {
        this.#fatal.add(error);
        if (options.fatal === undefined) this.fail(error);
        else options.fatal(error);
        throw error;
      },
    };
  }

  /** The clocks of the machine, which go on when its processes end. */
  time(name: string): MachineTime {
    let time = this.#times.get(name);
    if (time === undefined) {
      time = new MachineTime(this.#events);
      this.#times.set(name, time);
    }
    return time;
  }

  isAlive(name: string): boolean {
    return this.#lives.get(name)?.alive === true;
  }

  /** Until when the node stands still; in the past if it does not. */
  stalledUntil(name: string): Mono {
    return this.#lives.get(name)?.stalledUntil ?? 0;
  }

  /**
   * No timer, completion or byte reaches the node any more. Its peers see resets; if the whole host is dark they hear nothing, and
   * nobody answers there until it has new ports. Its disks are crashed by whoever made them.
   */
  kill(name: string, isDark = false): void {
    const life = this.#lives.get(name);
    assert(life?.alive === true, `${name} is alive`);
    life.alive = false;
    this.network.drop(name, isDark);
  }

  /** The node stands still: what would have happened to it meanwhile happens at the end, all at once, timers last. */
  stall(name: string, durationMs: number): void {
    const life = this.#lives.get(name);
    assert(life?.alive === true, `${name} is alive`);
    this.#events.stall(life, durationMs);
  }

  /** The run ends with this error. */
  fail(error: Error): void {
    if (!this.#bearsFailures) this.#failure ??= error;
  }

  /** Whatever has failed, or will: runs go on. */
  bearFailures(): void {
    this.#bearsFailures = true;
    this.#failure = undefined;
  }

  /**
   * Lets the world go on to a time, or until `until` holds, which is looked at after each event. Rejects with what a node
   * has called fatal, and if nothing is left to happen that could make `until` hold.
   */
  run(until: Mono | (() => boolean)): Promise<void> {
    assert(!this.#running, 'a world runs once at a time');
    this.#running = true;
    const unhandled = (reason: unknown): void => this.#escaped(reason);
    return inMacrotask((drain) => withoutForbiddenGlobals(() => this.#run(until, drain)), unhandled).finally(() => {
      this.#running = false;
    });
  }

  /** Lets the world go on until the promise has settled; gives what it gives. */
  async complete<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    promise.then(settle, settle);
    await this.run(() => settled);
    return promise;
  }

  #run(until: Mono | (() => boolean), drain: () => void): void {
    drain();
    if (typeof until === 'number') {
      while (this.#events.nextAt <= until) this.#step(drain);
      this.#events.advance(Math.max(until, this.#events.now));
      return;
    }
    while (!until()) {
      assert(this.#events.nextAt < Number.POSITIVE_INFINITY, 'nothing is left to happen');
      this.#step(drain);
    }
  }

  /** A node lets an error go by that nobody catches: its process would end. */
  #escaped(thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    if (!this.#fatal.has(error)) this.fail(error);
  }

  #step(drain: () => void): void {
    try {
      this.#events.deliverNext();
    } catch (thrown) {
      this.#escaped(thrown);
    }
    drain();
    if (this.#failure) throw this.#failure;
    this.onEvent();
    if (this.#failure) throw this.#failure;
  }
}

const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Nobody scrapes a simulated node. */
const UNREAD: Metrics = {
  counter: () => ({ value: 0 }),
  gauge() {},
  histogram: () => ({ observe() {} }),
  series() {},
};
