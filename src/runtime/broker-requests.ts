/** Requests from this node, as a broker, to others and to itself, over their inter-broker listeners. */
import type { Deadline, Deadlines } from '#base/deadlines';
import { Fifo } from '#base/fifo';
import type { Endpoint, Mono, Ports } from '#base/ports';
import type { NodeId } from '#model/ids';
import { KafkaClient } from '#net/kafka-client';
import { writeRequestHeader } from '#protocol/headers';
import type { Reader } from '#protocol/reader';
import { readResponseFrame } from '#protocol/response-frame';
import { Writer } from '#protocol/writer';

/** One API of Kafka's protocol, as its client sees it. */
export interface WireApi<Request, Response> {
  readonly key: number;
  write(writer: Writer, request: Request, version: number): void;
  read(reader: Reader, version: number): Response;
}

export interface BrokerRequests {
  /**
   * To the broker's inter-broker listener; also to this node itself. Undefined: there was no answer in time, the connection was lost or
   * could not be made, or too many requests wait; whether it was carried out is unknown. Requests of one API to one broker are carried
   * out one after another, as everything on a connection is: who has many at once puts them into one.
   */
  send<Request, Response>(
    to: NodeId,
    api: WireApi<Request, Response>,
    version: number,
    request: Request,
    timeoutMs: number,
  ): Promise<Response | undefined>;
}

export interface BrokerConnectionsOptions {
  readonly self: NodeId;
  /** Of a broker's inter-broker listener; undefined while it is not registered. */
  endpointOf(broker: NodeId): Endpoint | undefined;
}

const DIAL_MS = 1_000;
/** After a connection that could not be made the next is tried no sooner, and each time twice as late until one opens. */
const REDIAL_MS = 20;
const REDIAL_MS_MAX = 200;
/** Sent on one connection and not answered; more wait for their turn, */
const IN_FLIGHT_MAX = 16;
/** but no more than these: the next is not sent at all. */
const WAITING_MAX = 1024;
const RESPONSE_BYTES_MAX = 16 << 20;
const CORRELATION_ID_MAX = 0x7fff_ffff;

interface Asked {
  readonly correlationId: number;
  readonly chunks: readonly Uint8Array[];
  /** The answer without its length prefix; undefined: there is none. Called once. */
  readonly answered: (frame: Uint8Array | undefined) => void;
  readonly deadline: Deadline;
}

/**
 * One kept connection per broker and API, made when the first request needs it. APIs have connections of their own because a broker
 * serves a connection's requests one after another: a marker that waits for its replicas holds up no verification.
 */
export class BrokerConnections implements BrokerRequests {
  readonly #ports: Pick<Ports, 'clock' | 'network'>;
  readonly #deadlines: Deadlines;
  readonly #options: BrokerConnectionsOptions;
  /** By broker and API: as many as there are brokers, for each of the few APIs that brokers ask each other. */
  readonly #lines = new Map<string, Line>();
  #isClosed = false;

  constructor(ports: Pick<Ports, 'clock' | 'network'>, deadlines: Deadlines, options: BrokerConnectionsOptions) {
    this.#ports = ports;
    this.#deadlines = deadlines;
    this.#options = options;
  }

  send<Request, Response>(
    to: NodeId,
    api: WireApi<Request, Response>,
    version: number,
    request: Request,
    timeoutMs: number,
  ): Promise<Response | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined);
    const line = this.#lineTo(to, api.key);
    return new Promise((resolve) => {
      line.ask(
        (correlationId) => {
          const writer = new Writer();
          writer.int32(0);
          const clientId = `broker-${this.#options.self}`;
          writeRequestHeader(writer, { apiKey: api.key, apiVersion: version, correlationId, clientId });
          api.write(writer, request, version);
          writer.patchInt32(0, writer.sizeBytes - 4);
          return writer.chunks();
        },
        (frame) => resolve(frame && readResponseFrame(frame, api.key, version, api.read)?.body),
        timeoutMs,
      );
    });
  }

  /** What is under way gets no answer, and nothing more is sent. */
  close(): void {
    this.#isClosed = true;
    for (const line of this.#lines.values()) line.close();
    this.#lines.clear();
  }

  #lineTo(to: NodeId, apiKey: number): Line {
    const name = `${to} ${apiKey}`;
    const known = this.#lines.get(name);
    if (known !== undefined) return known;
    const line = new Line(this.#ports, this.#deadlines, () => this.#options.endpointOf(to));
    this.#lines.set(name, line);
    return line;
  }
}

/** The requests of one API to one broker, and the connection that they go over. */
class Line {
  readonly #ports: Pick<Ports, 'clock' | 'network'>;
  readonly #deadlines: Deadlines;
  readonly #endpoint: () => Endpoint | undefined;
  #client: KafkaClient | undefined;
  #isOpen = false;
  /** At most IN_FLIGHT_MAX, in the order sent, which is that of the answers. */
  readonly #sent = new Fifo<Asked>();
  /** At most WAITING_MAX, in the order asked. */
  readonly #waiting = new Set<Asked>();
  #correlationId = 0;
  #redialMs = REDIAL_MS;
  #redialFrom: Mono = 0;
  #redial: Deadline | undefined;

  constructor(ports: Pick<Ports, 'clock' | 'network'>, deadlines: Deadlines, endpoint: () => Endpoint | undefined) {
    this.#ports = ports;
    this.#deadlines = deadlines;
    this.#endpoint = endpoint;
  }

  ask(
    encode: (correlationId: number) => readonly Uint8Array[],
    answered: (frame: Uint8Array | undefined) => void,
    timeoutMs: number,
  ): void {
    if (this.#waiting.size >= WAITING_MAX) return answered(undefined);
    this.#correlationId = (this.#correlationId + 1) & CORRELATION_ID_MAX;
    const asked: Asked = {
      correlationId: this.#correlationId,
      chunks: encode(this.#correlationId),
      answered,
      deadline: this.#deadlines.after(timeoutMs, () => this.#overdue(asked)),
    };
    this.#waiting.add(asked);
    this.#pump();
  }

  close(): void {
    const client = this.#client;
    this.#client = undefined;
    client?.close();
    if (this.#redial !== undefined) this.#deadlines.cancel(this.#redial);
    this.#dropAll();
  }

  #pump(): void {
    if (this.#waiting.size === 0) return;
    if (this.#client === undefined) return this.#dial();
    if (!this.#isOpen) return;
    for (const asked of this.#waiting) {
      if (this.#sent.length >= IN_FLIGHT_MAX) return;
      this.#waiting.delete(asked);
      this.#sent.push(asked);
      this.#client.send(asked.chunks);
    }
  }

  #dial(): void {
    if (this.#redial !== undefined) return;
    const pauseMs = this.#redialFrom - this.#ports.clock.now();
    if (pauseMs > 0) {
      this.#redial = this.#deadlines.after(pauseMs, () => {
        this.#redial = undefined;
        this.#pump();
      });
      return;
    }
    const endpoint = this.#endpoint();
    if (endpoint === undefined) return this.#lost();
    const client = new KafkaClient(
      this.#ports,
      endpoint,
      { dialTimeoutMs: DIAL_MS, responseBytesMax: RESPONSE_BYTES_MAX },
      {
        opened: () => {
          if (this.#client !== client) return;
          this.#isOpen = true;
          this.#redialMs = REDIAL_MS;
          this.#pump();
        },
        response: (frame) => {
          if (this.#client === client) this.#received(frame);
        },
        closed: () => {
          if (this.#client === client) this.#lost();
        },
      },
    );
    this.#client = client;
  }

  #received(frame: Uint8Array): void {
    const first = this.#sent.peek();
    const correlationId = new DataView(frame.buffer, frame.byteOffset).getInt32(0);
    if (first?.correlationId !== correlationId) return this.#giveUp();
    this.#sent.shift();
    this.#end(first, frame);
    this.#pump();
  }

  /** A request that was sent holds up those behind it: they are better off with a connection of their own. */
  #overdue(asked: Asked): void {
    if (this.#waiting.delete(asked)) asked.answered(undefined);
    else this.#giveUp();
  }

  #giveUp(): void {
    this.#client?.close();
    this.#lost();
  }

  /** Who waits goes over the next connection; or is told, if none can be made: by then it may have somebody else to ask. */
  #lost(): void {
    const wasOpen = this.#isOpen;
    this.#client = undefined;
    this.#isOpen = false;
    if (wasOpen) {
      for (const asked of this.#sent.drain()) this.#end(asked, undefined);
      return this.#pump();
    }
    this.#redialFrom = this.#ports.clock.now() + this.#redialMs;
    this.#redialMs = Math.min(2 * this.#redialMs, REDIAL_MS_MAX);
    this.#dropAll();
  }

  #dropAll(): void {
    const dropped = [...this.#sent.drain(), ...this.#waiting];
    this.#waiting.clear();
    for (const asked of dropped) this.#end(asked, undefined);
  }

  #end(asked: Asked, frame: Uint8Array | undefined): void {
    this.#deadlines.cancel(asked.deadline);
    asked.answered(frame);
  }
}
