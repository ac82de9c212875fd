import { ErrorCode } from '#model/errors';
import { type ListOffsetsRequest, readListOffsetsRequest } from '#protocol/generated/list-offsets-request';
import { writeListOffsetsResponse } from '#protocol/generated/list-offsets-response';
import type { Partition } from '#runtime/partition';
import type { FoundTimestamp } from '#storage/timestamp-lookup';
import { api } from './api.ts';

const LIST_OFFSETS = 2;
const READ_COMMITTED = 1;
const FIRST_WITH_NOT_AVAILABLE = 5;

/** Timestamps that stand for a place in the log, and the version that brought each. */
const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
const EARLIEST_LOCAL = -4;
const LATEST_TIERED = -5;
const EARLIEST_PENDING_UPLOAD = -6;
const SINCE_VERSION: ReadonlyMap<number, number> = new Map([
  [LATEST, 1],
  [EARLIEST, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
]);

interface Answer {
  readonly partitionIndex: number;
  readonly errorCode: ErrorCode;
  readonly timestamp: number;
  readonly offset: number;
  readonly leaderEpoch: number;
}

type AskedPartition = ListOffsetsRequest['topics'][number]['partitions'][number];

export const listOffsetsApi = api(
  LIST_OFFSETS,
  readListOffsetsRequest,
  writeListOffsetsResponse,
  async (request, { broker, header }) => {
    const readCommitted = request.isolationLevel === READ_COMMITTED;
    const twice = namedTwice(request);
    const topics = [];
    for (const topic of request.topics) {
      const partitions: Answer[] = [];
      for (const asked of topic.partitions) {
        const found = broker.partitions.findByName(topic.name, asked.partitionIndex, asked.currentLeaderEpoch);
        if (twice.has(`${topic.name}/${asked.partitionIndex}`))
          partitions.push(nothing(asked, ErrorCode.InvalidRequest));
        else if (typeof found === 'number') partitions.push(nothing(asked, found));
        else partitions.push(await lookUp(found, asked, readCommitted, header.apiVersion));
      }
      topics.push({ name: topic.name, partitions });
    }
    return { throttleTimeMs: 0, topics };
  },
);

function namedTwice(request: ListOffsetsRequest): ReadonlySet<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { name, partitions } of request.topics) {
    for (const { partitionIndex } of partitions) {
      const key = `${name}/${partitionIndex}`;
      if (seen.has(key)) twice.add(key);
      seen.add(key);
    }
  }
  return twice;
}

async function lookUp(
  partition: Partition,
  asked: AskedPartition,
  readCommitted: boolean,
  version: number,
): Promise<Answer> {
  const { log } = partition;
  if (log === undefined) return nothing(asked, ErrorCode.KafkaStorageError);
  const epochError = partition.checkLeaderEpoch(asked.currentLeaderEpoch);
  if (epochError !== ErrorCode.None) return nothing(asked, epochError);
  // An earlier leader may have told of more than this one knows of (KIP-207).
  if (!partition.isReady)
    return nothing(
      asked,
      version >= FIRST_WITH_NOT_AVAILABLE ? ErrorCode.OffsetNotAvailable : ErrorCode.LeaderNotAvailable,
    );
  const end = readCommitted ? partition.lastStableOffset : partition.highWatermark;
  const at = (offset: number, leaderEpoch: number): Answer => ({
    partitionIndex: asked.partitionIndex,
    errorCode: ErrorCode.None,
    timestamp: -1,
    offset,
    leaderEpoch,
  });
  if (asked.timestamp < 0 && (SINCE_VERSION.get(asked.timestamp) ?? Infinity) > version)
    return nothing(asked, ErrorCode.UnsupportedVersion);
  switch (asked.timestamp) {
    case LATEST:
      return at(end, partition.leaderEpoch);
    case EARLIEST:
    case EARLIEST_LOCAL:
      return at(log.logStartOffset, log.epochs.epochAt(log.logStartOffset) ?? -1);
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return nothing(asked, ErrorCode.None);
    default: {
      const found = await new Promise<FoundTimestamp | undefined | 'failed'>((resolve) => {
        if (asked.timestamp === MAX_TIMESTAMP) log.maxTimestamp(end, resolve);
        else log.offsetForTimestamp(asked.timestamp, end, resolve);
      });
      if (found === 'failed') return nothing(asked, ErrorCode.KafkaStorageError);
      if (found === undefined) return nothing(asked, ErrorCode.None);
      return { ...at(found.offset, found.leaderEpoch), timestamp: found.timestamp };
    }
  }
}

function nothing(asked: AskedPartition, errorCode: ErrorCode): Answer {
  return { partitionIndex: asked.partitionIndex, errorCode, timestamp: -1, offset: -1, leaderEpoch: -1 };
}
