import type { MetadataImage, Topic } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { type Uuid, ZERO_UUID } from '#model/ids';
import { isInternalTopic } from '#model/internal-topics';
import { validateTopicName } from '#model/topic-name';
import { type MetadataRequest, readMetadataRequest } from '#protocol/generated/metadata-request';
import { type MetadataResponseTopicInput, writeMetadataResponse } from '#protocol/generated/metadata-response';
import type { Broker } from '#runtime/broker';
import { api } from './api.ts';
import { CLUSTER_OPERATIONS, NOT_ASKED_OPERATIONS, TOPIC_OPERATIONS } from './authorized-operations.ts';
import { controllerFor, registeredBrokers } from './client-brokers.ts';

const METADATA = 3;
/** Versions 10 and 11 have topic ids in their layout and no use for them. */
const FIRST_WITH_TOPIC_IDS = 12;

export const metadataApi = api(
  METADATA,
  readMetadataRequest,
  writeMetadataResponse,
  (request, { broker, header, exchange }) => {
    const topics = askedTopics(request, broker, header.apiVersion);
    const registered = registeredBrokers(broker.image, exchange.listenerName);
    return {
      throttleTimeMs: 0,
      brokers: registered.filter(({ nodeId, fenced }) => !fenced || broker.departures.isRecent(nodeId)),
      clusterId: broker.image.cluster?.id ?? null,
      controllerId: controllerFor(
        broker,
        registered.filter(({ fenced }) => !fenced),
      ),
      topics,
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
        ? CLUSTER_OPERATIONS
        : NOT_ASKED_OPERATIONS,
    };
  },
);

function askedTopics(request: MetadataRequest, broker: Broker, version: number): MetadataResponseTopicInput[] {
  const { image } = broker;
  const operations = request.includeTopicAuthorizedOperations ? TOPIC_OPERATIONS : NOT_ASKED_OPERATIONS;
  const asked = request.topics;
  // Version 0 has no null: an empty list asks for all.
  if (asked === null || (version === 0 && asked.length === 0)) {
    return [...image.topics()].map((topic) => described(topic, image, operations));
  }
  if (version < FIRST_WITH_TOPIC_IDS && asked.some(({ name, topicId }) => name === null || topicId !== ZERO_UUID)) {
    return asked.map(({ name, topicId }) => missing(name ?? '', topicId, ErrorCode.InvalidRequest));
  }
  const mayCreate = request.allowAutoTopicCreation && broker.config.autoCreateTopicsEnable;
  return asked.map(({ name, topicId }) => {
    if (topicId !== ZERO_UUID) {
      if (name !== null) return missing(name, topicId, ErrorCode.InvalidRequest);
      const topic = image.topicById(topicId);
      return topic === undefined
        ? missing(null, topicId, ErrorCode.UnknownTopicId)
        : described(topic, image, operations);
    }
    const topic = name === null ? undefined : image.topic(name);
    if (topic !== undefined) return described(topic, image, operations);
    if (name === null || validateTopicName(name) !== undefined)
      return missing(name, topicId, ErrorCode.InvalidTopicException);
    if (mayCreate) broker.topicCreator.request(name);
    return missing(name, topicId, ErrorCode.UnknownTopicOrPartition);
  });
}

function missing(name: string | null, topicId: Uuid, errorCode: ErrorCode): MetadataResponseTopicInput {
  return {
    errorCode,
    name,
    topicId,
    isInternal: false,
    partitions: [],
    topicAuthorizedOperations: NOT_ASKED_OPERATIONS,
  };
}

function described(topic: Topic, image: MetadataImage, operations: number): MetadataResponseTopicInput {
  return {
    errorCode: ErrorCode.None,
    name: topic.name,
    topicId: topic.id,
    isInternal: isInternalTopic(topic.name),
    topicAuthorizedOperations: operations,
    partitions: topic.partitions.map((state) => ({
      errorCode: state.leader === null ? ErrorCode.LeaderNotAvailable : ErrorCode.None,
      partitionIndex: state.partition,
      leaderId: state.leader ?? -1,
      leaderEpoch: state.leaderEpoch,
      replicaNodes: state.replicas,
      isrNodes: state.isr,
      offlineReplicas: state.replicas.filter((id) => image.brokers.get(id)?.fenced !== false),
    })),
  };
}
