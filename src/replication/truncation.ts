/** Where a follower cuts its log when its leader says that their histories part (KIP-101, KIP-279, KIP-320). Pure. */
import type { EpochEnd, LeaderEpochCache } from '#log/leader-epoch-cache';
import type { LeaderEpoch, Offset } from '#model/ids';

/**
 * `diverging` is the leader's answer to the follower's last epoch: the largest epoch not above it that the leader knows, and where that
 * ends. If the follower knows that epoch too, both have the same up to the lesser of the two ends; if not, what it has of later epochs
 * is not the leader's, and it asks again from the end of its own largest epoch below. The result is below `logEndOffset`.
 */
export function divergencePoint(
  epochs: LeaderEpochCache,
  logStartOffset: Offset,
  logEndOffset: Offset,
  diverging: EpochEnd,
): Offset {
  const own = epochs.endOffsetFor(diverging.epoch as LeaderEpoch, logEndOffset);
  if (own === undefined) return Math.min(logEndOffset, diverging.endOffset) as Offset;
  const shared = own.epoch === diverging.epoch ? Math.min(own.endOffset, diverging.endOffset) : own.endOffset;
  return Math.max(logStartOffset, Math.min(shared, logEndOffset)) as Offset;
}
