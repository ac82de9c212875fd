import { assert } from '#base/assert';
import type { Parsed } from '#base/parsed';
import type { Codecs, Timestamp } from '#base/ports';
import { ErrorCode, type FailureCode } from '#model/errors';
import type { Offset, ProducerId } from '#model/ids';
import { type BatchHeader, isControl, isTransactional, lastSequence } from '#protocol/record-batch';
import type { EndMarker } from './end-marker.ts';
import { type CompletedTransaction, OpenTransactions } from './open-transactions.ts';
import {
  findBatch,
  follows,
  keepBatch,
  lastSequenceOf,
  moveToEpoch,
  newProducerEntry,
  type ProducerEntry,
} from './producer-entry.ts';
import { decodeProducerSnapshot, encodeProducerSnapshot } from './producer-snapshot.ts';

const PRODUCER_EPOCH_MAX = 0x7fff;

export type ProducerCheck =
  | { readonly kind: 'ok' }
  /** One of the producer's last batches again: answered as the first time. */
  | {
      readonly kind: 'duplicate';
      readonly baseOffset: Offset;
      readonly lastOffset: Offset;
      /** The timestamp given when it was appended. */
      readonly appendTime: Timestamp;
    }
  | { readonly kind: 'error'; readonly code: FailureCode };

export interface ProducerStatesOptions {
  /** Beyond it the producer that wrote least recently is forgotten, unless its transaction is open. */
  readonly maxProducers: number;
}

/** A producer as DescribeProducers tells of it (KIP-664). */
export interface ActiveProducer {
  readonly producerId: ProducerId;
  readonly epoch: number;
  /** -1: none in this epoch. */
  readonly lastSequence: number;
  readonly lastTimestamp: Timestamp;
  /** -1: it has no marker yet. */
  readonly coordinatorEpoch: number;
  readonly openTransactionAt: Offset | undefined;
}

/** What tells of a producer, if the log forgets the rest of it. */
export interface LastOfProducer {
  /** The last offset of its last batch; undefined: it has written none in its epoch. */
  readonly dataOffset: Offset | undefined;
  readonly epoch: number;
}

const OK: ProducerCheck = { kind: 'ok' };

/**
 * What one partition remembers of its idempotent and transactional producers (KIP-98, KIP-360), a pure fold of its batches:
 * `check` decides, `append` follows whatever is in the log. Producers are kept in the order of their last batch, also in
 * snapshots, so that a state rebuilt from a snapshot and the log equals the one kept all along.
 */
export class ProducerStates {
  readonly #crc32c: Codecs['crc32c'];
  readonly #maxProducers: number;
  /** Least recent first. */
  readonly #producers = new Map<number, ProducerEntry>();
  #newest: ProducerEntry | undefined;
  readonly #transactions = new OpenTransactions();

  constructor(crc32c: Codecs['crc32c'], { maxProducers }: ProducerStatesOptions) {
    assert(maxProducers >= 1, 'room for one producer at least');
    this.#crc32c = crc32c;
    this.#maxProducers = maxProducers;
  }

  get size(): number {
    return this.#producers.size;
  }

  /**
   * Whether the leader may append a client's batch. INVALID_PRODUCER_EPOCH: a newer epoch has written.
   * OUT_OF_ORDER_SEQUENCE_NUMBER: not the next sequence, or a new epoch that does not start at 0. INVALID_TXN_STATE: outside
   * the producer's open transaction. An unknown producer may start at any sequence, as its state may have expired (KIP-360), but
   * where there was never a record, at an `endOffset` of 0: there it has other batches under way, which are to come first
   * (KAFKA-15591, Kafka 4.5). A batch without sequences is a coordinator's own, of which only the epoch is checked.
   */
  check(header: BatchHeader, endOffset: number): ProducerCheck {
    if (header.producerId < 0) return OK;
    assert(!isControl(header), 'clients write no control batches');
    const entry = this.#producers.get(header.producerId);
    if (entry === undefined) {
      const isGap = endOffset === 0 && header.baseSequence > 0;
      return isGap ? refused(ErrorCode.OutOfOrderSequenceNumber) : OK;
    }
    if (header.producerEpoch < entry.epoch) return refused(ErrorCode.InvalidProducerEpoch);
    if (header.baseSequence < 0) return OK;
    if (header.producerEpoch > entry.epoch) {
      if (header.baseSequence !== 0) return refused(ErrorCode.OutOfOrderSequenceNumber);
    } else {
      const known = findBatch(entry, header.baseSequence, lastSequence(header));
      if (known !== undefined) {
        const baseOffset = (known.lastOffset - known.offsetDelta) as Offset;
        return { kind: 'duplicate', baseOffset, lastOffset: known.lastOffset, appendTime: known.timestamp };
      }
      if (!follows(lastSequenceOf(entry), header.baseSequence)) return refused(ErrorCode.OutOfOrderSequenceNumber);
    }
    if (entry.openTransactionAt !== undefined && !isTransactional(header)) return refused(ErrorCode.InvalidTxnState);
    return OK;
  }

  /**
   * Whether the leader may append a coordinator's transaction marker. `epochMustRise`: the transaction runs under
   * transaction.version 2, where every end bumps the epoch (KIP-890); a marker sent again is let through once its
   * transaction is over.
   */
  checkMarker(header: BatchHeader, marker: EndMarker, epochMustRise: boolean): ProducerCheck {
    const entry = this.#producers.get(header.producerId);
    if (entry === undefined) return OK;
    const { producerEpoch } = header;
    if (producerEpoch < entry.epoch) return refused(ErrorCode.InvalidProducerEpoch);
    if (epochMustRise && producerEpoch === entry.epoch) {
      const repeated = entry.openTransactionAt === undefined || producerEpoch === PRODUCER_EPOCH_MAX;
      if (!repeated) return refused(ErrorCode.InvalidProducerEpoch);
    }
    if (marker.coordinatorEpoch < entry.coordinatorEpoch) return refused(ErrorCode.TransactionCoordinatorFenced);
    return OK;
  }

  /**
   * Follows a batch that is now in the log, as leader, follower or in recovery; nothing is checked here. `timestamp` is the
   * batch's highest; it dates the producer for expiry. `marker` is what readEndMarker found in a control batch.
   * Returns the transaction that the batch ended.
   */
  append(
    header: BatchHeader,
    baseOffset: Offset,
    lastOffset: Offset,
    timestamp: Timestamp,
    marker?: EndMarker,
  ): CompletedTransaction | undefined {
    if (header.producerId < 0) return undefined;
    // Compaction leaves of a last marker only the epoch.
    const isBare = isControl(header) && header.recordCount === 0;
    if (isControl(header) && marker === undefined && !isBare) return undefined;
    const entry = this.#touch(header);
    if (isBare) {
      entry.lastTimestamp = timestamp;
      return undefined;
    }
    if (marker !== undefined) return this.#end(entry, lastOffset, timestamp, marker);
    keepBatch(entry, {
      lastSequence: lastSequence(header),
      lastOffset,
      offsetDelta: lastOffset - baseOffset,
      timestamp,
    });
    if (entry.openTransactionAt === undefined && isTransactional(header)) {
      entry.openTransactionAt = baseOffset;
      this.#transactions.begin(entry.producerId, baseOffset);
    }
    return undefined;
  }

  knows(producerId: number): boolean {
    return this.#producers.has(producerId);
  }

  /** Whether the producer has a transaction open here that it began in this epoch. */
  hasOpenTransaction(producerId: number, epoch: number): boolean {
    const entry = this.#producers.get(producerId);
    return entry?.openTransactionAt !== undefined && entry.epoch === epoch;
  }

  /** INVALID_PRODUCER_EPOCH if a newer epoch of the producer has written. */
  checkEpoch(producerId: number, epoch: number): ErrorCode {
    const known = this.#producers.get(producerId)?.epoch ?? epoch;
    return epoch < known ? ErrorCode.InvalidProducerEpoch : ErrorCode.None;
  }

  /** Every producer that is remembered, least recent first. */
  *active(): IterableIterator<ActiveProducer> {
    for (const entry of this.#producers.values()) {
      const { producerId, epoch, lastTimestamp, coordinatorEpoch, openTransactionAt } = entry;
      yield {
        producerId,
        epoch,
        lastSequence: lastSequenceOf(entry),
        lastTimestamp,
        coordinatorEpoch,
        openTransactionAt,
      };
    }
  }

  /** The first offset of a transaction that is open, or whose marker is not yet below the high watermark. */
  get firstUnstableOffset(): Offset | undefined {
    return this.#transactions.firstUnstable;
  }

  /** Up to where a read_committed consumer may read. */
  lastStableOffset(highWatermark: Offset): Offset {
    const first = this.#transactions.firstUnstable;
    return first !== undefined && first < highWatermark ? first : highWatermark;
  }

  /** Markers below it are safe: their transactions are decided for good. */
  highWatermarkAdvanced(highWatermark: Offset): void {
    this.#transactions.highWatermarkAdvanced(highWatermark);
  }

  /** Forgets who has not written for `expirationMs` (producer.id.expiration.ms), unless its transaction is open. */
  removeExpired(nowMs: Timestamp, expirationMs: number): void {
    for (const [id, entry] of this.#producers) {
      if (entry.openTransactionAt === undefined && nowMs - entry.lastTimestamp >= expirationMs) this.#forget(id);
    }
  }

  /** Of every producer that is remembered. */
  lastOfEach(): ReadonlyMap<number, LastOfProducer> {
    const last = new Map<number, LastOfProducer>();
    for (const [id, { batches, epoch }] of this.#producers)
      last.set(id, { dataOffset: batches[batches.length - 1]?.lastOffset, epoch });
    return last;
  }

  /** Before a log is replayed from its start, or from a snapshot after a truncation. */
  clear(): void {
    this.#replace([]);
  }

  takeSnapshot(): Uint8Array {
    return encodeProducerSnapshot(this.#producers.values(), this.#producers.size, this.#crc32c);
  }

  /** Replaces the whole state, or changes nothing and says what is wrong with the file. */
  loadSnapshot(bytes: Uint8Array): Parsed<true> {
    const loaded = decodeProducerSnapshot(bytes, this.#crc32c);
    if (loaded.error !== undefined) return loaded;
    this.#replace(loaded.value);
    return { value: true };
  }

  #end(
    entry: ProducerEntry,
    lastOffset: Offset,
    timestamp: Timestamp,
    marker: EndMarker,
  ): CompletedTransaction | undefined {
    const firstOffset = entry.openTransactionAt;
    entry.openTransactionAt = undefined;
    entry.coordinatorEpoch = marker.coordinatorEpoch;
    entry.lastTimestamp = timestamp;
    // A marker without data before it decides nothing.
    if (firstOffset === undefined) return undefined;
    return this.#transactions.end(entry.producerId, firstOffset, lastOffset, marker.aborted);
  }

  /** The producer's entry, at the header's epoch, as the most recent one. */
  #touch({ producerId, producerEpoch }: BatchHeader): ProducerEntry {
    if (this.#newest?.producerId === producerId) {
      moveToEpoch(this.#newest, producerEpoch);
      return this.#newest;
    }
    let entry = this.#producers.get(producerId);
    if (entry === undefined) {
      entry = newProducerEntry(producerId as ProducerId, producerEpoch);
      if (this.#producers.size >= this.#maxProducers) this.#forgetLeastRecent();
    } else {
      moveToEpoch(entry, producerEpoch);
      this.#producers.delete(producerId);
    }
    this.#producers.set(producerId, entry);
    this.#newest = entry;
    return entry;
  }

  #forgetLeastRecent(): void {
    for (const [id, entry] of this.#producers) {
      if (entry.openTransactionAt !== undefined) continue;
      this.#forget(id);
      return;
    }
  }

  #forget(id: number): void {
    if (this.#newest?.producerId === id) this.#newest = undefined;
    this.#producers.delete(id);
  }

  #replace(entries: readonly ProducerEntry[]): void {
    this.#producers.clear();
    this.#newest = undefined;
    const open: [Offset, ProducerId][] = [];
    for (const entry of entries) {
      this.#producers.set(entry.producerId, entry);
      if (entry.openTransactionAt !== undefined) open.push([entry.openTransactionAt, entry.producerId]);
    }
    this.#transactions.reset(open);
  }
}

function refused(code: FailureCode): ProducerCheck {
  return { kind: 'error', code };
}
