import { describe, expect, test } from 'vitest';
import { createPartitionsApi } from '#api/create-partitions';
import { createTopicsApi } from '#api/create-topics';
import { deleteTopicsApi } from '#api/delete-topics';
import { describeTopicPartitionsApi } from '#api/describe-topic-partitions';
import { ErrorCode } from '#model/errors';
import { uuid, ZERO_UUID } from '#model/ids';
import { writeCreatePartitionsRequest } from '#protocol/generated/create-partitions-request';
import { readCreatePartitionsResponse } from '#protocol/generated/create-partitions-response';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeDeleteTopicsRequest } from '#protocol/generated/delete-topics-request';
import { readDeleteTopicsResponse } from '#protocol/generated/delete-topics-response';
import { writeDescribeTopicPartitionsRequest } from '#protocol/generated/describe-topic-partitions-request';
import { readDescribeTopicPartitionsResponse } from '#protocol/generated/describe-topic-partitions-response';
import { ApiStage, versionsOf } from './api-stage.ts';

const createTopics = { write: writeCreateTopicsRequest, read: readCreateTopicsResponse };
const deleteTopics = { write: writeDeleteTopicsRequest, read: readDeleteTopicsResponse };
const createPartitions = { write: writeCreatePartitionsRequest, read: readCreatePartitionsResponse };
const describePartitions = { write: writeDescribeTopicPartitionsRequest, read: readDescribeTopicPartitionsResponse };

function topic(name: string, numPartitions = 2, configs: { name: string; value: string | null }[] = []) {
  return { name, numPartitions, replicationFactor: 1, assignments: [], configs };
}

describe('CreateTopics', () => {
  test.each(versionsOf(createTopicsApi))(
    'version %i creates what it can and says why not the rest',
    async (version) => {
      const stage = new ApiStage();
      const topics = [topic('orders', 2, [{ name: 'retention.ms', value: '1000' }]), topic('a b'), topic('x', 0)];
      const answer = await stage.call(createTopicsApi, createTopics, version, { topics, timeoutMs: 1000 });
      expect(answer.topics).toMatchObject([
        { name: 'orders', errorCode: ErrorCode.None, errorMessage: null },
        { name: 'a b', errorCode: ErrorCode.InvalidTopicException, errorMessage: expect.stringContaining('a b') },
        { name: 'x', errorCode: ErrorCode.InvalidPartitions },
      ]);
      const { image } = stage.cluster;
      expect(image.topic('orders')?.partitions).toHaveLength(2);
      const [created, refused] = answer.topics;
      if (version >= 7) expect(created?.topicId).toBe(image.topic('orders')?.id);
      if (version < 5) return;
      expect(created).toMatchObject({ numPartitions: 2, replicationFactor: 1 });
      const retention = created?.configs?.find(({ name }) => name === 'retention.ms');
      expect(retention).toMatchObject({ value: '1000', configSource: 1, isSensitive: false, readOnly: false });
      expect(created?.configs?.find(({ name }) => name === 'cleanup.policy')).toMatchObject({
        value: 'delete',
        configSource: 5,
      });
      expect(refused).toMatchObject({ numPartitions: -1, replicationFactor: -1 });
    },
  );

  test('validateOnly tells what would be and creates nothing', async () => {
    const stage = new ApiStage();
    const request = { topics: [topic('orders', 3)], timeoutMs: 1000, validateOnly: true };
    const answer = await stage.call(createTopicsApi, createTopics, 7, request);
    expect(answer.topics).toMatchObject([{ errorCode: ErrorCode.None, numPartitions: 3, topicId: ZERO_UUID }]);
    expect(stage.cluster.image.topic('orders')).toBeUndefined();
  });

  test("a topic with the name of Kafka's metadata log is refused beside others that are made", async () => {
    const stage = new ApiStage();
    const request = { topics: [topic('__cluster_metadata'), topic('orders')], timeoutMs: 1000 };
    const answer = await stage.call(createTopicsApi, createTopics, 7, request);
    expect(answer.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['orders', ErrorCode.None],
      ['__cluster_metadata', ErrorCode.InvalidRequest],
    ]);
  });

  test('a controller that does not answer in time is REQUEST_TIMED_OUT for each topic', async () => {
    const stage = new ApiStage();
    stage.refusal = 'never';
    const answer = stage.call(createTopicsApi, createTopics, 7, { topics: [topic('a'), topic('b')], timeoutMs: 700 });
    stage.clock.advance(700);
    expect((await answer).topics.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.RequestTimedOut,
      ErrorCode.RequestTimedOut,
    ]);
  });

  test.each([
    ['busy', ErrorCode.RequestTimedOut],
    ['stopped', ErrorCode.RequestTimedOut],
    ['full', ErrorCode.KafkaStorageError],
    ['tooLarge', ErrorCode.PolicyViolation],
  ] as const)('what a controller has not done is an error: %s', async (refusal, errorCode) => {
    const stage = new ApiStage();
    stage.refusal = refusal;
    const answer = await stage.call(createTopicsApi, createTopics, 7, { topics: [topic('a')], timeoutMs: 700 });
    expect(answer.topics).toMatchObject([{ name: 'a', errorCode }]);
  });
});

describe('DeleteTopics', () => {
  test.each(versionsOf(deleteTopicsApi).filter((version) => version < 6))(
    'version %i deletes by name',
    async (version) => {
      const stage = new ApiStage();
      stage.topic('orders');
      const request = { topicNames: ['orders', 'nothing'], timeoutMs: 1000 };
      const answer = await stage.call(deleteTopicsApi, deleteTopics, version, request);
      expect(answer.responses).toMatchObject([
        { name: 'orders', errorCode: ErrorCode.None },
        { name: 'nothing', errorCode: ErrorCode.UnknownTopicOrPartition },
      ]);
      expect(stage.cluster.image.topicCount).toBe(0);
    },
  );

  test('version 6 deletes by id or by name', async () => {
    const stage = new ApiStage();
    for (const name of ['orders', 'users']) stage.topic(name);
    const topicId = stage.cluster.image.topic('orders')?.id ?? ZERO_UUID;
    const stranger = uuid('AAAAAAAAAAAAAAAAAAABAA');
    const topics = [
      { name: null, topicId },
      { name: 'users', topicId: ZERO_UUID },
      { name: null, topicId: stranger },
    ];
    const answer = await stage.call(deleteTopicsApi, deleteTopics, 6, { topics, timeoutMs: 1000 });
    expect(answer.responses).toMatchObject([
      { name: 'orders', topicId, errorCode: ErrorCode.None },
      { name: 'users', errorCode: ErrorCode.None },
      { name: null, topicId: stranger, errorCode: ErrorCode.UnknownTopicId },
    ]);
    expect(stage.cluster.image.topicCount).toBe(0);
  });

  test.each([
    [2, ErrorCode.InvalidRequest],
    [3, ErrorCode.TopicDeletionDisabled],
  ])('with delete.topic.enable=false version %i is told so in its own way', async (version, errorCode) => {
    const stage = new ApiStage({ 'delete.topic.enable': 'false' });
    stage.topic('orders');
    const answer = await stage.call(deleteTopicsApi, deleteTopics, version, {
      topicNames: ['orders'],
      timeoutMs: 1000,
    });
    expect(answer.responses).toMatchObject([{ name: 'orders', errorCode }]);
    expect(stage.cluster.image.topicCount).toBe(1);
  });
});

describe('CreatePartitions', () => {
  test.each(versionsOf(createPartitionsApi))('version %i grows a topic and refuses to shrink one', async (version) => {
    const stage = new ApiStage();
    stage.topic('orders', 2);
    stage.topic('users', 2);
    const topics = [
      { name: 'orders', count: 4, assignments: null },
      { name: 'users', count: 1, assignments: null },
    ];
    const request = { topics, timeoutMs: 1000, validateOnly: false };
    const answer = await stage.call(createPartitionsApi, createPartitions, version, request);
    expect(answer.results).toMatchObject([
      { name: 'orders', errorCode: ErrorCode.None, errorMessage: null },
      { name: 'users', errorCode: ErrorCode.InvalidPartitions },
    ]);
    expect(stage.cluster.image.topic('orders')?.partitions).toHaveLength(4);
  });

  test('assignments say where the new partitions go', async () => {
    const stage = new ApiStage();
    stage.topic('orders', 1);
    const topics = [{ name: 'orders', count: 2, assignments: [{ brokerIds: [9] }] }];
    const request = { topics, timeoutMs: 1000, validateOnly: false };
    const answer = await stage.call(createPartitionsApi, createPartitions, 3, request);
    expect(answer.results).toMatchObject([{ name: 'orders', errorCode: ErrorCode.InvalidReplicaAssignment }]);
  });
});

describe('DescribeTopicPartitions', () => {
  function stageWithTopics(): ApiStage {
    const stage = new ApiStage();
    stage.topic('c', 3);
    stage.topic('a', 3);
    stage.topic('b', 1);
    return stage;
  }

  test('all topics are told in the order of their names', async () => {
    const answer = await stageWithTopics().call(describeTopicPartitionsApi, describePartitions, 0, { topics: [] });
    expect(answer.topics.map(({ name, partitions }) => [name, partitions.length])).toEqual([
      ['a', 3],
      ['b', 1],
      ['c', 3],
    ]);
    expect(answer.nextCursor).toBeNull();
  });

  test('pages of any size tell every partition exactly once', async () => {
    const stage = stageWithTopics();
    for (let limit = 1; limit <= 8; limit += 1) {
      const told: string[] = [];
      let cursor: { topicName: string; partitionIndex: number } | null = null;
      do {
        const request = { topics: [], responsePartitionLimit: limit, cursor };
        const answer: Awaited<ReturnType<typeof ask>> = await ask(stage, request);
        const page = answer.topics.flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex }) => `${name}/${partitionIndex}`),
        );
        expect(page.length).toBeLessThanOrEqual(limit);
        told.push(...page);
        cursor = answer.nextCursor;
      } while (cursor !== null);
      expect(told).toEqual(['a/0', 'a/1', 'a/2', 'b/0', 'c/0', 'c/1', 'c/2']);
    }
  });

  test('a cursor on a topic that is gone goes on with the next', async () => {
    const request = { topics: [], cursor: { topicName: 'bb', partitionIndex: 2 } };
    const answer = await ask(stageWithTopics(), request);
    expect(answer.topics.map(({ name, partitions }) => [name, partitions.length])).toEqual([['c', 3]]);
  });

  test('unknown and impossible topics are told apart', async () => {
    const answer = await ask(stageWithTopics(), { topics: [{ name: 'nothing' }, { name: 'a b' }] });
    expect(answer.topics).toMatchObject([
      { name: 'a b', errorCode: ErrorCode.InvalidTopicException },
      { name: 'nothing', errorCode: ErrorCode.UnknownTopicOrPartition },
    ]);
  });

  function ask(stage: ApiStage, request: Parameters<typeof writeDescribeTopicPartitionsRequest>[1]) {
    return stage.call(describeTopicPartitionsApi, describePartitions, 0, request);
  }
});
