import type { Deadlines } from '#base/deadlines';
import type { Ports } from '#base/ports';
import type { CommandOf, OperationName } from '#metadata/controller';
import type { MetadataImage } from '#metadata/image';
import { ResourceType } from '#metadata/records';
import type { BrokerConfig } from '#model/broker-config';
import type { BrokerLayers } from '#model/config-layers';
import { SUPPORTED_FEATURES, type SupportedFeature } from '#model/features';
import type { NodeId } from '#model/ids';
import { parseBrokerConfig } from '#model/parse-broker-config';
import type { LogStore } from '#storage/log-store';
import type { BrokerRequests } from './broker-requests.ts';
import type { Submitted } from './controller-link.ts';
import type { QuorumDescription } from './controller-protocol.ts';
import { Departures } from './departures.ts';
import { FetchSessions } from './fetch-sessions.ts';
import type { GroupHost } from './group-host.ts';
import { whenSettled } from './next-leader.ts';
import type { PartitionTable } from './partition-table.ts';
import type { ProducerIds } from './producer-ids.ts';
import { ReplicationThrottle } from './replication-throttle.ts';
import type { TopicCreator } from './topic-creator.ts';
import { Traffic } from './traffic.ts';
import type { TransactionHost } from './transaction-host.ts';
import { TransactionVerifier } from './transaction-verifier.ts';

/** A node that stops waits no longer for its disks to do what the metadata ask of them: one that hangs keeps no client. */
const EFFECTS_MS = 500;

/** The way to the active controller: resolves once the decision's records are committed here and their effects are done. */
export interface ControllerClient {
  submit<Name extends OperationName>(
    operation: Name,
    command: CommandOf<Name>,
    timeoutMs: number,
  ): Promise<Submitted<Name>>;
  /** As the active controller sees it; undefined if there is none within `timeoutMs`. */
  describeQuorum(timeoutMs: number): Promise<QuorumDescription | undefined>;
  /** Whether all that was committed when this was asked has, within `timeoutMs`, become true here. */
  catchUp(timeoutMs: number): Promise<boolean>;
  /** Of the quorum's leader; undefined while none is known. */
  readonly controllerId: NodeId | undefined;
}

export interface BrokerParts {
  readonly ports: Ports;
  readonly nodeId: NodeId;
  /** The broker configs as they were given at start. */
  readonly given: ReadonlyMap<string, string>;
  readonly config: BrokerConfig;
  readonly image: MetadataImage;
  readonly controller: ControllerClient;
  readonly store: LogStore;
}

/** What the handlers of a node work with. The parts that need the broker themselves are set once, by the node, before it serves. */
export class Broker {
  readonly ports: Ports;
  readonly nodeId: NodeId;
  readonly image: MetadataImage;
  readonly controller: ControllerClient;
  readonly store: LogStore;
  readonly deadlines: Deadlines;
  readonly fetchSessions: FetchSessions;
  readonly traffic = new Traffic();
  readonly leaderThrottle: ReplicationThrottle;
  readonly supportedFeatures: readonly SupportedFeature[] = SUPPORTED_FEATURES;
  readonly partitions: PartitionTable;
  readonly departures: Departures;
  readonly producerIds: ProducerIds;
  readonly topicCreator: TopicCreator;
  readonly groups: GroupHost;
  readonly transactions: TransactionHost;
  /** To other brokers, and to this one as if it were another. */
  readonly requests: BrokerRequests;
  readonly verifier: TransactionVerifier;
  servedApis: readonly number[] = [];
  readonly #given: ReadonlyMap<string, string>;
  #config: BrokerConfig;
  #handedOver: Promise<void> | undefined;

  constructor(
    parts: BrokerParts,
    services: {
      partitions: PartitionTable;
      producerIds: ProducerIds;
      topicCreator: TopicCreator;
      groups: GroupHost;
      transactions: TransactionHost;
      requests: BrokerRequests;
      deadlines: Deadlines;
    },
  ) {
    this.ports = parts.ports;
    this.nodeId = parts.nodeId;
    this.image = parts.image;
    this.controller = parts.controller;
    this.store = parts.store;
    this.#given = parts.given;
    this.#config = parts.config;
    this.deadlines = services.deadlines;
    this.partitions = services.partitions;
    this.departures = new Departures(parts.image, parts.ports.clock);
    this.producerIds = services.producerIds;
    this.topicCreator = services.topicCreator;
    this.groups = services.groups;
    this.transactions = services.transactions;
    this.requests = services.requests;
    this.verifier = new TransactionVerifier({
      clock: parts.ports.clock,
      deadlines: services.deadlines,
      image: parts.image,
      requests: services.requests,
      config: () => this.#config,
    });
    this.leaderThrottle = new ReplicationThrottle({
      clock: parts.ports.clock,
      self: parts.nodeId,
      rate: () => this.#config.leaderReplicationThrottledRate,
      replicasOf: (partition) => services.partitions.configOf(partition).leaderReplicationThrottledReplicas,
    });
    this.fetchSessions = new FetchSessions(
      parts.config.maxIncrementalFetchSessionCacheSlots,
      parts.ports.random.fork('fetch sessions'),
    );
  }

  /** Effective now: what was given at start under what was set at run time. */
  get config(): BrokerConfig {
    return this.#config;
  }

  get layers(): BrokerLayers {
    return brokerLayers(this.image, this.nodeId, this.#given);
  }

  /** Reads the configs again, after the dynamic ones or the cluster's size changed. */
  refreshConfig(): void {
    const { given, clusterWide, perBroker, targetSize } = this.layers;
    const parsed = parseBrokerConfig(new Map([...given, ...clusterWide, ...perBroker]), targetSize);
    // The controller validates what it stores; a value of another version that is not understood changes nothing.
    if ('config' in parsed) this.#config = parsed.config;
    else
      this.ports.logger.warn({ errors: parsed.errors }, 'dynamic broker configs are not understood and have no effect');
  }

  /** Resolves when others lead what this node has led; undefined unless it is handing that over. */
  get handedOver(): Promise<void> | undefined {
    return this.#handedOver;
  }

  /**
   * What is produced meanwhile waits until the effects of `drain` are here, which runs when what was appended before is committed. Without that
   * some followers would have more than the one that leads next, and would have to cut it off before anything can be committed again.
   */
  async handOver(drain: () => Promise<unknown>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#handedOver = promise;
    const led = [...this.partitions.partitions()].filter(({ leads }) => leads);
    await whenSettled(led, this.deadlines);
    await drain();
    const patience = new Promise<void>((end) => void this.deadlines.after(EFFECTS_MS, end));
    await Promise.race([this.partitions.settled(), patience]);
    this.#handedOver = undefined;
    resolve();
  }

  /** A handler failed: a broken invariant. */
  fail(error: unknown): never {
    return this.ports.fatal(error instanceof Error ? error : new Error(String(error)));
  }
}

export function brokerLayers(image: MetadataImage, nodeId: NodeId, given: ReadonlyMap<string, string>): BrokerLayers {
  return {
    perBroker: image.configs(ResourceType.Broker, String(nodeId)),
    clusterWide: image.configs(ResourceType.Broker, ''),
    given,
    targetSize: image.cluster?.targetSize ?? 1,
  };
}
