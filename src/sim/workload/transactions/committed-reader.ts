import { readEndMarker } from '#log/end-marker';
import { ErrorCode, errorName } from '#model/errors';
import { FETCH } from '#protocol/calls';
import { isControl, isTransactional, lastOffset, readBatchHeader } from '#protocol/record-batch';
import { check } from '../../checkers/violation.ts';
import { between } from '../../ports/sim-random.ts';
import type { Client } from '../client.ts';
import { assignAll, type HistoryClient, type Promised } from '../client-history.ts';
import { FETCH_BYTES, nextOnes, type ReadRecord, recordsOfBatch } from '../consumer.ts';
import type { DataTopic } from '../data-topics.ts';
import { Leaders } from '../leaders.ts';
import type { TransactionModel } from './transaction-model.ts';

const REQUEST_TIMEOUT_MS = 1500;
const READ_COMMITTED = 1;

interface Position {
  offset: number;
  /** The highest that it was told; −1 before. */
  lastStableOffset: number;
  highWatermark: number;
}

type Read = (offset: number, value: string) => void;

/** Reads every partition with isolation.level=read_committed, as clients do: what was aborted is sent, and left out here (KIP-98). */
export class CommittedReader {
  readonly client: Client;
  readonly #topic: DataTopic;
  readonly #model: TransactionModel;
  readonly #leaders: Leaders;
  readonly #history: HistoryClient;
  readonly #positions = new Map<string, Position>();

  /** `promised`: what more its history says of it. */
  constructor(client: Client, topic: DataTopic, model: TransactionModel, promised: Pick<Promised, 'final'> = {}) {
    this.client = client;
    this.#topic = topic;
    this.#model = model;
    this.#leaders = new Leaders(client);
    this.#history = client.observed({ isolation: 'read_committed', ...promised });
  }

  /** What is committed of one partition, once nothing in it is undecided; undefined while that is not so, or it cannot be read. */
  async readAll(partition: number, until: () => boolean): Promise<ReadonlyMap<number, string> | undefined> {
    const log = new Map<number, string>();
    const position = { offset: 0, lastStableOffset: -1, highWatermark: -1 };
    this.#history.did('assign', [['assign', `${this.#topic.name}-${partition}`, 0]]);
    while (!until()) {
      await this.#fetch(partition, position, (offset, value) => log.set(offset, value));
      const { offset, lastStableOffset, highWatermark } = position;
      if (highWatermark >= 0 && offset >= highWatermark && lastStableOffset === highWatermark) return log;
      await this.client.pause(20);
    }
    return undefined;
  }

  async work(): Promise<void> {
    const { random } = this.client;
    this.#history.did('assign', assignAll(this.#topic.name, this.#topic.partitionCount));
    while (!this.client.isStopped) {
      await this.client.pause(between(random, 50, 300));
      if (!this.#topic.exists) continue;
      const partition = random.uint32() % this.#topic.partitionCount;
      const key = `${this.#topic.name}-${partition}`;
      const position = this.#positions.get(key) ?? { offset: 0, lastStableOffset: -1, highWatermark: -1 };
      this.#positions.set(key, position);
      await this.#fetch(partition, position, (offset, value) => this.#model.read(this.client.name, key, offset, value));
    }
  }

  async #fetch(partition: number, position: Position, read: Read): Promise<void> {
    const topic = this.#topic.name;
    const leader = this.#leaders.of(topic, partition);
    if (leader === undefined) return await this.#leaders.refresh(topic);
    const asked = {
      partition,
      currentLeaderEpoch: leader.epoch,
      fetchOffset: position.offset,
      partitionMaxBytes: FETCH_BYTES,
    };
    const request = {
      maxWaitMs: 100,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      isolationLevel: READ_COMMITTED,
      topics: [{ topic, partitions: [asked] }],
    };
    this.#history.begin('poll', [['poll']]);
    const { response } = await this.client.ask(leader.node, FETCH, request, REQUEST_TIMEOUT_MS);
    const answer = response?.responses[0]?.partitions[0];
    if (answer === undefined || answer.errorCode !== ErrorCode.None) {
      this.#history.fail(answer === undefined ? 'no answer' : errorName(answer.errorCode as ErrorCode));
      check(
        answer?.errorCode !== ErrorCode.OffsetOutOfRange,
        'lost',
        () => `${this.client.name} has read ${topic}-${partition} up to ${position.offset}, which is out of range`,
      );
      return this.#leaders.forget(topic, partition);
    }
    const { highWatermark, lastStableOffset } = answer;
    const aborted = [...(answer.abortedTransactions ?? [])].sort((a, b) => a.firstOffset - b.firstOffset);
    const { records, end } = this.#committedOf(Buffer.concat(answer.records ?? []), aborted);
    const news = nextOnes(records, position.offset);
    this.#history.ok(this.client.workload.history.poll(`${topic}-${partition}`, news));
    check(
      lastStableOffset >= position.lastStableOffset,
      'last stable offset',
      () =>
        `${this.client.name} was told ${lastStableOffset} of ${topic}-${partition}, ${position.lastStableOffset} before`,
    );
    check(lastStableOffset <= highWatermark, 'last stable offset', () => `${lastStableOffset} above ${highWatermark}`);
    Object.assign(position, { highWatermark, lastStableOffset });
    for (const { offset, value } of news) {
      check(
        offset < lastStableOffset,
        'last stable offset',
        () => `${offset} was read, and ${lastStableOffset} is the end of what is decided`,
      );
      read(offset, value);
    }
    position.offset = Math.max(position.offset, end);
  }

  /** What is left when what was aborted is left out, and where it ends. */
  #committedOf(
    bytes: Uint8Array,
    aborted: { readonly producerId: number; readonly firstOffset: number }[],
  ): { readonly records: readonly ReadRecord[]; readonly end: number } {
    const found: ReadRecord[] = [];
    let end = 0;
    const leftOut = new Set<number>();
    for (let start = 0; start < bytes.length; ) {
      const header = readBatchHeader(bytes, start);
      if (typeof header === 'string') break;
      start += header.sizeBytes;
      const last = lastOffset(header);
      while (aborted[0] !== undefined && aborted[0].firstOffset <= last) leftOut.add(aborted.shift()?.producerId ?? -1);
      if (isControl(header)) {
        if (readEndMarker(bytes, header)?.aborted) leftOut.delete(header.producerId);
      } else if (!isTransactional(header) || !leftOut.has(header.producerId)) {
        found.push(...recordsOfBatch(this.client, bytes, header));
      }
      end = last + 1;
    }
    return { records: found, end };
  }
}
