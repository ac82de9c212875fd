/**
 * What the metadata log holds. Every change of the cluster's metadata is one of these, and replaying them in order is the only way
 * in which an image changes. The wire form is in record-codec.ts.
 */
import type { LeaderEpoch, NodeId, ProducerId, Uuid } from '#model/ids';
import type { ReplicaKey, Voter } from '#model/voter';

export interface BrokerListener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export interface FeatureRange {
  readonly name: string;
  readonly min: number;
  readonly max: number;
}

/** The first record of a cluster, and of every snapshot. */
export interface BootstrapRecord {
  readonly kind: 'bootstrap';
  readonly clusterId: Uuid;
  readonly voters: readonly Voter[];
  /** How many brokers the cluster is meant to have; decides the replication defaults. */
  readonly targetSize: number;
}

/** Takes the place of all voters; counts as soon as its entry is in a log, committed or not. */
export interface VotersRecord {
  readonly kind: 'voters';
  readonly voters: readonly Voter[];
  /** Whose former disk was removed from the voters, and who is to be added as the next change. */
  readonly joining: ReplicaKey | null;
}

/** What a broker says of itself when it registers; replaced, never changed. */
export interface Broker {
  readonly id: NodeId;
  /** One per process start. */
  readonly incarnation: Uuid;
  /** 0 in a record: the index of its entry; a snapshot spells it out. */
  readonly brokerEpoch: number;
  readonly fenced: boolean;
  readonly rack: string | null;
  readonly listeners: readonly BrokerListener[];
  /** Those that are online. */
  readonly directories: readonly Uuid[];
  readonly features: readonly FeatureRange[];
}

/** As the image has it. */
export interface RegisteredBroker extends Broker {
  /** In a controlled shutdown: nothing new is led there. Ends with the next registration, or when it is unfenced. */
  readonly draining: boolean;
}

export interface RegisterBrokerRecord {
  readonly kind: 'registerBroker';
  readonly broker: Broker;
}

export interface UnregisterBrokerRecord {
  readonly kind: 'unregisterBroker';
  readonly id: NodeId;
  readonly brokerEpoch: number;
}

export interface FenceBrokerRecord {
  readonly kind: 'fenceBroker';
  readonly id: NodeId;
  readonly brokerEpoch: number;
}

export interface UnfenceBrokerRecord {
  readonly kind: 'unfenceBroker';
  readonly id: NodeId;
  readonly brokerEpoch: number;
}

/** Null fields stay as they are. */
export interface BrokerChangeRecord {
  readonly kind: 'brokerChange';
  readonly id: NodeId;
  readonly brokerEpoch: number;
  readonly draining: boolean | null;
  readonly directories: readonly Uuid[] | null;
}

export interface TopicRecord {
  readonly kind: 'topic';
  readonly name: string;
  readonly id: Uuid;
}

export interface RemoveTopicRecord {
  readonly kind: 'removeTopic';
  readonly id: Uuid;
}

/** The state of one partition; replaced, never changed. */
export interface Partition {
  readonly partition: number;
  /** The preferred leader first. */
  readonly replicas: readonly NodeId[];
  readonly isr: readonly NodeId[];
  /** Eligible leader replicas (KIP-966). */
  readonly elr: readonly NodeId[];
  readonly removing: readonly NodeId[];
  readonly adding: readonly NodeId[];
  /** Null: no replica can lead now. */
  readonly leader: NodeId | null;
  readonly leaderEpoch: LeaderEpoch;
  /** Counts every change. */
  readonly partitionEpoch: number;
  /** The directory of each replica, in the order of `replicas` (KIP-858). */
  readonly directories: readonly Uuid[];
}

/** The partitions of a topic come in order of their numbers. */
export interface PartitionRecord {
  readonly kind: 'partition';
  readonly topicId: Uuid;
  readonly state: Partition;
}

/**
 * Null fields stay as they are; the partition epoch rises by one. A leader, also the same one, raises the leader epoch: that is how a
 * new incarnation never leads an epoch that an earlier process led.
 */
export interface PartitionChangeRecord {
  readonly kind: 'partitionChange';
  readonly topicId: Uuid;
  readonly partition: number;
  readonly leader: NodeId | 'none' | null;
  readonly isr: readonly NodeId[] | null;
  readonly elr: readonly NodeId[] | null;
  readonly replicas: readonly NodeId[] | null;
  readonly removing: readonly NodeId[] | null;
  readonly adding: readonly NodeId[] | null;
  readonly directories: readonly Uuid[] | null;
}

/** The wire's numbers of config resources. */
export const ResourceType = { Topic: 2, Broker: 4, BrokerLogger: 8, ClientMetrics: 16, Group: 32 } as const;
export type ResourceType = (typeof ResourceType)[keyof typeof ResourceType];

export interface ConfigRecord {
  readonly kind: 'config';
  readonly resourceType: ResourceType;
  /** A topic's name; a broker's id in digits; '' for all brokers. */
  readonly resourceName: string;
  readonly key: string;
  /** Null takes it away. */
  readonly value: string | null;
}

export interface ProducerIdsRecord {
  readonly kind: 'producerIds';
  readonly brokerId: NodeId;
  readonly brokerEpoch: number;
  /** The first id of the block after the one handed out by this record. */
  readonly nextProducerId: ProducerId;
}

export interface FeatureLevelRecord {
  readonly kind: 'featureLevel';
  readonly name: string;
  /** 0: off. A feature turned off stays in snapshots, for its epoch. */
  readonly level: number;
  /** 0: the index of this record's entry; a snapshot spells it out. */
  readonly epoch: number;
}

/** Keeps the log moving, so that lag can be told. */
export interface NoOpRecord {
  readonly kind: 'noOp';
}

export type MetadataRecord =
  | BootstrapRecord
  | VotersRecord
  | RegisterBrokerRecord
  | UnregisterBrokerRecord
  | FenceBrokerRecord
  | UnfenceBrokerRecord
  | BrokerChangeRecord
  | TopicRecord
  | RemoveTopicRecord
  | PartitionRecord
  | PartitionChangeRecord
  | ConfigRecord
  | ProducerIdsRecord
  | FeatureLevelRecord
  | NoOpRecord;
