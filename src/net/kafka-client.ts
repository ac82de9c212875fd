/** The node as a client of another broker's Kafka listener. */
import { assert } from '#base/assert';
import type { Clock, Connection, Endpoint, Network, Receiver, Timer } from '#base/ports';

const LENGTH_PREFIX_BYTES = 4;
const SLAB_BYTES = 64 * 1024;

export interface KafkaClientOptions {
  readonly dialTimeoutMs: number;
  /** A larger response ends the connection. */
  readonly responseBytesMax: number;
}

export interface KafkaClientEvents {
  opened(): void;
  /** Without its length prefix; the receiver owns it. In the order of the requests. */
  response(frame: Uint8Array): void;
  /** Once, last, unless the owner has closed it. */
  closed(reason: string): void;
}

/**
 * One connection: whole frames out, whole frames in. Its owner bounds what is queued by how many requests it has under way, and knows
 * what they mean.
 */
export class KafkaClient implements Receiver {
  readonly #options: KafkaClientOptions;
  readonly #events: KafkaClientEvents;
  readonly #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  readonly #dialing: Timer;
  #connection: Connection | undefined;
  /** The response that is being filled. */
  #frame: Uint8Array | undefined;
  #filled = 0;
  /** A piece of a length prefix. */
  #leftover: Uint8Array = new Uint8Array(0);
  #isClosed = false;

  constructor(
    ports: { readonly network: Network; readonly clock: Clock },
    endpoint: Endpoint,
    options: KafkaClientOptions,
    events: KafkaClientEvents,
  ) {
    this.#options = options;
    this.#events = events;
    this.#dialing = ports.clock.timer(() => this.#fail('no answer to the dial'));
    this.#dialing.arm(options.dialTimeoutMs);
    ports.network.connect(endpoint, (connection) => {
      this.#connection = connection;
      this.#dialing.disarm();
      if (this.#isClosed) connection.reset();
      else ports.clock.defer(() => this.#opened());
      return this;
    });
  }

  /** One whole request, with its length prefix; after `opened`. */
  send(chunks: readonly Uint8Array[]): void {
    assert(this.#connection !== undefined, 'a client sends when it is open');
    if (!this.#isClosed) this.#connection.send(chunks);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#dialing.disarm();
    this.#connection?.reset();
  }

  buffer(): Uint8Array {
    return this.#frame === undefined ? this.#slab : this.#frame.subarray(this.#filled);
  }

  received(bytes: number): void {
    if (this.#isClosed) return;
    if (this.#frame === undefined) return this.#take(this.#slab.subarray(0, bytes));
    this.#filled += bytes;
    if (this.#filled < this.#frame.length) return;
    const frame = this.#frame;
    this.#frame = undefined;
    this.#events.response(frame);
  }

  flushed(): void {}

  closed(cause: Parameters<Receiver['closed']>[0]): void {
    this.#fail(cause);
  }

  #opened(): void {
    if (!this.#isClosed) this.#events.opened();
  }

  /** Each frame gets a buffer of its own: what it holds may be kept for long. */
  #take(bytes: Uint8Array): void {
    let data = this.#leftover.length === 0 ? bytes : Buffer.concat([this.#leftover, bytes]);
    while (data.length >= LENGTH_PREFIX_BYTES && !this.#isClosed) {
      const sizeBytes = new DataView(data.buffer, data.byteOffset).getInt32(0);
      if (sizeBytes < LENGTH_PREFIX_BYTES || sizeBytes > this.#options.responseBytesMax)
        return this.#fail(`a response of ${sizeBytes} bytes`);
      const frame = Buffer.allocUnsafeSlow(sizeBytes);
      const available = Math.min(sizeBytes, data.length - LENGTH_PREFIX_BYTES);
      frame.set(data.subarray(LENGTH_PREFIX_BYTES, LENGTH_PREFIX_BYTES + available));
      data = data.subarray(LENGTH_PREFIX_BYTES + available);
      if (available < sizeBytes) {
        this.#frame = frame;
        this.#filled = available;
        this.#leftover = new Uint8Array(0);
        return;
      }
      this.#events.response(frame);
    }
    this.#leftover = Buffer.from(data);
  }

  #fail(reason: string): void {
    if (this.#isClosed) return;
    this.close();
    this.#events.closed(reason);
  }
}
