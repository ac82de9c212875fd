import type { Api } from '#api/api';
import { Deadlines } from '#base/deadlines';
import { ResourceType } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { nodeId, producerId } from '#model/ids';
import { isInternalTopic, OFFSETS_TOPIC, TRANSACTIONS_TOPIC } from '#model/internal-topics';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { parseTopicConfig } from '#model/topic-config';
import type { Exchange } from '#net/exchange';
import { createCodecs } from '#platform/codecs';
import { readResponseHeader } from '#protocol/headers';
import { offeredVersions } from '#protocol/offered-apis';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';
import { type Broker, brokerLayers, type ControllerClient } from '#runtime/broker';
import type { QuorumDescription } from '#runtime/controller-protocol';
import { Departures } from '#runtime/departures';
import { GroupHost } from '#runtime/group-host';
import type { Partition } from '#runtime/partition';
import { type ProducerIdBlock, ProducerIds } from '#runtime/producer-ids';
import { Traffic } from '#runtime/traffic';
import { TransactionHost } from '#runtime/transaction-host';
import type { TransactionalProducer, TransactionVerifier } from '#runtime/transaction-verifier';
import { countingRandom } from '../coordinator/fixtures.ts';
import { TestCluster } from '../metadata/support.ts';
import { FakeClock } from '../runtime/fake-clock.ts';
import { FakeLog } from '../runtime/fake-log.ts';
import { ledPartition } from '../runtime/replica-stage.ts';

const ME = nodeId(1);
const CORRELATION_ID = 99;

/** How an API's messages are written by its client, and read. */
export interface Wire<Request, Response> {
  readonly write: (writer: Writer, request: Request, version: number) => void;
  readonly read: (reader: Reader, version: number) => Response;
}

/** What handlers need of a broker: a real controller over a real image, real groups, logs in memory that sync at once. */
export class ApiStage {
  readonly clock = new FakeClock();
  readonly cluster: TestCluster;
  readonly logs = new Map<string, FakeLog>();
  readonly directories: object[] = [];
  /** Logs that are to take the place of others. */
  readonly futures: FakeLog[] = [];
  /** Moves between directories that were begun or, without one, given up. */
  readonly moves: { readonly replica: string; readonly to: object | undefined }[] = [];
  readonly broker: Broker;
  readonly departures: Departures;
  /** What the controller answers instead, if not undefined; 'never' leaves the request without an answer. */
  refusal: 'busy' | 'full' | 'tooLarge' | 'stopped' | 'never' | undefined;
  /** What the controller allots; undefined: nothing. */
  producerIdBlock: ProducerIdBlock | undefined = { first: producerId(1000), count: 1000 };
  /** What brokers answer to requests of this one; undefined: nothing. */
  askedOfBrokers: (request: unknown) => Promise<unknown> = () => Promise.resolve(undefined);
  /** What the active controller says of the quorum; undefined: there is none. */
  quorum: QuorumDescription | undefined;
  /** What coordinators say of the transactions that brokers verify; asked for by transactional id. */
  readonly verdicts = new Map<string, ErrorCode | Promise<ErrorCode>>();
  /** By API: the requests that have let the next one of their connection begin. */
  readonly reachedLog: number[] = [];
  /** The producers that were verified. */
  readonly verified: TransactionalProducer[] = [];
  readonly #partitions = new Map<string, Partition>();

  constructor(settings: Readonly<Record<string, string>> = {}) {
    const given = new Map(Object.entries({ 'group.initial.rebalance.delay.ms': '0', ...settings }));
    const parsed = parseBrokerConfig(given, 1);
    if (!('config' in parsed)) throw new Error(parsed.errors.join());
    this.cluster = TestCluster.withBrokers(1, Object.fromEntries(given));
    const { image } = this.cluster;
    this.departures = new Departures(image, this.clock);
    const deadlines = new Deadlines(this.clock);
    const controller: ControllerClient = {
      submit: (operation, command) => {
        if (this.refusal === 'never') return new Promise(() => {});
        if (this.refusal !== undefined) return Promise.resolve(this.refusal);
        const response = this.cluster.run(operation, command);
        this.#openPartitions();
        return Promise.resolve(response);
      },
      describeQuorum: () => Promise.resolve(this.quorum),
      catchUp: () => Promise.resolve(true),
      controllerId: ME,
    };
    const quiet = () => {};
    const ports = {
      clock: this.clock,
      codecs: createCodecs(),
      random: countingRandom(),
      logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    };
    const partitions = {
      findByName: (topic: string, index: number) =>
        this.#partitions.get(`${topic}/${index}`) ?? ErrorCode.UnknownTopicOrPartition,
      configOf: ({ topic }: Partition) => parseTopicConfig(image.configs(ResourceType.Topic, topic), new Map()),
      quarantine: async () => {},
      isInternal: isInternalTopic,
      trafficOf: () => undefined,
      replicaByName: (topic: string, index: number) =>
        this.#partitions.get(`${topic}/${index}`) ??
        (image.partition(topic, index) === undefined
          ? ErrorCode.UnknownTopicOrPartition
          : ErrorCode.NotLeaderOrFollower),
      moves: {
        begin: ({ topic, index }: Partition, to: object) => this.moves.push({ replica: `${topic}/${index}`, to }),
        cancel: ({ topic, index }: Partition) => this.moves.push({ replica: `${topic}/${index}`, to: undefined }),
      },
    };
    const groups = new GroupHost({
      ports,
      nodeId: ME,
      image,
      partitions,
      deadlines,
      config: () => parsed.config,
      createOffsetsTopic: quiet,
    });
    const producerIds = new ProducerIds(async () => this.producerIdBlock);
    const transactions = new TransactionHost({
      ports,
      nodeId: ME,
      image,
      partitions,
      deadlines,
      requests: { send: (_to, _api, _version, request) => this.askedOfBrokers(request) as Promise<undefined> },
      producerIds,
      config: () => parsed.config,
      createTransactionsTopic: quiet,
    });
    this.broker = {
      ports,
      nodeId: ME,
      image,
      config: parsed.config,
      get layers() {
        return brokerLayers(image, ME, given);
      },
      controller,
      deadlines,
      partitions,
      groups,
      departures: this.departures,
      traffic: new Traffic(),
      verifier: this.#verifier,
      transactions,
      producerIds,
      store: {
        directories: this.directories,
        logs: () => this.logs.values(),
        futures: () => this.futures.values(),
      },
      fail: (error: unknown) => {
        throw error;
      },
    } as unknown as Broker;
  }

  /** The topic with partitions that are open. */
  topic(name: string, partitionCount = 1, configs: Readonly<Record<string, string>> = {}): void {
    const topic = {
      name,
      partitionCount,
      replicationFactor: 1,
      assignments: [],
      configs: new Map(Object.entries(configs)),
    };
    this.cluster.run('createTopics', { topics: [topic], validateOnly: false });
    this.#openPartitions();
  }

  /** The metadata knows the replica, this node has it no more. */
  elsewhere(replica: string): void {
    this.#partitions.delete(replica);
  }

  /** With the topic that holds the groups. */
  withGroups(): this {
    this.topic(OFFSETS_TOPIC, 4);
    return this;
  }

  /** With the topic that holds transactions. */
  withTransactions(): this {
    this.topic(TRANSACTIONS_TOPIC, 4);
    return this;
  }

  partition(topic: string, index: number): Partition {
    const partition = this.#partitions.get(`${topic}/${index}`);
    if (partition === undefined) throw new Error(`no partition ${topic}-${index}`);
    return partition;
  }

  log(topic: string, index: number): FakeLog {
    const log = this.logs.get(`${topic}/${index}`);
    if (log === undefined) throw new Error(`no log ${topic}-${index}`);
    return log;
  }

  /** Sends one request as a client of `version` would and reads the answer as it would. */
  async call<Request, Response>(
    api: Api,
    wire: Wire<Request, Response>,
    version: number,
    request: Request,
  ): Promise<Response> {
    const writer = new Writer();
    wire.write(writer, request, version);
    const frame = Buffer.concat(writer.chunks());
    const answer = new Promise<Uint8Array>((resolve) => {
      const exchange = {
        frame,
        remote: { host: '10.0.0.7', port: 5000 },
        listenerName: 'PLAINTEXT',
        respond: (chunks: readonly Uint8Array[]) => resolve(Buffer.concat(chunks)),
        reachedLog: () => this.reachedLog.push(api.key),
        holdMemory: () => () => {},
      } as unknown as Exchange;
      const header = {
        apiKey: api.key,
        apiVersion: version,
        correlationId: CORRELATION_ID,
        clientId: 'app',
        headerVersion: 2,
      } as const;
      api.serve(new Reader(frame), { broker: this.broker, header, exchange });
    });
    const bytes = await answer;
    const reader = new Reader(bytes.subarray(4));
    if (readResponseHeader(reader, api.key, version).correlationId !== CORRELATION_ID)
      throw new Error('not the answer');
    return wire.read(reader, version);
  }

  get #verifier(): Pick<TransactionVerifier, 'verify'> {
    return {
      verify: async (appends, producer) => {
        this.verified.push(producer);
        const begun = appends.map(({ partition, header }) => partition.beginVerification(header, producer.adds));
        const error = (await this.verdicts.get(producer.transactionalId)) ?? ErrorCode.None;
        if (error !== ErrorCode.None) return appends.map(() => ({ error }));
        return begun.map((verification) =>
          typeof verification === 'number'
            ? { error: verification }
            : { error: ErrorCode.None, verification: verification === 'open' ? undefined : verification },
        );
      },
    };
  }

  #openPartitions(): void {
    for (const topic of this.cluster.image.topics()) {
      for (const { partition: index } of topic.partitions) {
        const key = `${topic.name}/${index}`;
        if (this.#partitions.has(key)) continue;
        const log = new FakeLog(topic.name, index, this.clock);
        log.immediate = true;
        const partition = ledPartition(log.asLog);
        this.logs.set(key, log);
        this.#partitions.set(key, partition);
        this.broker.groups.ready(partition);
        this.broker.transactions.ready(partition);
      }
    }
    this.clock.turn();
  }
}

/** All versions of the API that are offered. */
export function versionsOf(api: Api): number[] {
  const offered = offeredVersions(api.key);
  if (offered === undefined) throw new Error(`api ${api.key} is not offered`);
  return Array.from({ length: offered.max - offered.min + 1 }, (_, index) => offered.min + index);
}
