import { assert, at } from '#base/assert';
import type { ClientLine, Key, Poll } from '#history/format';
import { Recorder } from '#history/recorder';
import { SimRandom } from '#sim/ports/sim-random';
import { Partition } from './partition.ts';

/** A client: each step is one thing that it does, or that is done for it. */
export type Actor = Generator<void, void>;

export type Positions = ReadonlyMap<Key, number>;

/** What the clients of a model share: the partitions, the time, the dice, and what was sent and has not arrived. */
export class World {
  readonly recorder: Recorder;
  readonly #random: SimRandom;
  readonly #partitions = new Map<Key, Partition>();
  readonly #late: (() => void)[] = [];
  #nowMs = 0;
  #processes = 0;
  #values = 0;
  /** Clients begin nothing more, once it is false. */
  goesOn = true;
  /** Whoever copies may stop when it has copied everything, once it is true. */
  settled = false;

  constructor(seed: string, append: (line: string) => void) {
    this.#random = new SimRandom(seed);
    this.recorder = new Recorder({ append, nowMs: () => this.#nowMs }, `model ${seed}`);
  }

  get keys(): readonly Key[] {
    return [...this.#partitions.keys()];
  }

  /** Lets up to two milliseconds pass. */
  pass(): void {
    this.#nowMs += this.below(2_000) / 1_000;
  }

  create(...keys: readonly Key[]): void {
    for (const key of keys) this.#partitions.set(key, new Partition());
  }

  partition(key: Key): Partition {
    const partition = this.#partitions.get(key);
    assert(partition !== undefined, `no partition ${key}`);
    return partition;
  }

  below(count: number): number {
    return this.#random.uint32() % count;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(choices: readonly T[]): T {
    return at(choices, this.below(choices.length));
  }

  nextValue(): number {
    this.#values += 1;
    return this.#values;
  }

  /** Gives the number of a new process. */
  join(client: Omit<ClientLine, 't' | 'type' | 'p'>): number {
    const p = this.#processes;
    this.#processes += 1;
    this.recorder.client({ p, ...client });
    return p;
  }

  /** It will happen, some time; nobody waits for it. */
  later(happen: () => void): void {
    this.#late.push(happen);
  }

  arrive(): void {
    this.#late.splice(this.below(this.#late.length + 1), 1)[0]?.();
  }

  arriveAll(): void {
    for (const happen of this.#late.splice(0)) happen();
  }

  poll(positions: Positions, countMax: number, committed: boolean): { readonly part: Poll; readonly next: Positions } {
    const records: Record<Key, number[]> = {};
    const next = new Map<Key, number>();
    for (const [key, position] of positions) {
      const read = this.partition(key).read(position, countMax, committed);
      if (read.pairs.length > 0) records[key] = read.pairs;
      next.set(key, read.next);
    }
    return { part: ['poll', records], next };
  }

  /** A client takes keys by itself, from somewhere on. */
  assign(p: number, positions: Positions): void {
    const ops = [...positions].map(([key, offset]) => ['assign', key, offset] as const);
    this.recorder.invoke({ p, f: 'assign', ops });
    this.recorder.complete('ok', { p });
  }
}
