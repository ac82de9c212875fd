export interface Transaction {
  state: 'open' | 'committed' | 'aborted';
  readonly partitions: Set<Partition>;
}

export function beginTransaction(): Transaction {
  return { state: 'open', partitions: new Set() };
}

/** Its markers take an offset of each partition. */
export function endTransaction(transaction: Transaction, state: 'committed' | 'aborted'): void {
  transaction.state = state;
  for (const partition of transaction.partitions) partition.mark(transaction);
}

interface Stored {
  readonly offset: number;
  readonly value: number;
  readonly transaction: Transaction | undefined;
}

/** What a poll brings: offset, value, offset, value, …; and where the next one goes on. */
export interface Read {
  readonly pairs: number[];
  readonly next: number;
}

/** A log as it ought to be, with what transactions make of it. */
export class Partition {
  readonly #records: Stored[] = [];
  /** Of open transactions: the index of their first record. */
  readonly #open = new Map<Transaction, number>();
  #end = 0;

  get end(): number {
    return this.#end;
  }

  /** Gives the offset. */
  append(value: number, transaction?: Transaction): number {
    if (transaction !== undefined) {
      transaction.partitions.add(this);
      if (!this.#open.has(transaction)) this.#open.set(transaction, this.#records.length);
    }
    this.#records.push({ offset: this.#end, value, transaction });
    this.#end += 1;
    return this.#end - 1;
  }

  mark(transaction: Transaction): void {
    this.#open.delete(transaction);
    this.#end += 1;
  }

  read(from: number, countMax: number, committed: boolean): Read {
    const pairs: number[] = [];
    let next = from;
    const stable = committed ? Math.min(this.#records.length, ...this.#open.values()) : this.#records.length;
    for (let index = this.#indexFrom(from); index < stable && pairs.length < 2 * countMax; index += 1) {
      const record = this.#records[index];
      if (record === undefined) break;
      next = record.offset + 1;
      if (!committed || record.transaction?.state !== 'aborted') pairs.push(record.offset, record.value);
    }
    return { pairs, next };
  }

  #indexFrom(offset: number): number {
    let low = 0;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#records[middle]?.offset ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
