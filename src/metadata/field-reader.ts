/** Reads the fields of an unpacked array one by one; what does not fit is a MalformedRecordError, never a wrong value. */
import { isUuid, type LeaderEpoch, leaderEpoch, type NodeId, nodeId, type Uuid } from '#model/ids';

/** Bytes that are no metadata records of a version known here: a damaged or a newer log. */
export class MalformedRecordError extends Error {
  override readonly name = 'MalformedRecordError';
  readonly code = 'MALFORMED_RECORD';
}

const ITEMS_MAX = 1_000_000;
const STRING_CHARS_MAX = 0x7fff;
const INT32_MAX = 0x7fff_ffff;

export class FieldReader {
  readonly #fields: readonly unknown[];
  readonly #of: string;
  #next = 0;

  constructor(fields: unknown, of: string) {
    if (!Array.isArray(fields)) throw new MalformedRecordError(`${of}: not an array`);
    this.#fields = fields;
    this.#of = of;
  }

  /** A whole number in 0..max. */
  count(max: number = INT32_MAX): number {
    const value = this.#take();
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max)
      return this.#refuse(value);
    return value;
  }

  long(): number {
    return this.count(Number.MAX_SAFE_INTEGER);
  }

  boolean(): boolean {
    const value = this.#take();
    return typeof value === 'boolean' ? value : this.#refuse(value);
  }

  string(): string {
    const value = this.#take();
    return typeof value === 'string' && value.length <= STRING_CHARS_MAX ? value : this.#refuse(value);
  }

  uuid(): Uuid {
    const value = this.#take();
    return typeof value === 'string' && isUuid(value) ? value : this.#refuse(value);
  }

  nodeId(): NodeId {
    return nodeId(this.count());
  }

  leaderEpoch(): LeaderEpoch {
    return leaderEpoch(this.count());
  }

  nodeIds(): readonly NodeId[] {
    return this.#scalars((reader) => reader.nodeId());
  }

  uuids(): readonly Uuid[] {
    return this.#scalars((reader) => reader.uuid());
  }

  /** Arrays of fields within this one. */
  list<T>(of: string, read: (reader: FieldReader) => T): readonly T[] {
    const value = this.#array();
    return value.map((item: unknown) => {
      const reader = new FieldReader(item, of);
      const result = read(reader);
      reader.end();
      return result;
    });
  }

  /** Null, or what `read` finds in the next field. */
  nullable<T>(read: (reader: FieldReader) => T): T | null {
    if (this.#next < this.#fields.length && this.#fields[this.#next] === null) {
      this.#next += 1;
      return null;
    }
    return read(this);
  }

  /** Takes the next field if it is `false`. */
  isFalse(): boolean {
    if (this.#fields[this.#next] !== false) return false;
    this.#next += 1;
    return true;
  }

  /** All fields must have been read: a version says how many there are. */
  end(): void {
    if (this.#next !== this.#fields.length) {
      throw new MalformedRecordError(`${this.#of}: ${this.#fields.length} fields instead of ${this.#next}`);
    }
  }

  #scalars<T>(read: (reader: FieldReader) => T): readonly T[] {
    const reader = new FieldReader(this.#array(), this.#of);
    const items: T[] = [];
    while (reader.#next < reader.#fields.length) items.push(read(reader));
    return items;
  }

  #array(): readonly unknown[] {
    const value = this.#take();
    return Array.isArray(value) && value.length <= ITEMS_MAX ? value : this.#refuse(value);
  }

  #take(): unknown {
    if (this.#next >= this.#fields.length) {
      throw new MalformedRecordError(`${this.#of}: field ${this.#next} is missing`);
    }
    this.#next += 1;
    return this.#fields[this.#next - 1];
  }

  #refuse(value: unknown): never {
    throw new MalformedRecordError(
      `${this.#of}: field ${this.#next - 1} cannot be ${JSON.stringify(value)?.slice(0, 80)}`,
    );
  }
}
