import type { File } from '#base/ports';
import type { Offset } from '#model/ids';
import { batchSizeBytes, isBatchUpTo, selectBatches, WALK_BYTES } from './batch-walk.ts';
import type { Lease, ReadBuffers } from './read-buffers.ts';

export interface BatchRead {
  readonly from: Offset;
  readonly upTo: Offset;
  readonly maxBytes: number;
  readonly minOneBatch: boolean;
  /** Where a batch begins, at or before the one that contains `from`. */
  readonly position: number;
  /** Of the batch at `position` an index says that it ends there, or before; undefined: none has said so, a batch begins there. */
  readonly indexed: Offset | undefined;
  /** Nothing is read at or beyond it. */
  readonly limit: number;
}

/** Room for what lies between an index entry and the wanted batch. */
const LEAD_BYTES = 8 * 1024;

/**
 * A read's whole batches, none if the file has none of them; undefined if it failed or the file holds something that is no batch;
 * 'misplaced' if it is not where the index has said that it is. With batches comes the lease of the buffer that they lie in.
 */
export type BatchesRead = (bytes: Uint8Array | 'misplaced' | undefined, lease?: Lease) => void;

/**
 * Reads whole batches from a segment's file, in as few reads as the index allows: mostly one. Each is bounded by `maxBytes` and a
 * lead, or by one batch.
 */
export function readBatches(file: File, buffers: ReadBuffers, request: BatchRead, done: BatchesRead): void {
  const step = (position: number, wantedBytes: number): void => {
    const sizeBytes = Math.min(wantedBytes, request.limit - position);
    if (sizeBytes < WALK_BYTES)
      return done(request.indexed !== undefined && position === request.position ? 'misplaced' : EMPTY);
    const lease = buffers.take(sizeBytes);
    file.read(lease.bytes, position, (failure, read) => {
      const bytes = lease.bytes.subarray(0, read);
      const { from, upTo, maxBytes, minOneBatch } = request;
      const isMisplaced = (): boolean =>
        position === request.position && request.indexed !== undefined && !isBatchUpTo(bytes, request.indexed);
      if (failure === undefined && isMisplaced()) {
        lease.release();
        return done('misplaced');
      }
      const selected = failure === undefined ? selectBatches(bytes, from, upTo, maxBytes, minOneBatch) : undefined;
      if (selected !== undefined && selected.end > selected.start) {
        return done(bytes.subarray(selected.start, selected.end), lease);
      }
      lease.release();
      if (selected === undefined) return done(undefined);
      const { start } = selected;
      // Shorter than it was asked for: the file ends before its segment does.
      if (read < sizeBytes || position + start + WALK_BYTES > request.limit) return done(EMPTY);
      if (start + WALK_BYTES > read) return step(position + start, maxBytes + LEAD_BYTES);
      // The first wanted batch is cut by the read's end, or is not wanted at all.
      const batchBytes = batchSizeBytes(bytes, start);
      if (start + batchBytes <= read || (!minOneBatch && batchBytes > maxBytes)) return done(EMPTY);
      if (position + start + batchBytes > request.limit) return done(undefined);
      step(position + start, Math.max(batchBytes, maxBytes));
    });
  };
  step(request.position, Math.max(0, request.maxBytes) + LEAD_BYTES);
}

const EMPTY = new Uint8Array(0);
