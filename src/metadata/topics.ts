/** CreateTopics and DeleteTopics. Each topic of a request succeeds or fails by itself; all that succeed are one entry of the log. */
import { ErrorCode } from '#model/errors';
import { type NodeId, type Uuid, ZERO_UUID } from '#model/ids';
import { validateTopicConfigs } from '#model/topic-config';
import { topicCollisionKey, validateTopicName } from '#model/topic-name';
import { newUuid } from '#model/uuids';
import { checkAssignment, newPartition } from './assignments.ts';
import {
  type ClusterDefaults,
  type ControllerState,
  clusterDefaults,
  type Decision,
  type Fault,
  fault,
  isFault,
  OK,
  type Outcome,
  RECORDS_PER_REQUEST_MAX,
} from './decision.ts';
import type { MetadataImage, Topic } from './image.ts';
import { placeReplicas } from './placement.ts';
import { type MetadataRecord, ResourceType } from './records.ts';

export interface NewTopic {
  /** Chosen by the broker that passes the request on: given again, it is answered as the first time. */
  readonly id?: Uuid;
  readonly name: string;
  /** -1: the default, or as many as there are assignments. */
  readonly partitionCount: number;
  /** -1: the default, or as the assignments say. */
  readonly replicationFactor: number;
  /** Empty: placement is ours. */
  readonly assignments: readonly { readonly partition: number; readonly replicas: readonly number[] }[];
  readonly configs: ReadonlyMap<string, string | null>;
}

export interface CreateTopicsCommand {
  readonly topics: readonly NewTopic[];
  readonly validateOnly: boolean;
}

export interface CreatedTopic extends Outcome {
  readonly name: string;
  /** Zero with an error or when only validated. */
  readonly id: Uuid;
  /** -1 with an error, as the next. */
  readonly partitionCount: number;
  readonly replicationFactor: number;
  readonly configs: ReadonlyMap<string, string>;
}

/** One result per name, in the order of first mention. Repeatable for topics with ids. */
export function createTopics(state: ControllerState, command: CreateTopicsCommand): Decision<readonly CreatedTopic[]> {
  const defaults = clusterDefaults(state);
  const mentions = Map.groupBy(command.topics, ({ name }) => name);
  const records: MetadataRecord[] = [];
  const results: CreatedTopic[] = [];
  const collisionKeys = new Map<string, string>();
  const mentionedIds = Map.groupBy(command.topics, ({ id }) => id);
  for (const [name, [topic, ...more]] of mentions) {
    if (topic === undefined) continue;
    const isOnly = more.length === 0 && (topic.id === undefined || mentionedIds.get(topic.id)?.length === 1);
    const made = isFault(defaults)
      ? defaults
      : !isOnly
        ? fault(ErrorCode.InvalidRequest, 'Duplicate topic name.')
        : createTopic(state, topic, defaults, collisionKeys, RECORDS_PER_REQUEST_MAX - records.length);
    if (isFault(made)) {
      results.push({ ...made, name, id: ZERO_UUID, partitionCount: -1, replicationFactor: -1, configs: new Map() });
      continue;
    }
    collisionKeys.set(topicCollisionKey(name), name);
    records.push(...made.records);
    results.push(command.validateOnly ? { ...made.result, id: ZERO_UUID } : made.result);
  }
  return { records: command.validateOnly ? [] : records, response: results };
}

interface MadeTopic {
  readonly records: readonly MetadataRecord[];
  readonly result: CreatedTopic;
}

function createTopic(
  state: ControllerState,
  topic: NewTopic,
  defaults: ClusterDefaults,
  collisionKeys: ReadonlyMap<string, string>,
  recordsMax: number,
): MadeTopic | Fault {
  const { image } = state;
  const { name } = topic;
  const own = topic.id === undefined ? undefined : image.topicById(topic.id);
  if (own?.name === name) return madeBefore(image, own);
  if (own !== undefined) return fault(ErrorCode.InvalidRequest, `The id ${own.id} is that of topic ${own.name}.`);
  const invalidName = refuseName(image, name, collisionKeys);
  if (invalidName !== undefined) return invalidName;
  const problem = validateTopicConfigs(topic.configs, defaults.topic);
  if (problem !== undefined) return fault(ErrorCode.InvalidConfig, problem);
  const placed = topic.assignments.length > 0 ? manualReplicas(image, topic) : placedReplicas(state, topic, defaults);
  if (isFault(placed)) return placed;
  if (placed.length + topic.configs.size >= recordsMax) {
    return fault(ErrorCode.PolicyViolation, 'Excessively large number of partitions per request.');
  }

  const id = topic.id ?? newUuid(state.random);
  const records: MetadataRecord[] = [{ kind: 'topic', name, id }];
  const configs = new Map<string, string>();
  for (const [key, value] of topic.configs) {
    if (value === null) continue;
    configs.set(key, value);
    records.push({ kind: 'config', resourceType: ResourceType.Topic, resourceName: name, key, value });
  }
  for (const [partition, replicas] of placed.entries()) {
    const made = newPartition(image, partition, replicas);
    if (isFault(made)) return made;
    records.push({ kind: 'partition', topicId: id, state: made });
  }
  const replicationFactor = placed[0]?.length ?? 0;
  return { records, result: { ...OK, name, id, partitionCount: placed.length, replicationFactor, configs } };
}

/** The same request has come before, and its answer was lost. */
function madeBefore(image: MetadataImage, { id, name, partitions }: Topic): MadeTopic {
  const replicationFactor = partitions[0]?.replicas.length ?? 0;
  const configs = image.configs(ResourceType.Topic, name);
  return {
    records: [],
    result: { ...OK, name, id, partitionCount: partitions.length, replicationFactor, configs: new Map(configs) },
  };
}

function refuseName(image: MetadataImage, name: string, collisionKeys: ReadonlyMap<string, string>): Fault | undefined {
  const problem = validateTopicName(name);
  if (problem !== undefined) return fault(ErrorCode.InvalidTopicException, problem);
  if (image.topic(name) !== undefined) return fault(ErrorCode.TopicAlreadyExists, `Topic '${name}' already exists.`);
  const like = image.topicLike(name)?.name ?? collisionKeys.get(topicCollisionKey(name));
  if (like === undefined) return undefined;
  return fault(ErrorCode.InvalidTopicException, `Topic '${name}' collides with existing topic: ${like}`);
}

type Replicas = readonly (readonly NodeId[])[];

function placedReplicas(state: ControllerState, topic: NewTopic, defaults: ClusterDefaults): Replicas | Fault {
  if (topic.partitionCount < -1 || topic.partitionCount === 0) {
    return fault(ErrorCode.InvalidPartitions, 'Number of partitions was set to an invalid non-positive value.');
  }
  if (topic.replicationFactor < -1 || topic.replicationFactor === 0) {
    const message = 'Replication factor was set to an invalid non-positive value.';
    return fault(ErrorCode.InvalidReplicationFactor, message);
  }
  const { numPartitions, defaultReplicationFactor } = defaults.config;
  const partitionCount = topic.partitionCount === -1 ? numPartitions : topic.partitionCount;
  const replicationFactor = topic.replicationFactor === -1 ? defaultReplicationFactor : topic.replicationFactor;
  if (partitionCount > RECORDS_PER_REQUEST_MAX) {
    return fault(ErrorCode.PolicyViolation, 'Excessively large number of partitions per request.');
  }
  const brokers = state.image.brokers.values();
  return placeReplicas({ brokers, partitionCount, replicationFactor }, state.random);
}

function manualReplicas(image: MetadataImage, topic: NewTopic): Replicas | Fault {
  const manual = 'A manual partition assignment was specified, but';
  if (topic.replicationFactor !== -1) {
    return fault(ErrorCode.InvalidRequest, `${manual} replication factor was not set to -1.`);
  }
  if (topic.partitionCount !== -1) {
    return fault(ErrorCode.InvalidRequest, `${manual} numPartitions was not set to -1.`);
  }
  const replicas: (readonly NodeId[])[] = [];
  for (const [index, assignment] of topic.assignments.toSorted((a, b) => a.partition - b.partition).entries()) {
    if (assignment.partition < index) {
      const message = `Found multiple manual partition assignments for partition ${assignment.partition}`;
      return fault(ErrorCode.InvalidReplicaAssignment, message);
    }
    if (assignment.partition > index) {
      const message = 'partitions should be a consecutive 0-based integer sequence';
      return fault(ErrorCode.InvalidReplicaAssignment, message);
    }
    const checked = checkAssignment(image, assignment.replicas, replicas[0]?.length);
    if (isFault(checked)) return checked;
    replicas.push(checked);
  }
  return replicas;
}

/** By name or by id, never both; the other one is null. */
export interface TopicReference {
  readonly name: string | null;
  readonly id: Uuid | null;
}

export interface DeleteTopicsCommand {
  readonly topics: readonly TopicReference[];
}

export interface DeletedTopic extends Outcome, TopicReference {}

/**
 * One result per reference; a deleted topic's has both its name and its id. By name it is not repeatable: another topic may have the name
 * by then.
 */
export function deleteTopics(state: ControllerState, command: DeleteTopicsCommand): Decision<readonly DeletedTopic[]> {
  const defaults = clusterDefaults(state);
  const found = command.topics.map((reference) => findTopic(state.image, reference));
  const mentions = new Map<Topic | Fault, number>();
  for (const topic of found) mentions.set(topic, (mentions.get(topic) ?? 0) + 1);
  const records: MetadataRecord[] = [];
  const response = command.topics.map((reference, index): DeletedTopic => {
    const topic = found[index] ?? fault(ErrorCode.UnknownTopicOrPartition, '');
    if (isFault(topic)) return { ...reference, ...topic };
    if (isFault(defaults)) return { ...reference, ...defaults };
    if (!defaults.config.deleteTopicEnable) {
      return { ...reference, ...fault(ErrorCode.TopicDeletionDisabled, 'Topic deletion is disabled.') };
    }
    if ((mentions.get(topic) ?? 0) > 1) {
      return { ...reference, ...fault(ErrorCode.InvalidRequest, 'Duplicate topic name or id.') };
    }
    records.push({ kind: 'removeTopic', id: topic.id });
    return { name: topic.name, id: topic.id, ...OK };
  });
  return { records, response };
}

function findTopic(image: MetadataImage, { name, id }: TopicReference): Topic | Fault {
  if (name !== null && id !== null) {
    return fault(ErrorCode.InvalidRequest, 'You may not specify both topic name and topic id.');
  }
  if (name !== null) {
    const unknown = fault(ErrorCode.UnknownTopicOrPartition, 'This server does not host this topic-partition.');
    return image.topic(name) ?? unknown;
  }
  if (id === null) return fault(ErrorCode.InvalidRequest, 'Neither topic name nor id were specified.');
  return image.topicById(id) ?? fault(ErrorCode.UnknownTopicId, 'This server does not host this topic ID.');
}
