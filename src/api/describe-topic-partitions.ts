import type { MetadataImage, Topic } from '#metadata/image';
import type { Partition } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { isInternalTopic } from '#model/internal-topics';
import { validateTopicName } from '#model/topic-name';
import { ApiKey } from '#protocol/generated/apis';
import {
  type DescribeTopicPartitionsRequest,
  readDescribeTopicPartitionsRequest,
} from '#protocol/generated/describe-topic-partitions-request';
import {
  type DescribeTopicPartitionsResponseInput,
  type DescribeTopicPartitionsResponseTopicInput,
  writeDescribeTopicPartitionsResponse,
} from '#protocol/generated/describe-topic-partitions-response';
import { api } from './api.ts';
import { TOPIC_OPERATIONS } from './authorized-operations.ts';

/** Partitions of one answer (Kafka's max.request.partition.size.limit). */
const PARTITIONS_MAX = 2000;

export const describeTopicPartitionsApi = api(
  ApiKey.DescribeTopicPartitions,
  readDescribeTopicPartitionsRequest,
  writeDescribeTopicPartitionsResponse,
  (request, { broker }) => describeTopicPartitions(request, broker.image),
);

/** Topics in the order of their names, page by page: `nextCursor` says where the next one begins (KIP-966). */
export function describeTopicPartitions(
  request: DescribeTopicPartitionsRequest,
  image: MetadataImage,
): DescribeTopicPartitionsResponseInput {
  const { cursor } = request;
  const asked =
    request.topics.length > 0 ? request.topics.map(({ name }) => name) : [...image.topics()].map(({ name }) => name);
  const names = [...new Set(asked)].sort().filter((name) => cursor === null || name >= cursor.topicName);
  let room = Math.max(1, Math.min(PARTITIONS_MAX, request.responsePartitionLimit));
  const topics: DescribeTopicPartitionsResponseTopicInput[] = [];
  for (const name of names) {
    if (room === 0) return { throttleTimeMs: 0, topics, nextCursor: { topicName: name, partitionIndex: 0 } };
    const topic = image.topic(name);
    if (topic === undefined) {
      topics.push(missing(name));
      continue;
    }
    const first = cursor?.topicName === name ? Math.max(0, cursor.partitionIndex) : 0;
    const page = topic.partitions.slice(first, first + room);
    topics.push(described(topic, page, image));
    room -= page.length;
    const next = first + page.length;
    if (next < topic.partitions.length)
      return { throttleTimeMs: 0, topics, nextCursor: { topicName: name, partitionIndex: next } };
  }
  return { throttleTimeMs: 0, topics, nextCursor: null };
}

function missing(name: string): DescribeTopicPartitionsResponseTopicInput {
  const valid = validateTopicName(name) === undefined;
  return {
    errorCode: valid ? ErrorCode.UnknownTopicOrPartition : ErrorCode.InvalidTopicException,
    name,
    topicId: ZERO_UUID,
    isInternal: isInternalTopic(name),
    partitions: [],
  };
}

function described(
  topic: Topic,
  page: readonly Partition[],
  image: MetadataImage,
): DescribeTopicPartitionsResponseTopicInput {
  return {
    errorCode: ErrorCode.None,
    name: topic.name,
    topicId: topic.id,
    isInternal: isInternalTopic(topic.name),
    topicAuthorizedOperations: TOPIC_OPERATIONS,
    partitions: page.map((state) => ({
      errorCode: state.leader === null ? ErrorCode.LeaderNotAvailable : ErrorCode.None,
      partitionIndex: state.partition,
      leaderId: state.leader ?? -1,
      leaderEpoch: state.leaderEpoch,
      replicaNodes: state.replicas,
      isrNodes: state.isr,
      eligibleLeaderReplicas: state.elr,
      lastKnownElr: [],
      offlineReplicas: state.replicas.filter((id) => image.brokers.get(id)?.fenced !== false),
    })),
  };
}
