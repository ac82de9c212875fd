import { assert } from '#base/assert';
import { readInt64, writeInt64 } from '#base/int64';
import type { Parsed } from '#base/parsed';
import type { Timestamp } from '#base/ports';
import { type Offset, offsetPlus } from '#model/ids';
import { EntryBuffer, lastInt32AtMost } from './entry-buffer.ts';
import { fitsSegment } from './offset-index.ts';

const ENTRY_BYTES = 12;
const OFFSET_AT = 8;

export interface TimestampOffset {
  readonly timestamp: Timestamp;
  readonly offset: Offset;
}

/**
 * A segment's time index (`.timeindex`): the highest timestamp so far → the last offset of the batch that has it.
 * Records later than an entry's timestamp are at offsets above the entry's. An entry is a big-endian int64 timestamp
 * and an int32 offset relative to the segment's base; both ascend.
 */
export class TimeIndex {
  readonly baseOffset: Offset;
  readonly #entriesMax: number;
  readonly #entries: EntryBuffer;

  /** `bytesMax` is segment.index.bytes: a full index takes no more, and the segment is rolled. */
  constructor(baseOffset: Offset, bytesMax: number, entries: EntryBuffer = new EntryBuffer(ENTRY_BYTES)) {
    this.baseOffset = baseOffset;
    this.#entriesMax = Math.floor(bytesMax / ENTRY_BYTES);
    this.#entries = entries;
  }

  /** A file's content, owned from here on, checked entry by entry. An error means: rebuild it from the segment. */
  static from(baseOffset: Offset, bytesMax: number, content: Uint8Array): Parsed<TimeIndex> {
    if (content.length % ENTRY_BYTES !== 0) return { error: `${content.length} bytes are no whole entries` };
    const entries = new EntryBuffer(ENTRY_BYTES, content);
    let timestamp = -1;
    let relative = -1;
    for (let at = 0; at < content.length; at += ENTRY_BYTES) {
      const nextTimestamp = readInt64(entries.view, at);
      const nextRelative = entries.view.getInt32(at + OFFSET_AT);
      if (nextTimestamp <= timestamp || nextRelative <= relative) {
        return { error: `entry ${at / ENTRY_BYTES} does not come after its predecessor` };
      }
      timestamp = nextTimestamp;
      relative = nextRelative;
    }
    return { value: new TimeIndex(baseOffset, bytesMax, entries) };
  }

  get entryCount(): number {
    return this.#entries.count;
  }

  /** One place is kept for the entry that seals the segment. */
  get isFull(): boolean {
    return this.#entries.count >= this.#entriesMax - 1;
  }

  get last(): TimestampOffset | undefined {
    return this.#entries.count === 0 ? undefined : this.#entry(this.#entries.count - 1);
  }

  /**
   * `timestamp` is the highest of the segment so far, `offset` where it was seen. Adds nothing unless it is higher than
   * the last entry's, nor when full; `seal` takes the place kept for the segment's last entry.
   */
  append(timestamp: Timestamp, offset: Offset, seal = false): void {
    assert(fitsSegment(this.baseOffset, offset), `offset ${offset} does not fit the segment at ${this.baseOffset}`);
    const last = this.last;
    if (timestamp <= (last?.timestamp ?? -1)) return;
    assert(last === undefined || offset > last.offset, 'a higher timestamp comes at a higher offset');
    if (this.isFull && !seal) return;
    const at = this.#entries.append();
    writeInt64(this.#entries.view, at, timestamp);
    this.#entries.view.setInt32(at + OFFSET_AT, offset - this.baseOffset);
  }

  /** The last entry at or below `target`: every record later than `target` is above its offset. */
  lookup(target: Timestamp): TimestampOffset | undefined {
    const { view } = this.#entries;
    let low = -1;
    let high = this.#entries.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (readInt64(view, middle * ENTRY_BYTES) <= target) low = middle;
      else high = middle - 1;
    }
    return low < 0 ? undefined : this.#entry(low);
  }

  /** The last entry at or below `offset`. */
  lastUpTo(offset: Offset): TimestampOffset | undefined {
    const slot = lastInt32AtMost(this.#entries, OFFSET_AT, offset - this.baseOffset);
    return slot < 0 ? undefined : this.#entry(slot);
  }

  /** Drops the entries at and above `offset`. */
  truncateTo(offset: Offset): void {
    this.#entries.truncate(lastInt32AtMost(this.#entries, OFFSET_AT, offset - this.baseOffset - 1) + 1);
  }

  /** What belongs into the file, from entry `first` on; lent until the next change. */
  bytes(first = 0): Uint8Array {
    return this.#entries.bytes(first);
  }

  #entry(slot: number): TimestampOffset {
    const at = slot * ENTRY_BYTES;
    return {
      timestamp: readInt64(this.#entries.view, at),
      offset: offsetPlus(this.baseOffset, this.#entries.view.getInt32(at + OFFSET_AT)),
    };
  }
}
