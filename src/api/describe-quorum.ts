import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readDescribeQuorumRequest } from '#protocol/generated/describe-quorum-request';
import { writeDescribeQuorumResponse } from '#protocol/generated/describe-quorum-response';
import type { QuorumDescription, QuorumReplica } from '#runtime/controller-protocol';
import { api } from './api.ts';

/** The name by which tools ask for the metadata log. */
const METADATA_TOPIC = '__cluster_metadata';
/** Of the endpoints of voters, which are not Kafka's: see docs/ARCHITECTURE.md. */
const PEER_LISTENER = 'PEER';
const ANSWER_MS = 10_000;
const NOBODY = { leaderId: -1, leaderEpoch: -1, highWatermark: -1, currentVoters: [], observers: [] };

/** The quorum as its leader sees it (KIP-595, KIP-836, KIP-853), whichever node is asked. */
export const describeQuorumApi = api(
  ApiKey.DescribeQuorum,
  readDescribeQuorumRequest,
  writeDescribeQuorumResponse,
  async (request, { broker }) => {
    const isAsked = request.topics.some(({ topicName }) => topicName === METADATA_TOPIC);
    const quorum = isAsked ? await broker.controller.describeQuorum(ANSWER_MS) : undefined;
    if (isAsked && quorum === undefined) {
      const errorMessage = 'No leader of the metadata quorum has answered in time.';
      return { errorCode: ErrorCode.RequestTimedOut, errorMessage, topics: [], nodes: [] };
    }
    const topics = request.topics.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        ...(topicName === METADATA_TOPIC && partitionIndex === 0 && quorum !== undefined
          ? described(quorum)
          : { errorCode: ErrorCode.UnknownTopicOrPartition, ...NOBODY }),
      })),
    }));
    const nodes = (quorum?.addresses ?? []).map(({ id, host, port }) => ({
      nodeId: id,
      listeners: [{ name: PEER_LISTENER, host, port }],
    }));
    return { errorCode: ErrorCode.None, errorMessage: null, topics, nodes };
  },
);

function described({ leaderId, leaderEpoch, highWatermark, voters, observers }: QuorumDescription) {
  return {
    errorCode: ErrorCode.None,
    leaderId,
    leaderEpoch,
    highWatermark,
    currentVoters: voters.map(replicaState),
    observers: observers.map(replicaState),
  };
}

function replicaState({ id, directoryId, endOffset, lastFetchTimestamp, lastCaughtUpTimestamp }: QuorumReplica) {
  return {
    replicaId: id,
    replicaDirectoryId: directoryId,
    logEndOffset: endOffset,
    lastFetchTimestamp,
    lastCaughtUpTimestamp,
  };
}
