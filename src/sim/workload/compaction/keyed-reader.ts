import { ErrorCode } from '#model/errors';
import { FETCH } from '#protocol/calls';
import { lastOffset, readBatchHeader } from '#protocol/record-batch';
import { check } from '../../checkers/violation.ts';
import { between } from '../../ports/sim-random.ts';
import type { Client } from '../client.ts';
import { FETCH_BYTES, nextOnes, type ReadRecord, recordsOfBatch } from '../consumer.ts';
import type { DataTopic } from '../data-topics.ts';
import { Leaders } from '../leaders.ts';
import type { CompactionModel } from './compaction-model.ts';

const REQUEST_TIMEOUT_MS = 1500;
/** At the end it begins again once in so many times. */
const AGAIN_EVERY = 4;

interface Position {
  offset: number;
  /** As it was last told; −1 before. */
  highWatermark: number;
}

type Read = (offset: number, value: string) => void;

/** Reads a compacted partition again and again: what is given, and what is passed by, agrees with what was written. */
export class KeyedReader {
  readonly client: Client;
  readonly #topic: DataTopic;
  readonly #model: CompactionModel;
  readonly #leaders: Leaders;

  constructor(client: Client, topic: DataTopic, model: CompactionModel) {
    this.client = client;
    this.#topic = topic;
    this.#model = model;
    this.#leaders = new Leaders(client);
  }

  async work(): Promise<void> {
    const { random } = this.client;
    let position = { offset: 0, highWatermark: -1 };
    while (!this.client.isStopped) {
      await this.client.pause(between(random, 50, 500));
      if (!this.#topic.exists) continue;
      await this.#fetch(position, () => {});
      if (isAtEnd(position) && random.uint32() % AGAIN_EVERY === 0) position = { ...position, offset: 0 };
    }
  }

  /** Everything up to the high watermark; undefined while it cannot be read. */
  async readAll(until: () => boolean): Promise<ReadonlyMap<number, string> | undefined> {
    const log = new Map<number, string>();
    const position = { offset: 0, highWatermark: -1 };
    while (!until()) {
      await this.#fetch(position, (offset, value) => log.set(offset, value));
      if (isAtEnd(position)) return log;
      await this.client.pause(20);
    }
    return undefined;
  }

  async #fetch(position: Position, read: Read): Promise<void> {
    const topic = this.#topic.name;
    const leader = this.#leaders.of(topic, 0);
    if (leader === undefined) return await this.#leaders.refresh(topic);
    const { offset: from } = position;
    const asked = { partition: 0, currentLeaderEpoch: leader.epoch, fetchOffset: from, partitionMaxBytes: FETCH_BYTES };
    const request = { maxWaitMs: 100, minBytes: 1, maxBytes: FETCH_BYTES, topics: [{ topic, partitions: [asked] }] };
    const { response } = await this.client.ask(leader.node, FETCH, request, REQUEST_TIMEOUT_MS);
    const answer = response?.responses[0]?.partitions[0];
    const who = this.client.name;
    const key = `${topic}-0`;
    check(
      answer?.errorCode !== ErrorCode.OffsetOutOfRange,
      'lost',
      () => `${who} has read ${key} up to ${from}, which is out of range in epoch ${leader.epoch}`,
    );
    if (answer === undefined || answer.errorCode !== ErrorCode.None) return this.#leaders.forget(topic, 0);
    const { highWatermark } = answer;
    check(
      highWatermark >= position.highWatermark,
      'high watermark',
      () => `${who} was told ${highWatermark} of ${key}, and ${position.highWatermark} before`,
    );
    position.highWatermark = highWatermark;
    const { records, end } = this.#recordsOf(Buffer.concat(answer.records ?? []));
    const news = nextOnes(records, from);
    for (const record of news) {
      const { offset, value } = record;
      check(offset < highWatermark, 'high watermark', () => `${offset} was read, and ${highWatermark} is committed`);
      this.#model.read(who, key, offset, record.key, value);
      read(offset, value);
    }
    position.offset = Math.max(from, end);
    const given = new Set(news.map(({ offset }) => offset));
    if (this.#model.passed(who, key, from, position.offset, given)) this.client.workload.sometimes('compaction seen');
  }

  /** Where they end, which compaction may have emptied. */
  #recordsOf(bytes: Uint8Array): { readonly records: readonly ReadRecord[]; readonly end: number } {
    const records: ReadRecord[] = [];
    let end = 0;
    for (let start = 0; start < bytes.length; ) {
      const header = readBatchHeader(bytes, start);
      if (typeof header === 'string') break;
      start += header.sizeBytes;
      records.push(...recordsOfBatch(this.client, bytes, header));
      end = lastOffset(header) + 1;
    }
    return { records, end };
  }
}

function isAtEnd({ offset, highWatermark }: Position): boolean {
  return highWatermark >= 0 && offset >= highWatermark;
}
