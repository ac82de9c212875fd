import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Connection, Endpoint, Mono, Network, Receiver, Timer } from '#base/ports';
import type { FaultLine, LineUser } from './fault-line.ts';

type Cause = Parameters<Receiver['closed']>[0];

/** What is on its way, and when it is there. */
interface Sent {
  readonly chunks: readonly Uint8Array[];
  readonly sizeBytes: number;
  readonly dueAt: Mono;
}

interface Arriving {
  readonly bytes: Uint8Array;
  readonly dueAt: Mono;
}

/** What has arrived and waits to be taken: beyond it the sender has to wait, as for a window of TCP. */
const ARRIVING_BYTES_MAX = 1024 * 1024;
/** How long an end that cannot be told to the peer may take. */
const LINGER_MS = 30_000;

/** A connection of a FaultLine: between its owner, whose Connection it is, and the inner connection, whose Receiver it is. */
export class FaultConnection implements Connection, Receiver, LineUser {
  readonly remote: Endpoint;
  readonly #line: FaultLine;
  readonly #timer: Timer;
  readonly #linger: Timer;
  #receiver: Receiver | undefined;
  /** Undefined until it is dialled, and after its close. */
  #inner: Connection | undefined;
  /** Makes the inner connection, once the line lets it. */
  #dial: (() => void) | undefined;
  /** Its owner bounds it, as any connection's queue; */
  readonly #sent = new Fifo<Sent>();
  #sentBytes = 0;
  /** and this is ARRIVING_BYTES_MAX and one read. */
  readonly #arriving = new Fifo<Arriving>();
  #arrivingBytes = 0;
  #isPaused = false;
  #isInnerPaused = false;
  /** The owner sends nothing more, and takes nothing. */
  #hasEnded = false;
  #isEndSent = false;
  #isReset = false;
  /** The inner connection's, which the owner cannot know of yet. */
  #cause: Cause | undefined;
  #isClosed = false;

  private constructor(line: FaultLine, remote: Endpoint) {
    this.remote = remote;
    this.#line = line;
    this.#timer = line.clock.timer(() => this.#move());
    this.#linger = line.clock.timer(() => this.reset());
    line.join(this);
  }

  /** As Network.connect; while the line is cut, the attempt waits. */
  static dial(line: FaultLine, network: Network, to: Endpoint, open: (connection: Connection) => Receiver): void {
    const dialled = new FaultConnection(line, to);
    dialled.#dial = () => network.connect(to, (inner) => dialled.#join(inner));
    line.clock.defer(() => {
      dialled.#receiver = open(dialled);
      line.clock.defer(() => dialled.update());
    });
  }

  /** What `accept` makes of a connection that has come in, as its inner connection's receiver. */
  static accepted(line: FaultLine, inner: Connection, accept: (connection: Connection) => Receiver): Receiver {
    const taken = new FaultConnection(line, inner.remote);
    taken.#inner = inner;
    taken.#receiver = accept(taken);
    taken.update();
    return taken;
  }

  get queuedBytes(): number {
    return this.#sentBytes + (this.#inner?.queuedBytes ?? 0);
  }

  send(chunks: readonly Uint8Array[]): void {
    if (this.#hasEnded || this.#isClosed || this.#cause !== undefined) return;
    const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    this.#sent.push({ chunks, sizeBytes, dueAt: this.#dueAt() });
    this.#sentBytes += sizeBytes;
    this.#moveSent();
    this.#armTimer();
  }

  pause(): void {
    this.#isPaused = true;
    this.#holdInner();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#line.clock.defer(() => this.#move());
  }

  end(): void {
    if (this.#hasEnded || this.#isClosed) return;
    this.#hasEnded = true;
    this.#linger.arm(LINGER_MS);
    this.#moveSent();
  }

  /** Where the line is cut, the peer hears of it when it is healed. */
  reset(): void {
    if (this.#isClosed || this.#isReset) return;
    this.#isReset = true;
    this.#hasEnded = true;
    this.#dial = undefined;
    if (this.#inner !== undefined && !this.#isCut) this.#inner.reset();
    else this.#line.clock.defer(() => this.#close('reset'));
  }

  update(): void {
    // Its owner is told nothing before it has it; this is called again then.
    if (this.#receiver === undefined) return;
    if (this.#line.fault?.kind === 'refuse') this.#refuse();
    else if (!this.#isClosed) this.#move();
    else if (!this.#isCut) this.#inner?.reset();
  }

  buffer(): Uint8Array {
    return this.#line.slab;
  }

  received(bytes: number): void {
    if (this.#isClosed || this.#hasEnded) return;
    // What is delivered may be read while the next arrives.
    this.#arriving.push({ bytes: this.#line.slab.slice(0, bytes), dueAt: this.#dueAt() });
    this.#arrivingBytes += bytes;
    this.#move();
  }

  flushed(queuedBytes: number): void {
    if (!this.#isClosed) this.#receiver?.flushed(this.#sentBytes + queuedBytes);
  }

  closed(cause: Cause): void {
    this.#inner = undefined;
    if (this.#isClosed) return this.#line.leave(this);
    this.#cause = cause;
    this.#move();
  }

  get #isCut(): boolean {
    return this.#line.fault?.kind === 'cut';
  }

  #dueAt(): Mono {
    return this.#line.clock.now() + this.#line.delayMs;
  }

  #join(inner: Connection): Receiver {
    this.#inner = inner;
    if (this.#isReset || this.#isClosed) inner.reset();
    else this.update();
    return this;
  }

  #refuse(): void {
    if (this.#inner !== undefined) this.#inner.reset();
    else this.#close('refused');
  }

  /** Whatever may go on, goes on. */
  #move(): void {
    if (this.#isClosed || this.#receiver === undefined) return;
    if (this.#dial !== undefined && !this.#isCut) {
      const dial = this.#dial;
      this.#dial = undefined;
      dial();
    }
    this.#moveSent();
    this.#moveArriving();
    this.#armTimer();
  }

  #moveSent(): void {
    if (this.#inner === undefined || this.#isReset || this.#line.holdsSent) return;
    while (this.#isDue(this.#sent.peek())) {
      const { chunks, sizeBytes } = this.#sent.shift();
      this.#sentBytes -= sizeBytes;
      this.#inner.send(chunks);
    }
    if (!this.#hasEnded || this.#sent.length > 0 || this.#isEndSent) return;
    this.#isEndSent = true;
    this.#inner.end();
  }

  #moveArriving(): void {
    if (this.#line.holdsReceived) return this.#holdInner();
    while (!this.#isPaused && !this.#hasEnded && this.#isDue(this.#arriving.peek())) this.#deliver();
    if (this.#hasEnded) this.#dropArriving();
    if (this.#arriving.length === 0 && this.#cause !== undefined) return this.#close(this.#cause);
    if (this.#arrivingBytes > ARRIVING_BYTES_MAX) this.#holdInner();
    else if (!this.#isPaused || this.#hasEnded) this.#releaseInner();
  }

  /** Of what came in one read, as much as the receiver takes before it pauses. */
  #deliver(): void {
    const { bytes } = this.#arriving.shift();
    this.#arrivingBytes -= bytes.length;
    for (let at = 0; at < bytes.length && !this.#isClosed && !this.#hasEnded; ) {
      if (this.#isPaused) return this.#putBack(bytes.subarray(at));
      assert(this.#receiver !== undefined, 'what is delivered has a receiver');
      const into = this.#receiver.buffer();
      const length = Math.min(into.length, bytes.length - at);
      into.set(bytes.subarray(at, at + length));
      at += length;
      this.#receiver.received(length);
    }
  }

  #putBack(bytes: Uint8Array): void {
    const behind = this.#arriving.drain();
    this.#arriving.push({ bytes, dueAt: this.#line.clock.now() });
    for (const arriving of behind) this.#arriving.push(arriving);
    this.#arrivingBytes += bytes.length;
  }

  #dropArriving(): void {
    this.#arriving.drain();
    this.#arrivingBytes = 0;
  }

  #isDue(item: { readonly dueAt: Mono } | undefined): boolean {
    return item !== undefined && (this.#line.delayMs === 0 || item.dueAt <= this.#line.clock.now());
  }

  /** For what a delay holds up, and nothing else does. */
  #armTimer(): void {
    if (this.#line.delayMs === 0 || this.#isClosed) return;
    const sent = this.#inner === undefined ? undefined : this.#sent.peek();
    const arriving = this.#isPaused ? undefined : this.#arriving.peek();
    const dueAt = Math.min(sent?.dueAt ?? Number.POSITIVE_INFINITY, arriving?.dueAt ?? Number.POSITIVE_INFINITY);
    if (dueAt < Number.POSITIVE_INFINITY) this.#timer.arm(Math.max(1, dueAt - this.#line.clock.now()));
  }

  #holdInner(): void {
    if (this.#isInnerPaused) return;
    this.#isInnerPaused = true;
    this.#inner?.pause();
  }

  #releaseInner(): void {
    if (!this.#isInnerPaused) return;
    this.#isInnerPaused = false;
    this.#inner?.resume();
  }

  /** An inner connection that is left open is silent, and reset when the line is healed: as many as were open at the cut. */
  #close(cause: Cause): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer.disarm();
    this.#linger.disarm();
    this.#sent.drain();
    this.#dropArriving();
    if (this.#inner === undefined) this.#line.leave(this);
    else if (this.#isCut) this.#holdInner();
    else this.#inner.reset();
    this.#receiver?.closed(cause);
  }
}
