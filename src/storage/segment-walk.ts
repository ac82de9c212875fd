import type { OffsetPosition } from '#log/offset-index';
import type { Offset } from '#model/ids';
import { BATCH_HEADER_BYTES } from '#protocol/record-batch';
import { batchBaseOffset, batchLastOffset, batchSizeBytes, isBatchUpTo } from './batch-walk.ts';
import { readAt } from './files.ts';
import type { LogDirectory } from './log-directory.ts';
import type { OpenFile } from './open-files.ts';
import type { Segment } from './segment.ts';

export interface BatchPlace {
  /** Of the batch's first record. */
  readonly offset: Offset;
  readonly lastOffset: Offset;
  readonly position: number;
  readonly sizeBytes: number;
}

/** The segment is no more what it was: another one has taken its place, or its records were deleted. */
export class Replaced extends Error {
  override readonly name = 'Replaced';
}

const WALK_CHUNK_BYTES = 64 * 1024;

/** Rejects with IoError, or with Replaced if the file may be another one than the segment's. */
export function openInPlace({ readers }: LogDirectory, segment: Segment): Promise<OpenFile> {
  const path = segment.path('.log');
  return new Promise((resolve, reject) => {
    readers.use(path, (open, failure) => {
      if (open !== undefined && !segment.replaced) return resolve(open);
      if (open !== undefined) readers.release(open);
      reject(segment.replaced ? new Replaced(path) : failure);
    });
  });
}

/** Where a walk begins. */
export interface WalkStart {
  readonly position: number;
  /** Of the batch there an index says that it ends there, or before; undefined: a batch begins there for sure. */
  readonly offset: Offset | undefined;
}

export const SEGMENT_START: WalkStart = { position: 0, offset: undefined };

/** As an index has told. */
export function startAt(found: OffsetPosition): WalkStart {
  return found.position === 0 ? SEGMENT_START : found;
}

/**
 * The first batch at or behind `start` that is `wanted`, judged by its header; `bytes` holds that at `batchAt`. From the segment's start on if
 * an index was wrong. Rejects as openInPlace does, or with an Error if there are no batches where they should be.
 */
export async function walkSegment(
  directory: LogDirectory,
  segment: Segment,
  start: WalkStart,
  wanted: (bytes: Uint8Array, batchAt: number) => boolean,
): Promise<BatchPlace | undefined> {
  const open = await openInPlace(directory, segment);
  try {
    const { position, offset: indexed } = start;
    const chunk = new Uint8Array(Math.max(0, Math.min(WALK_CHUNK_BYTES, segment.writtenBytes - position)));
    for (let chunkAt = position; chunkAt + BATCH_HEADER_BYTES <= segment.writtenBytes; ) {
      const read = await readAt(open.file, chunk, chunkAt);
      if (chunkAt === position && indexed !== undefined && !isBatchUpTo(chunk.subarray(0, read), indexed)) {
        directory.indexes.distrust(segment);
        return await walkSegment(directory, segment, SEGMENT_START, wanted);
      }
      let batchAt = 0;
      while (batchAt + BATCH_HEADER_BYTES <= read && chunkAt + batchAt < segment.writtenBytes) {
        const sizeBytes = batchSizeBytes(chunk, batchAt);
        if (sizeBytes < BATCH_HEADER_BYTES) throw new Error(`no batch at ${chunkAt + batchAt}`);
        if (wanted(chunk, batchAt)) {
          const lastOffset = batchLastOffset(chunk, batchAt) as Offset;
          return {
            offset: batchBaseOffset(chunk, batchAt) as Offset,
            lastOffset,
            position: chunkAt + batchAt,
            sizeBytes,
          };
        }
        batchAt += sizeBytes;
      }
      if (batchAt === 0) throw new Error(`the file ends at ${chunkAt + read}`);
      chunkAt += batchAt;
    }
    return undefined;
  } finally {
    directory.readers.release(open);
  }
}
