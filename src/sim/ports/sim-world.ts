import { assert } from '#base/assert';
import type { Clock, Codecs, Disk, Logger, Metrics, Mono, Ports, Random } from '#base/ports';
import { inMacrotask } from './drain.ts';
import { EventQueue, type Life } from './event-queue.ts';
import { MemoryDisk } from './memory-disk.ts';
import { SimClock } from './sim-clock.ts';
import { SimNetwork } from './sim-network.ts';
import { SimRandom } from './sim-random.ts';

export interface SimWorldOptions {
  /** The same seed, the same history. */
  readonly seed: number;
  /** Pure functions, so the real ones serve. */
  readonly codecs: Codecs;
  /** Gets the lines of all nodes; none by default. */
  readonly logger?: Logger;
}

const DISK_BYTES_DEFAULT = 2 ** 30;

/** A world of nodes in virtual time: one queue of events, and everything that happens follows from the seed. */
export class SimWorld {
  /** Of the world itself, for what outlives nodes (a FaultDisk, a test's own steps). */
  readonly clock: Clock;
  readonly random: Random;
  readonly #options: SimWorldOptions;
  readonly #events: EventQueue;
  readonly #network: SimNetwork;
  readonly #lives = new Map<string, Life>();
  #failure: Error | undefined;
  #running = false;

  constructor(options: SimWorldOptions) {
    this.#options = options;
    this.random = new SimRandom(`world ${options.seed}`);
    this.#events = new EventQueue(this.random.fork('ties'));
    this.#network = new SimNetwork(this.#events, this.random.fork('network'));
    this.clock = new SimClock(this.#events, { alive: true }, this.random.fork('clock'));
  }

  /** An empty disk, which outlives the nodes that use it. */
  disk(name: string, sizeBytes: number = DISK_BYTES_DEFAULT): MemoryDisk {
    return new MemoryDisk(name, this.#events, this.random.fork(`disk ${name}`), sizeBytes);
  }

  /** A new incarnation of the node; the one before it, if any, was killed. `name` is its host on the network. */
  ports(name: string, { disks }: { readonly disks: readonly Disk[] }): Ports {
    assert(this.#lives.get(name)?.alive !== true, `${name} is alive`);
    const life: Life = { alive: true };
    this.#lives.set(name, life);
    const random = this.random.fork(name);
    return {
      clock: new SimClock(this.#events, life, random.fork('clock')),
      random: random.fork('node'),
      disks,
      network: this.#network.port(name, life),
      codecs: this.#options.codecs,
      logger: this.#options.logger ?? SILENT,
      metrics: UNREAD,
      fatal: (error) => {
        this.#failure ??= error;
        throw error;
      },
    };
  }

  /** No timer, completion or byte reaches the node any more; its peers see resets. Its disks are crashed by whoever made them. */
  kill(name: string): void {
    const life = this.#lives.get(name);
    assert(life?.alive === true, `${name} is alive`);
    life.alive = false;
    this.#network.dropDead();
  }

  /**
   * Lets the world go on to a time, or until `until` holds, which is looked at after each event. Rejects with what a node
   * has called fatal, and if nothing is left to happen that could make `until` hold.
   */
  run(until: Mono | (() => boolean)): Promise<void> {
    assert(!this.#running, 'a world runs once at a time');
    this.#running = true;
    return inMacrotask((drain) => {
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
    }).finally(() => {
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

  #step(drain: () => void): void {
    this.#events.deliverNext();
    drain();
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
