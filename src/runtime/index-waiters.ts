interface Waiter {
  readonly index: number;
  readonly run: () => void;
}

/** Who waits until an index of the log is reached; as many as there are requests that wait for their effect. */
export class IndexWaiters {
  /** Ascending by index; of one index in the order of their coming. */
  #waiters: Waiter[] = [];

  add(index: number, run: () => void): void {
    const at = this.#waiters.findLastIndex((other) => other.index <= index) + 1;
    this.#waiters.splice(at, 0, { index, run });
  }

  reached(index: number): void {
    let count = 0;
    while ((this.#waiters[count]?.index ?? Number.POSITIVE_INFINITY) <= index) count += 1;
    if (count > 0) for (const { run } of this.#waiters.splice(0, count)) run();
  }
}
