import type { Clock, Mono, Timer, Timestamp } from '#base/ports';

interface Armed {
  at: Mono | undefined;
  readonly fire: (lateMs: number) => void;
}

/** Time that stands still until it is advanced. */
export class FakeClock implements Clock {
  #now: Mono = 1_000;
  readonly #timers: Armed[] = [];
  #deferred: (() => void)[] = [];

  now(): Mono {
    return this.#now;
  }

  wall(): Timestamp {
    return 1_700_000_000_000 + this.#now;
  }

  timer(fire: (lateMs: number) => void): Timer {
    const armed: Armed = { at: undefined, fire };
    this.#timers.push(armed);
    return {
      arm: (delayMs) => {
        armed.at = this.#now + delayMs;
      },
      disarm: () => {
        armed.at = undefined;
      },
    };
  }

  defer(run: () => void): void {
    this.#deferred.push(run);
  }

  /** Runs what was deferred, and what that defers. */
  turn(): void {
    while (this.#deferred.length > 0) {
      const due = this.#deferred;
      this.#deferred = [];
      for (const run of due) run();
    }
  }

  /** Fires each timer at its time, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      this.turn();
      const next = this.#timers
        .filter(({ at }) => at !== undefined && at <= end)
        .sort((a, b) => (a.at ?? 0) - (b.at ?? 0))[0];
      if (next?.at === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      const lateMs = this.#now - next.at;
      next.at = undefined;
      next.fire(lateMs);
    }
    this.#now = end;
  }

  /** The node did not run for so long: timers fire late. */
  stall(ms: number): void {
    this.#now += ms;
    this.advance(0);
  }
}
