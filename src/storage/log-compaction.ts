import { assert, at } from '#base/assert';
import type { Timestamp } from '#base/ports';
import { type CleanableRange, cleanableRange, isDue } from '#log/compaction-plan';
import type { Offset } from '#model/ids';
import { BATCH_HEADER_BYTES } from '#protocol/record-batch';
import { batchMaxTimestamp } from './batch-walk.ts';
import type { CleanedSegment } from './cleaned-segment.ts';
import {
  type CleanedLog,
  CompactionRun,
  NoRoom,
  type RunResult,
  type RunSettings,
  Uncleanable,
} from './compaction-run.ts';
import { codeOf, isTransient, readAt } from './files.ts';
import { isCompacted } from './log-config.ts';
import type { LogState } from './log-state.ts';
import type { LogWork } from './log-work.ts';
import type { Segment } from './segment.ts';
import { commitSwap, completeSwap, undoSwap } from './segment-swap.ts';

/** A swap that lacks room or handles goes on then. */
const RETRY_MS = 200;
const NO_ROOM = 'a log is not compacted for want of room, or of file handles: it is tried again';

/** The log that is compacted: what compaction needs of it, and does to it. */
export interface CompactionHost {
  readonly state: LogState;
  readonly work: LogWork;
  /** Below it everything is committed, decided, and synced in its own files. */
  stableOffset(): Offset;
  /** It takes no changes: it is closed, or being cut. */
  isBusy(): boolean;
  /** No record of the journal is replayed into the log's files any more, or the directory is offline. */
  releaseJournal(): Promise<void>;
  /** Takes the segment's files out of the way. */
  retire(segment: Segment): Promise<void>;
  /** The segments have changed up to `end`, which is on disk: nobody is to read it from memory. */
  replaced(end: Offset): Promise<void>;
}

/** What there is to compact in a log. */
export interface CompactionState {
  readonly range: CleanableRange;
  readonly isDue: boolean;
}

/** The compaction of one log: how far it has come, and how what it makes takes its place. */
export class LogCompaction {
  readonly #host: CompactionHost;
  #cleanedOffset: Offset;
  #uncleanable: string | undefined;
  #waitsForRoom = false;
  #running: Promise<unknown> | undefined;
  #stopped = false;
  /** A run that began before a cut knows another log. */
  #cuts = 0;

  constructor(host: CompactionHost, cleanedOffset: Offset) {
    this.#host = host;
    this.#cleanedOffset = cleanedOffset;
  }

  /** Of each key there is one value at most below it. Also what the cleaner's checkpoint says. */
  get cleanedOffset(): Offset {
    return this.#cleanedOffset;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Why the log cannot be compacted, until the next start. */
  get uncleanable(): string | undefined {
    return this.#uncleanable;
  }

  /** The last attempt has found too little room in the log's directory. */
  get waitsForRoom(): boolean {
    return this.#waitsForRoom && isCompacted(this.#host.state.config);
  }

  /** Undefined: nothing can be done now. Rejects as the index cache does, or with IoError. */
  async state(nowMs: Timestamp): Promise<CompactionState | undefined> {
    const { directory, segments, folder, config } = this.#host.state;
    const isAble = isCompacted(config) && !this.#stopped && !this.#host.isBusy();
    if (!isAble || this.#uncleanable !== undefined || directory.isOffline || directory.isFull) return undefined;
    const { minCompactionLagMs, maxCompactionLagMs, minCleanableDirtyRatio } = config;
    const sealed = segments.slice(0, -1);
    if (sealed.length === 0) return undefined;
    for (const segment of sealed) {
      if (segment.endOffset <= this.#cleanedOffset) continue;
      if (minCompactionLagMs > 0) segment.maxTimestamp ??= (await directory.indexes.load(segment)).maxTimestamp;
      if (Number.isFinite(maxCompactionLagMs) && segment.firstTimestamp < 0) await this.#learnFirstTimestamp(segment);
    }
    const range = cleanableRange(
      sealed.map(({ baseOffset, endOffset, sizeBytes, firstTimestamp, maxTimestamp = -1 }) => {
        return { baseOffset, endOffset, sizeBytes, firstTimestamp, maxTimestamp };
      }),
      {
        cleanedOffset: this.#cleanedOffset,
        logStartOffset: this.#host.state.startOffset,
        stableOffset: this.#host.stableOffset(),
        nowMs,
        minCompactionLagMs,
        maxCompactionLagMs,
      },
    );
    assert(range.end <= (segments.at(-1)?.baseOffset ?? 0), `the active segment of ${folder} is not compacted`);
    const due = isDue(range, minCleanableDirtyRatio);
    if (!due) this.#waitsForRoom = false;
    return { range, isDue: due };
  }

  /** Cleans the log; undefined if it cannot be. Never rejects: what fails is the directory's matter. */
  async run(settings: RunSettings): Promise<RunResult | undefined> {
    if (this.#stopped || this.#running !== undefined) return undefined;
    const running = this.#run(settings);
    this.#running = running;
    try {
      return await running;
    } finally {
      this.#running = undefined;
    }
  }

  /** Resolves when no cleaning is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** Nothing is changed any more when it resolves. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** The log was cut. */
  cutTo(end: Offset): void {
    this.#cuts += 1;
    this.#cleanedOffset = Math.min(this.#cleanedOffset, end) as Offset;
  }

  async #run(settings: RunSettings): Promise<RunResult | undefined> {
    const { directory, folder, segments, config, producers, epochs } = this.#host.state;
    const { range } = settings;
    const cuts = this.#cuts;
    const known = segments.filter(({ sealed, endOffset }) => sealed && endOffset <= range.end);
    const first = known[0];
    if (first === undefined) return undefined;
    const log: CleanedLog = {
      directory,
      folder,
      config,
      segments: known,
      aborted: this.#host.state.abortedTransactions(first.baseOffset, range.end),
      lastOfProducers: producers.lastOfEach(),
      epochs: epochs.cache.entries,
      isOver: () =>
        this.#stopped ||
        cuts !== this.#cuts ||
        this.#host.isBusy() ||
        directory.isOffline ||
        settings.isCopied() ||
        !isCompacted(this.#host.state.config),
      replace: (sources, cleaned, segment) =>
        this.#host.work.queued(async () => !log.isOver() && (await this.#replace(sources, cleaned, segment))),
    };
    try {
      const result = await new CompactionRun(log, settings).run();
      this.#waitsForRoom = false;
      if (result.cleanedTo !== undefined && cuts === this.#cuts) {
        this.#cleanedOffset = Math.max(this.#cleanedOffset, result.cleanedTo) as Offset;
        await directory.saveOffsets();
      }
      return result;
    } catch (failure) {
      if (failure instanceof Uncleanable) {
        this.#uncleanable = failure.message;
        directory.logger.error({ log: folder, reason: failure.message }, 'a log cannot be compacted');
      } else if (failure instanceof NoRoom || isTransient(failure)) {
        // Told once, until a cleaning comes to its end. What was written so far is gone: appends go on in the room that it took.
        if (!this.#waitsForRoom) directory.logger.warn({ log: folder, reason: String(failure) }, NO_ROOM);
        this.#waitsForRoom = true;
      } else if (codeOf(failure) !== 'ENOENT' || !(await this.#isTaken(known))) {
        directory.caught(`compaction of ${folder}`, failure);
      }
      return undefined;
    }
  }

  /** Whether retention or a cut has taken some of the segments: their files go before they leave the list. */
  async #isTaken(known: readonly Segment[]): Promise<boolean> {
    await this.#host.work.queued(async () => {});
    return known.some((segment) => !this.#host.state.segments.includes(segment));
  }

  /** See segment-swap.ts. False: the sources are not what they were, or may be written to by the next start. */
  async #replace(sources: readonly Segment[], cleaned: CleanedSegment, segment: Segment): Promise<boolean> {
    const { directory, folder, segments } = this.#host.state;
    const { disk, readers, writers, indexes } = directory;
    const source = at(sources, 0);
    const place = segments.indexOf(source);
    if (place < 0 || sources.some((each, index) => segments[place + index] !== each)) return false;
    await this.#host.releaseJournal();
    if (directory.isOffline) return false;
    const file = await disk.open(cleaned.logPath, 'read');
    let isCommitting = false;
    try {
      await commitSwap(disk, folder, segment.baseOffset, () => {
        isCommitting = true;
      });
    } catch (failure) {
      await file.close();
      if (isCommitting && !isTransient(failure))
        directory.fail(`the swap of ${source.path('.log')}: ${String(failure)}`);
      else await undoSwap(disk, folder, segment.baseOffset);
      throw failure;
    }
    // From here on the log is the new one, for readers and for a restart; the path means the new file before it has that name.
    const path = source.path('.log');
    const held = readers.put(path, file);
    writers.forget(path);
    segments.splice(place, sources.length, segment);
    for (const each of sources) {
      each.replaced = true;
      indexes.forget(each);
    }
    try {
      await this.#persist(async () => {
        await disk.syncDir(folder);
        for (const each of sources.slice(1)) await this.#host.retire(each);
        await completeSwap(disk, folder, segment.baseOffset);
      });
      segment.forgetIndexes();
      await this.#host.replaced(segment.endOffset);
    } catch (failure) {
      // A restart knows how to go on; nothing else does.
      directory.fail(`the swap of ${path}: ${String(failure)}`);
    } finally {
      readers.release(held);
    }
    return true;
  }

  /** Without room or handles it is tried again: what was begun has to come to its end. */
  async #persist(work: () => Promise<void>): Promise<void> {
    const { directory, folder } = this.#host.state;
    for (;;) {
      try {
        return await work();
      } catch (failure) {
        if (!isTransient(failure) || this.#stopped || directory.isOffline) throw failure;
        directory.caught(`the swap of a compacted segment of ${folder}`, failure);
        await new Promise<void>((resolve) => directory.clock.timer(() => resolve()).arm(RETRY_MS));
      }
    }
  }

  async #learnFirstTimestamp(segment: Segment): Promise<void> {
    const { readers } = this.#host.state.directory;
    const open = await readers.usePromised(segment.path('.log'));
    try {
      const header = new Uint8Array(BATCH_HEADER_BYTES);
      if ((await readAt(open.file, header, 0)) === header.length) segment.firstTimestamp = batchMaxTimestamp(header, 0);
    } finally {
      readers.release(open);
    }
  }
}
