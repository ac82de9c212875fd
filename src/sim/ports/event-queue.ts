import { assert } from '#base/assert';
import type { Mono, Random } from '#base/ports';

/** An incarnation of a node: what was to happen to it does not happen once it is dead. */
export interface Life {
  alive: boolean;
}

interface Event {
  readonly at: Mono;
  readonly tiebreak: number;
  readonly life: Life;
  readonly run: () => void;
}

/** Virtual time, and all that is to happen: by time, and by lot where times are equal. A binary heap, bounded by what the nodes have asked for. */
export class EventQueue {
  readonly #random: Random;
  readonly #heap: Event[] = [];
  #now: Mono = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  get now(): Mono {
    return this.#now;
  }

  /** When the next event is due; Infinity if there is none. */
  get nextAt(): Mono {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  at(time: Mono, life: Life, run: () => void): void {
    assert(time >= this.#now, 'nothing happens in the past');
    this.#heap.push({ at: time, tiebreak: this.#random.uint32(), life, run });
    this.#siftUp(this.#heap.length - 1);
  }

  after(delayMs: number, life: Life, run: () => void): void {
    this.at(this.#now + delayMs, life, run);
  }

  /** Moves time to the next event and delivers it. */
  deliverNext(): void {
    const event = this.#removeFirst();
    this.#now = event.at;
    if (event.life.alive) event.run();
  }

  /** Moves time on where nothing happens. */
  advance(to: Mono): void {
    assert(to >= this.#now && to <= this.nextAt, 'time passes no event');
    this.#now = to;
  }

  #removeFirst(): Event {
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
    const a = this.#heap[left] as Event;
    const b = this.#heap[right] as Event;
    return a.at < b.at || (a.at === b.at && a.tiebreak < b.tiebreak);
  }

  #swap(left: number, right: number): void {
    const held = this.#heap[left] as Event;
    this.#heap[left] = this.#heap[right] as Event;
    this.#heap[right] = held;
  }
}
