import type { Metrics } from '#base/ports';
import { stateName, TransactionState } from '#coordinator/transaction-state';
import type { TransactionHost } from '#runtime/transaction-host';
import { oneOf } from './one.ts';

/** The states that are ever logged. */
const STATES = [
  TransactionState.Empty,
  TransactionState.Ongoing,
  TransactionState.PrepareCommit,
  TransactionState.PrepareAbort,
  TransactionState.CompleteCommit,
  TransactionState.CompleteAbort,
] as const;

/** The transactional ids that this node coordinates. */
export function transactionMetrics(metrics: Metrics, transactions: TransactionHost): void {
  metrics.series('odradek_transactional_ids', 'By state; from their coordinator', 'gauge', function* () {
    const counts = transactions.countByState();
    for (const state of STATES) yield [{ state: stateName(state) }, counts.get(state) ?? 0];
  });
  oneOf(metrics)(
    'odradek_transactions_without_markers',
    'Transactions that are decided and that some partition has not been told of; from their coordinator',
    'gauge',
    () => transactions.pendingMarkers,
  );
}
