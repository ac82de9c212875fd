import { coordinatorError, failedOffsetCommit } from '#coordinator/failures';
import type { OffsetCommitCommand, OffsetCommitResponse } from '#coordinator/group-commands';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readTxnOffsetCommitRequest, type TxnOffsetCommitRequest } from '#protocol/generated/txn-offset-commit-request';
import { writeTxnOffsetCommitResponse } from '#protocol/generated/txn-offset-commit-response';
import type { Broker } from '#runtime/broker';
import { api } from './api.ts';
import { allAnswers, knownPartitions } from './known-partitions.ts';

const FIRST_WITH_ABORTABLE = 4;
/** Its clients leave it to the broker to add the group's partition to the transaction (KIP-890). */
const FIRST_THAT_ADDS = 5;
const DEFAULT_RETENTION = -1;
/** Of a batch that a coordinator writes for a producer. */
const NO_SEQUENCE = -1;

/** Offsets that count when the producer's transaction is committed (KIP-98, KIP-447). */
export const txnOffsetCommitApi = api(
  ApiKey.TxnOffsetCommit,
  readTxnOffsetCommitRequest,
  writeTxnOffsetCommitResponse,
  async (request, { broker, header }) => {
    const matches = request.topics.map((asked) => ({ asked, topic: broker.image.topic(asked.name) }));
    const topics = knownPartitions(matches);
    const command: OffsetCommitCommand = {
      groupId: request.groupId,
      generationIdOrMemberEpoch: request.generationId,
      memberId: request.memberId,
      groupInstanceId: request.groupInstanceId,
      retentionTimeMs: DEFAULT_RETENTION,
      staleEpochKnown: true,
      topics,
    };
    const committed = topics.length === 0 ? { topics: [] } : await commit(request, command, header.apiVersion, broker);
    const answers = allAnswers(matches, committed.topics, ErrorCode.UnknownTopicOrPartition);
    return { throttleTimeMs: 0, topics: answers.map(({ asked, partitions }) => ({ name: asked.name, partitions })) };
  },
);

async function commit(
  { transactionalId, producerId, producerEpoch, groupId }: TxnOffsetCommitRequest,
  command: OffsetCommitCommand,
  version: number,
  broker: Broker,
): Promise<OffsetCommitResponse> {
  const failed = (error: ErrorCode) => failedOffsetCommit(command, error);
  if (groupId === '') return failed(ErrorCode.InvalidGroupId);
  if (producerId < 0 || producerEpoch < 0) return failed(ErrorCode.InvalidProducerIdMapping);
  const partition = await broker.groups.servedPartition(groupId);
  if (typeof partition === 'number') return failed(partition);
  const producer = {
    transactionalId,
    producerId,
    producerEpoch,
    adds: version >= FIRST_THAT_ADDS,
    knowsAbortable: version >= FIRST_WITH_ABORTABLE,
  };
  const batch = { producerId, producerEpoch, baseSequence: NO_SEQUENCE };
  const timeoutMs = broker.config.requestTimeoutMs;
  const [verdict] = await broker.verifier.verify([{ partition, header: batch }], producer, timeoutMs);
  if (verdict === undefined || verdict.error !== ErrorCode.None)
    return failed(unverified(verdict?.error ?? ErrorCode.NetworkException));
  return broker.groups.txnOffsetCommit(command, { producerId, producerEpoch, verification: verdict.verification });
}

/** Old clients retry this one, and do not look for the coordinator again. */
function unverified(error: ErrorCode): ErrorCode {
  return error === ErrorCode.NetworkException ? ErrorCode.CoordinatorLoadInProgress : coordinatorError(error);
}
