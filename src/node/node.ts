import { assert } from '#base/assert';
import { Deadlines } from '#base/deadlines';
import type { Ports } from '#base/ports';
import type { BrokerListener } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { type NodeId, nodeId } from '#model/ids';
import type { ParsedBrokerConfig } from '#model/parse-broker-config';
import { NO_PLANTED_BUGS, type PlantedBugs } from '#model/planted-bugs';
import { newUuid } from '#model/uuids';
import type { MetadataQuorum } from '#runtime/metadata-quorum';
import type { Partition } from '#runtime/partition';
import type { PartitionTable } from '#runtime/partition-table';
import { LogStore } from '#storage/log-store';
import { cleanerSettings } from './cleaner-settings.ts';
import { joinAsBroker, type NodeBroker, openBroker } from './node-broker.ts';
import { NodeError } from './node-error.ts';
import { registerBrokerMetrics, registerQuorumMetrics } from './node-metrics.ts';
import { type NodeIdentity, type NodeQuorum, openQuorum } from './node-quorum.ts';

export { NodeError } from './node-error.ts';

/** How long a stopping node lets others take over what it leads. */
const HANDOVER_MS = 500;
/** For as long clients can be told who leads now, before their connections end. */
const ANSWERING_MS = 10;

type Closer = () => Promise<void>;

/** What a running node is made of; `broker` is undefined on one that is a controller only. */
interface Running {
  readonly store: LogStore;
  readonly deadlines: Deadlines;
  readonly part: NodeQuorum;
  readonly broker: NodeBroker | undefined;
}

export interface NodeOptions {
  /** Faults for tests of the simulator. */
  readonly planted?: PlantedBugs;
}

/**
 * One whole node over its ports: the same class in production, in a user's test and in the simulator. `start` resolves when clients
 * are served; `stop` leaves a clean shutdown. A second node over the same disks after a crash is like a new process.
 */
export class Node {
  readonly #ports: Ports;
  readonly #given: ParsedBrokerConfig;
  readonly #identity: NodeIdentity;
  #quorum: MetadataQuorum | undefined;
  #partitions: PartitionTable | undefined;
  #running: Running | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #abort: (reason: Error) => void = () => {};

  constructor(ports: Ports, config: ParsedBrokerConfig, { planted = NO_PLANTED_BUGS }: NodeOptions = {}) {
    this.#ports = ports;
    this.#given = config;
    this.#identity = { id: nodeId(config.config.nodeId), incarnation: newUuid(ports.random), planted };
  }

  get id(): NodeId {
    return this.#identity.id;
  }

  /** Whether clients are served. */
  get ready(): boolean {
    if (this.#running === undefined || this.#stopping !== undefined) return false;
    const { broker } = this.#running;
    return broker === undefined || broker.lifecycle.registered?.fenced === false;
  }

  /** Where clients reach it, by listener; the first is the one to tell a user. */
  get listeners(): readonly BrokerListener[] {
    return this.#running?.broker?.listeners ?? [];
  }

  get clusterId(): string | undefined {
    return this.#quorum?.image.cluster?.id;
  }

  /** Its replica of the metadata log, for checkers: read only. Undefined before it is recovered. */
  view(): MetadataQuorum | undefined {
    return this.#quorum;
  }

  /** The partitions that it has, for checkers: read only. */
  replicas(): Iterable<Partition> {
    return this.#partitions?.partitions() ?? [];
  }

  /** Rejects with NodeError, or with the error of the part that could not start; what was opened is closed by then. */
  start(): Promise<void> {
    assert(this.#starting === undefined && this.#stopping === undefined, 'a node starts once');
    this.#starting = this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const opened: Closer[] = [];
    const aborted = new Promise<never>((_, reject) => {
      this.#abort = reject;
    });
    const opening = this.#open(opened);
    try {
      this.#running = await Promise.race([opening, aborted]);
    } catch (failure) {
      for (const close of opened.splice(0).reverse()) await close();
      // It was given up in the middle of a step, which may have opened one thing more.
      opening
        .catch(() => {})
        .then(async () => {
          for (const close of opened.reverse()) await close();
        });
      throw failure;
    }
    const { broker } = this.#running;
    broker?.listener.serve();
    this.#ports.logger.info(
      {
        listeners: this.listeners.map(({ name, host, port }) => `${name}://${host}:${port}`),
        clusterId: this.clusterId,
      },
      'node started',
    );
  }

  /** Adds to `opened` how each part is closed again. */
  async #open(opened: Closer[]): Promise<Running> {
    const { config, inert } = this.#given;
    const ports = this.#ports;
    for (const name of inert) ports.logger.warn({ config: name }, 'this config of Kafka has no effect here');

    const effective = () => this.#running?.broker?.broker.config;
    const store = await LogStore.open(ports, {
      nodeId: this.id,
      tailCacheBytes: config.logTailCacheBytes,
      minFreeBytes: config.logDirMinFreeBytes,
      retentionCheckMs: config.logRetentionCheckIntervalMs,
      cleaner: () => cleanerSettings(effective() ?? config),
      planted: this.#identity.planted,
      // Nobody is forgotten before it is known what was set at run time: it may be longer than what was given.
      producerIdExpirationMs: () => effective()?.producerIdExpirationMs ?? Number.POSITIVE_INFINITY,
      onAllOffline: (reason) => ports.fatal(new NodeError(`no data directory is left: ${reason}`)),
    });
    opened.push(() => store.close());
    const deadlines = new Deadlines(ports.clock);
    opened.push(async () => deadlines.close());
    const part = await openQuorum(ports, this.#given, store, deadlines, this.#identity, opened);
    const { quorum } = part;
    this.#quorum = quorum;
    registerQuorumMetrics(ports, part, this.#given.given);
    quorum.start();
    // The first entry names the cluster.
    await quorum.whenApplied(1);
    const { cluster } = quorum.image;
    assert(cluster !== undefined, 'the log begins with the cluster');
    await store.setClusterId(cluster.id);
    if (!config.processRoles.includes('broker')) return { store, deadlines, part, broker: undefined };

    const broker = await openBroker(ports, this.#given, store, deadlines, this.#identity, part, opened);
    this.#partitions = broker.broker.partitions;
    await joinAsBroker(broker, part);
    registerBrokerMetrics(ports, broker);
    return { store, deadlines, part, broker };
  }

  /**
   * Hands over what it leads, drops its clients, whose unanswered requests may have been carried out or not, then leaves clean
   * checkpoints, so that the next start scans nothing. A node that is starting gives that up: its `start` rejects.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#abort(new NodeError('the node was stopped while it was starting'));
    await this.#starting?.catch(() => {});
    const running = this.#running;
    if (running === undefined) return;
    const { store, deadlines, part, broker } = running;
    if (broker !== undefined) await this.#leave(broker, part);
    await part.quorum.resign(HANDOVER_MS);
    part.link.stop();
    part.sessions.stop();
    part.upkeep.stop();
    part.leaderless.stop();
    broker?.isr.stop();
    broker?.endOffsets.close();
    broker?.requests.close();
    broker?.damaged.stop();
    broker?.fetchers.close();
    await part.quorum.close();
    await part.peers.close();
    if (broker !== undefined) {
      const { partitions } = broker.broker;
      await partitions.settled();
      partitions.retireAll(ErrorCode.NotLeaderOrFollower);
    }
    deadlines.close();
    store.brokerEpoch = broker?.lifecycle.brokerEpoch ?? -1;
    await store.close();
    this.#ports.logger.info({}, 'node stopped');
  }

  /** Others lead its partitions by the time that its clients are dropped, where there are others. */
  async #leave({ broker, lifecycle, listener, reports }: NodeBroker, { quorum, link }: NodeQuorum): Promise<void> {
    const { id, brokerEpoch } = { id: this.id, brokerEpoch: lifecycle.brokerEpoch };
    const hasOthers = quorum.image.brokers.size > 1 && quorum.leaderId !== undefined;
    if (hasOthers && brokerEpoch >= 0 && broker.config.controlledShutdownEnable) {
      await broker.handOver(() => link.submit('drainBroker', { id, brokerEpoch }, HANDOVER_MS));
      await new Promise<void>((resolve) => void broker.deadlines.after(ANSWERING_MS, resolve));
    }
    reports.stop();
    lifecycle.stop();
    await listener.close();
    if (hasOthers && brokerEpoch >= 0) await link.submit('fenceBroker', { id, brokerEpoch }, HANDOVER_MS);
  }
}
