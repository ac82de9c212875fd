import { describe, expect, test } from 'vitest';
import { alterReplicaLogDirsApi } from '#api/alter-replica-log-dirs';
import { deleteRecordsApi } from '#api/delete-records';
import { describeLogDirsApi } from '#api/describe-log-dirs';
import { ErrorCode, errorName } from '#model/errors';
import { leaderEpoch, nodeId, offset } from '#model/ids';
import { OFFSETS_TOPIC } from '#model/internal-topics';
import { writeAlterReplicaLogDirsRequest } from '#protocol/generated/alter-replica-log-dirs-request';
import { readAlterReplicaLogDirsResponse } from '#protocol/generated/alter-replica-log-dirs-response';
import { writeDeleteRecordsRequest } from '#protocol/generated/delete-records-request';
import { readDeleteRecordsResponse } from '#protocol/generated/delete-records-response';
import { writeDescribeLogDirsRequest } from '#protocol/generated/describe-log-dirs-request';
import { readDescribeLogDirsResponse } from '#protocol/generated/describe-log-dirs-response';
import { readBatchHeader } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import { FakeLog } from '../runtime/fake-log.ts';
import { ME, viewOf } from '../runtime/replica-stage.ts';
import { ApiStage, versionsOf } from './api-stage.ts';

const deleteRecords = { write: writeDeleteRecordsRequest, read: readDeleteRecordsResponse };
const alterDirs = { write: writeAlterReplicaLogDirsRequest, read: readAlterReplicaLogDirsResponse };
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

  test('a leader that does not know yet what an earlier one has committed asks to be asked again', async () => {
    const stage = new ApiStage();
    stage.topic('orders');
    fill(stage, 'orders', 10);
    stage.log('orders', 0).logEndOffset = offset(12);
    const both = [ME, nodeId(9)];
    stage.partition('orders', 0).lead(viewOf(1, { replicas: both, isr: both }), 1);
    for (const before of [-1, 11]) {
      expect(await ask(stage, 'orders', before)).toMatchObject(answer(ErrorCode.LeaderNotAvailable, -1));
    }
    expect(stage.log('orders', 0).logStartOffset).toBe(0);
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

  test('a follower tells how far it is behind what its leader has committed', async () => {
    const stage = stageWithLogs();
    const follower = stage.partition('orders', 0);
    follower.follow(leaderEpoch(1));
    follower.leaderIsAt(offset(10), offset(0));
    const topics = [{ topic: 'orders', partitions: [0, 1] }];
    const { results } = await stage.call(describeLogDirsApi, describeDirs, 5, { topics });
    expect(results[0]?.topics[0]?.partitions).toMatchObject([{ offsetLag: 7 }, { offsetLag: 0 }]);
  });

  test('a replica that is offline has no lag that could be told', async () => {
    const stage = stageWithLogs();
    stage.log('users', 0).listener?.failed();
    const topics = [{ topic: 'users', partitions: [0] }];
    const { results } = await stage.call(describeLogDirsApi, describeDirs, 5, { topics });
    expect(results[0]?.topics[0]?.partitions).toMatchObject([{ offsetLag: -1 }]);
  });

  test('a log on its way to another directory is told there, with how far it is behind the one that it replaces', async () => {
    const stage = stageWithLogs();
    const future = new FakeLog('orders', 0, stage.clock);
    future.logEndOffset = offset(1);
    future.directory = stage.directories[2];
    stage.futures.push(future);
    const topics = [{ topic: 'orders', partitions: [0] }];
    const { results } = await stage.call(describeLogDirsApi, describeDirs, 5, { topics });
    expect(results[0]?.topics[0]?.partitions).toMatchObject([{ isFutureKey: false, offsetLag: 0 }]);
    expect(results[2]?.topics[0]?.partitions).toMatchObject([{ partitionIndex: 0, isFutureKey: true, offsetLag: 2 }]);
  });

  test('asked for some partitions, it tells no others', async () => {
    const topics = [{ topic: 'orders', partitions: [1, 7] }];
    const { results } = await stageWithLogs().call(describeLogDirsApi, describeDirs, 5, { topics });
    expect(results[0]?.topics).toMatchObject([{ name: 'orders', partitions: [{ partitionIndex: 1 }] }]);
  });
});

describe('AlterReplicaLogDirs', () => {
  const [here, there, full, broken] = [
    { disk: { path: '/here' }, isOffline: false, isFull: false },
    { disk: { path: '/there' }, isOffline: false, isFull: false },
    { disk: { path: '/full' }, isOffline: false, isFull: true },
    { disk: { path: '/broken' }, isOffline: true, isFull: false },
  ];

  function stageWithLogs(): ApiStage {
    const stage = new ApiStage();
    stage.directories.push(here, there, full, broken);
    stage.topic('orders', 2);
    for (const log of stage.logs.values()) log.directory = here;
    return stage;
  }

  async function alter(stage: ApiStage, moves: Readonly<Record<string, string>>, version = 2) {
    const dirs = Object.entries(moves).map(([replica, path]) => {
      const [name = '', partition] = replica.split('/');
      return { path, topics: [{ name, partitions: [Number(partition)] }] };
    });
    const { results } = await stage.call(alterReplicaLogDirsApi, alterDirs, version, { dirs });
    return Object.fromEntries(
      results.flatMap(({ topicName, partitions }) =>
        partitions.map(({ partitionIndex, errorCode }) => [
          `${topicName}/${partitionIndex}`,
          errorName(errorCode as ErrorCode),
        ]),
      ),
    );
  }

  test.each(versionsOf(alterReplicaLogDirsApi))('version %i begins the move of a replica', async (version) => {
    const stage = stageWithLogs();
    expect(await alter(stage, { 'orders/1': '/there' }, version)).toEqual({ 'orders/1': 'NONE' });
    expect(stage.moves).toEqual([{ replica: 'orders/1', to: there }]);
  });

  test('a replica that is there already stays: a move that is under way is given up', async () => {
    const stage = stageWithLogs();
    expect(await alter(stage, { 'orders/0': '/here' })).toEqual({ 'orders/0': 'NONE' });
    expect(stage.moves).toEqual([{ replica: 'orders/0', to: undefined }]);
  });

  test.each([
    ['/nowhere', 'LOG_DIR_NOT_FOUND'],
    ['/here/', 'LOG_DIR_NOT_FOUND'],
    ['/broken', 'KAFKA_STORAGE_ERROR'],
    ['/full', 'KAFKA_STORAGE_ERROR'],
  ])('%s is %s, and nothing moves', async (path, error) => {
    const stage = stageWithLogs();
    expect(await alter(stage, { 'orders/0': path })).toEqual({ 'orders/0': error });
    expect(stage.moves).toEqual([]);
  });

  test('each replica has an answer of its own: unknown, elsewhere, offline', async () => {
    const stage = stageWithLogs();
    stage.log('orders', 1).listener?.failed();
    stage.elsewhere('orders/0');
    const answers = await alter(stage, {
      'nothing/0': '/there',
      'orders/0': '/there',
      'orders/1': '/there',
      'orders/2': '/there',
    });
    expect(answers).toEqual({
      'nothing/0': 'UNKNOWN_TOPIC_OR_PARTITION',
      'orders/0': 'REPLICA_NOT_AVAILABLE',
      'orders/1': 'KAFKA_STORAGE_ERROR',
      'orders/2': 'UNKNOWN_TOPIC_OR_PARTITION',
    });
    expect(stage.moves).toEqual([]);
  });

  test('the last of two directories that are named for a replica counts', async () => {
    const stage = stageWithLogs();
    const topics = [{ name: 'orders', partitions: [0] }];
    const dirs = ['/nowhere', '/there'].map((path) => ({ path, topics }));
    const { results } = await stage.call(alterReplicaLogDirsApi, alterDirs, 2, { dirs });
    expect(results).toMatchObject([
      { topicName: 'orders', partitions: [{ partitionIndex: 0, errorCode: ErrorCode.None }] },
    ]);
    expect(stage.moves).toEqual([{ replica: 'orders/0', to: there }]);
  });
});
