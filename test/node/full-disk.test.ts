import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { ApiKey } from '#protocol/generated/apis';
import { writeDeleteRecordsRequest } from '#protocol/generated/delete-records-request';
import { readDeleteRecordsResponse } from '#protocol/generated/delete-records-response';
import { ThreeNodes } from './three-nodes.ts';

const DISK_BYTES = 6 << 20;
const VALUE = 'v'.repeat(50_000);

describe('a leader whose disk is full', () => {
  const cluster = new ThreeNodes([DISK_BYTES, 1 << 30, 1 << 30]);
  const { world } = cluster;
  beforeAll(async () => {
    await cluster.start([1, 2, 3], {
      'log.dir.min.free.bytes': '2000000',
      'leader.imbalance.check.interval.seconds': '3600',
    });
    const configs = { 'segment.bytes': '1048576', 'file.delete.delay.ms': '1000', 'min.insync.replicas': '2' };
    await cluster.createTopic('t', [[1, 2, 3]], configs);
    await cluster.createTopic('alone', [[1]], configs);
  });
  afterAll(() => cluster.stop());

  async function within(ms: number, condition: () => boolean): Promise<void> {
    const until = world.clock.now() + ms;
    await world.run(() => condition() || world.clock.now() > until);
    expect(condition()).toBe(true);
  }

  const stateOf = () => cluster.node(2).view()?.image.partition('t', 0);

  it('refuses writes with KAFKA_STORAGE_ERROR, which clients try again elsewhere, and goes on serving reads', async () => {
    let error: ErrorCode = ErrorCode.None;
    for (let tries = 0; error === ErrorCode.None && tries < 200; tries += 1) {
      error = await cluster.tryProduce('t', 0, 1, VALUE);
      // Room is looked at every second.
      await cluster.runFor(100);
    }
    expect(error).toBe(ErrorCode.KafkaStorageError);
    expect(cluster.leaderOf('t', 0)).toBe(1);
    expect(await cluster.fetch('t', 0)).toBeGreaterThan(0);
    expect(await cluster.tryProduce('alone', 0, 1, VALUE)).toBe(ErrorCode.KafkaStorageError);
  });

  it('makes way for a replica in sync that has room, within seconds; writes go on once it counts no longer', async () => {
    await within(4_000, () => cluster.leaderOf('t', 0) === 2);
    expect(stateOf()?.isr).toContain(1);
    expect(await cluster.tryProduce('t', 0, 1, VALUE)).toBe(ErrorCode.None);
    expect(stateOf()?.isr).toEqual([2, 3]);
    // What nobody else has it keeps.
    expect(cluster.leaderOf('alone', 0)).toBe(1);
  });

  it('does not get it back while it is full, though it is the preferred one', async () => {
    const epoch = stateOf()?.leaderEpoch;
    await cluster.runFor(90_000);
    expect(stateOf()).toMatchObject({ leader: 2, leaderEpoch: epoch });
  });

  it('takes up again by itself when there is room: follows, is in sync, and leads a minute later', async () => {
    const topics = [{ name: 't', partitions: [{ partitionIndex: 0, offset: -1 }] }];
    const answer = await world.complete(
      cluster
        .client(2)
        .request(
          ApiKey.DeleteRecords,
          2,
          { topics, timeoutMs: 10_000 },
          writeDeleteRecordsRequest,
          readDeleteRecordsResponse,
        ),
    );
    // Also on the full one, which had less, and begins anew where the others' logs start.
    expect(answer.topics[0]?.partitions[0]?.errorCode).toBe(ErrorCode.None);
    const freed = world.clock.now();
    await within(20_000, () => stateOf()?.isr.length === 3);
    // Files go within seconds; then the directory has to rest.
    await within(90_000, () => cluster.leaderOf('t', 0) === 1);
    expect(world.clock.now() - freed).toBeGreaterThan(60_000);
    expect(await cluster.tryProduce('t', 0, 1, VALUE)).toBe(ErrorCode.None);
    expect(await cluster.tryProduce('alone', 0, 1, VALUE)).toBe(ErrorCode.None);
  });
});

describe('a follower whose disk is full', () => {
  const cluster = new ThreeNodes([1 << 30, 1 << 30, DISK_BYTES]);
  const { world } = cluster;
  beforeAll(async () => {
    await cluster.start([1, 2, 3], { 'log.dir.min.free.bytes': '2000000' });
    const configs = { 'min.insync.replicas': '2' };
    await cluster.createTopic('t', [[1, 2, 3]], configs);
    await cluster.createTopic('pair', [[1, 3]], configs);
  });
  afterAll(() => cluster.stop());

  const isrOf = (topic: string) => cluster.node(1).view()?.image.partition(topic, 0)?.isr;

  it('holds up no write where others are in sync: its leader learns at once that it has no room', async () => {
    let longestMs = 0;
    for (let tries = 0; isrOf('t')?.includes(nodeId(3)) && tries < 200; tries += 1) {
      const startedAt = world.clock.now();
      expect(await cluster.tryProduce('t', 0, 1, VALUE)).toBe(ErrorCode.None);
      longestMs = Math.max(longestMs, world.clock.now() - startedAt);
      // Room is looked at every second.
      await cluster.runFor(100);
    }
    expect(isrOf('t')).toEqual([1, 2]);
    expect(longestMs).toBeLessThan(200);
  });

  it('stays in sync where writes would not go on without it, as long as anybody may lag; then they are refused', async () => {
    expect(isrOf('pair')).toEqual([1, 3]);
    const startedAt = world.clock.now();
    expect(await cluster.tryProduce('pair', 0, 1, VALUE)).toBe(ErrorCode.NotEnoughReplicasAfterAppend);
    expect(world.clock.now() - startedAt).toBeGreaterThan(4_000);
    expect(isrOf('pair')).toEqual([1]);
    // It does not come and go meanwhile.
    const epoch = cluster.node(1).view()?.image.partition('pair', 0)?.partitionEpoch;
    await cluster.runFor(20_000);
    expect(cluster.node(1).view()?.image.partition('pair', 0)?.partitionEpoch).toBe(epoch);
  });
});
