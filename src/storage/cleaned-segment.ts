import { at } from '#base/assert';
import type { Disk, File } from '#base/ports';
import { segmentFileName } from '#log/file-names';
import { SegmentIndexes, timestampToIndex } from '#log/segment-indexes';
import { type AbortedTransaction, TransactionIndex } from '#log/transaction-index';
import type { Offset } from '#model/ids';
import { type BatchHeader, lastOffset } from '#protocol/record-batch';
import { joinPath, syncFile, writeAt, writeNew } from './files.ts';
import type { LogConfig } from './log-config.ts';
import { Segment } from './segment.ts';

/** Written and not synced at most: a sync of a whole segment would hold up those of producers. */
const UNSYNCED_BYTES_MAX = 16 * 1024 * 1024;
/** What an index can point to. */
const POSITION_MAX = 0x7fff_ffff;

/** A segment that is written anew beside those that it is to replace, as `.cleaned` files that a restart throws away. */
export class CleanedSegment {
  readonly baseOffset: Offset;
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #sources: readonly Segment[];
  readonly #config: LogConfig;
  readonly #indexes: SegmentIndexes;
  readonly #transactions: TransactionIndex;
  #file: File | undefined;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #position = 0;
  #unsyncedBytes = 0;
  #endOffset: Offset;
  #firstTimestamp = -1;

  constructor(disk: Disk, folder: string, sources: readonly Segment[], config: LogConfig) {
    this.#disk = disk;
    this.#folder = folder;
    this.#sources = sources;
    this.#config = config;
    this.baseOffset = at(sources, 0).baseOffset;
    this.#endOffset = this.baseOffset;
    this.#indexes = SegmentIndexes.empty(this.baseOffset, config.segmentIndexBytes);
    this.#transactions = new TransactionIndex(this.baseOffset);
  }

  get sizeBytes(): number {
    return this.#position + this.#pendingBytes;
  }

  /** Of the aborted transactions whose markers stay. */
  get abortCount(): number {
    return this.#transactions.entryCount;
  }

  /** A whole batch, which is copied; `header` is its own. */
  add(bytes: Uint8Array, header: BatchHeader): void {
    const position = this.sizeBytes;
    if (position === 0) this.#firstTimestamp = timestampToIndex(header);
    const last = lastOffset(header) as Offset;
    this.#indexes.add(last, timestampToIndex(header), position, bytes.length, this.#config.indexIntervalBytes);
    this.#endOffset = (last + 1) as Offset;
    this.#pending.push(bytes.slice());
    this.#pendingBytes += bytes.length;
  }

  abort(transaction: AbortedTransaction): void {
    this.#transactions.append(transaction);
  }

  /** Writes what was added. Resolves with its size; rejects with IoError. */
  async flush(): Promise<number> {
    this.#file ??= await this.#create();
    const chunks = this.#pending;
    const sizeBytes = this.#pendingBytes;
    if (sizeBytes === 0) return 0;
    await writeAt(this.#file, chunks, this.#position);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#position += sizeBytes;
    this.#unsyncedBytes += sizeBytes;
    if (this.#unsyncedBytes >= UNSYNCED_BYTES_MAX) {
      await syncFile(this.#file);
      this.#unsyncedBytes = 0;
    }
    return sizeBytes;
  }

  /**
   * All of it is on disk, but for the names. Undefined if it does not end where its sources do, or is too large: it cannot take their
   * place. Rejects with IoError.
   */
  async finish(): Promise<Segment | undefined> {
    await this.flush();
    const end = at(this.#sources, this.#sources.length - 1).endOffset;
    if (this.#endOffset !== end || this.#position > POSITION_MAX) return undefined;
    await syncFile(this.#file as File);
    await this.#close();
    this.#indexes.seal();
    await this.#writeIndex('.index', this.#indexes.offsets.bytes());
    await this.#writeIndex('.timeindex', this.#indexes.times.bytes());
    const hadTransactions = this.#sources.some(({ transactions }) => transactions !== undefined);
    if (hadTransactions) await this.#writeIndex('.txnindex', this.#transactions.bytes());
    return this.#segment(hadTransactions);
  }

  /** It is not wanted. */
  async discard(): Promise<void> {
    await this.#close();
    for (const extension of ['.log', '.index', '.timeindex', '.txnindex'] as const)
      await this.#disk.remove(this.#path(extension));
  }

  /** Where its batches are until it takes its place. */
  get logPath(): string {
    return this.#path('.log');
  }

  #segment(hadTransactions: boolean): Segment {
    const createdAt = at(this.#sources, this.#sources.length - 1).createdAt;
    const segment = new Segment({ folder: this.#folder, baseOffset: this.baseOffset, createdAt, jitterMs: 0 });
    segment.sizeBytes = this.#position;
    segment.writtenBytes = this.#position;
    segment.isNamed = true;
    segment.endOffset = this.#endOffset;
    segment.firstTimestamp = this.#firstTimestamp;
    segment.loaded(this.#indexes);
    segment.seal();
    if (hadTransactions) segment.loadedTransactions(this.#transactions);
    return segment;
  }

  async #create(): Promise<File> {
    const file = await this.#disk.open(this.#path('.log'), 'write');
    this.#file = file;
    await file.truncate(0);
    return file;
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #writeIndex(extension: '.index' | '.timeindex' | '.txnindex', bytes: Uint8Array): Promise<void> {
    return writeNew(this.#disk, this.#path(extension), bytes.slice(), true);
  }

  #path(extension: '.log' | '.index' | '.timeindex' | '.txnindex'): string {
    return joinPath(this.#folder, segmentFileName(this.baseOffset, extension, '.cleaned'));
  }
}
