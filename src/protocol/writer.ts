import type { Uuid } from '#model/ids';
import { ProtocolError } from './protocol-error.ts';
import type { TaggedField } from './tagged-field.ts';

/** Byte fields from this size on go out by reference: below it one copy costs less than one more piece of a writev. */
const BY_REFERENCE_BYTES_MIN = 1024;
const FIRST_BUFFER_BYTES = 512;
const TAG_BUFFER_BYTES = 64;
/** Buffers double up to here; a long message is then a list of such. */
const BUFFER_BYTES_MAX = 64 * 1024;
const HIGH = 2 ** 32;
const STRING_BYTES_MAX = 0x7fff;
const NO_TAGS: readonly TaggedField[] = [];

/**
 * Writes Kafka's primitive types, big-endian, into a list of chunks. Small values are gathered in buffers of its own;
 * byte fields of 1 KiB and more, and all records, are taken by reference: they must not change until the chunks are sent.
 */
export class Writer {
  #buffer: Buffer;
  #view: DataView;
  /** The part of the buffer from here on is not in a chunk yet. */
  #start = 0;
  #at = 0;
  readonly #sealed: Uint8Array[] = [];
  #sealedBytes = 0;
  readonly #exact: boolean;

  /** `exact`: int64() also takes decimal strings (see Reader). */
  constructor(firstBufferBytes = FIRST_BUFFER_BYTES, exact = false) {
    this.#buffer = Buffer.allocUnsafe(firstBufferBytes);
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.length);
    this.#exact = exact;
  }

  get sizeBytes(): number {
    return this.#sealedBytes + this.#at - this.#start;
  }

  /** What was written so far, in order. Owned by the caller, but for what was taken by reference. */
  chunks(): Uint8Array[] {
    this.#seal();
    return this.#sealed.slice();
  }

  /** Replaces the int32 written at `at`. */
  patchInt32(at: number, value: number): void {
    this.#seal();
    let from = 0;
    for (const chunk of this.#sealed) {
      if (at < from + chunk.length) {
        new DataView(chunk.buffer, chunk.byteOffset, chunk.length).setInt32(at - from, value);
        return;
      }
      from += chunk.length;
    }
    throw new ProtocolError('out-of-range', `nothing written at ${at}`);
  }

  bool(value: boolean): void {
    const at = this.#room(1);
    this.#view.setInt8(at, value ? 1 : 0);
  }

  int8(value: number): void {
    const at = this.#room(1);
    this.#view.setInt8(at, value);
  }

  int16(value: number): void {
    const at = this.#room(2);
    this.#view.setInt16(at, value);
  }

  uint16(value: number): void {
    const at = this.#room(2);
    this.#view.setUint16(at, value);
  }

  int32(value: number): void {
    const at = this.#room(4);
    this.#view.setInt32(at, value);
  }

  uint32(value: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, value);
  }

  /** From 2^63 on the greatest int64. */
  int64(value: number): void {
    const at = this.#room(8);
    if (this.#exact && typeof value !== 'number') {
      this.#view.setBigInt64(at, BigInt(value));
    } else if (value >= 2 ** 63) {
      this.#view.setInt32(at, 0x7fff_ffff);
      this.#view.setUint32(at + 4, 0xffff_ffff);
    } else {
      const high = Math.floor(value / HIGH);
      this.#view.setInt32(at, high);
      this.#view.setUint32(at + 4, value - high * HIGH);
    }
  }

  float64(value: number): void {
    const at = this.#room(8);
    this.#view.setFloat64(at, value);
  }

  uuid(value: Uuid): void {
    const at = this.#room(16);
    if (this.#buffer.write(value, at, 16, 'base64url') !== 16) {
      throw new ProtocolError('out-of-range', `not a uuid: ${value}`);
    }
  }

  uvarint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      const at = this.#room(1);
      this.#view.setUint8(at, (rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    const at = this.#room(1);
    this.#view.setUint8(at, rest);
  }

  string(value: string, flexible: boolean): void {
    const length = Buffer.byteLength(value);
    if (length > STRING_BYTES_MAX) throw new ProtocolError('out-of-range', `a string of ${length} bytes`);
    if (flexible) this.uvarint(length + 1);
    else this.int16(length);
    const at = this.#room(length);
    this.#buffer.write(value, at, length, length === value.length ? 'latin1' : 'utf8');
  }

  nullableString(value: string | null, flexible: boolean): void {
    if (value !== null) this.string(value, flexible);
    else if (flexible) this.uvarint(0);
    else this.int16(-1);
  }

  bytes(value: Uint8Array, flexible: boolean): void {
    this.count(value.length, flexible);
    this.raw(value);
  }

  nullableBytes(value: Uint8Array | null, flexible: boolean): void {
    if (value === null) this.count(-1, flexible);
    else this.bytes(value, flexible);
  }

  /** Each chunk goes out by reference. */
  records(value: readonly Uint8Array[], flexible: boolean): void {
    let length = 0;
    for (const chunk of value) length += chunk.length;
    this.count(length, flexible);
    for (const chunk of value) this.#refer(chunk);
  }

  nullableRecords(value: readonly Uint8Array[] | null, flexible: boolean): void {
    if (value === null) this.count(-1, flexible);
    else this.records(value, flexible);
  }

  /** Bytes without a length. */
  raw(value: Uint8Array): void {
    if (value.length >= BY_REFERENCE_BYTES_MIN) this.#refer(value);
    else {
      const at = this.#room(value.length);
      this.#buffer.set(value, at);
    }
  }

  /** The length of an array or of bytes; -1 for null. */
  count(count: number, flexible: boolean): void {
    if (flexible) this.uvarint(count + 1);
    else this.int32(count);
  }

  /** For the content of a tagged field: its size goes before it. */
  nested(): Writer {
    return new Writer(TAG_BUFFER_BYTES, this.#exact);
  }

  /** One tagged field whose content was gathered in `content`. */
  tagged(tag: number, content: Writer): void {
    this.uvarint(tag);
    this.uvarint(content.sizeBytes);
    for (const chunk of content.chunks()) this.raw(chunk);
  }

  /** The tagged fields of a struct that knows none of its own. */
  unknownTags(fields: readonly TaggedField[] | undefined): void {
    const list = fields ?? NO_TAGS;
    this.uvarint(list.length);
    this.unknownTagsBelow(list, 0, Number.POSITIVE_INFINITY);
  }

  /** Writes the fields from index `from` on whose tag is below `tag`; gives the index of the next. Tags must ascend. */
  unknownTagsBelow(fields: readonly TaggedField[], from: number, tag: number): number {
    let index = from;
    for (let field = fields[index]; field !== undefined && field.tag < tag; field = fields[index]) {
      const before = fields[index - 1];
      if (before !== undefined && before.tag >= field.tag) throw tagsDisordered(field.tag);
      this.uvarint(field.tag);
      this.uvarint(field.data.length);
      this.raw(field.data);
      index += 1;
    }
    if (fields[index]?.tag === tag) throw tagsDisordered(tag);
    return index;
  }

  /** Takes `length` contiguous bytes of the buffer. */
  #room(length: number): number {
    if (this.#at + length > this.#buffer.length) {
      this.#seal();
      const size = Math.max(length, Math.min(this.#buffer.length * 2, BUFFER_BYTES_MAX));
      this.#buffer = Buffer.allocUnsafe(size);
      this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, size);
      this.#start = 0;
      this.#at = 0;
    }
    const at = this.#at;
    this.#at = at + length;
    return at;
  }

  #refer(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#seal();
    this.#sealed.push(chunk);
    this.#sealedBytes += chunk.length;
  }

  #seal(): void {
    if (this.#at === this.#start) return;
    this.#sealed.push(this.#buffer.subarray(this.#start, this.#at));
    this.#sealedBytes += this.#at - this.#start;
    this.#start = this.#at;
  }
}

function tagsDisordered(tag: number): ProtocolError {
  return new ProtocolError('out-of-range', `tag ${tag} is out of order`);
}
