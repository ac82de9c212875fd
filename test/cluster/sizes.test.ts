/** Replication factors follow from how large the cluster is meant to be, not from who happens to be there. */
import type { ITopicMetadata } from 'kafkajs';
import { expect, onTestFinished, test } from 'vitest';
import { ErrorCode } from '#model/errors';
import { NodeNetwork } from '#platform/node-network';
import { ApiKey } from '#protocol/generated/apis';
import {
  type FindCoordinatorRequestInput,
  writeFindCoordinatorRequest,
} from '#protocol/generated/find-coordinator-request';
import {
  type FindCoordinatorResponse,
  readFindCoordinatorResponse,
} from '#protocol/generated/find-coordinator-response';
import { kafkaAt } from '../support/acked-writer.ts';
import type { ClusterProcesses } from '../support/cluster-processes.ts';
import { createTopic } from '../support/fresh-client.ts';
import { sleep, until } from '../support/process.ts';
import { WireClient } from '../support/wire-client.ts';
import { prepared, threeNodes } from './support.ts';

const OFFSETS_TOPIC = '__consumer_offsets';
const SOON_MS = 20_000;
/** Two seconds are asked for; the machine may have more to do. */
const WORKS_MS = 6_000;

async function topicAt(cluster: ClusterProcesses, topic: string): Promise<ITopicMetadata | undefined> {
  const [id = 1] = cluster.awake;
  const admin = kafkaAt(`127.0.0.1:${cluster.portOf(id)}`).admin();
  await admin.connect();
  try {
    const { topics } = await admin.fetchTopicMetadata();
    return topics.find(({ name }) => name === topic);
  } finally {
    await admin.disconnect();
  }
}

/** Every partition of the topic has a leader, and so many replicas, all of them in sync. */
async function replicated(cluster: ClusterProcesses, topic: string, count: number): Promise<void> {
  await until(`${topic} with ${count} replicas in sync`, SOON_MS, async () => {
    const partitions = (await topicAt(cluster, topic))?.partitions ?? [];
    const isWell = partitions.every(
      ({ leader, isr, replicas }) => leader > 0 && isr.length === count && replicas.length === count,
    );
    return partitions.length > 0 && isWell ? true : undefined;
  });
}

async function write(cluster: ClusterProcesses, topic: string): Promise<void> {
  const producer = kafkaAt(cluster.bootstrap).producer();
  await producer.connect();
  await producer.send({ topic, acks: -1, messages: [{ value: 'written' }] });
  await producer.disconnect();
}

/** Resolves when a group's member has been given a record; it reads until the test is over. */
async function readByGroup(cluster: ClusterProcesses, topic: string): Promise<void> {
  const consumer = kafkaAt(cluster.bootstrap).consumer({ groupId: `readers-of-${topic}`, heartbeatInterval: 500 });
  onTestFinished(() => consumer.disconnect());
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    consumer.run({ eachMessage: () => Promise.resolve(resolve()) }).catch(reject);
  });
}

test('a topic that is made while one of three nodes is down has its replica there, which comes into sync with the node', async () => {
  const cluster = await threeNodes();
  const away = (await cluster.controller()) === 3 ? 2 : 3;
  await cluster.kill(away);
  await until('the dead one to be fenced', SOON_MS, async () =>
    (await cluster.seenAt(cluster.awake[0] ?? 1))?.brokers.length === 2 ? true : undefined,
  );
  const admin = kafkaAt(cluster.bootstrap).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 't', numPartitions: 3 }] });
  await admin.disconnect();
  for (const { leader, replicas, isr } of (await topicAt(cluster, 't'))?.partitions ?? expect.unreachable()) {
    expect([...replicas].sort()).toEqual([1, 2, 3]);
    expect([...isr].sort()).toEqual(cluster.awake);
    expect(cluster.awake).toContain(leader);
  }
  await write(cluster, 't');
  cluster.spawn(away);
  await replicated(cluster, 't', 3);
});

test('a consumer that comes before the second node is up waits, and works within seconds of the registration of all', async () => {
  const settings = { 'group.initial.rebalance.delay.ms': '0', 'cluster.target.size': '3' };
  const cluster = await prepared({ voters: 1, racks: ['a', 'b', 'c'], settings });
  cluster.spawn(1);
  await cluster.allRegistered();
  await createTopic([cluster.portOf(1)], 'early', SOON_MS);
  await write(cluster, 'early');
  const group = { keyType: 0, coordinatorKeys: ['readers-of-early'] };
  const [coordinator] = (await answerAt(cluster.portOf(1), group))?.coordinators ?? [];
  expect(coordinator?.errorCode).toBe(ErrorCode.CoordinatorNotAvailable);
  let hasRead = false;
  const reading = readByGroup(cluster, 'early').then(() => {
    hasRead = true;
  });
  await sleep(1_000);
  expect([hasRead, await topicAt(cluster, OFFSETS_TOPIC)]).toEqual([false, undefined]);
  for (const id of [2, 3]) cluster.spawn(id);
  await cluster.allRegistered();
  const registeredAt = performance.now();
  await reading;
  const worksAfterMs = performance.now() - registeredAt;
  console.log(`the consumer works ${worksAfterMs.toFixed(0)} ms after the registration of all`);
  expect(worksAfterMs).toBeLessThan(WORKS_MS);
  await replicated(cluster, OFFSETS_TOPIC, 3);
});

/** What a node answers to a client that looks for a group's coordinator. */
async function answerAt(port: number, request: FindCoordinatorRequestInput): Promise<FindCoordinatorResponse> {
  const client = WireClient.open(new NodeNetwork(), { host: '127.0.0.1', port });
  try {
    return await client.request(
      ApiKey.FindCoordinator,
      4,
      request,
      writeFindCoordinatorRequest,
      readFindCoordinatorResponse,
    );
  } finally {
    client.close();
  }
}

test('a cluster that grows from one node to three raises the replicas of its internal topics by itself', async () => {
  const cluster = await prepared({ voters: 1, settings: { 'group.initial.rebalance.delay.ms': '0' } });
  cluster.spawn(1);
  await cluster.allRegistered();
  await write(cluster, 'first');
  await readByGroup(cluster, 'first');
  await replicated(cluster, OFFSETS_TOPIC, 1);
  for (const id of [2, 3]) cluster.spawn(id);
  await cluster.allRegistered();
  await replicated(cluster, OFFSETS_TOPIC, 3);
});
