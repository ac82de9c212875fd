import { type BatchHeader, isTransactional, lastOffset } from '#protocol/record-batch';
import type { EndMarker } from './end-marker.ts';
import type { AbortedTransaction } from './transaction-index.ts';

interface Ongoing {
  readonly transaction: AbortedTransaction;
  /** A batch of it is still in the log. */
  isObserved: boolean;
}

/**
 * Which batches belong to aborted transactions, and which markers end a transaction that nothing is left of, in one pass over a log
 * from its start (Kafka's CleanedTransactionMetadata). All transactions below the pass's end are decided.
 */
export class CleanedTransactions {
  /** The latest first. */
  readonly #coming: AbortedTransaction[];
  readonly #aborted = new Map<number, Ongoing>();
  /** Producers with a batch that no marker has ended yet. */
  readonly #committed = new Set<number>();

  /** Those with records in the pass, as the log's transaction indexes tell of them. */
  constructor(aborted: readonly AbortedTransaction[]) {
    this.#coming = [...aborted].sort((a, b) => b.firstOffset - a.firstOffset);
  }

  /** A data batch: whether it was aborted. */
  isAborted(header: BatchHeader): boolean {
    this.#begin(lastOffset(header));
    if (!isTransactional(header)) return false;
    const ongoing = this.#aborted.get(header.producerId);
    if (ongoing !== undefined) ongoing.isObserved = true;
    else this.#committed.add(header.producerId);
    return ongoing !== undefined;
  }

  /**
   * A control batch: whether all data of its transaction are gone, so that it may go. `abort`: the index entry that stays with the
   * marker, because some are there.
   */
  ended(
    header: BatchHeader,
    marker: EndMarker | undefined,
  ): { readonly isBare: boolean; readonly abort?: AbortedTransaction } {
    this.#begin(lastOffset(header));
    // It has lost its record already, or is of a kind that nobody knows.
    if (marker === undefined) return { isBare: header.recordCount === 0 };
    if (!marker.aborted) return { isBare: !this.#committed.delete(header.producerId) };
    const ongoing = this.#aborted.get(header.producerId);
    this.#aborted.delete(header.producerId);
    return ongoing?.isObserved ? { isBare: false, abort: ongoing.transaction } : { isBare: true };
  }

  #begin(upTo: number): void {
    for (let next = this.#coming.at(-1); next !== undefined && next.firstOffset <= upTo; next = this.#coming.at(-1)) {
      this.#coming.pop();
      if (!this.#aborted.has(next.producerId))
        this.#aborted.set(next.producerId, { transaction: next, isObserved: false });
    }
  }
}
