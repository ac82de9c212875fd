import type { Clock, Endpoint, Network } from '#base/ports';
import { KafkaClient } from '#net/kafka-client';
import type { Call } from '#protocol/calls';
import { writeRequestHeader } from '#protocol/headers';
import { readResponseFrame } from '#protocol/response-frame';
import { Writer } from '#protocol/writer';

const RESPONSE_BYTES_MAX = 64 * 1024 * 1024;

export type CallerPorts = { readonly clock: Clock; readonly network: Network };

/** One user's connections to the nodes, one to each that it has asked, for one request at a time on each. */
export class Caller {
  readonly #ports: CallerPorts;
  readonly #clientId: string;
  readonly #lines = new Map<string, Line>();

  constructor(ports: CallerPorts, clientId: string) {
    this.#ports = ports;
    this.#clientId = clientId;
  }

  /** Undefined: there was no answer in time, or none that can be read; whether it was carried out is unknown. */
  async call<Q, R>(to: Endpoint, call: Call<Q, R>, request: Q, timeoutMs: number): Promise<R | undefined> {
    const { apiKey, version } = call;
    const writer = new Writer();
    writer.int32(0);
    writeRequestHeader(writer, { apiKey, apiVersion: version, correlationId: 0, clientId: this.#clientId });
    call.write(writer, request, version);
    writer.patchInt32(0, writer.sizeBytes - 4);
    const frame = await this.#lineTo(to).ask(writer.chunks(), timeoutMs);
    return frame && readResponseFrame(frame, apiKey, version, call.read)?.body;
  }

  /** What was asked there gets no answer any more. */
  abandon(to: Endpoint): void {
    this.#lines.get(nameOf(to))?.close();
  }

  close(): void {
    for (const line of this.#lines.values()) line.close();
  }

  #lineTo(to: Endpoint): Line {
    const name = nameOf(to);
    const known = this.#lines.get(name);
    if (known !== undefined && !known.isClosed) return known;
    const line = new Line(this.#ports, to, this.#ports.clock);
    this.#lines.set(name, line);
    return line;
  }
}

function nameOf({ host, port }: Endpoint): string {
  return `${host}:${port}`;
}

/** A connection; closed when an answer does not come in time, as the next one could be to that question. */
class Line {
  readonly #client: KafkaClient;
  readonly #clock: Clock;
  #isOpen = false;
  #isClosed = false;
  #waiting: readonly Uint8Array[] | undefined;
  #settle: (frame: Uint8Array | undefined) => void = () => {};

  constructor(ports: CallerPorts, to: Endpoint, clock: Clock) {
    this.#clock = clock;
    const options = { dialTimeoutMs: Number.POSITIVE_INFINITY, responseBytesMax: RESPONSE_BYTES_MAX };
    this.#client = new KafkaClient(ports, to, options, {
      opened: () => {
        this.#isOpen = true;
        if (this.#waiting !== undefined) this.#client.send(this.#waiting);
        this.#waiting = undefined;
      },
      response: (frame) => this.#settle(frame),
      closed: () => {
        this.#isClosed = true;
        this.#settle(undefined);
      },
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  ask(chunks: readonly Uint8Array[], timeoutMs: number): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      const patience = this.#clock.timer(() => this.close());
      patience.arm(timeoutMs);
      this.#settle = (frame) => {
        this.#settle = () => {};
        patience.disarm();
        resolve(frame);
      };
      if (this.#isOpen) this.#client.send(chunks);
      else this.#waiting = chunks;
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#client.close();
    this.#settle(undefined);
  }
}
