/** From one batch to the next through bytes that were validated before they came here: the few fields that a read needs. */
import { BATCH_HEADER_BYTES, LOG_OVERHEAD_BYTES } from '#protocol/record-batch';

/** Base offset, length, …, up to the last offset delta. */
export const WALK_BYTES = 27;

const LENGTH_AT = 8;
const LAST_OFFSET_DELTA_AT = 23;
const MAX_TIMESTAMP_AT = 35;
const RECORD_COUNT_AT = 57;

export function batchSizeBytes(bytes: Uint8Array, at: number): number {
  return int32(bytes, at + LENGTH_AT) + LOG_OVERHEAD_BYTES;
}

export function batchBaseOffset(bytes: Uint8Array, at: number): number {
  return int64(bytes, at);
}

export function batchMaxTimestamp(bytes: Uint8Array, at: number): number {
  return int64(bytes, at + MAX_TIMESTAMP_AT);
}

/** Needs the whole header. */
export function batchRecordCount(bytes: Uint8Array, at: number): number {
  return int32(bytes, at + RECORD_COUNT_AT);
}

export function batchLastOffset(bytes: Uint8Array, at: number): number {
  return batchBaseOffset(bytes, at) + int32(bytes, at + LAST_OFFSET_DELTA_AT);
}

function int64(bytes: Uint8Array, at: number): number {
  return int32(bytes, at) * 2 ** 32 + (int32(bytes, at + 4) >>> 0);
}

function int32(bytes: Uint8Array, at: number): number {
  return (byte(bytes, at) << 24) | (byte(bytes, at + 1) << 16) | (byte(bytes, at + 2) << 8) | byte(bytes, at + 3);
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}

/** Whether these bytes begin as a batch does that ends at or before this offset. */
export function isBatchUpTo(bytes: Uint8Array, offset: number): boolean {
  if (bytes.length < WALK_BYTES || batchSizeBytes(bytes, 0) < BATCH_HEADER_BYTES) return false;
  const [base, last] = [batchBaseOffset(bytes, 0), batchLastOffset(bytes, 0)];
  return base >= 0 && base <= last && last <= offset;
}

export interface Range {
  /** Bytes: the wanted batches lie in [start, end). */
  readonly start: number;
  readonly end: number;
}

/**
 * The whole batches in `bytes` from the one that contains `from`, all below `upTo` and together within `maxBytes` (one is
 * taken beyond it if `minOneBatch`). `bytes` begins with a batch and may end within one. An empty range at `start` says
 * where the walk stopped: at `bytes.length` or beyond it if all whole batches lay before `from`. Undefined if it met
 * something that is no batch.
 */
export function selectBatches(
  bytes: Uint8Array,
  from: number,
  upTo: number,
  maxBytes: number,
  minOneBatch: boolean,
): Range | undefined {
  let start = 0;
  while (start + WALK_BYTES <= bytes.length && batchLastOffset(bytes, start) < from) {
    const sizeBytes = batchSizeBytes(bytes, start);
    if (sizeBytes < BATCH_HEADER_BYTES) return undefined;
    start += sizeBytes;
  }
  let end = start;
  while (end + WALK_BYTES <= bytes.length && batchLastOffset(bytes, end) < upTo) {
    const sizeBytes = batchSizeBytes(bytes, end);
    if (sizeBytes < BATCH_HEADER_BYTES) return undefined;
    const fits = end + sizeBytes - start <= maxBytes || (minOneBatch && end === start);
    if (end + sizeBytes > bytes.length || !fits) break;
    end += sizeBytes;
  }
  return { start, end };
}
