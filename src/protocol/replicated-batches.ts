/** What a follower takes of a Fetch response: whole batches that go on where its log ends. */
import type { Codecs } from '#base/ports';
import { type BatchHeader, batchCrcMatches, lastOffset, readBatchHeader } from './record-batch.ts';

export type ReplicatedBatches =
  | {
      readonly kind: 'batches';
      /** Of the given bytes; the headers' places are in it. None: there is nothing new. */
      readonly bytes: Uint8Array;
      readonly headers: readonly BatchHeader[];
    }
  /** The first batch begins below the end of the log, and holds records above it. */
  | { readonly kind: 'straddling'; readonly baseOffset: number; readonly bytes: Uint8Array }
  /** Not what a leader of that epoch has in its log. */
  | { readonly kind: 'damaged'; readonly reason: string };

const NOTHING: ReplicatedBatches = { kind: 'batches', bytes: new Uint8Array(0), headers: [] };

/**
 * The batches of `bytes` from `logEndOffset` on. What lies wholly below is passed over; a batch that the response has cut off at its end
 * comes with the next one. Every checksum is verified: what a follower takes it may be asked for when nobody else is left.
 */
export function replicatedBatches(
  bytes: Uint8Array,
  logEndOffset: number,
  leaderEpoch: number,
  codecs: Codecs,
): ReplicatedBatches {
  const headers: BatchHeader[] = [];
  let start = 0;
  let at = 0;
  let next = logEndOffset;
  let epoch = -1;
  while (at < bytes.length) {
    const header = readBatchHeader(bytes, at);
    if (header === 'incomplete') break;
    if (header === 'corrupt') return damaged(`no batch at byte ${at}`);
    if (!batchCrcMatches(bytes, header, codecs)) return damaged(`the batch at ${header.baseOffset} is damaged`);
    // The checksum does not cover where a batch is.
    if (header.baseOffset < 0 || !Number.isSafeInteger(lastOffset(header) + 1))
      return damaged(`no batch is at ${header.baseOffset}`);
    at += header.sizeBytes;
    const isKnown = headers.length === 0 && lastOffset(header) < logEndOffset;
    if (isKnown) {
      start = at;
      continue;
    }
    if (headers.length === 0 && header.baseOffset < logEndOffset)
      return { kind: 'straddling', baseOffset: header.baseOffset, bytes: bytes.subarray(start) };
    const { partitionLeaderEpoch } = header;
    if (header.baseOffset < next) return damaged(`offset ${header.baseOffset} after ${next - 1}`);
    if (partitionLeaderEpoch > leaderEpoch || partitionLeaderEpoch < epoch)
      return damaged(`leader epoch ${partitionLeaderEpoch} after ${epoch}, of a leader of epoch ${leaderEpoch}`);
    next = lastOffset(header) + 1;
    epoch = partitionLeaderEpoch;
    headers.push(header);
  }
  const end = headers.length === 0 ? start : at;
  if (headers.length === 0) return NOTHING;
  const taken = bytes.subarray(start, end);
  return {
    kind: 'batches',
    bytes: taken,
    headers: start === 0 ? headers : headers.map((header) => movedBy(header, start)),
  };
}

function movedBy(header: BatchHeader, start: number): BatchHeader {
  return { ...header, at: header.at - start };
}

function damaged(reason: string): ReplicatedBatches {
  return { kind: 'damaged', reason };
}
