import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Mono, Random } from '#base/ports';
import { type EventKind, Life, type SimEvent } from './life.ts';
import type { Trace } from './trace.ts';

/** Virtual time, and all that is to happen: by time, and by lot where times are equal. A binary heap, bounded by what the nodes have asked for. */
export class EventQueue {
  readonly trace: Trace;
  /** Of the world itself: it does not die. */
  readonly always = new Life('world', 0);
  readonly #random: Random;
  readonly #heap: SimEvent[] = [];
  /** What a stall held back, delivered before time moves on. */
  readonly #ready = new Fifo<SimEvent>();
  #now: Mono = 0;

  constructor(random: Random, trace: Trace) {
    this.#random = random;
    this.trace = trace;
  }

  get now(): Mono {
    return this.#now;
  }

  /** When the next event is due; Infinity if there is none. */
  get nextAt(): Mono {
    return this.#ready.length > 0 ? this.#now : (this.#heap[0]?.at ?? Number.POSITIVE_INFINITY);
  }

  at(time: Mono, life: Life, run: () => void, kind: EventKind = 'io', ifDead?: () => void): void {
    assert(time >= this.#now, 'nothing happens in the past');
    this.#heap.push({ at: time, tiebreak: this.#random.uint32(), life, kind, run, ifDead });
    this.#siftUp(this.#heap.length - 1);
  }

  after(delayMs: number, life: Life, run: () => void, kind: EventKind = 'io', ifDead?: () => void): void {
    this.at(this.#now + delayMs, life, run, kind, ifDead);
  }

  /** Happens now to one who is awake; else when it awakes, or never. For what comes about inside another event. */
  deliver(life: Life, run: () => void): void {
    if (!life.alive) return;
    if (life.stalledUntil > this.#now || life.held.length > 0) this.#hold(life, run);
    else run();
  }

  /** Nothing happens to it until then; after that all at once: what came from outside first, then turns and timers, late. */
  stall(life: Life, durationMs: number): void {
    life.stalledUntil = Math.max(life.stalledUntil, this.#now + durationMs);
    this.at(life.stalledUntil, this.always, () => this.#wake(life));
  }

  /** Moves time to the next event and delivers it; gives the one to whom it happened, if it did. */
  deliverNext(): Life | undefined {
    const event = this.#ready.length > 0 ? this.#ready.shift() : this.#removeFirst();
    if (event.at > this.#now) this.#now = event.at;
    const { life } = event;
    if (!life.alive) {
      event.ifDead?.();
      return undefined;
    }
    if (life.stalledUntil > this.#now) {
      life.held.push(event);
      return undefined;
    }
    this.trace.event(this.#now, life.number, event.kind);
    event.run();
    return life;
  }

  /** Moves time on where nothing happens. */
  advance(to: Mono): void {
    assert(to >= this.#now && to <= this.nextAt, 'time passes no event');
    this.#now = to;
  }

  #hold(life: Life, run: () => void): void {
    life.held.push({ at: this.#now, tiebreak: 0, life, kind: 'io', run, ifDead: undefined });
  }

  #wake(life: Life): void {
    if (!life.alive || life.stalledUntil > this.#now) return;
    const held = life.held.splice(0);
    for (const event of held) if (event.kind === 'io') this.#ready.push(event);
    for (const event of held) if (event.kind !== 'io') this.#ready.push(event);
  }

  #removeFirst(): SimEvent {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    assert(first !== undefined && last !== undefined, 'there is an event');
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#siftDown();
    }
    return first;
  }

  #siftUp(from: number): void {
    for (let index = from; index > 0; ) {
      const parent = (index - 1) >> 1;
      if (!this.#isBefore(index, parent)) return;
      this.#swap(index, parent);
      index = parent;
    }
  }

  #siftDown(): void {
    for (let index = 0; ; ) {
      const left = 2 * index + 1;
      const right = left + 1;
      if (left >= this.#heap.length) return;
      const least = right < this.#heap.length && this.#isBefore(right, left) ? right : left;
      if (!this.#isBefore(least, index)) return;
      this.#swap(index, least);
      index = least;
    }
  }

  #isBefore(left: number, right: number): boolean {
    const a = this.#heap[left] as SimEvent;
    const b = this.#heap[right] as SimEvent;
    return a.at < b.at || (a.at === b.at && a.tiebreak < b.tiebreak);
  }

  #swap(left: number, right: number): void {
    const held = this.#heap[left] as SimEvent;
    this.#heap[left] = this.#heap[right] as SimEvent;
    this.#heap[right] = held;
  }
}
