import type { Timestamp } from '#base/ports';
import type { Offset } from '#model/ids';
import { fitsSegment } from './offset-index.ts';

/** Why a segment goes: its records are below the log's start, too old, or more than the log may hold. */
export type DeletionReason = 'log-start' | 'retention-bytes' | 'retention-ms';

export interface RetainedSegment {
  readonly baseOffset: Offset;
  readonly sizeBytes: number;
  /** -1 if no record has a timestamp; then `lastModified` counts. */
  readonly maxTimestamp: Timestamp;
  readonly lastModified: Timestamp;
}

export interface RetentionLimits {
  /** Negative: unlimited. */
  readonly retentionMs: number;
  /** Negative: unlimited. */
  readonly retentionBytes: number;
  readonly nowMs: Timestamp;
  /** Nothing at or above it goes. */
  readonly highWatermark: Offset;
  readonly logStartOffset: Offset;
  readonly logEndOffset: Offset;
}

export interface SegmentDeletion {
  /** One per segment to delete, from the first on. */
  readonly reasons: readonly DeletionReason[];
  /** All of them go, so a new active segment is made first. */
  readonly rollFirst: boolean;
}

/**
 * Which of a log's segments go (cleanup.policy=delete), by Kafka's rules: always from the front, stopping at the first that
 * stays. A segment goes by size only if what remains is still at least retention.bytes, by age only if its latest record is
 * too old. An empty active segment stays. A log that is only compacted passes no limits but its start.
 */
export function segmentsToDelete(segments: readonly RetainedSegment[], limits: RetentionLimits): SegmentDeletion {
  const reasons: DeletionReason[] = [];
  let remainingBytes = segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    if ((next?.baseOffset ?? limits.logEndOffset) > limits.highWatermark) break;
    if (next === undefined && segment.sizeBytes === 0) break;
    const reason = deletionReason(segment, next, remainingBytes, limits);
    if (reason === undefined) break;
    reasons.push(reason);
    remainingBytes -= segment.sizeBytes;
  }
  return { reasons, rollFirst: reasons.length > 0 && reasons.length === segments.length };
}

function deletionReason(
  { sizeBytes, maxTimestamp, lastModified }: RetainedSegment,
  next: RetainedSegment | undefined,
  remainingBytes: number,
  { retentionMs, retentionBytes, nowMs, logStartOffset }: RetentionLimits,
): DeletionReason | undefined {
  if (next !== undefined && next.baseOffset <= logStartOffset) return 'log-start';
  if (retentionBytes >= 0 && remainingBytes - sizeBytes >= retentionBytes) return 'retention-bytes';
  const latest = maxTimestamp >= 0 ? maxTimestamp : lastModified;
  if (retentionMs >= 0 && nowMs - latest > retentionMs) return 'retention-ms';
  return undefined;
}

export type RollReason = 'size' | 'time' | 'index-full' | 'offset-span';

export interface SegmentGrowth {
  readonly baseOffset: Offset;
  readonly sizeBytes: number;
  readonly indexFull: boolean;
  /** See segmentAgeMs. */
  readonly ageMs: number;
  /** What is about to be appended. */
  readonly appendBytes: number;
  readonly appendLastOffset: Offset;
}

export interface RollLimits {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  /** Drawn once per segment from 0 … segment.jitter.ms, so that the logs of a node do not all roll at once. */
  readonly jitterMs: number;
}

/** Whether the append goes into a new segment, and why. An empty segment rolls only for an offset that it cannot hold. */
export function shouldRoll(segment: SegmentGrowth, limits: RollLimits): RollReason | undefined {
  if (!fitsSegment(segment.baseOffset, segment.appendLastOffset)) return 'offset-span';
  if (segment.sizeBytes === 0) return undefined;
  if (segment.sizeBytes + segment.appendBytes > limits.segmentBytes) return 'size';
  if (segment.ageMs > limits.segmentMs - limits.jitterMs) return 'time';
  return segment.indexFull ? 'index-full' : undefined;
}

/**
 * How long a segment has been open by segment.ms: from its first batch's highest timestamp to that of the append, so that a
 * replica or a restored log rolls where the first one did; by the clock if the first batch has no timestamp.
 */
export function segmentAgeMs(times: {
  readonly firstTimestamp: Timestamp;
  readonly appendTimestamp: Timestamp;
  readonly createdAt: Timestamp;
  readonly nowMs: Timestamp;
}): number {
  if (times.firstTimestamp >= 0) return times.appendTimestamp - times.firstTimestamp;
  return times.nowMs - times.createdAt;
}
