import type { Uuid } from '#model/ids';
import { ProtocolError } from './protocol-error.ts';
import type { TaggedField } from './tagged-field.ts';

/**
 * Structs, strings in lists and unknown tags that one message may hold, all nested ones together. An empty one takes one to
 * three bytes on the wire and 100 to 200 in memory: without this bound a frame of 64 MiB could take gigabytes.
 */
const OBJECTS_MAX = 1_000_000;
const HIGH = 2 ** 32;
const EXACT_MAX = 2n ** 53n;
const NO_BYTES = new Uint8Array(0);

/**
 * Reads Kafka's primitive types, big-endian, from a borrowed byte range. Byte fields are views, nothing is copied.
 * `flexible` chooses the compact encodings of KIP-482. Whatever the bytes, a method gives a value or throws ProtocolError.
 */
export class Reader {
  position: number;
  readonly #bytes: Uint8Array;
  readonly #text: Buffer;
  readonly #exact: boolean;
  #objects = 0;

  /**
   * `exact`: integers beyond ±2^53 come as decimal strings in place of the nearest number. Only codec.ts asks for it;
   * it hands the values on as unknown.
   */
  constructor(bytes: Uint8Array, at = 0, exact = false) {
    this.position = at;
    this.#bytes = bytes;
    this.#text = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#exact = exact;
  }

  get remaining(): number {
    return this.#bytes.length - this.position;
  }

  bool(): boolean {
    return this.#byte(this.#take(1)) !== 0;
  }

  int8(): number {
    return (this.#byte(this.#take(1)) << 24) >> 24;
  }

  int16(): number {
    return (this.uint16() << 16) >> 16;
  }

  uint16(): number {
    const at = this.#take(2);
    return (this.#byte(at) << 8) | this.#byte(at + 1);
  }

  int32(): number {
    return this.#int32(this.#take(4));
  }

  uint32(): number {
    return this.#int32(this.#take(4)) >>> 0;
  }

  /** Exact within ±2^53, the nearest double beyond. */
  int64(): number {
    const at = this.#take(8);
    const value = this.#int32(at) * HIGH + (this.#int32(at + 4) >>> 0);
    if (this.#exact && !Number.isSafeInteger(value)) {
      const wide = this.#text.readBigInt64BE(at);
      if (wide > EXACT_MAX || wide < -EXACT_MAX) return String(wide) as unknown as number;
    }
    return value;
  }

  float64(): number {
    return this.#text.readDoubleBE(this.#take(8));
  }

  uuid(): Uuid {
    const at = this.#take(16);
    return this.#text.toString('base64url', at, at + 16) as Uuid;
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift <= 28; shift += 7) {
      const byte = this.#byte(this.#take(1));
      if (shift === 28 && byte > 0x0f) break;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new ProtocolError('malformed', 'a varint of more than 32 bits');
  }

  /** Invalid UTF-8 becomes U+FFFD, as in Kafka. */
  string(flexible: boolean): string {
    const value = this.nullableString(flexible);
    if (value === null) throw new ProtocolError('malformed', 'null in place of a string');
    return value;
  }

  nullableString(flexible: boolean): string | null {
    const length = flexible ? this.uvarint() - 1 : this.int16();
    if (length <= 0) return this.#nothing(length, '');
    if (length > 0x7fff) throw new ProtocolError('malformed', `a string of ${length} bytes`);
    const at = this.#take(length);
    return this.#text.toString('utf8', at, at + length);
  }

  bytes(flexible: boolean): Uint8Array {
    const value = this.nullableBytes(flexible);
    if (value === null) throw new ProtocolError('malformed', 'null in place of bytes');
    return value;
  }

  nullableBytes(flexible: boolean): Uint8Array | null {
    const length = flexible ? this.uvarint() - 1 : this.int32();
    return length <= 0 ? this.#nothing(length, NO_BYTES) : this.raw(length);
  }

  records(flexible: boolean): readonly Uint8Array[] {
    return [this.bytes(flexible)];
  }

  nullableRecords(flexible: boolean): readonly Uint8Array[] | null {
    const value = this.nullableBytes(flexible);
    return value === null ? null : [value];
  }

  /** The next `length` bytes as a view. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** The element count of an array; refused if the bytes that remain can not hold so many elements of `elementBytesMin`. */
  count(flexible: boolean, elementBytesMin: number): number {
    const count = this.nullableCount(flexible, elementBytesMin);
    if (count < 0) throw new ProtocolError('malformed', 'null in place of an array');
    return count;
  }

  /** -1 for a null array. */
  nullableCount(flexible: boolean, elementBytesMin: number): number {
    const count = flexible ? this.uvarint() - 1 : this.int32();
    if (count <= 0) return this.#nothing(count, 0) ?? -1;
    if (count * elementBytesMin > this.remaining) {
      throw new ProtocolError('truncated', `an array of ${count} elements in ${this.remaining} bytes`);
    }
    return count;
  }

  /** To be called before as many objects are read as array elements. */
  hold(objects: number): void {
    this.#objects += objects;
    if (this.#objects > OBJECTS_MAX)
      throw new ProtocolError('malformed', `a message of more than ${OBJECTS_MAX} objects`);
  }

  /** The mark before a nullable struct (KIP-893). */
  isNull(): boolean {
    return this.int8() < 0;
  }

  /** Reads the size of a tagged field; gives the position of its end. */
  tagEnd(): number {
    const size = this.uvarint();
    if (size > this.remaining) throw new ProtocolError('truncated', `a tagged field of ${size} bytes`);
    return this.position + size;
  }

  /** After a known tagged field: its content must end where its size said. */
  expectTagEnd(end: number): void {
    if (this.position !== end)
      throw new ProtocolError('malformed', 'the size of a tagged field does not fit its content');
  }

  /** The list, made at the first unknown field, with the field whose content is the bytes up to `end`. */
  unknownTag(fields: TaggedField[] | undefined, tag: number, end: number): TaggedField[] {
    this.hold(1);
    const list = fields ?? [];
    list.push({ tag, data: this.raw(end - this.position) });
    return list;
  }

  /** The tagged fields of a struct that knows none. */
  unknownTags(): readonly TaggedField[] | undefined {
    let fields: TaggedField[] | undefined;
    for (let left = this.uvarint(); left > 0; left -= 1) {
      const tag = this.uvarint();
      fields = this.unknownTag(fields, tag, this.tagEnd());
    }
    return fields;
  }

  expectEnd(): void {
    if (this.remaining !== 0) throw new ProtocolError('trailing', `${this.remaining} bytes after the message`);
  }

  #nothing<T>(length: number, empty: T): T | null {
    if (length < -1) throw new ProtocolError('malformed', `a length of ${length}`);
    return length === 0 ? empty : null;
  }

  /** Where `#take` has been. A DataView for it, made for every record's key and value, took half of the time of reading them. */
  #byte(at: number): number {
    return this.#bytes[at] as number;
  }

  #int32(at: number): number {
    const bytes = this.#bytes;
    return (
      ((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)
    );
  }

  #take(length: number): number {
    const at = this.position;
    const end = at + length;
    if (end > this.#bytes.length)
      throw new ProtocolError('truncated', `${length} bytes at ${at} of ${this.#bytes.length}`);
    this.position = end;
    return at;
  }
}
