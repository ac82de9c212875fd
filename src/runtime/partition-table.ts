import { assert } from '#base/assert';
import type { Logger } from '#base/ports';
import type { MetadataDelta, PartitionDelta, TopicRemoval } from '#metadata/delta';
import type { MetadataImage } from '#metadata/image';
import { ResourceType } from '#metadata/records';
import { type BrokerLayers, topicDefaults } from '#model/config-layers';
import { ErrorCode } from '#model/errors';
import { type NodeId, partitionName, type Uuid } from '#model/ids';
import { parseTopicConfig, type TopicConfig } from '#model/topic-config';
import type { LogStore } from '#storage/log-store';
import { isInternalTopic } from './internal-topics.ts';
import { Partition } from './partition.ts';

interface TopicEntry {
  readonly name: string;
  readonly id: Uuid;
  config: TopicConfig;
  readonly partitions: (Partition | undefined)[];
}

/** Told after partitions of this node have come or are about to go. */
export interface PartitionObserver {
  opened(partition: Partition): void;
  /** Before the partition retires. */
  closing(partition: Partition): void;
}

/**
 * The partitions that this node leads, kept in step with the metadata: each delta opens, closes and configures logs. Lookups answer
 * the code that a client must see.
 */
export class PartitionTable {
  readonly #node: NodeId;
  readonly #image: MetadataImage;
  readonly #store: LogStore;
  readonly #logger: Logger;
  readonly #layers: () => BrokerLayers;
  readonly #byName = new Map<string, TopicEntry>();
  readonly #byId = new Map<Uuid, TopicEntry>();
  readonly #observers: PartitionObserver[] = [];
  #applied: Promise<void> = Promise.resolve();

  constructor(node: NodeId, image: MetadataImage, store: LogStore, logger: Logger, layers: () => BrokerLayers) {
    this.#node = node;
    this.#image = image;
    this.#store = store;
    this.#logger = logger;
    this.#layers = layers;
  }

  observe(observer: PartitionObserver): void {
    this.#observers.push(observer);
  }

  *partitions(): IterableIterator<Partition> {
    for (const topic of this.#byName.values())
      for (const partition of topic.partitions) if (partition !== undefined) yield partition;
  }

  findByName(topic: string, index: number): Partition | ErrorCode {
    const partition = this.#byName.get(topic)?.partitions[index];
    if (partition !== undefined) return partition;
    return this.#image.partition(topic, index) === undefined
      ? ErrorCode.UnknownTopicOrPartition
      : ErrorCode.NotLeaderOrFollower;
  }

  findById(topicId: Uuid, index: number): Partition | ErrorCode {
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

  isInternal(topic: string): boolean {
    return isInternalTopic(topic);
  }

  /** The logs that were found at start against the metadata: those of no topic of ours are set aside, never served. */
  async setStraysAside(): Promise<void> {
    for (const log of [...this.#store.logs()]) {
      const topic = this.#image.topic(log.topic);
      const state = topic !== undefined && topic.id === log.topicId ? topic.partitions[log.partition] : undefined;
      if (state?.replicas.includes(this.#node)) continue;
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

  /** Resolves when every delta handed over so far has had its effects. */
  settled(): Promise<void> {
    return this.#applied;
  }

  /** Nothing is served any longer; what waits is answered with `error`. */
  retireAll(error: ErrorCode): void {
    for (const partition of this.partitions()) this.#retire(partition, error);
    this.#byName.clear();
    this.#byId.clear();
  }

  async #apply(delta: MetadataDelta): Promise<void> {
    for (const removal of delta.topicsDeleted) await this.#remove(removal);
    for (const change of delta.partitions) await this.#applyPartition(change);
    this.#applyConfigs(delta);
  }

  async #applyPartition({ topic, topicId, partition: index, after }: PartitionDelta): Promise<void> {
    const known = this.#byId.get(topicId);
    const held = known?.partitions[index];
    if (after.leader !== this.#node) {
      if (known === undefined || held === undefined) return;
      known.partitions[index] = undefined;
      this.#retire(held, ErrorCode.NotLeaderOrFollower);
      return;
    }
    if (held !== undefined) {
      held.leaderEpoch = after.leaderEpoch;
      held.replicaCount = after.replicas.length;
      return;
    }
    const entry = this.#entry(topic, topicId);
    const found = this.#store.get(topic, index);
    const log = found ?? (await this.#store.create(topic, topicId, index, entry.config));
    if (log === undefined)
      this.#logger.error(
        { log: partitionName(topic, index) },
        'the partition is offline: no directory can hold its log',
      );
    if (found !== undefined) found.updateConfig(entry.config);
    const partition = new Partition(topic, topicId, index, after.leaderEpoch, log);
    partition.replicaCount = after.replicas.length;
    entry.partitions[index] = partition;
    for (const observer of this.#observers) observer.opened(partition);
  }

  async #remove({ id, name, partitions }: TopicRemoval): Promise<void> {
    const entry = this.#byId.get(id);
    this.#byId.delete(id);
    if (entry !== undefined) this.#byName.delete(name);
    for (const partition of entry?.partitions ?? [])
      if (partition !== undefined) this.#retire(partition, ErrorCode.UnknownTopicOrPartition);
    for (const { partition } of partitions) {
      // Also the log of a partition that is offline: it must not be taken for that of a later topic of this name.
      const log = this.#store.get(name, partition);
      if (log?.topicId === id) await this.#store.delete(log);
    }
  }

  #retire(partition: Partition, error: ErrorCode): void {
    for (const observer of this.#observers) observer.closing(partition);
    partition.retire(error);
  }

  #applyConfigs(delta: MetadataDelta): void {
    const brokerChanged = delta.configs.some(({ type }) => type === ResourceType.Broker);
    const names = brokerChanged
      ? [...this.#byName.keys()]
      : delta.configs.flatMap(({ type, name }) => (type === ResourceType.Topic ? [name] : []));
    for (const name of names) {
      const entry = this.#byName.get(name);
      if (entry === undefined) continue;
      entry.config = this.#configFor(name);
      for (const partition of entry.partitions) partition?.log?.updateConfig(entry.config);
    }
  }

  #entry(name: string, id: Uuid): TopicEntry {
    let entry = this.#byId.get(id);
    if (entry === undefined) {
      entry = { name, id, config: this.#configFor(name), partitions: [] };
      this.#byId.set(id, entry);
      this.#byName.set(name, entry);
    }
    return entry;
  }

  #configFor(topic: string): TopicConfig {
    return parseTopicConfig(this.#image.configs(ResourceType.Topic, topic), topicDefaults(this.#layers()));
  }
}
