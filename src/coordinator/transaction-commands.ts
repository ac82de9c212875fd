/** What the transaction coordinator is asked and answers, apart from what depends on the version of a request. */
import type { ErrorCode } from '#model/errors';
import type { CoordinatorRecord } from './effects.ts';
import type { TopicPartitions, TransactionState } from './transaction-state.ts';

/** A producer as it names itself. */
export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface InitProducerIdCommand {
  readonly transactionalId: string;
  readonly timeoutMs: number;
  /** What a producer that goes on after an error has (KIP-360); undefined: a new process, which fences the one before. */
  readonly expected: ProducerIdentity | undefined;
}

/** With an error id and epoch are -1. */
export interface InitProducerIdResponse extends ProducerIdentity {
  readonly errorCode: ErrorCode;
}

export interface AddPartitionsCommand extends ProducerIdentity {
  readonly transactionalId: string;
  readonly partitions: TopicPartitions;
  /** The transaction.version that the producer works by. */
  readonly clientVersion: number;
}

export interface VerifyPartitionsCommand extends ProducerIdentity {
  readonly transactionalId: string;
  readonly partitions: TopicPartitions;
}

export interface VerifyPartitionsResponse {
  /** Of all partitions alike. */
  readonly errorCode: ErrorCode;
  /** Those asked for that are not in the transaction; empty with an error. */
  readonly missing: TopicPartitions;
}

export interface EndTransactionCommand extends ProducerIdentity {
  readonly transactionalId: string;
  readonly isCommit: boolean;
  /** The transaction.version that the producer works by. */
  readonly clientVersion: number;
}

/** With what the producer goes on, if its version bumps the epoch; otherwise, and with an error, -1. */
export interface EndTransactionResponse extends ProducerIdentity {
  readonly errorCode: ErrorCode;
}

export interface DescribedTransaction extends ProducerIdentity {
  readonly transactionalId: string;
  readonly state: TransactionState;
  readonly timeoutMs: number;
  readonly startedAt: number;
  readonly partitions: TopicPartitions;
}

export interface ListTransactionsCommand {
  /** Undefined: any. */
  readonly states: ReadonlySet<TransactionState> | undefined;
  readonly producerIds: ReadonlySet<number> | undefined;
  /** Only those that have run for longer; negative: any. */
  readonly longerThanMs: number;
}

export interface ListedTransaction {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly state: TransactionState;
}

/** The outcome of a transaction, for the partitions that it wrote to. */
export interface MarkerOrder extends ProducerIdentity {
  readonly transactionalId: string;
  readonly isCommit: boolean;
  readonly partitions: TopicPartitions;
  readonly transactionVersion: number;
}

/**
 * What a decision asks for. The caller, before it makes the next decision, appends `records` as one batch and replays each of them into
 * the shard; if the append is refused it calls `refused` instead. Answers are sent, and markers written, only when everything replayed
 * so far is durable; once all partitions of an order have their marker, or are no more, `markersWritten` is told.
 */
export interface TransactionEffects {
  readonly records: readonly CoordinatorRecord[];
  readonly markers: readonly MarkerOrder[];
}

/** Effects, and the answer to the request that caused them. */
export interface TransactionOutcome<Response> extends TransactionEffects {
  readonly response: Response;
}
