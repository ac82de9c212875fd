import {
  Admin,
  ConfigResourceTypes,
  Consumer,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Broker, numbered, startBroker, uniqueName } from './support/broker.ts';

let broker: Broker;

const connection = () => ({ clientId: 'compat', bootstrapBrokers: [broker.bootstrap] });
const strings = () => ({ ...connection(), deserializers: stringDeserializers, serializers: stringSerializers });

async function withAdmin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin(connection());
  try {
    return await use(admin);
  } finally {
    await admin.close();
  }
}

async function produce(topic: string, values: readonly string[]): Promise<void> {
  const { serializers, ...base } = strings();
  const producer = new Producer({ ...base, serializers, idempotent: true });
  await producer.send({ acks: -1, messages: values.map((value) => ({ topic, key: 'k', value, headers: { h: 'x' } })) });
  await producer.close();
}

/** Reads `count` records as a group's only member and commits behind the last of them. */
async function consume(topic: string, groupId: string, count: number) {
  const consumer = new Consumer({ ...connection(), deserializers: stringDeserializers, groupId, maxWaitTime: 100 });
  const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' });
  const messages = [];
  for await (const message of stream) {
    messages.push(message);
    if (messages.length < count) continue;
    await message.commit();
    break;
  }
  await consumer.close(true);
  return messages;
}

describe('@platformatic/kafka', () => {
  beforeAll(async () => {
    broker = await startBroker();
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  test('creates, lists, configures and deletes topics', async () => {
    const topic = uniqueName('platformatic-admin');
    await withAdmin(async (admin) => {
      const configs = [{ name: 'retention.ms', value: '60000' }];
      const [created] = await admin.createTopics({ topics: [topic], partitions: 2, replicas: 1, configs });
      expect(created?.partitions).toBe(2);
      await admin.createPartitions({ topics: [{ name: topic, count: 3, assignments: null }] });
      const metadata = await admin.metadata({ topics: [topic], forceUpdate: true });
      expect(metadata.topics.get(topic)?.partitionsCount).toBe(3);
      const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic };
      const [described] = await admin.describeConfigs({
        resources: [{ ...resource, configurationKeys: ['retention.ms'] }],
      });
      expect(described?.configs.map((config) => config.value)).toEqual(['60000']);
      expect(await admin.listTopics()).toContain(topic);
      await admin.deleteTopics({ topics: [topic] });
      expect(await admin.listTopics()).not.toContain(topic);
    });
  });

  test('an idempotent producer with acks=all: records come back in order, with key and headers', async () => {
    const topic = uniqueName('platformatic-produce');
    await withAdmin((admin) => admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 }));
    await produce(topic, numbered('v', 500));
    const messages = await consume(topic, uniqueName('platformatic-group'), 500);
    expect(messages.map((message) => message.value)).toEqual(numbered('v', 500));
    expect(messages.map((message) => Number(message.offset))).toEqual(Array.from({ length: 500 }, (_, index) => index));
    expect(messages[0]?.key).toBe('k');
    expect(messages[0]?.headers.get('h')).toBe('x');
  });

  test('a group goes on at its committed offset', async () => {
    const topic = uniqueName('platformatic-resume');
    const groupId = uniqueName('platformatic-group');
    await withAdmin((admin) => admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 }));
    await produce(topic, numbered('a', 50));
    await consume(topic, groupId, 50);
    await produce(topic, numbered('b', 50));
    const messages = await consume(topic, groupId, 50);
    expect(messages.map((message) => message.value)).toEqual(numbered('b', 50));
  });

  test('an administrator lists, describes, resets and deletes a group', async () => {
    const topic = uniqueName('platformatic-groups');
    const groupId = uniqueName('platformatic-group');
    await withAdmin(async (admin) => {
      await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 });
      await produce(topic, numbered('', 10));
      await consume(topic, groupId, 10);
      expect([...(await admin.listGroups()).keys()]).toContain(groupId);
      const described = await admin.describeGroups({ groups: [groupId] });
      expect(described.get(groupId)?.state).toBe('Empty');
      const partitionOffsets = [{ partition: 0, offset: 4n }];
      await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets }] });
      const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId] });
      expect(group?.topics[0]?.partitions[0]?.committedOffset).toBe(4n);
      await admin.deleteGroups({ groups: [groupId] });
      expect([...(await admin.listGroups()).keys()]).not.toContain(groupId);
    });
  });

  test('offsets at both ends, and records deleted up to an offset', async () => {
    const topic = uniqueName('platformatic-offsets');
    await withAdmin(async (admin) => {
      await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 });
      await produce(topic, numbered('', 10));
      await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 4n }] }] });
      const at = async (timestamp: bigint): Promise<bigint | undefined> => {
        const partitions = [{ partitionIndex: 0, timestamp }];
        const [listed] = await admin.listOffsets({ topics: [{ name: topic, partitions }] });
        return listed?.partitions[0]?.offset;
      };
      expect([await at(-2n), await at(-1n)]).toEqual([4n, 10n]);
    });
  });
});
