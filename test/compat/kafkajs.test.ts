import { ConfigResourceTypes, type Consumer, Kafka, type KafkaMessage, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/process.ts';
import { type Broker, numbered, startBroker, uniqueName } from './support/broker.ts';

let broker: Broker;
let kafka: Kafka;

/** Runs a consumer until it has seen `count` records; its offsets are committed on the way out. */
async function consume(topic: string, groupId: string, count: number): Promise<readonly KafkaMessage[]> {
  const consumer: Consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 });
  const messages: KafkaMessage[] = [];
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      messages.push(message);
    },
  });
  await until(`${count} records`, 30_000, () => (messages.length >= count ? true : undefined));
  await consumer.disconnect();
  return messages;
}

const text = (messages: readonly KafkaMessage[]): readonly (string | undefined)[] =>
  messages.map((message) => message.value?.toString());

describe('kafkajs', () => {
  const admin = () => kafka.admin();

  beforeAll(async () => {
    broker = await startBroker();
    kafka = new Kafka({ brokers: [broker.bootstrap], clientId: 'compat', logLevel: logLevel.NOTHING });
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  async function withAdmin<T>(use: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> {
    const connected = admin();
    await connected.connect();
    try {
      return await use(connected);
    } finally {
      await connected.disconnect();
    }
  }

  async function produce(topic: string, values: readonly string[]): Promise<void> {
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 5 });
    await producer.connect();
    await producer.send({ topic, acks: -1, messages: values.map((value) => ({ key: 'k', value })) });
    await producer.disconnect();
  }

  test('creates, describes, widens and deletes topics', async () => {
    const topic = uniqueName('kafkajs-admin');
    await withAdmin(async (admin) => {
      const configEntries = [{ name: 'retention.ms', value: '60000' }];
      expect(await admin.createTopics({ topics: [{ topic, numPartitions: 2, configEntries }] })).toBe(true);
      expect(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })).toBe(false);
      await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      expect(topics[0]?.partitions.length).toBe(3);
      const resource = { type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms'] };
      const { resources } = await admin.describeConfigs({ resources: [resource], includeSynonyms: false });
      expect(resources[0]?.configEntries[0]?.configValue).toBe('60000');
      await admin.deleteTopics({ topics: [topic] });
      expect(await admin.listTopics()).not.toContain(topic);
    });
  });

  test('describes the cluster', async () => {
    const cluster = await withAdmin((admin) => admin.describeCluster());
    expect(cluster.brokers.map((each) => each.nodeId)).toEqual([Number(broker.nodeId)]);
    expect(cluster.clusterId.length).toBeGreaterThan(0);
  });

  test('an idempotent producer with acks=all: records come back in order, with key, headers and timestamp', async () => {
    const topic = uniqueName('kafkajs-produce');
    const producer = kafka.producer({ idempotent: true });
    await producer.connect();
    const messages = numbered('v', 500).map((value, index) => ({
      key: `k${index}`,
      value,
      headers: { origin: 'kafkajs' },
      timestamp: String(Date.now() - 1000 + index),
    }));
    await producer.send({ topic, acks: -1, messages });
    await producer.disconnect();
    const read = await consume(topic, uniqueName('kafkajs-group'), 500);
    expect(read.map((each) => [each.offset, each.key?.toString(), each.value?.toString(), each.timestamp])).toEqual(
      messages.map((each, index) => [String(index), each.key, each.value, each.timestamp]),
    );
    expect(read[0]?.headers?.origin?.toString()).toBe('kafkajs');
  });

  test('a group goes on at its committed offsets', async () => {
    const topic = uniqueName('kafkajs-resume');
    const groupId = uniqueName('kafkajs-group');
    await produce(topic, numbered('a', 50));
    await consume(topic, groupId, 50);
    await produce(topic, numbered('b', 50));
    expect(text(await consume(topic, groupId, 50))).toEqual(numbered('b', 50));
    const [offsets] = await withAdmin((admin) => admin.fetchOffsets({ groupId, topics: [topic] }));
    expect(offsets?.partitions).toEqual([{ partition: 0, offset: '100', metadata: null }]);
  });

  test('two members of a group share four partitions', async () => {
    const topic = uniqueName('kafkajs-share');
    const groupId = uniqueName('kafkajs-group');
    await withAdmin((admin) => admin.createTopics({ topics: [{ topic, numPartitions: 4 }] }));
    const members = [
      kafka.consumer({ groupId, maxWaitTimeInMs: 100 }),
      kafka.consumer({ groupId, maxWaitTimeInMs: 100 }),
    ];
    const owned = new Map<number, number>();
    for (const [index, member] of members.entries()) {
      member.on(member.events.GROUP_JOIN, ({ payload }) => {
        owned.set(index, payload.memberAssignment[topic]?.length ?? 0);
      });
      await member.connect();
      await member.subscribe({ topic });
      await member.run({ eachMessage: async () => undefined });
    }
    await until('two partitions each', 30_000, () => (owned.get(0) === 2 && owned.get(1) === 2 ? true : undefined));
    const { groups } = await withAdmin((admin) => admin.describeGroups([groupId]));
    expect(groups[0]?.state).toBe('Stable');
    expect(groups[0]?.members.length).toBe(2);
    await Promise.all(members.map((member) => member.disconnect()));
  });

  test('an administrator lists, resets and deletes a group', async () => {
    const topic = uniqueName('kafkajs-groups');
    const groupId = uniqueName('kafkajs-group');
    await produce(topic, numbered('', 10));
    await consume(topic, groupId, 10);
    await withAdmin(async (admin) => {
      expect((await admin.listGroups()).groups.map((group) => group.groupId)).toContain(groupId);
      await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '4' }] });
      const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] });
      expect(offsets?.partitions[0]?.offset).toBe('4');
      await admin.deleteGroups([groupId]);
      expect((await admin.listGroups()).groups.map((group) => group.groupId)).not.toContain(groupId);
    });
  });

  test('offsets by timestamp, and records deleted up to an offset', async () => {
    const topic = uniqueName('kafkajs-offsets');
    await produce(topic, numbered('', 10));
    await withAdmin(async (admin) => {
      const byTime = await admin.fetchTopicOffsetsByTimestamp(topic, Date.now() - 3_600_000);
      expect(byTime).toEqual([{ partition: 0, offset: '0' }]);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] });
      const [offsets] = await admin.fetchTopicOffsets(topic);
      expect([offsets?.low, offsets?.high]).toEqual(['4', '10']);
    });
  });
});
