import { assert } from '#base/assert';
import type { Offset } from '#model/ids';
import { type HashSeed, keyHash } from './key-hash.ts';

const SLOTS_MIN = 1024;
/** Side by side, because memory that far apart is what a look-up costs: hash, place of the key (0: the slot is free), offset. */
const SLOT_WORDS = 3;
const SLOT_BYTES = 4 * SLOT_WORDS;
const PLACE = 1;
const OFFSET = 2;
const CHUNK_BITS = 20;
const CHUNK_BYTES = 1 << CHUNK_BITS;
const CHUNKS_MAX = 4095;
const LENGTH_BYTES = 4;
const RELATIVE_OFFSET_MAX = 0xffff_ffff;

/**
 * Key → the latest offset that has it, within `limitBytes`. Exact: it holds the keys themselves. Kafka's holds their MD5, 24 bytes a
 * key whatever its length; here a key costs its own length and 20 to 36 bytes, nobody's record is ever dropped for a collision, and
 * the hash (keyed, so that nobody can prepare keys that collide) costs a twentieth of an MD5.
 */
export class OffsetMap {
  readonly #seed: HashSeed;
  readonly #base: Offset;
  readonly #limitBytes: number;
  #mask = SLOTS_MIN - 1;
  #slots = new Uint32Array(SLOTS_MIN * SLOT_WORDS);
  #size = 0;
  /** Keys, each behind its length; a key that is longer than a chunk has one of its own. */
  readonly #chunks: Uint8Array[] = [];
  /** Of the last chunk. */
  #used = CHUNK_BYTES;
  #keyBytes = 0;

  /** `base` is at or below every offset that comes. */
  constructor(seed: HashSeed, base: Offset, limitBytes: number) {
    this.#seed = seed;
    this.#base = base;
    this.#limitBytes = limitBytes;
  }

  get size(): number {
    return this.#size;
  }

  get usedBytes(): number {
    return (this.#mask + 1) * SLOT_BYTES + this.#keyBytes;
  }

  /** The latest offset of the key that is `length` bytes from `at` on; -1 if it is not there. */
  get(bytes: Uint8Array, at: number, length: number): number {
    const slot = this.#find(bytes, at, length, keyHash(bytes, at, length, this.#seed));
    return this.#slots[slot + PLACE] === 0 ? -1 : this.#base + (this.#slots[slot + OFFSET] as number);
  }

  /** Offsets ascend. False: there is no room, unless it is `forced`, or the offset is too far from the base. */
  put(bytes: Uint8Array, at: number, length: number, offset: Offset, forced: boolean): boolean {
    const relative = offset - this.#base;
    assert(relative >= 0, 'offsets are above the base');
    if (relative > RELATIVE_OFFSET_MAX) return false;
    const hash = keyHash(bytes, at, length, this.#seed);
    let slot = this.#find(bytes, at, length, hash);
    if (this.#slots[slot + PLACE] === 0) {
      const place = this.#reserve(length, forced);
      if (place === 0) return false;
      if ((this.#size + 1) * 4 > (this.#mask + 1) * 3) {
        if (!this.#grow(forced)) return false;
        slot = this.#find(bytes, at, length, hash);
      }
      this.#keep(bytes, at, length, place);
      this.#slots[slot] = hash;
      this.#slots[slot + PLACE] = place;
      this.#size += 1;
    }
    this.#slots[slot + OFFSET] = relative;
    return true;
  }

  /** The first word of the key's slot, or of the free one where it belongs. */
  #find(bytes: Uint8Array, at: number, length: number, hash: number): number {
    const slots = this.#slots;
    for (let index = hash & this.#mask; ; index = (index + 1) & this.#mask) {
      const slot = index * SLOT_WORDS;
      const place = slots[slot + PLACE] as number;
      if (place === 0 || (slots[slot] === hash && this.#holds(place, bytes, at, length))) return slot;
    }
  }

  #holds(place: number, bytes: Uint8Array, at: number, length: number): boolean {
    const chunk = this.#chunks[(place - 1) >>> CHUNK_BITS] as Uint8Array;
    const keyAt = ((place - 1) & (CHUNK_BYTES - 1)) + LENGTH_BYTES;
    if (lengthAt(chunk, keyAt - LENGTH_BYTES) !== length) return false;
    for (let index = 0; index < length; index += 1) if (chunk[keyAt + index] !== bytes[at + index]) return false;
    return true;
  }

  /** Where the next key goes, from 1 on; 0 if there is no room. */
  #reserve(length: number, forced: boolean): number {
    const sizeBytes = length + LENGTH_BYTES;
    if (this.#used + sizeBytes > (this.#chunks.at(-1)?.length ?? 0)) {
      const chunkBytes = Math.max(sizeBytes, Math.min(CHUNK_BYTES, Math.max(4096, this.#keyBytes)));
      const isFull = !forced && this.usedBytes + chunkBytes > this.#limitBytes;
      if (isFull || this.#chunks.length === CHUNKS_MAX) return 0;
      this.#chunks.push(new Uint8Array(chunkBytes));
      this.#keyBytes += chunkBytes;
      this.#used = 0;
    }
    return (this.#chunks.length - 1) * CHUNK_BYTES + this.#used + 1;
  }

  #keep(bytes: Uint8Array, at: number, length: number, place: number): void {
    const chunk = this.#chunks.at(-1) as Uint8Array;
    const start = (place - 1) & (CHUNK_BYTES - 1);
    for (let index = 0; index < LENGTH_BYTES; index += 1) chunk[start + index] = length >>> (8 * index);
    chunk.set(bytes.subarray(at, at + length), start + LENGTH_BYTES);
    this.#used = start + LENGTH_BYTES + length;
  }

  /** Doubles the slots; old and new are there together for a moment, and count together. */
  #grow(forced: boolean): boolean {
    const slots = (this.#mask + 1) * 2;
    if (!forced && this.usedBytes + slots * SLOT_BYTES > this.#limitBytes) return false;
    const before = this.#slots;
    const after = new Uint32Array(slots * SLOT_WORDS);
    const mask = slots - 1;
    for (let from = 0; from < before.length; from += SLOT_WORDS) {
      if (before[from + PLACE] === 0) continue;
      let index = (before[from] as number) & mask;
      while (after[index * SLOT_WORDS + PLACE] !== 0) index = (index + 1) & mask;
      for (let word = 0; word < SLOT_WORDS; word += 1) after[index * SLOT_WORDS + word] = before[from + word] as number;
    }
    this.#slots = after;
    this.#mask = mask;
    return true;
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  return low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
}
