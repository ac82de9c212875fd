import type { Instant } from '#coordinator/effects';
import type { TransactionEffects, TransactionOutcome } from '#coordinator/transaction-commands';
import { TransactionShard, type TransactionShardParts } from '#coordinator/transaction-shard';
import type { TransactionState } from '#coordinator/transaction-state';
import { ErrorCode } from '#model/errors';
import { CoordinatorDriver, type DriverWorld } from './coordinator-driver.ts';
import type { Partition } from './partition.ts';
import type { MarkerOwner, TransactionMarkers } from './transaction-markers.ts';

export interface TransactionPartitionWorld extends DriverWorld {
  readonly markers: TransactionMarkers;
  shardParts(): TransactionShardParts;
}

/** The transactions of one partition of __transaction_state: their outcomes are decided here and told to who leads what they wrote to. */
export class TransactionPartition {
  readonly #driver: CoordinatorDriver<TransactionShard, TransactionEffects>;

  constructor(partition: Partition, { markers, shardParts, ...world }: TransactionPartitionWorld) {
    /** Of the present shard. */
    let owner: MarkerOwner | undefined;
    const driver = new CoordinatorDriver<TransactionShard, TransactionEffects>(partition, world, {
      what: 'transactions',
      newShard: () => {
        owner = {
          coordinatorEpoch: partition.leaderEpoch,
          written: (order) => driver.run((shard, now) => shard.markersWritten(order, now)),
        };
        return new TransactionShard(shardParts());
      },
      sends: () => [],
      follows: ({ markers: orders }) => {
        const by = owner;
        if (orders.length === 0 || by === undefined) return undefined;
        return () => {
          for (const order of orders) markers.write(order, by);
        };
      },
      loaded: () => {},
      resigned: () => {
        if (owner !== undefined) markers.cancel(owner);
      },
    });
    this.#driver = driver;
    driver.open();
  }

  /** What a request is told instead of an answer; None while transactions are served. */
  get error(): ErrorCode {
    return this.#driver.error;
  }

  /** Resolves with the shard's answer once it is committed, else with what `failed` makes of the error. */
  ask<Response>(
    decide: (shard: TransactionShard, now: Instant) => TransactionOutcome<Response>,
    failed: (error: ErrorCode) => Response,
  ): Promise<Response> {
    return this.#driver.ask(decide, failed);
  }

  /** As `ask`, of what changes nothing, and rests on the records of these transactional ids alone; undefined: on all. */
  read<Response>(
    answer: (shard: TransactionShard, now: Instant) => Response,
    failed: (error: ErrorCode) => Response,
    transactionalIds?: readonly string[],
  ): Promise<Response> {
    return this.#driver.read(answer, failed, transactionalIds);
  }

  /** See TransactionShard.counts; nothing while transactions are not served. */
  get counts(): Iterable<readonly [TransactionState, number]> {
    return this.error === ErrorCode.None ? this.#driver.shard.counts : [];
  }

  /** The partition goes away; what waits for its log is answered by the partition. */
  close(): void {
    this.#driver.close();
  }
}
