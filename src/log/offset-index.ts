import { assert } from '#base/assert';
import type { Parsed } from '#base/parsed';
import { type Offset, offsetPlus } from '#model/ids';
import { EntryBuffer, lastInt32AtMost } from './entry-buffer.ts';

const ENTRY_BYTES = 8;
const RELATIVE_OFFSET_MAX = 0x7fff_ffff;

export interface OffsetPosition {
  readonly offset: Offset;
  /** Bytes from the start of the segment. */
  readonly position: number;
}

/** Whether `offset` can be written relative to the base of its segment. */
export function fitsSegment(baseOffset: Offset, offset: Offset): boolean {
  return offset >= baseOffset && offset - baseOffset <= RELATIVE_OFFSET_MAX;
}

/**
 * A segment's sparse index (`.index`): the last offset of a batch → where that batch starts.
 * An entry is two big-endian int32: the offset relative to the segment's base, the position.
 */
export class OffsetIndex {
  readonly baseOffset: Offset;
  readonly #entriesMax: number;
  readonly #entries: EntryBuffer;

  /** `bytesMax` is segment.index.bytes: a full index takes no more, and the segment is rolled. */
  constructor(baseOffset: Offset, bytesMax: number, entries: EntryBuffer = new EntryBuffer(ENTRY_BYTES)) {
    this.baseOffset = baseOffset;
    this.#entriesMax = Math.floor(bytesMax / ENTRY_BYTES);
    this.#entries = entries;
  }

  /**
   * A file's content, owned from here on, checked entry by entry. An error means: rebuild it from the segment.
   * `segmentBytes` is the size of the segment's file: no entry may point beyond it.
   */
  static from(baseOffset: Offset, bytesMax: number, content: Uint8Array, segmentBytes: number): Parsed<OffsetIndex> {
    if (content.length % ENTRY_BYTES !== 0) return { error: `${content.length} bytes are no whole entries` };
    const entries = new EntryBuffer(ENTRY_BYTES, content);
    let relative = -1;
    let position = -1;
    for (let at = 0; at < content.length; at += ENTRY_BYTES) {
      const nextRelative = entries.view.getInt32(at);
      const nextPosition = entries.view.getInt32(at + 4);
      if (nextRelative <= relative || nextPosition <= position) {
        return { error: `entry ${at / ENTRY_BYTES} does not come after its predecessor` };
      }
      relative = nextRelative;
      position = nextPosition;
    }
    if (position >= segmentBytes)
      return { error: `position ${position} is beyond the segment's ${segmentBytes} bytes` };
    return { value: new OffsetIndex(baseOffset, bytesMax, entries) };
  }

  get entryCount(): number {
    return this.#entries.count;
  }

  get isFull(): boolean {
    return this.#entries.count >= this.#entriesMax;
  }

  get last(): OffsetPosition | undefined {
    return this.#entries.count === 0 ? undefined : this.#entry(this.#entries.count - 1);
  }

  /** `offset` is the last one of the batch at `position`; both ascend. Ignored when full: a lookup then starts earlier. */
  append(offset: Offset, position: number): void {
    assert(fitsSegment(this.baseOffset, offset), `offset ${offset} does not fit the segment at ${this.baseOffset}`);
    const last = this.last;
    assert(last === undefined || (offset > last.offset && position > last.position), 'index entries ascend');
    if (this.isFull) return;
    const at = this.#entries.append();
    this.#entries.view.setInt32(at, offset - this.baseOffset);
    this.#entries.view.setInt32(at + 4, position);
  }

  /** The last entry at or below `target`, else the segment's start: the batch that holds `target` starts there or later. */
  lookup(target: Offset): OffsetPosition {
    const slot = lastInt32AtMost(this.#entries, 0, target - this.baseOffset);
    return slot < 0 ? { offset: this.baseOffset, position: 0 } : this.#entry(slot);
  }

  /** Drops the entries at and above `offset`. */
  truncateTo(offset: Offset): void {
    this.#entries.truncate(lastInt32AtMost(this.#entries, 0, offset - this.baseOffset - 1) + 1);
  }

  /** What belongs into the file, from entry `first` on; lent until the next change. */
  bytes(first = 0): Uint8Array {
    return this.#entries.bytes(first);
  }

  #entry(slot: number): OffsetPosition {
    const at = slot * ENTRY_BYTES;
    return {
      offset: offsetPlus(this.baseOffset, this.#entries.view.getInt32(at)),
      position: this.#entries.view.getInt32(at + 4),
    };
  }
}
