import { afterEach, beforeEach, expect, it } from 'vitest';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { ApiKey } from '#protocol/generated/apis';
import { writeDeleteTopicsRequest } from '#protocol/generated/delete-topics-request';
import { readDeleteTopicsResponse } from '#protocol/generated/delete-topics-response';
import { writeProduceRequest } from '#protocol/generated/produce-request';
import { type ProduceResponse, readProduceResponse } from '#protocol/generated/produce-response';
import { batchOfValues } from '../support/produce.ts';
import { ThreeNodes } from './three-nodes.ts';

const TOPIC = 't';
let cluster: ThreeNodes;
beforeEach(async () => {
  cluster = new ThreeNodes();
  await cluster.start([1, 2, 3]);
  await cluster.createTopic(TOPIC, [[1, 2, 3]]);
});
afterEach(() => cluster.stop());

type PartitionAnswer = ProduceResponse['responses'][number]['partitionResponses'][number];

/** In the first version whose answers name the leader (KIP-951). */
async function write(value: string): Promise<PartitionAnswer> {
  const topicData = [{ name: TOPIC, partitionData: [{ index: 0, records: [batchOfValues([value])] }] }];
  const request = { acks: -1, timeoutMs: 10_000, topicData };
  const answer = await cluster.client(1).request(ApiKey.Produce, 10, request, writeProduceRequest, readProduceResponse);
  const [found] = answer.responses[0]?.partitionResponses ?? [];
  if (found === undefined) throw new Error('no answer for the partition');
  return found;
}

function endOn(id: number): number | undefined {
  const [replica] = [...cluster.node(id).replicas()].filter(({ topic }) => topic === TOPIC);
  return replica?.log?.logEndOffset;
}

it('a leader that stops takes nothing more, and hands over when all in sync have what it has taken', async () => {
  const { world } = cluster;
  expect((await world.complete(write('first'))).errorCode).toBe(ErrorCode.None);
  await cluster.runFor(1_000);

  // Slower than the decision on who leads next.
  world.network.link('n1', 'n3').slow(30, 20);
  const taken = write('taken');
  await world.run(() => endOn(1) === 2);
  const stopped = cluster.node(1).stop();
  const late = write('too late');
  expect((await world.complete(taken)).errorCode).toBe(ErrorCode.None);
  const answer = await world.complete(late);
  expect(answer.errorCode).toBe(ErrorCode.NotLeaderOrFollower);
  await world.complete(stopped);
  expect(answer.currentLeader?.leaderId).toBe(cluster.node(2).view()?.image.partition(TOPIC, 0)?.leader);
  expect([endOn(2), endOn(3)]).toEqual([2, 2]);
});

it('a leader that stops lets its clients go, though its disk hangs with what the metadata ask of it', async () => {
  const { world } = cluster;
  await cluster.createTopic('gone', [[1]]);
  const hangsMs = 20_000;
  cluster.strikes.set(1, (operation, path) =>
    operation === 'rename' && path === 'gone-0' ? { delayMs: hangsMs } : undefined,
  );
  const topics = { topics: [{ name: 'gone', topicId: ZERO_UUID }], timeoutMs: 1_000 };
  await world.complete(
    cluster.client(2).request(ApiKey.DeleteTopics, 6, topics, writeDeleteTopicsRequest, readDeleteTopicsResponse),
  );
  const before = world.clock.now();
  const stopped = cluster.node(1).stop();
  await world.complete(write('too late').catch(() => undefined));
  expect(world.clock.now() - before).toBeLessThan(2_000);
  expect(cluster.node(2).view()?.image.partition(TOPIC, 0)?.leader).not.toBe(1);
  await world.complete(stopped);
});
