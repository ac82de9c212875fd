/** The node's part as a broker: listeners for Kafka clients, partitions, group coordinators, and its registration. */

import { ALL_APIS } from '#api/all-apis';
import { Dispatcher } from '#api/dispatch';
import { assert } from '#base/assert';
import type { Deadlines } from '#base/deadlines';
import { cannotListen } from '#base/listen-failure';
import type { Endpoint, Ports } from '#base/ports';
import { type BrokerListener, ResourceType } from '#metadata/records';
import type { NewTopic } from '#metadata/topics';
import type { BrokerConfig } from '#model/broker-config';
import { ErrorCode } from '#model/errors';
import { SUPPORTED_FEATURES } from '#model/features';
import type { NodeId } from '#model/ids';
import { OFFSETS_TOPIC, TRANSACTIONS_TOPIC } from '#model/internal-topics';
import { interBrokerListener, type ListenerAddress, parseListener } from '#model/listener';
import type { ParsedBrokerConfig } from '#model/parse-broker-config';
import { newUuid } from '#model/uuids';
import { KafkaListener } from '#net/kafka-listener';
import { Broker, brokerLayers, type ControllerClient } from '#runtime/broker';
import { BrokerLifecycle } from '#runtime/broker-lifecycle';
import { BrokerConnections } from '#runtime/broker-requests';
import { clusterConfigsOf } from '#runtime/config-differences';
import { DamagedReplicas } from '#runtime/damaged-replicas';
import { DirectoryReports } from '#runtime/directory-reports';
import { EndOffsets } from '#runtime/end-offsets';
import { GroupHost, offsetsTopic } from '#runtime/group-host';
import { IsrUpdates } from '#runtime/isr-updates';
import { OwnFencing } from '#runtime/own-fencing';
import { PartitionTable } from '#runtime/partition-table';
import { ProducerIds } from '#runtime/producer-ids';
import { ReplicaFetchers } from '#runtime/replica-fetchers';
import { ReplicationThrottle } from '#runtime/replication-throttle';
import { TopicCreator } from '#runtime/topic-creator';
import { TransactionHost, transactionsTopic } from '#runtime/transaction-host';
import type { LogStore } from '#storage/log-store';
import { NodeError } from './node-error.ts';
import type { NodeIdentity, NodeQuorum } from './node-quorum.ts';

const RESPONSE_MEMORY_BYTES = 64 << 20;
/** How long the node itself waits for a decision that no client's own time-out bounds. */
const DECISION_MS = 10_000;

export interface NodeBroker {
  readonly broker: Broker;
  readonly listener: KafkaListener;
  readonly listeners: readonly BrokerListener[];
  readonly lifecycle: BrokerLifecycle;
  readonly reports: DirectoryReports;
  readonly fetchers: ReplicaFetchers;
  readonly isr: IsrUpdates;
  readonly endOffsets: EndOffsets;
  readonly requests: BrokerConnections;
  readonly damaged: DamagedReplicas;
}

/** Adds to `opened` how each part is closed again. Nothing is registered or served yet. */
export async function openBroker(
  ports: Ports,
  parsed: ParsedBrokerConfig,
  store: LogStore,
  deadlines: Deadlines,
  node: NodeIdentity,
  { quorum, link, host }: NodeQuorum,
  opened: (() => Promise<void>)[],
): Promise<NodeBroker> {
  const { config, given } = parsed;
  const { image } = quorum;
  const layers = () => brokerLayers(image, node.id, given);
  const brokerEpoch = (): number => image.brokers.get(node.id)?.brokerEpoch ?? -1;
  const endpointOf = (id: NodeId): Endpoint | undefined =>
    interBrokerListener(image.brokers.get(id)?.listeners ?? [], config.interBrokerListenerName);
  const fetchers = new ReplicaFetchers(ports, deadlines, {
    self: node.id,
    planted: node.planted,
    waitMaxMs: config.replicaFetchWaitMaxMs,
    minBytes: config.replicaFetchMinBytes,
    partitionMaxBytes: config.replicaFetchMaxBytes,
    responseMaxBytes: config.replicaFetchResponseMaxBytes,
    throttle: new ReplicationThrottle({
      clock: ports.clock,
      self: node.id,
      rate: () => broker.config.followerReplicationThrottledRate,
      replicasOf: (partition) => partitions.configOf(partition).followerReplicationThrottledReplicas,
    }),
    onAppended: (sizeBytes) => {
      broker.traffic.replicationBytesIn += sizeBytes;
    },
    isInSync: ({ topicId, index }) => image.topicById(topicId)?.partitions[index]?.isr.includes(node.id) === true,
    endpointOf,
    brokerEpoch,
  });
  opened.push(async () => fetchers.close());
  const requests = new BrokerConnections(ports, deadlines, { self: node.id, endpointOf });
  opened.push(async () => requests.close());
  const isr = new IsrUpdates({
    clock: ports.clock,
    self: node.id,
    image,
    link,
    brokerEpoch,
    lagMaxMs: () => broker.config.replicaLagTimeMaxMs,
    partitions: () => partitions.partitions(),
  });
  opened.push(async () => isr.stop());
  const partitions: PartitionTable = new PartitionTable({
    home: {
      self: node.id,
      planted: node.planted,
      events: {
        ready: (partition) => partitions.becameReady(partition),
        failing: (partition) => partitions.failing(partition),
        isrDue: (partition) => isr.due(partition),
        synced: (partition) => fetchers.synced(partition),
        lost: (partition) => fetchers.lost(partition),
      },
      now: () => ports.clock.now(),
      restart: (log, startOffset) => store.restart(log, startOffset),
    },
    image,
    store,
    logger: ports.logger,
    followers: fetchers,
    clock: ports.clock,
    layers,
    moveBytesPerSecond: () => broker.config.replicaAlterLogDirsIoMaxBytesPerSecond,
  });
  const controller: ControllerClient = {
    async submit(operation, command, timeoutMs) {
      const response = await link.submit(operation, command, timeoutMs);
      await partitions.settled();
      return response;
    },
    describeQuorum: (timeoutMs) => link.describeQuorum(host, timeoutMs),
    async catchUp(timeoutMs) {
      const hasCaughtUp = await link.catchUp(host, timeoutMs);
      await partitions.settled();
      return hasCaughtUp;
    },
    get controllerId() {
      return quorum.leaderId;
    },
  };
  const producerIds = new ProducerIds(() => allocateProducerIds(broker));
  const broker: Broker = new Broker(
    { ports, nodeId: node.id, given, config, image, controller, store },
    {
      deadlines,
      requests,
      partitions,
      producerIds,
      topicCreator: new TopicCreator((name) => createOnRequest(broker, name), ports.logger),
      groups: new GroupHost({
        ports,
        nodeId: node.id,
        image,
        partitions,
        deadlines,
        config: () => broker.config,
        createOffsetsTopic: () => broker.topicCreator.request(OFFSETS_TOPIC),
      }),
      transactions: new TransactionHost({
        ports,
        nodeId: node.id,
        image,
        partitions,
        deadlines,
        requests,
        producerIds,
        config: () => broker.config,
        createTransactionsTopic: () => broker.topicCreator.request(TRANSACTIONS_TOPIC),
      }),
    },
  );
  broker.servedApis = ALL_APIS.map(({ key }) => key);
  partitions.observeLeadership(broker.groups);
  partitions.observeLeadership(broker.transactions);
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
  const listeners = await openListeners(ports, parsed, listener);
  const lifecycle = new BrokerLifecycle(
    ports,
    { quorum, link, host },
    {
      heartbeatMs: config.brokerHeartbeatIntervalMs,
      registration: {
        id: node.id,
        incarnation: node.incarnation,
        rack: config.brokerRack ?? null,
        listeners,
        directories: store.directoryIds,
        features: SUPPORTED_FEATURES.map(({ name, min, max }) => ({ name, min, max })),
      },
      cleanBrokerEpoch: store.cleanBrokerEpoch,
      clusterConfigs: clusterConfigsOf(given),
      fullDirectories: () => store.directories.filter(({ isFull }) => isFull).map(({ id }) => id),
      onRefused: (reason) => ports.fatal(new NodeError(`the node is no broker of its cluster any more: ${reason}`)),
    },
  );
  opened.push(async () => lifecycle.stop());
  const reports = new DirectoryReports(ports.clock, { id: node.id, image, store, link, lifecycle });
  opened.push(async () => reports.stop());
  partitions.observeReplicas(reports);
  const damaged = new DamagedReplicas({
    clock: ports.clock,
    self: node.id,
    store,
    link,
    table: () => partitions,
    brokerEpoch,
  });
  opened.push(async () => damaged.stop());
  partitions.observeReplicas(damaged);
  const endOffsets = new EndOffsets(ports, { partitions, image, endpointOf, wantedMax: config.metricsPartitionLimit });
  opened.push(async () => endOffsets.close());
  store.onDirectoryOffline = () => reports.directoryFailed();
  return { broker, listener, listeners, lifecycle, reports, fetchers, isr, endOffsets, requests, damaged };
}

/** Registers this process, opens what it leads, and goes on when the controller has let clients come. */
export async function joinAsBroker(
  { broker, lifecycle, isr, listener }: NodeBroker,
  { quorum }: NodeQuorum,
): Promise<void> {
  const refusal = await lifecycle.register();
  if (refusal !== undefined) throw new NodeError(`the node cannot register with its cluster: ${refusal}`);
  lifecycle.beginHeartbeats();
  const { partitions } = broker;
  await partitions.setStraysAside();
  let letIn: () => void = () => {};
  const unfenced = new Promise<void>((resolve) => {
    letIn = resolve;
  });
  const fencing = new OwnFencing(broker.nodeId, () => lifecycle.registered?.fenced);
  quorum.publisher.subscribe((delta) => {
    // First: whoever waits has no answer rather than one that says that nothing was written.
    if (fencing.happened(delta)) listener.leaveAll();
    partitions.apply(delta);
    broker.departures.changed(delta.brokers);
    broker.groups.topicsChanged(delta);
    if (delta.partitions.length > 0 || delta.topicsDeleted.length > 0) {
      broker.transactions.leadersChanged();
      broker.verifier.leadersChanged();
    }
    if (delta.cluster || delta.configs.some(({ type }) => type === ResourceType.Broker)) broker.refreshConfig();
    if (lifecycle.registered?.fenced === false) letIn();
  });
  await partitions.settled();
  isr.start();
  lifecycle.wantWork();
  await unfenced;
  await partitions.settled();
}

/** Binds every address; what clients are told is the advertised address, else the bound one. */
async function openListeners(
  ports: Ports,
  { config }: ParsedBrokerConfig,
  listener: KafkaListener,
): Promise<BrokerListener[]> {
  const advertised = new Map((config.advertisedListeners ?? []).map((text) => [address(text).name, address(text)]));
  const opened: BrokerListener[] = [];
  for (const text of config.listeners) {
    const { name, host, port } = address(text);
    const bound = await bind(ports, listener, name, { host, port });
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

async function bind(ports: Ports, listener: KafkaListener, name: string, at: Endpoint): Promise<Endpoint> {
  try {
    return await listener.bind(ports.network, name, at);
  } catch (cause) {
    throw new NodeError(cannotListen(name, at, cause), { cause });
  }
}

async function allocateProducerIds({ controller, image, nodeId: id }: Broker) {
  const brokerEpoch = image.brokers.get(id)?.brokerEpoch ?? -1;
  const block = await controller.submit('allocateProducerIds', { id, brokerEpoch }, DECISION_MS);
  if (typeof block === 'string' || block.errorCode !== ErrorCode.None) return undefined;
  return { first: block.first, count: block.count };
}

function address(text: string): ListenerAddress {
  const parsed = parseListener(text);
  assert(parsed !== undefined, 'listeners are validated with the config');
  return parsed;
}

async function createOnRequest(broker: Broker, name: string) {
  const id = newUuid(broker.ports.random);
  const asDefault: NewTopic = {
    id,
    name,
    partitionCount: -1,
    replicationFactor: -1,
    assignments: [],
    configs: new Map(),
  };
  const internal = internalTopic(name, broker.config);
  const topic = internal === undefined ? asDefault : { ...internal, id };
  const created = await broker.controller.submit('createTopics', { topics: [topic], validateOnly: false }, DECISION_MS);
  if (typeof created === 'string') return { error: ErrorCode.RequestTimedOut, message: `the controller: ${created}` };
  const [outcome] = created;
  return { error: outcome?.errorCode ?? ErrorCode.UnknownServerError, message: outcome?.message ?? null };
}

function internalTopic(name: string, config: BrokerConfig): NewTopic | undefined {
  if (name === OFFSETS_TOPIC) return offsetsTopic(config);
  return name === TRANSACTIONS_TOPIC ? transactionsTopic(config) : undefined;
}
