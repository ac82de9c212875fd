/** kafkajs on three nodes: groups that change, and transactions. It has neither static members nor incremental rebalances. */
import { type Consumer, type EachMessagePayload, Kafka, logLevel, type Producer, type Transaction } from 'kafkajs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { until } from '../support/process.ts';
import { numbered, uniqueName } from './support/broker.ts';
import { threeNodes } from './support/three-nodes.ts';

const bootstrap = threeNodes();
const waitMs = 30_000;
const client = (): Kafka =>
  new Kafka({ brokers: bootstrap().split(','), clientId: 'compat', logLevel: logLevel.NOTHING });

async function createTopic(numPartitions: number): Promise<string> {
  const topic = uniqueName('kafkajs');
  const admin = client().admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: true });
  await admin.disconnect();
  return topic;
}

async function committedOffsets(groupId: string, topic: string): Promise<readonly string[]> {
  const admin = client().admin();
  await admin.connect();
  const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] });
  await admin.disconnect();
  return (offsets?.partitions ?? []).sort((a, b) => a.partition - b.partition).map(({ offset }) => offset);
}

async function connectedProducer(transactionalId?: string): Promise<Producer> {
  const named = transactionalId === undefined ? {} : { transactionalId, maxInFlightRequests: 1 };
  const producer = client().producer({ idempotent: true, ...named });
  await producer.connect();
  onTestFinished(() => producer.disconnect());
  return producer;
}

const withValues = (values: readonly string[], partition = 0) => values.map((value) => ({ partition, value }));

/** A member of a group, with the partitions that it owns and the values that it has seen. */
class Member {
  readonly consumer: Consumer;
  readonly values: string[] = [];
  owned: readonly number[] = [];
  readonly #topic: string;

  constructor(topic: string, groupId: string, readUncommitted = false) {
    this.#topic = topic;
    this.consumer = client().consumer({ groupId, readUncommitted, maxWaitTimeInMs: 100, heartbeatInterval: 500 });
    this.consumer.on(this.consumer.events.GROUP_JOIN, ({ payload }) => {
      this.owned = payload.memberAssignment[topic] ?? [];
    });
    onTestFinished(() => this.consumer.disconnect());
  }

  async run(): Promise<this> {
    await this.consumer.connect();
    await this.consumer.subscribe({ topic: this.#topic, fromBeginning: true });
    const eachMessage = async ({ message }: EachMessagePayload): Promise<void> => {
      this.values.push(message.value?.toString() ?? '');
    };
    await this.consumer.run({ eachMessage, autoCommitThreshold: 1 });
    return this;
  }
}

async function membersOf(groupId: string): Promise<number> {
  const admin = client().admin();
  await admin.connect();
  const { groups } = await admin.describeGroups([groupId]);
  await admin.disconnect();
  return groups[0]?.members.length ?? 0;
}

/** All values that a fresh group sees up to those that are behind everything else. */
async function read(topic: string, readUncommitted: boolean, ends: readonly string[]): Promise<readonly string[]> {
  const reader = await new Member(topic, uniqueName('reader'), readUncommitted).run();
  await until(`${ends} of ${topic}`, waitMs, () =>
    ends.every((end) => reader.values.includes(end)) ? true : undefined,
  );
  return reader.values.filter((value) => !ends.includes(value)).sort();
}

describe('kafkajs: groups', () => {
  test('a second member takes over half of the partitions; when the first leaves it takes over all, and nothing is seen twice or lost', async () => {
    const topic = await createTopic(4);
    const groupId = uniqueName('group');
    const producer = await connectedProducer();
    const writeToAll = (name: string) =>
      producer.send({
        topic,
        acks: -1,
        messages: [0, 1, 2, 3].flatMap((id) => withValues(numbered(`${name}-${id}-`, 25), id)),
      });

    const first = await new Member(topic, groupId).run();
    await until('all partitions', waitMs, () => (first.owned.length === 4 ? true : undefined));
    await writeToAll('a');
    await until('the records of one', waitMs, () => (first.values.length === 100 ? true : undefined));

    const second = await new Member(topic, groupId).run();
    await until('two each', waitMs, () => (first.owned.length === 2 && second.owned.length === 2 ? true : undefined));
    expect([...first.owned, ...second.owned].sort()).toEqual([0, 1, 2, 3]);
    await writeToAll('b');
    await until('the records of two', waitMs, () =>
      first.values.length === 150 && second.values.length === 50 ? true : undefined,
    );

    await first.consumer.disconnect();
    await until('all again', waitMs, () => (second.owned.length === 4 ? true : undefined));
    expect(await membersOf(groupId)).toBe(1);
    await writeToAll('c');
    await until('the records of the other', waitMs, () => (second.values.length === 150 ? true : undefined));
    expect(new Set([...first.values, ...second.values]).size).toBe(300);
    await second.consumer.disconnect();
    expect(await membersOf(groupId)).toBe(0);
    expect(await committedOffsets(groupId, topic)).toEqual(['75', '75', '75', '75']);
  });

  test('a member commits offsets of its choice, and its successor begins there', async () => {
    const topic = await createTopic(1);
    const groupId = uniqueName('group');
    const producer = await connectedProducer();
    await producer.send({ topic, acks: -1, messages: withValues(numbered('', 10)) });
    const member = client().consumer({ groupId });
    onTestFinished(() => member.disconnect());
    await member.connect();
    await member.subscribe({ topic });
    let joined = false;
    member.on(member.events.GROUP_JOIN, () => {
      joined = true;
    });
    await member.run({ autoCommit: false, eachMessage: async () => undefined });
    await until('the group', waitMs, () => (joined ? true : undefined));
    await member.commitOffsets([{ topic, partition: 0, offset: '7' }]);
    await member.disconnect();
    expect(await committedOffsets(groupId, topic)).toEqual(['7']);
    const successor = await new Member(topic, groupId).run();
    await until('the rest', waitMs, () => (successor.values.length === 3 ? true : undefined));
    expect(successor.values).toEqual(['7', '8', '9']);
  });
});

describe('kafkajs: transactions', () => {
  test('committed records of several partitions are read, aborted ones only by who reads uncommitted ones', async () => {
    const topic = await createTopic(3);
    const producer = await connectedProducer(uniqueName('tx'));
    for (const [name, ends] of [
      ['a', 'commit'],
      ['b', 'abort'],
      ['c', 'commit'],
    ] as const) {
      const transaction = await producer.transaction();
      for (const partition of [0, 1, 2]) {
        await transaction.send({
          topic,
          acks: -1,
          messages: withValues(numbered(`${name}${partition}-`, 20), partition),
        });
      }
      await transaction[ends]();
    }
    const ends = numbered('end-', 3);
    const last = await producer.transaction();
    for (const [partition, end] of ends.entries()) {
      await last.send({ topic, acks: -1, messages: withValues([end], partition) });
    }
    await last.commit();
    const of = (...names: readonly string[]) =>
      names.flatMap((name) => [0, 1, 2].flatMap((partition) => numbered(`${name}${partition}-`, 20))).sort();
    expect(await read(topic, false, ends)).toEqual(of('a', 'c'));
    expect(await read(topic, true, ends)).toEqual(of('a', 'b', 'c'));
  });

  test('of two aborted transactions that overlap, nothing is read, also when the one that began later ended first', async () => {
    const topic = await createTopic(1);
    const producers = [await connectedProducer(uniqueName('tx')), await connectedProducer(uniqueName('tx'))];
    const transactions: Transaction[] = [];
    for (const [index, producer] of producers.entries()) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, acks: -1, messages: withValues(numbered(`${index}-`, 5)) });
      transactions.push(transaction);
    }
    for (const transaction of transactions.reverse()) await transaction.abort();
    const plain = await connectedProducer();
    await plain.send({ topic, acks: -1, messages: withValues(['end']) });
    expect(await read(topic, false, ['end'])).toEqual([]);
  });

  test('a reader of committed records waits for an open transaction, others do not', async () => {
    const topic = await createTopic(1);
    const transactional = await connectedProducer(uniqueName('tx'));
    const plain = await connectedProducer();
    const transaction = await transactional.transaction();
    await transaction.send({ topic, acks: -1, messages: withValues(['open']) });
    await plain.send({ topic, acks: -1, messages: withValues(['plain']) });
    const waiting = await new Member(topic, uniqueName('group')).run();
    expect(await read(topic, true, ['plain'])).toEqual(['open']);
    expect(waiting.values).toEqual([]);
    await transaction.commit();
    await until('both', waitMs, () => (waiting.values.length === 2 ? true : undefined));
    expect(waiting.values).toEqual(['open', 'plain']);
  });

  test('offsets that are sent in a transaction are committed with it, and forgotten with it', async () => {
    const topic = await createTopic(1);
    const groupId = uniqueName('group');
    const producer = await connectedProducer(uniqueName('tx'));
    for (const [offset, ends, committed] of [
      ['5', 'abort', '-1'],
      ['3', 'commit', '3'],
      ['9', 'abort', '3'],
    ] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, acks: -1, messages: withValues(['x']) });
      const topics = [{ topic, partitions: [{ partition: 0, offset }] }];
      await transaction.sendOffsets({ consumerGroupId: groupId, topics });
      await transaction[ends]();
      await until(`offset ${committed}`, waitMs, async () => {
        const [found = '-1'] = await committedOffsets(groupId, topic);
        return found === committed ? true : undefined;
      });
    }
  });

  test('a zombie is fenced by its successor, and what it wrote is aborted', async () => {
    const topic = await createTopic(1);
    const transactionalId = uniqueName('tx');
    const zombie = await connectedProducer(transactionalId);
    const abandoned = await zombie.transaction();
    await abandoned.send({ topic, acks: -1, messages: withValues(['zombie']) });
    const successor = await connectedProducer(transactionalId);
    const transaction = await successor.transaction();
    await expect(abandoned.commit()).rejects.toThrow(/epoch|fenced/i);
    await transaction.send({ topic, acks: -1, messages: withValues(['successor', 'end']) });
    await transaction.commit();
    expect(await read(topic, false, ['end'])).toEqual(['successor']);
  });
});
