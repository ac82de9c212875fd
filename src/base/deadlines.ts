import type { Clock, Mono, Timer } from './ports.ts';

/** Something that is due once, unless it is cancelled first. */
export interface Deadline {
  readonly at: Mono;
  /** Undefined once it has run or was cancelled. */
  run: (() => void) | undefined;
}

/** Many one-shot deadlines over one timer of the clock: a binary heap, cancelled entries dropped lazily. Its users bound its length. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #heap: Deadline[] = [];
  #cancelled = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#timer = clock.timer(() => this.#fire());
  }

  after(delayMs: number, run: () => void): Deadline {
    const deadline: Deadline = { at: this.#clock.now() + delayMs, run };
    this.#heap.push(deadline);
    this.#siftUp(this.#heap.length - 1);
    if (this.#heap[0] === deadline) this.#timer.arm(Math.max(0, delayMs));
    return deadline;
  }

  cancel(deadline: Deadline): void {
    if (deadline.run === undefined) return;
    deadline.run = undefined;
    this.#cancelled += 1;
    // Long deadlines that are always cancelled (request timeouts) would otherwise pile up until they are due.
    if (this.#cancelled > 64 && this.#cancelled * 2 > this.#heap.length) this.#compact();
  }

  close(): void {
    this.#timer.disarm();
    this.#heap.length = 0;
    this.#cancelled = 0;
  }

  #fire(): void {
    const now = this.#clock.now();
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return;
      if (first.run !== undefined && first.at > now) {
        this.#timer.arm(first.at - now);
        return;
      }
      this.#removeFirst();
      const run = first.run;
      if (run === undefined) {
        this.#cancelled -= 1;
        continue;
      }
      first.run = undefined;
      run();
    }
  }

  #compact(): void {
    const live = this.#heap.filter((deadline) => deadline.run !== undefined);
    live.sort((a, b) => a.at - b.at);
    this.#heap.length = 0;
    this.#heap.push(...live);
    this.#cancelled = 0;
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const least = right < this.#heap.length && this.#at(right) < this.#at(left) ? right : left;
      if (this.#at(index) <= this.#at(least)) return;
      this.#swap(index, least);
      index = least;
    }
  }

  #siftUp(from: number): void {
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#at(parent) <= this.#at(index)) return;
      this.#swap(index, parent);
      index = parent;
    }
  }

  #at(index: number): Mono {
    return (this.#heap[index] as Deadline).at;
  }

  #swap(a: number, b: number): void {
    const held = this.#heap[a] as Deadline;
    this.#heap[a] = this.#heap[b] as Deadline;
    this.#heap[b] = held;
  }
}
