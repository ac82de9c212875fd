import type { Codecs, File } from '#base/ports';
import { type BatchVisitor, type ScanResult, SegmentScan } from '#log/segment-scan';
import type { Offset } from '#model/ids';
import { batchBaseOffset } from './batch-walk.ts';
import { readAt } from './files.ts';

/** One turn's work: checksums of this many bytes take well under a millisecond. */
const CHUNK_BYTES = 256 * 1024;
const CHUNKS_KEPT_MAX = 4;

/** Buffers for scans, used again: a start scans a thousand logs, and most of them are small. Between starts it keeps 1 MiB. */
export class ScanChunks {
  readonly #free: Uint8Array[] = [];

  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(CHUNK_BYTES);
  }

  give(chunk: Uint8Array): void {
    if (this.#free.length < CHUNKS_KEPT_MAX) this.#free.push(chunk);
  }
}

/** Larger than any batch that was ever let in: the largest request (socket.request.max.bytes). */
const BATCH_BYTES_MAX = 100 * 1024 * 1024;

export interface FileScanOptions {
  readonly baseOffset: Offset;
  /** What is scanned: the segment's file or a prefix of it. */
  readonly sizeBytes: number;
  /** Where a batch begins, which need not be true: then the scan ends there as corrupt. */
  readonly position: number;
  /** The last offset of that batch, which it may not exceed; undefined at the segment's start. */
  readonly lastOffset: Offset | undefined;
  /** As in SegmentScanOptions. */
  readonly onceEnded?: Offset | undefined;
}

/** After each chunk, with its size: whoever writes what was read, or takes his time, does it here. False: nothing more is wanted. */
export type BetweenChunks = (readBytes: number) => Promise<boolean>;

/**
 * Scans a segment's file from a batch on. Compaction leaves gaps within a segment, of this log or of the one that it follows, but none
 * at a segment's end. A scan that `between` has ended is not whole.
 */
export async function scanFile(
  file: File,
  codecs: Codecs,
  chunks: ScanChunks,
  options: FileScanOptions,
  visit: BatchVisitor,
  between?: BetweenChunks,
): Promise<ScanResult> {
  const chunk = chunks.take();
  try {
    return await scanInChunks(file, codecs, chunk, options, visit, between);
  } finally {
    chunks.give(chunk);
  }
}

async function scanInChunks(
  file: File,
  codecs: Codecs,
  chunk: Uint8Array,
  options: FileScanOptions,
  visit: BatchVisitor,
  between: BetweenChunks | undefined,
): Promise<ScanResult> {
  const { baseOffset, sizeBytes, position, lastOffset } = options;
  let scan: SegmentScan | undefined;
  for (let at = position; at < sizeBytes; ) {
    const read = await readAt(file, chunk.subarray(0, Math.min(chunk.length, sizeBytes - at)), at);
    if (read === 0) break;
    const bytes = chunk.subarray(0, read);
    if (scan === undefined) {
      const from = lastOffset === undefined ? baseOffset : startOf(bytes, baseOffset, lastOffset);
      if (from === undefined) return notABatch(position, baseOffset);
      scan = newScan(codecs, options, from);
    }
    at += read;
    if (!scan.feed(bytes, visit)) break;
    if (between !== undefined && !(await between(read))) break;
  }
  return (scan ?? newScan(codecs, options, baseOffset)).finish();
}

function newScan(
  codecs: Codecs,
  { baseOffset, sizeBytes, position, onceEnded }: FileScanOptions,
  from: Offset,
): SegmentScan {
  return new SegmentScan(codecs, {
    baseOffset,
    sizeBytes,
    batchBytesMax: BATCH_BYTES_MAX,
    from: { position, offset: from },
    ...(onceEnded !== undefined && { onceEnded }),
  });
}

/** An index entry names the batch's last offset; its first one stands in the batch. */
function startOf(bytes: Uint8Array, baseOffset: Offset, lastOffset: Offset): Offset | undefined {
  if (bytes.length < 8) return undefined;
  const from = batchBaseOffset(bytes, 0);
  return from >= baseOffset && from <= lastOffset ? (from as Offset) : undefined;
}

function notABatch(position: number, baseOffset: Offset): ScanResult {
  return {
    ending: 'corrupt',
    reason: 'no batch',
    validBytes: position,
    endOffset: baseOffset,
    soundOffset: baseOffset,
  };
}
