/**
 * How a transactional id gets from one state to the next (KIP-98, KIP-360, KIP-890): pure functions over what the log says of it. Each
 * gives a step, or the error that stands in its way.
 */
import { assert } from '#base/assert';
import type { Timestamp } from '#base/ports';
import { ErrorCode } from '#model/errors';
import type { PlantedBugs } from '#model/planted-bugs';
import type {
  AddPartitionsCommand,
  EndTransactionCommand,
  EndTransactionResponse,
  InitProducerIdCommand,
  ProducerIdentity,
} from './transaction-commands.ts';
import {
  EPOCH_MAX,
  FIRST_WITH_EPOCH_BUMP,
  hasAll,
  isExhausted,
  isPrepared,
  joinPartitions,
  NO_EPOCH,
  NO_PARTITIONS,
  NO_PRODUCER_ID,
  type Transaction,
  TransactionState,
} from './transaction-state.ts';

/** A transactional id as the log and memory know it. */
export interface Known {
  readonly transaction: Transaction;
  /** The epoch before the last bump, if a request that still names it is taken for a repetition; else negative. Memory only. */
  readonly lastEpoch: number;
}

/** As `lastEpoch`: a successor's coming has bumped the epoch, so that whoever had the one before is fenced, and repeats nothing. */
const FENCED_BY_SUCCESSOR = -2;

/** A new producer id; undefined: there is none now, but there will be. */
export type TakeProducerId = () => number | undefined;

export interface StepContext {
  readonly now: Timestamp;
  /** The cluster's transaction.version. */
  readonly version: number;
  readonly takeProducerId: TakeProducerId;
  readonly planted: PlantedBugs;
}

export const NOBODY: ProducerIdentity = { producerId: NO_PRODUCER_ID, producerEpoch: NO_EPOCH };

/** As Kafka's brokers say it while they wait for a block of ids: clients try again. */
const NO_ID_YET = ErrorCode.CoordinatorLoadInProgress;

/** A transactional id that nobody has used, or that was forgotten. */
export function firstProducer({ timeoutMs }: InitProducerIdCommand, context: StepContext): Known | ErrorCode {
  const producerId = context.takeProducerId();
  if (producerId === undefined) return NO_ID_YET;
  const transaction: Transaction = {
    producerId,
    previousProducerId: producerId,
    nextProducerId: NO_PRODUCER_ID,
    producerEpoch: 0,
    nextProducerEpoch: NO_EPOCH,
    timeoutMs,
    state: TransactionState.Empty,
    partitions: NO_PARTITIONS,
    updatedAt: context.now,
    startedAt: -1,
    clientVersion: 0,
  };
  return { transaction, lastEpoch: NO_EPOCH };
}

/** Fences the producer before, whose open transaction is to be aborted first ('abort-first'). */
export function nextProducer(
  known: Known,
  { timeoutMs, expected }: InitProducerIdCommand,
  context: StepContext,
): Known | ErrorCode | 'abort-first' {
  const { transaction, lastEpoch } = known;
  if (isPrepared(transaction.state)) return ErrorCode.ConcurrentTransactions;
  if (expected !== undefined && !mayGoOn(transaction, expected)) return ErrorCode.ProducerFenced;
  // PLANTED BUG init-forgets-open-transaction: the new producer begins at once, and nobody ends what the old one has begun.
  const isForgotten = context.planted.has('init-forgets-open-transaction');
  if (transaction.state === TransactionState.Ongoing && !isForgotten) {
    // Kafka lets a producer with an old epoch abort the transaction of its successor here.
    const isStale = expected !== undefined && identityError(transaction, expected) !== ErrorCode.None;
    return isStale ? ErrorCode.ProducerFenced : 'abort-first';
  }
  const isCurrent = expected === undefined || identityError(transaction, expected) === ErrorCode.None;
  // A repetition of a request whose answer got lost: somebody new would have left no last epoch behind.
  const isRepeated = !isCurrent && lastEpoch >= 0 && expected.producerEpoch === lastEpoch;
  if (!isCurrent && !isRepeated) return ErrorCode.ProducerFenced;
  let identity: ProducerIdentity = transaction;
  if (isCurrent && isExhausted(transaction.producerEpoch)) {
    const producerId = context.takeProducerId();
    if (producerId === undefined) return NO_ID_YET;
    identity = { producerId, producerEpoch: 0 };
  } else if (isCurrent) {
    // PLANTED BUG init-without-epoch: the new producer is given the epoch that the old one has.
    const step = context.planted.has('init-without-epoch') ? 0 : 1;
    identity = { producerId: transaction.producerId, producerEpoch: transaction.producerEpoch + step };
  }
  const bumpedFrom = expected === undefined ? NO_EPOCH : transaction.producerEpoch;
  return {
    transaction: {
      ...changed(transaction, context),
      producerId: identity.producerId,
      // However often it is repeated.
      previousProducerId: isRepeated ? transaction.previousProducerId : transaction.producerId,
      producerEpoch: identity.producerEpoch,
      timeoutMs,
      state: TransactionState.Empty,
      partitions: NO_PARTITIONS,
      startedAt: -1,
    },
    lastEpoch: isRepeated ? lastEpoch : bumpedFrom,
  };
}

/** Whether the producer is the present one, or may be: its epochs were used up, and the answer that named its new id was lost. */
function mayGoOn(transaction: Transaction, expected: ProducerIdentity): boolean {
  if (expected.producerId === transaction.producerId) return true;
  return expected.producerId === transaction.previousProducerId && isExhausted(expected.producerEpoch);
}

/** None: they are in the transaction already. */
export function addPartitions(known: Known, command: AddPartitionsCommand, context: StepContext): Known | ErrorCode {
  const { transaction, lastEpoch } = known;
  // Before all else: with the end of the transaction before the producer may get another id, which it knows already.
  if (isPrepared(transaction.state)) return ErrorCode.ConcurrentTransactions;
  const error = identityError(transaction, command);
  if (error !== ErrorCode.None) return error;
  const isOngoing = transaction.state === TransactionState.Ongoing;
  if (isOngoing && hasAll(transaction.partitions, command.partitions)) return ErrorCode.None;
  return {
    transaction: {
      ...changed(transaction, context),
      state: TransactionState.Ongoing,
      partitions: joinPartitions(transaction.partitions, command.partitions),
      startedAt: isOngoing ? transaction.startedAt : context.now,
      clientVersion: command.clientVersion,
    },
    lastEpoch,
  };
}

/** Whoever writes to partitions of the transaction is its producer, and it is open, or none was begun. */
export function verifyError(transaction: Transaction, producer: ProducerIdentity): ErrorCode {
  const error = identityError(transaction, producer);
  if (error !== ErrorCode.None) return error;
  return isPrepared(transaction.state) ? ErrorCode.ConcurrentTransactions : ErrorCode.None;
}

function identityError(transaction: Transaction, producer: ProducerIdentity): ErrorCode {
  if (producer.producerId !== transaction.producerId) return ErrorCode.InvalidProducerIdMapping;
  return producer.producerEpoch === transaction.producerEpoch ? ErrorCode.None : ErrorCode.ProducerFenced;
}

/** None: it has ended like that already. */
export function endTransaction(known: Known, command: EndTransactionCommand, context: StepContext): Known | ErrorCode {
  return command.clientVersion >= FIRST_WITH_EPOCH_BUMP
    ? endWithBump(known, command, context)
    : endWithoutBump(known, command, context);
}

/** By transaction.version 0 and 1: the epoch stays, so that a repetition cannot be told from the end of a later transaction. */
function endWithoutBump(known: Known, command: EndTransactionCommand, context: StepContext): Known | ErrorCode {
  const { transaction } = known;
  const error = identityError(transaction, command);
  if (error !== ErrorCode.None) return error;
  if (isPrepared(transaction.state)) return ErrorCode.ConcurrentTransactions;
  if (transaction.state === TransactionState.Ongoing) return prepared(known, command.isCommit, 0, context);
  return transaction.state === completeState(command.isCommit) ? ErrorCode.None : ErrorCode.InvalidTxnState;
}

/**
 * By transaction.version 2 (KIP-890). With the epoch before the bump it is a repetition, which has to want the outcome that there was.
 * An abort is always possible: a producer may not know whether the coordinator has heard of its partitions.
 */
function endWithBump(known: Known, command: EndTransactionCommand, context: StepContext): Known | ErrorCode {
  const { transaction, lastEpoch } = known;
  const { state } = transaction;
  if (isPrepared(state)) return ErrorCode.ConcurrentTransactions;
  const isComplete = state === TransactionState.CompleteCommit || state === TransactionState.CompleteAbort;
  // Kafka 4.3 takes the abort of a fenced producer for one, and gives it the epoch that its successor is waiting to get past.
  const isRepeated = isComplete && lastEpoch !== FENCED_BY_SUCCESSOR && isRepetition(transaction, command);
  if (!isRepeated) {
    const error = identityError(transaction, command);
    if (error !== ErrorCode.None) return error;
  } else if (state === completeState(command.isCommit)) {
    return ErrorCode.None;
  } else {
    // A commit that comes after the coordinator's own abort, when the time was up, ends like that of any fenced producer
    // (KAFKA-20785); Kafka 4.3 calls it INVALID_TXN_STATE, from which no application recovers.
    return command.isCommit ? ErrorCode.ProducerFenced : ErrorCode.InvalidTxnState;
  }
  if (state !== TransactionState.Ongoing && command.isCommit) return ErrorCode.InvalidTxnState;
  return prepared(known, command.isCommit, command.clientVersion, context);
}

function isRepetition(transaction: Transaction, asked: ProducerIdentity): boolean {
  const { producerId, previousProducerId, producerEpoch, clientVersion } = transaction;
  // An end that did not bump has left the epoch below to somebody else.
  if (clientVersion < FIRST_WITH_EPOCH_BUMP) return false;
  if (asked.producerId === producerId) return asked.producerEpoch + 1 === producerEpoch;
  return asked.producerId === previousProducerId && asked.producerEpoch === EPOCH_MAX - 1 && producerEpoch === 0;
}

function completeState(isCommit: boolean): TransactionState {
  return isCommit ? TransactionState.CompleteCommit : TransactionState.CompleteAbort;
}

/** The abort of a transaction whose producer has a successor: it may not go on, as long as this coordinator knows. */
export function abortForSuccessor(known: Known, context: StepContext): Known | ErrorCode {
  const aborted = abortUnasked(known, context);
  return typeof aborted === 'number' ? aborted : { ...aborted, lastEpoch: FENCED_BY_SUCCESSOR };
}

/** The coordinator's own abort of a transaction that has run too long; with transaction.version 2 its producer may abort it too, and go on. */
export function abortUnasked(known: Known, context: StepContext): Known | ErrorCode {
  const { transaction } = known;
  assert(transaction.state === TransactionState.Ongoing, 'only an open transaction is aborted unasked');
  if (context.version >= FIRST_WITH_EPOCH_BUMP) return prepared(known, false, context.version, context);
  const producerEpoch = Math.min(transaction.producerEpoch + 1, EPOCH_MAX);
  return prepared({ transaction: { ...transaction, producerEpoch }, lastEpoch: NO_EPOCH }, false, 0, context);
}

/** The outcome is decided; markers carry what it says from here on. */
function prepared(known: Known, isCommit: boolean, clientVersion: number, context: StepContext): Known | ErrorCode {
  const { transaction } = known;
  const { producerEpoch } = transaction;
  // PLANTED BUG end-without-epoch: the epoch stays, whatever the protocol says.
  const bumps = clientVersion >= FIRST_WITH_EPOCH_BUMP && !context.planted.has('end-without-epoch');
  let nextProducerId: number = NO_PRODUCER_ID;
  if (bumps && isExhausted(producerEpoch)) {
    const taken = context.takeProducerId();
    if (taken === undefined) return NO_ID_YET;
    nextProducerId = taken;
  }
  return {
    transaction: {
      ...changed(transaction, context),
      nextProducerId,
      producerEpoch: bumps ? Math.min(producerEpoch + 1, EPOCH_MAX) : producerEpoch,
      state: isCommit ? TransactionState.PrepareCommit : TransactionState.PrepareAbort,
      // One that was never begun needs a start all the same.
      startedAt: transaction.state === TransactionState.Ongoing ? transaction.startedAt : context.now,
      clientVersion,
    },
    lastEpoch: bumps ? producerEpoch : known.lastEpoch,
  };
}

/** All markers are written. */
export function completed({ transaction, lastEpoch }: Known, now: Timestamp): Known {
  assert(isPrepared(transaction.state), 'only what was prepared is completed');
  const { producerId, producerEpoch } = goesOnWith(transaction);
  return {
    transaction: {
      ...changed(transaction, { now }),
      producerId,
      nextProducerId: NO_PRODUCER_ID,
      producerEpoch,
      state: completeState(transaction.state === TransactionState.PrepareCommit),
      partitions: NO_PARTITIONS,
    },
    lastEpoch,
  };
}

/** What the producer of a prepared transaction has afterwards. */
function goesOnWith({ producerId, producerEpoch, nextProducerId }: Transaction): ProducerIdentity {
  return nextProducerId === NO_PRODUCER_ID
    ? { producerId, producerEpoch }
    : { producerId: nextProducerId, producerEpoch: 0 };
}

/** What a producer is told of the end of its transaction: whether prepared or complete, it goes on with the same. */
export function endedResponse(transaction: Transaction, clientVersion: number): EndTransactionResponse {
  const identity = clientVersion >= FIRST_WITH_EPOCH_BUMP ? goesOnWith(transaction) : NOBODY;
  return { errorCode: ErrorCode.None, producerId: identity.producerId, producerEpoch: identity.producerEpoch };
}

function changed(transaction: Transaction, { now }: { readonly now: Timestamp }): Transaction {
  // The clock may have been set back.
  const updatedAt = Math.max(now, transaction.updatedAt);
  return { ...transaction, previousProducerId: transaction.producerId, updatedAt };
}
