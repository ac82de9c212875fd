/** The cluster's metadata as the log has made them so far. `replay` is the only way to change them. */
import { assert, at, unreachable } from '#base/assert';
import { type NodeId, type ProducerId, producerId, type Uuid } from '#model/ids';
import { topicCollisionKey } from '#model/topic-name';
import type { ReplicaKey, Voter } from '#model/voter';
import { ConfigTable } from './config-table.ts';
import { DeltaBuilder, type MetadataDelta } from './delta.ts';
import { snapshotRecords } from './image-snapshot.ts';
import { applyChange } from './partition-change.ts';
import {
  type BootstrapRecord,
  type Broker,
  type BrokerChangeRecord,
  type FeatureLevelRecord,
  type MetadataRecord,
  type Partition,
  type PartitionChangeRecord,
  type PartitionRecord,
  type ProducerIdsRecord,
  type RegisteredBroker,
  ResourceType,
  type VotersRecord,
} from './records.ts';
import { ReplicaIndex } from './replica-index.ts';

export interface Topic {
  readonly name: string;
  readonly id: Uuid;
  /** By partition number. The image replaces elements and appends: hold the elements, not the array. */
  readonly partitions: readonly Partition[];
}

export interface Cluster {
  readonly id: Uuid;
  /** The voters of its first record, which a node that is named there, and empty still, may have to be handed. */
  readonly founders: readonly Voter[];
  /** As committed; the quorum itself counts with the latest in its log. */
  readonly voters: readonly Voter[];
  /** See VotersRecord. */
  readonly joining: ReplicaKey | null;
  readonly targetSize: number;
}

export interface TopicPartition {
  readonly topic: Topic;
  readonly state: Partition;
}

type MutableTopic = Topic & { readonly partitions: Partition[] };

export class MetadataImage {
  #index = 0;
  #cluster: Cluster | undefined;
  #producerIds: ProducerIdsRecord | undefined;
  #featuresEpoch = 0;
  readonly #features = new Map<string, FeatureLevelRecord>();
  readonly #brokers = new Map<NodeId, RegisteredBroker>();
  readonly #topics = new Map<Uuid, MutableTopic>();
  readonly #topicsByName = new Map<string, MutableTopic>();
  /** By the name with '_' for '.': at most one topic each. */
  readonly #topicsByCollisionKey = new Map<string, MutableTopic>();
  readonly #configs = new ConfigTable();
  readonly #replicas = new ReplicaIndex();
  #partitionCount = 0;
  readonly #delta = new DeltaBuilder();

  /** Of the last entry replayed; 0 before the first. */
  get index(): number {
    return this.#index;
  }

  /** Undefined before the bootstrap record. */
  get cluster(): Cluster | undefined {
    return this.#cluster;
  }

  get nextProducerId(): ProducerId {
    return this.#producerIds?.nextProducerId ?? producerId(0);
  }

  /** Finalised features by name; level 0 is off. */
  get features(): ReadonlyMap<string, FeatureLevelRecord> {
    return this.#features;
  }

  /** Rises with every change of a finalised level (KIP-584): the index of the entry that made the last one. */
  get featuresEpoch(): number {
    return this.#featuresEpoch;
  }

  get brokers(): ReadonlyMap<NodeId, RegisteredBroker> {
    return this.#brokers;
  }

  get topicCount(): number {
    return this.#topics.size;
  }

  get partitionCount(): number {
    return this.#partitionCount;
  }

  topics(): IterableIterator<Topic> {
    return this.#topics.values();
  }

  topic(name: string): Topic | undefined {
    return this.#topicsByName.get(name);
  }

  topicById(id: Uuid): Topic | undefined {
    return this.#topics.get(id);
  }

  /** A topic whose name differs from `name` in '.' and '_' at most. */
  topicLike(name: string): Topic | undefined {
    return this.#topicsByCollisionKey.get(topicCollisionKey(name));
  }

  partition(topic: string, partition: number): Partition | undefined {
    return this.#topicsByName.get(topic)?.partitions[partition];
  }

  /** Those that the broker has a replica of, topic by topic. Not to be read on after a replay. */
  *partitionsOf(broker: NodeId): IterableIterator<TopicPartition> {
    for (const [id, partitions] of this.#replicas.of(broker)) {
      const topic = this.#topicOf(id);
      for (const partition of partitions) yield { topic, state: at(topic.partitions, partition) };
    }
  }

  replicaCountOf(broker: NodeId): number {
    let count = 0;
    for (const partitions of this.#replicas.of(broker).values()) count += partitions.length;
    return count;
  }

  /** The configs set on a resource, by key. */
  configs(type: ResourceType, name: string): ReadonlyMap<string, string> {
    return this.#configs.of(type, name);
  }

  /** Every name of this type on which a config is set. */
  *configuredNames(type: ResourceType): IterableIterator<string> {
    for (const [each, name] of this.#configs.resources()) if (each === type) yield name;
  }

  /** Applies a record of the entry at `index`; entries come in order, records within an entry too. */
  replay(record: MetadataRecord, index: number): void {
    assert(index >= this.#index, `entry ${index} replayed after ${this.#index}`);
    this.#index = index;
    switch (record.kind) {
      case 'bootstrap':
        this.#replayBootstrap(record);
        break;
      case 'voters':
        this.#replayVoters(record);
        break;
      case 'registerBroker':
        this.#replayRegistration(record.broker, index);
        break;
      case 'unregisterBroker':
        this.#broker(record.id);
        this.#brokers.delete(record.id);
        this.#delta.broker(record.id);
        break;
      case 'fenceBroker':
        this.#changeBroker(record.id, { fenced: true });
        this.#delta.fenced(record.id);
        break;
      case 'unfenceBroker':
        this.#changeBroker(record.id, { fenced: false, draining: false });
        break;
      case 'brokerChange':
        this.#replayBrokerChange(record);
        break;
      case 'topic':
        this.#replayTopic(record.name, record.id);
        break;
      case 'removeTopic':
        this.#replayRemoval(record.id);
        break;
      case 'partition':
        this.#replayPartition(record);
        break;
      case 'partitionChange':
        this.#replayChange(record);
        break;
      case 'config':
        this.#configs.replay(record);
        this.#delta.config(record.resourceType, record.resourceName);
        break;
      case 'producerIds':
        assert(record.nextProducerId >= this.nextProducerId, 'producer ids are never given twice');
        this.#producerIds = record;
        break;
      case 'featureLevel':
        this.#replayFeature(record, index);
        break;
      case 'noOp':
        break;
      default:
        unreachable(record);
    }
  }

  /** Takes over all that `other` holds, which nobody uses any more; the delta is the difference. */
  become(other: MetadataImage): void {
    assert(other.#index >= this.#index, `an image at ${other.#index} in place of one at ${this.#index}`);
    this.#noteTopics(other);
    for (const [type, name] of this.#configs.differences(other.#configs))
      if (type !== ResourceType.Topic || other.#topicsByName.has(name)) this.#delta.config(type, name);
    for (const id of new Set([...this.#brokers.keys(), ...other.#brokers.keys()])) this.#delta.broker(id);
    this.#delta.cluster();
    this.#index = other.#index;
    this.#cluster = other.#cluster;
    this.#producerIds = other.#producerIds;
    this.#featuresEpoch = other.#featuresEpoch;
    this.#partitionCount = other.#partitionCount;
    refill(this.#features, other.#features);
    refill(this.#brokers, other.#brokers);
    refill(this.#topics, other.#topics);
    refill(this.#topicsByName, other.#topicsByName);
    refill(this.#topicsByCollisionKey, other.#topicsByCollisionKey);
    this.#configs.become(other.#configs);
    this.#replicas.become(other.#replicas);
  }

  /** The changes since the last call. */
  takeDelta(): MetadataDelta {
    return this.#delta.take(this.#index);
  }

  /** Everything, as if it had been made at once: for a subscriber that comes later. */
  fullDelta(): MetadataDelta {
    const delta = new DeltaBuilder();
    for (const topic of this.#topics.values()) {
      delta.topicCreated(topic.name, topic.id);
      for (const state of topic.partitions) delta.partition(topic.name, topic.id, undefined, state);
    }
    for (const [type, name] of this.#configs.resources()) delta.config(type, name);
    for (const id of this.#brokers.keys()) delta.broker(id);
    if (this.#cluster !== undefined) delta.cluster();
    return delta.take(this.#index);
  }

  /**
   * Records that make an equal image, in an order that depends on the image alone. What they describe is fixed by the call;
   * the records are made one by one as they are taken, so that a large snapshot can be written in slices between replays.
   */
  snapshot(): IterableIterator<MetadataRecord> {
    return snapshotRecords({
      cluster: this.#cluster,
      features: this.#features.values(),
      brokers: this.#brokers.values(),
      topics: this.#topics.values(),
      configs: this.#configs.entries(),
      producerIds: this.#producerIds,
    });
  }

  #noteTopics(other: MetadataImage): void {
    for (const { id, name, partitions } of this.#topics.values())
      if (!other.#topics.has(id)) this.#delta.topicDeleted(name, id, partitions);
    for (const { id, name, partitions } of other.#topics.values()) {
      const mine = this.#topics.get(id);
      if (mine === undefined) this.#delta.topicCreated(name, id);
      for (const after of partitions) {
        const before = mine?.partitions[after.partition];
        if (before?.partitionEpoch !== after.partitionEpoch) this.#delta.partition(name, id, before, after);
      }
    }
  }

  #replayBootstrap(record: BootstrapRecord): void {
    assert(this.#cluster === undefined, 'a cluster is bootstrapped once');
    const { clusterId: id, voters, targetSize } = record;
    this.#cluster = { id, founders: voters, voters, joining: null, targetSize };
    this.#delta.cluster();
  }

  #replayVoters({ voters, joining }: VotersRecord): void {
    assert(this.#cluster !== undefined && voters.length > 0, 'a cluster has voters');
    this.#cluster = { ...this.#cluster, voters, joining };
    this.#delta.cluster();
  }

  #replayRegistration(broker: Broker, index: number): void {
    const brokerEpoch = broker.brokerEpoch === 0 ? index : broker.brokerEpoch;
    this.#brokers.set(broker.id, { ...broker, brokerEpoch, draining: false });
    this.#delta.broker(broker.id);
    if (this.#cluster !== undefined && this.#brokers.size > this.#cluster.targetSize) {
      this.#cluster = { ...this.#cluster, targetSize: this.#brokers.size };
      this.#delta.cluster();
    }
  }

  #replayFeature(record: FeatureLevelRecord, index: number): void {
    const epoch = record.epoch === 0 ? index : record.epoch;
    this.#features.set(record.name, { ...record, epoch });
    this.#featuresEpoch = Math.max(this.#featuresEpoch, epoch);
    this.#delta.cluster();
  }

  #replayBrokerChange({ id, draining, directories }: BrokerChangeRecord): void {
    const before = this.#broker(id);
    this.#changeBroker(id, {
      draining: draining ?? before.draining,
      directories: directories ?? before.directories,
    });
  }

  #changeBroker(id: NodeId, change: Partial<RegisteredBroker>): void {
    this.#brokers.set(id, { ...this.#broker(id), ...change });
    this.#delta.broker(id);
  }

  #replayTopic(name: string, id: Uuid): void {
    assert(!this.#topicsByName.has(name) && !this.#topics.has(id), `topic ${name} (${id}) exists`);
    const topic: MutableTopic = { name, id, partitions: [] };
    this.#topics.set(id, topic);
    this.#topicsByName.set(name, topic);
    this.#topicsByCollisionKey.set(topicCollisionKey(name), topic);
    this.#delta.topicCreated(name, id);
  }

  #replayRemoval(id: Uuid): void {
    const topic = this.#topicOf(id);
    this.#topics.delete(id);
    this.#topicsByName.delete(topic.name);
    this.#topicsByCollisionKey.delete(topicCollisionKey(topic.name));
    this.#configs.remove(ResourceType.Topic, topic.name);
    this.#partitionCount -= topic.partitions.length;
    this.#delta.configsGone(ResourceType.Topic, topic.name);
    this.#replicas.topicRemoved(id, topic.partitions);
    this.#delta.topicDeleted(topic.name, id, topic.partitions);
  }

  #replayPartition({ topicId, state }: PartitionRecord): void {
    const topic = this.#topicOf(topicId);
    assert(state.partition === topic.partitions.length, `partition ${state.partition} of ${topic.name} out of order`);
    topic.partitions.push(state);
    this.#partitionCount += 1;
    this.#replicas.changed(topicId, state.partition, [], state.replicas);
    this.#delta.partition(topic.name, topicId, undefined, state);
  }

  #replayChange(change: PartitionChangeRecord): void {
    const topic = this.#topicOf(change.topicId);
    const before = at(topic.partitions, change.partition);
    const after = applyChange(before, change);
    assert(
      after.leader === null || after.isr.includes(after.leader),
      `the leader of ${topic.name}-${change.partition} is not in sync`,
    );
    topic.partitions[change.partition] = after;
    this.#replicas.changed(topic.id, change.partition, before.replicas, after.replicas);
    this.#delta.partition(topic.name, topic.id, before, after);
  }

  #topicOf(id: Uuid): MutableTopic {
    const topic = this.#topics.get(id);
    assert(topic !== undefined, `no topic ${id}`);
    return topic;
  }

  #broker(id: NodeId): RegisteredBroker {
    const broker = this.#brokers.get(id);
    assert(broker !== undefined, `no broker ${id}`);
    return broker;
  }
}

function refill<K, V>(map: Map<K, V>, from: ReadonlyMap<K, V>): void {
  map.clear();
  for (const [key, value] of from) map.set(key, value);
}
