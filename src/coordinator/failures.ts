/** Responses that carry nothing but an error, and what a refused append means to a client of the coordinator. */

import { ErrorCode } from '#model/errors';
import { NO_BYTES } from './bytes.ts';
import type {
  ConsumerHeartbeatResponse,
  JoinGroupResponse,
  OffsetCommitCommand,
  OffsetCommitResponse,
  OffsetDeleteResponse,
  SyncGroupResponse,
} from './group-commands.ts';

export function failedJoin(memberId: string, errorCode: ErrorCode): JoinGroupResponse {
  return {
    errorCode,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    memberId,
    members: [],
  };
}

export function failedSync(errorCode: ErrorCode): SyncGroupResponse {
  return { errorCode, protocolType: null, protocolName: null, assignment: NO_BYTES };
}

export function failedConsumerHeartbeat(errorCode: ErrorCode, errorMessage: string | null): ConsumerHeartbeatResponse {
  return { errorCode, errorMessage, memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null };
}

/** OffsetCommit has no error of its own: every partition carries it. */
export function failedOffsetCommit(command: OffsetCommitCommand, errorCode: ErrorCode): OffsetCommitResponse {
  return {
    topics: command.topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    })),
  };
}

export function failedOffsetDelete(errorCode: ErrorCode): OffsetDeleteResponse {
  return { errorCode, topics: [] };
}

/** The error for clients of a coordinator whose partition refused records with `appendError`. */
export function coordinatorError(appendError: ErrorCode): ErrorCode {
  switch (appendError) {
    case ErrorCode.UnknownTopicOrPartition:
    case ErrorCode.NotEnoughReplicas:
    case ErrorCode.NotEnoughReplicasAfterAppend:
    case ErrorCode.RequestTimedOut:
      return ErrorCode.CoordinatorNotAvailable;
    case ErrorCode.NotLeaderOrFollower:
    case ErrorCode.KafkaStorageError:
      return ErrorCode.NotCoordinator;
    case ErrorCode.MessageTooLarge:
    case ErrorCode.RecordListTooLarge:
    case ErrorCode.InvalidFetchSize:
      return ErrorCode.UnknownServerError;
    default:
      return appendError;
  }
}
