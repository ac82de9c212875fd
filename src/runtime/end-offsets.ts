/** Where partitions end, and since when, for metrics: other leaders are asked when somebody wants to know, every few seconds at most. */
import type { Endpoint, Mono, Ports, Timer } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { type NodeId, partitionName } from '#model/ids';
import { KafkaClient } from '#net/kafka-client';
import { writeListOffsetsRequest } from '#protocol/generated/list-offsets-request';
import { readListOffsetsResponse } from '#protocol/generated/list-offsets-response';
import { writeRequestHeader } from '#protocol/headers';
import { readResponseFrame } from '#protocol/response-frame';
import { Writer } from '#protocol/writer';
import { EndHistory } from './end-history.ts';
import type { PartitionTable } from './partition-table.ts';

const LIST_OFFSETS = 2;
const LIST_OFFSETS_VERSION = 7;
const LATEST = -1;
const CLIENT_ID = 'odradek-metrics';
const NO_REPLICA = -1;

/** From an answer to the next question. */
const REFRESH_MS = 5_000;
/** Nobody has wanted to know for so long: it is forgotten. Longer than scrapes are apart. */
const KEEP_MS = 90_000;
/** From the first that is wanted to the question: the rest of the scrape comes meanwhile. */
const GATHER_MS = 50;
const DIAL_MS = 1_000;
/** A leader that has not answered by then is asked again the next time. */
const PATIENCE_MS = 3_000;
const RESPONSE_BYTES_MAX = 64 << 20;

export interface EndOffsetsParts {
  readonly partitions: Pick<PartitionTable, 'findByName'>;
  readonly image: MetadataImage;
  /** Of a broker's inter-broker listener; undefined while it is not registered. */
  endpointOf(broker: NodeId): Endpoint | undefined;
  /** More partitions are not asked for, nor kept. */
  readonly wantedMax: number;
}

interface Wanted {
  readonly topic: string;
  readonly index: number;
  at: Mono;
  readonly history: EndHistory;
  /** By another leader, when it was last asked. */
  told: { readonly offset: number; readonly at: Mono } | undefined;
}

/**
 * High watermarks, as this node knows them where it leads, else as the leader has told. Those of other leaders are unknown at first, and
 * as old as `ageMs` says.
 */
export class EndOffsets {
  readonly #ports: Pick<Ports, 'clock' | 'network'>;
  readonly #parts: EndOffsetsParts;
  readonly #timer: Timer;
  /** By partition name; at most `wantedMax`. */
  readonly #wanted = new Map<string, Wanted>();
  /** A question is due, or under way. */
  #isAsking = false;
  #isClosed = false;

  constructor(ports: Pick<Ports, 'clock' | 'network'>, parts: EndOffsetsParts) {
    this.#ports = ports;
    this.#parts = parts;
    this.#timer = ports.clock.timer(() => void this.#refresh());
  }

  /** Undefined while it is not known: the first time, and if its leader does not answer. */
  of(topic: string, index: number): number | undefined {
    const wanted = this.#want(topic, index);
    return this.#ledEnd(topic, index) ?? wanted?.told?.offset;
  }

  /**
   * For how long there has been a record at `offset`, as far as this node has looked: at least so long. 0 if there is none; undefined while
   * the end is not known.
   */
  presentMs(topic: string, index: number, offset: number): number | undefined {
    const now = this.#ports.clock.now();
    const wanted = this.#want(topic, index);
    const ledEnd = this.#ledEnd(topic, index);
    if (ledEnd !== undefined) wanted?.history.note(ledEnd, now);
    const end = ledEnd ?? wanted?.told?.offset;
    if (wanted === undefined || end === undefined) return undefined;
    return offset >= end ? 0 : now - (wanted.history.cameAt(offset) ?? now);
  }

  /** Of the oldest one that another leader has told; 0 if there is none. */
  get ageMs(): number {
    const now = this.#ports.clock.now();
    let age = 0;
    for (const { told } of this.#wanted.values()) if (told !== undefined) age = Math.max(age, now - told.at);
    return age;
  }

  /** Nothing is asked any more. */
  close(): void {
    this.#isClosed = true;
    this.#timer.disarm();
  }

  /** Undefined beyond the limit. */
  #want(topic: string, index: number): Wanted | undefined {
    const at = this.#ports.clock.now();
    const name = partitionName(topic, index);
    let wanted = this.#wanted.get(name);
    if (wanted !== undefined) wanted.at = at;
    else if (this.#wanted.size < this.#parts.wantedMax) {
      wanted = { topic, index, at, history: new EndHistory(), told: undefined };
      this.#wanted.set(name, wanted);
    }
    this.#askAfter(GATHER_MS);
    return wanted;
  }

  /** Undefined where another node leads. */
  #ledEnd(topic: string, index: number): number | undefined {
    const found = this.#parts.partitions.findByName(topic, index);
    return typeof found === 'number' ? undefined : found.highWatermark;
  }

  #askAfter(delayMs: number): void {
    if (this.#isAsking || this.#isClosed) return;
    this.#isAsking = true;
    this.#timer.arm(delayMs);
  }

  async #refresh(): Promise<void> {
    const now = this.#ports.clock.now();
    const elsewhere: Wanted[] = [];
    for (const [name, wanted] of this.#wanted) {
      const end = this.#ledEnd(wanted.topic, wanted.index);
      if (wanted.at < now - KEEP_MS) this.#wanted.delete(name);
      else if (end === undefined) elsewhere.push(wanted);
      else {
        wanted.told = undefined;
        wanted.history.note(end, now);
      }
    }
    const byLeader = Map.groupBy(elsewhere, ({ topic, index }) => this.#leaderOf(topic, index));
    const asked = [...byLeader].map(async ([leader, partitions]) => {
      const endpoint = leader === undefined ? undefined : this.#parts.endpointOf(leader);
      if (endpoint === undefined) return;
      const answer = await this.#ask(endpoint, partitions);
      const at = this.#ports.clock.now();
      for (const wanted of partitions) {
        const offset = answer.get(partitionName(wanted.topic, wanted.index));
        if (offset === undefined) continue;
        wanted.told = { offset, at };
        wanted.history.note(offset, at);
      }
    });
    await Promise.all(asked);
    this.#isAsking = false;
    if (this.#wanted.size > 0) this.#askAfter(REFRESH_MS);
  }

  #leaderOf(topic: string, index: number): NodeId | undefined {
    return this.#parts.image.partition(topic, index)?.leader ?? undefined;
  }

  /** What the leader tells, by partition name; what it does not is missing. */
  #ask(endpoint: Endpoint, wanted: readonly Wanted[]): Promise<ReadonlyMap<string, number>> {
    return new Promise((resolve) => {
      const finish = (offsets: ReadonlyMap<string, number>): void => {
        patience.disarm();
        client.close();
        resolve(offsets);
      };
      const patience = this.#ports.clock.timer(() => finish(new Map()));
      patience.arm(PATIENCE_MS);
      const options = { dialTimeoutMs: DIAL_MS, responseBytesMax: RESPONSE_BYTES_MAX };
      const client = new KafkaClient(this.#ports, endpoint, options, {
        opened: () => client.send(questionOf(wanted)),
        response: (frame) => finish(answerOf(frame)),
        closed: () => finish(new Map()),
      });
    });
  }
}

function questionOf(wanted: readonly Wanted[]): Uint8Array[] {
  const byTopic = Map.groupBy(wanted, ({ topic }) => topic);
  const topics = [...byTopic].map(([name, partitions]) => ({
    name,
    partitions: partitions.map(({ index }) => ({ partitionIndex: index, timestamp: LATEST })),
  }));
  const writer = new Writer();
  writer.int32(0);
  const header = { apiKey: LIST_OFFSETS, apiVersion: LIST_OFFSETS_VERSION, correlationId: 0, clientId: CLIENT_ID };
  writeRequestHeader(writer, header);
  writeListOffsetsRequest(writer, { replicaId: NO_REPLICA, topics }, LIST_OFFSETS_VERSION);
  writer.patchInt32(0, writer.sizeBytes - 4);
  return writer.chunks();
}

function answerOf(frame: Uint8Array): ReadonlyMap<string, number> {
  const answer = readResponseFrame(frame, LIST_OFFSETS, LIST_OFFSETS_VERSION, readListOffsetsResponse);
  const offsets = new Map<string, number>();
  for (const { name, partitions } of answer?.body.topics ?? [])
    for (const { partitionIndex, errorCode, offset } of partitions)
      if (errorCode === ErrorCode.None) offsets.set(partitionName(name, partitionIndex), offset);
  return offsets;
}
