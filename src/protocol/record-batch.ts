/**
 * Record batches of magic 2 as views: a header read out of the bytes, and the few fields that a broker may patch in them.
 * The records inside are records.ts's, what a producer may send produced-batches.ts's.
 */
import { readInt64, writeInt64 } from '#base/int64';
import type { Codec, Codecs } from '#base/ports';

/** Base offset and length, which stand before the counted bytes. */
export const LOG_OVERHEAD_BYTES = 12;
export const BATCH_HEADER_BYTES = 61;
export const NO_TIMESTAMP = -1;

const LEADER_EPOCH_AT = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const BASE_SEQUENCE_AT = 53;
const RECORD_COUNT_AT = 57;
/** What a message of magic 0 takes at least, after the log overhead. */
const LEGACY_BYTES_MIN = 14;
const SEQUENCE_MAX = 0x7fff_ffff;

const CODEC_MASK = 0x07;
const LOG_APPEND_TIME_BIT = 0x08;
const TRANSACTIONAL_BIT = 0x10;
const CONTROL_BIT = 0x20;
const DELETE_HORIZON_BIT = 0x40;

/** A batch's header; `at` is its place in the bytes that it was read from. Offsets and timestamps as in int64.ts. */
export interface BatchHeader {
  readonly at: number;
  /** The whole batch, log overhead included. */
  readonly sizeBytes: number;
  readonly baseOffset: number;
  readonly partitionLeaderEpoch: number;
  readonly magic: number;
  readonly crc: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  /** -1: neither idempotent nor transactional. */
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
}

/**
 * The header of the batch at `at`. 'incomplete': the bytes end before the batch does, as at a torn tail. 'corrupt': a
 * length or magic that no batch has. Of magic 0 and 1 only offset, size, magic and crc are told; the rest is -1 or 0.
 */
export function readBatchHeader(bytes: Uint8Array, at: number): BatchHeader | 'incomplete' | 'corrupt' {
  const available = bytes.length - at;
  if (available <= MAGIC_AT) return 'incomplete';
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, Math.min(available, BATCH_HEADER_BYTES));
  const length = view.getInt32(8);
  const magic = view.getInt8(MAGIC_AT);
  if (magic < 0 || magic > 2 || length < LEGACY_BYTES_MIN) return 'corrupt';
  const sizeBytes = length + LOG_OVERHEAD_BYTES;
  if (magic === 2 && sizeBytes < BATCH_HEADER_BYTES) return 'corrupt';
  if (sizeBytes > available) return 'incomplete';
  const baseOffset = readInt64(view, 0);
  if (magic < 2) return legacyHeader(at, sizeBytes, baseOffset, magic, view.getUint32(LOG_OVERHEAD_BYTES));
  return {
    at,
    sizeBytes,
    baseOffset,
    partitionLeaderEpoch: view.getInt32(LEADER_EPOCH_AT),
    magic,
    crc: view.getUint32(CRC_AT),
    attributes: view.getInt16(ATTRIBUTES_AT),
    lastOffsetDelta: view.getInt32(LAST_OFFSET_DELTA_AT),
    baseTimestamp: readInt64(view, BASE_TIMESTAMP_AT),
    maxTimestamp: readInt64(view, MAX_TIMESTAMP_AT),
    producerId: readInt64(view, PRODUCER_ID_AT),
    producerEpoch: view.getInt16(PRODUCER_EPOCH_AT),
    baseSequence: view.getInt32(BASE_SEQUENCE_AT),
    recordCount: view.getInt32(RECORD_COUNT_AT),
  };
}

function legacyHeader(at: number, sizeBytes: number, baseOffset: number, magic: number, crc: number): BatchHeader {
  return {
    at,
    sizeBytes,
    baseOffset,
    partitionLeaderEpoch: -1,
    magic,
    crc,
    attributes: 0,
    lastOffsetDelta: 0,
    baseTimestamp: NO_TIMESTAMP,
    maxTimestamp: NO_TIMESTAMP,
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
    recordCount: -1,
  };
}

/** 5 to 7 are no codec's number; they come only from corrupt or hostile batches. */
export function codecOf(header: BatchHeader): number {
  return header.attributes & CODEC_MASK;
}

export function isLogAppendTime(header: BatchHeader): boolean {
  return (header.attributes & LOG_APPEND_TIME_BIT) !== 0;
}

export function isTransactional(header: BatchHeader): boolean {
  return (header.attributes & TRANSACTIONAL_BIT) !== 0;
}

export function isControl(header: BatchHeader): boolean {
  return (header.attributes & CONTROL_BIT) !== 0;
}

/** From when on compaction may take the batch's tombstones, or its marker, away (KIP-534); undefined while nobody has said. */
export function deleteHorizonOf(header: BatchHeader): number | undefined {
  return (header.attributes & DELETE_HORIZON_BIT) === 0 ? undefined : header.baseTimestamp;
}

export function lastOffset(header: BatchHeader): number {
  return header.baseOffset + header.lastOffsetDelta;
}

/** -1 for batches without sequences. After 2^31-1 comes 0. */
export function lastSequence(header: BatchHeader): number {
  if (header.baseSequence < 0) return header.baseSequence;
  const last = header.baseSequence + header.lastOffsetDelta;
  return last > SEQUENCE_MAX ? last - SEQUENCE_MAX - 1 : last;
}

/** The batch's own bytes, of those that its header was read from. */
export function batchBytes(bytes: Uint8Array, header: BatchHeader): Uint8Array {
  return bytes.subarray(header.at, header.at + header.sizeBytes);
}

export function batchCrcMatches(bytes: Uint8Array, header: BatchHeader, codecs: Pick<Codecs, 'crc32c'>): boolean {
  return header.magic === 2 && computeCrc(bytes, header.at, header.sizeBytes, codecs) === header.crc;
}

/** Gives the batch its place in a log. Both fields lie outside the CRC. */
export function patchBatch(bytes: Uint8Array, at: number, baseOffset: number, leaderEpoch: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, MAGIC_AT);
  writeInt64(view, 0, baseOffset);
  view.setInt32(LEADER_EPOCH_AT, leaderEpoch);
}

/** Stamps the batch with the broker's time (message.timestamp.type=LogAppendTime) and gives its new header. */
export function patchLogAppendTime(bytes: Uint8Array, at: number, timestamp: number, codecs: Codecs): BatchHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, BATCH_HEADER_BYTES);
  view.setInt16(ATTRIBUTES_AT, view.getInt16(ATTRIBUTES_AT) | LOG_APPEND_TIME_BIT);
  return patchMaxTimestamp(bytes, at, timestamp, codecs);
}

/** For a batch whose producer has named another maximum than its records have; gives its new header. */
export function patchMaxTimestamp(bytes: Uint8Array, at: number, timestamp: number, codecs: Codecs): BatchHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, BATCH_HEADER_BYTES);
  writeInt64(view, MAX_TIMESTAMP_AT, timestamp);
  view.setUint32(CRC_AT, computeCrc(bytes, at, view.getInt32(8) + LOG_OVERHEAD_BYTES, codecs));
  return readBatchHeader(bytes, at) as BatchHeader;
}

function computeCrc(bytes: Uint8Array, at: number, sizeBytes: number, codecs: Pick<Codecs, 'crc32c'>): number {
  return codecs.crc32c(bytes.subarray(at + ATTRIBUTES_AT, at + sizeBytes));
}

/** What the maker of a batch chooses of its header. */
export type NewBatchHeader = Omit<BatchHeader, 'at' | 'sizeBytes' | 'magic' | 'crc'>;

export function batchAttributes(
  codec: Codec,
  logAppendTime: boolean,
  transactional: boolean,
  control: boolean,
): number {
  const timestampType = logAppendTime ? LOG_APPEND_TIME_BIT : 0;
  return codec | timestampType | (transactional ? TRANSACTIONAL_BIT : 0) | (control ? CONTROL_BIT : 0);
}

/** The attributes of the same batch in another codec. */
export function withCodec(attributes: number, codec: Codec): number {
  return (attributes & ~CODEC_MASK) | codec;
}

/** The attributes of the same batch once its base timestamp is its delete horizon. */
export function withDeleteHorizon(attributes: number): number {
  return attributes | DELETE_HORIZON_BIT;
}

/** Of the same batch without records: no codec, no delete horizon. */
export function attributesOfEmpty(attributes: number): number {
  return attributes & ~(CODEC_MASK | DELETE_HORIZON_BIT);
}

/** Writes the header of a batch that takes all of `bytes` and whose records stand already behind the header; seals it. */
export function writeBatchHeader(bytes: Uint8Array, header: NewBatchHeader, codecs: Codecs): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, BATCH_HEADER_BYTES);
  writeInt64(view, 0, header.baseOffset);
  view.setInt32(8, bytes.length - LOG_OVERHEAD_BYTES);
  view.setInt32(LEADER_EPOCH_AT, header.partitionLeaderEpoch);
  view.setInt8(MAGIC_AT, 2);
  view.setInt16(ATTRIBUTES_AT, header.attributes);
  view.setInt32(LAST_OFFSET_DELTA_AT, header.lastOffsetDelta);
  writeInt64(view, BASE_TIMESTAMP_AT, header.baseTimestamp);
  writeInt64(view, MAX_TIMESTAMP_AT, header.maxTimestamp);
  writeInt64(view, PRODUCER_ID_AT, header.producerId);
  view.setInt16(PRODUCER_EPOCH_AT, header.producerEpoch);
  view.setInt32(BASE_SEQUENCE_AT, header.baseSequence);
  view.setInt32(RECORD_COUNT_AT, header.recordCount);
  view.setUint32(CRC_AT, computeCrc(bytes, 0, bytes.length, codecs));
}
