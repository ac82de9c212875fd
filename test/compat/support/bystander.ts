import { type Admin, Kafka, type KafkaMessage, logLevel, type Message, type Transaction } from 'kafkajs';
import { onTestFinished } from 'vitest';
import { until } from '../../support/process.ts';
import { uniqueName } from './broker.ts';

const WAIT_MS = 30_000;
const END = 'the end';

/** What a test of another client prepares and looks up by itself, through kafkajs. */
export class Bystander {
  readonly #kafka: () => Kafka;

  constructor(bootstrap: () => string) {
    this.#kafka = () =>
      new Kafka({ brokers: bootstrap().split(','), clientId: 'bystander', logLevel: logLevel.NOTHING });
  }

  async createTopic(numPartitions: number): Promise<string> {
    const topic = uniqueName('topic');
    const topics = [{ topic, numPartitions }];
    await this.#ask((admin) => admin.createTopics({ topics, waitForLeaders: true }));
    return topic;
  }

  async write(topic: string, messages: readonly Message[]): Promise<void> {
    const producer = this.#kafka().producer({ idempotent: true });
    await producer.connect();
    await producer.send({ topic, acks: -1, messages: [...messages] });
    await producer.disconnect();
  }

  /** All records of committed transactions, as they lie in each partition. */
  async readAll(topic: string, partitions = 1): Promise<readonly KafkaMessage[]> {
    const end = uniqueName(END);
    await this.write(
      topic,
      Array.from({ length: partitions }, (_, partition) => ({ partition, value: end })),
    );
    const consumer = this.#kafka().consumer({ groupId: uniqueName('bystander'), maxWaitTimeInMs: 100 });
    const messages: KafkaMessage[] = [];
    let ends = 0;
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message }) => {
        const value = message.value?.toString();
        if (value === end) ends += 1;
        else if (value?.startsWith(END) !== true) messages.push(message);
      },
    });
    await until(`the end of ${topic}`, WAIT_MS, () => (ends === partitions ? true : undefined));
    await consumer.disconnect();
    return messages;
  }

  /** By partition; -1 where nothing is committed. */
  async committed(groupId: string, topic: string): Promise<readonly number[]> {
    const [offsets] = await this.#ask((admin) => admin.fetchOffsets({ groupId, topics: [topic] }));
    const partitions = [...(offsets?.partitions ?? [])].sort((a, b) => a.partition - b.partition);
    return partitions.map(({ offset }) => Number(offset));
  }

  /** By partition, for a group without members. */
  async commit(groupId: string, topic: string, offsets: readonly number[]): Promise<void> {
    const partitions = offsets.map((offset, partition) => ({ partition, offset: String(offset) }));
    await this.#ask((admin) => admin.setOffsets({ groupId, topic, partitions }));
  }

  /** An open transaction, which may be left so. */
  async begin(transactionalId: string): Promise<Transaction> {
    const producer = this.#kafka().producer({ idempotent: true, transactionalId, maxInFlightRequests: 1 });
    await producer.connect();
    onTestFinished(() => producer.disconnect());
    return await producer.transaction();
  }

  async #ask<A>(question: (admin: Admin) => Promise<A>): Promise<A> {
    const admin = this.#kafka().admin();
    await admin.connect();
    try {
      return await question(admin);
    } finally {
      await admin.disconnect();
    }
  }
}
