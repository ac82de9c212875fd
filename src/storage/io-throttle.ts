import type { Clock, Mono } from '#base/ports';

/** A sleeper looks this often whether it is still wanted. */
const SLICE_MS = 100;

/** Spreads reads and writes over time: so many bytes a second of all who share it, each waiting for what it has done already. */
export class IoThrottle {
  readonly #clock: Clock;
  #bytesPerSecond: number;
  #freeAt: Mono = 0;

  /** Infinity: no bound. */
  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
  }

  set bytesPerSecond(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#freeAt = 0;
  }

  /** Resolves when `sizeBytes` that were read or written are paid for, or nobody wants to wait any longer. */
  async spend(sizeBytes: number, isOver: () => boolean): Promise<void> {
    const now = this.#clock.now();
    const dueAt = Math.max(now, this.#freeAt) + (sizeBytes / this.#bytesPerSecond) * 1000;
    this.#freeAt = dueAt;
    while (!isOver() && this.#clock.now() < Math.min(dueAt, this.#freeAt)) {
      await this.#sleep(Math.min(SLICE_MS, dueAt - this.#clock.now()));
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.timer(() => resolve()).arm(ms));
  }
}
