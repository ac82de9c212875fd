/** Reads the fields of an unpacked array one by one; what does not fit is a RaftMessageError, never a wrong value. */
import { isUuid, type NodeId, nodeId, type Uuid } from '#model/ids';
import type { ReplicaKey } from '#model/voter';
import type { PeerAddress } from './messages.ts';

/** Bytes that are no message of a version known here. */
export class RaftMessageError extends Error {
  override readonly name = 'RaftMessageError';
  readonly code = 'RAFT_MESSAGE';
}

const INT32_MAX = 0x7fff_ffff;
const UINT32_MAX = 0xffff_ffff;
const PORT_MAX = 0xffff;
const HOST_CHARS_MAX = 255;
/** Of entries, or voters, in one message. */
const ITEMS_MAX = 100_000;
const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;

export class FieldReader {
  readonly #fields: readonly unknown[];
  readonly #of: string;
  #next = 0;

  constructor(fields: unknown, of: string) {
    if (!Array.isArray(fields)) throw new RaftMessageError(`${of}: not an array`);
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

  /** Of an entry, or a round. */
  index(): number {
    return this.count(Number.MAX_SAFE_INTEGER);
  }

  epoch(): number {
    return this.count(UINT32_MAX);
  }

  boolean(): boolean {
    const value = this.#take();
    return typeof value === 'boolean' ? value : this.#refuse(value);
  }

  uuid(): Uuid {
    const value = this.#take();
    return typeof value === 'string' && isUuid(value) ? value : this.#refuse(value);
  }

  nodeId(): NodeId {
    return nodeId(this.count());
  }

  key(): ReplicaKey {
    return { id: this.nodeId(), directoryId: this.uuid() };
  }

  address(): PeerAddress {
    return { id: this.nodeId(), host: this.#host(), port: this.count(PORT_MAX) };
  }

  /** A copy: what is unpacked is a view of the whole message. */
  payload(): Uint8Array {
    const value = this.#take();
    if (!(value instanceof Uint8Array) || value.length > PAYLOAD_BYTES_MAX) return this.#refuse(value);
    return new Uint8Array(value);
  }

  list<T>(of: string, read: (reader: FieldReader, position: number) => T): readonly T[] {
    const value = this.#take();
    if (!Array.isArray(value) || value.length > ITEMS_MAX) return this.#refuse(value);
    return value.map((item: unknown, position) => readAll(item, of, (reader) => read(reader, position)));
  }

  /** Fields within this one. */
  nested<T>(of: string, read: (reader: FieldReader) => T): T {
    return readAll(this.#take(), of, read);
  }

  /** Null stands for undefined. */
  optional<T>(read: (reader: FieldReader) => T): T | undefined {
    if (this.#next < this.#fields.length && this.#fields[this.#next] === null) {
      this.#next += 1;
      return undefined;
    }
    return read(this);
  }

  /** All fields must have been read: a version says how many there are. */
  end(): void {
    if (this.#next !== this.#fields.length)
      throw new RaftMessageError(`${this.#of}: ${this.#fields.length} fields instead of ${this.#next}`);
  }

  #host(): string {
    const value = this.#take();
    return typeof value === 'string' && value.length <= HOST_CHARS_MAX ? value : this.#refuse(value);
  }

  #take(): unknown {
    if (this.#next >= this.#fields.length) throw new RaftMessageError(`${this.#of}: field ${this.#next} is missing`);
    this.#next += 1;
    return this.#fields[this.#next - 1];
  }

  #refuse(value: unknown): never {
    const seen = value instanceof Uint8Array ? `${value.length} bytes` : JSON.stringify(value)?.slice(0, 80);
    throw new RaftMessageError(`${this.#of}: field ${this.#next - 1} cannot be ${seen}`);
  }
}

function readAll<T>(fields: unknown, of: string, read: (reader: FieldReader) => T): T {
  const reader = new FieldReader(fields, of);
  const result = read(reader);
  reader.end();
  return result;
}
