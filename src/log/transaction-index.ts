import { assert } from '#base/assert';
import { readInt64, writeInt64 } from '#base/int64';
import type { Parsed } from '#base/parsed';
import type { Offset, ProducerId } from '#model/ids';
import { EntryBuffer } from './entry-buffer.ts';

const ENTRY_BYTES = 34;
const VERSION = 0;
const PRODUCER_ID_AT = 2;
const FIRST_OFFSET_AT = 10;
const LAST_OFFSET_AT = 18;
const STABLE_OFFSET_AT = 26;
/** Looked through together, or not at all: one long transaction may hold back hundreds of thousands of others. */
const BLOCK_ENTRIES = 128;

/** A transaction that was aborted (KIP-98). */
export interface AbortedTransaction {
  readonly producerId: ProducerId;
  readonly firstOffset: Offset;
  /** Where the abort marker is. */
  readonly lastOffset: Offset;
  /** Up to where all transactions were decided when the marker was written. */
  readonly lastStableOffset: Offset;
}

/** What the entries of a block have in common. */
interface Block {
  leastFirstOffset: number;
  greatestStableOffset: number;
}

/**
 * A segment's aborted transactions (`.txnindex`), in the order of their markers. It grows with the markers in the segment,
 * 34 bytes for one of at least 61 bytes there, so segment.bytes bounds it.
 */
export class TransactionIndex {
  readonly baseOffset: Offset;
  readonly #entries: EntryBuffer;
  /** The last one may not be full yet. */
  readonly #blocks: Block[] = [];

  constructor(baseOffset: Offset, entries: EntryBuffer = new EntryBuffer(ENTRY_BYTES)) {
    this.baseOffset = baseOffset;
    this.#entries = entries;
  }

  /** A file's content, owned from here on, checked entry by entry. An error means: rebuild it from the segment. */
  static from(baseOffset: Offset, content: Uint8Array): Parsed<TransactionIndex> {
    if (content.length % ENTRY_BYTES !== 0) return { error: `${content.length} bytes are no whole entries` };
    const index = new TransactionIndex(baseOffset, new EntryBuffer(ENTRY_BYTES, content));
    let previous = baseOffset - 1;
    for (let slot = 0; slot < index.entryCount; slot += 1) {
      const version = index.#entries.view.getInt16(slot * ENTRY_BYTES);
      if (version !== VERSION) return { error: `entry ${slot} has version ${version}` };
      const { producerId, firstOffset, lastOffset, lastStableOffset } = index.#entry(slot);
      if (
        lastOffset <= previous ||
        producerId < 0 ||
        firstOffset < 0 ||
        firstOffset > lastOffset ||
        lastStableOffset < 0 ||
        lastStableOffset > lastOffset + 1
      ) {
        return { error: `entry ${slot} does not fit what comes before it` };
      }
      previous = lastOffset;
      index.#summarize(slot);
    }
    return { value: index };
  }

  get entryCount(): number {
    return this.#entries.count;
  }

  append(aborted: AbortedTransaction): void {
    const count = this.#entries.count;
    assert(
      aborted.lastOffset >= this.baseOffset && (count === 0 || aborted.lastOffset > this.#lastOffset(count - 1)),
      'abort markers ascend',
    );
    const at = this.#entries.append();
    const { view } = this.#entries;
    view.setInt16(at, VERSION);
    writeInt64(view, at + PRODUCER_ID_AT, aborted.producerId);
    writeInt64(view, at + FIRST_OFFSET_AT, aborted.firstOffset);
    writeInt64(view, at + LAST_OFFSET_AT, aborted.lastOffset);
    writeInt64(view, at + STABLE_OFFSET_AT, aborted.lastStableOffset);
    this.#summarize(count);
  }

  /**
   * Adds to `into` the transactions that overlap [from, to). True: no later segment's index can add one, because all that
   * began below `to` were decided by then.
   */
  collect(from: Offset, to: Offset, into: AbortedTransaction[]): boolean {
    for (let slot = this.#firstEndingAtOrAfter(from); slot < this.#entries.count; ) {
      const block = slot % BLOCK_ENTRIES === 0 ? this.#blocks[slot / BLOCK_ENTRIES] : undefined;
      if (block !== undefined && block.leastFirstOffset >= to) {
        if (block.greatestStableOffset >= to) return true;
        slot += BLOCK_ENTRIES;
        continue;
      }
      const aborted = this.#entry(slot);
      if (aborted.firstOffset < to) into.push(aborted);
      if (aborted.lastStableOffset >= to) return true;
      slot += 1;
    }
    return false;
  }

  /** Drops the transactions whose marker is at or above `offset`. */
  truncateTo(offset: Offset): void {
    const count = this.#firstEndingAtOrAfter(offset);
    this.#entries.truncate(count);
    const whole = Math.floor(count / BLOCK_ENTRIES);
    this.#blocks.length = whole;
    for (let slot = whole * BLOCK_ENTRIES; slot < count; slot += 1) this.#summarize(slot);
  }

  /** What belongs into the file, from entry `first` on; lent until the next change. */
  bytes(first = 0): Uint8Array {
    return this.#entries.bytes(first);
  }

  /** Slots come in their order. */
  #summarize(slot: number): void {
    const { firstOffset, lastStableOffset } = this.#entry(slot);
    const block = this.#blocks[Math.floor(slot / BLOCK_ENTRIES)];
    if (block === undefined) {
      this.#blocks.push({ leastFirstOffset: firstOffset, greatestStableOffset: lastStableOffset });
      return;
    }
    block.leastFirstOffset = Math.min(block.leastFirstOffset, firstOffset);
    block.greatestStableOffset = Math.max(block.greatestStableOffset, lastStableOffset);
  }

  #firstEndingAtOrAfter(offset: Offset): number {
    let low = 0;
    let high = this.#entries.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#lastOffset(middle) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #lastOffset(slot: number): number {
    return readInt64(this.#entries.view, slot * ENTRY_BYTES + LAST_OFFSET_AT);
  }

  #entry(slot: number): AbortedTransaction {
    const at = slot * ENTRY_BYTES;
    const { view } = this.#entries;
    return {
      producerId: readInt64(view, at + PRODUCER_ID_AT) as ProducerId,
      firstOffset: readInt64(view, at + FIRST_OFFSET_AT) as Offset,
      lastOffset: readInt64(view, at + LAST_OFFSET_AT) as Offset,
      lastStableOffset: readInt64(view, at + STABLE_OFFSET_AT) as Offset,
    };
  }
}
