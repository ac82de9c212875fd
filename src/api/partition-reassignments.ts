/** Replicas move from broker to broker while their partitions go on (KIP-455). */
import { isFault } from '#metadata/decision';
import { isReassigning } from '#metadata/reassignments';
import { ErrorCode } from '#model/errors';
import { readAlterPartitionReassignmentsRequest } from '#protocol/generated/alter-partition-reassignments-request';
import { writeAlterPartitionReassignmentsResponse } from '#protocol/generated/alter-partition-reassignments-response';
import { ApiKey } from '#protocol/generated/apis';
import { readListPartitionReassignmentsRequest } from '#protocol/generated/list-partition-reassignments-request';
import { writeListPartitionReassignmentsResponse } from '#protocol/generated/list-partition-reassignments-response';
import { api } from './api.ts';
import { askController } from './controller-call.ts';

/** Answered when the target is recorded; the replicas catch up behind. Null replicas cancel what is under way. */
export const alterPartitionReassignmentsApi = api(
  ApiKey.AlterPartitionReassignments,
  readAlterPartitionReassignmentsRequest,
  writeAlterPartitionReassignmentsResponse,
  async ({ topics, timeoutMs, allowReplicationFactorChange }, { broker }) => {
    const partitions = topics.flatMap(({ name: topic, partitions }) =>
      partitions.map(({ partitionIndex: partition, replicas }) => ({ topic, partition, replicas })),
    );
    const command = { allowReplicationFactorChange, partitions };
    const altered = await askController(broker, 'alterPartitionReassignments', command, timeoutMs);
    const failure = isFault(altered) ? altered : undefined;
    const results = 'errorCode' in altered ? [] : altered;
    return {
      throttleTimeMs: 0,
      allowReplicationFactorChange,
      errorCode: failure?.errorCode ?? ErrorCode.None,
      errorMessage: failure?.message ?? null,
      responses: [...Map.groupBy(results, ({ topic }) => topic)].map(([name, ofTopic]) => ({
        name,
        partitions: ofTopic.map(({ partition, errorCode, message }) => ({
          partitionIndex: partition,
          errorCode,
          errorMessage: message,
        })),
      })),
    };
  },
);

/** Those that are under way, of all partitions or of the named ones; what does not move, or does not exist, is left out. */
export const listPartitionReassignmentsApi = api(
  ApiKey.ListPartitionReassignments,
  readListPartitionReassignmentsRequest,
  writeListPartitionReassignmentsResponse,
  ({ topics: asked }, { broker }) => {
    const wanted = asked && new Map(asked.map(({ name, partitionIndexes }) => [name, new Set(partitionIndexes)]));
    const topics = [];
    for (const { name, partitions } of broker.image.topics()) {
      const ofTopic = wanted?.get(name);
      if (wanted !== null && ofTopic === undefined) continue;
      const moving = partitions.filter((state) => isReassigning(state) && (ofTopic?.has(state.partition) ?? true));
      if (moving.length === 0) continue;
      topics.push({
        name,
        partitions: moving.map(({ partition, replicas, adding, removing }) => ({
          partitionIndex: partition,
          replicas,
          addingReplicas: adding,
          removingReplicas: removing,
        })),
      });
    }
    return { throttleTimeMs: 0, errorCode: ErrorCode.None, errorMessage: null, topics };
  },
);
