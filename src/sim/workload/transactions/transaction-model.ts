/** What may be read of transactions, as the clients that write them know: all of one or nothing, and never what was aborted. */
import { check } from '../../checkers/violation.ts';
import { RecordModel } from '../record-model.ts';

/**
 * 'open': nobody has asked for its commit. 'undecided': somebody has, and no answer says what came of it. The others were answered, or
 * read.
 */
export type TransactionState = 'open' | 'undecided' | 'committed' | 'aborted';

interface Write {
  readonly partition: string;
  readonly value: string;
}

/** Of one transactional id, in the order in which they began. */
export interface Transaction {
  readonly transactionalId: string;
  /** From 1 on. */
  readonly number: number;
  state: TransactionState;
  readonly writes: Write[];
  /** Whether its number was stored for the group of its id, as a part of it. */
  hasOffset: boolean;
}

export class TransactionModel {
  readonly #records = new RecordModel();
  readonly #byValue = new Map<string, Transaction>();
  readonly #byId = new Map<string, Transaction[]>();

  get readCount(): number {
    return this.#records.readCount;
  }

  get committedCount(): number {
    return [...this.#byId.values()].flat().filter(({ state }) => state === 'committed').length;
  }

  begin(transactionalId: string): Transaction {
    const ofId = this.#byId.get(transactionalId) ?? [];
    const transaction: Transaction = {
      transactionalId,
      number: ofId.length + 1,
      state: 'open',
      writes: [],
      hasOffset: false,
    };
    ofId.push(transaction);
    this.#byId.set(transactionalId, ofId);
    return transaction;
  }

  /** Before it is sent. */
  writes(transaction: Transaction, partition: string, value: string): void {
    this.#records.sent(value);
    this.#byValue.set(value, transaction);
    transaction.writes.push({ partition, value });
  }

  /** Before its commit is asked for. */
  commitAsked(transaction: Transaction): void {
    if (transaction.state === 'open') transaction.state = 'undecided';
  }

  /** Its end was answered. */
  ended(transaction: Transaction, outcome: 'committed' | 'aborted'): void {
    this.#decided(transaction, outcome, 'was answered');
  }

  /** By a client that reads what is committed. */
  read(who: string, partition: string, offset: number, value: string): void {
    this.#records.read(who, partition, offset, value);
    const transaction = this.#byValue.get(value);
    if (transaction === undefined) return;
    check(transaction.state !== 'open', 'aborted read', () => `${value} was read, and nobody has asked for its commit`);
    this.#decided(transaction, 'committed', `was read by ${who}`);
  }

  /**
   * `logs`: of every partition that can be read, what is committed in the end; a partition that is not there tells nothing.
   * Nobody writes any more, and no transaction is open.
   */
  checkFinal(logs: ReadonlyMap<string, ReadonlyMap<number, string>>): void {
    for (const [partition, log] of logs) {
      this.#records.checkFinal(partition, log);
      for (const [offset, value] of log) this.read('the audit', partition, offset, value);
    }
    const found = new Map([...logs].map(([partition, log]) => [partition, new Set(log.values())]));
    for (const transaction of [...this.#byId.values()].flat()) {
      if (transaction.state !== 'committed') continue;
      for (const { partition, value } of transaction.writes)
        check(
          found.get(partition)?.has(value) !== false,
          'all of a transaction',
          () => `${name(transaction)} is committed, but ${value} is not in ${partition}`,
        );
    }
  }

  /** The offset that the group of a transactional id must have in the end; after `checkFinal`. −1: none. */
  offsetOf(transactionalId: string): number {
    const committed = (this.#byId.get(transactionalId) ?? []).filter(
      ({ state, hasOffset }) => state === 'committed' && hasOffset,
    );
    return committed.at(-1)?.number ?? -1;
  }

  transactionalIds(): Iterable<string> {
    return this.#byId.keys();
  }

  #decided(transaction: Transaction, outcome: 'committed' | 'aborted', how: string): void {
    const { state } = transaction;
    check(
      state === outcome || state === 'open' || state === 'undecided',
      'one outcome',
      () => `${name(transaction)} was ${state}, and that it is ${outcome} ${how}`,
    );
    transaction.state = outcome;
  }
}

function name({ transactionalId, number }: Transaction): string {
  return `transaction ${number} of ${transactionalId}`;
}
