/** What a client that has just come asks one node of a cluster: a connection for each question, and no memory between them. */
import type { Endpoint } from '#base/ports';
import { ErrorCode, errorName } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeDescribeClusterRequest } from '#protocol/generated/describe-cluster-request';
import { readDescribeClusterResponse } from '#protocol/generated/describe-cluster-response';
import { writeDescribeQuorumRequest } from '#protocol/generated/describe-quorum-request';
import { readDescribeQuorumResponse } from '#protocol/generated/describe-quorum-response';
import { writeMetadataRequest } from '#protocol/generated/metadata-request';
import { readMetadataResponse } from '#protocol/generated/metadata-response';
import { ask } from './ask.ts';
import { sleep } from './process.ts';

const at = (port: number): Endpoint => ({ host: '127.0.0.1', port });

/** The cluster as one node describes it. */
export interface ClusterView {
  readonly clusterId: string;
  /** -1: none is known. */
  readonly controllerId: number;
  /** Those that serve clients, by id. */
  readonly brokers: readonly { readonly id: number; readonly port: number; readonly rack: string | null }[];
  /** Partition counts by topic. */
  readonly topics: ReadonlyMap<string, number>;
}

const ANSWER_MS = 2_000;

/** Undefined if the node does not answer within 2 s. */
export async function clusterSeenAt(port: number): Promise<ClusterView | undefined> {
  return await ask(at(port), ANSWER_MS, async (client) => {
    const cluster = await client.request(
      ApiKey.DescribeCluster,
      1,
      { includeClusterAuthorizedOperations: false },
      writeDescribeClusterRequest,
      readDescribeClusterResponse,
    );
    const all = { topics: null, allowAutoTopicCreation: false };
    const { topics } = await client.request(ApiKey.Metadata, 12, all, writeMetadataRequest, readMetadataResponse);
    return {
      clusterId: cluster.clusterId,
      controllerId: cluster.controllerId,
      brokers: cluster.brokers
        .map(({ brokerId: id, port: at, rack }) => ({ id, port: at, rack }))
        .sort((a, b) => a.id - b.id),
      topics: new Map(topics.map(({ name, partitions }) => [name ?? '', partitions.length])),
    };
  });
}

export interface QuorumView {
  readonly leaderId: number;
  readonly epoch: number;
  /** `lag` in entries behind the leader's log; the directory is that of the disk which votes. */
  readonly voters: readonly { readonly id: number; readonly directoryId: string; readonly lag: number }[];
}

/** The metadata quorum by one node's account (DescribeQuorum); undefined if it does not answer within 2 s, or with an error. */
export async function quorumSeenAt(port: number): Promise<QuorumView | undefined> {
  const request = { topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }] };
  const answer = await ask(at(port), ANSWER_MS, (client) =>
    client.request(ApiKey.DescribeQuorum, 2, request, writeDescribeQuorumRequest, readDescribeQuorumResponse),
  );
  const partition = answer?.topics[0]?.partitions[0];
  if (answer?.errorCode !== ErrorCode.None || partition?.errorCode !== ErrorCode.None) return undefined;
  const { leaderId, leaderEpoch: epoch, currentVoters } = partition;
  const end = currentVoters.find(({ replicaId }) => replicaId === leaderId)?.logEndOffset ?? -1;
  return {
    leaderId,
    epoch,
    voters: currentVoters.map(({ replicaId: id, replicaDirectoryId: directoryId, logEndOffset }) => ({
      id,
      directoryId,
      lag: end - logEndOffset,
    })),
  };
}

/** Whether it is worth asking again: everything that passes with an election. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  ErrorCode.NotController,
  ErrorCode.RequestTimedOut,
  ErrorCode.NetworkException,
  ErrorCode.InvalidReplicationFactor,
]);

/**
 * Creates a topic of one partition and one replica, asking the nodes on these ports in turn until one has done it. Gives the time that
 * it took in milliseconds; throws if it is refused for good, or not done in time.
 */
export async function createTopic(ports: readonly number[], name: string, timeoutMs: number): Promise<number> {
  const startedAt = performance.now();
  const request = {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs,
  };
  let last = 'no node answers';
  for (let attempt = 0; ; attempt += 1) {
    const leftMs = timeoutMs - (performance.now() - startedAt);
    if (leftMs <= 0) throw new Error(`topic ${name} was not created within ${timeoutMs} ms: ${last}`);
    const port = ports[attempt % ports.length] ?? 0;
    const answer = await ask(at(port), leftMs, (client) =>
      client.request(ApiKey.CreateTopics, 5, request, writeCreateTopicsRequest, readCreateTopicsResponse),
    );
    const topic = answer?.topics[0];
    // An earlier attempt may have been carried out without an answer.
    if (topic?.errorCode === ErrorCode.None || (attempt > 0 && topic?.errorCode === ErrorCode.TopicAlreadyExists)) {
      return performance.now() - startedAt;
    }
    if (topic !== undefined) {
      last = `${errorName(topic.errorCode as ErrorCode)} ${topic.errorMessage ?? ''}`;
      if (!PASSING.has(topic.errorCode as ErrorCode)) throw new Error(`topic ${name} was refused: ${last}`);
    }
    await sleep(10);
  }
}
