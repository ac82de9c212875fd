import type { Clock, Mono, Timer, Timestamp } from '#base/ports';

/** What setTimeout takes at most; a longer delay goes in several. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

/** The machine's clocks and the event loop's timers. */
export class NodeClock implements Clock {
  now(): Mono {
    return performance.now();
  }

  wall(): Timestamp {
    return Date.now();
  }

  timer(fire: (lateMs: number) => void): Timer {
    return new NodeTimer(fire);
  }

  defer(run: () => void): void {
    setImmediate(run);
  }
}

/**
 * A timer that is cheap to move: a timeout that is already pending and early enough stays, and arms itself for the rest.
 * It keeps the process alive only while it is armed.
 */
class NodeTimer implements Timer {
  readonly #fire: (lateMs: number) => void;
  readonly #elapsed = (): void => this.#onTimeout();
  readonly #polled = (): void => this.#onPolled();
  /** Infinity: disarmed. */
  #dueAt: Mono = Number.POSITIVE_INFINITY;
  #timeout: NodeJS.Timeout | undefined;
  #timeoutMs = 0;
  /** When the pending timeout elapses; Infinity: none is pending. */
  #elapsesAt: Mono = Number.POSITIVE_INFINITY;
  #awaitsPoll = false;

  constructor(fire: (lateMs: number) => void) {
    this.#fire = fire;
  }

  arm(delayMs: number): void {
    const now = performance.now();
    this.#dueAt = now + delayMs;
    if (this.#awaitsPoll) return;
    if (this.#elapsesAt <= this.#dueAt) this.#timeout?.ref();
    else this.#setTimeout(now);
  }

  disarm(): void {
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#timeout?.unref();
  }

  #setTimeout(now: Mono): void {
    const delayMs = Math.min(TIMEOUT_MAX_MS, Math.max(1, Math.ceil(this.#dueAt - now)));
    this.#elapsesAt = now + delayMs;
    if (this.#timeout !== undefined && delayMs === this.#timeoutMs) {
      this.#timeout.refresh().ref();
      return;
    }
    clearTimeout(this.#timeout);
    this.#timeout = setTimeout(this.#elapsed, delayMs);
    this.#timeoutMs = delayMs;
  }

  /** Due or not, what has arrived in the sockets meanwhile is served first: an immediate runs behind the next poll. */
  #onTimeout(): void {
    this.#elapsesAt = Number.POSITIVE_INFINITY;
    if (this.#dueAt === Number.POSITIVE_INFINITY) return;
    const now = performance.now();
    if (this.#dueAt > now) {
      this.#setTimeout(now);
      return;
    }
    this.#awaitsPoll = true;
    setImmediate(this.#polled);
  }

  #onPolled(): void {
    this.#awaitsPoll = false;
    if (this.#dueAt === Number.POSITIVE_INFINITY) return;
    const now = performance.now();
    if (this.#dueAt > now) {
      this.#setTimeout(now);
      return;
    }
    const lateMs = now - this.#dueAt;
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#fire(lateMs);
  }
}
