import { assert } from '#base/assert';
import type { Codecs, Timestamp } from '#base/ports';
import type { CoordinatorRecord } from '#coordinator/effects';
import { BATCH_HEADER_BYTES, type BatchHeader, readBatchHeader } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';

/** Lengths, deltas and attributes of one record, at most. */
const RECORD_FRAME_BYTES_MAX = 32;

/**
 * The records of one decision as uncompressed batches of at most `batchBytesMax` each, for one append. Offsets are the log's to assign.
 * `producer`: they belong to its transaction. 'too-large': a record fits in no batch.
 */
export function coordinatorBatches(
  records: readonly CoordinatorRecord[],
  timestamp: Timestamp,
  batchBytesMax: number,
  codecs: Codecs,
  producer?: { readonly producerId: number; readonly producerEpoch: number } | undefined,
): { readonly bytes: Uint8Array; readonly headers: readonly BatchHeader[] } | 'too-large' {
  const groups = grouped(records, batchBytesMax);
  if (groups === 'too-large') return groups;
  const batches = groups.map((group) =>
    buildBatch(
      {
        baseOffset: 0,
        leaderEpoch: -1,
        ...(producer === undefined ? {} : { ...producer, transactional: true }),
        records: group.map(({ key, value }) => ({ timestamp, key, value })),
      },
      codecs,
    ),
  );
  const [only, ...more] = batches;
  const bytes = more.length === 0 && only !== undefined ? only : Buffer.concat(batches);
  const headers: BatchHeader[] = [];
  for (let at = 0; at < bytes.length; ) {
    const header = readBatchHeader(bytes, at);
    assert(typeof header !== 'string', 'a batch just built is whole');
    headers.push(header);
    at += header.sizeBytes;
  }
  return { bytes, headers };
}

function grouped(records: readonly CoordinatorRecord[], batchBytesMax: number): CoordinatorRecord[][] | 'too-large' {
  const groups: CoordinatorRecord[][] = [];
  let group: CoordinatorRecord[] = [];
  let sizeBytes = BATCH_HEADER_BYTES;
  for (const record of records) {
    const recordBytes = RECORD_FRAME_BYTES_MAX + record.key.length + (record.value?.length ?? 0);
    if (BATCH_HEADER_BYTES + recordBytes > batchBytesMax) return 'too-large';
    if (group.length === 0 || sizeBytes + recordBytes > batchBytesMax) {
      group = [];
      groups.push(group);
      sizeBytes = BATCH_HEADER_BYTES;
    }
    group.push(record);
    sizeBytes += recordBytes;
  }
  return groups;
}
