/**
 * The journal's bytes, big-endian. A file is one header block and then records, each on a block of its own, so that writing one
 * never rewrites a sector of another. A header names the file's generation, a record its generation and its place in it: what an
 * earlier generation has left behind is no record of this one.
 */
import { assert } from '#base/assert';
import { readInt64, writeInt64 } from '#base/int64';
import type { Codecs } from '#base/ports';
import { type Uuid, uuidFromBytes, uuidToBytes } from '#model/ids';

export const BLOCK_BYTES = 4096;
export const RECORD_HEADER_BYTES = 32;
export const ENTRY_BYTES = 40;

const FILE_MAGIC = 0x4f44_524a;
const RECORD_MAGIC = 0x4f44_5252;
const CRC_AT = 4;
const GENERATION_AT = 8;
const SEQUENCE_AT = 16;
const ENTRY_COUNT_AT = 24;
const PAYLOAD_BYTES_AT = 28;

/** Bytes that stand, or are to stand, at a place in a segment. */
export interface JournalEntry {
  readonly topicId: Uuid;
  readonly partition: number;
  readonly segmentBase: number;
  readonly position: number;
  readonly bytes: Uint8Array;
}

export interface RecordHeader {
  readonly sequence: number;
  readonly entryCount: number;
  readonly payloadBytes: number;
}

export function encodeFileHeader(generation: number, crc32c: Codecs['crc32c']): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, FILE_MAGIC);
  writeInt64(view, GENERATION_AT, generation);
  view.setUint32(CRC_AT, crc32c(bytes.subarray(GENERATION_AT)));
  return bytes;
}

/** The generation; undefined if it is no header. */
export function decodeFileHeader(bytes: Uint8Array, crc32c: Codecs['crc32c']): number | undefined {
  if (bytes.length < BLOCK_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, BLOCK_BYTES);
  if (view.getUint32(0) !== FILE_MAGIC) return undefined;
  if (view.getUint32(CRC_AT) !== crc32c(bytes.subarray(GENERATION_AT, BLOCK_BYTES))) return undefined;
  return readInt64(view, GENERATION_AT);
}

/** The record as chunks: header and table, then the entries' bytes by reference. */
export function encodeRecord(
  entries: readonly JournalEntry[],
  generation: number,
  sequence: number,
  crc32c: Codecs['crc32c'],
): readonly Uint8Array[] {
  const head = new Uint8Array(RECORD_HEADER_BYTES + entries.length * ENTRY_BYTES);
  const view = new DataView(head.buffer);
  const chunks: Uint8Array[] = [head];
  let payloadBytes = 0;
  let at = RECORD_HEADER_BYTES;
  for (const { topicId, partition, segmentBase, position, bytes } of entries) {
    head.set(uuidToBytes(topicId), at);
    view.setInt32(at + 16, partition);
    writeInt64(view, at + 20, segmentBase);
    writeInt64(view, at + 28, position);
    view.setUint32(at + 36, bytes.length);
    chunks.push(bytes);
    payloadBytes += bytes.length;
    at += ENTRY_BYTES;
  }
  view.setUint32(0, RECORD_MAGIC);
  writeInt64(view, GENERATION_AT, generation);
  writeInt64(view, SEQUENCE_AT, sequence);
  view.setUint32(ENTRY_COUNT_AT, entries.length);
  view.setUint32(PAYLOAD_BYTES_AT, payloadBytes);
  let crc = crc32c(head.subarray(GENERATION_AT));
  for (const { bytes } of entries) crc = crc32c(bytes, crc);
  view.setUint32(CRC_AT, crc);
  return chunks;
}

/** Undefined if no record of this generation begins here. Its content is still to be checked. */
export function decodeRecordHeader(bytes: Uint8Array, generation: number): RecordHeader | undefined {
  if (bytes.length < RECORD_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_HEADER_BYTES);
  if (view.getUint32(0) !== RECORD_MAGIC) return undefined;
  if (readInt64(view, GENERATION_AT) !== generation) return undefined;
  return {
    sequence: readInt64(view, SEQUENCE_AT),
    entryCount: view.getUint32(ENTRY_COUNT_AT),
    payloadBytes: view.getUint32(PAYLOAD_BYTES_AT),
  };
}

/** The entries of a whole record, views of `bytes`; undefined if it was damaged or not written to its end. */
export function decodeRecord(bytes: Uint8Array, crc32c: Codecs['crc32c']): readonly JournalEntry[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(CRC_AT) !== crc32c(bytes.subarray(GENERATION_AT))) return undefined;
  const entries: JournalEntry[] = [];
  const count = view.getUint32(ENTRY_COUNT_AT);
  let at = RECORD_HEADER_BYTES;
  let payloadAt = RECORD_HEADER_BYTES + count * ENTRY_BYTES;
  for (let index = 0; index < count; index += 1) {
    const end = payloadAt + view.getUint32(at + 36);
    assert(end <= bytes.length, 'the checksum vouches for the lengths');
    entries.push({
      topicId: uuidFromBytes(bytes.subarray(at, at + 16)),
      partition: view.getInt32(at + 16),
      segmentBase: readInt64(view, at + 20),
      position: readInt64(view, at + 28),
      bytes: bytes.subarray(payloadAt, end),
    });
    payloadAt = end;
    at += ENTRY_BYTES;
  }
  return entries;
}

export function recordSizeBytes(entryCount: number, payloadBytes: number): number {
  return RECORD_HEADER_BYTES + entryCount * ENTRY_BYTES + payloadBytes;
}

/** Where the record after one of `sizeBytes` begins, relative to it. */
export function blocksOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
}
