import { assert } from '#base/assert';
import type { Offset } from '#model/ids';
import type { ScanResult } from './segment-scan.ts';

export interface RecoveryFacts {
  /** The segment, scanned to its end or to the first damage. */
  readonly scan: ScanResult;
  readonly sizeBytes: number;
  /** Everything below it was synced. */
  readonly recoveryPoint: Offset;
  /** The base offset of the segment after it; undefined for the last one. */
  readonly nextBaseOffset: Offset | undefined;
}

export type RecoveryDecision =
  | { readonly kind: 'clean' }
  /** Keep this many bytes. `dropLater`: later segments do not continue what is kept, and go. */
  | {
      readonly kind: 'truncate';
      readonly toBytes: number;
      readonly endOffset: Offset;
      readonly dropLater: boolean;
      readonly reason: string;
    }
  /** Synced records are missing: the log is not served, nor changed, until it is refetched. */
  | { readonly kind: 'quarantine'; readonly reason: string };

/**
 * What recovery does with one segment. At and above the recovery point a crash may have torn anything: the log is cut after
 * the last whole batch, unless a misplaced one tells of damage. Below it everything was synced: what is missing there is corruption, and cutting would make it
 * disappear. So whoever truncates a log below its recovery point writes the lower recovery point first.
 */
export function recoveryDecision(facts: RecoveryFacts): RecoveryDecision {
  const { scan, sizeBytes, recoveryPoint, nextBaseOffset } = facts;
  const { ending, endOffset, soundOffset, validBytes, reason } = scan;
  assert(validBytes <= sizeBytes && (ending !== 'end' || validBytes === sizeBytes), 'a scan ends within its segment');
  const isLast = nextBaseOffset === undefined;
  const isWhole = ending === 'end';
  const synced = isLast || recoveryPoint < nextBaseOffset ? recoveryPoint : nextBaseOffset;
  if (soundOffset < synced) {
    const found = isWhole ? `ends at offset ${endOffset}` : `${reason} after offset ${soundOffset - 1}`;
    return { kind: 'quarantine', reason: `${found}, but everything below ${synced} was synced` };
  }
  if (ending === 'misplaced') return { kind: 'quarantine', reason };
  if (!isLast && endOffset > nextBaseOffset) {
    const overlap = `offset ${endOffset - 1} is beyond the next segment's base ${nextBaseOffset}`;
    if (nextBaseOffset < recoveryPoint) return { kind: 'quarantine', reason: overlap };
    return { kind: 'truncate', toBytes: validBytes, endOffset, dropLater: true, reason: overlap };
  }
  const dropLater = !isLast && endOffset < nextBaseOffset;
  if (isWhole && !dropLater) return { kind: 'clean' };
  const why = isWhole ? `ends at offset ${endOffset}, before the next segment's base ${nextBaseOffset}` : reason;
  return { kind: 'truncate', toBytes: validBytes, endOffset, dropLater, reason: why };
}
