import type { Timestamp } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { type Uuid, ZERO_UUID } from '#model/ids';
import type { Output } from './effects.ts';
import type {
  OffsetCommitCommand,
  OffsetCommitResponse,
  OffsetFetchCommand,
  OffsetFetchPartition,
  OffsetFetchTopic,
} from './group-commands.ts';
import { type CommittedOffset, fitsRecord, offsetRecord } from './group-records.ts';

/**
 * The committed offsets of one group; changed only by replay. Bounded by the partitions of the topics that consumers
 * commit.
 */
export class GroupOffsets {
  readonly #topics = new Map<string, Map<number, CommittedOffset>>();

  get isEmpty(): boolean {
    return this.#topics.size === 0;
  }

  get(topic: string, partition: number): CommittedOffset | undefined {
    return this.#topics.get(topic)?.get(partition);
  }

  replay(topic: string, partition: number, value: CommittedOffset | undefined): void {
    let partitions = this.#topics.get(topic);
    if (value !== undefined) {
      if (partitions === undefined) {
        partitions = new Map();
        this.#topics.set(topic, partitions);
      }
      partitions.set(partition, value);
    } else if (partitions?.delete(partition) === true && partitions.size === 0) {
      this.#topics.delete(topic);
    }
  }

  *topics(): Generator<[topic: string, partitions: ReadonlyMap<number, CommittedOffset>]> {
    yield* this.#topics;
  }

  partitions(topic: string): ReadonlyMap<number, CommittedOffset> | undefined {
    return this.#topics.get(topic);
  }
}

/** Kafka's limit counts UTF-16 units; what a record cannot hold is too large as well. */
export interface CommitLimits {
  readonly offsetMetadataSizeMax: number;
}

/** One record per partition; a partition that is refused does not hinder the others. */
export function commitOffsets(
  command: OffsetCommitCommand,
  limits: CommitLimits,
  right: (topicId: Uuid, partition: number) => ErrorCode,
  wall: Timestamp,
  out: Output,
): OffsetCommitResponse {
  const expiresAt =
    command.retentionTimeMs === -1 ? -1 : Math.min(wall + command.retentionTimeMs, Number.MAX_SAFE_INTEGER);
  const topics = command.topics.map(({ name, topicId, partitions }) => ({
    name,
    topicId,
    partitions: partitions.map(({ partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata }) => {
      const metadata = committedMetadata ?? '';
      const refused = right(topicId, partitionIndex);
      if (refused !== ErrorCode.None) return { partitionIndex, errorCode: refused };
      if (metadata.length > limits.offsetMetadataSizeMax || !fitsRecord(metadata)) {
        return { partitionIndex, errorCode: ErrorCode.OffsetMetadataTooLarge };
      }
      if (!Number.isSafeInteger(committedOffset)) return { partitionIndex, errorCode: ErrorCode.OffsetOutOfRange };
      if (!fitsRecord(name)) return { partitionIndex, errorCode: ErrorCode.InvalidTopicException };
      const value: CommittedOffset = {
        offset: committedOffset,
        leaderEpoch: committedLeaderEpoch,
        metadata,
        committedAt: wall,
        expiresAt,
        topicId,
      };
      out.records.push(offsetRecord(command.groupId, name, partitionIndex, value));
      return { partitionIndex, errorCode: ErrorCode.None };
    }),
  }));
  return { topics };
}

/**
 * `idOf`: of the topic that has the name now, if any; an offset of an earlier one means nothing in it. `isUnstable`: a
 * transaction may yet change the offset, and the reader wants none that may change (KIP-447).
 */
export function fetchOffsets(
  offsets: GroupOffsets | undefined,
  topics: OffsetFetchCommand['topics'],
  idOf: (topic: string) => Uuid,
  isUnstable: (topic: string, partition: number) => boolean,
): OffsetFetchTopic[] {
  if (topics === null) {
    return [...(offsets?.topics() ?? [])].flatMap(([name, all]) => {
      const partitions = [...all]
        .filter(([, { topicId }]) => sameTopic(topicId, idOf(name)))
        .map(([partition, value]) => (isUnstable(name, partition) ? unstable(partition) : fetched(partition, value)));
      return partitions.length === 0 ? [] : [{ name, topicId: ZERO_UUID, partitions }];
    });
  }
  return topics.map(({ name, topicId, partitionIndexes }) => ({
    name,
    topicId,
    partitions: partitionIndexes.map((partition) => {
      if (isUnstable(name, partition)) return unstable(partition);
      const value = offsets?.get(name, partition);
      return fetched(partition, value !== undefined && sameTopic(value.topicId, topicId) ? value : undefined);
    }),
  }));
}

function unstable(partitionIndex: number): OffsetFetchPartition {
  return { ...fetched(partitionIndex, undefined), errorCode: ErrorCode.UnstableOffsetCommit };
}

function fetched(partitionIndex: number, value: CommittedOffset | undefined): OffsetFetchPartition {
  return {
    partitionIndex,
    committedOffset: value?.offset ?? -1,
    committedLeaderEpoch: value?.leaderEpoch ?? -1,
    metadata: value?.metadata ?? '',
    errorCode: ErrorCode.None,
  };
}

/** Ids that are not known do not differ. */
export function sameTopic(a: Uuid, b: Uuid): boolean {
  return a === b || a === ZERO_UUID || b === ZERO_UUID;
}
