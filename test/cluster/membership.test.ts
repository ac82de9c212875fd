import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { createTopic } from '../support/fresh-client.ts';
import { until } from '../support/process.ts';
import { threeNodes } from './support.ts';

describe('three processes', () => {
  test('register, and each lists all with their racks, one cluster id and one controller', async () => {
    const cluster = await threeNodes();
    const controllerId = await cluster.controller();
    const views = await Promise.all(cluster.ids.map((id) => cluster.seenAt(id)));
    expect(views[0]?.clusterId).toMatch(/^[\w-]{22}$/);
    const brokers = cluster.ids.map((id) => ({ id, port: cluster.portOf(id), rack: 'abc'[id - 1] }));
    const view = { clusterId: views[0]?.clusterId, controllerId, brokers, topics: new Map() };
    expect(views).toEqual([view, view, view]);
  });

  test('create topics at any of them, which all of them see', async () => {
    const cluster = await threeNodes();
    for (const id of cluster.ids) await createTopic([cluster.portOf(id)], `made-at-${id}`, 10_000);
    for (const id of cluster.ids) {
      await until(`three topics at node ${id}`, 2_000, async () =>
        (await cluster.seenAt(id))?.topics.size === 3 ? true : undefined,
      );
      expect([...((await cluster.seenAt(id))?.topics.keys() ?? [])].sort()).toEqual([
        'made-at-1',
        'made-at-2',
        'made-at-3',
      ]);
    }
  });

  test('serve kafkajs from any one bootstrap address: topics over all brokers, producing, a group', async () => {
    const cluster = await threeNodes({ settings: { 'group.initial.rebalance.delay.ms': '0' } });
    for (const id of cluster.ids) {
      const kafka = new Kafka({ brokers: [`127.0.0.1:${cluster.portOf(id)}`], logLevel: logLevel.NOTHING });
      const topic = `from-${id}`;
      const admin = kafka.admin();
      await admin.connect();
      expect((await admin.describeCluster()).brokers).toHaveLength(3);
      await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true });
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      expect(topics[0]?.partitions.map(({ leader }) => leader).sort()).toEqual([1, 2, 3]);
      await admin.disconnect();
      const producer = kafka.producer();
      await producer.connect();
      const messages = [0, 1, 2].map((partition) => ({ partition, value: `${topic}-${partition}` }));
      await producer.send({ topic, messages, acks: -1 });
      await producer.disconnect();
      const consumer = kafka.consumer({ groupId: `group-${id}`, maxWaitTimeInMs: 50 });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      const values: string[] = [];
      await consumer.run({ eachMessage: async ({ message }) => void values.push(String(message.value)) });
      await until('all records', 20_000, () => (values.length === 3 ? true : undefined));
      expect(values.sort()).toEqual(messages.map(({ value }) => value));
      await consumer.disconnect();
    }
  });

  test('take a fourth, a broker that does not vote, which creates topics too', async () => {
    const cluster = await threeNodes({ brokers: 4, voters: 3 });
    expect((await cluster.seenAt(1))?.brokers.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    await createTopic([cluster.portOf(4)], 'by-the-fourth', 10_000);
    await cluster.kill(4);
    await until('the fourth is fenced', 10_000, async () =>
      (await cluster.seenAt(1))?.brokers.length === 3 ? true : undefined,
    );
    await createTopic([cluster.portOf(1)], 'without-the-fourth', 10_000);
    cluster.spawn(4);
    await cluster.allRegistered();
    expect((await cluster.seenAt(4))?.topics.size).toBe(2);
  });
});
