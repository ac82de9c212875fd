import type { Connection, Network, Receiver } from '#base/ports';
import { readResponseHeader, writeRequestHeader } from '#protocol/headers';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';

type Read<T> = (reader: Reader, version: number) => T;
type Write<T> = (writer: Writer, value: T, version: number) => void;

/** A plain Kafka client over a Network port: one connection, requests and their answers in order. */
export class WireClient implements Receiver {
  readonly #slab = new Uint8Array(64 * 1024);
  readonly #waiting: { resolve(body: Uint8Array): void; reject(error: Error): void }[] = [];
  readonly #unsent: (readonly Uint8Array[])[] = [];
  #received: Uint8Array = new Uint8Array(0);
  #connection: Connection | undefined;
  #correlationId = 0;
  closedBy: string | undefined;

  static open(network: Network, to: { host: string; port: number }): WireClient {
    const client = new WireClient();
    network.connect(to, (connection) => {
      client.#connection = connection;
      for (const chunks of client.#unsent.splice(0)) connection.send(chunks);
      return client;
    });
    return client;
  }

  /** Resolves to the decoded answer; rejects when the connection closes before it. */
  async request<Q, A>(apiKey: number, version: number, value: Q, write: Write<Q>, read: Read<A>): Promise<A> {
    this.#correlationId += 1;
    const writer = new Writer();
    writer.int32(0);
    const correlationId = this.#correlationId;
    writeRequestHeader(writer, { apiKey, apiVersion: version, correlationId, clientId: 'wire-client' });
    write(writer, value, version);
    writer.patchInt32(0, writer.sizeBytes - 4);
    const body = await this.send(writer.chunks());
    const reader = new Reader(body);
    readResponseHeader(reader, apiKey, version);
    return read(reader, version);
  }

  send(chunks: readonly Uint8Array[]): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.closedBy !== undefined) return reject(new Error(this.closedBy));
      this.#waiting.push({ resolve, reject });
      if (this.#connection === undefined) this.#unsent.push(chunks);
      else this.#connection.send(chunks);
    });
  }

  close(): void {
    this.#connection?.reset();
  }

  buffer(): Uint8Array {
    return this.#slab;
  }

  received(bytes: number): void {
    this.#received = Buffer.concat([this.#received, this.#slab.subarray(0, bytes)]);
    for (;;) {
      if (this.#received.length < 4) return;
      const size = new DataView(this.#received.buffer, this.#received.byteOffset).getInt32(0);
      if (this.#received.length < 4 + size) return;
      const body = this.#received.slice(4, 4 + size);
      this.#received = this.#received.subarray(4 + size);
      this.#waiting.shift()?.resolve(body);
    }
  }

  flushed(): void {}

  closed(cause: string): void {
    this.closedBy = cause;
    for (const { reject } of this.#waiting.splice(0)) reject(new Error(`connection closed: ${cause}`));
  }
}
