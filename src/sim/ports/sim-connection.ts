import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Connection, Endpoint, Mono, Random, Receiver } from '#base/ports';
import type { EventQueue } from './event-queue.ts';
import type { Life } from './life.ts';
import type { SimLink } from './sim-link.ts';
import { between } from './sim-random.ts';

type Cause = Parameters<Receiver['closed']>[0];

/** What has left the sender and was not read: the kernels' buffers. */
const WINDOW_BYTES = 64 * 1024;
/** So much later than what was sent before it: equal times are decided by lot. */
const IN_ORDER_MS = 0.001;

export interface Wire {
  readonly events: EventQueue;
  readonly random: Random;
  /** Of all streams, the share of pieces that are cut short. */
  readonly cutShare: number;
  /** From this end's host to the other's. */
  readonly out: SimLink;
  /** The other end's host answers nobody. */
  isFarHostDown(): boolean;
  /** It is closed, and nothing will happen to it any more. */
  gone(connection: SimConnection): void;
}

type Parcel = Uint8Array | 'fin' | 'reset';

/**
 * One end of a connection in memory. Bytes move in two steps, each an event: the sender's kernel takes them from the queue (flushed), a
 * random part, down to one byte; and they come to the receiver (received), in order. In between they belong to the network: they may
 * take long, and come after the death of the sender and after the bytes of a later connection.
 */
export class SimConnection implements Connection {
  readonly remote: Endpoint;
  readonly #wire: Wire;
  readonly #life: Life;
  readonly #receiver: Receiver;
  #peer: SimConnection | undefined;
  /** Sent and not taken by the kernel; lent until then. */
  readonly #queue = new Fifo<Uint8Array>();
  /** How much of the first queued chunk the kernel has taken. */
  #headTaken = 0;
  #queuedBytes = 0;
  #transmits = false;
  /** Taken by the kernel, not yet at the other end. */
  #underWayBytes = 0;
  /** No parcel comes before it. */
  #lastArrivalAt: Mono = 0;
  /** What a cut link has lost and the kernel repeats, in order; within the window. */
  readonly #unacknowledged = new Fifo<Parcel>();
  #retries = 0;
  /** Arrived and not received: at most the window. */
  readonly #unread = new Fifo<Uint8Array>();
  #unreadBytes = 0;
  /** How much of the first of them was received. */
  #headRead = 0;
  #delivers = false;
  #paused = false;
  /** Nothing more is sent: by `end`, or because the peer has ended. */
  #ended = false;
  /** Nothing more is received: by `end` or `reset`. */
  #deaf = false;
  #finSent = false;
  #finReceived = false;
  #closing = false;
  /** Something on the way swallows what it sends. */
  #mute = false;

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
    if (far.#closing) far.#dispatch('reset');
    near.#transmit();
    far.#transmit();
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get isClosing(): boolean {
    return this.#closing;
  }

  get life(): Life {
    return this.#life;
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
    this.#readOn();
  }

  end(): void {
    if (this.#closing) return;
    this.#ended = true;
    this.#deaf = true;
    this.#dropUnread();
    this.#transmit();
    this.#readOn();
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

  /** Nobody answers at the other end. */
  timeOut(): void {
    this.#close('timeout');
  }

  /** This end vanishes without a word to its receiver; the other hears of it. */
  abandon(): void {
    this.vanish();
    this.#dispatch('reset');
  }

  /** This end vanishes, and the other hears nothing: the host is gone, or the word is lost. */
  vanish(): void {
    this.#closing = true;
    this.#wire.gone(this);
  }

  /** A middle box forgets the connection: each end may learn it by a reset, or its words fall on deaf ears from now on. */
  sever(tellsThis: boolean, tellsPeer: boolean): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    this.#mute = true;
    peer.#mute = true;
    if (tellsThis) this.#wire.events.after(0, this.#life, () => this.#close('reset'));
    if (tellsPeer) this.#wire.events.after(0, peer.#life, () => peer.#close('reset'));
  }

  #close(cause: Cause): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#wire.gone(this);
    const { trace, now } = this.#wire.events;
    trace.text(cause);
    if (trace.isRead) trace.say(now, this.#life.name, `connection with ${this.#remoteName} closed: ${cause}`);
    this.#receiver.closed(cause);
  }

  get #remoteName(): string {
    return `${this.remote.host}:${this.remote.port}`;
  }

  /** The kernel's next piece of work on what was sent. */
  #transmit(): void {
    if (this.#transmits || this.#closing || this.#peer === undefined) return;
    if (this.#queuedBytes > 0 ? this.#roomBytes() === 0 : !this.#ended || this.#finSent) return;
    this.#transmits = true;
    this.#wire.events.after(between(this.#wire.random, 0.005, 0.05), this.#life, () => {
      this.#transmits = false;
      if (this.#closing) return;
      if (this.#queuedBytes === 0) {
        this.#finSent = true;
        this.#dispatch('fin');
        this.#closeIfEnded();
      } else {
        const room = this.#roomBytes();
        if (room > 0) {
          this.#dispatch(this.#take(this.#cut(Math.min(this.#queuedBytes, room))));
          this.#receiver.flushed(this.#queuedBytes);
        }
      }
      this.#transmit();
    });
  }

  #roomBytes(): number {
    return this.#peer === undefined ? 0 : WINDOW_BYTES - this.#underWayBytes - this.#peer.#unreadBytes;
  }

  /** A copy of the next `count` queued bytes. */
  #take(count: number): Uint8Array {
    const taken = new Uint8Array(count);
    for (let at = 0; at < count; ) {
      const chunk = this.#queue.peek();
      assert(chunk !== undefined, 'what is queued is in the queue');
      const part = chunk.subarray(this.#headTaken, this.#headTaken + count - at);
      taken.set(part, at);
      at += part.length;
      this.#headTaken += part.length;
      if (this.#headTaken === chunk.length) {
        this.#queue.shift();
        this.#headTaken = 0;
      }
    }
    this.#queuedBytes -= count;
    return taken;
  }

  #dispatch(parcel: Parcel): void {
    if (this.#peer === undefined) return;
    this.#underWayBytes += sizeOf(parcel);
    if (this.#mute) return;
    if (this.#unacknowledged.length > 0) this.#unacknowledged.push(parcel);
    else if (this.#wire.out.isCut) {
      this.#unacknowledged.push(parcel);
      this.#repeatLater();
    } else this.#travel(parcel);
  }

  #repeatLater(): void {
    const { events, out } = this.#wire;
    events.after(out.retryAfterMs(this.#retries), events.always, () => {
      this.#retries += 1;
      if (out.isCut) {
        this.#repeatLater();
        return;
      }
      this.#retries = 0;
      for (const parcel of this.#unacknowledged.drain()) this.#travel(parcel);
    });
  }

  #travel(parcel: Parcel): void {
    const peer = this.#peer as SimConnection;
    const { events, out } = this.#wire;
    const size = sizeOf(parcel);
    this.#lastArrivalAt = Math.max(out.arrival(events.now, size), this.#lastArrivalAt + IN_ORDER_MS);
    const arrive = (): void => {
      this.#underWayBytes -= size;
      peer.#arrived(parcel);
      this.#transmit();
    };
    const ifDead = (): void => {
      // The kernel of a host that is up answers for the process that is not.
      if (parcel !== 'reset' && !this.#wire.isFarHostDown()) peer.#dispatch('reset');
    };
    events.at(this.#lastArrivalAt, peer.#life, arrive, 'io', ifDead);
  }

  #arrived(parcel: Parcel): void {
    if (this.#closing) {
      if (parcel !== 'reset' && !this.#finSent) this.#dispatch('reset');
      return;
    }
    if (parcel === 'reset') {
      this.#close('reset');
      return;
    }
    if (parcel === 'fin') this.#finReceived = true;
    else if (!this.#deaf) {
      this.#unread.push(parcel);
      this.#unreadBytes += parcel.length;
    }
    if (!this.#delivers && this.#hasToDeliver) this.#deliver();
  }

  get #hasToDeliver(): boolean {
    if (this.#unreadBytes > 0) return !this.#paused;
    return this.#finReceived && (!this.#paused || this.#deaf);
  }

  /** The rest, in events of their own. */
  #readOn(): void {
    if (this.#delivers || this.#closing || !this.#hasToDeliver) return;
    this.#delivers = true;
    this.#wire.events.after(between(this.#wire.random, 0.005, 0.05), this.#life, () => {
      this.#delivers = false;
      if (!this.#closing && this.#hasToDeliver) this.#deliver();
    });
  }

  #deliver(): void {
    if (this.#unreadBytes > 0) {
      this.#receive();
      this.#wakePeer();
      this.#readOn();
      if (this.#delivers || this.#closing || !this.#hasToDeliver) return;
    }
    this.#finArrived();
  }

  #finArrived(): void {
    if (this.#unreadBytes > 0 || !this.#finReceived) return;
    this.#ended = true;
    this.#transmit();
    this.#closeIfEnded();
  }

  #receive(): void {
    const into = this.#receiver.buffer();
    assert(into.length > 0, 'a receiver has room for the next read');
    const count = this.#fill(into.length < this.#unreadBytes ? into.subarray(0, this.#cut(into.length)) : into);
    const { trace, now } = this.#wire.events;
    trace.bytes(into.subarray(0, count));
    if (trace.isRead) trace.say(now, this.#life.name, `received ${count} bytes from ${this.#remoteName}`);
    this.#receiver.received(count);
  }

  /** Moves unread bytes; gives how many. */
  #fill(into: Uint8Array): number {
    let at = 0;
    while (at < into.length && this.#unreadBytes > 0) {
      const segment = this.#unread.peek();
      assert(segment !== undefined, 'what is unread is there');
      const part = segment.subarray(this.#headRead, this.#headRead + into.length - at);
      into.set(part, at);
      at += part.length;
      this.#headRead += part.length;
      this.#unreadBytes -= part.length;
      if (this.#headRead === segment.length) {
        this.#unread.shift();
        this.#headRead = 0;
      }
    }
    return at;
  }

  #dropUnread(): void {
    this.#unread.drain();
    this.#unreadBytes = 0;
    this.#headRead = 0;
    this.#wakePeer();
  }

  /** There may be room in the window again. */
  #wakePeer(): void {
    const peer = this.#peer;
    if (peer !== undefined) peer.#transmit();
  }

  #closeIfEnded(): void {
    if (this.#finSent && this.#finReceived && this.#unreadBytes === 0) this.#close('end');
  }

  /** 1 to `count`: all of it, or by lot. */
  #cut(count: number): number {
    const { random, cutShare } = this.#wire;
    const lot = random.uint32();
    return (lot & 0xff) >= cutShare * 256 ? count : 1 + ((lot >>> 8) % count);
  }
}

function sizeOf(parcel: Parcel): number {
  return typeof parcel === 'string' ? 0 : parcel.length;
}
