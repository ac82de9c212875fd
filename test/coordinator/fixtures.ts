import type { Random } from '#base/ports';
import type { TopicNumbers } from '#coordinator/consumer-protocol';
import type { ConsumerGroupConfig, GroupConfig } from '#coordinator/group-config';
import type { TopicsView } from '#coordinator/topics-view';
import type { Topic } from '#metadata/image';
import type { Partition, RegisteredBroker } from '#metadata/records';
import { type NodeId, nodeId, type Uuid } from '#model/ids';

/** Kafka's defaults, but no initial delay. */
export function testConfig(overrides: Partial<GroupConfig> = {}): GroupConfig {
  return {
    sessionTimeoutMsMin: 6_000,
    sessionTimeoutMsMax: 1_800_000,
    groupSizeMax: 2_147_483_647,
    initialRebalanceDelayMs: 0,
    offsetMetadataSizeMax: 4_096,
    offsetsRetentionMs: 7 * 24 * 3_600_000,
    offsetsRetentionCheckIntervalMs: 600_000,
    consumerGroupSizeMax: 2_147_483_647,
    consumerAssignors: ['uniform', 'range'],
    migrationPolicy: 'bidirectional',
    ...overrides,
  };
}

/** Kafka's defaults, but no assignment interval. */
export function testGroupConfig(overrides: Partial<ConsumerGroupConfig> = {}): ConsumerGroupConfig {
  return { sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5_000, assignmentIntervalMs: 0, ...overrides };
}

/** Of a shard: a config, an empty image. */
export function testParts() {
  return {
    config: testConfig(),
    random: countingRandom(),
    topics: new TestTopics(),
    configOf: () => testGroupConfig(),
  };
}

/** `orders` and the like: an id that says the name. */
export function topicId(name: string, made = 1): Uuid {
  return `${name.padEnd(20, '_')}${made}A` as Uuid;
}

/** A metadata image of topics alone, which a test changes as it goes. */
export class TestTopics implements TopicsView {
  readonly brokers = new Map<NodeId, RegisteredBroker>();
  index = 1;
  readonly #topics = new Map<string, Topic>();

  constructor(partitionCounts: Readonly<Record<string, number>> = {}) {
    for (const [name, count] of Object.entries(partitionCounts)) this.set(name, count);
  }

  /** Partition n is on broker n modulo the brokers, if there are any. */
  set(name: string, partitionCount: number, made = 1): void {
    const nodes = [...this.brokers.keys()];
    const partitions = Array.from({ length: partitionCount }, (_, partition) => {
      const replica = nodes[partition % Math.max(1, nodes.length)];
      return { partition, replicas: replica === undefined ? [] : [replica] } as unknown as Partition;
    });
    this.index += 1;
    this.#topics.set(name, { name, id: topicId(name, made), partitions });
  }

  rack(id: number, rack: string): void {
    this.brokers.set(nodeId(id), { rack } as RegisteredBroker);
  }

  remove(name: string): void {
    this.index += 1;
    this.#topics.delete(name);
  }

  topics(): IterableIterator<Topic> {
    return this.#topics.values();
  }

  topic(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  topicById(id: Uuid): Topic | undefined {
    for (const topic of this.#topics.values()) if (topic.id === id) return topic;
    return undefined;
  }
}

/** Its secrets count 1, 2, 3, …, in the last bytes. */
export function countingRandom(): Random {
  let count = 0;
  const random: Random = {
    uint32: () => 0,
    fork: () => random,
    secret(into) {
      count += 1;
      into.fill(0);
      new DataView(into.buffer, into.byteOffset, into.byteLength).setUint32(into.byteLength - 4, count);
    },
  };
  return random;
}

/** A consumer's subscription metadata: version 0, or 1 of one that says what it has (cooperative assignors'). */
export function subscription(topics: readonly string[], owned?: readonly TopicNumbers[]): Uint8Array {
  const parts: Buffer[] = [int16(owned === undefined ? 0 : 1), int32(topics.length)];
  for (const topic of topics) parts.push(int16(topic.length), Buffer.from(topic));
  parts.push(int32(-1));
  if (owned !== undefined) parts.push(int32(owned.length));
  for (const { topic, partitions } of owned ?? []) {
    parts.push(int16(topic.length), Buffer.from(topic), int32(partitions.length), ...partitions.map(int32));
  }
  return Buffer.concat(parts);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
