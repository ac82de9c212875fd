import type { Codecs, Timestamp } from '#base/ports';
import type { Offset } from '#model/ids';
import { emptiedBatch, reducedBatch } from '#protocol/compacted-batch';
import { type BatchHeader, deleteHorizonOf, isControl, lastOffset } from '#protocol/record-batch';
import { RecordFrames } from '#protocol/record-frames';
import { type RecordsFailure, recordsBody, walkRecords } from '#protocol/records';
import type { CleanedTransactions } from './cleaned-transactions.ts';
import { readEndMarker } from './end-marker.ts';
import type { OffsetMap } from './offset-map.ts';
import type { LastOfProducer } from './producer-state.ts';
import type { AbortedTransaction } from './transaction-index.ts';

export interface FilterOptions {
  readonly map: OffsetMap;
  /**
   * The map knows every key from the first dirty offset up to here, where a batch begins. From here on records stay, and tombstones get
   * no horizon: older values of theirs may not be gone yet.
   */
  readonly mapEnd: Offset;
  readonly transactions: CleanedTransactions;
  /** What the log knows of its producers: their last batches stay, if only empty. */
  readonly lastOfProducers: ReadonlyMap<number, LastOfProducer>;
  readonly nowMs: Timestamp;
  readonly deleteRetentionMs: number;
  readonly recordsBytesMax: number;
  readonly codecs: Codecs;
}

/** 'same': the batch as it is. 'gone': nothing of it. */
export type FilteredBatch = Uint8Array | 'same' | 'gone' | RecordsFailure;

/**
 * What stays of each batch of a log that is compacted, by Kafka's rules (Cleaner, MemoryRecords.filterTo): of each key the last value;
 * its tombstone until delete.retention.ms after the first cleaning that saw it (KIP-534); no data of aborted transactions; markers
 * until the data of their transaction are gone, and as long as tombstones after that. Batches come in the order of the log.
 */
export class BatchFilter {
  readonly #options: FilterOptions;

  constructor(options: FilterOptions) {
    this.#options = options;
  }

  /**
   * `mustStay`: the batch ends a segment, whose end the next start checks, or begins a leader epoch; if nothing else of it stays, its
   * header does. `abort` is told of each aborted transaction whose marker stays with its entry.
   */
  filter(
    bytes: Uint8Array,
    header: BatchHeader,
    mustStay: boolean,
    abort: (transaction: AbortedTransaction) => void,
  ): FilteredBatch {
    return isControl(header)
      ? this.#control(bytes, header, mustStay, abort)
      : this.#data(bytes, header, mustStay || this.#isLastData(header));
  }

  #control(
    bytes: Uint8Array,
    header: BatchHeader,
    mustStay: boolean,
    abort: (transaction: AbortedTransaction) => void,
  ): FilteredBatch {
    const { transactions, nowMs, deleteRetentionMs } = this.#options;
    const ended = transactions.ended(header, readEndMarker(bytes, header));
    if (ended.abort !== undefined) abort(ended.abort);
    if (!ended.isBare) return 'same';
    const horizon = deleteHorizonOf(header);
    if (header.recordCount > 0) {
      if (horizon === undefined) return this.#withHorizon(bytes, header, nowMs + deleteRetentionMs);
      if (nowMs < horizon || mustStay) return 'same';
      return this.#isLastMarker(header) ? emptiedBatch(header, this.#options.codecs) : 'gone';
    }
    return mustStay || this.#isLastMarker(header) ? 'same' : 'gone';
  }

  #withHorizon(bytes: Uint8Array, header: BatchHeader, horizon: Timestamp): FilteredBatch {
    const { codecs, recordsBytesMax } = this.#options;
    const body = recordsBody(bytes, header, codecs, recordsBytesMax);
    if (typeof body === 'string') return body;
    const walk = walkRecords(body, header, false);
    if (walk === 'corrupt') return walk;
    const maxTimestampDelta = walk.maxTimestamp - header.baseTimestamp;
    const kept = { ranges: [{ start: 0, end: body.length }], count: header.recordCount, maxTimestampDelta };
    return reducedBatch(header, body, kept, horizon, codecs);
  }

  #data(bytes: Uint8Array, header: BatchHeader, staysEmpty: boolean): FilteredBatch {
    const { transactions, codecs, recordsBytesMax, mapEnd, nowMs, deleteRetentionMs } = this.#options;
    const isAborted = transactions.isAborted(header);
    if (isAborted || header.recordCount === 0) return this.#withoutRecords(header, staysEmpty);
    if (header.baseOffset >= mapEnd) return 'same';
    const body = recordsBody(bytes, header, codecs, recordsBytesMax);
    if (typeof body === 'string') return body;
    if (walkRecords(body, header, false) === 'corrupt') return 'corrupt';
    const horizon = deleteHorizonOf(header);
    const kept = this.#kept(body, header, horizon === undefined || nowMs < horizon);
    if (kept.count === 0) return this.#withoutRecords(header, staysEmpty);
    const newHorizon = kept.hasTombstones && horizon === undefined ? nowMs + deleteRetentionMs : undefined;
    if (kept.count === header.recordCount && newHorizon === undefined) return 'same';
    return reducedBatch(header, body, kept, newHorizon, codecs);
  }

  #kept(
    body: Uint8Array,
    { baseOffset }: BatchHeader,
    keepsTombstones: boolean,
  ): {
    readonly ranges: readonly { start: number; end: number }[];
    readonly count: number;
    readonly maxTimestampDelta: number;
    readonly hasTombstones: boolean;
  } {
    const { map } = this.#options;
    const ranges: { start: number; end: number }[] = [];
    let count = 0;
    let maxTimestampDelta = Number.NEGATIVE_INFINITY;
    let hasTombstones = false;
    const frames = new RecordFrames(body);
    while (frames.next()) {
      const offset = baseOffset + frames.offsetDelta;
      const isTombstone = frames.valueBytes < 0;
      // Without a key nothing says what it would be the value of: such a record is older than the topic's policy.
      const isLatest = frames.keyBytes >= 0 && offset >= map.get(body, frames.keyAt, frames.keyBytes);
      if (!isLatest || (isTombstone && !keepsTombstones)) continue;
      if (isTombstone) hasTombstones = true;
      count += 1;
      if (frames.timestampDelta > maxTimestampDelta) maxTimestampDelta = frames.timestampDelta;
      const last = ranges.at(-1);
      if (last?.end === frames.start) last.end = frames.end;
      else ranges.push({ start: frames.start, end: frames.end });
    }
    return { ranges, count, maxTimestampDelta, hasTombstones };
  }

  #withoutRecords(header: BatchHeader, staysEmpty: boolean): FilteredBatch {
    if (!staysEmpty) return 'gone';
    return header.recordCount === 0 ? 'same' : emptiedBatch(header, this.#options.codecs);
  }

  /** The batch tells of its producer's last sequence. */
  #isLastData(header: BatchHeader): boolean {
    if (header.producerId < 0) return false;
    return this.#options.lastOfProducers.get(header.producerId)?.dataOffset === lastOffset(header);
  }

  /** Nothing else tells of its producer's epoch. */
  #isLastMarker(header: BatchHeader): boolean {
    const last = this.#options.lastOfProducers.get(header.producerId);
    return last !== undefined && last.dataOffset === undefined && last.epoch === header.producerEpoch;
  }
}
