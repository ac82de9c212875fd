import { assert } from '#base/assert';
import type { Mono, Random } from '#base/ports';
import { between } from './sim-random.ts';

const LATENCY_MS_MIN = 0.02;
const LATENCY_MS_MAX = 0.5;
/** The first wait of a kernel that repeats what was not acknowledged; each further one is twice as long. */
const RETRY_MS_MIN = 200;

/** What begins, and lasts until it is over; a clog knows when it ends. */
export type LinkFault = 'cut' | 'slow' | 'refusal';
const FAULTS: readonly LinkFault[] = ['cut', 'slow', 'refusal'];

/**
 * The way from one host to another. What is lost on it is repeated by the sender's kernel, later and later, as TCP does: a connection
 * loses nothing, but may stand still for long after the way is good again.
 */
export class SimLink {
  readonly #random: Random;
  /** One way, and by itself: in use, or cut. */
  #cutSince: Mono | undefined;
  /** Everything waits until then, and comes at once. */
  #cloggedUntil: Mono = 0;
  #delayMsMax = LATENCY_MS_MAX;
  #bytesPerMs = Number.POSITIVE_INFINITY;
  /** When a slow link will have sent what it was given. */
  #busyUntil: Mono = 0;
  #lastArrivalAt: Mono = 0;
  /** Faults of each kind that last: whichever ends first, the others go on. */
  readonly #lasting: Record<LinkFault, number> = { cut: 0, slow: 0, refusal: 0 };
  /** When it last did. */
  refusedAt: Mono = Number.NEGATIVE_INFINITY;
  /** Until when something was wrong with it, or kernels that had lost something on it were still waiting. */
  #faultyUntil: Mono = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** A firewall answers for whoever listens. */
  get refuses(): boolean {
    return this.#lasting.refusal > 0;
  }

  get isCut(): boolean {
    return this.#cutSince !== undefined;
  }

  /** Since when what is sent arrives, without a delay worth speaking of; Infinity if something is wrong now. */
  goodSince(now: Mono): Mono {
    const since = Math.max(this.#faultyUntil, this.#cloggedUntil);
    return this.isCut || this.refuses || this.#isSlow || since > now ? Number.POSITIVE_INFINITY : since;
  }

  get #isSlow(): boolean {
    return this.#bytesPerMs !== Number.POSITIVE_INFINITY || this.#delayMsMax > LATENCY_MS_MAX;
  }

  /** When the last of what was sent comes, or came. */
  get lastArrivalAt(): Mono {
    return this.#lastArrivalAt;
  }

  /** Since when nothing has come over it any more, because it is cut; Infinity if it is not. */
  get cutOffSince(): Mono {
    return this.#cutSince === undefined ? Number.POSITIVE_INFINITY : Math.max(this.#cutSince, this.#lastArrivalAt);
  }

  cut(now: Mono): void {
    this.#lasting.cut += 1;
    this.#cutSince ??= now;
  }

  refuse(): void {
    this.#lasting.refusal += 1;
  }

  clog(until: Mono): void {
    this.#cloggedUntil = Math.max(this.#cloggedUntil, until);
  }

  /** In the place of another slowness, if it has one. */
  slow(delayMsMax: number, bytesPerMs: number): void {
    this.#lasting.slow += 1;
    this.#delayMsMax = Math.max(LATENCY_MS_MAX, delayMsMax);
    this.#bytesPerMs = bytesPerMs;
  }

  /** One fault has ended; what was sent before may still be on its way. */
  over(fault: LinkFault, now: Mono): void {
    assert(this.#lasting[fault] > 0, 'a fault that lasts');
    this.#lasting[fault] -= 1;
    if (this.#lasting[fault] === 0) this.#end(fault, now);
  }

  /** As good as new, whatever lasts. */
  heal(now: Mono): void {
    for (const fault of FAULTS) {
      if (this.#lasting[fault] > 0) this.#end(fault, now);
      this.#lasting[fault] = 0;
    }
    if (this.#cloggedUntil > now) this.disturbed(this.#cloggedUntil);
    this.#cloggedUntil = Math.min(this.#cloggedUntil, now);
  }

  #end(fault: LinkFault, now: Mono): void {
    this.disturbed(now);
    if (fault === 'cut') {
      // What was lost at its end is repeated when as much time again has passed, at the latest.
      this.disturbed(now + (now - (this.#cutSince ?? now)) + RETRY_MS_MIN);
      this.#cutSince = undefined;
    } else if (fault === 'slow') {
      this.disturbed(this.#busyUntil);
      this.#bytesPerMs = Number.POSITIVE_INFINITY;
      this.#delayMsMax = LATENCY_MS_MAX;
      this.#busyUntil = 0;
    }
  }

  /** Something else befell those who use it: nobody may rely on what was before `until`. */
  disturbed(until: Mono): void {
    this.#faultyUntil = Math.max(this.#faultyUntil, until);
  }

  /** When bytes that are sent now arrive, if it is not cut; the caller keeps those of one connection in order. */
  arrival(now: Mono, bytes: number): Mono {
    const start = Math.max(now, this.#cloggedUntil, this.#busyUntil);
    let sent = start;
    if (this.#bytesPerMs !== Number.POSITIVE_INFINITY) {
      sent += bytes / this.#bytesPerMs;
      this.#busyUntil = sent;
    }
    const arrival = sent + between(this.#random, LATENCY_MS_MIN, this.#delayMsMax);
    this.#lastArrivalAt = Math.max(this.#lastArrivalAt, arrival);
    return arrival;
  }

  /** When a kernel that has tried `attempts` times tries again. */
  retryAfterMs(attempts: number): number {
    return RETRY_MS_MIN * 2 ** Math.min(attempts, 10) * between(this.#random, 1, 1.1);
  }
}
