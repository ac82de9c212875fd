/** @platformatic/kafka on three nodes: groups of both protocols, incremental rebalances, static members, transactions. */
import {
  Admin,
  Consumer,
  type ConsumerOptions,
  FetchIsolationLevels,
  type Message,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka';
import { describe, expect, onTestFinished, test } from 'vitest';
import { sleep, until } from '../support/process.ts';
import { numbered, uniqueName } from './support/broker.ts';
import { threeNodes } from './support/three-nodes.ts';

const bootstrap = threeNodes();
const waitMs = 30_000;
const closeMs = 5_000;
const connection = () => ({ clientId: 'compat', bootstrapBrokers: bootstrap().split(',') });

type Strings = ConsumerOptions<string, string, string, string>;
type StringMessage = Message<string, string, string, string>;
type StringProducer = Producer<string, string, string, string>;
type GroupSettings = Pick<Strings, 'groupProtocol'> & Partial<Strings>;

const cooperative: GroupSettings = { protocols: [{ name: 'cooperative-sticky', version: 3 }] };
/** By what a rebalance is called with each. */
const protocols: readonly (readonly [string, GroupSettings])[] = [
  ['eager', {}],
  ['cooperative-sticky', cooperative],
  ['KIP-848', { groupProtocol: 'consumer' }],
];

async function withAdmin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin(connection());
  try {
    return await use(admin);
  } finally {
    await admin.close();
  }
}

async function createTopic(partitions: number): Promise<string> {
  const topic = uniqueName('platformatic');
  await withAdmin((admin) => admin.createTopics({ topics: [topic], partitions, replicas: -1 }));
  return topic;
}

function openProducer(transactionalId?: string): StringProducer {
  // Without these two it claims to be producer 0 already, and would itself be fenced where its transactional id is known.
  const named = transactionalId === undefined ? {} : { transactionalId, producerId: -1n, producerEpoch: -1 };
  const producer = new Producer({ ...connection(), serializers: stringSerializers, idempotent: true, ...named });
  onTestFinished(() => producer.close(true));
  return producer;
}

const messagesTo = (topic: string, partition: number, values: readonly string[]) =>
  values.map((value) => ({ topic, partition, value }));

/** A consumer of one topic, with what it has seen. */
class Member {
  readonly consumer: Consumer<string, string, string, string>;
  readonly messages: StringMessage[] = [];
  joins = 0;

  private constructor(groupId: string, settings: Partial<Strings>) {
    const options = { ...connection(), deserializers: stringDeserializers, groupId, maxWaitTime: 100, ...settings };
    this.consumer = new Consumer(options as Strings);
    this.consumer.on('consumer:group:join', () => {
      this.joins += 1;
    });
    // Told to close while it joins, the client may fail, or wait for ever.
    onTestFinished(() => Promise.race([this.consumer.close(true).catch(() => undefined), sleep(closeMs)]));
  }

  static async join(topic: string, groupId: string, settings: Partial<Strings> = {}): Promise<Member> {
    const classic = settings.groupProtocol === 'consumer' ? {} : { heartbeatInterval: 300, sessionTimeout: 6_000 };
    const member = new Member(groupId, { ...classic, autocommit: 100, ...settings });
    const stream = await member.consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' });
    stream.on('data', (message) => member.messages.push(message));
    return member;
  }

  get values(): readonly string[] {
    return this.messages.map(({ value }) => value);
  }

  get owned(): readonly number[] {
    return (this.consumer.assignments ?? []).flatMap(({ partitions }) => partitions);
  }
}

/** All values of committed records, or of all, up to and with as many 'end's as there are partitions. */
async function readToEnds(topic: string, partitions: number, isolationLevel: number): Promise<readonly string[]> {
  const reader = await Member.join(topic, uniqueName('reader'), { isolationLevel });
  await until(`the ends of ${topic}`, waitMs, () =>
    reader.values.filter((value) => value === 'end').length === partitions ? true : undefined,
  );
  return reader.values.filter((value) => value !== 'end').sort();
}

async function committedOffsets(groupId: string, topic: string): Promise<readonly bigint[]> {
  const [group] = await withAdmin((admin) => admin.listConsumerGroupOffsets({ groups: [groupId] }));
  const partitions = group?.topics.find(({ name }) => name === topic)?.partitions ?? [];
  return [...partitions]
    .sort((a, b) => a.partitionIndex - b.partitionIndex)
    .map(({ committedOffset }) => committedOffset);
}

describe('@platformatic/kafka: groups', () => {
  test.each(protocols)('%s: two members share, and when one leaves the other goes on', async (_, settings) => {
    const topic = await createTopic(4);
    const groupId = uniqueName('group');
    const producer = openProducer();
    /** Gives the values that are seen until all of these are: the client may see those twice that it had not committed. */
    const writeToAll = async (name: string, ...members: readonly Member[]): Promise<void> => {
      const messages = [0, 1, 2, 3].flatMap((id) => messagesTo(topic, id, numbered(`${name}-${id}-`, 25)));
      await producer.send({ acks: -1, messages });
      await until(`all of ${name}`, waitMs, () => {
        const seen = new Set(members.flatMap(({ values }) => values));
        return messages.every(({ value }) => seen.has(value)) ? true : undefined;
      });
    };

    const first = await Member.join(topic, groupId, settings);
    await until('all partitions', waitMs, () => (first.owned.length === 4 ? true : undefined));
    await writeToAll('a', first);

    const second = await Member.join(topic, groupId, settings);
    await until('two each', waitMs, () => (first.owned.length === 2 && second.owned.length === 2 ? true : undefined));
    expect([...first.owned, ...second.owned].sort()).toEqual([0, 1, 2, 3]);
    await writeToAll('b', first, second);
    for (const member of [first, second]) expect(member.values.some((value) => value.startsWith('b'))).toBe(true);

    await first.consumer.close(true);
    await until('all again', waitMs, () => (second.owned.length === 4 ? true : undefined));
    await writeToAll('c', second);
    await until('the commits', waitMs, async () =>
      (await committedOffsets(groupId, topic)).join() === '75,75,75,75' ? true : undefined,
    );
    await second.consumer.close(true);
    const listed = await withAdmin((admin) => admin.listGroups({ types: ['classic', 'consumer'] }));
    expect(listed.get(groupId)?.state).toMatch(/^empty$/i);
  });

  test('a static member that joins again under its name gets its partitions without a rebalance, and its older self is refused', async () => {
    const topic = await createTopic(4);
    const groupId = uniqueName('group');
    const first = await Member.join(topic, groupId, { groupInstanceId: 'one' });
    // The client answers a fence by joining again under its name: without heartbeats the two of that name do not chase each other.
    const two = { groupInstanceId: 'two', autocommit: false, heartbeatInterval: waitMs, sessionTimeout: 2 * waitMs };
    const second = await Member.join(topic, groupId, two);
    await until('two each', waitMs, () => (first.owned.length === 2 && second.owned.length === 2 ? true : undefined));
    const { generationId } = first.consumer;
    const { joins } = first;

    const replacement = await Member.join(topic, groupId, two);
    await until('the same partitions', waitMs, () =>
      [...replacement.owned].sort().join() === [...second.owned].sort().join() ? true : undefined,
    );
    // Its older self is refused when it commits, and the client joins again for it: it is somebody else afterwards.
    const { memberId } = second.consumer;
    const offsets = second.owned.map((partition) => ({ topic, partition, offset: 0n, leaderEpoch: 0 }));
    await second.consumer.commit({ offsets });
    expect(second.consumer.memberId).not.toBe(memberId);
    expect([first.consumer.generationId, replacement.consumer.generationId]).toEqual([generationId, generationId]);
    expect(first.joins).toBe(joins);
    const described = await withAdmin((admin) => admin.describeGroups({ groups: [groupId] }));
    const members = [...(described.get(groupId)?.members.values() ?? [])];
    expect(members.map(({ groupInstanceId }) => groupInstanceId).sort()).toEqual(['one', 'two']);
  });
});

describe('@platformatic/kafka: transactions', () => {
  test('committed records of several partitions are read, aborted ones only by who reads uncommitted ones', async () => {
    const topic = await createTopic(3);
    const producer = openProducer(uniqueName('tx'));
    for (const [name, ends] of [
      ['a', 'commit'],
      ['b', 'abort'],
      ['c', 'commit'],
    ] as const) {
      const transaction = await producer.beginTransaction();
      const messages = [0, 1, 2].flatMap((id) => messagesTo(topic, id, numbered(`${name}${id}-`, 20)));
      await transaction.send({ acks: -1, messages });
      await transaction[ends]();
    }
    const last = await producer.beginTransaction();
    await last.send({ acks: -1, messages: [0, 1, 2].flatMap((id) => messagesTo(topic, id, ['end'])) });
    await last.commit();
    const of = (...names: readonly string[]) =>
      names.flatMap((name) => [0, 1, 2].flatMap((id) => numbered(`${name}${id}-`, 20))).sort();
    expect(await readToEnds(topic, 3, FetchIsolationLevels.READ_COMMITTED)).toEqual(of('a', 'c'));
    expect(await readToEnds(topic, 3, FetchIsolationLevels.READ_UNCOMMITTED)).toEqual(of('a', 'b', 'c'));
  });

  // With KIP-848 the client names the generation of the classic protocol, which no coordinator can take.
  test("a member's offsets are committed with the transaction that they are added to, and forgotten with it", async () => {
    const [source, sink] = [await createTopic(1), await createTopic(1)];
    const groupId = uniqueName('group');
    await openProducer().send({ acks: -1, messages: messagesTo(source, 0, numbered('', 10)) });
    const member = await Member.join(source, groupId, { autocommit: false });
    await until('the source', waitMs, () => (member.messages.length === 10 ? true : undefined));
    const producer = openProducer(uniqueName('tx'));
    for (const [count, ends] of [
      [4, 'commit'],
      [8, 'abort'],
    ] as const) {
      const transaction = await producer.beginTransaction();
      await transaction.send({ acks: -1, messages: messagesTo(sink, 0, numbered(`${ends}-`, count)) });
      await transaction.addConsumer(member.consumer);
      await transaction.addOffset(member.messages[count - 1] as StringMessage);
      await transaction[ends]();
      await until('the offset', waitMs, async () =>
        (await committedOffsets(groupId, source)).join() === '4' ? true : undefined,
      );
    }
    const end = await producer.beginTransaction();
    await end.send({ acks: -1, messages: messagesTo(sink, 0, ['end']) });
    await end.commit();
    expect(await readToEnds(sink, 1, FetchIsolationLevels.READ_COMMITTED)).toEqual(numbered('commit-', 4));
    expect(await committedOffsets(groupId, source)).toEqual([4n]);
  });

  test('a zombie is fenced by its successor, and what it wrote is aborted', async () => {
    const topic = await createTopic(1);
    const transactionalId = uniqueName('tx');
    const abandoned = await openProducer(transactionalId).beginTransaction();
    await abandoned.send({ acks: -1, messages: messagesTo(topic, 0, ['zombie']) });
    const transaction = await openProducer(transactionalId).beginTransaction();
    const refused = await abandoned.commit().then(
      () => 'committed',
      (failure: unknown) => JSON.stringify(failure, fencing),
    );
    expect(refused).toMatch(/PRODUCER_FENCED|INVALID_PRODUCER_EPOCH/);
    await transaction.send({ acks: -1, messages: messagesTo(topic, 0, ['successor', 'end']) });
    await transaction.commit();
    expect(await readToEnds(topic, 1, FetchIsolationLevels.READ_COMMITTED)).toEqual(['successor']);
  });
});

/** Keeps of an error, and of those that it holds, what says why. */
function fencing(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return typeof value === 'bigint' ? String(value) : value;
  const { errors = [], apiId } = value as { errors?: readonly unknown[]; apiId?: string };
  return { message: value.message, apiId, errors, cause: value.cause };
}
