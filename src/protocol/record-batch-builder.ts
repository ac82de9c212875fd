/** Makes record batches, byte for byte as the Java client would. */
import { assert } from '#base/assert';
import { Codec, type Codecs } from '#base/ports';
import { BATCH_HEADER_BYTES, type BatchHeader, batchAttributes, withCodec, writeBatchHeader } from './record-batch.ts';
import { type RecordHeader, type RecordsFailure, recordsBody, walkRecords } from './records.ts';
import { varintSize, writeVarint } from './varint.ts';

export interface NewRecord {
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: readonly RecordHeader[];
}

export interface NewBatch {
  /** Of the first record; the others follow without gaps. */
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  /** -1, as the epoch and the sequence, unless the producer is idempotent. */
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly transactional?: boolean;
  readonly control?: boolean;
  readonly codec?: Codec;
  readonly level?: number | undefined;
  readonly timestampType?: 'CreateTime' | 'LogAppendTime';
  /** At least one. */
  readonly records: readonly NewRecord[];
}

/** A new batch in bytes of its own. 'unavailable': the native codec is missing. */
export function buildBatch(batch: NewBatch & { readonly codec?: typeof Codec.None }, codecs: Codecs): Uint8Array;
export function buildBatch(batch: NewBatch, codecs: Codecs): Uint8Array | 'unavailable';
export function buildBatch(batch: NewBatch, codecs: Codecs): Uint8Array | 'unavailable' {
  const first = batch.records[0];
  assert(first !== undefined, 'a batch has at least one record');
  const codec = batch.codec ?? Codec.None;
  let maxTimestamp = first.timestamp;
  for (const record of batch.records) maxTimestamp = Math.max(maxTimestamp, record.timestamp);
  const plain = encodeRecords(batch.records, first.timestamp);
  const bytes = codec === Codec.None ? plain : compressed(plain, codec, batch.level, codecs);
  if (bytes === 'unavailable') return bytes;
  const logAppendTime = batch.timestampType === 'LogAppendTime';
  const header = {
    baseOffset: batch.baseOffset,
    partitionLeaderEpoch: batch.leaderEpoch,
    attributes: batchAttributes(codec, logAppendTime, batch.transactional ?? false, batch.control ?? false),
    lastOffsetDelta: batch.records.length - 1,
    baseTimestamp: first.timestamp,
    maxTimestamp,
    producerId: batch.producerId ?? -1,
    producerEpoch: batch.producerEpoch ?? -1,
    baseSequence: batch.baseSequence ?? -1,
    recordCount: batch.records.length,
  };
  writeBatchHeader(bytes, header, codecs);
  return bytes;
}

/** The same records in another codec: a new batch, whose records were checked but not decoded. */
export function recompressBatch(
  bytes: Uint8Array,
  header: BatchHeader,
  target: { readonly codec: Codec; readonly level?: number | undefined },
  maxBytes: number,
  codecs: Codecs,
): Uint8Array | RecordsFailure {
  const body = recordsBody(bytes, header, codecs, maxBytes);
  if (typeof body === 'string') return body;
  if (walkRecords(body, header, false) === 'corrupt') return 'corrupt';
  const plain = new Uint8Array(BATCH_HEADER_BYTES + body.length);
  plain.set(body, BATCH_HEADER_BYTES);
  const batch = target.codec === Codec.None ? plain : compressed(plain, target.codec, target.level, codecs);
  if (batch === 'unavailable') return batch;
  writeBatchHeader(batch, { ...header, attributes: withCodec(header.attributes, target.codec) }, codecs);
  return batch;
}

/** `plain` leaves room for the header before the records; so does the result. */
function compressed(
  plain: Uint8Array,
  codec: Codec,
  level: number | undefined,
  codecs: Codecs,
): Uint8Array | 'unavailable' {
  const body = codecs.compress(codec, plain.subarray(BATCH_HEADER_BYTES), level);
  if (body === 'unavailable') return body;
  const bytes = new Uint8Array(BATCH_HEADER_BYTES + body.length);
  bytes.set(body, BATCH_HEADER_BYTES);
  return bytes;
}

/** The records, behind room for the batch's header. */
function encodeRecords(records: readonly NewRecord[], baseTimestamp: number): Uint8Array {
  let sizeBytes = BATCH_HEADER_BYTES;
  for (const [index, record] of records.entries()) {
    const length = recordLength(record, index, baseTimestamp);
    sizeBytes += varintSize(length) + length;
  }
  const bytes = new Uint8Array(sizeBytes);
  let at = BATCH_HEADER_BYTES;
  for (const [index, record] of records.entries()) {
    at = writeVarint(bytes, at, recordLength(record, index, baseTimestamp));
    at = writeVarint(bytes, at + 1, record.timestamp - baseTimestamp);
    at = writeVarint(bytes, at, index);
    at = writeField(bytes, at, record.key);
    at = writeField(bytes, at, record.value);
    const headers = record.headers ?? [];
    at = writeVarint(bytes, at, headers.length);
    for (const header of headers) at = writeField(bytes, writeField(bytes, at, header.key), header.value);
  }
  return bytes;
}

function recordLength(record: NewRecord, index: number, baseTimestamp: number): number {
  const headers = record.headers ?? [];
  let length = 1 + varintSize(record.timestamp - baseTimestamp) + varintSize(index);
  length += fieldSize(record.key) + fieldSize(record.value) + varintSize(headers.length);
  for (const header of headers) length += fieldSize(header.key) + fieldSize(header.value);
  return length;
}

function fieldSize(field: Uint8Array | null): number {
  return field === null ? 1 : varintSize(field.length) + field.length;
}

function writeField(bytes: Uint8Array, at: number, field: Uint8Array | null): number {
  if (field === null) return writeVarint(bytes, at, -1);
  const start = writeVarint(bytes, at, field.length);
  bytes.set(field, start);
  return start + field.length;
}
