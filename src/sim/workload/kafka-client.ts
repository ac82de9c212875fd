import { assert } from '#base/assert';
import type { Connection, Endpoint, Ports, Receiver } from '#base/ports';
import type { Call } from '#protocol/calls';
import { readResponseHeader, writeRequestHeader } from '#protocol/headers';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';

/** 'refused': nothing was sent. 'lost': the connection broke, or no answer came in time: it was done, or will be, or not. */
export type Answer<Response> =
  | { readonly response: Response; readonly failure?: never }
  | { readonly failure: 'refused' | 'lost'; readonly response?: never };

/** One Kafka connection over a Network port, for one request at a time. Closed at the first failure. */
export class KafkaClient implements Receiver {
  readonly #ports: Ports;
  readonly #slab = new Uint8Array(16 * 1024);
  #connection: Connection | undefined;
  #received: Uint8Array = new Uint8Array(0);
  #correlationId = 0;
  #isClosed = false;
  #settle: ((body: Uint8Array | undefined, wasSent: boolean) => void) | undefined;

  private constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** What is sent before the handshake is done waits for it. */
  static open(ports: Ports, to: Endpoint): KafkaClient {
    const client = new KafkaClient(ports);
    ports.network.connect(to, (connection) => {
      client.#connection = connection;
      return client;
    });
    return client;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Settles within `timeoutMs`. */
  async request<Q, R>(call: Call<Q, R>, value: Q, timeoutMs: number): Promise<Answer<R>> {
    if (this.#isClosed) return { failure: 'refused' };
    this.#correlationId += 1;
    const writer = new Writer();
    writer.int32(0);
    const { apiKey, version } = call;
    writeRequestHeader(writer, {
      apiKey,
      apiVersion: version,
      correlationId: this.#correlationId,
      clientId: 'workload',
    });
    call.write(writer, value, version);
    writer.patchInt32(0, writer.sizeBytes - 4);
    const answer = await this.#exchange(writer.chunks(), timeoutMs);
    if (answer.body === undefined) return { failure: answer.wasSent ? 'lost' : 'refused' };
    const reader = new Reader(answer.body);
    const { correlationId } = readResponseHeader(reader, apiKey, version);
    assert(correlationId === this.#correlationId, 'an answer is to what was asked');
    const response = call.read(reader, version);
    reader.expectEnd();
    return { response };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection?.reset();
  }

  buffer(): Uint8Array {
    return this.#slab;
  }

  received(bytes: number): void {
    this.#received = Buffer.concat([this.#received, this.#slab.subarray(0, bytes)]);
    if (this.#received.length < 4) return;
    const size = new DataView(this.#received.buffer, this.#received.byteOffset).getInt32(0);
    if (this.#received.length < 4 + size) return;
    const body = this.#received.slice(4, 4 + size);
    this.#received = this.#received.subarray(4 + size);
    this.#settle?.(body, true);
  }

  flushed(): void {}

  closed(cause: Parameters<Receiver['closed']>[0]): void {
    this.#isClosed = true;
    this.#settle?.(undefined, cause !== 'refused' && cause !== 'timeout');
  }

  #exchange(
    chunks: readonly Uint8Array[],
    timeoutMs: number,
  ): Promise<{ readonly body: Uint8Array | undefined; readonly wasSent: boolean }> {
    return new Promise((resolve) => {
      const { clock } = this.#ports;
      const patience = clock.timer(() => {
        this.#settle?.(undefined, true);
        this.close();
      });
      patience.arm(timeoutMs);
      this.#settle = (body, wasSent) => {
        this.#settle = undefined;
        patience.disarm();
        resolve({ body, wasSent });
      };
      this.#sendWhenOpen(chunks);
    });
  }

  /** The connection object comes in a turn of its own. */
  #sendWhenOpen(chunks: readonly Uint8Array[]): void {
    if (this.#isClosed) this.#settle?.(undefined, false);
    else if (this.#connection !== undefined) this.#connection.send(chunks);
    else this.#ports.clock.timer(() => this.#sendWhenOpen(chunks)).arm(1);
  }
}
