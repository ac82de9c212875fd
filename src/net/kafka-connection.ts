import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Connection, Endpoint, Mono, Receiver } from '#base/ports';
import { type ExchangeOwner, type Handler, type Pending, PendingExchange } from './exchange.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { type FrameMemory, frameMemory, type MemoryWaiter, type RequestMemory } from './request-memory.ts';

const LENGTH_PREFIX_BYTES = 4;
const API_KEY_BYTES = 2;
const PRODUCE_API_KEY = 0;
/** Requests of one connection that are read and not answered yet; beyond it the socket is not read from. */
const MAX_IN_FLIGHT = 64;
/** Together, of requests that wait for one before them that may take long to be answered; the rest waits in the socket. */
const READ_AHEAD_BYTES = 64 * 1024;
/** Bytes of answers that the peer has not taken; beyond it the socket is not read from. */
const MAX_UNSENT_BYTES = 1 << 20;
/** A frame on its way that has grown by less than this, and is not whole, has made no progress. */
const PROGRESS_BYTES_MIN = 64 * 1024;

/** What the connections of one node share. */
export interface ConnectionContext {
  readonly listenerName: string;
  /** Where bytes of all connections are read to, one read at a time. */
  readonly slab: Uint8Array;
  readonly requestMemory: RequestMemory;
  readonly responseBudget: MemoryBudget;
  readonly maxRequestBytes: number;
  now(): Mono;
  handle: Handler;
  /** False while the node is starting: requests wait, within the bounds of any other. */
  serving(): boolean;
  refused(connection: KafkaConnection, reason: string): void;
  ended(connection: KafkaConnection): void;
}

/** A frame of which some bytes have come. Its buffer is what it has been given of its memory, and grows with that. */
interface Unfinished {
  readonly memory: FrameMemory;
  buffer: Uint8Array;
  filled: number;
}

interface Unsent {
  readonly sizeBytes: number;
  readonly sent: (() => void) | undefined;
  /** Of the connection's sent bytes, where this answer ends. */
  readonly endsAt: number;
}

/**
 * One client connection: frames in, answers out in the order of the requests. Only Produce requests overlap: they start
 * in the order of arrival, each once its predecessor has reached the log, and wait for their acknowledgements in
 * parallel; every other request starts when all before it are answered, as in Kafka.
 */
export class KafkaConnection implements Receiver, ExchangeOwner {
  readonly #connection: Connection;
  readonly #context: ConnectionContext;
  readonly #pending = new Fifo<Pending>();
  readonly #unsent = new Fifo<Unsent>();
  #startedCount = 0;
  #starting = false;
  #partial: Unfinished | undefined;
  /** Bytes behind the last frame that could be taken: too few to tell length and API, or what arrived before a pause took hold (≤ one slab). */
  #leftover: Uint8Array | undefined;
  /** While the next frame, or the one that is being filled, waits for memory. */
  #waiter: MemoryWaiter | undefined;
  /** The next frame is not taken until it may start, or those before it have: see READ_AHEAD_BYTES. */
  #waitsForTurn = false;
  /** Of the requests that have not started. */
  #waitingBytes = 0;
  #paused = false;
  /** Nothing is read and nothing is sent any more, but what was sent may still be on its way. */
  #ended = false;
  #closed = false;
  #sentBytes = 0;
  #flushedBytes = 0;
  #lastActive: Mono;
  #lastTaken: Mono;
  /** When the frame that is being filled, or reading itself, has last got on, and how much of the frame was there. */
  #progressAt: Mono;
  #progressFilled = 0;

  constructor(connection: Connection, context: ConnectionContext) {
    this.#connection = connection;
    this.#context = context;
    this.#lastActive = context.now();
    this.#lastTaken = this.#lastActive;
    this.#progressAt = this.#lastActive;
  }

  get remote(): Endpoint {
    return this.#connection.remote;
  }

  /** Since when nothing was asked and nothing is owed; undefined while a request is in flight. */
  get idleSince(): Mono | undefined {
    return this.#pending.length > 0 || this.#unsent.length > 0 ? undefined : this.#lastActive;
  }

  /** Since when the peer has taken nothing of what is waiting for it; undefined if nothing waits. */
  get stalledSince(): Mono | undefined {
    return this.#unsent.length > 0 ? this.#lastTaken : undefined;
  }

  /** Since when the frame that the peer has begun has not got on, though we read; undefined if there is none. */
  get unfinishedSince(): Mono | undefined {
    return this.#partial !== undefined && !this.#paused ? this.#progressAt : undefined;
  }

  buffer(): Uint8Array {
    const partial = this.#partial;
    // Of a full one that waits for memory nothing is read: this buffer is never used, but must have room.
    if (partial === undefined || partial.filled === partial.buffer.length) return this.#context.slab;
    return partial.buffer.subarray(partial.filled);
  }

  received(bytes: number): void {
    if (this.#ended) return;
    this.#lastActive = this.#context.now();
    const partial = this.#partial;
    if (partial !== undefined) {
      assert(partial.filled + bytes <= partial.buffer.length, 'nothing is read while a full frame waits for memory');
      partial.filled += bytes;
      if (partial.filled - this.#progressFilled >= PROGRESS_BYTES_MIN) this.#noteProgress();
      if (partial.filled === partial.buffer.length) this.#extendPartial(partial);
    } else {
      this.#take(this.#context.slab.subarray(0, bytes), true);
    }
    this.#tellFollowed();
    this.start();
    this.#updateReading();
  }

  flushed(queuedBytes: number): void {
    this.#flushedBytes = this.#sentBytes - queuedBytes;
    this.#lastTaken = this.#context.now();
    for (let first = this.#unsent.peek(); first !== undefined && first.endsAt <= this.#flushedBytes; ) {
      this.#unsent.shift();
      this.#context.responseBudget.release(first.sizeBytes);
      first.sent?.();
      first = this.#unsent.peek();
    }
    this.#updateReading();
  }

  closed(cause: 'end' | 'reset' | 'refused' | 'timeout' | 'error'): void {
    if (this.#closed) return;
    this.#closed = true;
    // What arrived whole before a clean end is still done (acks=0 producers close at once); after a reset it is not.
    this.#end(cause !== 'end');
    for (const answer of this.#unsent.drain()) {
      this.#context.responseBudget.release(answer.sizeBytes);
      answer.sent?.();
    }
    this.#context.ended(this);
  }

  /** Drops the connection at once. */
  reset(): void {
    if (this.#closed) return;
    this.#connection.reset();
    this.closed('reset');
  }

  /** The node goes: the peer gets what the kernel has of earlier answers and sees an end, no error. Answers that wait to be sent are dropped. */
  leave(): void {
    if (this.#closed) return;
    // Their bytes are lent until they are out, and go back to their owners now.
    if (this.#unsent.length > 0) return this.reset();
    this.#connection.end();
    this.closed('reset');
  }

  /** Cuts frames out of `bytes`; what is not taken is kept as leftover (copied if it is the shared slab's). */
  #take(bytes: Uint8Array, shared: boolean): void {
    let data = bytes;
    if (this.#leftover !== undefined && shared) {
      data = Buffer.concat([this.#leftover, bytes]);
      shared = false;
    }
    this.#leftover = undefined;
    this.#waitsForTurn = false;
    let at = 0;
    while (data.length - at >= LENGTH_PREFIX_BYTES && this.#pending.length < MAX_IN_FLIGHT) {
      const sizeBytes =
        ((data[at] as number) << 24) |
        ((data[at + 1] as number) << 16) |
        ((data[at + 2] as number) << 8) |
        (data[at + 3] as number);
      if (sizeBytes < 8 || sizeBytes > this.#context.maxRequestBytes) {
        this.#refuse(`a request of ${sizeBytes} bytes (8 to ${this.#context.maxRequestBytes} are accepted)`);
        return;
      }
      if (this.#waitingBytes > 0) this.start();
      if (this.#ended) return;
      if (this.#isBlocked && this.#waitingBytes + sizeBytes > READ_AHEAD_BYTES) {
        this.#waitsForTurn = true;
        break;
      }
      if (data.length - at < LENGTH_PREFIX_BYTES + API_KEY_BYTES) break;
      const memory = frameMemory(sizeBytes, isProduce(data, at + LENGTH_PREFIX_BYTES));
      if (!this.#context.requestMemory.tryGrow(memory)) {
        this.#waitFor(memory);
        break;
      }
      at += LENGTH_PREFIX_BYTES;
      // Not pooled: batches live on in the tail cache, and a small view must not pin a pool.
      const buffer = Buffer.allocUnsafeSlow(memory.heldBytes);
      const available = Math.min(buffer.length, data.length - at);
      buffer.set(data.subarray(at, at + available));
      at += available;
      if (available < sizeBytes) {
        assert(available < buffer.length, 'the first memory of a frame is more than what is read at once');
        this.#partial = { memory, buffer, filled: available };
        this.#noteProgress();
        return;
      }
      this.#push(buffer, memory);
    }
    if (at < data.length) this.#leftover = shared ? Buffer.from(data.subarray(at)) : data.subarray(at);
  }

  /** What it has been given is full: it is whole, or grows. */
  #extendPartial(partial: Unfinished): void {
    const { memory, buffer, filled } = partial;
    if (filled === memory.frameBytes) {
      this.#partial = undefined;
      this.#push(buffer, memory);
      return;
    }
    if (!this.#context.requestMemory.tryGrow(memory)) {
      this.#waitFor(memory);
      return;
    }
    // Others may have been served before it returned.
    if (this.#ended) return;
    partial.buffer = Buffer.allocUnsafeSlow(memory.heldBytes);
    partial.buffer.set(buffer);
  }

  #push(frame: Uint8Array, memory: FrameMemory): void {
    this.#waitingBytes += frame.length;
    this.#pending.push({
      frame,
      memory,
      overlaps: isProduce(frame, 0),
      reached: false,
      answered: false,
      holds: 0,
      gone: undefined,
      followed: undefined,
      response: undefined,
      responseBytes: 0,
      sent: undefined,
    });
  }

  #waitFor(memory: FrameMemory): void {
    this.#waiter ??= this.#context.requestMemory.whenFree(memory, () => {
      this.#waiter = undefined;
      this.#resume();
    });
  }

  #noteProgress(): void {
    this.#progressAt = this.#context.now();
    this.#progressFilled = this.#partial?.filled ?? 0;
  }

  #resume(): void {
    if (this.#ended) return;
    const leftover = this.#leftover;
    const partial = this.#partial;
    if (partial !== undefined) {
      if (partial.filled === partial.buffer.length) this.#extendPartial(partial);
    } else if (leftover !== undefined) {
      this.#take(leftover, false);
      this.start();
    }
    this.#updateReading();
  }

  /** Starts what may start; handlers that answer at once do not nest. */
  start(): void {
    if (this.#starting || !this.#context.serving()) return;
    this.#starting = true;
    for (;;) {
      const next = this.#pending.peek(this.#startedCount);
      if (next === undefined || !this.#mayStart(next)) break;
      this.#startedCount += 1;
      this.#waitingBytes -= next.frame.length;
      this.#context.handle(new PendingExchange(this, next));
    }
    this.#starting = false;
    if (this.#waitsForTurn && !this.#isBlocked) this.#resume();
  }

  /** Whether a request that came now would wait for another's answer; the acknowledgements that Produce requests await come soon. */
  get #isBlocked(): boolean {
    const last = this.#pending.peek(this.#pending.length - 1);
    return last !== undefined && !(last.overlaps && last.reached);
  }

  #mayStart(next: Pending): boolean {
    if (this.#startedCount === 0) return true;
    const before = this.#pending.peek(this.#startedCount - 1);
    return next.overlaps && before?.overlaps === true && before.reached;
  }

  reachedLog(pending: Pending): void {
    if (pending.reached) return;
    pending.reached = true;
    this.start();
  }

  answer(
    pending: Pending,
    response: readonly Uint8Array[] | undefined,
    responseBytes: number,
    sent?: () => void,
  ): void {
    assert(!pending.answered, 'a request is answered once');
    pending.answered = true;
    pending.reached = true;
    pending.response = response;
    pending.responseBytes = responseBytes;
    pending.sent = sent;
    pending.gone = undefined;
    pending.followed = undefined;
    if (pending.holds === 0) this.#context.requestMemory.release(pending.memory);
    for (let first = this.#pending.peek(); first?.answered === true; first = this.#pending.peek()) {
      this.#pending.shift();
      this.#startedCount -= 1;
      if (first.response !== undefined) this.#send(first.response, first.responseBytes, first.sent);
    }
    this.start();
    if (this.#leftover !== undefined && this.#waiter === undefined && this.#pending.length < MAX_IN_FLIGHT)
      this.#resume();
    else this.#updateReading();
  }

  refuse(pending: Pending, reason: string): void {
    pending.gone = undefined;
    // First, so that nothing behind it is started.
    this.#refuse(reason);
    this.answer(pending, undefined, 0);
  }

  holdMemory(pending: Pending): () => void {
    assert(!pending.answered, 'memory is held before the answer');
    pending.holds += 1;
    let held = true;
    return () => {
      assert(held, 'memory is let go once');
      held = false;
      pending.holds -= 1;
      if (pending.holds === 0 && pending.answered) this.#context.requestMemory.release(pending.memory);
    };
  }

  whenGone(pending: Pending, run: () => void): void {
    if (pending.answered) return;
    if (this.#ended) run();
    else pending.gone = run;
  }

  whenFollowed(pending: Pending, run: () => void): void {
    if (pending.answered) return;
    if (this.#isFollowed) run();
    else pending.followed = run;
  }

  /** Whether a request waits for one that has started. */
  get #isFollowed(): boolean {
    return this.#pending.length > this.#startedCount || this.#waitsForTurn;
  }

  #tellFollowed(): void {
    if (this.#startedCount === 0 || !this.#isFollowed) return;
    const last = this.#pending.peek(this.#startedCount - 1);
    const run = last?.followed;
    if (last === undefined || run === undefined) return;
    last.followed = undefined;
    run();
  }

  get responseBudget(): MemoryBudget {
    return this.#context.responseBudget;
  }

  get listenerName(): string {
    return this.#context.listenerName;
  }

  #send(chunks: readonly Uint8Array[], sizeBytes: number, sent: (() => void) | undefined): void {
    if (this.#ended) return sent?.();
    if (this.#unsent.length === 0) this.#lastTaken = this.#context.now();
    this.#lastActive = this.#context.now();
    this.#sentBytes += sizeBytes;
    this.#context.responseBudget.reserve(sizeBytes);
    this.#unsent.push({ sizeBytes, sent, endsAt: this.#sentBytes });
    this.#connection.send(chunks);
  }

  /** The peer still gets what was answered before; `closed` comes when it has, or takes too long. */
  #refuse(reason: string): void {
    if (this.#ended) return;
    this.#context.refused(this, reason);
    this.#connection.end();
    this.#end(true);
  }

  #end(dropsWaiting: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    const partial = this.#partial;
    this.#partial = undefined;
    this.#leftover = undefined;
    if (this.#waiter !== undefined) this.#context.requestMemory.forget(this.#waiter);
    this.#waiter = undefined;
    if (partial !== undefined) this.#context.requestMemory.release(partial.memory);
    if (dropsWaiting) this.#dropWaiting();
    const gone: (() => void)[] = [];
    for (let index = 0; index < this.#startedCount; index += 1) {
      const pending = this.#pending.peek(index);
      if (pending?.gone !== undefined) gone.push(pending.gone);
    }
    for (const run of gone) run();
  }

  #dropWaiting(): void {
    const started: Pending[] = [];
    for (const [index, pending] of this.#pending.drain().entries()) {
      if (index < this.#startedCount) started.push(pending);
      else {
        this.#waitingBytes -= pending.frame.length;
        this.#context.requestMemory.release(pending.memory);
      }
    }
    for (const pending of started) this.#pending.push(pending);
  }

  #updateReading(): void {
    if (this.#ended) return;
    const unsent = this.#sentBytes - this.#flushedBytes;
    const mustPause =
      this.#waiter !== undefined ||
      this.#waitsForTurn ||
      this.#pending.length >= MAX_IN_FLIGHT ||
      unsent > MAX_UNSENT_BYTES;
    if (mustPause === this.#paused) return;
    this.#paused = mustPause;
    if (mustPause) this.#connection.pause();
    else {
      this.#noteProgress();
      this.#connection.resume();
    }
  }
}

/** Whether the frame that begins there is a Produce request. */
function isProduce(bytes: Uint8Array, at: number): boolean {
  return (((bytes[at] as number) << 8) | (bytes[at + 1] as number)) === PRODUCE_API_KEY;
}
