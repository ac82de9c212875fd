import type { Clock, Mono, Random, Timer, Timestamp } from '#base/ports';
import type { EventQueue, Life } from './event-queue.ts';
import { between } from './sim-random.ts';

/** The wall clock at the start of every simulation: 2026-01-01T00:00:00Z. */
const EPOCH_MS: Timestamp = 1_767_225_600_000;
/** A turn takes some time, so that a loop of deferred slices does not stop the world. */
const TURN_MS = 0.01;
const LATENESS_MS_MAX = 1;

/** Virtual time, for one incarnation of a node. */
export class SimClock implements Clock {
  readonly #events: EventQueue;
  readonly #life: Life;
  readonly #random: Random;

  constructor(events: EventQueue, life: Life, random: Random) {
    this.#events = events;
    this.#life = life;
    this.#random = random;
  }

  now(): Mono {
    return this.#events.now;
  }

  wall(): Timestamp {
    return EPOCH_MS + Math.floor(this.#events.now);
  }

  timer(fire: (lateMs: number) => void): Timer {
    return new SimTimer(this.#events, this.#life, this.#random, fire);
  }

  defer(run: () => void): void {
    this.#events.after(TURN_MS, this.#life, run);
  }
}

/** Fires up to a millisecond late. An event that is pending and early enough stays when the timer moves. */
class SimTimer implements Timer {
  readonly #events: EventQueue;
  readonly #life: Life;
  readonly #random: Random;
  readonly #fire: (lateMs: number) => void;
  readonly #elapsed = (): void => this.#onElapsed();
  #dueAt: Mono = Number.POSITIVE_INFINITY;
  /** When the pending event comes; Infinity if none is pending. Of several, the earliest. */
  #elapsesAt: Mono = Number.POSITIVE_INFINITY;

  constructor(events: EventQueue, life: Life, random: Random, fire: (lateMs: number) => void) {
    this.#events = events;
    this.#life = life;
    this.#random = random;
    this.#fire = fire;
  }

  arm(delayMs: number): void {
    this.#dueAt = this.#events.now + Math.max(0, delayMs);
    if (this.#elapsesAt > this.#dueAt + LATENESS_MS_MAX) this.#await();
  }

  disarm(): void {
    this.#dueAt = Number.POSITIVE_INFINITY;
  }

  #await(): void {
    this.#elapsesAt = this.#dueAt + between(this.#random, 0, LATENESS_MS_MAX);
    this.#events.at(this.#elapsesAt, this.#life, this.#elapsed);
  }

  #onElapsed(): void {
    const { now } = this.#events;
    // A later event than the one that counts: an earlier one has taken its place.
    if (now < this.#elapsesAt) return;
    this.#elapsesAt = Number.POSITIVE_INFINITY;
    if (this.#dueAt === Number.POSITIVE_INFINITY) return;
    if (this.#dueAt > now) {
      this.#await();
      return;
    }
    const lateMs = now - this.#dueAt;
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#fire(lateMs);
  }
}
