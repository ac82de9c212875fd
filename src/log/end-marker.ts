import { assert } from '#base/assert';
import { Codec, type Codecs, type Timestamp } from '#base/ports';
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  batchBytes,
  codecOf,
  isControl,
  readBatchHeader,
} from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import { VarintCursor } from '#protocol/varint';

/** The transaction marker that a control batch holds. */
export interface EndMarker {
  readonly aborted: boolean;
  readonly coordinatorEpoch: number;
}

const ABORT = 0;
const COMMIT = 1;
const KEY_BYTES = 4;
const VALUE_BYTES = 6;

/**
 * Reads the one record of a control batch: key {int16 version, int16 type}, value {int16 version, int32 coordinator epoch}
 * (KIP-98). `bytes` are those that the header was read from. Undefined for a data batch, and for a control record of
 * another kind or that makes no sense.
 */
export function readEndMarker(bytes: Uint8Array, header: BatchHeader): EndMarker | undefined {
  if (!isControl(header) || codecOf(header) !== Codec.None) return undefined;
  const batch = batchBytes(bytes, header);
  const cursor = new VarintCursor(batch, BATCH_HEADER_BYTES);
  cursor.varint(); // the record's length
  cursor.int8(); // attributes
  cursor.varlong(); // timestamp delta
  cursor.varint(); // offset delta
  const keyBytes = cursor.varint();
  const keyAt = cursor.skip(keyBytes);
  const valueBytes = cursor.varint();
  const valueAt = cursor.skip(valueBytes);
  if (cursor.failed || keyBytes < KEY_BYTES || valueBytes < VALUE_BYTES) return undefined;
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const type = view.getInt16(keyAt + 2);
  if (view.getInt16(keyAt) < 0 || (type !== ABORT && type !== COMMIT)) return undefined;
  return { aborted: type === ABORT, coordinatorEpoch: view.getInt32(valueAt + 2) };
}

/** The control batch that ends a producer's transaction with this marker; its offset is the log's to assign. */
export function endMarkerBatch(
  producer: { readonly producerId: number; readonly producerEpoch: number },
  { aborted, coordinatorEpoch }: EndMarker,
  timestamp: Timestamp,
  codecs: Codecs,
): { readonly bytes: Uint8Array; readonly header: BatchHeader } {
  const key = Buffer.alloc(KEY_BYTES);
  key.writeInt16BE(aborted ? ABORT : COMMIT, 2);
  const value = Buffer.alloc(VALUE_BYTES);
  value.writeInt32BE(coordinatorEpoch, 2);
  const records = [{ timestamp, key, value }];
  const batch = { baseOffset: 0, leaderEpoch: -1, ...producer, transactional: true, control: true, records };
  const bytes = buildBatch(batch, codecs);
  const header = readBatchHeader(bytes, 0);
  assert(typeof header !== 'string', 'a batch just built is whole');
  return { bytes, header };
}
