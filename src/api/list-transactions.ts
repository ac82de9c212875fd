import { idMatcher, stateFilter } from '#coordinator/transaction-queries';
import { stateName } from '#coordinator/transaction-state';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readListTransactionsRequest } from '#protocol/generated/list-transactions-request';
import { writeListTransactionsResponse } from '#protocol/generated/list-transactions-response';
import { api } from './api.ts';

/** Of the transactional ids that this node coordinates: tools ask every broker. */
export const listTransactionsApi = api(
  ApiKey.ListTransactions,
  readListTransactionsRequest,
  writeListTransactionsResponse,
  async ({ stateFilters, producerIdFilters, durationFilter, transactionalIdPattern }, { broker }) => {
    const failed = (errorCode: ErrorCode) => ({
      throttleTimeMs: 0,
      errorCode,
      unknownStateFilters: [],
      transactionStates: [],
    });
    const matches = idMatcher(transactionalIdPattern);
    if (matches === undefined) return failed(ErrorCode.InvalidRegularExpression);
    const { states, unknown } = stateFilter(stateFilters);
    const producerIds = producerIdFilters.length === 0 ? undefined : new Set(producerIdFilters);
    const command = { states, producerIds, longerThanMs: durationFilter };
    const { errorCode, transactions } = await broker.transactions.list(command, matches);
    if (errorCode !== ErrorCode.None) return failed(errorCode);
    return {
      throttleTimeMs: 0,
      errorCode,
      unknownStateFilters: unknown,
      transactionStates: transactions.map(({ transactionalId, producerId, state }) => ({
        transactionalId,
        producerId,
        transactionState: stateName(state),
      })),
    };
  },
);
