import { readInt64, writeInt64 } from '#base/int64';
import type { Parsed } from '#base/parsed';
import type { Codecs } from '#base/ports';
import type { Offset, ProducerId } from '#model/ids';
import { NO_SEQUENCE, newProducerEntry, type ProducerEntry } from './producer-entry.ts';

const VERSION = 1;
const CRC_AT = 2;
const COUNT_AT = 6;
const ENTRIES_AT = 10;
const ENTRY_BYTES = 46;
const NONE = -1;

/**
 * A producer snapshot (`.snapshot`) in Kafka's format, big-endian: int16 version 1; uint32 CRC-32C of what follows;
 * int32 count; per producer int64 id, int16 epoch, int32 last sequence, int64 last offset, int32 offset delta,
 * int64 timestamp, int32 coordinator epoch, int64 first offset of the open transaction. Only the last batch is kept.
 */
export function encodeProducerSnapshot(
  producers: Iterable<ProducerEntry>,
  count: number,
  crc32c: Codecs['crc32c'],
): Uint8Array {
  const bytes = new Uint8Array(ENTRIES_AT + count * ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  let at = ENTRIES_AT;
  for (const producer of producers) {
    const last = producer.batches[producer.batches.length - 1];
    writeInt64(view, at, producer.producerId);
    view.setInt16(at + 8, producer.epoch);
    view.setInt32(at + 10, last?.lastSequence ?? NO_SEQUENCE);
    writeInt64(view, at + 14, last?.lastOffset ?? NONE);
    view.setInt32(at + 22, last?.offsetDelta ?? 0);
    writeInt64(view, at + 26, producer.lastTimestamp);
    view.setInt32(at + 34, producer.coordinatorEpoch);
    writeInt64(view, at + 38, producer.openTransactionAt ?? NONE);
    at += ENTRY_BYTES;
  }
  view.setInt16(0, VERSION);
  view.setInt32(COUNT_AT, count);
  view.setUint32(CRC_AT, crc32c(bytes.subarray(COUNT_AT)));
  return bytes;
}

/** The producers in the file's order. An error means: take an older snapshot and replay the log from there. */
export function decodeProducerSnapshot(bytes: Uint8Array, crc32c: Codecs['crc32c']): Parsed<readonly ProducerEntry[]> {
  if (bytes.length < ENTRIES_AT) return { error: `${bytes.length} bytes are no snapshot` };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getInt16(0) !== VERSION) return { error: `unknown version: ${view.getInt16(0)}` };
  if (view.getUint32(CRC_AT) !== crc32c(bytes.subarray(COUNT_AT))) return { error: 'the checksum does not match' };
  const count = view.getInt32(COUNT_AT);
  if (count < 0 || bytes.length !== ENTRIES_AT + count * ENTRY_BYTES) {
    return { error: `${bytes.length} bytes where ${count} producers were counted` };
  }
  const producers: ProducerEntry[] = [];
  for (let at = ENTRIES_AT; at < bytes.length; at += ENTRY_BYTES) {
    const producer = newProducerEntry(readInt64(view, at) as ProducerId, view.getInt16(at + 8));
    const lastOffset = readInt64(view, at + 14);
    const openTransactionAt = readInt64(view, at + 38);
    producer.lastTimestamp = readInt64(view, at + 26);
    producer.coordinatorEpoch = view.getInt32(at + 34);
    if (openTransactionAt >= 0) producer.openTransactionAt = openTransactionAt as Offset;
    if (lastOffset >= 0) {
      producer.batches.push({
        lastSequence: view.getInt32(at + 10),
        lastOffset: lastOffset as Offset,
        offsetDelta: view.getInt32(at + 22),
        timestamp: producer.lastTimestamp,
      });
    }
    producers.push(producer);
  }
  return { value: producers };
}
