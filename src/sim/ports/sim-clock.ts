import type { Clock, Mono, Random, Timer, Timestamp } from '#base/ports';
import type { EventQueue } from './event-queue.ts';
import type { Life } from './life.ts';
import { between } from './sim-random.ts';

/** The wall clock at the start of every simulation: 2026-01-01T00:00:00Z. */
const EPOCH_MS: Timestamp = 1_767_225_600_000;
/** A turn takes some time, so that a loop of deferred slices does not stop the world. */
const TURN_MS = 0.01;
const LATENESS_MS_MAX = 1;

/** The clocks of one machine, which outlive its processes: how fast they go, and how far the one on the wall is off. */
export class MachineTime {
  readonly #events: EventQueue;
  #rate = 1;
  #since = 0;
  #base = 0;
  #wallOffsetMs = 0;

  constructor(events: EventQueue) {
    this.#events = events;
  }

  get rate(): number {
    return this.#rate;
  }

  /** Never goes back. */
  get mono(): Mono {
    return this.#base + (this.#events.now - this.#since) * this.#rate;
  }

  get wall(): Timestamp {
    return EPOCH_MS + Math.floor(this.mono + this.#wallOffsetMs);
  }

  /** From now on it runs so much faster than the world. */
  setRate(rate: number): void {
    this.#base = this.mono;
    this.#since = this.#events.now;
    this.#rate = rate;
  }

  /** Somebody sets the clock on the wall. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }
}

/** Virtual time, for one incarnation of a node. */
export class SimClock implements Clock {
  readonly #events: EventQueue;
  readonly #life: Life;
  readonly #random: Random;
  readonly #time: MachineTime;
  readonly #startedAt: Mono;

  constructor(events: EventQueue, life: Life, random: Random, time: MachineTime) {
    this.#events = events;
    this.#life = life;
    this.#random = random;
    this.#time = time;
    this.#startedAt = life === events.always ? 0 : time.mono;
  }

  now(): Mono {
    return this.#time.mono - this.#startedAt;
  }

  wall(): Timestamp {
    return this.#time.wall;
  }

  timer(fire: (lateMs: number) => void): Timer {
    return new SimTimer(this.#events, this.#life, this.#random, this.#time, fire);
  }

  defer(run: () => void): void {
    this.#events.after(TURN_MS, this.#life, run, 'turn');
  }
}

/** Fires up to a millisecond late. An event that is pending and early enough stays when the timer moves. */
class SimTimer implements Timer {
  readonly #events: EventQueue;
  readonly #life: Life;
  readonly #random: Random;
  readonly #time: MachineTime;
  readonly #fire: (lateMs: number) => void;
  readonly #elapsed = (): void => this.#onElapsed();
  /** By the machine's clock. */
  #dueAt: Mono = Number.POSITIVE_INFINITY;
  /** When the pending event comes, by the world's; Infinity if none is pending. Of several, the earliest. */
  #elapsesAt: Mono = Number.POSITIVE_INFINITY;

  constructor(events: EventQueue, life: Life, random: Random, time: MachineTime, fire: (lateMs: number) => void) {
    this.#events = events;
    this.#life = life;
    this.#random = random;
    this.#time = time;
    this.#fire = fire;
  }

  arm(delayMs: number): void {
    this.#dueAt = this.#time.mono + Math.max(0, delayMs);
    if (this.#elapsesAt > this.#events.now + Math.max(0, delayMs) / this.#time.rate + LATENESS_MS_MAX) this.#await();
  }

  disarm(): void {
    this.#dueAt = Number.POSITIVE_INFINITY;
  }

  #await(): void {
    const delayMs = Math.max(0, this.#dueAt - this.#time.mono) / this.#time.rate;
    // A thousandth more: what rounding takes away must not bring it early.
    this.#elapsesAt = this.#events.now + delayMs + between(this.#random, 0.001, LATENESS_MS_MAX);
    this.#events.at(this.#elapsesAt, this.#life, this.#elapsed, 'timer');
  }

  #onElapsed(): void {
    const { now } = this.#events;
    // A later event than the one that counts: an earlier one has taken its place.
    if (now < this.#elapsesAt) return;
    this.#elapsesAt = Number.POSITIVE_INFINITY;
    if (this.#dueAt === Number.POSITIVE_INFINITY) return;
    const lateMs = this.#time.mono - this.#dueAt;
    if (lateMs < 0) {
      this.#await();
      return;
    }
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#fire(lateMs);
  }
}
