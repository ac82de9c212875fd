import type { OnReadOpts, Socket } from 'node:net';
import type { Connection, Endpoint, Receiver } from '#base/ports';

type Cause = Parameters<Receiver['closed']>[0];

const CAUSES: Readonly<Record<string, Cause>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  ETIMEDOUT: 'timeout',
};

/** How long a connection that we have ended may take to flush and to see the peer's FIN. */
const LINGER_MS = 30_000;

/**
 * One TCP connection. Reads go straight into the receiver's buffers where the socket lets us (see adopt-socket.ts);
 * else, and for the first read after the receiver may have changed its mind, they are copied there.
 */
export class NodeConnection implements Connection {
  readonly remote: Endpoint;
  /** The socket took no buffers of ours: every read is copied. */
  readonly readsByCopy: boolean;
  readonly #socket: Socket;
  readonly #receiver: Receiver;
  readonly #written = (failure?: Error | null): void => {
    if (!failure && !this.#closed) this.#receiver.flushed(this.#socket.writableLength);
  };
  /** The next read fills the receiver's last `buffer()`, and nothing has happened since that could make it ask for another. */
  #readsDirectly = false;
  #buffersAsked = false;
  /** What was read and not taken when the receiver paused: at most one read. */
  #held: Uint8Array | undefined;
  #paused = false;
  /** We, or the peer, will send nothing more. */
  #ended = false;
  #closed = false;
  #cause: Cause = 'end';
  #linger: NodeJS.Timeout | undefined;

  /**
   * `makeSocket` gives a socket that is connected or connecting; `scratch` is shared by all connections of a node and
   * takes a connection's first read, which may arrive before `open` has named the receiver's buffer.
   */
  constructor(
    remote: Endpoint,
    scratch: Uint8Array,
    makeSocket: (onread: OnReadOpts) => Socket,
    open: (connection: Connection) => Receiver,
  ) {
    this.remote = remote;
    const reading = { receiver: undefined as Receiver | undefined };
    this.#socket = makeSocket({
      buffer: () => {
        this.#buffersAsked = true;
        this.#readsDirectly = reading.receiver !== undefined && !this.#ended;
        return reading.receiver !== undefined && !this.#ended ? reading.receiver.buffer() : scratch;
      },
      callback: (bytes, into) => {
        if (this.#readsDirectly && !this.#ended) this.#receiver.received(bytes);
        else this.#deliver(into.subarray(0, bytes));
        return true;
      },
    });
    this.readsByCopy = !this.#buffersAsked;
    if (this.readsByCopy) this.#socket.on('data', (bytes: Uint8Array) => this.#deliver(bytes));
    this.#socket.on('error', (failure: NodeJS.ErrnoException) => {
      this.#cause = CAUSES[failure.code ?? ''] ?? 'error';
    });
    this.#socket.on('end', () => {
      // The socket now flushes and sends its FIN; what is sent from here on has nobody to read it.
      this.#ended = true;
    });
    this.#socket.on('close', () => {
      this.#closed = true;
      this.#held = undefined;
      clearTimeout(this.#linger);
      this.#receiver.closed(this.#cause);
    });
    this.#receiver = open(this);
    reading.receiver = this.#receiver;
  }

  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  send(chunks: readonly Uint8Array[]): void {
    if (this.#ended || this.#closed) return;
    const last = chunks.length - 1;
    if (last > 0) this.#socket.cork();
    for (let index = 0; index < last; index++) this.#socket.write(chunks[index] as Uint8Array);
    if (last >= 0) this.#socket.write(chunks[last] as Uint8Array, this.#written);
    if (last > 0) this.#socket.uncork();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    this.#readsDirectly = false;
    if (this.#held === undefined) this.#socket.resume();
    else setImmediate(() => this.#deliverHeld());
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#socket.end();
    // Only a socket that is read from sees the peer's FIN.
    this.#held = undefined;
    this.#socket.resume();
    this.#linger = setTimeout(() => this.reset(), LINGER_MS).unref();
  }

  reset(): void {
    if (this.#closed) return;
    this.#ended = true;
    this.#cause = 'reset';
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  #deliver(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#ended && !this.#closed; ) {
      if (this.#paused) {
        this.#held = bytes.slice(at);
        return;
      }
      const into = this.#receiver.buffer();
      const length = Math.min(into.length, bytes.length - at);
      into.set(bytes.subarray(at, at + length));
      at += length;
      this.#receiver.received(length);
    }
  }

  #deliverHeld(): void {
    const held = this.#held;
    if (this.#paused || held === undefined) return;
    this.#held = undefined;
    this.#deliver(held);
    if (!this.#paused && !this.#closed) this.#socket.resume();
  }
}
