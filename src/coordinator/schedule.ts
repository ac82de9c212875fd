import { at } from '#base/assert';
import type { Mono } from '#base/ports';

/** Something in a Schedule; only the schedule writes these. */
export interface Scheduled {
  dueAt: Mono;
  /** Its place in the heap; -1 outside. */
  place: number;
}

/** Who is due next: a binary heap in which each item has at most one place, so it is never longer than its items. */
export class Schedule<Item extends Scheduled> {
  readonly #heap: Item[] = [];

  /** Infinity when nothing is due ever. */
  get nextDueAt(): Mono {
    return this.#heap[0]?.dueAt ?? Number.POSITIVE_INFINITY;
  }

  /** Moves the item to `dueAt`; Infinity takes it out. */
  set(item: Item, dueAt: Mono): void {
    if (dueAt === Number.POSITIVE_INFINITY) {
      this.#remove(item);
      return;
    }
    const before = item.dueAt;
    if (item.place >= 0 && dueAt === before) return;
    item.dueAt = dueAt;
    if (item.place < 0) {
      item.place = this.#heap.length;
      this.#heap.push(item);
      this.#rise(item);
    } else if (dueAt < before) this.#rise(item);
    else this.#sink(item);
  }

  /** Takes out an item that is due, or gives undefined. */
  take(now: Mono): Item | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueAt > now) return undefined;
    this.#remove(first);
    return first;
  }

  #remove(item: Item): void {
    const place = item.place;
    item.dueAt = Number.POSITIVE_INFINITY;
    if (place < 0) return;
    item.place = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === item) return;
    this.#put(last, place);
    this.#rise(last);
    this.#sink(last);
  }

  #rise(item: Item): void {
    while (item.place > 0) {
      const parent = at(this.#heap, (item.place - 1) >> 1);
      if (parent.dueAt <= item.dueAt) return;
      this.#swap(item, parent);
    }
  }

  #sink(item: Item): void {
    for (;;) {
      const left = this.#heap[2 * item.place + 1];
      if (left === undefined) return;
      const right = this.#heap[2 * item.place + 2];
      const least = right !== undefined && right.dueAt < left.dueAt ? right : left;
      if (item.dueAt <= least.dueAt) return;
      this.#swap(item, least);
    }
  }

  #swap(a: Item, b: Item): void {
    const place = a.place;
    this.#put(a, b.place);
    this.#put(b, place);
  }

  #put(item: Item, place: number): void {
    this.#heap[place] = item;
    item.place = place;
  }
}
