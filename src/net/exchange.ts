import type { Endpoint } from '#base/ports';
import type { MemoryBudget } from './memory-budget.ts';
import type { FrameMemory } from './request-memory.ts';

/** One request on its way. The handler answers it exactly once: with `respond`, `finish` or `refuse`. */
export interface Exchange {
  /** The request without its length prefix; the handler owns it and may keep views of it. */
  readonly frame: Uint8Array;
  readonly remote: Endpoint;
  /** Which of the node's listeners it came in by: the client is told the addresses of that one. */
  readonly listenerName: string;
  /** Bytes that answers may still hold before consumers must wait; see MemoryBudget. */
  readonly responseBudget: MemoryBudget;
  /** A Produce request has reached its logs: the next Produce of the connection may start. */
  reachedLog(): void;
  /**
   * The whole answer with its length prefix; `sizeBytes` is the sum of the chunks, which are lent until `sent` runs: once, when the
   * kernel has them, or when the connection is gone.
   */
  respond(chunks: readonly Uint8Array[], sizeBytes: number, sent?: () => void): void;
  /** There is no answer on the wire (acks=0). */
  finish(): void;
  /** The request cannot be answered: one log line, and the connection is closed. */
  refuse(reason: string): void;
  /**
   * The request's memory stays reserved, past the answer, until the function that it gives is called: once. For what an answer does
   * not wait for but the frame is still needed for.
   */
  holdMemory(): () => void;
  /** `run` is called when nobody waits for the answer any more, at once if that is so already; not after the answer. */
  whenGone(run: () => void): void;
  /**
   * `run` is called, once, when another request of the connection waits behind this one, at once if one does; not after the answer. A
   * request that may wait long can then be answered with what there is.
   */
  whenFollowed(run: () => void): void;
}

export type Handler = (exchange: Exchange) => void;

/** A request in the queue of its connection, from when it is whole until its answer is sent. */
export interface Pending {
  readonly frame: Uint8Array;
  readonly memory: FrameMemory;
  readonly overlaps: boolean;
  reached: boolean;
  answered: boolean;
  /** See Exchange.holdMemory. */
  holds: number;
  gone: (() => void) | undefined;
  followed: (() => void) | undefined;
  response: readonly Uint8Array[] | undefined;
  responseBytes: number;
  sent: (() => void) | undefined;
}

/** The connection, as its exchanges see it. */
export interface ExchangeOwner {
  readonly remote: Endpoint;
  readonly listenerName: string;
  readonly responseBudget: MemoryBudget;
  reachedLog(pending: Pending): void;
  /** `response` is undefined if there is none on the wire. */
  answer(pending: Pending, response: readonly Uint8Array[] | undefined, responseBytes: number, sent?: () => void): void;
  refuse(pending: Pending, reason: string): void;
  holdMemory(pending: Pending): () => void;
  whenGone(pending: Pending, run: () => void): void;
  whenFollowed(pending: Pending, run: () => void): void;
}

/** An Exchange over its place in the connection's queue. */
export class PendingExchange implements Exchange {
  readonly #owner: ExchangeOwner;
  readonly #pending: Pending;

  constructor(owner: ExchangeOwner, pending: Pending) {
    this.#owner = owner;
    this.#pending = pending;
  }

  get frame(): Uint8Array {
    return this.#pending.frame;
  }

  get remote(): Endpoint {
    return this.#owner.remote;
  }

  get listenerName(): string {
    return this.#owner.listenerName;
  }

  get responseBudget(): MemoryBudget {
    return this.#owner.responseBudget;
  }

  reachedLog(): void {
    this.#owner.reachedLog(this.#pending);
  }

  respond(chunks: readonly Uint8Array[], sizeBytes: number, sent?: () => void): void {
    this.#owner.answer(this.#pending, chunks, sizeBytes, sent);
  }

  finish(): void {
    this.#owner.answer(this.#pending, undefined, 0);
  }

  refuse(reason: string): void {
    this.#owner.refuse(this.#pending, reason);
  }

  holdMemory(): () => void {
    return this.#owner.holdMemory(this.#pending);
  }

  whenGone(run: () => void): void {
    this.#owner.whenGone(this.#pending, run);
  }

  whenFollowed(run: () => void): void {
    this.#owner.whenFollowed(this.#pending, run);
  }
}
