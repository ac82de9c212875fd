import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readDescribeProducersRequest } from '#protocol/generated/describe-producers-request';
import { writeDescribeProducersResponse } from '#protocol/generated/describe-producers-response';
import type { Broker } from '#runtime/broker';
import { api } from './api.ts';

const NO_TRANSACTION = -1;

/** Who writes to partitions, and since where in a transaction (KIP-664); of any replica. */
export const describeProducersApi = api(
  ApiKey.DescribeProducers,
  readDescribeProducersRequest,
  writeDescribeProducersResponse,
  ({ topics }, { broker }) => ({
    throttleTimeMs: 0,
    topics: topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((index) => describe(name, index, broker)),
    })),
  }),
);

function describe(topic: string, partitionIndex: number, { partitions }: Broker) {
  const found = partitions.replicaByName(topic, partitionIndex);
  if (typeof found === 'number') return { partitionIndex, errorCode: found, activeProducers: [] };
  // As Kafka tells of a replica that is offline.
  if (found.log === undefined) return { partitionIndex, errorCode: ErrorCode.NotLeaderOrFollower, activeProducers: [] };
  const activeProducers = [...found.log.producers.active()].map(({ epoch, openTransactionAt, ...producer }) => ({
    ...producer,
    producerEpoch: epoch,
    currentTxnStartOffset: openTransactionAt ?? NO_TRANSACTION,
  }));
  return { partitionIndex, errorCode: ErrorCode.None, activeProducers };
}
