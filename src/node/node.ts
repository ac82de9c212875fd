import { ALL_APIS } from '#api/all-apis';
import { Dispatcher } from '#api/dispatch';
import { assert } from '#base/assert';
import { Deadlines } from '#base/deadlines';
import type { Endpoint, IoError, Ports } from '#base/ports';
import { isFault } from '#metadata/decision';
import type { MetadataImage } from '#metadata/image';
import { type BrokerListener, ResourceType } from '#metadata/records';
import type { NewTopic } from '#metadata/topics';
import { ErrorCode, errorName } from '#model/errors';
import { SUPPORTED_FEATURES } from '#model/features';
import { type NodeId, nodeId } from '#model/ids';
import { type ListenerAddress, parseEndpoint, parseListener } from '#model/listener';
import type { ParsedBrokerConfig } from '#model/parse-broker-config';
import { newUuid } from '#model/uuids';
import { KafkaListener } from '#net/kafka-listener';
import { Broker, brokerLayers, type ControllerClient } from '#runtime/broker';
import { GroupHost, offsetsTopic } from '#runtime/group-host';
import { OFFSETS_TOPIC } from '#runtime/internal-topics';
import { MetadataController } from '#runtime/metadata-controller';
import { MetadataQuorum } from '#runtime/metadata-quorum';
import { PartitionTable } from '#runtime/partition-table';
import { ProducerIds } from '#runtime/producer-ids';
import { TopicCreator } from '#runtime/topic-creator';
import { LogStore } from '#storage/log-store';
import { registerNodeMetrics } from './node-metrics.ts';

const RESPONSE_MEMORY_BYTES = 64 << 20;

/** Why a node cannot start or go on, in a sentence for its user. */
export class NodeError extends Error {
  override readonly name = 'NodeError';
}

type Closer = () => Promise<void>;

/** What a running node is made of. */
interface Running {
  readonly store: LogStore;
  readonly quorum: MetadataQuorum;
  readonly broker: Broker;
  readonly listener: KafkaListener;
  readonly listeners: readonly BrokerListener[];
}

/**
 * One whole node over its ports: the same class in production, in a user's test and in the simulator. `start` resolves when clients
 * are served; `stop` leaves a clean shutdown. A second node over the same disks after a crash is like a new process.
 */
export class Node {
  readonly #ports: Ports;
  readonly #given: ParsedBrokerConfig;
  readonly #id: NodeId;
  #running: Running | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(ports: Ports, config: ParsedBrokerConfig) {
    this.#ports = ports;
    this.#given = config;
    this.#id = nodeId(config.config.nodeId);
  }

  get id(): NodeId {
    return this.#id;
  }

  /** Whether clients are served. */
  get ready(): boolean {
    return this.#running !== undefined && this.#stopping === undefined;
  }

  /** Where clients reach it, by listener; the first is the one to tell a user. */
  get listeners(): readonly BrokerListener[] {
    return this.#running?.listeners ?? [];
  }

  get clusterId(): string | undefined {
    return this.#running?.quorum.image.cluster?.id;
  }

  /** Rejects with NodeError, or with the error of the part that could not start; what was opened is closed by then. */
  start(): Promise<void> {
    assert(this.#starting === undefined && this.#stopping === undefined, 'a node starts once');
    this.#starting = this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const opened: Closer[] = [];
    try {
      this.#running = await this.#open(opened);
    } catch (failure) {
      for (const close of opened.reverse()) await close();
      throw failure;
    }
    const { listener, listeners, quorum } = this.#running;
    listener.serve();
    this.#ports.logger.info(
      {
        listeners: listeners.map(({ name, host, port }) => `${name}://${host}:${port}`),
        clusterId: quorum.image.cluster?.id,
      },
      'node started',
    );
  }

  /** Adds to `opened` how each part is closed again. */
  async #open(opened: Closer[]): Promise<Running> {
    const { config, given, inert } = this.#given;
    const ports = this.#ports;
    for (const name of inert) ports.logger.warn({ config: name }, 'this config of Kafka has no effect here');

    const store = await LogStore.open(ports, {
      nodeId: this.#id,
      tailCacheBytes: config.logTailCacheBytes,
      minFreeBytes: config.logDirMinFreeBytes,
      retentionCheckMs: config.logRetentionCheckIntervalMs,
      onAllOffline: (reason) => ports.fatal(new NodeError(`no data directory is left: ${reason}`)),
    });
    opened.push(() => store.close());
    const quorum = await this.#openQuorum(store);
    opened.push(() => quorum.close());
    const cluster = quorum.image.cluster;
    assert(cluster !== undefined, 'the quorum has bootstrapped');
    await store.setClusterId(cluster.id);

    const deadlines = new Deadlines(ports.clock);
    opened.push(async () => deadlines.close());
    const metadata = new MetadataController(quorum, ports.random.fork('controller'), given);
    const layers = () => brokerLayers(quorum.image, this.#id, given);
    const partitions = new PartitionTable(this.#id, quorum.image, store, ports.logger, layers);
    const controller: ControllerClient = {
      async submit(operation, command) {
        const response = await metadata.submit(operation, command);
        await partitions.settled();
        return response;
      },
    };
    const broker = new Broker(
      { ports, nodeId: this.#id, given, config, image: quorum.image, controller, store },
      {
        deadlines,
        partitions,
        producerIds: new ProducerIds(() => this.#allocateProducerIds(broker)),
        topicCreator: new TopicCreator((name) => createOnRequest(broker, name), ports.logger),
        groups: new GroupHost({
          ports,
          nodeId: this.#id,
          image: quorum.image,
          partitions,
          deadlines,
          config: () => broker.config,
          createOffsetsTopic: () => broker.topicCreator.request(OFFSETS_TOPIC),
        }),
      },
    );
    broker.servedApis = ALL_APIS.map(({ key }) => key);
    partitions.observe(broker.groups);

    const dispatcher = new Dispatcher(broker, ALL_APIS);
    const listener = new KafkaListener(
      ports,
      {
        maxRequestBytes: config.socketRequestMaxBytes,
        requestMemoryBytes: config.requestMemoryBytes,
        responseMemoryBytes: RESPONSE_MEMORY_BYTES,
        maxConnections: config.maxConnections,
        maxConnectionsPerIp: config.maxConnectionsPerIp,
        maxIdleMs: config.connectionsMaxIdleMs < 0 ? Number.POSITIVE_INFINITY : config.connectionsMaxIdleMs,
      },
      (exchange) => dispatcher.serve(exchange),
    );
    opened.push(() => listener.close());
    const listeners = await this.#openListeners(listener);
    await this.#register(metadata, quorum.image, store, listeners);
    await partitions.setStraysAside();
    quorum.publisher.subscribe((delta) => {
      partitions.apply(delta);
      broker.groups.topicsDeleted(delta.topicsDeleted);
      if (delta.configs.some(({ type }) => type === ResourceType.Broker)) broker.refreshConfig();
    });
    await partitions.settled();
    registerNodeMetrics(ports.metrics, broker, listener, quorum);
    return { store, quorum, broker, listener, listeners };
  }

  /**
   * Drops its clients, whose unanswered requests may have been carried out or not, then leaves clean checkpoints, so that the next
   * start scans nothing. A node that is starting is stopped as soon as it has started.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    // What is half started is stopped when it is whole; one that cannot start has closed what it had, and its caller knows why.
    await this.#starting?.catch(() => {});
    const running = this.#running;
    if (running === undefined) return;
    const { listener, broker, quorum, store } = running;
    await listener.close();
    await quorum.close();
    await broker.partitions.settled();
    broker.partitions.retireAll(ErrorCode.NotLeaderOrFollower);
    broker.deadlines.close();
    await store.close();
    this.#ports.logger.info({}, 'node stopped');
  }

  async #openQuorum(store: LogStore): Promise<MetadataQuorum> {
    const { config } = this.#given;
    const [disk] = this.#ports.disks;
    const peer = parseEndpoint(config.peerListener);
    assert(disk !== undefined && peer !== undefined, 'the config has a data directory and a peer listener');
    const voter = { id: this.#id, directoryId: store.metadataDirectoryId, host: peer.host, port: peer.port };
    return await MetadataQuorum.open(this.#ports, disk, {
      voter,
      targetSize: config.clusterTargetSize ?? 1,
      snapshotBytes: config.metadataLogMaxRecordBytesBetweenSnapshots,
      snapshotIntervalMs: config.metadataLogMaxSnapshotIntervalMs,
      onFailed: (failure) => this.#ports.fatal(new NodeError(`the metadata log cannot be written: ${failure.message}`)),
    });
  }

  /** Binds every address; what clients are told is the advertised address, else the bound one. */
  async #openListeners(listener: KafkaListener): Promise<BrokerListener[]> {
    const { config } = this.#given;
    const advertised = new Map((config.advertisedListeners ?? []).map((text) => [address(text).name, address(text)]));
    const opened: BrokerListener[] = [];
    for (const text of config.listeners) {
      const { name, host, port } = address(text);
      const bound = await this.#bind(listener, name, { host, port });
      const told = advertised.get(name);
      const toldHost = told?.host ?? host;
      opened.push({
        name,
        host: toldHost === '' || toldHost === '0.0.0.0' || toldHost === '::' ? 'localhost' : toldHost,
        port: told === undefined || told.port === 0 ? bound.port : told.port,
      });
    }
    return opened;
  }

  async #bind(listener: KafkaListener, name: string, at: Endpoint): Promise<Endpoint> {
    try {
      return await listener.bind(this.#ports.network, name, at);
    } catch (cause) {
      const { code, message } = cause as IoError;
      const reason = code === 'EEXIST' ? 'the address is in use' : message;
      throw new NodeError(`${name} cannot listen on ${at.host}:${at.port}: ${reason}`, { cause });
    }
  }

  async #register(
    metadata: MetadataController,
    image: MetadataImage,
    store: LogStore,
    listeners: readonly BrokerListener[],
  ): Promise<void> {
    assert(image.cluster !== undefined, 'the quorum has bootstrapped');
    const registered = await metadata.submit('registerBroker', {
      clusterId: image.cluster.id,
      broker: {
        id: this.#id,
        incarnation: newUuid(this.#ports.random),
        rack: this.#given.config.brokerRack ?? null,
        listeners,
        directories: store.directoryIds,
        features: SUPPORTED_FEATURES.map(({ name, min, max }) => ({ name, min, max })),
      },
    });
    if (typeof registered === 'string' || isFault(registered)) {
      const reason =
        typeof registered === 'string' ? registered : `${errorName(registered.errorCode)}: ${registered.message}`;
      throw new NodeError(`the node cannot register with its cluster: ${reason}`);
    }
    await metadata.submit('unfenceBroker', {
      id: this.#id,
      brokerEpoch: image.brokers.get(this.#id)?.brokerEpoch ?? -1,
    });
  }

  async #allocateProducerIds(broker: Broker) {
    const { image, nodeId: id } = broker;
    const block = await broker.controller.submit('allocateProducerIds', {
      id,
      brokerEpoch: image.brokers.get(id)?.brokerEpoch ?? -1,
    });
    if (typeof block === 'string' || block.errorCode !== ErrorCode.None) return undefined;
    return { first: block.first, count: block.count };
  }
}

function address(text: string): ListenerAddress {
  const parsed = parseListener(text);
  assert(parsed !== undefined, 'listeners are validated with the config');
  return parsed;
}

async function createOnRequest(broker: Broker, name: string) {
  const asDefault: NewTopic = { name, partitionCount: -1, replicationFactor: -1, assignments: [], configs: new Map() };
  const topic = name === OFFSETS_TOPIC ? offsetsTopic(broker.config) : asDefault;
  const created = await broker.controller.submit('createTopics', { topics: [topic], validateOnly: false });
  if (typeof created === 'string') return { error: ErrorCode.RequestTimedOut, message: `the controller is ${created}` };
  const [outcome] = created;
  return { error: outcome?.errorCode ?? ErrorCode.UnknownServerError, message: outcome?.message ?? null };
}
