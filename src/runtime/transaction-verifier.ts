/** Before the first append of a transaction to a partition its coordinator is asked (KIP-890). */
import type { Deadline, Deadlines } from '#base/deadlines';
import type { Clock } from '#base/ports';
import { coordinatorPartition } from '#coordinator/coordinator-partition';
import { fitsRecord } from '#coordinator/group-records';
import type { ProducedBatch, Verification } from '#log/verifications';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { type NodeId, partitionName } from '#model/ids';
import { TRANSACTIONS_TOPIC } from '#model/internal-topics';
import {
  type AddPartitionsToTxnRequestInput,
  writeAddPartitionsToTxnRequest,
} from '#protocol/generated/add-partitions-to-txn-request';
import {
  type AddPartitionsToTxnResponse,
  readAddPartitionsToTxnResponse,
} from '#protocol/generated/add-partitions-to-txn-response';
import { ApiKey } from '#protocol/generated/apis';
import type { BrokerRequests, WireApi } from './broker-requests.ts';
import type { Partition } from './partition.ts';

const ADD_PARTITIONS: WireApi<AddPartitionsToTxnRequestInput, AddPartitionsToTxnResponse> = {
  key: ApiKey.AddPartitionsToTxn,
  write: writeAddPartitionsToTxnRequest,
  read: readAddPartitionsToTxnResponse,
};
/** The first with TRANSACTION_ABORTABLE; 4 was the first for brokers. */
const ADD_PARTITIONS_VERSION = 5;
/** Transactions in one request to a coordinator. */
const BATCH_MAX = 500;

/** The producer of a request, and what its client understands. */
export interface TransactionalProducer {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
  /**
   * The coordinator is to add the partitions, where it would else only confirm that they were added (transaction.version 2). The version
   * of the request tells: its client holds on to what it has begun with, whatever level the cluster has by now, or this broker knows of.
   */
  readonly adds: boolean;
  /** Whether it knows TRANSACTION_ABORTABLE. */
  readonly knowsAbortable: boolean;
}

/** A transactional batch that is to be appended. */
export interface VerifiedAppend {
  readonly partition: Partition;
  /** Its first batch. */
  readonly header: ProducedBatch;
}

/** How an append may go on: with what `Partition.append` asks for, or not at all. */
export type Verdict =
  | { readonly error: typeof ErrorCode.None; readonly verification: Verification | 'waived' | undefined }
  | { readonly error: ErrorCode; readonly verification?: undefined };

export interface TransactionVerifierParts {
  readonly clock: Pick<Clock, 'now'>;
  readonly deadlines: Deadlines;
  readonly image: Pick<MetadataImage, 'topic'>;
  readonly requests: BrokerRequests;
  config(): {
    readonly transactionPartitionVerificationEnable: boolean;
    readonly addPartitionsToTxnRetryBackoffMs: number;
    readonly addPartitionsToTxnRetryBackoffMaxMs: number;
  };
}

/** What one producer asks of its coordinator. */
interface Question {
  readonly producer: TransactionalProducer;
  readonly partitions: readonly Partition[];
  /** By partition name; those that are missing are confirmed. Called once. */
  readonly answered: (errors: ReadonlyMap<string, ErrorCode> | ErrorCode) => void;
  /** Its own, wherever it waits and whatever it was sent with. */
  readonly deadline: Deadline;
}

/** A broker that coordinates transactions: one request at a time, which takes what has gathered meanwhile. */
interface Coordinator {
  readonly waiting: Set<Question>;
  /** Those that still wait for the answer to the request under way. */
  readonly sent: Set<Question>;
  /** A request is under way, if perhaps for nobody any longer. */
  isBusy: boolean;
}

/**
 * Asks each coordinator one request at a time, which holds the questions of all producers that came meanwhile. Of a transactional id there
 * is one at a time: a second one waits for the next request. A question goes with its coordinator, to whichever broker that moves, and
 * waits no longer than its producer does.
 */
export class TransactionVerifier {
  readonly #parts: TransactionVerifierParts;
  /** As many as brokers that were asked; their questions are bounded by the requests of producers that the node has memory for. */
  readonly #coordinators = new Map<NodeId, Coordinator>();

  constructor(parts: TransactionVerifierParts) {
    this.#parts = parts;
  }

  /**
   * One verdict per append, in their order. Those of a transaction that has begun in their partition go on at once. While the producer's
   * transaction before is still being ended, whoever adds partitions waits a little: asking again is cheaper than for its client.
   */
  async verify(
    appends: readonly VerifiedAppend[],
    producer: TransactionalProducer,
    timeoutMs: number,
  ): Promise<readonly Verdict[]> {
    const { clock, config } = this.#parts;
    if (!producer.adds && !config().transactionPartitionVerificationEnable)
      return appends.map(() => ({ error: ErrorCode.None, verification: 'waived' }));
    const until = clock.now() + Math.min(config().addPartitionsToTxnRetryBackoffMaxMs, timeoutMs);
    for (;;) {
      const verdicts = await this.#once(appends, producer, timeoutMs);
      const isEarly = verdicts.some(({ error }) => error === ErrorCode.ConcurrentTransactions);
      if (!producer.adds || !isEarly || clock.now() >= until) return verdicts;
      await this.#pause(config().addPartitionsToTxnRetryBackoffMs);
    }
  }

  /** Others lead: who does not coordinate any longer has no answer that counts. */
  leadersChanged(): void {
    const moved: Question[] = [];
    for (const [broker, { waiting, sent }] of this.#coordinators)
      for (const questions of [sent, waiting])
        for (const question of questions) {
          if (this.#coordinatorOf(question.producer.transactionalId) === broker) continue;
          questions.delete(question);
          moved.push(question);
        }
    this.#dispatch(moved);
  }

  async #once(
    appends: readonly VerifiedAppend[],
    producer: TransactionalProducer,
    timeoutMs: number,
  ): Promise<readonly Verdict[]> {
    const begun = appends.map(({ partition, header }) => partition.beginVerification(header, producer.adds));
    const partitions = appends.flatMap(({ partition }, place) => (typeof begun[place] === 'object' ? [partition] : []));
    const errors = partitions.length === 0 ? new Map() : await this.#ask(producer, partitions, timeoutMs);
    return appends.map(({ partition }, place): Verdict => {
      const verification = begun[place];
      if (verification === undefined || verification === 'open')
        return { error: ErrorCode.None, verification: undefined };
      if (typeof verification === 'number') return { error: verification };
      const error = typeof errors === 'number' ? errors : errors.get(nameOf(partition));
      return error === undefined ? { error: ErrorCode.None, verification } : { error: asToldTo(producer, error) };
    });
  }

  #ask(
    producer: TransactionalProducer,
    partitions: readonly Partition[],
    timeoutMs: number,
  ): Promise<ReadonlyMap<string, ErrorCode> | ErrorCode> {
    // No coordinator has taken such an id.
    if (!fitsRecord(producer.transactionalId)) return Promise.resolve(ErrorCode.InvalidProducerIdMapping);
    return new Promise((answered) => {
      const deadline = this.#parts.deadlines.after(timeoutMs, () => this.#overdue(question));
      const question: Question = { producer, partitions, answered, deadline };
      this.#dispatch([question]);
    });
  }

  /** To their coordinators, as the metadata have them now. */
  #dispatch(questions: readonly Question[]): void {
    const touched = new Set<NodeId>();
    for (const question of questions) {
      const broker = this.#coordinatorOf(question.producer.transactionalId);
      if (broker === undefined) this.#answer(question, ErrorCode.CoordinatorNotAvailable);
      else {
        this.#coordinator(broker).waiting.add(question);
        touched.add(broker);
      }
    }
    for (const broker of touched) this.#flush(broker);
  }

  #coordinatorOf(transactionalId: string): NodeId | undefined {
    const topic = this.#parts.image.topic(TRANSACTIONS_TOPIC);
    if (topic === undefined) return undefined;
    return topic.partitions[coordinatorPartition(transactionalId, topic.partitions.length)]?.leader ?? undefined;
  }

  #flush(broker: NodeId): void {
    const coordinator = this.#coordinator(broker);
    if (coordinator.isBusy || coordinator.waiting.size === 0) return;
    const chosen = new Map<string, Question>();
    for (const question of coordinator.waiting) {
      if (chosen.size >= BATCH_MAX) break;
      const { transactionalId } = question.producer;
      if (chosen.has(transactionalId)) continue;
      chosen.set(transactionalId, question);
      coordinator.waiting.delete(question);
    }
    void this.#send(broker, coordinator, [...chosen.values()]);
  }

  async #send(broker: NodeId, coordinator: Coordinator, questions: readonly Question[]): Promise<void> {
    const { clock, requests } = this.#parts;
    const { sent } = coordinator;
    coordinator.isBusy = true;
    for (const question of questions) sent.add(question);
    const timeoutMs = Math.max(...questions.map(({ deadline }) => deadline.at)) - clock.now();
    const request = { transactions: questions.map(transactionOf) };
    const response = await requests.send(broker, ADD_PARTITIONS, ADD_PARTITIONS_VERSION, request, timeoutMs);
    for (const question of sent) this.#answer(question, answerTo(question.producer.transactionalId, response));
    sent.clear();
    coordinator.isBusy = false;
    this.#flush(broker);
  }

  #overdue(question: Question): void {
    for (const { waiting, sent } of this.#coordinators.values()) {
      waiting.delete(question);
      sent.delete(question);
    }
    this.#answer(question, ErrorCode.NetworkException);
  }

  #answer({ deadline, answered }: Question, errors: ReadonlyMap<string, ErrorCode> | ErrorCode): void {
    this.#parts.deadlines.cancel(deadline);
    answered(errors);
  }

  #coordinator(broker: NodeId): Coordinator {
    let coordinator = this.#coordinators.get(broker);
    if (coordinator === undefined) {
      coordinator = { waiting: new Set(), sent: new Set(), isBusy: false };
      this.#coordinators.set(broker, coordinator);
    }
    return coordinator;
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.deadlines.after(delayMs, resolve);
    });
  }
}

function nameOf({ topic, index }: Partition): string {
  return partitionName(topic, index);
}

function transactionOf({ producer, partitions }: Question) {
  const { transactionalId, producerId, producerEpoch, adds } = producer;
  const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([name, ofTopic]) => ({
    name,
    partitions: ofTopic.map(({ index }) => index),
  }));
  return { transactionalId, producerId, producerEpoch, verifyOnly: !adds, topics };
}

function answerTo(
  transactionalId: string,
  response: AddPartitionsToTxnResponse | undefined,
): ReadonlyMap<string, ErrorCode> | ErrorCode {
  if (response === undefined) return ErrorCode.NetworkException;
  const { errorCode, resultsByTransaction } = response;
  // A client has no use for what another broker is not allowed to do.
  if (errorCode === ErrorCode.ClusterAuthorizationFailed) return ErrorCode.InvalidTxnState;
  if (errorCode !== ErrorCode.None) return errorCode as ErrorCode;
  const result = resultsByTransaction.find((transaction) => transaction.transactionalId === transactionalId);
  if (result === undefined) return ErrorCode.NetworkException;
  const errors = new Map<string, ErrorCode>();
  for (const { name, resultsByPartition } of result.topicResults)
    for (const { partitionIndex, partitionErrorCode } of resultsByPartition)
      if (partitionErrorCode !== ErrorCode.None)
        errors.set(partitionName(name, partitionIndex), partitionErrorCode as ErrorCode);
  return errors;
}

/** What producers know how to handle. */
function asToldTo({ knowsAbortable }: TransactionalProducer, error: ErrorCode): ErrorCode {
  if (error === ErrorCode.ProducerFenced) return ErrorCode.InvalidProducerEpoch;
  return error === ErrorCode.TransactionAbortable && !knowsAbortable ? ErrorCode.InvalidTxnState : error;
}
