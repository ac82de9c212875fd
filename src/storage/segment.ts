import { assert } from '#base/assert';
import type { Disk, Timestamp } from '#base/ports';
import { type SegmentExtension, segmentFileName } from '#log/file-names';
import { type RollLimits, segmentAgeMs, shouldRoll } from '#log/retention';
import { SegmentIndexes } from '#log/segment-indexes';
import { type AbortedTransaction, TransactionIndex } from '#log/transaction-index';
import type { Offset } from '#model/ids';
import { joinPath, replaceFile, syncFile, writeAt } from './files.ts';

const OFFSET_ENTRY_BYTES = 8;
const TIME_ENTRY_BYTES = 12;
const TRANSACTION_ENTRY_BYTES = 34;

/** An index file's content as it is in memory, and how much of it the file has. */
interface IndexFile {
  readonly extension: SegmentExtension;
  readonly entryBytes: number;
  /** Entries; -1: the file may hold anything and is to be written anew. */
  flushed: number;
  /** Entries that are in the file for good. */
  synced: number;
}

/** 'complete': the files are there, if only empty. 'synced': for good, but for their names. */
export type IndexFlush = 'complete' | 'synced';

/** A smaller segment is scanned whole, which costs less than opening its other files: about 0.1 ms at 2 GB/s. */
export const INDEXED_BYTES_MIN = 256 * 1024;

export interface SegmentFacts {
  readonly folder: string;
  readonly baseOffset: Offset;
  readonly createdAt: Timestamp;
  /** Drawn from 0 … segment.jitter.ms. */
  readonly jitterMs: number;
}

/**
 * One segment of a log: what is known of it in memory, and its index files. The last one of a log is active: it grows, and
 * keeps its indexes in memory, which segment.index.bytes bounds. The others are sealed; the index cache holds some of theirs.
 */
export class Segment {
  readonly folder: string;
  readonly baseOffset: Offset;
  readonly createdAt: Timestamp;
  readonly jitterMs: number;
  /** Appended, whether or not it was written yet. */
  sizeBytes = 0;
  /** In the file, as whole batches; readers of the file go no further. */
  writtenBytes = 0;
  /** The file's name in its folder is durable. */
  isNamed = false;
  /** The offset after the last appended record. */
  endOffset: Offset;
  /** Of the first batch; -1 if there is none or it has none. */
  firstTimestamp: Timestamp = -1;
  sealed = false;
  /** Another one, which compaction has made, has taken its place: what was found in its indexes does not fit the file of that name. */
  replaced = false;
  /** Its index files do not say what was written into them. */
  indexesChanged = false;
  /** Of a sealed segment; undefined until its time index was looked at. */
  maxTimestamp: Timestamp | undefined;
  /** Undefined once sealed. */
  indexes: SegmentIndexes | undefined;
  /** Undefined while no transaction was aborted. */
  transactions: TransactionIndex | undefined;
  readonly #offsetsFile: IndexFile = { extension: '.index', entryBytes: OFFSET_ENTRY_BYTES, flushed: 0, synced: 0 };
  readonly #timesFile: IndexFile = { extension: '.timeindex', entryBytes: TIME_ENTRY_BYTES, flushed: 0, synced: 0 };
  readonly #transactionsFile: IndexFile = {
    extension: '.txnindex',
    entryBytes: TRANSACTION_ENTRY_BYTES,
    flushed: 0,
    synced: 0,
  };

  constructor({ folder, baseOffset, createdAt, jitterMs }: SegmentFacts) {
    this.folder = folder;
    this.baseOffset = baseOffset;
    this.createdAt = createdAt;
    this.jitterMs = jitterMs;
    this.endOffset = baseOffset;
  }

  /** A new one at the end of a log. */
  static active(facts: SegmentFacts, indexBytesMax: number): Segment {
    const segment = new Segment(facts);
    segment.indexes = SegmentIndexes.empty(facts.baseOffset, indexBytesMax);
    return segment;
  }

  path(extension: SegmentExtension): string {
    return joinPath(this.folder, segmentFileName(this.baseOffset, extension));
  }

  /** Whether `appendBytes` more, up to `lastOffset`, belong into a new segment. */
  rollsBefore(
    appendBytes: number,
    lastOffset: Offset,
    appendTimestamp: Timestamp,
    nowMs: Timestamp,
    limits: Omit<RollLimits, 'jitterMs'>,
  ): boolean {
    const { baseOffset, sizeBytes, firstTimestamp, createdAt, jitterMs } = this;
    const ageMs = segmentAgeMs({ firstTimestamp, appendTimestamp, createdAt, nowMs });
    const indexFull = this.indexes?.isFull ?? false;
    const growth = { baseOffset, sizeBytes, indexFull, ageMs, appendBytes, appendLastOffset: lastOffset };
    const { segmentBytes, segmentMs } = limits;
    return shouldRoll(growth, { segmentBytes, segmentMs, jitterMs }) !== undefined;
  }

  /** One batch more, at the end. */
  grow(lastOffset: Offset, maxTimestamp: Timestamp, sizeBytes: number, indexIntervalBytes: number): void {
    assert(this.indexes !== undefined, 'only the active segment grows');
    if (this.sizeBytes === 0) this.firstTimestamp = maxTimestamp;
    this.indexes.add(lastOffset, maxTimestamp, this.sizeBytes, sizeBytes, indexIntervalBytes);
    this.sizeBytes += sizeBytes;
    this.endOffset = (lastOffset + 1) as Offset;
  }

  abort(transaction: AbortedTransaction): void {
    this.transactions ??= new TransactionIndex(this.baseOffset);
    this.transactions.append(transaction);
  }

  /** What the index files have was read from them. */
  loaded(indexes: SegmentIndexes): void {
    this.indexes = indexes;
    this.#offsetsFile.flushed = indexes.offsets.entryCount;
    this.#timesFile.flushed = indexes.times.entryCount;
  }

  loadedTransactions(transactions: TransactionIndex): void {
    this.transactions = transactions;
    this.#transactionsFile.flushed = transactions.entryCount;
  }

  /** The indexes are made anew; the files hold something else. */
  rebuilt(indexes: SegmentIndexes): void {
    this.indexes = indexes;
    for (const file of [this.#offsetsFile, this.#timesFile]) forgetContent(file);
  }

  /** The indexes were cut, which the files do not show. */
  transactionsCut(): void {
    forgetContent(this.#transactionsFile);
  }

  /** Nothing more is appended here. */
  seal(): void {
    assert(this.indexes !== undefined, 'a segment is sealed once');
    this.indexes.seal();
    this.sealed = true;
    this.maxTimestamp = this.indexes.maxTimestamp;
  }

  /** It is scanned again, and may grow. */
  reopen(): void {
    this.sealed = false;
    this.maxTimestamp = undefined;
  }

  /** Of a sealed segment whose index files are complete. */
  forgetIndexes(): void {
    assert(this.sealed, 'the active segment needs its indexes');
    this.indexes = undefined;
  }

  /**
   * Writes what the offset and time index files lack. They are rebuilt where they are missing, but nothing tells that one has lost
   * its end: they are synced before a producer snapshot or a recovery point lets recovery skip what they index. Called once at a time.
   */
  async flushIndexes(disk: Disk, how: IndexFlush): Promise<void> {
    const { indexes } = this;
    if (indexes === undefined) return;
    await this.#flush(disk, this.#offsetsFile, indexes.offsets, how);
    await this.#flush(disk, this.#timesFile, indexes.times, how);
  }

  /** Durable when it resolves: a producer snapshot that has forgotten these transactions relies on it. Called once at a time. */
  async flushTransactions(disk: Disk): Promise<void> {
    const file = this.#transactionsFile;
    if (this.transactions === undefined || this.transactions.entryCount === file.flushed) return;
    if (file.flushed < 0) {
      // Until the new content is there for good a snapshot relies on the old one.
      const count = this.transactions.entryCount;
      const name = segmentFileName(this.baseOffset, file.extension);
      await replaceFile(disk, this.folder, name, this.transactions.bytes(0).slice());
      Object.assign(file, { flushed: count, synced: count });
      return;
    }
    const created = file.flushed === 0;
    await this.#flush(disk, file, this.transactions, 'synced');
    if (created) await disk.syncDir(this.folder);
  }

  async #flush(
    disk: Disk,
    target: IndexFile,
    index: { readonly entryCount: number; bytes(first: number): Uint8Array },
    how: IndexFlush,
  ): Promise<void> {
    const first = Math.max(0, target.flushed);
    const count = index.entryCount;
    // What a large segment's file held before must not come back with the power: it looks as sound as this.
    const syncs = how === 'synced' || (target.flushed < 0 && this.sizeBytes >= INDEXED_BYTES_MIN);
    if (count > 0 && count === target.flushed && (!syncs || count === target.synced)) return;
    // A copy: the index goes on growing, or is cut, while this is written.
    const bytes = index.bytes(first).slice();
    const file = await disk.open(this.path(target.extension), 'write');
    try {
      if (target.flushed <= 0) await file.truncate(0);
      if (bytes.length > 0) await writeAt(file, [bytes], first * target.entryBytes);
      if (syncs) await syncFile(file);
    } finally {
      await file.close();
    }
    target.flushed = count;
    if (syncs) target.synced = count;
  }
}

function forgetContent(file: IndexFile): void {
  file.flushed = -1;
  file.synced = 0;
}
