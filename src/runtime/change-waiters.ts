import type { Deadlines } from '#base/deadlines';

/** Requests that wait until something has changed, or their time is up; by what it is that changes. Their owner bounds both. */
export class ChangeWaiters<Key> {
  readonly #deadlines: Deadlines;
  readonly #waiting = new Map<Key, Set<() => void>>();

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  /** Resolves at the next change, or after so long. */
  wait(key: Key, forMs: number): Promise<void> {
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting);
    return new Promise((resolve) => {
      const goOn = (): void => {
        this.#deadlines.cancel(deadline);
        waiting.delete(goOn);
        resolve();
      };
      const deadline = this.#deadlines.after(forMs, goOn);
      waiting.add(goOn);
    });
  }

  changed(key: Key): void {
    for (const goOn of this.#waiting.get(key) ?? []) goOn();
  }
}
