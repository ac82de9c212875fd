import { assert } from '#base/assert';
import type { Mono } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { NO_PLANTED_BUGS, type PlantedBugs } from '#model/planted-bugs';
import type { CoordinatorRecord, Instant } from './effects.ts';
import { fitsRecord } from './group-records.ts';
import { Schedule, type Scheduled } from './schedule.ts';
import type {
  AddPartitionsCommand,
  DescribedTransaction,
  EndTransactionCommand,
  EndTransactionResponse,
  InitProducerIdCommand,
  InitProducerIdResponse,
  ListedTransaction,
  ListTransactionsCommand,
  MarkerOrder,
  TransactionEffects,
  TransactionOutcome,
  VerifyPartitionsCommand,
  VerifyPartitionsResponse,
} from './transaction-commands.ts';
import { ABORTS_PER_TICK, RETRY_MS, TRANSACTIONAL_IDS_MAX, type TransactionConfig } from './transaction-config.ts';
import { TransactionExpiry } from './transaction-expiry.ts';
import { readTransactionRecord, transactionRecord } from './transaction-records.ts';
import {
  isPrepared,
  NO_EPOCH,
  NO_PARTITIONS,
  type TopicPartitions,
  type Transaction,
  TransactionState,
} from './transaction-state.ts';
import {
  abortForSuccessor,
  abortUnasked,
  addPartitions,
  completed,
  endedResponse,
  endTransaction,
  firstProducer,
  type Known,
  NOBODY,
  nextProducer,
  type StepContext,
  type TakeProducerId,
  verifyError,
} from './transaction-steps.ts';

interface Entry extends Scheduled {
  readonly transactionalId: string;
  transaction: Transaction;
  /** See Known. */
  lastEpoch: number;
}

export interface TransactionShardParts {
  readonly config: TransactionConfig;
  /** Of the cluster, now. */
  readonly transactionVersion: () => number;
  readonly takeProducerId: TakeProducerId;
  readonly planted?: PlantedBugs;
}

/**
 * The transactional ids of one partition of __transaction_state: a pure state machine, with GroupShard's life. What the log holds changes
 * through `replay` alone; memory is who may repeat a request, and when open transactions have run too long.
 */
export class TransactionShard {
  readonly #parts: TransactionShardParts;
  readonly #planted: PlantedBugs;
  /** Bounded by TRANSACTIONAL_IDS_MAX. */
  readonly #entries = new Map<string, Entry>();
  /** Ids by state. */
  readonly #counts = new Map<TransactionState, number>();
  /** Open transactions, by when their time is up. */
  readonly #timeouts = new Schedule<Entry>();
  /** From `loaded` on. */
  #expiry: TransactionExpiry | undefined;
  /** Time-outs are not looked at before. */
  #timeoutsFrom: Mono = 0;
  /** Of this decision, until its records are replayed: by id. */
  readonly #lastEpochs = new Map<string, number>();
  #decidedAt: Mono = 0;
  /** Whose markers are written and whose completion the log has refused; bounded by the entries. */
  readonly #refusedCompletions = new Map<string, MarkerOrder>();
  #completeAt: Mono = Number.POSITIVE_INFINITY;

  constructor(parts: TransactionShardParts) {
    this.#parts = parts;
    this.#planted = parts.planted ?? NO_PLANTED_BUGS;
  }

  /**
   * Applies a record of the log; borrowed. Before `loaded` any record, after it those just decided, in order. Gives the transactional id
   * that it is of.
   */
  replay(record: CoordinatorRecord): string | undefined {
    const read = readTransactionRecord(record);
    if (read.kind === 'unknown') return undefined;
    this.#replay(read.transactionalId, read.value);
    return read.transactionalId;
  }

  /** The whole log has been replayed: what was prepared is brought to its end. */
  loaded(now: Instant): TransactionEffects {
    this.#expiry = new TransactionExpiry(this.#parts.config, now.mono);
    const markers: MarkerOrder[] = [];
    for (const entry of this.#entries.values()) {
      const { state, startedAt, timeoutMs } = entry.transaction;
      if (isPrepared(state)) markers.push(orderOf(entry));
      if (state !== TransactionState.Ongoing) continue;
      // Another node's clock said when it began.
      const leftMs = Math.min(Math.max(startedAt + timeoutMs - now.wall, 0), timeoutMs);
      this.#timeouts.set(entry, now.mono + leftMs);
    }
    return { records: [], markers };
  }

  initProducerId(command: InitProducerIdCommand, now: Instant): TransactionOutcome<InitProducerIdResponse> {
    const context = this.#begin(now);
    const { transactionalId } = command;
    const refused = (errorCode: ErrorCode) => answer({ errorCode, ...NOBODY });
    const error = this.#initError(command);
    if (error !== ErrorCode.None) return refused(error);
    const entry = this.#entries.get(transactionalId);
    const next = entry === undefined ? firstProducer(command, context) : nextProducer(entry, command, context);
    if (typeof next === 'number') return refused(next);
    if (next === 'abort-first') {
      assert(entry !== undefined, 'somebody has a transaction to be aborted');
      const aborted = abortForSuccessor(entry, context);
      if (typeof aborted === 'number') return refused(aborted);
      return this.#step(transactionalId, aborted, { errorCode: ErrorCode.ConcurrentTransactions, ...NOBODY });
    }
    const { producerId, producerEpoch } = next.transaction;
    return this.#step(transactionalId, next, { errorCode: ErrorCode.None, producerId, producerEpoch });
  }

  addPartitions(command: AddPartitionsCommand, now: Instant): TransactionOutcome<ErrorCode> {
    const context = this.#begin(now);
    const { transactionalId } = command;
    const entry = this.#entries.get(transactionalId);
    if (entry === undefined) return answer(missing(transactionalId));
    const next = addPartitions(entry, command, context);
    return typeof next === 'number' ? answer(next) : this.#step(transactionalId, next, ErrorCode.None);
  }

  /** Whether the producer may write to the partitions without adding them (KIP-890). */
  verifyPartitions(command: VerifyPartitionsCommand): VerifyPartitionsResponse {
    const { transactionalId, partitions } = command;
    const entry = this.#entries.get(transactionalId);
    const errorCode = entry === undefined ? missing(transactionalId) : verifyError(entry.transaction, command);
    if (entry === undefined || errorCode !== ErrorCode.None) return { errorCode, missing: NO_PARTITIONS };
    return { errorCode, missing: without(partitions, entry.transaction.partitions) };
  }

  endTransaction(command: EndTransactionCommand, now: Instant): TransactionOutcome<EndTransactionResponse> {
    const context = this.#begin(now);
    const { transactionalId, clientVersion } = command;
    const entry = this.#entries.get(transactionalId);
    if (entry === undefined) return answer({ errorCode: missing(transactionalId), ...NOBODY });
    const next = endTransaction(entry, command, context);
    if (next === ErrorCode.None) return answer(endedResponse(entry.transaction, clientVersion));
    if (typeof next === 'number') return answer({ errorCode: next, ...NOBODY });
    return this.#step(transactionalId, next, endedResponse(next.transaction, clientVersion));
  }

  /** Every partition of the order has its marker, or is no more. */
  markersWritten(order: MarkerOrder, now: Instant): TransactionEffects {
    this.#begin(now);
    const record = this.#completion(order, now);
    return { records: record === undefined ? [] : [record], markers: [] };
  }

  /** An unknown id is undefined. */
  describe(transactionalId: string): DescribedTransaction | undefined {
    const transaction = this.#entries.get(transactionalId)?.transaction;
    if (transaction === undefined) return undefined;
    const { state, timeoutMs, startedAt, producerId, producerEpoch, partitions } = transaction;
    return { transactionalId, state, timeoutMs, startedAt, producerId, producerEpoch, partitions };
  }

  list(command: ListTransactionsCommand, now: Instant): readonly ListedTransaction[] {
    const listed: ListedTransaction[] = [];
    for (const { transactionalId, transaction } of this.#entries.values()) {
      const { producerId, state, startedAt } = transaction;
      if (command.producerIds?.has(producerId) === false || command.states?.has(state) === false) continue;
      if (command.longerThanMs >= 0 && now.wall - startedAt <= command.longerThanMs) continue;
      listed.push({ transactionalId, producerId, state });
    }
    return listed;
  }

  /** How many ids are in each state that has any: as replayed, durable or not; borrowed. */
  get counts(): ReadonlyMap<TransactionState, number> {
    return this.#counts;
  }

  /** When `tick` has something to do; Infinity if never. */
  nextDeadline(): Mono {
    if (this.#expiry === undefined) return Number.POSITIVE_INFINITY;
    const timeouts = Math.max(this.#timeouts.nextDueAt, this.#timeoutsFrom);
    return Math.min(timeouts, this.#completeAt, this.#expiry.nextDueAt);
  }

  /** Does a bounded part of what is due, after which nextDeadline is in the past if more is due. */
  tick(now: Instant): TransactionEffects {
    const context = this.#begin(now);
    const records: CoordinatorRecord[] = [];
    const markers: MarkerOrder[] = [];
    if (now.mono >= this.#timeoutsFrom) this.#abortOverdue(context, now.mono, records, markers);
    if (now.mono >= this.#completeAt) this.#completeRefused(now, records);
    records.push(...(this.#expiry?.run(this.#entries, now) ?? []));
    return { records, markers };
  }

  /** The append of `effects` was refused and none of it was replayed: what was due stays due. */
  refused(effects: TransactionEffects, _appendError: ErrorCode, now: Instant): TransactionEffects {
    this.#lastEpochs.clear();
    for (const record of effects.records) {
      const read = readTransactionRecord(record);
      if (read.kind === 'unknown') continue;
      const entry = this.#entries.get(read.transactionalId);
      if (entry === undefined) continue;
      if (entry.transaction.state === TransactionState.Ongoing) {
        // It was taken out to be aborted, unless its producer tried to end or extend it.
        if (entry.place < 0) this.#abortLater(entry, now.mono);
      } else if (isPrepared(entry.transaction.state)) {
        this.#refusedCompletions.set(entry.transactionalId, orderOf(entry));
        this.#completeAt = now.mono + RETRY_MS;
      }
    }
    return { records: [], markers: [] };
  }

  #replay(transactionalId: string, value: Transaction | undefined): void {
    const present = this.#entries.get(transactionalId);
    if (present !== undefined) this.#count(present.transaction.state, -1);
    if (value !== undefined) this.#count(value.state, 1);
    if (value === undefined) {
      if (present === undefined) return;
      this.#timeouts.set(present, Number.POSITIVE_INFINITY);
      this.#entries.delete(transactionalId);
      return;
    }
    const wasOngoing = present?.transaction.state === TransactionState.Ongoing;
    const entry = present ?? this.#newEntry(transactionalId, value);
    entry.transaction = value;
    entry.lastEpoch = this.#lastEpochs.get(transactionalId) ?? NO_EPOCH;
    if (this.#expiry === undefined) return;
    if (value.state !== TransactionState.Ongoing) this.#timeouts.set(entry, Number.POSITIVE_INFINITY);
    else if (!wasOngoing) this.#timeouts.set(entry, this.#decidedAt + value.timeoutMs);
  }

  #initError({ transactionalId, timeoutMs }: InitProducerIdCommand): ErrorCode {
    if (transactionalId === '' || !fitsRecord(transactionalId)) return ErrorCode.InvalidRequest;
    if (timeoutMs <= 0 || timeoutMs > this.#parts.config.timeoutMsMax) return ErrorCode.InvalidTransactionTimeout;
    const isFull = this.#entries.size >= TRANSACTIONAL_IDS_MAX && !this.#entries.has(transactionalId);
    return isFull ? ErrorCode.CoordinatorNotAvailable : ErrorCode.None;
  }

  #begin(now: Instant): StepContext {
    this.#lastEpochs.clear();
    this.#decidedAt = now.mono;
    const { transactionVersion, takeProducerId } = this.#parts;
    return { now: now.wall, version: transactionVersion(), takeProducerId, planted: this.#planted };
  }

  #step<Response>(transactionalId: string, next: Known, response: Response): TransactionOutcome<Response> {
    const markers = isPrepared(next.transaction.state) ? [orderOf({ transactionalId, ...next })] : [];
    return { records: [this.#record(transactionalId, next)], markers, response };
  }

  #record(transactionalId: string, { transaction, lastEpoch }: Known): CoordinatorRecord {
    this.#lastEpochs.set(transactionalId, lastEpoch);
    return transactionRecord(transactionalId, transaction, this.#parts.transactionVersion());
  }

  /** Undefined if the order is not of the transaction that is prepared now. */
  #completion(
    { transactionalId, producerId, producerEpoch }: MarkerOrder,
    now: Instant,
  ): CoordinatorRecord | undefined {
    const entry = this.#entries.get(transactionalId);
    if (entry === undefined || !isPrepared(entry.transaction.state)) return undefined;
    const { transaction } = entry;
    if (transaction.producerId !== producerId || transaction.producerEpoch !== producerEpoch) return undefined;
    return this.#record(transactionalId, completed(entry, now.wall));
  }

  #completeRefused(now: Instant, records: CoordinatorRecord[]): void {
    this.#completeAt = Number.POSITIVE_INFINITY;
    for (const order of this.#refusedCompletions.values()) {
      const record = this.#completion(order, now);
      if (record !== undefined) records.push(record);
    }
    this.#refusedCompletions.clear();
  }

  #abortOverdue(context: StepContext, now: Mono, records: CoordinatorRecord[], markers: MarkerOrder[]): void {
    for (let count = 0; count < ABORTS_PER_TICK; count += 1) {
      const entry = this.#timeouts.take(now);
      if (entry === undefined) {
        if (records.length > 0) this.#timeoutsFrom = now + this.#parts.config.timeoutCheckIntervalMs;
        return;
      }
      const aborted = abortUnasked(entry, context);
      if (typeof aborted === 'number') return this.#abortLater(entry, now);
      records.push(this.#record(entry.transactionalId, aborted));
      markers.push(orderOf({ transactionalId: entry.transactionalId, ...aborted }));
    }
  }

  #abortLater(entry: Entry, now: Mono): void {
    this.#timeouts.set(entry, now + RETRY_MS);
    this.#timeoutsFrom = now + RETRY_MS;
  }

  #count(state: TransactionState, change: number): void {
    const count = (this.#counts.get(state) ?? 0) + change;
    if (count === 0) this.#counts.delete(state);
    else this.#counts.set(state, count);
  }

  #newEntry(transactionalId: string, transaction: Transaction): Entry {
    const dueAt = Number.POSITIVE_INFINITY;
    const entry: Entry = { transactionalId, transaction, lastEpoch: NO_EPOCH, dueAt, place: -1 };
    this.#entries.set(transactionalId, entry);
    return entry;
  }
}

function answer<Response>(response: Response): TransactionOutcome<Response> {
  return { records: [], markers: [], response };
}

function missing(transactionalId: string): ErrorCode {
  return transactionalId === '' ? ErrorCode.InvalidRequest : ErrorCode.InvalidProducerIdMapping;
}

function orderOf({
  transactionalId,
  transaction,
}: {
  readonly transactionalId: string;
  readonly transaction: Transaction;
}): MarkerOrder {
  const { producerId, producerEpoch, state, partitions, clientVersion } = transaction;
  const isCommit = state === TransactionState.PrepareCommit;
  return { transactionalId, producerId, producerEpoch, isCommit, partitions, transactionVersion: clientVersion };
}

function without(wanted: TopicPartitions, held: TopicPartitions): TopicPartitions {
  const left = new Map<string, ReadonlySet<number>>();
  for (const [topic, partitions] of wanted) {
    const of = held.get(topic);
    const rest = [...partitions].filter((partition) => of?.has(partition) !== true);
    if (rest.length > 0) left.set(topic, new Set(rest));
  }
  return left;
}
