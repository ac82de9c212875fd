import { at } from '#base/assert';
import type { SegmentIndexes } from '#log/segment-indexes';
import type { Offset } from '#model/ids';
import { batchLastOffset } from './batch-walk.ts';
import type { LogDirectory } from './log-directory.ts';
import type { Segment } from './segment.ts';
import { readBatches } from './segment-reader.ts';
import { SEGMENT_START, startAt, type WalkStart, walkSegment } from './segment-walk.ts';
import { NOTHING_READ, type ReadResult } from './tail-cache.ts';

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
    const start = startAt((await this.#directory.indexes.load(segment)).offsets.lookup((offset - 1) as Offset));
    let end: number = baseOffset;
    const place = await walkSegment(this.#directory, segment, start, (bytes, batchAt) => {
      const last = batchLastOffset(bytes, batchAt);
      if (last < offset) end = last + 1;
      return last >= offset;
    });
    return { offset: end as Offset, position: place?.position ?? writtenBytes };
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
      this.#readFrom(segment, startAt(loaded.offsets.lookup(from)), from, upTo, maxBytes, minOneBatch, done);
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
    start: WalkStart,
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
      const { position, offset: indexed } = start;
      const request = { from, upTo, maxBytes, minOneBatch, position, indexed, limit: segment.writtenBytes };
      readBatches(open.file, this.#directory.readBuffers, request, (bytes, lease) => {
        readers.release(open);
        if (bytes === 'misplaced') {
          this.#directory.indexes.distrust(segment);
          return this.#readFrom(segment, SEGMENT_START, from, upTo, maxBytes, minOneBatch, done);
        }
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
}
