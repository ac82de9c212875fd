import type { TopicPartitions } from '#coordinator/transaction-state';
import { ErrorCode } from '#model/errors';
import {
  type AddPartitionsToTxnRequest,
  readAddPartitionsToTxnRequest,
} from '#protocol/generated/add-partitions-to-txn-request';
import { writeAddPartitionsToTxnResponse } from '#protocol/generated/add-partitions-to-txn-response';
import { ApiKey } from '#protocol/generated/apis';
import type { Broker } from '#runtime/broker';
import { api } from './api.ts';
import { fencedBefore } from './transaction-errors.ts';

const FIRST_WITH_PRODUCER_FENCED = 2;
/** From this version on brokers ask, for many producers at once; those producers work by transaction.version 2. */
const FIRST_OF_BROKERS = 4;
const FIRST_WITH_ABORTABLE = 5;
const VERSION_OF_CLIENTS = 0;
const VERSION_BEHIND_BROKERS = 2;

type AskedTopic = AddPartitionsToTxnRequest['v3AndBelowTopics'][number];
type AskedTransaction = AddPartitionsToTxnRequest['transactions'][number];
/** Of each partition. */
type ErrorOf = (topic: string, partition: number) => ErrorCode;

/** Partitions become part of a transaction, or it is looked whether they are (KIP-890). */
export const addPartitionsToTxnApi = api(
  ApiKey.AddPartitionsToTxn,
  readAddPartitionsToTxnRequest,
  writeAddPartitionsToTxnResponse,
  async (request, { broker, header }) => {
    const version = header.apiVersion;
    if (version < FIRST_OF_BROKERS) {
      const topics = request.v3AndBelowTopics;
      const transaction = {
        transactionalId: request.v3AndBelowTransactionalId,
        producerId: request.v3AndBelowProducerId,
        producerEpoch: request.v3AndBelowProducerEpoch,
        verifyOnly: false,
        topics,
      };
      const errorOf = await decide(transaction, broker, version);
      return { throttleTimeMs: 0, resultsByTransaction: [], resultsByTopicV3AndBelow: results(topics, errorOf) };
    }
    const resultsByTransaction = await Promise.all(
      request.transactions.map(async (transaction) => {
        const { transactionalId, topics } = transaction;
        return { transactionalId, topicResults: results(topics, await decide(transaction, broker, version)) };
      }),
    );
    return { throttleTimeMs: 0, errorCode: ErrorCode.None, resultsByTransaction, resultsByTopicV3AndBelow: [] };
  },
);

/** All partitions of a transaction, or none. */
async function decide(transaction: AskedTransaction, broker: Broker, version: number): Promise<ErrorOf> {
  const { transactionalId, producerId, producerEpoch, verifyOnly, topics } = transaction;
  const isKnown = (topic: string, partition: number): boolean => broker.image.partition(topic, partition) !== undefined;
  if (topics.some(({ name, partitions }) => partitions.some((partition) => !isKnown(name, partition)))) {
    return (topic, partition) =>
      isKnown(topic, partition) ? ErrorCode.OperationNotAttempted : ErrorCode.UnknownTopicOrPartition;
  }
  const partitions = partitionsOf(topics);
  const asked = { transactionalId, producerId, producerEpoch, partitions };
  if (!verifyOnly) {
    const clientVersion = version < FIRST_OF_BROKERS ? VERSION_OF_CLIENTS : VERSION_BEHIND_BROKERS;
    const error = await broker.transactions.addPartitions({ ...asked, clientVersion });
    return () => fencedBefore(FIRST_WITH_PRODUCER_FENCED, version, error);
  }
  const { errorCode, missing } = await broker.transactions.verifyPartitions(asked);
  const notInIt = version < FIRST_WITH_ABORTABLE ? ErrorCode.InvalidTxnState : ErrorCode.TransactionAbortable;
  return (topic, partition) => (missing.get(topic)?.has(partition) === true ? notInIt : errorCode);
}

function partitionsOf(topics: readonly AskedTopic[]): TopicPartitions {
  const partitions = new Map<string, Set<number>>();
  for (const topic of topics) {
    const of = partitions.get(topic.name) ?? new Set();
    for (const partition of topic.partitions) of.add(partition);
    partitions.set(topic.name, of);
  }
  return partitions;
}

function results(topics: readonly AskedTopic[], errorOf: ErrorOf) {
  return topics.map(({ name, partitions }) => ({
    name,
    resultsByPartition: partitions.map((partitionIndex) => ({
      partitionIndex,
      partitionErrorCode: errorOf(name, partitionIndex),
    })),
  }));
}
