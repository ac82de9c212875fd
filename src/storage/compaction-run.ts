import { at } from '#base/assert';
import type { Timestamp } from '#base/ports';
import { BatchFilter } from '#log/batch-filter';
import { CleanedTransactions } from '#log/cleaned-transactions';
import { type CleanableRange, segmentGroups } from '#log/compaction-plan';
import { readEndMarker } from '#log/end-marker';
import type { HashSeed } from '#log/key-hash';
import type { EpochStart } from '#log/leader-epoch-cache';
import { OffsetMap } from '#log/offset-map';
import type { LastOfProducer } from '#log/producer-state';
import type { BatchVisitor } from '#log/segment-scan';
import type { AbortedTransaction } from '#log/transaction-index';
import type { Offset } from '#model/ids';
import { type BatchHeader, batchBytes, isControl, lastOffset, readBatchHeader } from '#protocol/record-batch';
import { RecordFrames } from '#protocol/record-frames';
import { recordsBody, walkRecords } from '#protocol/records';
import { CleanedSegment } from './cleaned-segment.ts';
import type { IoThrottle } from './io-throttle.ts';
import type { LogConfig } from './log-config.ts';
import type { LogDirectory } from './log-directory.ts';
import { scanFile } from './scan-file.ts';
import type { Segment } from './segment.ts';

/** The log that is cleaned, as the run sees it. */
export interface CleanedLog {
  readonly directory: LogDirectory;
  readonly folder: string;
  readonly config: LogConfig;
  /** Sealed, from the log's first one to the end of the range. */
  readonly segments: readonly Segment[];
  readonly aborted: readonly AbortedTransaction[];
  readonly lastOfProducers: ReadonlyMap<number, LastOfProducer>;
  readonly epochs: readonly EpochStart[];
  /** The log was closed or cut, or is not to be compacted any more: what was begun is of no use. */
  isOver(): boolean;
  /** Puts the finished segment in the place of its sources; false if these are not what they were. */
  replace(sources: readonly Segment[], cleaned: CleanedSegment, segment: Segment): Promise<boolean>;
}

export interface RunSettings {
  readonly range: CleanableRange;
  readonly nowMs: Timestamp;
  readonly seed: HashSeed;
  /** For the offset map. */
  readonly dedupeBytes: number;
  readonly throttle: IoThrottle;
  /** Whether a copy of the log has begun to grow elsewhere, which ends the cleaning: see CleanedLogs. */
  readonly isCopied: () => boolean;
}

export interface RunResult {
  /** The log is clean up to here; undefined: it went away meanwhile, and some of it may be cleaner than before. */
  readonly cleanedTo: Offset | undefined;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly keys: number;
}

/** Something in the log cannot be read: it stays as it is. */
export class Uncleanable extends Error {
  override readonly name = 'Uncleanable';
}

/** What is cleaned would take room that appends need: nothing is lost by waiting for some. */
export class NoRoom extends Error {
  override readonly name = 'NoRoom';
}

/** As much as one batch may unfold to. */
const RECORDS_BYTES_MAX = 128 * 1024 * 1024;

/**
 * One cleaning of one log: reads what is dirty for the latest offset of each key, then rewrites the log from its start, a group of
 * segments at a time. In memory: the offset map, a chunk of what is read, and what that chunk leaves to be written.
 */
export class CompactionRun {
  readonly #log: CleanedLog;
  readonly #settings: RunSettings;
  /** Offsets; as many as there are leader epochs in the log. */
  readonly #epochStarts: ReadonlySet<number>;
  #readBytes = 0;
  #writtenBytes = 0;

  constructor(log: CleanedLog, settings: RunSettings) {
    this.#log = log;
    this.#settings = settings;
    this.#epochStarts = new Set(log.epochs.map(({ startOffset }) => startOffset));
  }

  /** Rejects with IoError, Uncleanable or NoRoom. */
  async run(): Promise<RunResult> {
    const { firstDirty } = this.#settings.range;
    await this.#lookForRoom();
    const map = new OffsetMap(this.#settings.seed, firstDirty, this.#settings.dedupeBytes);
    const mapEnd = await this.#fill(map);
    const isDone = mapEnd !== undefined && (await this.#rewrite(map, mapEnd));
    return {
      cleanedTo: isDone ? mapEnd : undefined,
      readBytes: this.#readBytes,
      writtenBytes: this.#writtenBytes,
      keys: map.size,
    };
  }

  /** Before anything is read: there is to be room for the largest of what will be written. */
  async #lookForRoom(): Promise<void> {
    const { segments, config } = this.#log;
    const sizes = segmentGroups(segments, config.segmentBytes).map(sizeOf);
    await this.#needRoom(sizes.reduce((most, sizeBytes) => Math.max(most, sizeBytes), 0));
  }

  /** What is cleaned is at most as large as what it is made of, which stays until then, and for file.delete.delay.ms. */
  async #needRoom(sizeBytes: number): Promise<void> {
    if (!(await this.#log.directory.hasRoomFor(sizeBytes))) throw new NoRoom(`${sizeBytes} bytes are needed`);
  }

  /** Up to where the map knows the log; undefined if the log is over. */
  async #fill(map: OffsetMap): Promise<Offset | undefined> {
    const { firstDirty, end } = this.#settings.range;
    const { aborted, segments } = this.#log;
    const transactions = new CleanedTransactions(aborted.filter((each) => each.lastOffset >= firstDirty));
    let fullAt: Offset | undefined;
    const visit: BatchVisitor = (header, _position, bytes) => {
      if (fullAt !== undefined) return;
      if (isControl(header)) transactions.ended(header, readEndMarker(bytes, header));
      else if (!transactions.isAborted(header) && lastOffset(header) >= firstDirty) {
        // One batch fits whatever its size, or the log would never become cleaner.
        const isFirst = map.size === 0;
        if (!this.#put(map, bytes, header, isFirst)) fullAt = header.baseOffset as Offset;
      }
    };
    for (const segment of segments) {
      if (segment.endOffset <= firstDirty || fullAt !== undefined) continue;
      if (!(await this.#scan(segment, visit, async () => fullAt === undefined))) return undefined;
    }
    return fullAt ?? end;
  }

  #put(map: OffsetMap, bytes: Uint8Array, header: BatchHeader, forced: boolean): boolean {
    const body = this.#body(bytes, header);
    const { firstDirty } = this.#settings.range;
    const frames = new RecordFrames(body);
    // PLANTED BUG compaction-without-last: the last record of a batch is taken for one that comes later.
    const misread = this.#log.directory.planted.has('compaction-without-last') ? lastOffset(header) : -1;
    while (frames.next()) {
      const offset = (header.baseOffset + frames.offsetDelta) as Offset;
      if (frames.keyBytes < 0 || offset < firstDirty) continue;
      const found = offset === misread ? ((offset + 1) as Offset) : offset;
      if (!map.put(body, frames.keyAt, frames.keyBytes, found, forced)) return false;
    }
    return true;
  }

  /** False if the log is over. */
  async #rewrite(map: OffsetMap, mapEnd: Offset): Promise<boolean> {
    const { aborted, lastOfProducers, segments, config, directory } = this.#log;
    const filter = new BatchFilter({
      map,
      mapEnd,
      transactions: new CleanedTransactions(aborted),
      lastOfProducers,
      nowMs: this.#settings.nowMs,
      deleteRetentionMs: config.deleteRetentionMs,
      recordsBytesMax: RECORDS_BYTES_MAX,
      codecs: directory.codecs,
    });
    const known = segments.filter(({ baseOffset }) => baseOffset < mapEnd);
    for (const sources of segmentGroups(known, config.segmentBytes)) {
      if (!(await this.#rewriteGroup(filter, sources))) return false;
    }
    return true;
  }

  async #rewriteGroup(filter: BatchFilter, sources: readonly Segment[]): Promise<boolean> {
    const { directory, folder, config } = this.#log;
    const cleaned = new CleanedSegment(directory.disk, folder, sources, config);
    const end = at(sources, sources.length - 1).endOffset;
    let isChanged = sources.length > 1;
    const visit: BatchVisitor = (header, _position, bytes) => {
      // A follower that is given the log learns from its batches where each epoch began, and tells others where histories part.
      const mustStay = lastOffset(header) + 1 === end || this.#epochStarts.has(header.baseOffset);
      const left = filter.filter(bytes, header, mustStay, (transaction) => cleaned.abort(transaction));
      if (left === 'same') return cleaned.add(batchBytes(bytes, header), header);
      isChanged = true;
      if (left === 'gone') return;
      if (typeof left === 'string') throw this.#unreadable(header, left);
      cleaned.add(left, readBatchHeader(left, 0) as BatchHeader);
    };
    const flush = async (): Promise<boolean> => {
      if (directory.isFull) throw new NoRoom('the data directory has become full');
      const written = await cleaned.flush();
      this.#writtenBytes += written;
      await this.#spend(written);
      return true;
    };
    await this.#needRoom(sizeOf(sources));
    try {
      for (const source of sources) {
        if (!(await this.#scan(source, visit, flush))) return await this.#discard(cleaned);
      }
      if (!isChanged && !this.#hasFewerAborts(sources, cleaned)) {
        await cleaned.discard();
        return true;
      }
      const segment = await cleaned.finish();
      if (segment === undefined) throw new Uncleanable(`what is left of offset ${end - 1} does not fit its place`);
      return (await this.#log.replace(sources, cleaned, segment)) || (await this.#discard(cleaned));
    } catch (failure) {
      if (!directory.isOffline) await cleaned.discard().catch(() => {});
      throw failure;
    }
  }

  async #discard(cleaned: CleanedSegment): Promise<false> {
    await cleaned.discard();
    return false;
  }

  #hasFewerAborts(sources: readonly Segment[], cleaned: CleanedSegment): boolean {
    return sources.some(({ transactions }) => (transactions?.entryCount ?? 0) !== cleaned.abortCount);
  }

  /** False if the log is over. `next` runs between two chunks and says whether to go on. */
  async #scan(segment: Segment, visit: BatchVisitor, next: () => Promise<boolean>): Promise<boolean> {
    const { directory } = this.#log;
    const { baseOffset, sizeBytes } = segment;
    if (this.#log.isOver()) return false;
    const path = segment.path('.log');
    let goesOn = true;
    const options = { baseOffset, sizeBytes, position: 0, lastOffset: undefined };
    const file = await directory.disk.open(path, 'read');
    try {
      const scan = await scanFile(file, directory.codecs, directory.scanChunks, options, visit, async (read) => {
        this.#readBytes += read;
        goesOn = await next();
        await this.#spend(read);
        return goesOn && !this.#log.isOver();
      });
      if (this.#log.isOver()) return false;
      if (goesOn && scan.ending !== 'end') throw new Uncleanable(`${path}: ${scan.reason} at ${scan.validBytes}`);
    } finally {
      await file.close();
    }
    return true;
  }

  #spend(sizeBytes: number): Promise<void> {
    return this.#settings.throttle.spend(sizeBytes, () => this.#log.isOver());
  }

  #body(bytes: Uint8Array, header: BatchHeader): Uint8Array {
    const body = recordsBody(bytes, header, this.#log.directory.codecs, RECORDS_BYTES_MAX);
    if (typeof body === 'string') throw this.#unreadable(header, body);
    if (walkRecords(body, header, false) === 'corrupt') throw this.#unreadable(header, 'corrupt');
    return body;
  }

  #unreadable(header: BatchHeader, reason: string): Uncleanable {
    return new Uncleanable(`${this.#log.folder}: the records at ${header.baseOffset} are ${reason}`);
  }
}

function sizeOf(sources: readonly Segment[]): number {
  return sources.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
