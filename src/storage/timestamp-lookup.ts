import { assert } from '#base/assert';
import type { Timestamp } from '#base/ports';
import type { SegmentIndexes } from '#log/segment-indexes';
import type { Offset } from '#model/ids';
import { type BatchHeader, lastOffset, readBatchHeader } from '#protocol/record-batch';
import { iterateRecords } from '#protocol/records';
import { batchBaseOffset, batchLastOffset, batchMaxTimestamp, batchRecordCount } from './batch-walk.ts';
import { readAt } from './files.ts';
import type { LogState } from './log-state.ts';
import type { Segment } from './segment.ts';
import { type BatchPlace, openInPlace, Replaced, startAt, walkSegment } from './segment-walk.ts';

export interface FoundTimestamp {
  readonly offset: Offset;
  readonly timestamp: Timestamp;
  /** -1 if the batch carries none. */
  readonly leaderEpoch: number;
}

/** As much as one batch may decompress to when its records are looked through. */
const RECORDS_BYTES_MAX = 128 * 1024 * 1024;

/** Looks for records of one log by their timestamps. Rejects with IoError, or with an Error if the log is damaged. */
export class TimestampLookup {
  readonly #log: LogState;

  constructor(log: LogState) {
    this.#log = log;
  }

  /** See PartitionLog.offsetForTimestamp. */
  offsetFor(timestamp: Timestamp, upTo: Offset): Promise<FoundTimestamp | undefined> {
    return this.#untilInPlace(() => this.#firstAtOrAfter(timestamp, this.#log.startOffset, upTo));
  }

  /** See PartitionLog.maxTimestamp. */
  latest(upTo: Offset): Promise<FoundTimestamp | undefined> {
    return this.#untilInPlace(() => this.#latest(this.#log.startOffset, upTo));
  }

  async #firstAtOrAfter(timestamp: Timestamp, from: Offset, upTo: Offset): Promise<FoundTimestamp | undefined> {
    const { directory, segments } = this.#log;
    for (const segment of [...segments]) {
      if (segment.baseOffset >= upTo) return undefined;
      if (segment.endOffset <= from) continue;
      const indexes = await this.#indexesOf(segment);
      if (indexes.maxTimestamp < timestamp) continue;
      const start = indexes.times.lookup((timestamp - 1) as Timestamp)?.offset ?? segment.baseOffset;
      let walkFrom = startAt(indexes.offsets.lookup(start));
      for (;;) {
        const place = await walkSegment(
          directory,
          segment,
          walkFrom,
          (bytes, batchAt) => batchMaxTimestamp(bytes, batchAt) >= timestamp && batchLastOffset(bytes, batchAt) >= from,
        );
        if (place === undefined) break;
        if (place.offset >= upTo) return undefined;
        const found = await this.#recordAt(segment, place, timestamp, from);
        if (found !== undefined) return found.offset < upTo ? found : undefined;
        walkFrom = { position: place.position + place.sizeBytes, offset: undefined };
      }
    }
    return undefined;
  }

  async #latest(from: Offset, upTo: Offset): Promise<FoundTimestamp | undefined> {
    let highest = -1;
    for (const segment of [...this.#log.segments]) {
      if (segment.baseOffset >= upTo) break;
      if (segment.endOffset > from) highest = Math.max(highest, await this.#highestIn(segment, from, upTo));
    }
    return highest < 0 ? undefined : await this.#firstAtOrAfter(highest, from, upTo);
  }

  /** Of the segment's records in [from, upTo), which ends where a batch does; -1: they have none. */
  async #highestIn(segment: Segment, from: Offset, upTo: Offset): Promise<Timestamp> {
    const { directory } = this.#log;
    const beginsWithin = segment.baseOffset < from;
    if (!beginsWithin && segment.endOffset <= upTo && segment.maxTimestamp !== undefined) return segment.maxTimestamp;
    const indexes = await this.#indexesOf(segment);
    if (!beginsWithin && segment.endOffset <= upTo) return indexes.maxTimestamp;
    let { timestamp: highest, offset, position } = indexes.highestBefore(upTo);
    if (beginsWithin) {
      const near = startAt(indexes.offsets.lookup(from));
      const first = await walkSegment(directory, segment, near, (bytes, at) => batchLastOffset(bytes, at) >= from);
      if (first === undefined || first.lastOffset >= upTo) return -1;
      if (offset <= first.lastOffset) {
        // What is known may be of a record below.
        highest = await this.#highestOf(segment, first, from);
        position = first.position + first.sizeBytes;
      }
    }
    await walkSegment(directory, segment, { position, offset: undefined }, (bytes, at) => {
      if (batchLastOffset(bytes, at) >= upTo) return true;
      if (batchBaseOffset(bytes, at) >= from && batchRecordCount(bytes, at) > 0)
        highest = Math.max(highest, batchMaxTimestamp(bytes, at));
      return false;
    });
    return highest;
  }

  /** Of the batch's records from `from` on. */
  async #highestOf(segment: Segment, place: BatchPlace, from: Offset): Promise<Timestamp> {
    const { bytes, header } = await this.#batch(segment, place);
    const records = iterateRecords(bytes, header, this.#log.directory.codecs, RECORDS_BYTES_MAX);
    // A codec that is not there: the batch is what can be told.
    if (typeof records === 'string') return header.recordCount === 0 ? -1 : header.maxTimestamp;
    let highest = -1;
    for (const record of records) if (record.offset >= from) highest = Math.max(highest, record.timestamp);
    return highest;
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
    const records = iterateRecords(bytes, header, this.#log.directory.codecs, RECORDS_BYTES_MAX);
    if (typeof records === 'string') {
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
    const { directory } = this.#log;
    const open = await openInPlace(directory, segment);
    try {
      const bytes = new Uint8Array(place.sizeBytes);
      const read = await readAt(open.file, bytes, place.position);
      const header = readBatchHeader(bytes.subarray(0, read), 0);
      if (typeof header === 'string') throw new Error(`the batch at ${place.position} is ${header}`);
      assert(lastOffset(header) >= place.offset, 'the batch was found by its offsets');
      return { bytes, header };
    } finally {
      directory.readers.release(open);
    }
  }

  async #indexesOf(segment: Segment): Promise<SegmentIndexes> {
    const indexes = await this.#log.directory.indexes.load(segment);
    // They may be of the file that has the name by now.
    if (segment.replaced) throw new Replaced(segment.path('.index'));
    return indexes;
  }

  /** Again, if segments that were looked at are no more. */
  async #untilInPlace<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      const { startOffset, segments } = this.#log;
      const known = [...segments];
      try {
        return await work();
      } catch (failure) {
        // Whatever failed: their files have other names, or none, before they leave the list, and the log's start has moved before that.
        const isGone = this.#log.startOffset > startOffset || known.some(({ replaced }) => replaced);
        if (!isGone) throw failure;
      }
    }
  }
}
