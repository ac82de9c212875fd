import { at } from '#base/assert';
import type { Timestamp } from '#base/ports';
import { segmentFileName } from '#log/file-names';
import { type SegmentDeletion, segmentsToDelete } from '#log/retention';
import type { Offset } from '#model/ids';
import { isTransient, joinPath } from './files.ts';
import type { LogConfig } from './log-config.ts';
import type { LogDirectory } from './log-directory.ts';
import type { LogRewind } from './log-rewind.ts';
import type { LogState } from './log-state.ts';
import type { LogWork } from './log-work.ts';
import type { LogWriter } from './log-writer.ts';
import type { ProducerSnapshots } from './producer-snapshots.ts';
import type { Segment } from './segment.ts';

/** The log whose beginning goes. */
export interface RetainedLog {
  readonly state: LogState;
  readonly snapshots: ProducerSnapshots;
  readonly writer: LogWriter;
  readonly rewind: LogRewind;
  readonly work: LogWork;
  isClosed(): boolean;
  /** See PartitionLog.highWatermark: never above what is durable. */
  committed(): Offset;
  /** Begins a new segment. */
  roll(): void;
  readonly doom: (path: string, delayMs: number) => void;
}

/** Where the log is. */
interface LogEnds {
  readonly logStartOffset: Offset;
  readonly logEndOffset: Offset;
  readonly durableOffset: Offset;
  readonly highWatermark: Offset;
}

/** How one log's oldest segments go: by age and size, because its records were deleted, or because others have taken their place. */
export class LogRetention {
  readonly #log: RetainedLog;

  constructor(log: RetainedLog) {
    this.#log = log;
  }

  /** See PartitionLog.deleteRecordsBefore. */
  deleteRecordsBefore(offset: Offset): void {
    const { state, work } = this.#log;
    if (offset <= state.startOffset) return;
    state.moveStart(offset);
    work.background('DeleteRecords', async () => {
      // PLANTED BUG delete-before-saved: the next checkpoint will do.
      if (!state.directory.planted.has('delete-before-saved')) await this.#saveStart();
      await this.#expire(undefined);
    });
  }

  /** By age and size; nothing at or above the high watermark. */
  enforce(nowMs: Timestamp): void {
    // A node that waits for its quorum knows of no topic that is kept for longer, or compacted.
    if (!this.#log.state.isConfigKnown) return;
    this.#log.work.background('retention', () => this.#expire(nowMs));
  }

  /** The segment's files wait under another name for those who are reading them. */
  async retire(segment: Segment): Promise<void> {
    const { directory, folder } = this.#log.state;
    const { disk, readers, writers, indexes } = directory;
    readers.forget(segment.path('.log'));
    writers.forget(segment.path('.log'));
    indexes.forget(segment);
    const there = new Set(await disk.list(folder));
    for (const extension of ['.log', '.index', '.timeindex', '.txnindex'] as const) {
      const path = segment.path(extension);
      if (!there.has(segmentFileName(segment.baseOffset, extension))) continue;
      const doomed = joinPath(folder, segmentFileName(segment.baseOffset, extension, '.deleted'));
      await disk.rename(path, doomed);
      this.#log.doom(doomed, this.#log.state.config.fileDeleteDelayMs);
    }
  }

  /** `rolls`: also the active segment, for which a new one begins. */
  async #expire(nowMs: Timestamp | undefined, rolls = true): Promise<void> {
    const { state, snapshots, writer, rewind } = this.#log;
    const { directory, folder, segments } = state;
    const isOver = (): boolean => this.#log.isClosed() || rewind.isPending || directory.isOffline;
    if (isOver()) return;
    if (nowMs !== undefined) await learnTimestamps(directory, segments, state.config, nowMs);
    if (isOver()) return;
    // The log has gone on meanwhile. From here to its new start it is one turn: nothing is judged by where it was.
    const { startOffset: logStartOffset, endOffset: logEndOffset } = state;
    const durableOffset = Math.min(writer.durableOffset, logEndOffset) as Offset;
    const ends = { logStartOffset, logEndOffset, durableOffset, highWatermark: this.#log.committed() };
    const { reasons, rollFirst } = expiredSegments(segments, state.config, ends, nowMs);
    if (rollFirst && rolls) {
      this.#log.roll();
      // Behind what the roll has to save.
      return this.#log.work.background('retention', () => this.#expire(nowMs, false));
    }
    // What was appended since that has expired, too, goes the next time.
    let count = rollFirst ? reasons.length - 1 : reasons.length;
    // Once they are gone, nothing else tells of their producers; there may have been no room for it.
    while (count > 0 && !snapshots.offsets.includes(at(segments, count).baseOffset)) count -= 1;
    if (count === 0) return;
    state.moveStart(at(segments, count).baseOffset);
    directory.logger.info(
      { log: folder, segments: count, reasons: reasons.slice(0, count), logStartOffset: state.startOffset },
      'segments are deleted',
    );
    const isSaved = await this.#saveStart();
    if (writer.syncedOffset < state.startOffset && !(await writer.flush())) return;
    for (let left = count; left > 0; left -= 1) {
      // Only the start that was saved tells of a log that has no file.
      if (!isSaved && at(segments, 1).writtenBytes === 0) break;
      // It stays in the list until it is gone: should that fail, the next round tries again.
      await this.retire(at(segments, 0));
      segments.shift();
      // One after the other for good: nothing else tells a restart that an older one, which a power cut brings back, is not of the log.
      if (!isSaved) await directory.disk.syncDir(folder);
    }
    await snapshots.dropUseless();
  }

  /** False if there is no room for it: what is deleted makes some, and the directory's next checkpoint saves it. */
  async #saveStart(): Promise<boolean> {
    const { directory } = this.#log.state;
    try {
      await directory.saveOffsets();
      return true;
    } catch (failure) {
      if (!isTransient(failure)) throw failure;
      directory.caught('a checkpoint of log starts', failure);
      return false;
    }
  }
}

/** Looks at the time indexes of as many sealed segments as it takes to find one that is not too old. */
async function learnTimestamps(
  directory: LogDirectory,
  segments: readonly Segment[],
  config: LogConfig,
  nowMs: Timestamp,
): Promise<void> {
  const { retentionMs, cleanupPolicy } = config;
  if (cleanupPolicy === 'compact' || retentionMs < 0) return;
  for (const segment of [...segments]) {
    if (!segment.sealed) return;
    segment.maxTimestamp ??= (await directory.indexes.load(segment)).maxTimestamp;
    if (segment.maxTimestamp >= nowMs - retentionMs) return;
  }
}

/** Which segments go: those below the log's start, and if `nowMs` is given, with timestamps learnt, those that retention is through with. */
function expiredSegments(
  segments: readonly Segment[],
  config: LogConfig,
  { logStartOffset, logEndOffset, durableOffset, highWatermark }: LogEnds,
  nowMs: Timestamp | undefined,
): SegmentDeletion {
  const deletes = nowMs !== undefined && config.cleanupPolicy !== 'compact';
  const now = nowMs ?? 0;
  const retained = segments.map(({ baseOffset, sizeBytes, maxTimestamp, indexes, createdAt }) => ({
    baseOffset,
    sizeBytes,
    // Not looked at: a segment before it stays, or age does not matter.
    maxTimestamp: maxTimestamp ?? indexes?.maxTimestamp ?? now,
    lastModified: createdAt,
  }));
  return segmentsToDelete(retained, {
    retentionMs: deletes ? config.retentionMs : -1,
    retentionBytes: deletes ? config.retentionBytes : -1,
    nowMs: now,
    highWatermark: nowMs === undefined ? durableOffset : highWatermark,
    logStartOffset,
    logEndOffset,
  });
}
