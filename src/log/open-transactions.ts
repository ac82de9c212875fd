import { assert } from '#base/assert';
import type { Offset, ProducerId } from '#model/ids';

/** A transaction that a marker has ended. */
export interface CompletedTransaction {
  readonly producerId: ProducerId;
  readonly firstOffset: Offset;
  /** The marker's. */
  readonly lastOffset: Offset;
  readonly aborted: boolean;
  /** Up to where all transactions are decided, this one included: what the transaction index wants. */
  readonly lastStableOffset: Offset;
}

/**
 * Where a partition's undecided transactions begin. A decided one counts until its marker is below the high watermark,
 * because the marker may yet be lost with the leader. Open transactions are bounded by ProducerStates' producers, the
 * decided ones by the markers between high watermark and log end.
 */
export class OpenTransactions {
  /** First offset → producer, ascending: a transaction begins at the end of the log. */
  readonly #open = new Map<Offset, ProducerId>();
  /** In the order of their markers. */
  #decided: { readonly firstOffset: Offset; readonly lastOffset: Offset }[] = [];

  begin(producer: ProducerId, firstOffset: Offset): void {
    this.#open.set(firstOffset, producer);
  }

  end(producerId: ProducerId, firstOffset: Offset, lastOffset: Offset, aborted: boolean): CompletedTransaction {
    assert(this.#open.get(firstOffset) === producerId, `no open transaction at ${firstOffset}`);
    this.#open.delete(firstOffset);
    this.#decided.push({ firstOffset, lastOffset });
    const lastStableOffset = this.firstOpen ?? ((lastOffset + 1) as Offset);
    return { producerId, firstOffset, lastOffset, aborted, lastStableOffset };
  }

  get firstOpen(): Offset | undefined {
    return this.#open.keys().next().value;
  }

  get firstUnstable(): Offset | undefined {
    let first = this.firstOpen;
    for (const { firstOffset } of this.#decided) {
      if (first === undefined || firstOffset < first) first = firstOffset;
    }
    return first;
  }

  highWatermarkAdvanced(highWatermark: Offset): void {
    let gone = 0;
    while (gone < this.#decided.length && (this.#decided[gone]?.lastOffset ?? highWatermark) < highWatermark) gone += 1;
    if (gone > 0) this.#decided.splice(0, gone);
  }

  /** Forgets all; then these are open. */
  reset(open: Iterable<readonly [Offset, ProducerId]>): void {
    this.#open.clear();
    this.#decided = [];
    for (const [firstOffset, producer] of [...open].sort(([a], [b]) => a - b)) this.#open.set(firstOffset, producer);
  }
}
