import type { Offset } from '#model/ids';
import { BATCH_HEADER_BYTES } from '#protocol/record-batch';
import { batchBaseOffset, batchLastOffset, batchSizeBytes } from './batch-walk.ts';
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

/**
 * The first batch at or behind `position` that is `wanted`, judged by its header; `bytes` holds that at `batchAt`. Rejects as openInPlace
 * does, or with an Error if there are no batches where they should be.
 */
export async function walkSegment(
  directory: LogDirectory,
  segment: Segment,
  position: number,
  wanted: (bytes: Uint8Array, batchAt: number) => boolean,
): Promise<BatchPlace | undefined> {
  const open = await openInPlace(directory, segment);
  try {
    const chunk = new Uint8Array(Math.max(0, Math.min(WALK_CHUNK_BYTES, segment.writtenBytes - position)));
    for (let chunkAt = position; chunkAt + BATCH_HEADER_BYTES <= segment.writtenBytes; ) {
      const read = await readAt(open.file, chunk, chunkAt);
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
