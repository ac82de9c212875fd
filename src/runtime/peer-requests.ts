import type { Deadline, Deadlines } from '#base/deadlines';
import type { PeerStats } from './peer-host.ts';
import type { PeerAnswer, PeerFailure } from './peer-types.ts';

/** Of one peer; it takes as many itself. */
export const REQUESTS_MAX = 256;

interface Pending {
  readonly resolve: (answer: PeerAnswer) => void;
  readonly deadline: Deadline;
  sent: boolean;
}

/** What one peer was asked and has not answered: each is answered once, whatever happens. At most REQUESTS_MAX, which the owner sees to. */
export class PeerRequests {
  readonly #deadlines: Deadlines;
  readonly #stats: PeerStats;
  readonly #pending = new Map<number, Pending>();
  #nextCorrelation = 0;

  constructor(deadlines: Deadlines, stats: PeerStats) {
    this.#deadlines = deadlines;
    this.#stats = stats;
  }

  get count(): number {
    return this.#pending.size;
  }

  /** Not that of a request on its way. */
  nextCorrelation(): number {
    do {
      this.#nextCorrelation = (this.#nextCorrelation + 1) >>> 0;
    } while (this.#pending.has(this.#nextCorrelation));
    return this.#nextCorrelation;
  }

  /** `sent`: false while it waits for a connection. */
  add(correlation: number, timeoutMs: number, sent: boolean): Promise<PeerAnswer> {
    return new Promise((resolve) => {
      const deadline = this.#deadlines.after(timeoutMs, () => this.#timeOut(correlation, timeoutMs));
      this.#pending.set(correlation, { resolve, deadline, sent });
    });
  }

  /** False if nobody waits for it any more. */
  markSent(correlation: number): boolean {
    const pending = this.#pending.get(correlation);
    if (pending !== undefined) pending.sent = true;
    return pending !== undefined;
  }

  /** Too late an answer is nobody's. */
  settle(correlation: number, answer: PeerAnswer): void {
    const pending = this.#pending.get(correlation);
    if (pending === undefined) return;
    this.#pending.delete(correlation);
    this.#deadlines.cancel(pending.deadline);
    if (answer.failure !== undefined) this.#stats.requestsFailed += 1;
    pending.resolve(answer);
  }

  /** There will be no answer to any of them. */
  failAll(reason: string): void {
    for (const [correlation, { sent }] of [...this.#pending]) {
      this.settle(correlation, failed(sent ? 'disconnected' : 'unreachable', reason));
    }
  }

  /** The connection that they were sent over is gone; those that wait for one still do. */
  failSent(reason: string): void {
    for (const [correlation, { sent }] of [...this.#pending]) {
      if (sent) this.settle(correlation, failed('disconnected', reason));
    }
  }

  #timeOut(correlation: number, timeoutMs: number): void {
    const sent = this.#pending.get(correlation)?.sent === true;
    const reason = sent ? `no answer within ${timeoutMs} ms` : `no connection within ${timeoutMs} ms`;
    this.settle(correlation, failed(sent ? 'timeout' : 'unreachable', reason));
  }
}

export function failed(failure: PeerFailure, reason: string): PeerAnswer {
  return { failure, reason };
}
