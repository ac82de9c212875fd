/** The records inside a batch of magic 2. */
import type { Codecs } from '#base/ports';
import { Codec } from '#base/ports';
import { BATCH_HEADER_BYTES, type BatchHeader, codecOf, isLogAppendTime } from './record-batch.ts';
import { VarintCursor } from './varint.ts';

export interface RecordHeader {
  /** UTF-8 in practice; the bytes are kept as they are. */
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** Keys, values and headers are views into the batch, or into what it decompressed to. */
export interface DecodedRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
}

/** Why the records of a batch can not be read; 'unavailable': the native codec is missing. */
export type RecordsFailure = 'corrupt' | 'too-large' | 'unavailable';

/** Length, attributes, timestamp and offset delta, key and value length, header count: a byte each. */
const RECORD_BYTES_MIN = 7;
/** -1, a null's length, in zigzag form. */
const NULL = 1;
/** More than two bytes of a varint hold. */
const LONGER = 0x4000;
const NO_HEADERS: readonly RecordHeader[] = [];

export interface RecordsWalk {
  /** -1: every record has a key. */
  readonly firstWithoutKey: number;
  /** Of the records' own timestamps. */
  readonly minTimestamp: number;
  readonly maxTimestamp: number;
}

/** The batch's records as they stand in memory; never more than about `maxBytes` of them are decompressed. */
export function recordsBody(
  bytes: Uint8Array,
  header: BatchHeader,
  codecs: Codecs,
  maxBytes: number,
): Uint8Array | RecordsFailure {
  const stored = bytes.subarray(header.at + BATCH_HEADER_BYTES, header.at + header.sizeBytes);
  const codec = codecOf(header);
  switch (codec) {
    case Codec.None:
      return stored;
    case Codec.Gzip:
    case Codec.Snappy:
    case Codec.Lz4:
    case Codec.Zstd:
      return codecs.decompress(codec, stored, maxBytes);
    default:
      return 'corrupt';
  }
}

/**
 * Checks the frame of every record, and that there are exactly as many as the header says, at offsets that ascend by one
 * if `consecutive`. It allocates nothing per record.
 */
export function walkRecords(body: Uint8Array, header: BatchHeader, consecutive: boolean): RecordsWalk | 'corrupt' {
  const { recordCount, baseTimestamp } = header;
  if (recordCount < 0 || recordCount * RECORD_BYTES_MIN > body.length) return 'corrupt';
  const cursor = new VarintCursor(body, 0);
  let at = 0;
  let firstWithoutKey = -1;
  let minDelta = Number.POSITIVE_INFINITY;
  let maxDelta = Number.NEGATIVE_INFINITY;
  let lastDelta = -1;
  for (let index = 0; index < recordCount; index += 1) {
    // Nearly every record has varints of one or two bytes and no headers; read in place such a one takes 10 ns, by the
    // cursor 40. Whatever is unlike that, or ends too early, is left to the cursor.
    let next = at;
    let length = body[next++] as number;
    if (length >= 0x80) length = secondByte(body, next++, length);
    const end = next + (length >>> 1);
    let timestamp = body[++next] as number;
    next += 1;
    if (timestamp >= 0x80) timestamp = secondByte(body, next++, timestamp);
    let offset = body[next++] as number;
    if (offset >= 0x80) offset = secondByte(body, next++, offset);
    let key = body[next++] as number;
    if (key >= 0x80) key = secondByte(body, next++, key);
    if (key !== NULL) next += key >>> 1;
    let value = body[next++] as number;
    if (value >= 0x80) value = secondByte(body, next++, value);
    if (value !== NULL) next += value >>> 1;
    const short = (length | timestamp | offset | key | value) < LONGER;
    const lengths = (length & 1) === 0 && (key === NULL || (key & 1) === 0) && (value === NULL || (value & 1) === 0);
    let timestampDelta: number;
    let offsetDelta: number;
    let keyed: boolean;
    if (short && lengths && body[next] === 0 && next + 1 === end) {
      timestampDelta = (timestamp >>> 1) ^ -(timestamp & 1);
      offsetDelta = (offset >>> 1) ^ -(offset & 1);
      keyed = key !== NULL;
      at = end;
    } else {
      cursor.at = at;
      const recordEnd = cursor.varint() + cursor.at;
      cursor.int8();
      timestampDelta = cursor.varlong();
      offsetDelta = cursor.varint();
      const keyLength = cursor.varint();
      keyed = keyLength >= 0;
      cursor.skip(keyLength);
      cursor.skip(cursor.varint());
      if (!walkHeaders(cursor) || cursor.at !== recordEnd) return 'corrupt';
      at = recordEnd;
    }
    if (timestampDelta < minDelta) minDelta = timestampDelta;
    if (timestampDelta > maxDelta) maxDelta = timestampDelta;
    if (consecutive ? offsetDelta !== index : offsetDelta <= lastDelta) return 'corrupt';
    lastDelta = offsetDelta;
    if (!keyed && firstWithoutKey < 0) firstWithoutKey = index;
  }
  if (at !== body.length || lastDelta > header.lastOffsetDelta) return 'corrupt';
  return { firstWithoutKey, minTimestamp: baseTimestamp + minDelta, maxTimestamp: baseTimestamp + maxDelta };
}

/** A varint's zigzag form, of its first byte and the one at `at`; LONGER if more follow, or none is there. */
function secondByte(bytes: Uint8Array, at: number, first: number): number {
  const second = bytes[at] as number;
  return second < 0x80 ? (first & 0x7f) | (second << 7) : LONGER;
}

/** The headers of one record; false also if what stands before them was not whole. */
function walkHeaders(cursor: VarintCursor): boolean {
  const count = cursor.varint();
  if (count < 0 || count * 2 > cursor.bytes.length - cursor.at) return false;
  for (let index = 0; index < count; index += 1) {
    const keyLength = cursor.varint();
    if (keyLength < 0) return false;
    cursor.skip(keyLength);
    cursor.skip(cursor.varint());
  }
  return !cursor.failed;
}

/**
 * The records of the batch, decoded one by one while iterated. All frames are checked before the first is given, so that
 * iteration itself can not fail.
 */
export function iterateRecords(
  bytes: Uint8Array,
  header: BatchHeader,
  codecs: Codecs,
  maxBytes: number,
): Iterable<DecodedRecord> | RecordsFailure {
  const body = recordsBody(bytes, header, codecs, maxBytes);
  if (typeof body === 'string') return body;
  // Compaction leaves gaps between offsets.
  if (walkRecords(body, header, false) === 'corrupt') return 'corrupt';
  return decodeRecords(body, header);
}

function* decodeRecords(body: Uint8Array, header: BatchHeader): Generator<DecodedRecord> {
  const cursor = new VarintCursor(body, 0);
  const appendTime = isLogAppendTime(header);
  for (let index = 0; index < header.recordCount; index += 1) {
    cursor.varint();
    cursor.int8();
    const timestampDelta = cursor.varlong();
    const offset = header.baseOffset + cursor.varint();
    const timestamp = appendTime ? header.maxTimestamp : header.baseTimestamp + timestampDelta;
    const key = take(cursor);
    const value = take(cursor);
    const headerCount = cursor.varint();
    yield { offset, timestamp, key, value, headers: headerCount === 0 ? NO_HEADERS : takeHeaders(cursor, headerCount) };
  }
}

function takeHeaders(cursor: VarintCursor, count: number): RecordHeader[] {
  const headers: RecordHeader[] = [];
  for (let index = 0; index < count; index += 1) {
    const keyLength = cursor.varint();
    const start = cursor.skip(keyLength);
    headers.push({ key: cursor.bytes.subarray(start, start + keyLength), value: take(cursor) });
  }
  return headers;
}

function take(cursor: VarintCursor): Uint8Array | null {
  const length = cursor.varint();
  if (length < 0) return null;
  const start = cursor.skip(length);
  return cursor.bytes.subarray(start, start + length);
}
