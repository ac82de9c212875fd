import { ErrorCode, errorName } from '#model/errors';
import { buildBatch } from '#protocol/record-batch-builder';
import { check } from '../../checkers/violation.ts';
import { between } from '../../ports/sim-random.ts';
import type { Client } from '../client.ts';
import type { HistoryClient } from '../client-history.ts';
import type { DataTopic } from '../data-topics.ts';
import { Leaders } from '../leaders.ts';
import { Coordinators } from './coordinators.ts';
import { ADD_OFFSETS, ADD_PARTITIONS, PROTOCOLS, type TransactionVersion } from './transaction-calls.ts';
import type { Transaction, TransactionModel } from './transaction-model.ts';

const REQUEST_TIMEOUT_MS = 1500;
/** transaction.timeout.ms of these producers. */
export const TRANSACTION_TIMEOUT_MS = 5000;
const ALL = -1;
const RECORDS_MAX = 4;
const TRANSACTIONS_MAX = 6;
/** Requests that are refused for a while are sent again so often; then the process gives up, as one does whose user loses patience. */
const TRIES_MAX = 40;

/** 'again': the same may be asked again. 'over': another process has taken the id, or the state of things is another. */
type Verdict = 'done' | 'again' | 'over';

/** One life of a transactional producer: from the moment that it is given an epoch. */
interface Session {
  readonly version: TransactionVersion;
  producerId: number;
  epoch: number;
  /** The next sequence, by partition, in this epoch. */
  readonly sequences: Map<string, number>;
  /** A request without an answer may arrive later: with the first protocol it must not meet a later transaction (KIP-890). */
  isUnsure: boolean;
}

/**
 * A process that writes transactions under an id which another process uses too, so that each finds itself fenced now and then. It
 * writes unique values to some partitions, stores an offset, commits or aborts, and asks again over other connections until it is told
 * what came of it; some fall asleep in a transaction for longer than its time-out.
 */
export class TransactionalProducer {
  readonly client: Client;
  readonly transactionalId: string;
  readonly #topic: DataTopic;
  readonly #model: TransactionModel;
  readonly #leaders: Leaders;
  readonly #coordinators: Coordinators;
  readonly #history: HistoryClient;
  #valueCount = 0;
  /** When its last transaction that was committed began; −1 without one. */
  committedAt = -1;

  constructor(client: Client, transactionalId: string, topic: DataTopic, model: TransactionModel) {
    this.client = client;
    this.transactionalId = transactionalId;
    this.#topic = topic;
    this.#model = model;
    this.#leaders = new Leaders(client);
    this.#coordinators = new Coordinators(client);
    this.#history = client.observed({ acks: 'all', idempotent: true, group: transactionalId });
  }

  async work(): Promise<void> {
    while (!this.client.isStopped) {
      await this.client.pause(between(this.client.random, 200, 3000));
      if (!this.#topic.exists) continue;
      const session = await this.#begin(this.#chance(2) ? 2 : 1);
      if (session === undefined) continue;
      const count = 1 + (this.client.random.uint32() % TRANSACTIONS_MAX);
      for (let done = 0; done < count && !this.client.isStopped && !session.isUnsure; done += 1)
        if (!(await this.#transact(session))) break;
    }
  }

  async #begin(version: TransactionVersion): Promise<Session | undefined> {
    const request = { transactionalId: this.transactionalId, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS };
    for (let tries = 0; tries < TRIES_MAX && !this.client.isStopped; tries += 1) {
      const node = await this.#coordinators.of('transaction', this.transactionalId);
      const answer =
        node && (await this.client.ask(node, PROTOCOLS[version].initProducerId, request, REQUEST_TIMEOUT_MS));
      const response = answer === undefined || answer === '' ? undefined : answer.response;
      if (response?.errorCode === ErrorCode.None) {
        const { producerId, producerEpoch: epoch } = response;
        this.client.workload.producerIds.given(producerId, this.transactionalId, node ?? '');
        this.client.say(`has ${producerId} in epoch ${epoch}`);
        return { version, producerId, epoch, sequences: new Map(), isUnsure: false };
      }
      if (this.#verdict(response?.errorCode, 'transaction', this.transactionalId) === 'over') return undefined;
      await this.client.pause(between(this.client.random, 20, 150));
    }
    return undefined;
  }

  /** False: the session is over. */
  async #transact(session: Session): Promise<boolean> {
    const beganAt = this.client.ports.clock.now();
    const transaction = this.#model.begin(this.transactionalId);
    const partitions = Array.from({ length: this.#topic.partitionCount }, (_, partition) => partition).filter(
      (partition) => partition === transaction.number % this.#topic.partitionCount || this.#chance(2),
    );
    this.#history.begin('txn', []);
    if (session.version === 1 && (await this.#add(session, partitions)) !== 'done') {
      this.#history.fail('given up before anything was written');
      return false;
    }
    for (const partition of partitions)
      if ((await this.#write(session, transaction, partition)) !== 'done') {
        // Its sequences are used up, or not: with the first protocol only another epoch begins at 0 again.
        session.isUnsure ||= session.version === 1;
        return await this.#end(session, transaction, false);
      }
    if (this.#chance(2) && (await this.#storeOffset(session, transaction)) !== 'done')
      return await this.#end(session, transaction, false);
    if (this.#chance(20))
      await this.client.pause(between(this.client.random, TRANSACTION_TIMEOUT_MS, 2 * TRANSACTION_TIMEOUT_MS));
    const isCommit = !this.#chance(4);
    const goesOn = await this.#end(session, transaction, isCommit);
    if (isCommit && goesOn) this.committedAt = beganAt;
    return goesOn;
  }

  /** The first protocol tells the coordinator beforehand. */
  async #add(session: Session, partitions: readonly number[]): Promise<Verdict> {
    const request = {
      v3AndBelowTransactionalId: this.transactionalId,
      v3AndBelowProducerId: session.producerId,
      v3AndBelowProducerEpoch: session.epoch,
      v3AndBelowTopics: [{ name: this.#topic.name, partitions }],
    };
    return await this.#insist(session, 'transaction', this.transactionalId, async (node) => {
      const { response } = await this.client.ask(node, ADD_PARTITIONS, request, REQUEST_TIMEOUT_MS);
      const results = response?.resultsByTopicV3AndBelow.flatMap(({ resultsByPartition }) => resultsByPartition);
      return results?.map(({ partitionErrorCode }) => partitionErrorCode);
    });
  }

  async #write(session: Session, transaction: Transaction, partition: number): Promise<Verdict> {
    const topic = this.#topic.name;
    const key = `${topic}-${partition}`;
    const values = Array.from({ length: 1 + (this.client.random.uint32() % RECORDS_MAX) }, () => this.#newValue());
    for (const value of values) this.#model.writes(transaction, key, value);
    this.#history.also(key, this.client.workload.history.sends(key, values));
    const sequence = session.sequences.get(key) ?? 0;
    session.sequences.set(key, sequence + values.length);
    const { clock, codecs } = this.client.ports;
    const batch = buildBatch(
      {
        baseOffset: 0,
        leaderEpoch: -1,
        records: values.map((value) => ({ timestamp: clock.wall(), key: null, value: Buffer.from(value) })),
        producerId: session.producerId,
        producerEpoch: session.epoch,
        baseSequence: sequence,
        transactional: true,
      },
      codecs,
    );
    const request = {
      transactionalId: this.transactionalId,
      acks: ALL,
      timeoutMs: REQUEST_TIMEOUT_MS - 500,
      topicData: [{ name: topic, partitionData: [{ index: partition, records: [batch] }] }],
    };
    for (let tries = 0; tries < TRIES_MAX && !this.client.isStopped; tries += 1) {
      const leader = this.#leaders.of(topic, partition);
      if (leader === undefined) await this.#leaders.refresh(topic);
      else {
        const { produce } = PROTOCOLS[session.version];
        const { response, failure } = await this.client.ask(leader.node, produce, request, REQUEST_TIMEOUT_MS);
        const answer = response?.responses[0]?.partitionResponses[0];
        if (answer?.errorCode === ErrorCode.None) {
          this.#history.also(key, this.client.workload.history.sends(key, values, answer.baseOffset));
          return 'done';
        }
        const errorCode = answer?.errorCode;
        if (failure === 'lost') session.isUnsure ||= session.version === 1;
        // It has one batch under way at a time, and every one before was acknowledged.
        check(
          errorCode !== ErrorCode.OutOfOrderSequenceNumber && errorCode !== ErrorCode.UnknownProducerId,
          'sequences',
          () =>
            `${this.client.name} was refused sequence ${sequence} of ${key} with ${errorName(errorCode as ErrorCode)}`,
        );
        if (this.#verdict(errorCode, 'transaction', this.transactionalId) === 'over') return 'over';
        this.#leaders.forget(topic, partition);
      }
      await this.client.pause(between(this.client.random, 20, 150));
    }
    return 'over';
  }

  /** The transaction's number, for the group of its id. */
  async #storeOffset(session: Session, transaction: Transaction): Promise<Verdict> {
    const { producerId, epoch: producerEpoch, version } = session;
    const identity = { transactionalId: this.transactionalId, producerId, producerEpoch };
    if (version === 1) {
      const added = await this.#insist(session, 'transaction', this.transactionalId, async (node) => {
        const request = { ...identity, groupId: this.transactionalId };
        const { response } = await this.client.ask(node, ADD_OFFSETS, request, REQUEST_TIMEOUT_MS);
        return response && [response.errorCode];
      });
      if (added !== 'done') return added;
    }
    const offset = { partitionIndex: 0, committedOffset: transaction.number, committedMetadata: '' };
    const request = {
      ...identity,
      groupId: this.transactionalId,
      topics: [{ name: this.#topic.name, partitions: [offset] }],
    };
    // It is a part of the transaction from the first attempt on.
    transaction.hasOffset = true;
    this.#history.also('offset', [['commit', `${this.#topic.name}-0`, transaction.number]]);
    return await this.#insist(session, 'group', this.transactionalId, async (node) => {
      const { txnOffsetCommit } = PROTOCOLS[version];
      const { response } = await this.client.ask(node, txnOffsetCommit, request, REQUEST_TIMEOUT_MS);
      return response?.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
    });
  }

  /** Whether the session goes on. */
  async #end(session: Session, transaction: Transaction, committed: boolean): Promise<boolean> {
    const outcome = committed ? 'committed' : 'aborted';
    const request = {
      transactionalId: this.transactionalId,
      producerId: session.producerId,
      producerEpoch: session.epoch,
      committed,
    };
    if (committed) this.#model.commitAsked(transaction);
    const verdict = await this.#insist(session, 'transaction', this.transactionalId, async (node) => {
      const { endTxn } = PROTOCOLS[session.version];
      const { response } = await this.client.ask(node, endTxn, request, REQUEST_TIMEOUT_MS);
      if (response?.errorCode === ErrorCode.None && session.version === 2) {
        const { producerId, producerEpoch } = response;
        check(
          producerId !== session.producerId || producerEpoch > session.epoch,
          'epoch of the next transaction',
          () => `${this.client.name} ended a transaction in epoch ${session.epoch} and was given ${producerEpoch}`,
        );
        this.client.workload.producerIds.given(producerId, this.transactionalId, node);
        Object.assign(session, { producerId, epoch: producerEpoch });
        session.sequences.clear();
      }
      return response && [response.errorCode];
    });
    this.client.say(`transaction ${transaction.number}, to be ${outcome}: ${verdict}`);
    if (committed && verdict === 'done') this.#history.ok();
    else if (committed) this.#history.info('no answer says what came of its commit');
    // Nobody else asks for its commit.
    else this.#history.fail('aborted');
    if (verdict !== 'done') return false;
    this.#model.ended(transaction, outcome);
    const { sometimes } = this.client.workload;
    sometimes(committed ? 'transaction committed' : 'transaction aborted');
    if (this.client.workload.isRough()) sometimes('transaction ended in the middle of faults');
    return true;
  }

  /** Asks until there is an answer for good. `ask` gives the error codes of all parts; undefined if no answer came. */
  async #insist(
    session: Session,
    kind: 'transaction' | 'group',
    key: string,
    ask: (node: string) => Promise<readonly number[] | undefined>,
  ): Promise<Verdict> {
    for (let tries = 0; tries < TRIES_MAX && !this.client.isStopped; tries += 1) {
      const node = await this.#coordinators.of(kind, key);
      if (node !== undefined) {
        const errorCodes = await ask(node);
        if (errorCodes === undefined) session.isUnsure ||= session.version === 1;
        const verdicts = (errorCodes ?? [undefined]).map((errorCode) => this.#verdict(errorCode, kind, key));
        if (verdicts.includes('over')) return 'over';
        if (!verdicts.includes('again')) return 'done';
      }
      await this.client.pause(between(this.client.random, 20, 150));
    }
    return 'over';
  }

  #verdict(errorCode: number | undefined, kind: 'transaction' | 'group', key: string): Verdict {
    switch (errorCode) {
      case ErrorCode.None:
        return 'done';
      case undefined:
      case ErrorCode.NotCoordinator:
      case ErrorCode.CoordinatorNotAvailable:
        this.#coordinators.forget(kind, key);
        return 'again';
      case ErrorCode.InvalidProducerEpoch:
      case ErrorCode.ProducerFenced:
        this.client.workload.sometimes('transactional producer fenced');
        return 'over';
      case ErrorCode.CoordinatorLoadInProgress:
      case ErrorCode.ConcurrentTransactions:
      case ErrorCode.RequestTimedOut:
      case ErrorCode.NotLeaderOrFollower:
      case ErrorCode.FencedLeaderEpoch:
      case ErrorCode.LeaderNotAvailable:
      case ErrorCode.UnknownTopicOrPartition:
      case ErrorCode.NotEnoughReplicas:
      case ErrorCode.NotEnoughReplicasAfterAppend:
      case ErrorCode.KafkaStorageError:
      case ErrorCode.NetworkException:
        return 'again';
      default:
        return 'over';
    }
  }

  #newValue(): string {
    this.#valueCount += 1;
    return `${this.client.name}.${this.#valueCount}`;
  }

  /** One in so many. */
  #chance(of: number): boolean {
    return this.client.random.uint32() % of === 0;
  }
}
