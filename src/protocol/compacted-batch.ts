/** What compaction makes of a batch: fewer records at the same offsets, byte for byte as they were (KIP-534 for the delete horizon). */
import { assert } from '#base/assert';
import { Codec, type Codecs } from '#base/ports';
import {
  attributesOfEmpty,
  BATCH_HEADER_BYTES,
  type BatchHeader,
  codecOf,
  isLogAppendTime,
  withDeleteHorizon,
  writeBatchHeader,
} from './record-batch.ts';
import { RecordFrames } from './record-frames.ts';
import { varintSize, writeVarint } from './varint.ts';

/** The records that stay: ranges of the body, each of one or more whole records. */
export interface KeptRecords {
  readonly ranges: readonly { readonly start: number; readonly end: number }[];
  readonly count: number;
  /** Relative to the batch's base timestamp. */
  readonly maxTimestampDelta: number;
}

/** The batch without records: it keeps its offsets, its producer's sequence and epoch, and its time. */
export function emptiedBatch(header: BatchHeader, codecs: Codecs): Uint8Array {
  const bytes = new Uint8Array(BATCH_HEADER_BYTES);
  const attributes = attributesOfEmpty(header.attributes);
  writeBatchHeader(bytes, { ...header, attributes, baseTimestamp: -1, recordCount: 0 }, codecs);
  return bytes;
}

/**
 * The batch with some of its records, in its own codec. `body` is its records in memory; a new `deleteHorizonMs` becomes its base
 * timestamp. 'unavailable': the codec is missing.
 */
export function reducedBatch(
  header: BatchHeader,
  body: Uint8Array,
  kept: KeptRecords,
  deleteHorizonMs: number | undefined,
  codecs: Codecs,
): Uint8Array | 'unavailable' {
  assert(kept.count > 0, 'a batch without records is an emptied one');
  const shift = deleteHorizonMs === undefined ? 0 : header.baseTimestamp - deleteHorizonMs;
  const plain = shift === 0 ? copied(body, kept) : rebased(body, kept, shift);
  const codec = codecOf(header) as Codec;
  const bytes = codec === Codec.None ? plain : compressed(plain, codec, codecs);
  if (bytes === 'unavailable') return bytes;
  const { attributes } = header;
  writeBatchHeader(
    bytes,
    {
      ...header,
      attributes: deleteHorizonMs === undefined ? attributes : withDeleteHorizon(attributes),
      baseTimestamp: header.baseTimestamp - shift,
      maxTimestamp: isLogAppendTime(header) ? header.maxTimestamp : header.baseTimestamp + kept.maxTimestampDelta,
      recordCount: kept.count,
    },
    codecs,
  );
  return bytes;
}

/** Behind room for the header. */
function copied(body: Uint8Array, { ranges }: KeptRecords): Uint8Array {
  let sizeBytes = BATCH_HEADER_BYTES;
  for (const { start, end } of ranges) sizeBytes += end - start;
  const bytes = new Uint8Array(sizeBytes);
  let at = BATCH_HEADER_BYTES;
  for (const { start, end } of ranges) {
    bytes.set(body.subarray(start, end), at);
    at += end - start;
  }
  return bytes;
}

/** As copied; the records' timestamps are relative to a base that is `shift` lower. */
function rebased(body: Uint8Array, { ranges }: KeptRecords, shift: number): Uint8Array {
  const framesOf = ranges.map(({ start, end }) => body.subarray(start, end));
  let sizeBytes = BATCH_HEADER_BYTES;
  for (const range of framesOf) {
    const frames = new RecordFrames(range);
    while (frames.next()) {
      const length = rebasedLength(frames, shift);
      sizeBytes += varintSize(length) + length;
    }
  }
  const bytes = new Uint8Array(sizeBytes);
  let at = BATCH_HEADER_BYTES;
  for (const range of framesOf) {
    const frames = new RecordFrames(range);
    while (frames.next()) {
      // The record's attributes, which nobody uses, are 0.
      at = writeVarint(bytes, at, rebasedLength(frames, shift)) + 1;
      at = writeVarint(bytes, at, frames.timestampDelta + shift);
      bytes.set(range.subarray(frames.restAt, frames.end), at);
      at += frames.end - frames.restAt;
    }
  }
  return bytes;
}

function rebasedLength(frames: RecordFrames, shift: number): number {
  return 1 + varintSize(frames.timestampDelta + shift) + frames.end - frames.restAt;
}

function compressed(plain: Uint8Array, codec: Codec, codecs: Codecs): Uint8Array | 'unavailable' {
  const body = codecs.compress(codec, plain.subarray(BATCH_HEADER_BYTES));
  if (body === 'unavailable') return body;
  const bytes = new Uint8Array(BATCH_HEADER_BYTES + body.length);
  bytes.set(body, BATCH_HEADER_BYTES);
  return bytes;
}
