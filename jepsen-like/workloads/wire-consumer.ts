import { readEndMarker } from '#log/end-marker';
import { ErrorCode, errorName } from '#model/errors';
import { createCodecs } from '#platform/codecs';
import { FETCH } from '#protocol/calls';
import { batchCrcMatches, isControl, isTransactional, lastOffset, readBatchHeader } from '#protocol/record-batch';
import { iterateRecords } from '#protocol/records';
import type { Session } from './session.ts';

const FETCH_BYTES = 256 * 1024;
const MAX_WAIT_MS = 50;
const READ_COMMITTED = 1;

interface Aborted {
  readonly producerId: number;
  readonly firstOffset: number;
}

/** What one fetch has brought. */
export interface Fetched {
  /** Offset, value, offset, value, … */
  readonly records: readonly number[];
  /** Of the next record. */
  readonly position: number;
  /** Everything has been read, and nothing is undecided. */
  readonly isAtEnd: boolean;
}

const codecs = createCodecs();

/**
 * One fetch with isolation.level=read_committed: what was aborted is sent, and left out here (KIP-98). A text says
 * why nothing came; an error, that a promise is broken: records are damaged, or what had been read before is not there.
 */
export async function fetchCommitted(
  session: Session,
  topic: string,
  partition: number,
  fetchOffset: number,
): Promise<Fetched | string> {
  const leader = await session.leader(topic, partition);
  if (leader === undefined) return 'no leader is known';
  const asked = { partition, currentLeaderEpoch: leader.epoch, fetchOffset, partitionMaxBytes: FETCH_BYTES };
  const request = {
    maxWaitMs: MAX_WAIT_MS,
    minBytes: 1,
    maxBytes: FETCH_BYTES,
    isolationLevel: READ_COMMITTED,
    topics: [{ topic, partitions: [asked] }],
  };
  const response = await session.ask(leader.at, FETCH, request).catch(String);
  const answer = typeof response === 'string' ? undefined : response.responses[0]?.partitions[0];
  if (answer === undefined || answer.errorCode !== ErrorCode.None) {
    session.forget(topic, partition);
    if (answer?.errorCode === ErrorCode.OffsetOutOfRange) throw new Error(`${fetchOffset} is out of range`);
    return answer === undefined ? String(response) : errorName(answer.errorCode as ErrorCode);
  }
  const aborted = [...(answer.abortedTransactions ?? [])].sort((a, b) => a.firstOffset - b.firstOffset);
  const taken = take(Buffer.concat(answer.records ?? []), aborted, fetchOffset);
  const { highWatermark, lastStableOffset } = answer;
  return { ...taken, isAtEnd: taken.position >= highWatermark && lastStableOffset === highWatermark };
}

function take(bytes: Uint8Array, aborted: Aborted[], from: number): Pick<Fetched, 'records' | 'position'> {
  const leftOut = new Set<number>();
  const taken: number[] = [];
  let position = from;
  for (let start = 0; start < bytes.length; ) {
    const header = readBatchHeader(bytes, start);
    if (header === 'incomplete') break;
    if (header === 'corrupt' || !batchCrcMatches(bytes, header, codecs)) {
      throw new Error(`a damaged batch was sent, at or after offset ${position}`);
    }
    start += header.sizeBytes;
    const last = lastOffset(header);
    while (aborted[0] !== undefined && aborted[0].firstOffset <= last) leftOut.add(aborted.shift()?.producerId ?? -1);
    if (isControl(header)) {
      if (readEndMarker(bytes, header)?.aborted) leftOut.delete(header.producerId);
    } else if (!isTransactional(header) || !leftOut.has(header.producerId)) {
      const records = iterateRecords(bytes, header, codecs, FETCH_BYTES);
      if (typeof records === 'string') throw new Error(`a batch was sent that is ${records}, at ${header.baseOffset}`);
      for (const { offset, value } of records) {
        if (offset >= position) taken.push(offset, Number(Buffer.from(value ?? []).toString()));
      }
    }
    position = Math.max(position, last + 1);
  }
  return { records: taken, position };
}
