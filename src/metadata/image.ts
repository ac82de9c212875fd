/** The cluster's metadata as the log has made them so far. `replay` is the only way to change them. */
import { assert, at, unreachable } from '#base/assert';
import { leaderEpoch, type NodeId, type ProducerId, producerId, type Uuid } from '#model/ids';
import { topicCollisionKey } from '#model/topic-name';
import type { ReplicaKey, Voter } from '#model/voter';
import { DeltaBuilder, type MetadataDelta } from './delta.ts';
import {
  type BootstrapRecord,
  type Broker,
  type ConfigRecord,
  type FeatureLevelRecord,
  type MetadataRecord,
  type Partition,
  type PartitionChangeRecord,
  type PartitionRecord,
  type ProducerIdsRecord,
  ResourceType,
  type VotersRecord,
} from './records.ts';

export interface Topic {
  readonly name: string;
  readonly id: Uuid;
  /** By partition number. The image replaces elements and appends: hold the elements, not the array. */
  readonly partitions: readonly Partition[];
}

export interface Cluster {
  readonly id: Uuid;
  /** As committed; the quorum itself counts with the latest in its log. */
  readonly voters: readonly Voter[];
  /** See VotersRecord. */
  readonly joining: ReplicaKey | null;
  readonly targetSize: number;
}

const NO_CONFIGS: ReadonlyMap<string, string> = new Map();

type MutableTopic = Topic & { readonly partitions: Partition[] };

export class MetadataImage {
  #index = 0;
  #cluster: Cluster | undefined;
  #producerIds: ProducerIdsRecord | undefined;
  #featuresEpoch = 0;
  readonly #features = new Map<string, FeatureLevelRecord>();
  readonly #brokers = new Map<NodeId, Broker>();
  readonly #topics = new Map<Uuid, MutableTopic>();
  readonly #topicsByName = new Map<string, MutableTopic>();
  /** By the name with '_' for '.': at most one topic each. */
  readonly #topicsByCollisionKey = new Map<string, MutableTopic>();
  readonly #configs = new Map<string, Map<string, string>>();
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

  get brokers(): ReadonlyMap<NodeId, Broker> {
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

  /** The configs set on a resource, by key. */
  configs(type: ResourceType, name: string): ReadonlyMap<string, string> {
    return this.#configs.get(configKey(type, name)) ?? NO_CONFIGS;
  }

  /** Every name of this type on which a config is set. */
  *configuredNames(type: ResourceType): IterableIterator<string> {
    const prefix = configKey(type, '');
    for (const key of this.#configs.keys()) if (key.startsWith(prefix)) yield key.slice(prefix.length);
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
        this.#setFenced(record.id, true);
        break;
      case 'unfenceBroker':
        this.#setFenced(record.id, false);
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
        this.#replayConfig(record);
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
    for (const [mine, its] of [
      [this.#configs, other.#configs],
      [other.#configs, this.#configs],
    ] as const) {
      for (const [key, configs] of mine) {
        const [type, name] = splitConfigKey(key);
        const isGone = type === ResourceType.Topic && !other.#topicsByName.has(name);
        if (!isGone && !isSameMap(configs, its.get(key) ?? NO_CONFIGS)) this.#delta.config(type, name);
      }
    }
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
    refill(this.#configs, other.#configs);
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
    for (const key of this.#configs.keys()) {
      const [type, name] = splitConfigKey(key);
      delta.config(type, name);
    }
    for (const id of this.#brokers.keys()) delta.broker(id);
    if (this.#cluster !== undefined) delta.cluster();
    return delta.take(this.#index);
  }

  /**
   * Records that make an equal image, in an order that depends on the image alone. What they describe is fixed by the call;
   * the records are made one by one as they are taken, so that a large snapshot can be written in slices between replays.
   */
  snapshot(): IterableIterator<MetadataRecord> {
    const topics = [...this.#topics.values()]
      .map((topic) => ({ ...topic, partitions: topic.partitions.slice() }))
      .sort((a, b) => compare(a.name, b.name));
    const configs = [...this.#configs]
      .map(([key, values]) => ({ key, values: [...values] }))
      .sort((a, b) => compare(a.key, b.key));
    return snapshotRecords({
      cluster: this.#cluster,
      features: [...this.#features.values()].sort((a, b) => compare(a.name, b.name)),
      brokers: [...this.#brokers.values()].sort((a, b) => a.id - b.id),
      topics,
      configs,
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
    this.#cluster = { id, voters, joining: null, targetSize };
    this.#delta.cluster();
  }

  #replayVoters({ voters, joining }: VotersRecord): void {
    assert(this.#cluster !== undefined, 'the voters of a cluster');
    this.#cluster = { ...this.#cluster, voters, joining };
    this.#delta.cluster();
  }

  #replayRegistration(broker: Broker, index: number): void {
    this.#brokers.set(broker.id, broker.brokerEpoch === 0 ? { ...broker, brokerEpoch: index } : broker);
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

  #setFenced(id: NodeId, fenced: boolean): void {
    this.#brokers.set(id, { ...this.#broker(id), fenced });
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
    this.#configs.delete(configKey(ResourceType.Topic, topic.name));
    this.#partitionCount -= topic.partitions.length;
    this.#delta.configsGone(ResourceType.Topic, topic.name);
    this.#delta.topicDeleted(topic.name, id, topic.partitions);
  }

  #replayPartition({ topicId, state }: PartitionRecord): void {
    const topic = this.#topicOf(topicId);
    assert(state.partition === topic.partitions.length, `partition ${state.partition} of ${topic.name} out of order`);
    topic.partitions.push(state);
    this.#partitionCount += 1;
    this.#delta.partition(topic.name, topicId, undefined, state);
  }

  #replayChange(change: PartitionChangeRecord): void {
    const topic = this.#topicOf(change.topicId);
    const before = at(topic.partitions, change.partition);
    const { leader } = change;
    const after: Partition = {
      partition: before.partition,
      replicas: change.replicas ?? before.replicas,
      isr: change.isr ?? before.isr,
      elr: change.elr ?? before.elr,
      removing: change.removing ?? before.removing,
      adding: change.adding ?? before.adding,
      leader: leader === null ? before.leader : leader === 'none' ? null : leader,
      leaderEpoch: leader === null ? before.leaderEpoch : leaderEpoch(before.leaderEpoch + 1),
      partitionEpoch: before.partitionEpoch + 1,
      directories: change.directories ?? before.directories,
    };
    assert(
      after.leader === null || after.isr.includes(after.leader),
      `the leader of ${topic.name}-${change.partition} is not in sync`,
    );
    topic.partitions[change.partition] = after;
    this.#delta.partition(topic.name, topic.id, before, after);
  }

  #replayConfig(record: ConfigRecord): void {
    const key = configKey(record.resourceType, record.resourceName);
    const configs = this.#configs.get(key) ?? new Map<string, string>();
    if (record.value === null) configs.delete(record.key);
    else configs.set(record.key, record.value);
    if (configs.size === 0) this.#configs.delete(key);
    else this.#configs.set(key, configs);
    this.#delta.config(record.resourceType, record.resourceName);
  }

  #topicOf(id: Uuid): MutableTopic {
    const topic = this.#topics.get(id);
    assert(topic !== undefined, `no topic ${id}`);
    return topic;
  }

  #broker(id: NodeId): Broker {
    const broker = this.#brokers.get(id);
    assert(broker !== undefined, `no broker ${id}`);
    return broker;
  }
}

interface Captured {
  readonly cluster: Cluster | undefined;
  readonly features: readonly FeatureLevelRecord[];
  readonly brokers: readonly Broker[];
  readonly topics: readonly Topic[];
  readonly configs: readonly { readonly key: string; readonly values: [string, string][] }[];
  readonly producerIds: ProducerIdsRecord | undefined;
}

function* snapshotRecords(image: Captured): IterableIterator<MetadataRecord> {
  const { cluster } = image;
  if (cluster !== undefined) {
    const { id: clusterId, voters, joining, targetSize } = cluster;
    yield { kind: 'bootstrap', clusterId, voters, targetSize };
    if (joining !== null) yield { kind: 'voters', voters, joining };
  }
  yield* image.features;
  for (const broker of image.brokers) yield { kind: 'registerBroker', broker };
  for (const { name, id, partitions } of image.topics) {
    yield { kind: 'topic', name, id };
    for (const state of partitions) yield { kind: 'partition', topicId: id, state };
  }
  for (const { key, values } of image.configs) {
    const [resourceType, resourceName] = splitConfigKey(key);
    for (const [name, value] of values.sort(([a], [b]) => compare(a, b))) {
      yield { kind: 'config', resourceType, resourceName, key: name, value };
    }
  }
  if (image.producerIds !== undefined) yield image.producerIds;
}

function configKey(type: ResourceType, name: string): string {
  return `${type}/${name}`;
}

function splitConfigKey(key: string): readonly [ResourceType, string] {
  const slash = key.indexOf('/');
  return [Number(key.slice(0, slash)) as ResourceType, key.slice(slash + 1)];
}

function refill<K, V>(map: Map<K, V>, from: ReadonlyMap<K, V>): void {
  map.clear();
  for (const [key, value] of from) map.set(key, value);
}

function isSameMap(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

/** By UTF-16 units: the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
