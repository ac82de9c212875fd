import { at } from '#base/assert';
import type { Timestamp } from '#base/ports';
import { type Offset, offset } from '#model/ids';
import { fitsSegment } from './offset-index.ts';

/** A segment that nothing is appended to any more. */
export interface CompactableSegment {
  readonly baseOffset: Offset;
  /** The next segment's base. */
  readonly endOffset: Offset;
  readonly sizeBytes: number;
  /** Of its first batch; -1: none, or nobody needs it. */
  readonly firstTimestamp: Timestamp;
  /** -1: none, or nobody needs it. */
  readonly maxTimestamp: Timestamp;
}

export interface CompactionLimits {
  /** The log was compacted up to here. */
  readonly cleanedOffset: Offset;
  readonly logStartOffset: Offset;
  /** Below it everything is committed, decided and synced. */
  readonly stableOffset: Offset;
  readonly nowMs: Timestamp;
  readonly minCompactionLagMs: number;
  readonly maxCompactionLagMs: number;
}

/** What a cleaning of the log would work on. */
export interface CleanableRange {
  /** From here on keys may have later values than below. */
  readonly firstDirty: Offset;
  /** Nothing from here on is touched: a segment's base. */
  readonly end: Offset;
  readonly dirtyBytes: number;
  /** Of all that a cleaning would read; 0 if nothing is dirty. */
  readonly dirtyRatio: number;
  /** Something dirty is older than max.compaction.lag.ms. */
  readonly isOverdue: boolean;
}

/**
 * What of a log can be compacted now: whole segments, from the log's start to the first one that is not stable throughout or that
 * min.compaction.lag.ms protects. `segments` are all but the active one.
 */
export function cleanableRange(segments: readonly CompactableSegment[], limits: CompactionLimits): CleanableRange {
  const { cleanedOffset, logStartOffset, stableOffset, nowMs, minCompactionLagMs, maxCompactionLagMs } = limits;
  const firstDirty = Math.max(cleanedOffset, logStartOffset) as Offset;
  let end = segments[0]?.baseOffset ?? firstDirty;
  let cleanBytes = 0;
  let dirtyBytes = 0;
  let isOverdue = false;
  for (const segment of segments) {
    if (segment.endOffset > stableOffset) break;
    if (segment.endOffset <= firstDirty) cleanBytes += segment.sizeBytes;
    else {
      if (minCompactionLagMs > 0 && segment.maxTimestamp > nowMs - minCompactionLagMs) break;
      dirtyBytes += segment.sizeBytes;
      if (segment.firstTimestamp > 0 && segment.firstTimestamp < nowMs - maxCompactionLagMs) isOverdue = true;
    }
    end = segment.endOffset;
  }
  const dirtyRatio = dirtyBytes === 0 ? 0 : dirtyBytes / (cleanBytes + dirtyBytes);
  return { firstDirty, end, dirtyBytes, dirtyRatio, isOverdue };
}

/** Whether the range is worth a cleaning, by min.cleanable.dirty.ratio and max.compaction.lag.ms. */
export function isDue(range: CleanableRange, minCleanableDirtyRatio: number): boolean {
  return range.dirtyBytes > 0 && (range.isOverdue || range.dirtyRatio > minCleanableDirtyRatio);
}

/**
 * Segments that become one each: neighbours whose bytes together fit a segment, and whose offsets do. `segments` are those up to
 * the end of what the offset map knows.
 */
export function segmentGroups<S extends Omit<CompactableSegment, 'firstTimestamp' | 'maxTimestamp'>>(
  segments: readonly S[],
  segmentBytes: number,
): readonly (readonly S[])[] {
  const groups: S[][] = [];
  let sizeBytes = 0;
  for (const segment of segments) {
    const group = groups.at(-1);
    sizeBytes += segment.sizeBytes;
    const lastOffset = offset(segment.endOffset - 1);
    if (group !== undefined && sizeBytes <= segmentBytes && fitsSegment(at(group, 0).baseOffset, lastOffset)) {
      group.push(segment);
    } else {
      groups.push([segment]);
      sizeBytes = segment.sizeBytes;
    }
  }
  return groups;
}
