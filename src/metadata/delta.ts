/** What changed in the image since the delta before: for publishers, which turn it into effects. */
import type { NodeId, Uuid } from '#model/ids';
import type { Partition, ResourceType } from './records.ts';

export interface TopicChange {
  readonly name: string;
  readonly id: Uuid;
}

/** A deleted topic with its last partitions. */
export interface TopicRemoval extends TopicChange {
  readonly partitions: readonly Partition[];
}

export interface PartitionDelta {
  readonly topic: string;
  readonly topicId: Uuid;
  readonly partition: number;
  /** Undefined: it is new. */
  readonly before: Partition | undefined;
  readonly after: Partition;
}

export interface ConfigResource {
  readonly type: ResourceType;
  readonly name: string;
}

export interface MetadataDelta {
  /** The last index of the log that it covers. */
  readonly index: number;
  /** In the order of their records. A topic made and deleted within one delta is in neither list. */
  readonly topicsCreated: readonly TopicChange[];
  readonly topicsDeleted: readonly TopicRemoval[];
  /** New and changed partitions of topics that exist, those of created topics included. */
  readonly partitions: readonly PartitionDelta[];
  /** Each step in which a replica came to lead that was not in sync before it, also if the leader has changed again since. */
  readonly electedOutOfSync: readonly PartitionDelta[];
  /** Configs of a deleted topic are not listed. */
  readonly configs: readonly ConfigResource[];
  /** Registered, fenced, unfenced or gone. */
  readonly brokers: readonly NodeId[];
  /** Those of them that were fenced, also if they have been unfenced again since. */
  readonly fenced: readonly NodeId[];
  /** Cluster id, voters, target size or a finalised feature. */
  readonly cluster: boolean;
}

/** Collects during replay; `take` gives the delta and starts the next. Grows with the records of one delta only. */
export class DeltaBuilder {
  #created = new Map<Uuid, TopicChange>();
  #deleted = new Map<Uuid, TopicRemoval>();
  #partitions = new Map<Uuid, Map<number, PartitionDelta>>();
  #electedOutOfSync: PartitionDelta[] = [];
  #configs = new Map<string, ConfigResource>();
  #brokers = new Set<NodeId>();
  #fenced = new Set<NodeId>();
  #cluster = false;

  topicCreated(name: string, id: Uuid): void {
    this.#created.set(id, { name, id });
  }

  topicDeleted(name: string, id: Uuid, partitions: readonly Partition[]): void {
    const before = partitions.map((state) => this.#partitions.get(id)?.get(state.partition)?.before ?? state);
    this.#partitions.delete(id);
    if (!this.#created.delete(id)) this.#deleted.set(id, { name, id, partitions: before });
  }

  partition(topic: string, topicId: Uuid, before: Partition | undefined, after: Partition): void {
    let ofTopic = this.#partitions.get(topicId);
    if (ofTopic === undefined) {
      ofTopic = new Map();
      this.#partitions.set(topicId, ofTopic);
    }
    const { partition, leader } = after;
    const step = { topic, topicId, partition, before, after };
    const earlier = ofTopic.get(partition);
    ofTopic.set(partition, earlier === undefined ? step : { ...step, before: earlier.before });
    if (before !== undefined && leader !== null && leader !== before.leader && !before.isr.includes(leader))
      this.#electedOutOfSync.push(step);
  }

  config(type: ResourceType, name: string): void {
    this.#configs.set(`${type}/${name}`, { type, name });
  }

  configsGone(type: ResourceType, name: string): void {
    this.#configs.delete(`${type}/${name}`);
  }

  broker(id: NodeId): void {
    this.#brokers.add(id);
  }

  fenced(id: NodeId): void {
    this.#fenced.add(id);
  }

  cluster(): void {
    this.#cluster = true;
  }

  take(index: number): MetadataDelta {
    const delta: MetadataDelta = {
      index,
      topicsCreated: [...this.#created.values()],
      topicsDeleted: [...this.#deleted.values()],
      partitions: [...this.#partitions.values()].flatMap((ofTopic) => [...ofTopic.values()]),
      electedOutOfSync: this.#electedOutOfSync,
      configs: [...this.#configs.values()],
      brokers: [...this.#brokers],
      fenced: [...this.#fenced],
      cluster: this.#cluster,
    };
    this.#created = new Map();
    this.#deleted = new Map();
    this.#partitions = new Map();
    this.#electedOutOfSync = [];
    this.#configs = new Map();
    this.#brokers = new Set();
    this.#fenced = new Set();
    this.#cluster = false;
    return delta;
  }
}
