import { stateName } from '#coordinator/transaction-state';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readDescribeTransactionsRequest } from '#protocol/generated/describe-transactions-request';
import { writeDescribeTransactionsResponse } from '#protocol/generated/describe-transactions-response';
import type { Description } from '#runtime/transaction-host';
import { api } from './api.ts';

/** The state of transactional ids, from their coordinator (KIP-664). */
export const describeTransactionsApi = api(
  ApiKey.DescribeTransactions,
  readDescribeTransactionsRequest,
  writeDescribeTransactionsResponse,
  async ({ transactionalIds }, { broker }) => {
    const described = await Promise.all(transactionalIds.map((id) => broker.transactions.describe(id)));
    return { throttleTimeMs: 0, transactionStates: described.map(transactionState) };
  },
);

function transactionState(described: Description) {
  const { transactionalId } = described;
  if ('errorCode' in described) {
    const nothing = { transactionTimeoutMs: 0, transactionStartTimeMs: 0, producerId: 0, producerEpoch: 0, topics: [] };
    return { errorCode: described.errorCode, transactionalId, transactionState: '', ...nothing };
  }
  return {
    errorCode: ErrorCode.None,
    transactionalId,
    transactionState: stateName(described.state),
    transactionTimeoutMs: described.timeoutMs,
    transactionStartTimeMs: described.startedAt,
    producerId: described.producerId,
    producerEpoch: described.producerEpoch,
    topics: [...described.partitions].map(([topic, partitions]) => ({ topic, partitions: [...partitions] })),
  };
}
