/** What the log says of a transactional id, and its parts. */
import type { Timestamp } from '#base/ports';

/** Kafka's states by its numbers in the log; their keys are the names that tools print. */
export const TransactionState = {
  Empty: 0,
  Ongoing: 1,
  PrepareCommit: 2,
  PrepareAbort: 3,
  CompleteCommit: 4,
  CompleteAbort: 5,
  /** Neither this one nor the next is ever logged: a tombstone removes an expired id at once, */
  Dead: 6,
  /** and a fenced producer's transaction goes to PrepareAbort in the same decision. */
  PrepareEpochFence: 7,
} as const;
export type TransactionState = (typeof TransactionState)[keyof typeof TransactionState];

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(TransactionState).map(([name, state]): [number, string] => [state, name]),
);
const STATES: ReadonlyMap<string, TransactionState> = new Map(Object.entries(TransactionState));

export function stateName(state: TransactionState): string {
  return NAMES.get(state) ?? String(state);
}

export function stateNamed(name: string): TransactionState | undefined {
  return STATES.get(name);
}

/** Whether its outcome is decided and its markers are still to be written. */
export function isPrepared(state: TransactionState): boolean {
  return state === TransactionState.PrepareCommit || state === TransactionState.PrepareAbort;
}

export const NO_PRODUCER_ID = -1;
export const NO_EPOCH = -1;
/** Kept for the coordinator, so that a producer can be fenced once more: clients get lower ones. */
export const EPOCH_MAX = 0x7fff;
/** From this transaction.version on every end of a transaction bumps the epoch (KIP-890). */
export const FIRST_WITH_EPOCH_BUMP = 2;

/** A client may not get a higher epoch than this one: its producer goes on with another id. */
export function isExhausted(epoch: number): boolean {
  return epoch >= EPOCH_MAX - 1;
}

/** Partitions by topic. */
export type TopicPartitions = ReadonlyMap<string, ReadonlySet<number>>;

export const NO_PARTITIONS: TopicPartitions = new Map();

export interface Transaction {
  readonly producerId: number;
  /** Before the last change, whatever that was; -1: never had one. */
  readonly previousProducerId: number;
  /** With what a prepared transaction's producer goes on, if its epochs are used up; else -1. */
  readonly nextProducerId: number;
  readonly producerEpoch: number;
  /** -1: of two-phase commit (KIP-939), which is not served. */
  readonly nextProducerEpoch: number;
  readonly timeoutMs: number;
  readonly state: TransactionState;
  /** Those that need a marker. */
  readonly partitions: TopicPartitions;
  readonly updatedAt: Timestamp;
  /** -1 until the first partition is added. */
  readonly startedAt: Timestamp;
  /** The transaction.version of whoever added or ended last. */
  readonly clientVersion: number;
}

export function hasAll(held: TopicPartitions, wanted: TopicPartitions): boolean {
  for (const [topic, partitions] of wanted) {
    const of = held.get(topic);
    for (const partition of partitions) if (of?.has(partition) !== true) return false;
  }
  return true;
}

export function joinPartitions(held: TopicPartitions, more: TopicPartitions): TopicPartitions {
  const joined = new Map(held);
  for (const [topic, partitions] of more) joined.set(topic, new Set([...(joined.get(topic) ?? []), ...partitions]));
  return joined;
}

export function countPartitions(partitions: TopicPartitions): number {
  let count = 0;
  for (const of of partitions.values()) count += of.size;
  return count;
}
