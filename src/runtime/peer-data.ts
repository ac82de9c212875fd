/**
 * Plain data as MessagePack: null, undefined, booleans, numbers, strings, Uint8Array, arrays, objects with string keys, and Map, which
 * stays a Map (extension type 1: its keys and values in turn; undefined is msgpackr's extension 0). Not msgpackr itself: peers' bytes are
 * decoded within limits here, without code made at run time, and it gives back no Map where it gives back objects.
 */
import { assert } from '#base/assert';
import type { Parsed } from '#base/parsed';

const DEPTH_MAX = 32;
/** Of one body: an empty array is one byte on the wire and far more in memory. */
const VALUES_MAX = 1_000_000;
const SCRATCH_BYTES = 4096;
/** A larger scratch is not kept. */
const SCRATCH_BYTES_MAX = 64 * 1024;
const EXT_UNDEFINED = 0;
const EXT_MAP = 1;
const PROTO = '__proto__';

/** Not shared between nodes: it reuses a buffer of its own. */
export class PeerDataEncoder {
  #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #at = 0;
  #bytesMax = 0;
  #overflowed = false;

  /** Undefined if it would be more than `bytesMax`. The caller owns the bytes. What is no plain data is a broken invariant. */
  encode(value: unknown, bytesMax: number): Uint8Array | undefined {
    this.#at = 0;
    this.#bytesMax = bytesMax;
    this.#overflowed = false;
    this.#write(value, 0);
    const bytes = this.#overflowed ? undefined : new Uint8Array(this.#scratch.subarray(0, this.#at));
    if (this.#scratch.length > SCRATCH_BYTES_MAX) this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    return bytes;
  }

  #write(value: unknown, depth: number): void {
    assert(depth <= DEPTH_MAX, 'plain data is not nested deeply');
    if (this.#overflowed) return;
    if (typeof value === 'string') this.#string(value);
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'boolean') this.#byte(value ? 0xc3 : 0xc2);
    else if (value === null) this.#byte(0xc0);
    else if (value === undefined) {
      this.#head(0xd4, 1, EXT_UNDEFINED);
      this.#byte(0);
    } else if (Array.isArray(value)) {
      this.#length(value.length, 0x90, 0x0f, undefined, 0xdc);
      for (const item of value) this.#write(item, depth + 1);
    } else if (value instanceof Uint8Array) this.#bytes(value);
    else if (value instanceof Map) this.#map(value, depth);
    else {
      assert(typeof value === 'object' && isPlain(value), 'what peers are sent is plain data');
      this.#object(value as Readonly<Record<string, unknown>>, depth);
    }
  }

  #object(value: Readonly<Record<string, unknown>>, depth: number): void {
    const keys = Object.keys(value);
    this.#length(keys.length, 0x80, 0x0f, undefined, 0xde);
    for (const key of keys) {
      this.#string(key);
      this.#write(value[key], depth + 1);
    }
  }

  #map(value: ReadonlyMap<unknown, unknown>, depth: number): void {
    this.#head(0xc9, 4, 0);
    this.#byte(EXT_MAP);
    const from = this.#at;
    for (const [key, item] of value) {
      this.#write(key, depth + 1);
      this.#write(item, depth + 1);
    }
    if (!this.#overflowed) this.#scratch.writeUInt32BE(this.#at - from, from - 5);
  }

  #string(value: string): void {
    const lengthBytes = Buffer.byteLength(value);
    this.#length(lengthBytes, 0xa0, 0x1f, 0xd9, 0xda);
    if (!this.#grow(lengthBytes)) return;
    this.#scratch.write(value, this.#at);
    this.#at += lengthBytes;
  }

  #bytes(value: Uint8Array): void {
    this.#length(value.length, 0, -1, 0xc4, 0xc5);
    if (!this.#grow(value.length)) return;
    this.#scratch.set(value, this.#at);
    this.#at += value.length;
  }

  #number(value: number): void {
    if (!Number.isInteger(value) || Object.is(value, -0) || value < -0x8000_0000 || value > 0xffff_ffff) {
      if (!this.#grow(9)) return;
      this.#scratch[this.#at] = 0xcb;
      this.#scratch.writeDoubleBE(value, this.#at + 1);
      this.#at += 9;
    } else if (value >= 0) this.#length(value, 0, 0x7f, 0xcc, 0xcd);
    else if (value >= -0x20) this.#byte(value & 0xff);
    else this.#head(0xd2, 4, value >>> 0);
  }

  /** A count in the shortest of four forms: within the tag itself, or behind it in 1 byte (where there is such a form), 2 or 4. */
  #length(count: number, tiny: number, tinyMax: number, tag8: number | undefined, tag16: number): void {
    if (count <= tinyMax) this.#byte(tiny | count);
    else if (tag8 !== undefined && count <= 0xff) this.#head(tag8, 1, count);
    else if (count <= 0xffff) this.#head(tag16, 2, count);
    else this.#head(tag16 + 1, 4, count);
  }

  #head(tag: number, sizeBytes: 1 | 2 | 4, value: number): void {
    if (!this.#grow(1 + sizeBytes)) return;
    this.#scratch[this.#at] = tag;
    this.#scratch.writeUIntBE(value, this.#at + 1, sizeBytes);
    this.#at += 1 + sizeBytes;
  }

  #byte(value: number): void {
    if (!this.#grow(1)) return;
    this.#scratch[this.#at] = value;
    this.#at += 1;
  }

  #grow(bytes: number): boolean {
    const needed = this.#at + bytes;
    if (needed > this.#bytesMax) this.#overflowed = true;
    if (this.#overflowed) return false;
    if (needed > this.#scratch.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#scratch.length));
      this.#scratch.copy(grown, 0, 0, this.#at);
      this.#scratch = grown;
    }
    return true;
  }
}

/** Gives a sentence for whatever is no such data, wholly. Nothing in the value is a view of `bytes`. */
export function decodePeerData(bytes: Uint8Array): Parsed<unknown> {
  try {
    const decoder = new Decoder(bytes);
    const value = decoder.read(0);
    decoder.end();
    return { value };
  } catch (failure) {
    if (failure instanceof MalformedDataError) return { error: failure.message };
    throw failure;
  }
}

class MalformedDataError extends Error {
  override readonly name = 'MalformedDataError';
}

class Decoder {
  readonly #bytes: Buffer;
  #at = 0;
  #values = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(depth: number): unknown {
    this.#values += 1;
    if (depth > DEPTH_MAX) throw new MalformedDataError('the data is nested too deeply');
    if (this.#values > VALUES_MAX) throw new MalformedDataError('the data has too many values');
    const tag = this.#uint(1);
    if (tag <= 0x7f) return tag;
    if (tag <= 0x8f) return this.#object(tag & 0x0f, depth);
    if (tag <= 0x9f) return this.#array(tag & 0x0f, depth);
    if (tag <= 0xbf) return this.#string(tag & 0x1f);
    if (tag >= 0xe0) return tag - 0x100;
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#binary(this.#uint(1));
      case 0xc5:
        return this.#binary(this.#uint(2));
      case 0xc6:
        return this.#binary(this.#uint(4));
      case 0xc9:
        return this.#map(this.#uint(4), depth);
      case 0xcb:
        return this.#bytes.readDoubleBE(this.#take(8));
      case 0xcc:
        return this.#uint(1);
      case 0xcd:
        return this.#uint(2);
      case 0xce:
        return this.#uint(4);
      case 0xd2:
        return this.#uint(4) | 0;
      case 0xd4:
        return this.#undefined();
      case 0xd9:
        return this.#string(this.#uint(1));
      case 0xda:
        return this.#string(this.#uint(2));
      case 0xdb:
        return this.#string(this.#uint(4));
      case 0xdc:
        return this.#array(this.#uint(2), depth);
      case 0xdd:
        return this.#array(this.#uint(4), depth);
      case 0xde:
        return this.#object(this.#uint(2), depth);
      case 0xdf:
        return this.#object(this.#uint(4), depth);
      default:
        throw new MalformedDataError(`the data has a value of the unknown form 0x${tag.toString(16)}`);
    }
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new MalformedDataError('the data is followed by something');
  }

  #array(length: number, depth: number): unknown[] {
    // Each item is a byte at least: what is announced and cannot come is not looked for.
    this.#require(length);
    const items: unknown[] = [];
    for (let index = 0; index < length; index += 1) items.push(this.read(depth + 1));
    return items;
  }

  #object(length: number, depth: number): Record<string, unknown> {
    this.#require(2 * length);
    const object: Record<string, unknown> = {};
    for (let index = 0; index < length; index += 1) {
      const key = this.read(depth + 1);
      if (typeof key !== 'string') throw new MalformedDataError('the data has a key that is no string');
      const value = this.read(depth + 1);
      // Set, this key would change what the object is.
      if (key === PROTO)
        Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
      else object[key] = value;
    }
    return object;
  }

  #map(lengthBytes: number, depth: number): Map<unknown, unknown> {
    if (this.#uint(1) !== EXT_MAP) throw new MalformedDataError('the data has an unknown extension');
    this.#require(lengthBytes);
    const end = this.#at + lengthBytes;
    const map = new Map<unknown, unknown>();
    while (this.#at < end) {
      const key = this.read(depth + 1);
      map.set(key, this.read(depth + 1));
    }
    if (this.#at !== end) throw new MalformedDataError('the data has a map that does not end where it should');
    return map;
  }

  #undefined(): undefined {
    if (this.#uint(1) !== EXT_UNDEFINED) throw new MalformedDataError('the data has an unknown extension');
    this.#take(1);
    return undefined;
  }

  #string(lengthBytes: number): string {
    const from = this.#take(lengthBytes);
    return this.#bytes.toString('utf8', from, from + lengthBytes);
  }

  #binary(lengthBytes: number): Uint8Array {
    const from = this.#take(lengthBytes);
    return new Uint8Array(this.#bytes.subarray(from, from + lengthBytes));
  }

  #uint(sizeBytes: 1 | 2 | 4): number {
    return this.#bytes.readUIntBE(this.#take(sizeBytes), sizeBytes);
  }

  #take(count: number): number {
    this.#require(count);
    const from = this.#at;
    this.#at += count;
    return from;
  }

  #require(count: number): void {
    if (count > this.#bytes.length - this.#at) throw new MalformedDataError('the data is cut off');
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
