import { ErrorCode, errorName } from '#model/errors';
import type { ProducerId } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import type { Call } from '#protocol/calls';
import { writeAddOffsetsToTxnRequest } from '#protocol/generated/add-offsets-to-txn-request';
import { readAddOffsetsToTxnResponse } from '#protocol/generated/add-offsets-to-txn-response';
import { writeAddPartitionsToTxnRequest } from '#protocol/generated/add-partitions-to-txn-request';
import { readAddPartitionsToTxnResponse } from '#protocol/generated/add-partitions-to-txn-response';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeDescribeProducersRequest } from '#protocol/generated/describe-producers-request';
import { readDescribeProducersResponse } from '#protocol/generated/describe-producers-response';
import { writeEndTxnRequest } from '#protocol/generated/end-txn-request';
import { readEndTxnResponse } from '#protocol/generated/end-txn-response';
import { writeFetchRequest } from '#protocol/generated/fetch-request';
import { readFetchResponse } from '#protocol/generated/fetch-response';
import { writeFindCoordinatorRequest } from '#protocol/generated/find-coordinator-request';
import { readFindCoordinatorResponse } from '#protocol/generated/find-coordinator-response';
import { writeInitProducerIdRequest } from '#protocol/generated/init-producer-id-request';
import { readInitProducerIdResponse } from '#protocol/generated/init-producer-id-response';
import { writeMetadataRequest } from '#protocol/generated/metadata-request';
import { readMetadataResponse } from '#protocol/generated/metadata-response';
import { writeOffsetFetchRequest } from '#protocol/generated/offset-fetch-request';
import { readOffsetFetchResponse } from '#protocol/generated/offset-fetch-response';
import { writeProduceRequest } from '#protocol/generated/produce-request';
import { readProduceResponse } from '#protocol/generated/produce-response';
import { writeTxnOffsetCommitRequest } from '#protocol/generated/txn-offset-commit-request';
import { readTxnOffsetCommitResponse } from '#protocol/generated/txn-offset-commit-response';
import { writeWriteTxnMarkersRequest } from '#protocol/generated/write-txn-markers-request';
import { readWriteTxnMarkersResponse } from '#protocol/generated/write-txn-markers-response';
import { isControl, isTransactional, lastOffset, readBatchHeader } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import { iterateRecords } from '#protocol/records';
import { KafkaClient } from '#sim/workload/kafka-client';
import type { Scenario } from './scenario.ts';

const codecs = createCodecs();
const PORT = 9092;
const TIMEOUT_MS = 3_000;
const GROUP = 0;
const TRANSACTION = 1;

/** How the two kinds of clients speak (KIP-890). */
const VERSIONS = {
  1: { produce: 11, offsets: 4, end: 4 },
  2: { produce: 12, offsets: 5, end: 5 },
} as const;

const call = <Q, R>(
  apiKey: number,
  version: number,
  write: Call<Q, R>['write'],
  read: Call<Q, R>['read'],
): Call<Q, R> => ({
  apiKey,
  version,
  write,
  read,
});

const CREATE_TOPICS = call(ApiKey.CreateTopics, 7, writeCreateTopicsRequest, readCreateTopicsResponse);
const METADATA = call(ApiKey.Metadata, 9, writeMetadataRequest, readMetadataResponse);
const FIND = call(ApiKey.FindCoordinator, 4, writeFindCoordinatorRequest, readFindCoordinatorResponse);
const INIT = call(ApiKey.InitProducerId, 4, writeInitProducerIdRequest, readInitProducerIdResponse);
const ADD = call(ApiKey.AddPartitionsToTxn, 3, writeAddPartitionsToTxnRequest, readAddPartitionsToTxnResponse);
const ADD_OFFSETS = call(ApiKey.AddOffsetsToTxn, 3, writeAddOffsetsToTxnRequest, readAddOffsetsToTxnResponse);
const FETCH = call(ApiKey.Fetch, 12, writeFetchRequest, readFetchResponse);
const OFFSET_FETCH = call(ApiKey.OffsetFetch, 8, writeOffsetFetchRequest, readOffsetFetchResponse);
const DESCRIBE = call(ApiKey.DescribeProducers, 0, writeDescribeProducersRequest, readDescribeProducersResponse);
const MARKERS = call(ApiKey.WriteTxnMarkers, 1, writeWriteTxnMarkersRequest, readWriteTxnMarkersResponse);

/** What clients ask again for. */
const RETRIED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ErrorCode.CoordinatorNotAvailable,
  ErrorCode.CoordinatorLoadInProgress,
  ErrorCode.NotCoordinator,
  ErrorCode.ConcurrentTransactions,
  ErrorCode.NotEnoughReplicas,
  ErrorCode.NotEnoughReplicasAfterAppend,
  ErrorCode.NotLeaderOrFollower,
  ErrorCode.UnknownTopicOrPartition,
  ErrorCode.LeaderNotAvailable,
  ErrorCode.RequestTimedOut,
  ErrorCode.KafkaStorageError,
  ErrorCode.OffsetNotAvailable,
]);

/** Somebody who writes in transactions, and reads, beside a cluster of whole nodes. Every step asks until it has a lasting answer. */
export class TransactionalClient {
  readonly #scenario: Scenario;
  readonly #ports;
  readonly #clients = new Map<number, KafkaClient>();

  constructor(scenario: Scenario, name: string) {
    this.#scenario = scenario;
    this.#ports = scenario.world.ports(name, { disks: [] });
  }

  async createTopic(name: string, numPartitions: number): Promise<void> {
    const topics = [{ name, numPartitions, replicationFactor: 3, assignments: [], configs: [] }];
    await this.#until(async () => {
      const answer = await this.#ask(this.#anyone(), CREATE_TOPICS, { topics });
      const error = answer?.topics[0]?.errorCode as ErrorCode | undefined;
      return error === ErrorCode.None || error === ErrorCode.TopicAlreadyExists ? true : undefined;
    });
  }

  async leaderOf(topic: string, partition: number): Promise<number> {
    return this.#until(async () => {
      const answer = await this.#ask(this.#anyone(), METADATA, { topics: [{ name: topic }] });
      const leader = answer?.topics[0]?.partitions.find(({ partitionIndex }) => partitionIndex === partition)?.leaderId;
      return leader === undefined || leader < 0 ? undefined : leader;
    });
  }

  coordinatorOf(key: string, keyType: number): Promise<number> {
    return this.#until(async () => {
      const answer = await this.#ask(this.#anyone(), FIND, { keyType, coordinatorKeys: [key] });
      const found = answer?.coordinators[0];
      return found?.errorCode === ErrorCode.None ? found.nodeId : undefined;
    });
  }

  producer(transactionalId: string, version: 1 | 2): TransactionalProducer {
    return new TransactionalProducer(this, transactionalId, version);
  }

  /** To whoever is `where`, again and again while `errorOf` is one that passes. */
  async send<Q, R>(
    where: () => Promise<number>,
    how: Call<Q, R>,
    request: Q,
    errorOf: (answer: R) => ErrorCode,
  ): Promise<{ readonly error: ErrorCode; readonly answer: R }> {
    return this.#until(async () => {
      const answer = await this.#ask(await where(), how, request);
      if (answer === undefined) return undefined;
      const error = errorOf(answer);
      return RETRIED.has(error) ? undefined : { error, answer };
    });
  }

  /** What a read_committed consumer sees of a partition, as far as it may read; by the rules of KIP-98. */
  async readCommitted(topic: string, partition: number): Promise<{ readonly values: string[]; readonly end: number }> {
    const values: string[] = [];
    let next = 0;
    for (;;) {
      const topics = [{ topic, partitions: [{ partition, fetchOffset: next, partitionMaxBytes: 1 << 20 }] }];
      const request = { maxWaitMs: 0, minBytes: 0, isolationLevel: 1, topics, forgottenTopicsData: [] };
      const { answer } = await this.send(
        () => this.leaderOf(topic, partition),
        FETCH,
        request,
        ({ responses }) => (responses[0]?.partitions[0]?.errorCode ?? ErrorCode.UnknownServerError) as ErrorCode,
      );
      const data = answer.responses[0]?.partitions[0];
      const bytes = Buffer.concat(data?.records ?? []);
      if (bytes.length === 0) return { values, end: data?.lastStableOffset ?? -1 };
      const coming = [...(data?.abortedTransactions ?? [])].sort((a, b) => a.firstOffset - b.firstOffset);
      const aborted = new Set<number>();
      for (let at = 0; at < bytes.length; ) {
        const header = readBatchHeader(bytes, at);
        if (typeof header === 'string') throw new Error(header);
        while (coming[0] !== undefined && coming[0].firstOffset <= lastOffset(header))
          aborted.add(coming.shift()?.producerId ?? -1);
        if (isControl(header)) aborted.delete(header.producerId);
        else if (!isTransactional(header) || !aborted.has(header.producerId)) {
          const records = iterateRecords(bytes, header, codecs, 1 << 20);
          if (typeof records === 'string') throw new Error(records);
          for (const { offset, value } of records)
            if (offset >= next) values.push(Buffer.from(value ?? new Uint8Array(0)).toString());
        }
        next = lastOffset(header) + 1;
        at += header.sizeBytes;
      }
    }
  }

  /** The offset of partition 0 that the group has committed; 'unstable' while a transaction may change it. */
  async committed(group: string, topic: string): Promise<number | 'unstable'> {
    const groups = [{ groupId: group, topics: [{ name: topic, partitionIndexes: [0] }] }];
    const { answer } = await this.send(
      () => this.coordinatorOf(group, GROUP),
      OFFSET_FETCH,
      { groups, requireStable: true },
      (got) => (got.groups[0]?.errorCode ?? ErrorCode.UnknownServerError) as ErrorCode,
    );
    const found = answer.groups[0]?.topics[0]?.partitions[0];
    return found?.errorCode === ErrorCode.UnstableOffsetCommit ? 'unstable' : (found?.committedOffset ?? -1);
  }

  /** Those with an open transaction there, as tools find them (KIP-664). */
  async hanging(topic: string, partition: number) {
    const { answer } = await this.send(
      () => this.leaderOf(topic, partition),
      DESCRIBE,
      { topics: [{ name: topic, partitionIndexes: [partition] }] },
      ({ topics }) => (topics[0]?.partitions[0]?.errorCode ?? ErrorCode.UnknownServerError) as ErrorCode,
    );
    const producers = answer.topics[0]?.partitions[0]?.activeProducers ?? [];
    return producers.filter(({ currentTxnStartOffset }) => currentTxnStartOffset >= 0);
  }

  /** As an administrator aborts what hangs. */
  async abortHanging(topic: string, partition: number): Promise<string> {
    const [producer] = await this.hanging(topic, partition);
    if (producer === undefined) throw new Error('nobody hangs');
    const { producerId, producerEpoch, coordinatorEpoch } = producer;
    const topics = [{ name: topic, partitionIndexes: [partition] }];
    const marker = { producerId, producerEpoch, transactionResult: false, topics };
    const { error } = await this.send(
      () => this.leaderOf(topic, partition),
      MARKERS,
      { markers: [{ ...marker, coordinatorEpoch: Math.max(0, coordinatorEpoch) }] },
      ({ markers }) => (markers[0]?.topics[0]?.partitions[0]?.errorCode ?? ErrorCode.UnknownServerError) as ErrorCode,
    );
    return errorName(error);
  }

  #anyone(): number {
    const { machines } = this.#scenario.cluster;
    return machines.findIndex(({ isReady }) => isReady) + 1;
  }

  async #until<T>(step: () => Promise<T | undefined>): Promise<T> {
    for (let tries = 0; tries < 300; tries += 1) {
      const result = await step();
      if (result !== undefined) return result;
      await new Promise<void>((resolve) => this.#ports.clock.timer(() => resolve()).arm(50));
    }
    throw new Error('it does not come to an end');
  }

  async #ask<Q, R>(node: number, how: Call<Q, R>, request: Q): Promise<R | undefined> {
    if (node <= 0) return undefined;
    let client = this.#clients.get(node);
    if (client === undefined || client.isClosed) {
      client = KafkaClient.open(this.#ports, { host: `n${node}`, port: PORT });
      this.#clients.set(node, client);
    }
    return (await client.request(how, request, TIMEOUT_MS)).response;
  }
}

/** One producer: `begin` makes it one, each transaction ends with `end`. */
export class TransactionalProducer {
  readonly #client: TransactionalClient;
  readonly #id: string;
  readonly #version: 1 | 2;
  readonly #sequences = new Map<string, number>();
  #producerId = -1 as ProducerId;
  #epoch = -1;

  constructor(client: TransactionalClient, transactionalId: string, version: 1 | 2) {
    this.#client = client;
    this.#id = transactionalId;
    this.#version = version;
  }

  /** Its transactional id. */
  get name(): string {
    return this.#id;
  }

  get epoch(): number {
    return this.#epoch;
  }

  async begin(): Promise<void> {
    const { error, answer } = await this.#client.send(
      this.#coordinator,
      INIT,
      { transactionalId: this.#id, transactionTimeoutMs: 60_000 },
      ({ errorCode }) => errorCode as ErrorCode,
    );
    if (error !== ErrorCode.None) throw new Error(errorName(error));
    this.#became(answer.producerId, answer.producerEpoch);
  }

  /** One record; gives its offset, or the error. `again`: the batch that was sent last, once more. */
  async send(
    topic: string,
    partition: number,
    value: string,
    { again = false, adds = true } = {},
  ): Promise<number | string> {
    const key = `${topic}/${partition}`;
    if (this.#version === 1 && adds) {
      const added = await this.#add(topic, partition);
      if (added !== ErrorCode.None) return errorName(added);
    }
    const sequence = (this.#sequences.get(key) ?? 0) - (again ? 1 : 0);
    const records = [{ timestamp: 1_000, key: null, value: Buffer.from(value) }];
    const producer = { producerId: this.#producerId, producerEpoch: this.#epoch, baseSequence: sequence };
    const bytes = buildBatch({ baseOffset: 0, leaderEpoch: -1, ...producer, transactional: true, records }, codecs);
    const topicData = [{ name: topic, partitionData: [{ index: partition, records: [bytes] }] }];
    const { error, answer } = await this.#client.send(
      () => this.#client.leaderOf(topic, partition),
      call(ApiKey.Produce, VERSIONS[this.#version].produce, writeProduceRequest, readProduceResponse),
      { transactionalId: this.#id, acks: -1, timeoutMs: 2_000, topicData },
      ({ responses }) => (responses[0]?.partitionResponses[0]?.errorCode ?? ErrorCode.UnknownServerError) as ErrorCode,
    );
    if (error !== ErrorCode.None) return errorName(error);
    this.#sequences.set(key, sequence + 1);
    return answer.responses[0]?.partitionResponses[0]?.baseOffset ?? -1;
  }

  async commitOffset(groupId: string, topic: string, committedOffset: number): Promise<string> {
    const producer = { transactionalId: this.#id, producerId: this.#producerId, producerEpoch: this.#epoch };
    // The group's coordinator, and with it the offsets topic, is looked for first, as clients do.
    await this.#client.coordinatorOf(groupId, GROUP);
    if (this.#version === 1) {
      const request = { ...producer, groupId };
      const added = await this.#client.send(
        this.#coordinator,
        ADD_OFFSETS,
        request,
        ({ errorCode }) => errorCode as ErrorCode,
      );
      if (added.error !== ErrorCode.None) return errorName(added.error);
    }
    const partitions = [{ partitionIndex: 0, committedOffset, committedMetadata: null }];
    const { error } = await this.#client.send(
      () => this.#client.coordinatorOf(groupId, GROUP),
      call(
        ApiKey.TxnOffsetCommit,
        VERSIONS[this.#version].offsets,
        writeTxnOffsetCommitRequest,
        readTxnOffsetCommitResponse,
      ),
      { ...producer, groupId, topics: [{ name: topic, partitions }] },
      ({ topics }) => (topics[0]?.partitions[0]?.errorCode ?? ErrorCode.UnknownServerError) as ErrorCode,
    );
    return errorName(error);
  }

  async end(how: 'commit' | 'abort'): Promise<string> {
    const request = {
      transactionalId: this.#id,
      producerId: this.#producerId,
      producerEpoch: this.#epoch,
      committed: how === 'commit',
    };
    const { error, answer } = await this.#client.send(
      this.#coordinator,
      call(ApiKey.EndTxn, VERSIONS[this.#version].end, writeEndTxnRequest, readEndTxnResponse),
      request,
      ({ errorCode }) => errorCode as ErrorCode,
    );
    if (error === ErrorCode.None && this.#version === 2) this.#became(answer.producerId, answer.producerEpoch);
    return errorName(error);
  }

  readonly #coordinator = (): Promise<number> => this.#client.coordinatorOf(this.#id, TRANSACTION);

  #became(id: number, epoch: number): void {
    this.#producerId = id as ProducerId;
    this.#epoch = epoch;
    this.#sequences.clear();
  }

  async #add(topic: string, partition: number): Promise<ErrorCode> {
    const request = {
      v3AndBelowTransactionalId: this.#id,
      v3AndBelowProducerId: this.#producerId,
      v3AndBelowProducerEpoch: this.#epoch,
      v3AndBelowTopics: [{ name: topic, partitions: [partition] }],
    };
    const { error } = await this.#client.send(
      this.#coordinator,
      ADD,
      request,
      ({ resultsByTopicV3AndBelow: [result] }) =>
        (result?.resultsByPartition[0]?.partitionErrorCode ?? ErrorCode.UnknownServerError) as ErrorCode,
    );
    return error;
  }
}
