import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Clock, Connection, Endpoint, Mono, Receiver } from '#base/ports';
import type { MemoryBudget } from './memory-budget.ts';
import { FRAGMENT_BYTES_MAX, Lane, MESSAGE_BYTES_MAX, PeerFrameReader, WORD_BYTES, writeWord } from './peer-frames.ts';

/** Queued messages of a lane, by lane, beyond which it takes no other; the true bound is this and one message. */
const QUEUE_BYTES_MAX: Readonly<Record<Lane, number>> = [8 * 1024 * 1024, 32 * 1024 * 1024];
/** What a queued message costs beside its payload. */
const MESSAGE_OVERHEAD_BYTES = 64;
/** Handed to the kernel at a time: what an urgent message waits behind. */
const UNFLUSHED_BYTES_MAX = 128 * 1024;
/** While both lanes have something, so much of the urgent one goes out before a frame of the other. */
const URGENT_SHARE_BYTES = 4 * FRAGMENT_BYTES_MAX;
/** A peer of which nothing is heard for so long is gone: those that dial send something every second. */
const SILENCE_MS = 5_000;
/** A peer that takes nothing of what is queued for so long is reset. */
const STALL_MS = 10_000;
/** An ended connection may flush for so long. */
const LINGER_MS = 5_000;

/**
 * How a connection ended: by the network ('end' and 'reset' are the peer's or its kernel's doing), or by this node: it heard nothing or
 * could send nothing for too long, was sent nonsense, saw a newer connection in its place, was not greeted, or no longer wants it.
 */
export type ConnectionLoss =
  | Parameters<Receiver['closed']>[0]
  | 'silence'
  | 'stall'
  | 'nonsense'
  | 'replaced'
  | 'ungreeted'
  | 'forgotten';

/** What all peer connections of one node share. */
export interface PeerShared {
  /** Where bytes are read to, one read at a time. */
  readonly slab: Uint8Array;
  /** For messages of several frames on their way in. */
  readonly reserve: MemoryBudget;
  readonly clock: Clock;
}

/** Whose connection it is. */
export interface PeerUser {
  /** The user owns the payload. */
  message(kind: number, payload: Uint8Array): void;
  /** Once, last; in a turn of the network. `fault`: a sentence, where this node has closed it for what the peer did, or did not do. */
  closed(loss: ConnectionLoss, fault: string | undefined): void;
}

interface Outgoing {
  readonly kind: number;
  readonly payload: Uint8Array;
  sentBytes: number;
}

/** A connection between two nodes: messages in, messages out, in two lanes. What they say is its user's business. */
export class PeerConnection implements Receiver {
  readonly openedAt: Mono;
  readonly #connection: Connection;
  readonly #shared: PeerShared;
  readonly #user: PeerUser;
  readonly #reader: PeerFrameReader;
  /** By lane. */
  readonly #queues = [new Fifo<Outgoing>(), new Fifo<Outgoing>()] as const;
  readonly #queuedBytes: Record<Lane, number> = [0, 0];
  #urgentRunBytes = 0;
  #lastHeard: Mono;
  #lastTaken: Mono;
  #hasFlushed = false;
  /** Nothing is read and nothing is queued any more. */
  #endedAt: Mono | undefined;
  #loss: ConnectionLoss | undefined;
  #fault: string | undefined;
  #isReset = false;
  #closed = false;

  constructor(connection: Connection, shared: PeerShared, makeUser: (self: PeerConnection) => PeerUser) {
    this.#connection = connection;
    this.#shared = shared;
    this.openedAt = shared.clock.now();
    this.#lastHeard = this.openedAt;
    this.#lastTaken = this.openedAt;
    this.#reader = new PeerFrameReader(shared.reserve, (kind, payload) => this.#user.message(kind, payload));
    this.#user = makeUser(this);
  }

  get remote(): Endpoint {
    return this.#connection.remote;
  }

  /** Queued here and in the socket. */
  get unsentBytes(): number {
    return this.#queuedBytes[Lane.Urgent] + this.#queuedBytes[Lane.Bulk] + this.#connection.queuedBytes;
  }

  /** Whether the other end's kernel is there: something that was sent has left. */
  get hasFlushed(): boolean {
    return this.#hasFlushed;
  }

  /** Of one message that the peer may send. */
  limitMessages(bytesMax: number): void {
    this.#reader.messageBytesMax = bytesMax;
  }

  /** False if too much is queued in the lane, or the connection is over. The payload must not change until the connection is closed. */
  send(lane: Lane, kind: number, payload: Uint8Array): boolean {
    assert(payload.length <= MESSAGE_BYTES_MAX, 'a message fits the limit');
    if (this.#endedAt !== undefined || this.#queuedBytes[lane] > QUEUE_BYTES_MAX[lane]) return false;
    if (this.unsentBytes === 0) this.#lastTaken = this.#shared.clock.now();
    this.#queues[lane].push({ kind, payload, sentBytes: 0 });
    this.#queuedBytes[lane] += payload.length + MESSAGE_OVERHEAD_BYTES;
    this.#pump(UNFLUSHED_BYTES_MAX);
    return true;
  }

  /** What is queued still leaves, if the peer takes it; `closed` comes afterwards. */
  end(loss: ConnectionLoss = 'end'): void {
    if (this.#endedAt !== undefined) return;
    this.#pump(Number.POSITIVE_INFINITY);
    this.#stop(loss);
    this.#connection.end();
  }

  reset(loss: ConnectionLoss): void {
    if (this.#closed || this.#isReset) return;
    this.#isReset = true;
    this.#stop(loss);
    this.#connection.reset();
  }

  /** The peer does not keep to the protocol: it is reset. */
  refuse(fault: string): void {
    this.#close('nonsense', fault);
  }

  /** To be called now and then, `lateMs` after it should have been: our own lateness does not count against the peer. */
  sweep(lateMs: number): void {
    const now = this.#shared.clock.now() - lateMs;
    if (this.#endedAt !== undefined) {
      if (now - this.#endedAt > LINGER_MS) this.reset('end');
    } else if (now - this.#lastHeard > SILENCE_MS) {
      this.#close('silence', `nothing was heard of the peer for ${SILENCE_MS} ms`);
    } else if (this.unsentBytes > 0 && now - this.#lastTaken > STALL_MS) {
      this.#close('stall', `the peer took nothing of what it was sent for ${STALL_MS} ms`);
    }
  }

  buffer(): Uint8Array {
    return this.#shared.slab;
  }

  received(bytes: number): void {
    if (this.#endedAt !== undefined) return;
    this.#lastHeard = this.#shared.clock.now();
    const fault = this.#reader.take(this.#shared.slab.subarray(0, bytes));
    if (fault !== undefined) this.refuse(fault);
  }

  flushed(): void {
    this.#lastTaken = this.#shared.clock.now();
    this.#hasFlushed = true;
    if (this.#endedAt === undefined) this.#pump(UNFLUSHED_BYTES_MAX);
  }

  closed(cause: Parameters<Receiver['closed']>[0]): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop(cause);
    this.#user.closed(this.#loss ?? cause, this.#fault);
  }

  #close(loss: ConnectionLoss, fault: string): void {
    if (this.#endedAt !== undefined) return;
    this.#fault = fault;
    this.reset(loss);
  }

  #stop(loss: ConnectionLoss): void {
    this.#loss ??= loss;
    this.#endedAt ??= this.#shared.clock.now();
    this.#reader.close();
    for (const lane of [Lane.Urgent, Lane.Bulk]) {
      this.#queues[lane].drain();
      this.#queuedBytes[lane] = 0;
    }
  }

  /** Hands frames to the socket while it holds less than `unflushedMax`. */
  #pump(unflushedMax: number): void {
    const chunks: Uint8Array[] = [];
    for (let unflushed = this.#connection.queuedBytes; unflushed < unflushedMax; ) {
      const lane = this.#nextLane();
      const message = this.#queues[lane].peek();
      if (message === undefined) break;
      const { kind, payload, sentBytes } = message;
      const piece = payload.subarray(sentBytes, sentBytes + FRAGMENT_BYTES_MAX);
      message.sentBytes += piece.length;
      const more = message.sentBytes < payload.length;
      chunks.push(writeWord(lane, kind, piece.length, more));
      if (piece.length > 0) chunks.push(piece);
      unflushed += WORD_BYTES + piece.length;
      this.#urgentRunBytes = lane === Lane.Urgent ? this.#urgentRunBytes + WORD_BYTES + piece.length : 0;
      this.#queuedBytes[lane] -= piece.length + (more ? 0 : MESSAGE_OVERHEAD_BYTES);
      if (!more) this.#queues[lane].shift();
    }
    if (chunks.length > 0) this.#connection.send(chunks);
  }

  #nextLane(): Lane {
    if (this.#queues[Lane.Bulk].length === 0) return Lane.Urgent;
    return this.#queues[Lane.Urgent].length > 0 && this.#urgentRunBytes < URGENT_SHARE_BYTES ? Lane.Urgent : Lane.Bulk;
  }
}
