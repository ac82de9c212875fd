import { assert } from '#base/assert';
import type { Timestamp } from '#base/ports';
import { type Offset, offsetPlus } from '#model/ids';
import type { BatchHeader } from '#protocol/record-batch';
import { OffsetIndex } from './offset-index.ts';
import { TimeIndex } from './time-index.ts';

const NO_TIMESTAMP = -1;

/** What a batch adds to the time index: one that compaction has left without records has no record of that time. */
export function timestampToIndex({ recordCount, maxTimestamp }: BatchHeader): Timestamp {
  return recordCount === 0 ? NO_TIMESTAMP : maxTimestamp;
}

/**
 * Both indexes of one segment and the one rule that feeds them, for appends and for recovery alike, so that rebuilt
 * indexes equal the incremental ones byte for byte: a batch gets entries when more than `index.interval.bytes` were
 * added since the batch that last got some.
 */
export class SegmentIndexes {
  readonly offsets: OffsetIndex;
  readonly times: TimeIndex;
  #bytesSinceEntry: number;
  #maxTimestamp: Timestamp;
  #offsetOfMaxTimestamp: Offset;

  private constructor(offsets: OffsetIndex, times: TimeIndex, segmentBytes: number) {
    assert(offsets.baseOffset === times.baseOffset, 'two indexes of one segment');
    this.offsets = offsets;
    this.times = times;
    this.#bytesSinceEntry = segmentBytes - (offsets.last?.position ?? 0);
    this.#maxTimestamp = times.last?.timestamp ?? NO_TIMESTAMP;
    this.#offsetOfMaxTimestamp = times.last?.offset ?? times.baseOffset;
  }

  /** Of an empty segment; `bytesMax` (segment.index.bytes) bounds each of the two. */
  static empty(baseOffset: Offset, bytesMax: number): SegmentIndexes {
    return new SegmentIndexes(new OffsetIndex(baseOffset, bytesMax), new TimeIndex(baseOffset, bytesMax), 0);
  }

  /** Loaded from the files of a segment of `segmentBytes` that was sealed before they were written. */
  static resume(offsets: OffsetIndex, times: TimeIndex, segmentBytes: number): SegmentIndexes {
    return new SegmentIndexes(offsets, times, segmentBytes);
  }

  /** The highest timestamp of the segment; -1 if none of its batches has one. */
  get maxTimestamp(): Timestamp {
    return this.#maxTimestamp;
  }

  /** The last offset of the first batch that has `maxTimestamp`; the base offset while there is none. */
  get offsetOfMaxTimestamp(): Offset {
    return this.#offsetOfMaxTimestamp;
  }

  /** The next entry may need a place that is not there: time to roll. */
  get isFull(): boolean {
    return this.offsets.isFull || this.times.isFull;
  }

  /** The segment grew by one batch of `sizeBytes` at `position`. */
  add(lastOffset: Offset, maxTimestamp: Timestamp, position: number, sizeBytes: number, intervalBytes: number): void {
    if (maxTimestamp > this.#maxTimestamp) {
      this.#maxTimestamp = maxTimestamp;
      this.#offsetOfMaxTimestamp = lastOffset;
    }
    if (this.#bytesSinceEntry > intervalBytes) {
      this.offsets.append(lastOffset, position);
      this.times.append(this.#maxTimestamp, this.#offsetOfMaxTimestamp);
      this.#bytesSinceEntry = 0;
    }
    this.#bytesSinceEntry += sizeBytes;
  }

  /** Before the files of a rolled or cleanly closed segment are written: the time index ends with the highest timestamp. */
  seal(): void {
    this.times.append(this.#maxTimestamp, this.#offsetOfMaxTimestamp, true);
  }

  /**
   * The highest timestamp of the batches before `position`, and the last offset of the first batch that has it (-1 and the base offset if there
   * are none); the batch at `position` lies below `offset`, at most an interval before it.
   */
  highestBefore(offset: Offset): { readonly timestamp: Timestamp; readonly offset: Offset; readonly position: number } {
    const { offset: last, position } = this.offsets.lookup((offset - 1) as Offset);
    const known = this.times.lastUpTo(last);
    return {
      timestamp: known?.timestamp ?? NO_TIMESTAMP,
      offset: known?.offset ?? this.offsets.baseOffset,
      position,
    };
  }

  /**
   * Drops what batches at and above `offset` left here. Returns the position from which the batches that remain are to be
   * added again: the last one with an entry, because what followed it was only counted.
   */
  truncateTo(offset: Offset): number {
    this.offsets.truncateTo(offset);
    const last = this.offsets.last;
    // Every time entry up to the last offset entry's was written with it or before, any other later.
    this.times.truncateTo(last === undefined ? this.offsets.baseOffset : offsetPlus(last.offset, 1));
    this.#maxTimestamp = this.times.last?.timestamp ?? NO_TIMESTAMP;
    this.#offsetOfMaxTimestamp = this.times.last?.offset ?? this.times.baseOffset;
    this.#bytesSinceEntry = 0;
    return last?.position ?? 0;
  }
}
