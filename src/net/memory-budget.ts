import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';

/**
 * A bound on bytes shared by all connections. A reservation succeeds while anything is left, so that one item larger
 * than the whole budget still passes when the rest is idle: the true bound is `limitBytes` and one item more.
 */
export class MemoryBudget {
  readonly limitBytes: number;
  #usedBytes = 0;
  /** At most one waiter a connection. */
  readonly #waiters = new Fifo<() => void>();
  #waking = false;

  constructor(limitBytes: number) {
    assert(limitBytes > 0, 'a budget has room for something');
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get freeBytes(): number {
    return Math.max(0, this.limitBytes - this.#usedBytes);
  }

  tryReserve(sizeBytes: number): boolean {
    if (this.#usedBytes >= this.limitBytes) return false;
    this.#usedBytes += sizeBytes;
    return true;
  }

  /** Takes it whatever is left: for what the caller has bounded by `freeBytes` and one item. */
  reserve(sizeBytes: number): void {
    this.#usedBytes += sizeBytes;
  }

  release(sizeBytes: number): void {
    this.#usedBytes -= sizeBytes;
    assert(this.#usedBytes >= 0, 'more memory released than was reserved');
    // A waiter's work may release in its turn: the outermost call wakes them all, so that the stack stays flat.
    if (this.#waking) return;
    this.#waking = true;
    // Whoever asks again has taken something, so this ends; it may have its turn again, because what it took may be released by now.
    while (this.#waiters.length > 0 && this.#usedBytes < this.limitBytes) this.#waiters.shift()();
    this.#waking = false;
  }

  /** `retry` runs once when there is room again, in the order of asking; it asks again if another was quicker. */
  whenFree(retry: () => void): void {
    this.#waiters.push(retry);
  }
}
