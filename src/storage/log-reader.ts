import { assert, at } from '#base/assert';
import type { Timestamp } from '#base/ports';
import type { SegmentIndexes } from '#log/segment-indexes';
import type { Offset } from '#model/ids';
import { type BatchHeader, lastOffset, readBatchHeader } from '#protocol/record-batch';
import { iterateRecords } from '#protocol/records';
import { batchBaseOffset, batchLastOffset, batchMaxTimestamp, batchSizeBytes } from './batch-walk.ts';
import { readAt } from './files.ts';
import type { LogDirectory } from './log-directory.ts';
import type { OpenFile } from './open-files.ts';
import type { Segment } from './segment.ts';
import { readBatches } from './segment-reader.ts';
import { NOTHING_READ, type ReadResult } from './tail-cache.ts';

export interface FoundTimestamp {
  readonly offset: Offset;
  readonly timestamp: Timestamp;
  /** -1 if the batch carries none. */
  readonly leaderEpoch: number;
}

export interface BatchPlace {
  /** Of the batch's first record. */
  readonly offset: Offset;
  readonly position: number;
  readonly sizeBytes: number;
}

const HEADER_BYTES = 61;
const WALK_CHUNK_BYTES = 64 * 1024;
/** As much as one batch may decompress to when its records are looked through. */
const RECORDS_BYTES_MAX = 128 * 1024 * 1024;

class Replaced extends Error {}

/** Reads one log's files. `segments` is the log's own list, which changes under it. */
export class LogReader {
  readonly #directory: LogDirectory;
  readonly #segments: readonly Segment[];

  constructor(directory: LogDirectory, segments: readonly Segment[]) {
    this.#directory = directory;
    this.#segments = segments;
  }

  /** See PartitionLog.read. */
  read(
    from: Offset,
    upTo: Offset,
    maxBytes: number,
    minOneBatch: boolean,
    done: (result: ReadResult | 'failed') => void,
  ): void {
    const index = this.#segments.findLastIndex(({ baseOffset }) => baseOffset <= from);
    // The log's start may lie above its first segment's, never below.
    this.#readSegment(at(this.#segments, Math.max(0, index)), from, upTo, maxBytes, minOneBatch, done);
  }

  /**
   * Where the segment is to be cut so that nothing at or above `offset` is left: behind the last batch that ends below it, whose end is
   * the log's then. Rejects as `load` does.
   */
  async cutAt(segment: Segment, offset: Offset): Promise<{ readonly offset: Offset; readonly position: number }> {
    const { baseOffset, writtenBytes } = segment;
    // Its file may not even be there.
    if (writtenBytes === 0 || offset <= baseOffset) return { offset: baseOffset, position: 0 };
    // From a batch before the one that is looked for: it tells where the log ends, if compaction has left a gap between the two.
    const { position } = (await this.#directory.indexes.load(segment)).offsets.lookup((offset - 1) as Offset);
    let end: number = baseOffset;
    const place = await this.#walk(segment, position, (bytes, batchAt) => {
      const last = batchLastOffset(bytes, batchAt);
      if (last < offset) end = last + 1;
      return last >= offset;
    });
    return { offset: end as Offset, position: place?.position ?? writtenBytes };
  }

  /** See PartitionLog.offsetForTimestamp. */
  offsetForTimestamp(timestamp: Timestamp, from: Offset, upTo: Offset): Promise<FoundTimestamp | undefined> {
    return this.#untilInPlace(() => this.#offsetForTimestamp(timestamp, from, upTo));
  }

  /** See PartitionLog.maxTimestamp. */
  maxTimestamp(from: Offset, upTo: Offset): Promise<FoundTimestamp | undefined> {
    return this.#untilInPlace(() => this.#maxTimestamp(from, upTo));
  }

  async #offsetForTimestamp(timestamp: Timestamp, from: Offset, upTo: Offset): Promise<FoundTimestamp | undefined> {
    for (const segment of [...this.#segments]) {
      if (segment.baseOffset >= upTo) return undefined;
      if (segment.endOffset <= from) continue;
      const indexes = await this.#directory.indexes.load(segment);
      if (indexes.maxTimestamp < timestamp) continue;
      const start = indexes.times.lookup((timestamp - 1) as Timestamp)?.offset ?? segment.baseOffset;
      let { position } = indexes.offsets.lookup(start);
      for (;;) {
        const place = await this.#walk(
          segment,
          position,
          (bytes, batchAt) => batchMaxTimestamp(bytes, batchAt) >= timestamp && batchLastOffset(bytes, batchAt) >= from,
        );
        if (place === undefined) break;
        if (place.offset >= upTo) return undefined;
        const found = await this.#recordAt(segment, place, timestamp, from);
        if (found !== undefined) return found.offset < upTo ? found : undefined;
        position = place.position + place.sizeBytes;
      }
    }
    return undefined;
  }

  async #maxTimestamp(from: Offset, upTo: Offset): Promise<FoundTimestamp | undefined> {
    let highest = -1;
    for (const segment of [...this.#segments]) {
      if (segment.endOffset <= from) continue;
      highest = Math.max(highest, segment.maxTimestamp ?? (await this.#directory.indexes.load(segment)).maxTimestamp);
    }
    return highest < 0 ? undefined : await this.#offsetForTimestamp(highest, from, upTo);
  }

  #readSegment(
    segment: Segment,
    from: Offset,
    upTo: Offset,
    maxBytes: number,
    minOneBatch: boolean,
    done: (result: ReadResult | 'failed') => void,
  ): void {
    const { indexes } = this.#directory;
    const read = (loaded: SegmentIndexes): void => {
      const { position } = loaded.offsets.lookup(from);
      this.#readFrom(segment, position, from, upTo, maxBytes, minOneBatch, done);
    };
    const known = indexes.get(segment);
    if (known !== undefined) return read(known);
    indexes.load(segment).then(read, (failure) => {
      // Its files have gone: what was in them is in the one that took its place.
      if (segment.replaced) this.read(from, upTo, maxBytes, minOneBatch, done);
      else this.#failed(segment, failure, done);
    });
  }

  #readFrom(
    segment: Segment,
    position: number,
    from: Offset,
    upTo: Offset,
    maxBytes: number,
    minOneBatch: boolean,
    done: (result: ReadResult | 'failed') => void,
  ): void {
    const { readers } = this.#directory;
    readers.use(segment.path('.log'), (open, failure) => {
      if (segment.replaced) {
        // The position is of another file than the one that has the name now.
        if (open !== undefined) readers.release(open);
        return this.read(from, upTo, maxBytes, minOneBatch, done);
      }
      if (open === undefined) return this.#failed(segment, failure, done);
      const request = { from, upTo, maxBytes, minOneBatch, position, limit: segment.writtenBytes };
      readBatches(open.file, this.#directory.readBuffers, request, (bytes, lease) => {
        readers.release(open);
        if (bytes === undefined) return this.#failed(segment, 'no batches where they should be', done);
        if (bytes.length > 0) return done({ chunks: [bytes], sizeBytes: bytes.length, lease });
        const next = this.#segments[this.#segments.indexOf(segment) + 1];
        // Only past the segment's last batch the reader goes on in the next one.
        const goesOn = from >= segment.endOffset && next !== undefined && next.baseOffset < upTo && next !== segment;
        if (goesOn && next.baseOffset > segment.baseOffset) {
          this.#readSegment(next, from, upTo, maxBytes, minOneBatch, done);
        } else done(NOTHING_READ);
      });
    });
  }

  #failed(segment: Segment, failure: unknown, done: (result: 'failed') => void): void {
    const reason = failure instanceof Error ? failure.message : String(failure);
    this.#directory.logger.error({ segment: segment.path('.log'), reason }, 'a read of a segment failed');
    done('failed');
  }

  /** Rejects with Replaced if the file may be another one than the segment's. */
  async #open(segment: Segment): Promise<OpenFile> {
    const { readers } = this.#directory;
    const path = segment.path('.log');
    return new Promise((resolve, reject) => {
      readers.use(path, (open, failure) => {
        if (open !== undefined && !segment.replaced) return resolve(open);
        if (open !== undefined) readers.release(open);
        reject(segment.replaced ? new Replaced(path) : failure);
      });
    });
  }

  /** Again, if compaction has put another segment in the place of one that was looked at. */
  async #untilInPlace<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (failure) {
        if (!(failure instanceof Replaced)) throw failure;
      }
    }
  }

  /** The first batch at or behind `position` that is `wanted`, judged by its header; `bytes` holds that at `batchAt`. */
  async #walk(
    segment: Segment,
    position: number,
    wanted: (bytes: Uint8Array, batchAt: number) => boolean,
  ): Promise<BatchPlace | undefined> {
    const open = await this.#open(segment);
    try {
      const chunk = new Uint8Array(Math.max(0, Math.min(WALK_CHUNK_BYTES, segment.writtenBytes - position)));
      for (let chunkAt = position; chunkAt + HEADER_BYTES <= segment.writtenBytes; ) {
        const read = await readAt(open.file, chunk, chunkAt);
        let batchAt = 0;
        while (batchAt + HEADER_BYTES <= read && chunkAt + batchAt < segment.writtenBytes) {
          const sizeBytes = batchSizeBytes(chunk, batchAt);
          if (sizeBytes < HEADER_BYTES) throw new Error(`no batch at ${chunkAt + batchAt}`);
          if (wanted(chunk, batchAt)) {
            return { offset: batchBaseOffset(chunk, batchAt) as Offset, position: chunkAt + batchAt, sizeBytes };
          }
          batchAt += sizeBytes;
        }
        if (batchAt === 0) throw new Error(`the file ends at ${chunkAt + read}`);
        chunkAt += batchAt;
      }
      return undefined;
    } finally {
      this.#directory.readers.release(open);
    }
  }

  /** The first record of the batch at or after `timestamp`, at or above `from`. */
  async #recordAt(
    segment: Segment,
    place: BatchPlace,
    timestamp: Timestamp,
    from: Offset,
  ): Promise<FoundTimestamp | undefined> {
    const { bytes, header } = await this.#batch(segment, place);
    const leaderEpoch = header.partitionLeaderEpoch;
    const records = iterateRecords(bytes, header, this.#directory.codecs, RECORDS_BYTES_MAX);
    if (typeof records === 'string') {
      // A codec that is not there: the batch is what can be told.
      return { offset: Math.max(place.offset, from) as Offset, timestamp: header.maxTimestamp, leaderEpoch };
    }
    for (const record of records) {
      if (record.timestamp >= timestamp && record.offset >= from) {
        return { offset: record.offset as Offset, timestamp: record.timestamp, leaderEpoch };
      }
    }
    return undefined;
  }

  async #batch(segment: Segment, place: BatchPlace): Promise<{ bytes: Uint8Array; header: BatchHeader }> {
    const open = await this.#open(segment);
    try {
      const bytes = new Uint8Array(place.sizeBytes);
      const read = await readAt(open.file, bytes, place.position);
      const header = readBatchHeader(bytes.subarray(0, read), 0);
      if (typeof header === 'string') throw new Error(`the batch at ${place.position} is ${header}`);
      assert(lastOffset(header) >= place.offset, 'the batch was found by its offsets');
      return { bytes, header };
    } finally {
      this.#directory.readers.release(open);
    }
  }
}
