/** Transactional ids that nobody uses are forgotten (transactional.id.expiration.ms). */
import type { Mono } from '#base/ports';
import type { CoordinatorRecord, Instant } from './effects.ts';
import { EXPIRY_STEPS_PER_TICK, type TransactionConfig } from './transaction-config.ts';
import { transactionRecord } from './transaction-records.ts';
import { isPrepared, type Transaction, TransactionState } from './transaction-state.ts';

interface Kept {
  readonly transactionalId: string;
  readonly transaction: Transaction;
}

/** The look through all ids, every transaction.remove.expired.transaction.cleanup.interval.ms, in slices. */
export class TransactionExpiry {
  readonly #config: TransactionConfig;
  #dueAt: Mono;
  /** Where the next slice goes on; a Map's iterator bears that ids come and go. */
  #rest: Iterator<Kept> | undefined;

  constructor(config: TransactionConfig, now: Mono) {
    this.#config = config;
    this.#dueAt = now + config.expirationCheckIntervalMs;
  }

  /** In the past while a look goes on. */
  get nextDueAt(): Mono {
    return this.#rest === undefined ? this.#dueAt : 0;
  }

  /** One slice, if it is due: tombstones for ids whose last transaction is over and long ago. */
  run(ids: ReadonlyMap<string, Kept>, now: Instant): CoordinatorRecord[] {
    if (this.#rest === undefined) {
      if (now.mono < this.#dueAt) return [];
      this.#dueAt = now.mono + this.#config.expirationCheckIntervalMs;
      this.#rest = ids.values();
    }
    const records: CoordinatorRecord[] = [];
    for (let steps = 0; steps < EXPIRY_STEPS_PER_TICK; steps += 1) {
      const next = this.#rest.next();
      if (next.done === true) {
        this.#rest = undefined;
        return records;
      }
      const { transactionalId, transaction } = next.value;
      const { state, updatedAt } = transaction;
      if (state === TransactionState.Ongoing || isPrepared(state)) continue;
      if (now.wall - updatedAt >= this.#config.expirationMs) records.push(transactionRecord(transactionalId, null, 0));
    }
    return records;
  }
}
