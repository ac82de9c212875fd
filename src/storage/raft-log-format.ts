/**
 * The bytes of the metadata log's files. Integers are big-endian; every checksum is CRC-32C.
 *
 *     segment   <first index, 20 digits>.raft      header, then entries
 *     header    'ODRL' version:u16 0:u16 firstIndex:i64 crc:u32 (over what precedes)
 *     entry     crc:u32 length:u32 index:i64 epoch:u32 durable:i64 payload   (length: from index to the end; crc: over all behind it)
 *
 *     snapshot  <index, 20 digits>-<epoch, 10 digits>.snapshot    header, chunks, end
 *     header    'ODSN' version:u16 0:u16 index:i64 epoch:u32 crc:u32
 *     chunk     crc:u32 length:u32 payload      (length > 0)
 *     end       crc:u32 0:u32 chunks:u32
 *
 * `durable` is the last index that was known to be on disk when the entry was written. That is what tells damage from a torn tail:
 * a bad entry at index i, behind which stands a good one with durable >= i, was on disk once. Bytes that are bad and have no such
 * witness were never acknowledged.
 */
import { readInt64, writeInt64 } from '#base/int64';

export type Crc32c = (bytes: Uint8Array, seed?: number) => number;

/** One atomic batch of records. The payload is borrowed or owned as the function that takes it says. */
export interface RaftEntry {
  /** From 1 on, without gaps. */
  readonly index: number;
  readonly epoch: number;
  readonly payload: Uint8Array;
}

const VERSION = 1;
export const SEGMENT_HEADER_BYTES = 20;
const ENTRY_OVERHEAD_BYTES = 28;
const FRAME_BYTES = 8;
export const CHUNK_HEAD_BYTES = FRAME_BYTES;
export const SNAPSHOT_HEADER_BYTES = 24;
const SNAPSHOT_END_BYTES = 12;
const SEGMENT_MAGIC = 0x4f44_524c;
const SNAPSHOT_MAGIC = 0x4f44_534e;
/** Of an entry and of a snapshot's chunk: what a length read from disk may claim. */
export const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;

const SEGMENT_NAME = /^(\d{20})\.raft$/;
const SNAPSHOT_NAME = /^(\d{20})-(\d{10})\.snapshot$/;

export function segmentName(firstIndex: number): string {
  return `${String(firstIndex).padStart(20, '0')}.raft`;
}

export function parseSegmentName(name: string): number | undefined {
  const match = SEGMENT_NAME.exec(name);
  return match === null ? undefined : Number(match[1]);
}

export function snapshotName(index: number, epoch: number): string {
  return `${String(index).padStart(20, '0')}-${String(epoch).padStart(10, '0')}.snapshot`;
}

export function parseSnapshotName(name: string): { readonly index: number; readonly epoch: number } | undefined {
  const match = SNAPSHOT_NAME.exec(name);
  return match === null ? undefined : { index: Number(match[1]), epoch: Number(match[2]) };
}

export function encodeSegmentHeader(firstIndex: number, crc32c: Crc32c): Uint8Array {
  const { bytes, view } = allocate(SEGMENT_HEADER_BYTES);
  view.setUint32(0, SEGMENT_MAGIC);
  view.setUint16(4, VERSION);
  writeInt64(view, 8, firstIndex);
  view.setUint32(16, crc32c(bytes.subarray(0, 16)));
  return bytes;
}

/** The first index, or why this is no header. */
export function decodeSegmentHeader(bytes: Uint8Array, crc32c: Crc32c): number | string {
  if (bytes.length < SEGMENT_HEADER_BYTES) return 'the header is cut off';
  const view = viewOf(bytes);
  if (view.getUint32(0) !== SEGMENT_MAGIC) return 'the magic number is wrong';
  if (view.getUint32(16) !== crc32c(bytes.subarray(0, 16))) return 'the checksum of the header is wrong';
  if (view.getUint16(4) !== VERSION) return `version ${view.getUint16(4)} is not known to this release`;
  return readInt64(view, 8);
}

export function entrySizeBytes(payloadBytes: number): number {
  return ENTRY_OVERHEAD_BYTES + payloadBytes;
}

/** What stands before the payload. */
export function encodeEntryHead(entry: RaftEntry, durable: number, crc32c: Crc32c): Uint8Array {
  const { bytes, view } = allocate(ENTRY_OVERHEAD_BYTES);
  view.setUint32(4, ENTRY_OVERHEAD_BYTES - FRAME_BYTES + entry.payload.length);
  writeInt64(view, 8, entry.index);
  view.setUint32(16, entry.epoch);
  writeInt64(view, 20, durable);
  view.setUint32(0, crc32c(entry.payload, crc32c(bytes.subarray(4))));
  return bytes;
}

export interface DecodedEntry {
  readonly entry: RaftEntry;
  readonly durable: number;
  readonly sizeBytes: number;
}

/** The whole and undamaged entry at `at`, its payload a view of `bytes`; undefined if there is none. */
export function decodeEntry(bytes: Uint8Array, at: number, crc32c: Crc32c): DecodedEntry | undefined {
  if (at + ENTRY_OVERHEAD_BYTES > bytes.length) return undefined;
  const view = viewOf(bytes);
  const length = view.getUint32(at + 4);
  const end = at + FRAME_BYTES + length;
  if (length < ENTRY_OVERHEAD_BYTES - FRAME_BYTES || length > PAYLOAD_BYTES_MAX || end > bytes.length) return undefined;
  if (view.getUint32(at) !== crc32c(bytes.subarray(at + 4, end))) return undefined;
  const index = readInt64(view, at + 8);
  const entry = { index, epoch: view.getUint32(at + 16), payload: bytes.subarray(at + ENTRY_OVERHEAD_BYTES, end) };
  return { entry, durable: readInt64(view, at + 20), sizeBytes: end - at };
}

/** Looks behind damage for a good entry that proves that `index` was on disk once. Checks a sum only where an index fits. */
export function provesDurable(bytes: Uint8Array, from: number, index: number, crc32c: Crc32c): boolean {
  const view = viewOf(bytes);
  for (let at = from; at + ENTRY_OVERHEAD_BYTES <= bytes.length; at += 1) {
    const claimed = readInt64(view, at + 8);
    if (claimed <= index || claimed > index + bytes.length || readInt64(view, at + 20) < index) continue;
    if (decodeEntry(bytes, at, crc32c) !== undefined) return true;
  }
  return false;
}

export function encodeSnapshotHeader(index: number, epoch: number, crc32c: Crc32c): Uint8Array {
  const { bytes, view } = allocate(SNAPSHOT_HEADER_BYTES);
  view.setUint32(0, SNAPSHOT_MAGIC);
  view.setUint16(4, VERSION);
  writeInt64(view, 8, index);
  view.setUint32(16, epoch);
  view.setUint32(20, crc32c(bytes.subarray(0, 20)));
  return bytes;
}

/** What stands before a chunk's payload, which is not empty. */
export function encodeChunkHead(payload: Uint8Array, crc32c: Crc32c): Uint8Array {
  const { bytes, view } = allocate(FRAME_BYTES);
  view.setUint32(4, payload.length);
  view.setUint32(0, crc32c(payload, crc32c(bytes.subarray(4))));
  return bytes;
}

export function encodeSnapshotEnd(chunks: number, crc32c: Crc32c): Uint8Array {
  const { bytes, view } = allocate(SNAPSHOT_END_BYTES);
  view.setUint32(8, chunks);
  view.setUint32(0, crc32c(bytes.subarray(4)));
  return bytes;
}

export interface RaftSnapshot {
  /** The last entry that it covers. */
  readonly index: number;
  readonly epoch: number;
  readonly chunks: readonly Uint8Array[];
}

/** A whole snapshot, its chunks views of `bytes`; or why it is none. */
export function decodeSnapshot(bytes: Uint8Array, crc32c: Crc32c): RaftSnapshot | string {
  if (bytes.length < SNAPSHOT_HEADER_BYTES) return 'the header is cut off';
  const view = viewOf(bytes);
  if (view.getUint32(0) !== SNAPSHOT_MAGIC) return 'the magic number is wrong';
  if (view.getUint32(20) !== crc32c(bytes.subarray(0, 20))) return 'the checksum of the header is wrong';
  if (view.getUint16(4) !== VERSION) return `version ${view.getUint16(4)} is not known to this release`;
  const chunks: Uint8Array[] = [];
  let at = SNAPSHOT_HEADER_BYTES;
  while (at + FRAME_BYTES <= bytes.length) {
    const chunk = decodeChunk(bytes.subarray(at), crc32c);
    if (chunk === undefined) return `the bytes from ${at} on are damaged`;
    if (chunk.payload.length === 0) {
      if (view.getUint32(at + 8) !== chunks.length || at + chunk.sizeBytes !== bytes.length)
        return 'its end does not fit';
      return { index: readInt64(view, 8), epoch: view.getUint32(16), chunks };
    }
    chunks.push(chunk.payload);
    at += chunk.sizeBytes;
  }
  return 'its end is missing';
}

/** Of the chunk or the end whose first bytes these are, as they claim; undefined if they cannot be true. */
export function chunkSizeBytes(head: Uint8Array): number | undefined {
  if (head.length < FRAME_BYTES) return undefined;
  const length = viewOf(head).getUint32(4);
  if (length > PAYLOAD_BYTES_MAX) return undefined;
  return length === 0 ? SNAPSHOT_END_BYTES : FRAME_BYTES + length;
}

/** The chunk at the beginning of `bytes`, its payload a view of them, which is empty for the snapshot's end; undefined if it is damaged. */
export function decodeChunk(
  bytes: Uint8Array,
  crc32c: Crc32c,
): { readonly payload: Uint8Array; readonly sizeBytes: number } | undefined {
  const sizeBytes = chunkSizeBytes(bytes);
  if (sizeBytes === undefined || sizeBytes > bytes.length) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(0) !== crc32c(bytes.subarray(4, sizeBytes))) return undefined;
  const isEnd = view.getUint32(4) === 0;
  return { payload: bytes.subarray(FRAME_BYTES, isEnd ? FRAME_BYTES : sizeBytes), sizeBytes };
}

function allocate(sizeBytes: number): { readonly bytes: Uint8Array; readonly view: DataView } {
  const bytes = new Uint8Array(sizeBytes);
  return { bytes, view: viewOf(bytes) };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
