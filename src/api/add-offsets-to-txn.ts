import { ErrorCode } from '#model/errors';
import { OFFSETS_TOPIC } from '#model/internal-topics';
import { readAddOffsetsToTxnRequest } from '#protocol/generated/add-offsets-to-txn-request';
import { writeAddOffsetsToTxnResponse } from '#protocol/generated/add-offsets-to-txn-response';
import { ApiKey } from '#protocol/generated/apis';
import { api } from './api.ts';
import { fencedBefore } from './transaction-errors.ts';

const FIRST_WITH_PRODUCER_FENCED = 2;

/** The partition that holds a group's offsets becomes part of the transaction; with transaction.version 2 clients need not ask. */
export const addOffsetsToTxnApi = api(
  ApiKey.AddOffsetsToTxn,
  readAddOffsetsToTxnRequest,
  writeAddOffsetsToTxnResponse,
  async ({ transactionalId, producerId, producerEpoch, groupId }, { broker, header }) => {
    // A partition that the coordinator has not heard of would be taken for a deleted one when the transaction ends, and get no marker. So
    // the topic is waited for: clients that ask here before they look for the group's coordinator do not come again.
    const partition = await broker.groups.partitionOf(groupId);
    if (partition === undefined) return { throttleTimeMs: 0, errorCode: ErrorCode.CoordinatorNotAvailable };
    const partitions = new Map([[OFFSETS_TOPIC, new Set([partition])]]);
    const asked = { transactionalId, producerId, producerEpoch, partitions, clientVersion: 0 };
    const error = await broker.transactions.addPartitions(asked);
    return { throttleTimeMs: 0, errorCode: fencedBefore(FIRST_WITH_PRODUCER_FENCED, header.apiVersion, error) };
  },
);
