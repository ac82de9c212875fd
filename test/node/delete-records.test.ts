import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { writeDeleteRecordsRequest } from '#protocol/generated/delete-records-request';
import { readDeleteRecordsResponse } from '#protocol/generated/delete-records-response';
import { writeFetchRequest } from '#protocol/generated/fetch-request';
import { readFetchResponse } from '#protocol/generated/fetch-response';
import { ThreeNodes } from './three-nodes.ts';

describe('DeleteRecords on three replicas (KIP-107)', () => {
  const cluster = new ThreeNodes();
  beforeAll(async () => {
    await cluster.start([1, 2, 3]);
    await cluster.createTopic('t', [[1, 2, 3]]);
    await cluster.createTopic('alone', [[1]]);
    await cluster.createTopic('pair', [[1, 2]], { 'min.insync.replicas': '2' });
  });
  afterAll(() => cluster.stop());

  async function deleteBefore(offset: number, timeoutMs = 30_000, name = 't') {
    const topics = [{ name, partitions: [{ partitionIndex: 0, offset }] }];
    const answer = await cluster.world.complete(
      cluster
        .client(cluster.leaderOf(name, 0))
        .request(ApiKey.DeleteRecords, 2, { topics, timeoutMs }, writeDeleteRecordsRequest, readDeleteRecordsResponse),
    );
    const { errorCode, lowWatermark } = answer.topics[0]?.partitions[0] ?? {};
    return [errorCode, lowWatermark];
  }

  /** Where a node's own log starts: any replica answers consumers. */
  async function startOn(id: number, topic = 't'): Promise<number | undefined> {
    const topics = [{ topic, partitions: [{ partition: 0, fetchOffset: 10, partitionMaxBytes: 1 }] }];
    const request = { maxWaitMs: 0, minBytes: 0, topics, forgottenTopicsData: [] };
    const answer = await cluster.world.complete(
      cluster.client(id).request(ApiKey.Fetch, 12, request, writeFetchRequest, readFetchResponse),
    );
    return answer.responses[0]?.partitions[0]?.logStartOffset;
  }

  async function starts(): Promise<(number | undefined)[]> {
    const found = [];
    for (const id of [1, 2, 3]) found.push(await startOn(id));
    return found;
  }

  it('is answered when the records are gone on all of them, which takes no longer than a fetch waits', async () => {
    await cluster.produce('t', 0, 10);
    const before = cluster.world.clock.now();
    expect(await deleteBefore(4)).toEqual([ErrorCode.None, 4]);
    expect(await starts()).toEqual([4, 4, 4]);
    expect(cluster.world.clock.now() - before).toBeLessThan(1_000);
  });

  it('does not wait for a replica that is fenced', async () => {
    await cluster.kill(3);
    await cluster.runFor(10_000);
    expect(await deleteBefore(5)).toEqual([ErrorCode.None, 5]);
  });

  it('tells that the time was up, and how far all are, while a replica that lives does not say', async () => {
    await cluster.start([3]);
    await cluster.runFor(10_000);
    expect(await deleteBefore(6)).toEqual([ErrorCode.None, 6]);
    // Not long enough to be fenced.
    cluster.world.stall('n2', 1_000);
    expect(await deleteBefore(8, 300)).toEqual([ErrorCode.RequestTimedOut, 6]);
    expect(await startOn(1)).toBe(8);
  });

  it('brings nothing back once it is answered, though all nodes lose power at that moment', async () => {
    await cluster.runFor(10_000);
    await cluster.produce('alone', 0, 10);
    for (const [topic, before] of [
      ['alone', 7],
      ['t', 9],
    ] as const) {
      expect(await deleteBefore(before, 30_000, topic)).toEqual([ErrorCode.None, before]);
      for (const id of [1, 2, 3]) await cluster.kill(id);
      await cluster.start([1, 2, 3]);
      await cluster.runFor(10_000);
      if (topic === 'alone') expect(await startOn(1, topic)).toBe(before);
      else expect(await starts()).toEqual([before, before, before]);
    }
  });

  it('waits for a replica that is fenced, but may lead as soon as it is back (KIP-966)', async () => {
    await cluster.produce('pair', 0, 10);
    await cluster.kill(2);
    await cluster.runFor(10_000);
    expect(cluster.leaderOf('pair', 0)).toBe(1);
    expect(await deleteBefore(4, 300, 'pair')).toEqual([ErrorCode.RequestTimedOut, 0]);
    await cluster.start([2]);
    await cluster.runFor(10_000);
    expect(await deleteBefore(4, 30_000, 'pair')).toEqual([ErrorCode.None, 4]);
  });
});
