import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Offset } from '#model/ids';
import { selectBatches } from './batch-walk.ts';
import type { Lease } from './read-buffers.ts';
import type { Segment } from './segment.ts';

/** Whole batches as they were appended in one piece; the bytes are never changed while they are here. */
export interface TailEntry {
  readonly bytes: Uint8Array;
  readonly baseOffset: Offset;
  /** The offset after its last record. */
  readonly nextOffset: Offset;
  readonly segment: Segment;
  /** Where it stands in the segment's file. */
  readonly position: number;
  readonly tail: LogTail;
  cached: boolean;
}

export interface ReadResult {
  /** Whole batches, lent until the reader has sent them; none if there is nothing to read. */
  readonly chunks: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** Of what was read from disk: to be released when it is sent; see ReadBuffers. */
  readonly lease?: Lease | undefined;
}

export const NOTHING_READ: ReadResult = { chunks: [], sizeBytes: 0 };

/**
 * What the runtime needs to hold a batch, beside the batch: its entry, the views of it, the bookkeeping of its memory. Measured as resident
 * memory with frames of 150 to 210 bytes; it is most of what records that are written one by one take.
 */
export const ENTRY_BYTES = 640;

/** Below it a chunk costs more to send by reference than to copy. */
const GATHERED_BYTES_MIN = 1024;

/**
 * What was appended last, to all logs of a node, within `limitBytes`: readers at the end of a log never touch the disk.
 * Evicts the oldest first. A small batch in a large frame pins all of it, so what counts is each whole frame, once, and for each
 * entry ENTRY_BYTES.
 */
export class TailCache {
  readonly #limitBytes: number;
  /** In the order of the appends; evicted before their turn when their log is cut. */
  readonly #entries = new Fifo<TailEntry>();
  readonly #frames = new Map<ArrayBufferLike, number>();
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  add(entry: TailEntry): void {
    const frame = entry.bytes.buffer;
    const users = this.#frames.get(frame);
    this.#usedBytes += ENTRY_BYTES;
    if (users === undefined) this.#usedBytes += frame.byteLength;
    this.#frames.set(frame, (users ?? 0) + 1);
    this.#entries.push(entry);
    while (this.#usedBytes > this.#limitBytes) this.#evictOldest();
  }

  /** Its log does not need the entry any more. */
  drop(entry: TailEntry): void {
    if (!entry.cached) return;
    entry.cached = false;
    const frame = entry.bytes.buffer;
    const users = this.#frames.get(frame);
    assert(users !== undefined, 'a cached entry has its frame counted');
    this.#usedBytes -= ENTRY_BYTES;
    if (users > 1) this.#frames.set(frame, users - 1);
    else {
      this.#frames.delete(frame);
      this.#usedBytes -= frame.byteLength;
    }
    // Dropped entries leave the queue with their turn; what they hold in the meantime is their log's matter.
    while (this.#entries.peek()?.cached === false) this.#entries.shift();
  }

  #evictOldest(): void {
    const entry = this.#entries.peek();
    assert(entry !== undefined, 'what is counted is queued');
    if (!entry.cached) {
      this.#entries.shift();
      return;
    }
    this.drop(entry);
    entry.tail.trim();
  }
}

/**
 * The end of one log in memory, without gaps: what the cache holds of it, and whatever is not durable yet, cached or not,
 * because it is still to be written, journaled or served to followers. The latter is bounded by the request memory of
 * those who append: they wait for it.
 */
export class LogTail {
  readonly #cache: TailCache;
  #entries: TailEntry[] = [];
  #head = 0;
  #durable: Offset;

  constructor(cache: TailCache, end: Offset) {
    this.#cache = cache;
    this.#durable = end;
  }

  append(bytes: Uint8Array, baseOffset: Offset, nextOffset: Offset, segment: Segment, position: number): TailEntry {
    const entry = { bytes, baseOffset, nextOffset, segment, position, tail: this, cached: true };
    this.#entries.push(entry);
    this.#cache.add(entry);
    return entry;
  }

  /** Everything below is on disk and may go from here. */
  durable(offset: Offset): void {
    this.#durable = offset;
    this.trim();
  }

  /** Lets go of what is neither cached nor needed. */
  trim(): void {
    for (;;) {
      const first = this.#entries[this.#head];
      if (first === undefined || first.cached || first.nextOffset > this.#durable) break;
      this.#head += 1;
    }
    if (this.#head === this.#entries.length) {
      this.#entries.length = 0;
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  /** What is below is read from the disk from now on, where less of it may be; it is durable there. */
  forgetBelow(offset: Offset): void {
    for (let index = this.#head; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index] as TailEntry;
      if (entry.nextOffset > offset) break;
      this.#cache.drop(entry);
    }
    this.trim();
  }

  /** The log ends at `offset` now. If that cuts an entry, everything below was synced, and all entries go: what stays has no gaps. */
  truncateTo(offset: Offset): void {
    let end = offset;
    while (this.#entries.length > this.#head) {
      const last = this.#entries.at(-1) as TailEntry;
      if (last.nextOffset <= end) break;
      if (last.baseOffset < offset) end = 0 as Offset;
      this.#entries.pop();
      this.#cache.drop(last);
    }
    if (this.#durable > offset) this.#durable = offset;
    this.trim();
  }

  /** The entries of [from, to), which fall on entries' ends, until `visit` wants no more. */
  forEach(from: Offset, to: Offset, visit: (entry: TailEntry) => boolean): void {
    for (let index = this.#find(from); index < this.#entries.length; index += 1) {
      const entry = this.#entries[index] as TailEntry;
      if (entry.nextOffset > to || !visit(entry)) return;
    }
  }

  /** Undefined if `from` lies before what is held. See PartitionLog.readCached. */
  read(from: Offset, upTo: Offset, maxBytes: number, minOneBatch: boolean): ReadResult | undefined {
    const first = this.#entries[this.#head];
    if (first === undefined || from < first.baseOffset) return undefined;
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for (let index = this.#find(from); index < this.#entries.length; index += 1) {
      const entry = this.#entries[index] as TailEntry;
      if (entry.baseOffset >= upTo) break;
      const room = maxBytes - sizeBytes;
      if (entry.baseOffset >= from && entry.nextOffset <= upTo && entry.bytes.length <= room) {
        chunks.push(entry.bytes);
        sizeBytes += entry.bytes.length;
        continue;
      }
      const selected = selectBatches(entry.bytes, from, upTo, room, minOneBatch && sizeBytes === 0);
      assert(selected !== undefined, 'what was appended was validated');
      const { start, end } = selected;
      if (end > start) {
        chunks.push(entry.bytes.subarray(start, end));
        sizeBytes += end - start;
      }
      // Cut at the reader's start, an entry may be followed by more; cut at its end, not.
      if (end < entry.bytes.length) break;
    }
    return { chunks: gathered(chunks, sizeBytes), sizeBytes };
  }

  /** The first entry that ends beyond `offset`. */
  #find(offset: Offset): number {
    let low = this.#head;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#entries[middle] as TailEntry).nextOffset <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function gathered(chunks: readonly Uint8Array[], sizeBytes: number): readonly Uint8Array[] {
  return chunks.length > 1 && sizeBytes < chunks.length * GATHERED_BYTES_MIN
    ? [Buffer.concat(chunks, sizeBytes)]
    : chunks;
}
