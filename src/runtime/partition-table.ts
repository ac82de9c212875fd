import { assert } from '#base/assert';
import type { Clock, Logger } from '#base/ports';
import type { MetadataDelta, PartitionDelta, TopicRemoval } from '#metadata/delta';
import type { MetadataImage } from '#metadata/image';
import { type Partition as PartitionState, ResourceType } from '#metadata/records';
import { type BrokerLayers, topicDefaults } from '#model/config-layers';
import { ErrorCode } from '#model/errors';
import { type NodeId, offset, partitionName, type Uuid } from '#model/ids';
import { isInternalTopic } from '#model/internal-topics';
import { parseTopicConfig, type TopicConfig } from '#model/topic-config';
import type { LogStore } from '#storage/log-store';
import type { PartitionLog } from '#storage/partition-log';
import { Partition, type PartitionHome } from './partition.ts';
import { ReplicaMoves, type ReplicaMovesParts } from './replica-moves.ts';
import { ReplicationThrottle } from './replication-throttle.ts';
import { TopicTraffic } from './traffic.ts';

interface TopicEntry {
  readonly name: string;
  readonly id: Uuid;
  config: TopicConfig;
  readonly partitions: (Partition | undefined)[];
  readonly traffic: TopicTraffic;
  /** Of each partition here: the last state that was brought into effect. */
  readonly states: (PartitionState | undefined)[];
}

/** Told of the replicas that this node has. */
export interface ReplicaObserver {
  /** Also again, when the metadata have come to say otherwise in which directory it is. */
  opened(partition: Partition): void;
  /** Before the replica retires. */
  closing(partition: Partition): void;
}

/** Told of what this node leads, from when committed records can be read. */
export interface LeadershipObserver {
  ready(partition: Partition): void;
  /** Before the partition gives up leading in that epoch; also if `ready` was never told. */
  resigning(partition: Partition): void;
}

/** Brings replicas that do not lead in step with who does. */
export interface Followers {
  /** In its present leader epoch; null: nobody leads. */
  follow(partition: Partition, leader: NodeId | null): void;
  unfollow(partition: Partition): void;
}

export interface PartitionTableParts {
  readonly home: PartitionHome;
  readonly image: MetadataImage;
  readonly store: LogStore;
  readonly logger: Logger;
  readonly followers: Followers;
  readonly clock: Clock;
  layers(): BrokerLayers;
  /** What replicas that move between this node's directories may copy. */
  moveBytesPerSecond(): number;
}

/**
 * The replicas of this node, kept in step with the metadata: each delta opens, closes and configures logs, and says who leads. Lookups
 * answer the code that a client must see.
 */
export class PartitionTable {
  readonly #parts: PartitionTableParts;
  readonly #node: NodeId;
  readonly #image: MetadataImage;
  readonly #store: LogStore;
  readonly #logger: Logger;
  readonly #byName = new Map<string, TopicEntry>();
  readonly #byId = new Map<Uuid, TopicEntry>();
  /** Of replicas between this node's data directories. */
  readonly moves: ReplicaMoves;
  readonly #replicaObservers: ReplicaObserver[] = [];
  readonly #leadershipObservers: LeadershipObserver[] = [];
  #applied: Promise<void> = Promise.resolve();

  constructor(parts: PartitionTableParts) {
    this.#parts = parts;
    this.#node = parts.home.self;
    this.#image = parts.image;
    this.#store = parts.store;
    this.#logger = parts.logger;
    const { store, logger, clock } = parts;
    const throttle = new ReplicationThrottle({
      clock,
      self: this.#node,
      rate: () => parts.moveBytesPerSecond(),
      replicasOf: () => ['*'],
    });
    // A leader that has proposed another ISR would not know of it any more with another log.
    const canMove = ({ isBeingCut, leadership }: Partition): boolean => !isBeingCut && leadership?.isProposing !== true;
    const replaceLog: ReplicaMovesParts['replaceLog'] = (partition, replace) =>
      this.#replaceLog(partition, () => canMove(partition), replace);
    this.moves = new ReplicaMoves({ store, logger, clock, throttle, replaceLog });
    store.onRoom = () => this.#openMissing();
  }

  observeReplicas(observer: ReplicaObserver): void {
    this.#replicaObservers.push(observer);
  }

  observeLeadership(observer: LeadershipObserver): void {
    this.#leadershipObservers.push(observer);
  }

  /** Every replica here, whoever leads. */
  *partitions(): IterableIterator<Partition> {
    for (const topic of this.#byName.values())
      for (const partition of topic.partitions) if (partition !== undefined) yield partition;
  }

  /**
   * For requests that only the leader answers; one that is offline answers for itself. A client that goes by another leader epoch than a
   * follower here is told that, as in Kafka: it, or this node, is behind. -1: the client names none.
   */
  findByName(topic: string, index: number, clientEpoch = -1): Partition | ErrorCode {
    return leaderOnly(this.replicaByName(topic, index), clientEpoch);
  }

  /** As findByName. */
  findById(topicId: Uuid, index: number, clientEpoch = -1): Partition | ErrorCode {
    return leaderOnly(this.replicaById(topicId, index), clientEpoch);
  }

  /** Also one that follows. */
  replicaByName(topic: string, index: number): Partition | ErrorCode {
    const partition = this.#byName.get(topic)?.partitions[index];
    if (partition !== undefined) return partition;
    return this.#image.partition(topic, index) === undefined
      ? ErrorCode.UnknownTopicOrPartition
      : ErrorCode.NotLeaderOrFollower;
  }

  /** Also one that follows. */
  replicaById(topicId: Uuid, index: number): Partition | ErrorCode {
    const partition = this.#byId.get(topicId)?.partitions[index];
    if (partition !== undefined) return partition;
    const topic = this.#image.topicById(topicId);
    if (topic === undefined) return ErrorCode.UnknownTopicId;
    return topic.partitions[index] === undefined ? ErrorCode.UnknownTopicOrPartition : ErrorCode.NotLeaderOrFollower;
  }

  configOf(partition: Partition): TopicConfig {
    const topic = this.#byId.get(partition.topicId);
    assert(topic !== undefined, 'a partition in use belongs to a topic of the table');
    return topic.config;
  }

  /** Of its topic, for as long as this node has replicas of it; undefined if they have gone meanwhile. */
  trafficOf({ topicId }: Partition): TopicTraffic | undefined {
    return this.#byId.get(topicId)?.traffic;
  }

  /** Of each topic that this node has replicas of. */
  *traffic(): IterableIterator<readonly [topic: string, traffic: TopicTraffic]> {
    for (const { name, traffic } of this.#byId.values()) yield [name, traffic];
  }

  get topicCount(): number {
    return this.#byId.size;
  }

  isInternal(topic: string): boolean {
    return isInternalTopic(topic);
  }

  /** A partition's high watermark covers the epoch in which it leads. */
  becameReady(partition: Partition): void {
    for (const observer of this.#leadershipObservers) observer.ready(partition);
  }

  /** Its directory has failed: it leads no longer, whatever the next delta says. */
  failing(partition: Partition): void {
    this.#resign(partition);
  }

  /** The logs that were found at start against the metadata: those of no topic of ours are set aside, never served. */
  async setStraysAside(): Promise<void> {
    for (const log of [...this.#store.logs()]) {
      const topic = this.#image.topic(log.topic);
      const state = topic !== undefined && topic.id === log.topicId ? topic.partitions[log.partition] : undefined;
      if (state?.replicas.includes(this.#node)) continue;
      const future = this.#store.claimFuture(log);
      if (future !== undefined) await this.#store.dropFuture(future);
      this.#logger.warn(
        { log: partitionName(log.topic, log.partition), topicId: log.topicId },
        'a log that the metadata does not know is set aside',
      );
      await this.#store.setAside(log);
    }
  }

  /** Deltas are applied one after another; see `settled`. */
  apply(delta: MetadataDelta): void {
    this.#applied = this.#applied.then(() => this.#apply(delta));
  }

  /**
   * The log of a leader has turned out to be damaged: if others are in sync, one of them is to lead. It is not served any more, and handled
   * as one that was found damaged at the start. In turn with the deltas; nothing happens if nobody else is in sync by then. What it has
   * proposed may still be decided: it leads on with nothing that it would have to know it for.
   */
  async quarantine(partition: Partition, reason: string): Promise<void> {
    const canGo = (): boolean => partition.leadership?.hasSuccessor === true;
    await this.#replaceLog(partition, canGo, async (log) => {
      await this.#store.quarantine(log, reason);
      return undefined;
    });
  }

  /** The replica of a damaged log begins anew, behind the present leader; whether it could. In turn with the deltas. */
  replaceDamaged(partition: Partition): Promise<boolean> {
    const replaced = this.#applied.then(() => this.#replaceDamaged(partition));
    this.#applied = replaced.then(() => {});
    return replaced;
  }

  /** Resolves when every delta handed over so far has had its effects, but for leaders whose logs are being cut still. */
  settled(): Promise<void> {
    return this.#applied;
  }

  /** Nothing is served any longer; what waits is answered with `error`. */
  retireAll(error: ErrorCode): void {
    this.moves.stop();
    for (const partition of this.partitions()) this.#retire(partition, error);
    this.#byName.clear();
    this.#byId.clear();
  }

  async #apply(delta: MetadataDelta): Promise<void> {
    for (const removal of delta.topicsDeleted) await this.#remove(removal);
    // First: who has left an ISR may have stayed eligible by the new min.insync.replicas, and must not miss what is committed.
    this.#applyConfigs(delta);
    for (const change of delta.partitions) await this.#applyPartition(change);
    if (delta.brokers.length > 0) for (const partition of this.partitions()) partition.brokersChanged();
  }

  async #applyPartition({ topic, topicId, partition: index, after }: PartitionDelta): Promise<void> {
    const known = this.#byId.get(topicId);
    const held = known?.partitions[index];
    if (!after.replicas.includes(this.#node)) {
      if (known === undefined || held === undefined) return;
      known.partitions[index] = undefined;
      this.#retire(held, ErrorCode.NotLeaderOrFollower);
      await this.#dropLog(topic, topicId, index, held);
      return;
    }
    const partition = held ?? (await this.#open(this.#entry(topic, topicId), index, after));
    const { states } = this.#entry(topic, topicId);
    const before = states[index];
    states[index] = after;
    this.#assume(partition, after);
    const isNews = held === undefined || this.#directoryIn(before) !== this.#directoryIn(after);
    if (isNews) for (const observer of this.#replicaObservers) observer.opened(partition);
  }

  /** Of this node's replica, as the metadata have it. */
  #directoryIn(state: PartitionState | undefined): Uuid | undefined {
    return state?.directories[state.replicas.indexOf(this.#node)];
  }

  /**
   * Whether an earlier process of this node can have acknowledged nothing here: whoever registers anew leaves what it was in sync with, or at
   * least its leadership, so that a partition which is as it was made has come since, or has not counted on this node yet.
   */
  #isNew({ partitionEpoch, adding, isr, elr }: PartitionState): boolean {
    const isMember = isr.includes(this.#node) || elr.includes(this.#node);
    return partitionEpoch === 0 || (adding.includes(this.#node) && !isMember);
  }

  /** The partition's part in its present state. */
  #assume(partition: Partition, state: PartitionState): void {
    const { followers } = this.#parts;
    const isNewEpoch = partition.leaderEpoch !== state.leaderEpoch;
    if (state.leader === this.#node) {
      const { minInsyncReplicas } = this.configOf(partition);
      if (partition.leads && !isNewEpoch) return partition.changed(state, minInsyncReplicas);
      this.#resign(partition);
      followers.unfollow(partition);
      if (partition.isBeingCut) this.#assumeWhenWhole(partition);
      else partition.lead(state, minInsyncReplicas);
      return;
    }
    if (partition.leads || isNewEpoch) {
      this.#resign(partition);
      partition.follow(state.leaderEpoch);
    }
    followers.follow(partition, state.leader);
  }

  /**
   * What a replica was told to cut as a follower is no part of what it leads with. The disk may have no room to cut it for long: nothing
   * else waits for it, and what counts in the end is the state of then.
   */
  #assumeWhenWhole(partition: Partition): void {
    void partition.whenWhole().then(() => {
      this.#applied = this.#applied.then(() => {
        const entry = this.#byId.get(partition.topicId);
        const state = entry?.states[partition.index];
        if (state !== undefined && entry?.partitions[partition.index] === partition) this.#assume(partition, state);
      });
    });
  }

  async #open(entry: TopicEntry, index: number, state: PartitionState): Promise<Partition> {
    const { name, id } = entry;
    const found = this.#store.get(name, index);
    const there = found ?? (await this.#store.create(name, id, index, entry.config, offset(0), this.#isNew(state)));
    // Its directory may have failed before anybody listened.
    const log = there?.directory.isOffline ? undefined : there;
    if (log === undefined)
      this.#logger.error(
        { log: partitionName(name, index) },
        'the partition is offline: no directory can hold its log now',
      );
    if (found !== undefined) found.updateConfig(entry.config);
    const partition = new Partition(this.#parts.home, name, id, index, log);
    entry.partitions[index] = partition;
    if (log !== undefined) this.moves.resume(partition, log);
    return partition;
  }

  /**
   * Between two deltas: the replica stands still, as one that is not here, while `replace` runs, and goes on with the log that it gives,
   * or with none. A leader leads on in its epoch, with all that it had appended. False if that cannot be now, by `isAble` in its turn.
   */
  #replaceLog(
    partition: Partition,
    isAble: () => boolean,
    replace: (log: PartitionLog) => Promise<PartitionLog | undefined>,
  ): Promise<boolean> {
    let isNow = true;
    const replaced = this.#applied.then(async () => {
      const { topic, topicId, index } = partition;
      const entry = this.#byId.get(topicId);
      const state = entry?.states[index];
      const { log } = partition;
      if (state === undefined || entry?.partitions[index] !== partition || log === undefined) return;
      isNow = isAble();
      if (!isNow) return;
      entry.partitions[index] = undefined;
      this.#retire(partition, ErrorCode.NotLeaderOrFollower);
      const next = await replace(log);
      // The node may have stopped meanwhile.
      if (this.#byId.get(topicId) !== entry) return;
      const replica = new Partition(
        this.#parts.home,
        topic,
        topicId,
        index,
        next?.directory.isOffline ? undefined : next,
      );
      entry.partitions[index] = replica;
      // It is the same log: nobody may tell again how far it was committed, as long as nothing is produced.
      if (next !== undefined) replica.leaderIsAt(partition.highWatermark, next.logStartOffset);
      this.#assume(replica, state);
      for (const observer of this.#replicaObservers) observer.opened(replica);
    });
    this.#applied = replaced;
    return replaced.then(() => isNow);
  }

  async #replaceDamaged(partition: Partition): Promise<boolean> {
    const { topic, topicId, index } = partition;
    const entry = this.#byId.get(topicId);
    if (entry?.partitions[index] !== partition || partition.log !== undefined) return true;
    // Of the last delta that had its effects here: the image may be ahead. One in which it still leads would have it lead with nothing.
    const state = entry.states[index];
    if (state === undefined || state.leader === this.#node) return false;
    const log = await this.#store.replaceDamaged(topic, topicId, index, entry.config);
    if (log === undefined) return false;
    this.#beginAnew(partition, log, state);
    return true;
  }

  /** Replicas for whose logs there was no room, now that there is some: each in turn with the deltas. */
  #openMissing(): void {
    for (const partition of this.partitions())
      if (partition.log === undefined) this.#applied = this.#applied.then(() => this.#createMissing(partition));
  }

  async #createMissing(partition: Partition): Promise<void> {
    const { topic, topicId, index, highWatermark } = partition;
    const entry = this.#byId.get(topicId);
    const state = entry?.states[index];
    if (entry?.partitions[index] !== partition || partition.log !== undefined || state === undefined) return;
    // In a directory that has failed the log is there, with all that it has acknowledged.
    if (this.#store.get(topic, index) !== undefined) return;
    // Not at 0 if it was to begin anew further up.
    const log = await this.#store.create(topic, topicId, index, entry.config, highWatermark, this.#isNew(state));
    if (log !== undefined) this.#beginAnew(partition, log, state);
  }

  #beginAnew(partition: Partition, log: PartitionLog, state: PartitionState): void {
    partition.beginAnew(log);
    // Nothing more is asked for on behalf of a replica that lost its log while it followed.
    this.#parts.followers.unfollow(partition);
    this.#assume(partition, state);
    for (const observer of this.#replicaObservers) observer.opened(partition);
  }

  async #remove({ id, name, partitions }: TopicRemoval): Promise<void> {
    const entry = this.#byId.get(id);
    this.#byId.delete(id);
    if (entry !== undefined) this.#byName.delete(name);
    for (const partition of entry?.partitions ?? [])
      if (partition !== undefined) this.#retire(partition, ErrorCode.UnknownTopicOrPartition);
    for (const { partition } of partitions) await this.#dropLog(name, id, partition, entry?.partitions[partition]);
  }

  /**
   * Also the log of a partition that is offline, and one that was being made when the replica retired: it must not be taken for that of a
   * later topic of this name, nor for what a later replica has.
   */
  async #dropLog(topic: string, topicId: Uuid, index: number, retired: Partition | undefined): Promise<void> {
    await retired?.whenRestarted();
    const log = this.#store.get(topic, index);
    if (log?.topicId === topicId) await this.#store.delete(log);
  }

  #resign(partition: Partition): void {
    if (partition.leads) for (const observer of this.#leadershipObservers) observer.resigning(partition);
  }

  #retire(partition: Partition, error: ErrorCode): void {
    this.#resign(partition);
    this.#parts.followers.unfollow(partition);
    for (const observer of this.#replicaObservers) observer.closing(partition);
    partition.retire(error);
  }

  #applyConfigs(delta: MetadataDelta): void {
    // The defaults of topics follow the cluster's size, too.
    const defaultsChanged = delta.cluster || delta.configs.some(({ type }) => type === ResourceType.Broker);
    const names = defaultsChanged
      ? [...this.#byName.keys()]
      : delta.configs.flatMap(({ type, name }) => (type === ResourceType.Topic ? [name] : []));
    for (const name of names) {
      const entry = this.#byName.get(name);
      if (entry === undefined) continue;
      entry.config = this.#configFor(name);
      for (const partition of entry.partitions) {
        partition?.log?.updateConfig(entry.config);
        const view = partition?.leadership?.view;
        if (view !== undefined) partition?.changed(view, entry.config.minInsyncReplicas);
      }
    }
  }

  #entry(name: string, id: Uuid): TopicEntry {
    let entry = this.#byId.get(id);
    if (entry === undefined) {
      entry = { name, id, config: this.#configFor(name), partitions: [], states: [], traffic: new TopicTraffic() };
      this.#byId.set(id, entry);
      this.#byName.set(name, entry);
    }
    return entry;
  }

  #configFor(topic: string): TopicConfig {
    return parseTopicConfig(this.#image.configs(ResourceType.Topic, topic), topicDefaults(this.#parts.layers()));
  }
}

function leaderOnly(found: Partition | ErrorCode, clientEpoch: number): Partition | ErrorCode {
  if (typeof found === 'number' || found.leads || found.log === undefined) return found;
  const epochError = found.checkLeaderEpoch(clientEpoch);
  return epochError === ErrorCode.None ? ErrorCode.NotLeaderOrFollower : epochError;
}
