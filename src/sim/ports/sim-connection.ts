import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Connection, Endpoint, Random, Receiver } from '#base/ports';
import type { EventQueue, Life } from './event-queue.ts';

type Cause = Parameters<Receiver['closed']>[0];

/** What has left the sender and was not read: the kernels' buffers. */
const WINDOW_BYTES = 64 * 1024;

export interface Wire {
  readonly events: EventQueue;
  readonly random: Random;
  latencyMs(): number;
  /** It is closed, and nothing will happen to it any more. */
  gone(connection: SimConnection): void;
}

/**
 * One end of a connection in memory. Bytes move in two steps, each an event: from the sender's queue into the window
 * (flushed), and from the window to the receiver (received); each takes a random part, down to one byte.
 */
export class SimConnection implements Connection {
  readonly remote: Endpoint;
  readonly #wire: Wire;
  readonly #life: Life;
  readonly #receiver: Receiver;
  #peer: SimConnection | undefined;
  /** Sent and not in the window; lent until then. */
  readonly #queue = new Fifo<Uint8Array>();
  /** How much of the first queued chunk is in the window. */
  #headTaken = 0;
  #queuedBytes = 0;
  #transmits = false;
  /** Arrived and not received: at most the window. */
  #unread: Uint8Array = new Uint8Array(0);
  #delivers = false;
  #paused = false;
  /** Nothing more is sent: by `end`, or because the peer has ended. */
  #ended = false;
  /** Nothing more is received: by `end` or `reset`. */
  #deaf = false;
  #finSent = false;
  #finReceived = false;
  #closing = false;

  constructor(wire: Wire, life: Life, remote: Endpoint, open: (connection: Connection) => Receiver) {
    this.#wire = wire;
    this.#life = life;
    this.remote = remote;
    this.#receiver = open(this);
  }

  /** The handshake is done: what was sent already may go. */
  static join(near: SimConnection, far: SimConnection): void {
    near.#peer = far;
    far.#peer = near;
    // Its owner may have reset it while it was being accepted.
    if (far.#closing) near.#afterLatency(() => near.#close('reset'));
    near.#transmit();
    far.#transmit();
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get isClosing(): boolean {
    return this.#closing;
  }

  get isDead(): boolean {
    return !this.#life.alive;
  }

  send(chunks: readonly Uint8Array[]): void {
    if (this.#ended || this.#closing) return;
    for (const chunk of chunks) {
      this.#queue.push(chunk);
      this.#queuedBytes += chunk.length;
    }
    this.#transmit();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#deliver();
  }

  end(): void {
    if (this.#closing) return;
    this.#ended = true;
    this.#deaf = true;
    this.#unread = new Uint8Array(0);
    this.#wakePeer();
    this.#transmit();
    this.#deliver();
  }

  reset(): void {
    if (this.#closing) return;
    this.abandon();
    this.#wire.events.after(0, this.#life, () => this.#receiver.closed('reset'));
  }

  /** Nobody listens at the other end. */
  refuse(): void {
    this.#close('refused');
  }

  /** This end vanishes without a word to its receiver; the other sees a reset. */
  abandon(): void {
    this.#closing = true;
    this.#wire.gone(this);
    const peer = this.#peer;
    if (peer) peer.#afterLatency(() => peer.#close('reset'));
  }

  /** Cause 'end' comes of itself; the others drop what is under way. */
  #close(cause: Cause): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#wire.gone(this);
    this.#receiver.closed(cause);
  }

  #transmit(): void {
    if (this.#transmits || this.#closing || this.#peer === undefined) return;
    if (this.#queuedBytes > 0 ? this.#roomBytes() === 0 : !this.#ended || this.#finSent) return;
    this.#transmits = true;
    this.#afterLatency(() => {
      this.#transmits = false;
      const peer = this.#peer;
      if (this.#closing || peer === undefined) return;
      if (this.#queuedBytes === 0) this.#sendFin(peer);
      else {
        const room = this.#roomBytes();
        if (room > 0) this.#fill(peer, this.#cut(Math.min(this.#queuedBytes, room)));
      }
      this.#transmit();
    });
  }

  /** There may be room in the window again. */
  #wakePeer(): void {
    const peer = this.#peer;
    if (peer !== undefined) peer.#transmit();
  }

  #roomBytes(): number {
    return this.#peer === undefined ? 0 : WINDOW_BYTES - this.#peer.#unread.length;
  }

  #fill(peer: SimConnection, count: number): void {
    const parts = [peer.#unread];
    for (let left = count; left > 0; ) {
      const chunk = this.#queue.peek();
      assert(chunk !== undefined, 'what is queued is in the queue');
      const part = chunk.subarray(this.#headTaken, this.#headTaken + left);
      parts.push(part);
      left -= part.length;
      this.#headTaken += part.length;
      if (this.#headTaken === chunk.length) {
        this.#queue.shift();
        this.#headTaken = 0;
      }
    }
    this.#queuedBytes -= count;
    if (!peer.#deaf) peer.#unread = Buffer.concat(parts);
    peer.#deliver();
    this.#receiver.flushed(this.#queuedBytes);
  }

  #sendFin(peer: SimConnection): void {
    this.#finSent = true;
    peer.#finReceived = true;
    peer.#deliver();
    this.#closeIfEnded();
  }

  #deliver(): void {
    if (this.#delivers || this.#closing) return;
    const hasFin = this.#finReceived && this.#unread.length === 0;
    if (hasFin ? this.#paused && !this.#deaf : this.#paused || this.#unread.length === 0) return;
    this.#delivers = true;
    this.#afterLatency(() => {
      this.#delivers = false;
      if (this.#closing) return;
      if (this.#unread.length > 0 && !this.#paused) this.#receive();
      else if (this.#unread.length === 0 && this.#finReceived) {
        this.#ended = true;
        this.#transmit();
        this.#closeIfEnded();
        return;
      }
      this.#wakePeer();
      this.#deliver();
    });
  }

  #receive(): void {
    const into = this.#receiver.buffer();
    assert(into.length > 0, 'a receiver has room for the next read');
    const count = this.#cut(Math.min(into.length, this.#unread.length));
    into.set(this.#unread.subarray(0, count));
    this.#unread = this.#unread.subarray(count);
    this.#receiver.received(count);
  }

  #closeIfEnded(): void {
    if (this.#finSent && this.#finReceived && this.#unread.length === 0) this.#close('end');
  }

  /** 1 to `count`: all of it, or by lot. */
  #cut(count: number): number {
    const lot = this.#wire.random.uint32();
    return lot % 4 === 0 ? count : 1 + ((lot >>> 2) % count);
  }

  #afterLatency(run: () => void): void {
    this.#wire.events.after(this.#wire.latencyMs(), this.#life, run);
  }
}
