import type { Timestamp } from '#base/ports';
import { type DeletionReason, segmentsToDelete } from '#log/retention';
import type { Offset } from '#model/ids';
import type { LogConfig } from './log-config.ts';
import type { LogDirectory } from './log-directory.ts';
import type { Segment } from './segment.ts';

export interface Expiry {
  readonly nowMs: Timestamp;
  readonly highWatermark: Offset;
}

export interface ExpiredSegments {
  /** From the log's first segment on. */
  readonly count: number;
  readonly reasons: readonly DeletionReason[];
  readonly rollFirst: boolean;
}

/**
 * How many segments go: those below the log's start, and if `expiry` is given those that retention is through with. Looks
 * at the time indexes of as many sealed segments as it takes to find one that stays.
 */
export async function expireSegments(
  directory: LogDirectory,
  segments: readonly Segment[],
  config: LogConfig,
  log: { readonly logStartOffset: Offset; readonly logEndOffset: Offset; readonly durableOffset: Offset },
  expiry: Expiry | undefined,
): Promise<ExpiredSegments> {
  const deletes = expiry !== undefined && config.cleanupPolicy !== 'compact';
  const retentionMs = deletes ? config.retentionMs : -1;
  const retentionBytes = deletes ? config.retentionBytes : -1;
  const nowMs = expiry?.nowMs ?? 0;
  if (retentionMs >= 0) await learnTimestamps(directory, segments, nowMs - retentionMs);
  const retained = segments.map(({ baseOffset, sizeBytes, maxTimestamp, indexes, createdAt }) => ({
    baseOffset,
    sizeBytes,
    // Not looked at: a segment before it stays, or age does not matter.
    maxTimestamp: maxTimestamp ?? indexes?.maxTimestamp ?? nowMs,
    lastModified: createdAt,
  }));
  const { logStartOffset, logEndOffset, durableOffset } = log;
  const { reasons, rollFirst } = segmentsToDelete(retained, {
    retentionMs,
    retentionBytes,
    nowMs,
    highWatermark: Math.min(expiry?.highWatermark ?? durableOffset, durableOffset) as Offset,
    logStartOffset,
    logEndOffset,
  });
  return { count: reasons.length, reasons, rollFirst };
}

async function learnTimestamps(
  directory: LogDirectory,
  segments: readonly Segment[],
  expiredAt: Timestamp,
): Promise<void> {
  for (const segment of segments) {
    if (!segment.sealed) return;
    segment.maxTimestamp ??= (await directory.indexes.load(segment)).maxTimestamp;
    if (segment.maxTimestamp >= expiredAt) return;
  }
}
