import { describe, expect, test } from 'vitest';
import { deleteRecordsApi } from '#api/delete-records';
import { describeLogDirsApi } from '#api/describe-log-dirs';
import { ErrorCode } from '#model/errors';
import { writeDeleteRecordsRequest } from '#protocol/generated/delete-records-request';
import { readDeleteRecordsResponse } from '#protocol/generated/delete-records-response';
import { writeDescribeLogDirsRequest } from '#protocol/generated/describe-log-dirs-request';
import { readDescribeLogDirsResponse } from '#protocol/generated/describe-log-dirs-response';
import { readBatchHeader } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import { OFFSETS_TOPIC } from '#runtime/internal-topics';
import { ApiStage, versionsOf } from './api-stage.ts';

const deleteRecords = { write: writeDeleteRecordsRequest, read: readDeleteRecordsResponse };
const describeDirs = { write: writeDescribeLogDirsRequest, read: readDescribeLogDirsResponse };

/** Appends records one by one; durable. */
function fill(stage: ApiStage, topic: string, count: number): void {
  for (let made = 0; made < count; made += 1) {
    const records = [{ timestamp: 1, key: null, value: Buffer.from('v') }];
    const bytes = buildBatch({ baseOffset: 0, leaderEpoch: 0, records }, stage.broker.ports.codecs);
    const header = readBatchHeader(bytes, 0);
    if (typeof header === 'string') throw new Error(header);
    stage.partition(topic, 0).append(bytes, [header]);
  }
  stage.log(topic, 0).sync();
}

describe('DeleteRecords', () => {
  function ask(stage: ApiStage, name: string, offset: number, version = 2) {
    const topics = [{ name, partitions: [{ partitionIndex: 0, offset }] }];
    return stage.call(deleteRecordsApi, deleteRecords, version, { topics, timeoutMs: 1000 });
  }

  function answer(errorCode: ErrorCode, lowWatermark: number) {
    return { topics: [{ partitions: [{ partitionIndex: 0, errorCode, lowWatermark }] }] };
  }

  test.each(versionsOf(deleteRecordsApi))('version %i moves the start of the log', async (version) => {
    const stage = new ApiStage();
    stage.topic('orders');
    fill(stage, 'orders', 10);
    expect(await ask(stage, 'orders', 4, version)).toMatchObject(answer(ErrorCode.None, 4));
    expect(stage.log('orders', 0).logStartOffset).toBe(4);
  });

  test('-1 stands for the high watermark', async () => {
    const stage = new ApiStage();
    stage.topic('orders');
    fill(stage, 'orders', 10);
    expect(await ask(stage, 'orders', -1)).toMatchObject(answer(ErrorCode.None, 10));
  });

  test('the start never goes back', async () => {
    const stage = new ApiStage();
    stage.topic('orders');
    fill(stage, 'orders', 10);
    await ask(stage, 'orders', 6);
    expect(await ask(stage, 'orders', 2)).toMatchObject(answer(ErrorCode.None, 6));
  });

  test.each([11, -2])('offset %i of a log of ten records is OFFSET_OUT_OF_RANGE', async (offset) => {
    const stage = new ApiStage();
    stage.topic('orders');
    fill(stage, 'orders', 10);
    expect(await ask(stage, 'orders', offset)).toMatchObject(answer(ErrorCode.OffsetOutOfRange, -1));
  });

  test('a compacted topic gives POLICY_VIOLATION unless it deletes as well', async () => {
    const stage = new ApiStage();
    stage.topic('compacted', 1, { 'cleanup.policy': 'compact' });
    stage.topic('both', 1, { 'cleanup.policy': 'compact,delete' });
    fill(stage, 'both', 2);
    expect(await ask(stage, 'compacted', 0)).toMatchObject(answer(ErrorCode.PolicyViolation, -1));
    expect(await ask(stage, 'both', 2)).toMatchObject(answer(ErrorCode.None, 2));
  });

  test('internal, unknown and offline partitions are refused', async () => {
    const stage = new ApiStage().withGroups();
    stage.topic('orders');
    stage.log('orders', 0).listener?.failed();
    expect(await ask(stage, OFFSETS_TOPIC, 0)).toMatchObject(answer(ErrorCode.InvalidTopicException, -1));
    expect(await ask(stage, 'nothing', 0)).toMatchObject(answer(ErrorCode.UnknownTopicOrPartition, -1));
    expect(await ask(stage, 'orders', 0)).toMatchObject(answer(ErrorCode.KafkaStorageError, -1));
  });
});

describe('DescribeLogDirs', () => {
  function stageWithLogs(): ApiStage {
    const stage = new ApiStage();
    const disk = { path: '/data', totalBytes: () => Promise.resolve(1000), freeBytes: () => Promise.resolve(400) };
    const broken = { path: '/broken', totalBytes: () => Promise.resolve(1), freeBytes: () => Promise.resolve(1) };
    const mute = {
      path: '/mute',
      totalBytes: () => Promise.reject(new Error('EIO')),
      freeBytes: () => Promise.reject(new Error('EIO')),
    };
    const directories = [
      { disk, isOffline: false },
      { disk: broken, isOffline: true },
      { disk: mute, isOffline: false },
    ];
    stage.directories.push(...directories);
    stage.topic('orders', 2);
    stage.topic('users', 1);
    fill(stage, 'orders', 3);
    for (const log of stage.logs.values()) log.directory = directories[0];
    return stage;
  }

  test.each(versionsOf(describeLogDirsApi))(
    'version %i tells the logs of each directory and their sizes',
    async (version) => {
      const stage = stageWithLogs();
      const { results } = await stage.call(describeLogDirsApi, describeDirs, version, { topics: null });
      expect(results).toMatchObject([
        {
          errorCode: ErrorCode.None,
          logDir: '/data',
          topics: [
            {
              name: 'orders',
              partitions: [
                { partitionIndex: 0, partitionSize: stage.log('orders', 0).sizeBytes },
                { partitionSize: 0 },
              ],
            },
            { name: 'users', partitions: [{ partitionIndex: 0, partitionSize: 0, offsetLag: 0, isFutureKey: false }] },
          ],
        },
        { errorCode: ErrorCode.KafkaStorageError, logDir: '/broken', topics: [] },
        { errorCode: ErrorCode.None, logDir: '/mute', topics: [] },
      ]);
      expect(stage.log('orders', 0).sizeBytes).toBeGreaterThan(0);
      if (version < 4) return;
      expect(results.map(({ totalBytes, usableBytes }) => [totalBytes, usableBytes])).toEqual([
        [1000, 400],
        [-1, -1],
        [-1, -1],
      ]);
    },
  );

  test('asked for some partitions, it tells no others', async () => {
    const topics = [{ topic: 'orders', partitions: [1, 7] }];
    const { results } = await stageWithLogs().call(describeLogDirsApi, describeDirs, 5, { topics });
    expect(results[0]?.topics).toMatchObject([{ name: 'orders', partitions: [{ partitionIndex: 1 }] }]);
  });
});
