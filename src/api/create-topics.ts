import { type Fault, fault, isFault } from '#metadata/decision';
import type { CreatedTopic, NewTopic } from '#metadata/topics';
import { type BrokerLayers, describeTopicConfigs } from '#model/config-layers';
import { ErrorCode } from '#model/errors';
import { newUuid } from '#model/uuids';
import { ApiKey } from '#protocol/generated/apis';
import { type CreateTopicsRequest, readCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { type CreatableTopicResultInput, writeCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { api } from './api.ts';
import { askController } from './controller-call.ts';

/** The name of Kafka's metadata log: tools take a topic of that name for it. */
const METADATA_TOPIC = '__cluster_metadata';

type AskedTopic = CreateTopicsRequest['topics'][number];

/** Answered when the partitions are open. */
export const createTopicsApi = api(
  ApiKey.CreateTopics,
  readCreateTopicsRequest,
  writeCreateTopicsResponse,
  async (request, { broker }) => {
    const { validateOnly, timeoutMs } = request;
    const asked = request.topics.filter(({ name }) => name !== METADATA_TOPIC);
    const created = await askController(
      broker,
      'createTopics',
      { topics: asked.map((topic) => ({ ...newTopic(topic), id: newUuid(broker.ports.random) })), validateOnly },
      timeoutMs,
    );
    const topics = isFault(created)
      ? [...new Set(asked.map(({ name }) => name))].map((name) => refused(name, created))
      : created.map((topic) => createdTopic(topic, broker.layers));
    if (asked.length < request.topics.length) {
      const message = `Creation of internal topic ${METADATA_TOPIC} is prohibited.`;
      topics.push(refused(METADATA_TOPIC, fault(ErrorCode.InvalidRequest, message)));
    }
    return { throttleTimeMs: 0, topics };
  },
);

export function newTopic({ name, numPartitions, replicationFactor, assignments, configs }: AskedTopic): NewTopic {
  return {
    name,
    partitionCount: numPartitions,
    replicationFactor,
    assignments: assignments.map(({ partitionIndex, brokerIds }) => ({
      partition: partitionIndex,
      replicas: brokerIds,
    })),
    configs: new Map(configs.map((config) => [config.name, config.value])),
  };
}

/** With every config that the topic now has, not only its own (KIP-525). */
export function createdTopic(topic: CreatedTopic, layers: BrokerLayers): CreatableTopicResultInput {
  const { name, message } = topic;
  if (isFault(topic)) return refused(name, topic);
  return {
    name,
    topicId: topic.id,
    errorCode: topic.errorCode,
    errorMessage: message,
    numPartitions: topic.partitionCount,
    replicationFactor: topic.replicationFactor,
    configs: describeTopicConfigs(topic.configs, layers).map((entry) => ({
      name: entry.name,
      value: entry.value,
      readOnly: entry.readOnly,
      configSource: entry.source,
      isSensitive: false,
    })),
  };
}

function refused(name: string, { errorCode, message }: Fault): CreatableTopicResultInput {
  return { name, errorCode, errorMessage: message, numPartitions: -1, replicationFactor: -1, configs: [] };
}
