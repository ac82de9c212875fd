/** What the trials ask a node of either system, each time over a connection of its own. */
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeDescribeQuorumRequest } from '#protocol/generated/describe-quorum-request';
import { readDescribeQuorumResponse } from '#protocol/generated/describe-quorum-response';
import { writeElectLeadersRequest } from '#protocol/generated/elect-leaders-request';
import { readElectLeadersResponse } from '#protocol/generated/elect-leaders-response';
import { writeFindCoordinatorRequest } from '#protocol/generated/find-coordinator-request';
import { readFindCoordinatorResponse } from '#protocol/generated/find-coordinator-response';
import { writeMetadataRequest } from '#protocol/generated/metadata-request';
import { readMetadataResponse } from '#protocol/generated/metadata-response';
import { ask } from '../ask.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface Topic {
  readonly partitions: readonly {
    readonly leader: number;
    readonly replicas: readonly number[];
    readonly isr: readonly number[];
  }[];
  /** Those that serve clients. */
  readonly brokers: readonly number[];
}

const ANSWER_MS = 5_000;
const PREFERRED = 0;

/** The ids of those that serve clients, as one node knows them. */
export function brokersSeenAt(at: Endpoint): Promise<readonly number[] | undefined> {
  return ask(at, ANSWER_MS, async (client) => {
    const request = { topics: [], allowAutoTopicCreation: false };
    const answer = await client.request(ApiKey.Metadata, 12, request, writeMetadataRequest, readMetadataResponse);
    return answer.brokers.map(({ nodeId }) => nodeId);
  });
}

/** Undefined if the node does not know it. */
export function topicSeenAt(at: Endpoint, name: string): Promise<Topic | undefined> {
  return ask(at, ANSWER_MS, async (client) => {
    const request = { topics: [{ name }], allowAutoTopicCreation: false };
    const answer = await client.request(ApiKey.Metadata, 12, request, writeMetadataRequest, readMetadataResponse);
    const [topic] = answer.topics;
    if (topic?.errorCode !== ErrorCode.None) return undefined;
    return {
      brokers: answer.brokers.map(({ nodeId }) => nodeId),
      partitions: [...topic.partitions]
        .sort((a, b) => a.partitionIndex - b.partitionIndex)
        .map(({ leaderId, replicaNodes, isrNodes }) => ({ leader: leaderId, replicas: replicaNodes, isr: isrNodes })),
    };
  });
}

/** The quorum's leader; undefined if the node knows none. Kafka's brokers name any node as the controller in Metadata. */
export function controllerSeenAt(at: Endpoint): Promise<number | undefined> {
  return ask(at, ANSWER_MS, async (client) => {
    const request = { topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }] };
    const answer = await client.request(
      ApiKey.DescribeQuorum,
      1,
      request,
      writeDescribeQuorumRequest,
      readDescribeQuorumResponse,
    );
    const partition = answer.topics[0]?.partitions[0];
    return partition?.errorCode === ErrorCode.None && partition.leaderId >= 0 ? partition.leaderId : undefined;
  });
}

/** Whether every partition of every topic has all of its replicas in sync, and all of `brokers` serve clients. */
export function allInSyncAt(at: Endpoint, brokers: number): Promise<boolean | undefined> {
  return ask(at, ANSWER_MS, async (client) => {
    const request = { topics: null, allowAutoTopicCreation: false };
    const answer = await client.request(ApiKey.Metadata, 12, request, writeMetadataRequest, readMetadataResponse);
    return (
      answer.brokers.length === brokers &&
      answer.topics.every(({ partitions }) =>
        partitions.every(
          ({ leaderId, replicaNodes, isrNodes }) => leaderId >= 0 && isrNodes.length === replicaNodes.length,
        ),
      )
    );
  });
}

export const CoordinatorKind = { Group: 0, Transaction: 1 } as const;
export type CoordinatorKind = (typeof CoordinatorKind)[keyof typeof CoordinatorKind];

/** The broker that coordinates this group or transactional id; undefined if there is none for now. */
export function coordinatorSeenAt(at: Endpoint, keyType: CoordinatorKind, key: string): Promise<number | undefined> {
  return ask(at, ANSWER_MS, async (client) => {
    const answer = await client.request(
      ApiKey.FindCoordinator,
      4,
      { keyType, coordinatorKeys: [key] },
      writeFindCoordinatorRequest,
      readFindCoordinatorResponse,
    );
    const found = answer.coordinators[0];
    return found?.errorCode === ErrorCode.None ? found.nodeId : undefined;
  });
}

/** Three replicas, of which two must be in sync. True when it is there; undefined if it was refused for now. */
export function createTopic(at: Endpoint, name: string, partitions: number): Promise<true | undefined> {
  const configs = [{ name: 'min.insync.replicas', value: '2' }];
  const topic = { name, numPartitions: partitions, replicationFactor: 3, assignments: [], configs };
  return ask(at, ANSWER_MS, async (client) => {
    const answer = await client.request(
      ApiKey.CreateTopics,
      5,
      { topics: [topic], timeoutMs: ANSWER_MS },
      writeCreateTopicsRequest,
      readCreateTopicsResponse,
    );
    const errorCode = answer.topics[0]?.errorCode;
    return errorCode === ErrorCode.None || errorCode === ErrorCode.TopicAlreadyExists ? true : undefined;
  });
}

/** Every partition's first replica is to lead it. True when the controller has done what it can. */
export function electPreferred(at: Endpoint): Promise<true | undefined> {
  return ask(at, ANSWER_MS, async (client) => {
    const answer = await client.request(
      ApiKey.ElectLeaders,
      2,
      { electionType: PREFERRED, topicPartitions: null, timeoutMs: ANSWER_MS },
      writeElectLeadersRequest,
      readElectLeadersResponse,
    );
    return answer.errorCode === ErrorCode.None ? true : undefined;
  });
}
