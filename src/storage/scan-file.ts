import type { Codecs, Disk, File } from '#base/ports';
import { type BatchVisitor, type ScanResult, SegmentScan } from '#log/segment-scan';
import type { Offset } from '#model/ids';
import { batchBaseOffset } from './batch-walk.ts';
import { readAt } from './files.ts';

/** One turn's work: checksums of this many bytes take well under a millisecond. */
const CHUNK_BYTES = 1024 * 1024;

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
}

/**
 * Scans a segment's file from a batch on. Logs here have no gaps: they are not compacted yet, and each offset was given by
 * the leader that appended it.
 */
export async function scanFile(
  file: File,
  codecs: Codecs,
  { baseOffset, sizeBytes, position, lastOffset }: FileScanOptions,
  visit: BatchVisitor,
): Promise<ScanResult> {
  const chunk = new Uint8Array(Math.max(0, Math.min(CHUNK_BYTES, sizeBytes - position)));
  let scan: SegmentScan | undefined;
  for (let at = position; at < sizeBytes; ) {
    const read = await readAt(file, chunk.subarray(0, Math.min(chunk.length, sizeBytes - at)), at);
    if (read === 0) break;
    const bytes = chunk.subarray(0, read);
    if (scan === undefined) {
      const from = lastOffset === undefined ? baseOffset : startOf(bytes, baseOffset, lastOffset);
      if (from === undefined) return notABatch(position, baseOffset);
      scan = newScan(codecs, baseOffset, sizeBytes, position, from);
    }
    at += read;
    if (!scan.feed(bytes, visit)) break;
  }
  return (scan ?? newScan(codecs, baseOffset, sizeBytes, position, baseOffset)).finish();
}

/** The whole segment, for its batches only. Rejects with IoError; 'end' says that all of it is sound. */
export async function scanSegment(
  disk: Disk,
  codecs: Codecs,
  path: string,
  options: FileScanOptions,
  visit: BatchVisitor,
): Promise<ScanResult> {
  const file = await disk.open(path, 'read');
  try {
    return await scanFile(file, codecs, options, visit);
  } finally {
    await file.close();
  }
}

function newScan(codecs: Codecs, baseOffset: Offset, sizeBytes: number, position: number, from: Offset): SegmentScan {
  return new SegmentScan(codecs, {
    baseOffset,
    sizeBytes,
    batchBytesMax: BATCH_BYTES_MAX,
    gaps: 'refused',
    from: { position, offset: from },
  });
}

/** An index entry names the batch's last offset; its first one stands in the batch. */
function startOf(bytes: Uint8Array, baseOffset: Offset, lastOffset: Offset): Offset | undefined {
  if (bytes.length < 8) return undefined;
  const from = batchBaseOffset(bytes, 0);
  return from >= baseOffset && from <= lastOffset ? (from as Offset) : undefined;
}

function notABatch(position: number, baseOffset: Offset): ScanResult {
  return { ending: 'corrupt', reason: 'no batch', validBytes: position, endOffset: baseOffset };
}
