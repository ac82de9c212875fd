import { at } from '#base/assert';
import { ErrorCode, errorName } from '#model/errors';
import { FETCH } from '#protocol/calls';
import { type BatchHeader, readBatchHeader } from '#protocol/record-batch';
import { iterateRecords } from '#protocol/records';
import { check } from '../checkers/violation.ts';
import { between } from '../ports/sim-random.ts';
import type { Client } from './client.ts';
import { assignAll, type HistoryClient, type Promised } from './client-history.ts';
import { type DataTopic, isInHistory, isTrimmed } from './data-topics.ts';
import { Leaders } from './leaders.ts';
import type { RecordModel } from './record-model.ts';

const REQUEST_TIMEOUT_MS = 1500;
export const FETCH_BYTES = 256 * 1024;
const PROBE_EVERY = 10;
/** No partition comes to so many epochs. */
const EPOCHS_AHEAD = 1_000_000;

interface Position {
  offset: number;
  /** The highest that it was told; −1 before. */
  highWatermark: number;
  /** Losses of the partition that it knows of. */
  lossCount: number;
}

export interface ReadRecord {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string;
}

function beginning(): Position {
  return { offset: 0, highWatermark: -1, lossCount: 0 };
}

/** Reads every partition from its beginning on, at whoever leads it, and tells the model what it has read. */
export class Consumer {
  readonly client: Client;
  readonly #topics: readonly DataTopic[];
  readonly #model: RecordModel;
  readonly #leaders: Leaders;
  readonly #history: HistoryClient;
  readonly #positions = new Map<string, Position>();
  /** By partition and node: the epoch in which that node has served it. */
  readonly #served = new Map<string, number>();

  /** `promised`: what more its history says of it. */
  constructor(
    client: Client,
    topics: readonly DataTopic[],
    model: RecordModel,
    promised: Pick<Promised, 'final'> = {},
  ) {
    this.client = client;
    this.#topics = topics;
    this.#model = model;
    this.#leaders = new Leaders(client);
    this.#history = client.observed({ isolation: 'read_uncommitted', ...promised });
  }

  /** Everything up to the high watermark of one partition, from its beginning on; undefined while it cannot be read. */
  async readAll(
    topic: string,
    partition: number,
    until: () => boolean,
  ): Promise<ReadonlyMap<number, string> | undefined> {
    const log = new Map<number, string>();
    const position = beginning();
    if (isInHistory(topic)) this.#history.did('assign', [['assign', `${topic}-${partition}`, 0]]);
    while (!until()) {
      await this.#fetch(topic, partition, position, (offset, value) => log.set(offset, value));
      if (position.highWatermark >= 0 && position.offset >= position.highWatermark) return log;
      await this.client.pause(20);
    }
    return undefined;
  }

  async work(): Promise<void> {
    const { random } = this.client;
    const told = this.#topics.filter(({ name }) => isInHistory(name));
    this.#history.did(
      'assign',
      told.flatMap(({ name, partitionCount }) => assignAll(name, partitionCount)),
    );
    while (!this.client.isStopped) {
      await this.client.pause(between(random, 50, 300));
      const topic = at(this.#topics, random.uint32() % this.#topics.length);
      if (!topic.exists) continue;
      const partition = random.uint32() % topic.partitionCount;
      const key = `${topic.name}-${partition}`;
      const position = this.#positions.get(key) ?? beginning();
      this.#positions.set(key, position);
      if (random.uint32() % PROBE_EVERY === 0) await this.#probe(topic.name, partition);
      if (isTrimmed(topic.name)) await this.#askForDeleted(topic.name, partition);
      await this.#fetch(topic.name, partition, position, (offset, value) =>
        this.#model.read(this.client.name, key, offset, value),
      );
    }
  }

  /** Asks in an epoch that is not the leader's: one before that in which it has served, or one that never was (I8). */
  async #probe(topic: string, partition: number): Promise<void> {
    const node = this.#leaders.of(topic, partition)?.node;
    const served = this.#served.get(`${topic}-${partition} ${node}`);
    if (node === undefined || served === undefined) return;
    const isStale = served > 0 && this.client.random.uint32() % 2 === 0;
    const currentLeaderEpoch = isStale ? served - 1 : served + EPOCHS_AHEAD;
    const asked = { partition, currentLeaderEpoch, fetchOffset: 0, partitionMaxBytes: FETCH_BYTES };
    const request = { maxWaitMs: 0, minBytes: 1, maxBytes: FETCH_BYTES, topics: [{ topic, partitions: [asked] }] };
    const { response } = await this.client.ask(node, FETCH, request, REQUEST_TIMEOUT_MS);
    const answer = response?.responses[0]?.partitions[0];
    if (answer === undefined) return;
    const fault = faultOfProbe(answer.errorCode, answer.records?.reduce((sum, chunk) => sum + chunk.length, 0) ?? 0);
    check(
      fault === undefined,
      'I8',
      () =>
        `${node} has served ${topic}-${partition} in epoch ${served}, and to who asks in ${currentLeaderEpoch} ${fault}`,
    );
  }

  /** The last of the records of which the leader's log must know that they are deleted. */
  async #askForDeleted(topic: string, partition: number): Promise<void> {
    const leader = this.#leaders.of(topic, partition);
    const key = `${topic}-${partition}`;
    const start = leader === undefined ? 0 : this.#model.startIn(key, leader.epoch);
    if (leader === undefined || start === 0) return;
    const fetchOffset = start - 1;
    const asked = { partition, currentLeaderEpoch: leader.epoch, fetchOffset, partitionMaxBytes: FETCH_BYTES };
    const request = { maxWaitMs: 0, minBytes: 1, maxBytes: FETCH_BYTES, topics: [{ topic, partitions: [asked] }] };
    const { response } = await this.client.ask(leader.node, FETCH, request, REQUEST_TIMEOUT_MS);
    const answer = response?.responses[0]?.partitions[0];
    if (answer?.errorCode === ErrorCode.None) this.#model.served(this.client.name, key, fetchOffset, start);
  }

  async #fetch(
    topic: string,
    partition: number,
    position: Position,
    read: (offset: number, value: string) => void,
  ): Promise<void> {
    const leader = this.#leaders.of(topic, partition);
    if (leader === undefined) return await this.#leaders.refresh(topic);
    const key = `${topic}-${partition}`;
    const lossCount = this.#model.lossCount(key);
    if (position.lossCount < lossCount) Object.assign(position, { ...beginning(), lossCount });
    const asked = {
      partition,
      currentLeaderEpoch: leader.epoch,
      fetchOffset: position.offset,
      partitionMaxBytes: FETCH_BYTES,
    };
    const request = { maxWaitMs: 100, minBytes: 1, maxBytes: FETCH_BYTES, topics: [{ topic, partitions: [asked] }] };
    const history = isInHistory(topic) ? this.#history : undefined;
    const start = this.#model.startIn(key, leader.epoch);
    history?.begin('poll', [['poll']]);
    const { response } = await this.client.ask(leader.node, FETCH, request, REQUEST_TIMEOUT_MS);
    if (this.#model.lossCount(key) > lossCount || this.#model.isDisowned(key, leader.epoch))
      return this.#leaders.forget(topic, partition);
    const answer = response?.responses[0]?.partitions[0];
    if (answer === undefined || answer.errorCode !== ErrorCode.None) {
      history?.fail(answer === undefined ? 'no answer' : errorName(answer.errorCode as ErrorCode));
      const isOutside = answer?.errorCode === ErrorCode.OffsetOutOfRange;
      check(
        !isOutside || this.#mayHavePassed(key, position),
        'lost',
        () =>
          `${this.client.name} has read ${key} up to ${position.offset}, which is out of range in epoch ${leader.epoch}`,
      );
      return this.#leaders.forget(topic, partition);
    }
    this.#model.served(this.client.name, key, position.offset, start);
    const { highWatermark } = answer;
    const records = (answer.records ?? []).flatMap((chunk) => this.#recordsOf(chunk));
    const news = nextOnes(records, position.offset);
    history?.ok(this.client.workload.history.poll(key, news));
    check(
      highWatermark >= position.highWatermark,
      'high watermark',
      () => `${this.client.name} was told ${highWatermark} of ${key}, and ${position.highWatermark} before`,
    );
    position.highWatermark = highWatermark;
    // Nothing is compacted, and no markers are written there.
    const skipped = firstSkipped(news, position.offset);
    check(
      skipped === undefined,
      'lost',
      () => `${this.client.name} has asked for ${key} from ${position.offset} on, and was given nothing at ${skipped}`,
    );
    this.#served.set(`${key} ${leader.node}`, leader.epoch);
    for (const { offset, value } of news) {
      check(offset < highWatermark, 'high watermark', () => `${offset} was read, and ${highWatermark} is committed`);
      read(offset, value);
      position.offset = offset + 1;
    }
  }

  /** What it stands at may have been deleted: it goes on behind all of which that is so; who leads may not have come so far yet. */
  #mayHavePassed(partition: string, position: Position): boolean {
    const next = this.#model.mayBeGoneBelow(partition);
    if (next === 0 || position.offset > next) return false;
    this.client.workload.sometimes('deleted records refused');
    position.offset = next;
    return true;
  }

  #recordsOf(bytes: Uint8Array): readonly ReadRecord[] {
    const found: ReadRecord[] = [];
    for (let start = 0; start < bytes.length; ) {
      const header = readBatchHeader(bytes, start);
      if (typeof header === 'string') break;
      start += header.sizeBytes;
      found.push(...recordsOfBatch(this.client, bytes, header));
    }
    return found;
  }
}

/** A batch comes as a whole, also with what is before the offset that was asked for. */
export function nextOnes<Read extends { readonly offset: number }>(records: readonly Read[], from: number): Read[] {
  let next = from;
  return records.filter(({ offset }) => {
    if (offset < next) return false;
    next = offset + 1;
    return true;
  });
}

/** The first offset from `from` on that is missing among those that follow it. */
export function firstSkipped(news: readonly { readonly offset: number }[], from: number): number | undefined {
  const place = news.findIndex(({ offset }, index) => offset !== from + index);
  return place < 0 ? undefined : from + place;
}

/** Who asks in an epoch that is not the leader's is told so, and gets nothing: a sentence if not. */
export function faultOfProbe(errorCode: number, sizeBytes: number): string | undefined {
  if (errorCode === ErrorCode.None) return 'it says no error';
  return sizeBytes > 0 ? `it gives records with error ${errorCode}` : undefined;
}

/** Which is whole, or a rule is broken. */
export function recordsOfBatch(client: Client, bytes: Uint8Array, header: BatchHeader): readonly ReadRecord[] {
  const records = iterateRecords(bytes, header, client.ports.codecs, FETCH_BYTES);
  check(typeof records !== 'string', 'damaged', () => `${client.name} was sent a batch that is ${String(records)}`);
  return Array.from(records, ({ offset, key, value }) => ({
    offset,
    key: key && Buffer.from(key).toString(),
    value: Buffer.from(value ?? []).toString(),
  }));
}
