import { VarintCursor } from './varint.ts';

/**
 * The records of a batch one by one, as places in its body: whoever copies or drops records decodes none. The body was checked by
 * walkRecords.
 */
export class RecordFrames {
  readonly body: Uint8Array;
  /** The record, its length included, is [start, end). */
  start = 0;
  end = 0;
  /** Behind the timestamp delta: what follows does not change with the batch's base timestamp. */
  restAt = 0;
  timestampDelta = 0;
  offsetDelta = 0;
  keyAt = 0;
  /** -1: no key. */
  keyBytes = -1;
  /** -1: a tombstone. */
  valueBytes = -1;
  readonly #cursor: VarintCursor;

  constructor(body: Uint8Array) {
    this.body = body;
    this.#cursor = new VarintCursor(body, 0);
  }

  /** Goes to the next record; false behind the last one. */
  next(): boolean {
    const cursor = this.#cursor;
    this.start = this.end;
    if (this.start >= this.body.length) return false;
    cursor.at = this.start;
    const length = cursor.varint();
    this.end = cursor.at + length;
    cursor.int8();
    this.timestampDelta = cursor.varlong();
    this.restAt = cursor.at;
    this.offsetDelta = cursor.varint();
    this.keyBytes = cursor.varint();
    this.keyAt = cursor.skip(this.keyBytes);
    this.valueBytes = cursor.varint();
    return true;
  }
}
