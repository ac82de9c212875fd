import { readEndMarker } from '#log/end-marker';
import { LeaderEpochCache } from '#log/leader-epoch-cache';
import { ProducerStates } from '#log/producer-state';
import { type AbortedTransaction, TransactionIndex } from '#log/transaction-index';
import { type LeaderEpoch, type Offset, offset, type Uuid, ZERO_UUID } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import { type BatchHeader, isControl, readBatchHeader, writeBatchHeader } from '#protocol/record-batch';
import { buildBatch, type NewBatch } from '#protocol/record-batch-builder';
import type { LogListener, PartitionLog } from '#storage/partition-log';
import type { ReadResult } from '#storage/tail-cache';

export const codecs = createCodecs();

type ReadAnswer = ReadResult | 'out-of-range' | 'failed';

/** A read that waits for the test. */
export interface PendingRead {
  readonly from: Offset;
  readonly upTo: Offset;
  readonly maxBytes: number;
  readonly minOneBatch: boolean;
  done(result: ReadAnswer): void;
}

/** A log whose every step the test takes: what is durable, what is cached, when a read completes. */
export class StubLog {
  readonly topic: string;
  readonly partition: number;
  readonly topicId: Uuid;
  readonly producers = new ProducerStates(codecs.crc32c, { maxProducers: 10 });
  readonly epochs = new LeaderEpochCache();
  readonly aborted = new TransactionIndex(offset(0));
  listener: LogListener | undefined;
  logStartOffset = offset(0);
  logEndOffset = offset(0);
  durableOffset = offset(0);
  refusal: 'offline' | 'full' | undefined;
  highWatermark: Offset | undefined;
  isBeingRewound = false;
  /** Ends the cut that is under way. */
  endCut: () => void = () => {};
  /** Bytes of each record's batch in the tail cache, which holds all unless `isCold`. */
  batchBytes = 100;
  isCold = false;
  readonly reads: PendingRead[] = [];
  readonly configs: unknown[] = [];

  constructor(topic = 't', partition = 0, topicId: Uuid = ZERO_UUID) {
    this.topic = topic;
    this.partition = partition;
    this.topicId = topicId;
  }

  get asLog(): PartitionLog {
    return this as unknown as PartitionLog;
  }

  /** It is saved at once where it starts. */
  get savedStartOffset(): Offset {
    return this.logStartOffset;
  }

  /** Everything is written at once. */
  get writtenOffset(): Offset {
    return this.logEndOffset;
  }

  assignEpoch(epoch: LeaderEpoch): void {
    this.epochs.assign(epoch, this.logEndOffset);
  }

  append(bytes: Uint8Array, headers: readonly BatchHeader[], epoch: LeaderEpoch) {
    if (this.refusal !== undefined) return this.refusal;
    const baseOffset = this.logEndOffset;
    for (const header of headers) {
      this.epochs.assign(epoch, this.logEndOffset);
      const lastOffset = offset(this.logEndOffset + header.lastOffsetDelta);
      const marker = isControl(header) ? readEndMarker(bytes, header) : undefined;
      const ended = this.producers.append(header, this.logEndOffset, lastOffset, header.maxTimestamp, marker);
      if (ended?.aborted) this.aborted.append(ended);
      this.logEndOffset = offset(lastOffset + 1);
    }
    return { baseOffset, lastOffset: offset(this.logEndOffset - 1) };
  }

  /** So many records are there, and durable. */
  fill(count: number): void {
    this.logEndOffset = offset(this.logEndOffset + count);
    this.sync();
  }

  sync(end: number = this.logEndOffset): void {
    this.durableOffset = offset(end);
    this.listener?.durable(this.durableOffset);
  }

  reject(from: number): void {
    this.logEndOffset = offset(from);
    this.listener?.rejected(this.logEndOffset);
  }

  /** The way back to the last write has ended. */
  endRewind(): void {
    this.isBeingRewound = false;
    this.listener?.rewound();
  }

  truncateTo(end: Offset, done: () => void): void {
    this.endCut = () => {
      this.logEndOffset = offset(Math.min(this.logEndOffset, end));
      this.durableOffset = offset(Math.min(this.durableOffset, end));
      done();
    };
  }

  readCached(from: Offset, upTo: Offset, maxBytes: number, minOneBatch: boolean): ReadResult | undefined {
    return this.isCold ? undefined : this.batches(from, upTo, maxBytes, minOneBatch);
  }

  read(from: Offset, upTo: Offset, maxBytes: number, minOneBatch: boolean, done: (result: ReadAnswer) => void): void {
    this.reads.push({ from, upTo, maxBytes, minOneBatch, done });
  }

  /** Completes the first read that waits, with what was asked. */
  completeRead(): void {
    const read = this.reads.shift();
    if (read === undefined) throw new Error('no read waits');
    read.done(this.batches(read.from, read.upTo, read.maxBytes, read.minOneBatch));
  }

  abortedTransactions(from: Offset, upTo: Offset): readonly AbortedTransaction[] {
    const found: AbortedTransaction[] = [];
    this.aborted.collect(from, upTo, found);
    return found;
  }

  updateConfig(config: unknown): void {
    this.configs.push(config);
  }

  #batch(baseOffset: number): Uint8Array {
    const bytes = new Uint8Array(this.batchBytes);
    const filler = { attributes: 0, lastOffsetDelta: 0, baseTimestamp: 0, maxTimestamp: 0, recordCount: 1 };
    const nobody = { producerId: -1, producerEpoch: -1, baseSequence: -1 };
    writeBatchHeader(bytes, { baseOffset, partitionLeaderEpoch: 0, ...filler, ...nobody }, codecs);
    return bytes;
  }

  /** One batch a record. */
  batches(from: number, upTo: number, maxBytes: number, minOneBatch: boolean): ReadResult {
    const fitting = Math.max(Math.floor(maxBytes / this.batchBytes), minOneBatch ? 1 : 0);
    const count = Math.max(0, Math.min(fitting, upTo - from));
    const chunks = Array.from({ length: count }, (_, index) => this.#batch(from + index));
    return { chunks, sizeBytes: count * this.batchBytes };
  }
}

/** A batch of so many records with its header, as a handler gives them to a partition. */
export function batchOf(count: number, given: Partial<NewBatch> = {}): [Uint8Array, BatchHeader[]] {
  const records = Array.from({ length: count }, () => ({ timestamp: 1000, key: null, value: null }));
  const bytes = buildBatch({ baseOffset: 0, leaderEpoch: -1, records, ...given }, codecs);
  if (bytes === 'unavailable') throw new Error('the codec is not installed');
  const header = readBatchHeader(bytes, 0);
  if (typeof header === 'string') throw new Error(header);
  return [bytes, [header]];
}
