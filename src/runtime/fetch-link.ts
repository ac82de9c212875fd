import type { Deadline, Deadlines } from '#base/deadlines';
import type { Endpoint, Ports } from '#base/ports';
import { ErrorCode, errorName } from '#model/errors';
import type { NodeId } from '#model/ids';
import { KafkaClient } from '#net/kafka-client';
import { type FetchRequestInput, writeFetchRequest } from '#protocol/generated/fetch-request';
import { type FetchResponse, readFetchResponse } from '#protocol/generated/fetch-response';
import { writeRequestHeader } from '#protocol/headers';
import { readResponseFrame } from '#protocol/response-frame';
import { Writer } from '#protocol/writer';

const FETCH = 1;
const FETCH_VERSION = 17;
const CORRELATION_ID_MAX = 0x7fff_ffff;
/** Answered later than its wait by so much, a request is given up and the connection made anew. */
const PATIENCE_MS = 2_000;
const DIAL_MS = 1_000;
const REDIAL_MS = 20;
const REDIAL_MS_MAX = 200;
/** Above what the responses are asked to hold: the first batch comes whole, whatever its size. */
const OVERSIZE_BYTES = 128 << 20;

export interface FetchLinkOptions {
  readonly self: NodeId;
  readonly leader: NodeId;
  /** Of a fetch that finds nothing. */
  readonly waitMaxMs: number;
  readonly responseMaxBytes: number;
  /** Of the leader's inter-broker listener; undefined while it is not registered. */
  endpoint(): Endpoint | undefined;
}

export interface FetchLinkEvents {
  opened(): void;
  /** To the oldest request that has no answer yet. */
  answered(response: FetchResponse): void;
  /** With all that was said over it: another one begins a new session. */
  lost(): void;
  /** One that was lost may be dialled again. */
  redialDue(): void;
}

interface Sent {
  readonly correlationId: number;
  readonly isReport: boolean;
}

/**
 * The connection over which one broker fetches from another: at most a fetch, and a report, which asks for no data and is answered at
 * once, are under way. One whose answers do not come, or cannot be read, is given up.
 */
export class FetchLink {
  readonly #ports: Ports;
  readonly #deadlines: Deadlines;
  readonly #options: FetchLinkOptions;
  readonly #events: FetchLinkEvents;
  #sent: Sent[] = [];
  #client: KafkaClient | undefined;
  #isOpen = false;
  #correlationId = 0;
  #redialMs = REDIAL_MS;
  #patience: Deadline | undefined;
  #redial: Deadline | undefined;
  #isClosed = false;

  constructor(ports: Ports, deadlines: Deadlines, options: FetchLinkOptions, events: FetchLinkEvents) {
    this.#ports = ports;
    this.#deadlines = deadlines;
    this.#options = options;
    this.#events = events;
  }

  /** It is open, or about to be. */
  get isDialled(): boolean {
    return this.#client !== undefined;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get awaitsAnswer(): boolean {
    return this.#sent.length > 0;
  }

  get awaitsReport(): boolean {
    return this.#sent.some(({ isReport }) => isReport);
  }

  dial(): void {
    const endpoint = this.#options.endpoint();
    if (endpoint === undefined) return this.#redialAfter(REDIAL_MS_MAX);
    const options = { dialTimeoutMs: DIAL_MS, responseBytesMax: this.#options.responseMaxBytes + OVERSIZE_BYTES };
    const client = new KafkaClient(this.#ports, endpoint, options, {
      opened: () => {
        this.#isOpen = true;
        this.#events.opened();
      },
      response: (frame) => {
        if (this.#client === client) this.#received(frame);
      },
      closed: () => {
        if (this.#client === client) this.#lost();
      },
    });
    this.#client = client;
  }

  /** On an open link. */
  send(body: FetchRequestInput, isReport: boolean): void {
    this.#correlationId = (this.#correlationId + 1) & CORRELATION_ID_MAX;
    const writer = new Writer();
    writer.int32(0);
    const correlationId = this.#correlationId;
    const clientId = `broker-${this.#options.self}`;
    writeRequestHeader(writer, { apiKey: FETCH, apiVersion: FETCH_VERSION, correlationId, clientId });
    writeFetchRequest(writer, body, FETCH_VERSION);
    writer.patchInt32(0, writer.sizeBytes - 4);
    this.#client?.send(writer.chunks());
    this.#sent.push({ correlationId, isReport });
    this.#patience ??= this.#newPatience();
  }

  /** For good; nothing is told any more. */
  close(): void {
    this.#isClosed = true;
    this.#client?.close();
    this.#drop();
    if (this.#redial !== undefined) this.#deadlines.cancel(this.#redial);
  }

  #received(frame: Uint8Array): void {
    const answer = readResponseFrame(frame, FETCH, FETCH_VERSION, readFetchResponse);
    if (answer === undefined) return this.#giveUp('an answer that cannot be read');
    const sent = this.#sent.shift();
    if (sent?.correlationId !== answer.correlationId) return this.#giveUp('an answer to nothing that was asked');
    if (this.#patience !== undefined) this.#deadlines.cancel(this.#patience);
    this.#patience = this.#sent.length === 0 ? undefined : this.#newPatience();
    // No sooner: a leader whose answers cannot be read opens each connection all the same.
    this.#redialMs = REDIAL_MS;
    const response = answer.body;
    if (response.errorCode !== ErrorCode.None) return this.#giveUp(errorName(response.errorCode as ErrorCode));
    this.#events.answered(response);
  }

  #newPatience(): Deadline {
    return this.#deadlines.after(this.#options.waitMaxMs + PATIENCE_MS, () => this.#giveUp('no answer in time'));
  }

  #giveUp(reason: string): void {
    const { leader } = this.#options;
    this.#ports.logger.warn({ leader, reason }, 'the connection to the leader of partitions is given up');
    this.#client?.close();
    this.#lost();
  }

  #lost(): void {
    this.#drop();
    this.#events.lost();
    if (this.#isClosed) return;
    this.#redialAfter(this.#redialMs);
    this.#redialMs = Math.min(2 * this.#redialMs, REDIAL_MS_MAX);
  }

  #drop(): void {
    this.#client = undefined;
    this.#isOpen = false;
    this.#sent = [];
    if (this.#patience !== undefined) this.#deadlines.cancel(this.#patience);
    this.#patience = undefined;
  }

  #redialAfter(delayMs: number): void {
    if (this.#redial !== undefined) this.#deadlines.cancel(this.#redial);
    this.#redial = this.#deadlines.after(delayMs, () => {
      this.#redial = undefined;
      this.#events.redialDue();
    });
  }
}
