import { Fifo } from '#base/fifo';
import type { Outbox } from './outbox.ts';

/** More are refused. */
const READS_MAX = 10_000;

interface AskedRead {
  readonly ticket: number;
  readonly index: number;
  readonly round: number;
}

/** Reads that wait for the proof that this leader was the leader when they came (thesis §6.4). */
export class Reads {
  /** Tickets of those for which no round of heartbeats has begun yet. */
  readonly #waiting = new Fifo<number>();
  readonly #asked = new Fifo<AskedRead>();

  add(ticket: number, outbox: Outbox): void {
    if (this.#waiting.length + this.#asked.length >= READS_MAX) outbox.refusedReads.push(ticket);
    else this.#waiting.push(ticket);
  }

  /** Whether a round should begin for them: those that come during one wait for the next together. */
  needRound(): boolean {
    return this.#asked.length === 0 && this.#waiting.length > 0;
  }

  /** `index` covers whatever had been acknowledged when the round began. */
  roundBegins(round: number, index: number): void {
    for (const ticket of this.#waiting.drain()) this.#asked.push({ ticket, index, round });
  }

  /** A majority has answered that round. */
  confirmed(round: number, outbox: Outbox): void {
    for (let read = this.#asked.peek(); read !== undefined && read.round <= round; read = this.#asked.peek()) {
      outbox.reads.push({ ticket: read.ticket, index: read.index });
      this.#asked.shift();
    }
  }

  /** This replica leads no more. */
  refuse(outbox: Outbox): void {
    for (const { ticket } of this.#asked.drain()) outbox.refusedReads.push(ticket);
    for (const ticket of this.#waiting.drain()) outbox.refusedReads.push(ticket);
  }
}
