import { describe, expect, test } from 'vitest';
import { RECORDS_PER_REQUEST_MAX } from '#metadata/decision';
import { ResourceType } from '#metadata/records';
import type { NewTopic } from '#metadata/topics';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { TestCluster, testUuid } from './support.ts';

function newTopic(name: string, options: Partial<NewTopic> = {}): NewTopic {
  return { name, partitionCount: -1, replicationFactor: -1, assignments: [], configs: new Map(), ...options };
}

function createAll(cluster: TestCluster, topics: readonly NewTopic[], validateOnly = false) {
  return cluster.run('createTopics', { topics, validateOnly });
}

describe('CreateTopics', () => {
  test('makes topics of one request in one entry, each with its own result', () => {
    const cluster = TestCluster.withBrokers(1, { 'num.partitions': '2' });
    const results = createAll(cluster, [
      newTopic('a'),
      newTopic('bad name'),
      newTopic('b', { partitionCount: 3, configs: new Map([['retention.ms', '7']]) }),
    ]);
    expect(results).toMatchObject([
      { name: 'a', errorCode: ErrorCode.None, message: null, partitionCount: 2, replicationFactor: 1 },
      { name: 'bad name', errorCode: ErrorCode.InvalidTopicException, id: ZERO_UUID, partitionCount: -1 },
      { name: 'b', errorCode: ErrorCode.None, partitionCount: 3, configs: new Map([['retention.ms', '7']]) },
    ]);
    const a = cluster.image.topic('a');
    expect(a?.id).toBe(results[0]?.id);
    expect(a?.partitions).toMatchObject([
      { leader: 1, isr: [1], leaderEpoch: 0, directories: [testUuid(101)] },
      { leader: 1 },
    ]);
    expect(cluster.image.configs(ResourceType.Topic, 'b')).toEqual(new Map([['retention.ms', '7']]));
  });

  test('only validated, changes nothing and gives no id', () => {
    const cluster = TestCluster.withBrokers(1);
    const results = createAll(cluster, [newTopic('a', { partitionCount: 4 }), newTopic('a.b'), newTopic('a_b')], true);
    expect(results).toMatchObject([
      { errorCode: ErrorCode.None, id: ZERO_UUID, partitionCount: 4 },
      { errorCode: ErrorCode.None },
      { errorCode: ErrorCode.InvalidTopicException },
    ]);
    expect([cluster.image.topicCount, cluster.lastRecords.length]).toEqual([0, 0]);
  });

  test.each<readonly [string, Partial<NewTopic>, ErrorCode, string]>([
    ['', {}, ErrorCode.InvalidTopicException, 'Topic name is invalid: the empty string is not allowed'],
    ['there', {}, ErrorCode.TopicAlreadyExists, "Topic 'there' already exists."],
    ['dot_ted', {}, ErrorCode.InvalidTopicException, "Topic 'dot_ted' collides with existing topic: dot.ted"],
    [
      't',
      { partitionCount: 0 },
      ErrorCode.InvalidPartitions,
      'Number of partitions was set to an invalid non-positive value.',
    ],
    ['t', { partitionCount: -2 }, ErrorCode.InvalidPartitions, 'non-positive'],
    [
      't',
      { replicationFactor: 0 },
      ErrorCode.InvalidReplicationFactor,
      'Replication factor was set to an invalid non-positive value.',
    ],
    [
      't',
      { replicationFactor: 3 },
      ErrorCode.InvalidReplicationFactor,
      'Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 2 broker(s) are registered.',
    ],
    [
      't',
      { configs: new Map([['retention.mss', '1']]) },
      ErrorCode.InvalidConfig,
      'Unknown topic config name: retention.mss',
    ],
    [
      't',
      { configs: new Map([['retention.ms', 'x']]) },
      ErrorCode.InvalidConfig,
      'Invalid value x for configuration retention.ms',
    ],
    [
      't',
      { configs: new Map([['retention.ms', null]]) },
      ErrorCode.InvalidConfig,
      'Null value not supported for topic configs: retention.ms',
    ],
    [
      't',
      { partitionCount: RECORDS_PER_REQUEST_MAX },
      ErrorCode.PolicyViolation,
      'Excessively large number of partitions per request.',
    ],
    [
      't',
      { partitionCount: 2 ** 31 - 1 },
      ErrorCode.PolicyViolation,
      'Excessively large number of partitions per request.',
    ],
    [
      't',
      { assignments: [{ partition: 0, replicas: [1] }], partitionCount: 1 },
      ErrorCode.InvalidRequest,
      'A manual partition assignment was specified, but numPartitions was not set to -1.',
    ],
    [
      't',
      { assignments: [{ partition: 0, replicas: [1] }], replicationFactor: 1 },
      ErrorCode.InvalidRequest,
      'A manual partition assignment was specified, but replication factor was not set to -1.',
    ],
    [
      't',
      { assignments: [{ partition: 0, replicas: [] }] },
      ErrorCode.InvalidReplicaAssignment,
      'includes an empty replica list',
    ],
    [
      't',
      { assignments: [{ partition: 0, replicas: [7] }] },
      ErrorCode.InvalidReplicaAssignment,
      'includes broker 7, but no such broker is registered',
    ],
    [
      't',
      { assignments: [{ partition: 0, replicas: [-1] }] },
      ErrorCode.InvalidReplicaAssignment,
      'includes broker -1',
    ],
    [
      't',
      { assignments: [{ partition: 0, replicas: [1, 1] }] },
      ErrorCode.InvalidReplicaAssignment,
      'includes the broker 1 more than once',
    ],
    [
      't',
      { assignments: [{ partition: 1, replicas: [1] }] },
      ErrorCode.InvalidReplicaAssignment,
      'consecutive 0-based',
    ],
    [
      't',
      {
        assignments: [
          { partition: 0, replicas: [1] },
          { partition: 0, replicas: [2] },
        ],
      },
      ErrorCode.InvalidReplicaAssignment,
      'Found multiple manual partition assignments for partition 0',
    ],
    [
      't',
      {
        assignments: [
          { partition: 0, replicas: [1] },
          { partition: 1, replicas: [1, 2] },
        ],
      },
      ErrorCode.InvalidReplicaAssignment,
      'a partition with 2 replica(s), but this is not consistent with previous partitions, which have 1 replica(s)',
    ],
  ])('of %j with %j is refused', (name, options, code, message) => {
    const cluster = TestCluster.withBrokers(2);
    cluster.create('there');
    cluster.create('dot.ted');
    const [result] = createAll(cluster, [newTopic(name, options)]);
    expect(result).toMatchObject({ name, errorCode: code, id: ZERO_UUID });
    expect(result?.message).toContain(message);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('refuses a name twice in one request, once, and a collision within it', () => {
    const cluster = TestCluster.withBrokers(1);
    const results = createAll(cluster, [newTopic('a'), newTopic('b.c'), newTopic('a'), newTopic('b_c')]);
    expect(results.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['a', ErrorCode.InvalidRequest],
      ['b.c', ErrorCode.None],
      ['b_c', ErrorCode.InvalidTopicException],
    ]);
    expect([...cluster.image.topics()].map(({ name }) => name)).toEqual(['b.c']);
  });

  test('again with the id of the first time finds its own topic', () => {
    const cluster = TestCluster.withBrokers(1);
    const topic = newTopic('a', { id: testUuid(9), partitionCount: 2, configs: new Map([['retention.ms', '7']]) });
    const first = createAll(cluster, [topic]);
    expect(first).toMatchObject([{ errorCode: ErrorCode.None, id: testUuid(9) }]);
    expect(createAll(cluster, [topic])).toEqual(first);
    expect(cluster.lastRecords).toEqual([]);
    expect(createAll(cluster, [{ ...topic, id: testUuid(8) }])).toMatchObject([
      { errorCode: ErrorCode.TopicAlreadyExists },
    ]);
  });

  test('refuses an id that another topic has, or that comes twice', () => {
    const cluster = TestCluster.withBrokers(1);
    const id = testUuid(9);
    const both = createAll(cluster, [newTopic('a', { id }), newTopic('b', { id })]);
    expect(both.map(({ errorCode }) => errorCode)).toEqual([ErrorCode.InvalidRequest, ErrorCode.InvalidRequest]);
    createAll(cluster, [newTopic('a', { id })]);
    expect(createAll(cluster, [newTopic('b', { id })])).toMatchObject([{ errorCode: ErrorCode.InvalidRequest }]);
  });

  test('bounds the records of a request over all its topics', () => {
    const cluster = TestCluster.withBrokers(1);
    const results = createAll(cluster, [
      newTopic('a', { partitionCount: 6000 }),
      newTopic('b', { partitionCount: 6000 }),
      newTopic('c'),
    ]);
    expect(results.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.None,
      ErrorCode.PolicyViolation,
      ErrorCode.None,
    ]);
  });

  test('needs a broker that is not fenced', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.fence(1);
    expect(cluster.create('t')).toMatchObject({
      errorCode: ErrorCode.InvalidReplicationFactor,
      message: 'Unable to replicate the partition 1 time(s): All brokers are currently fenced.',
    });
    expect(cluster.createAssigned('t', [[1]])).toMatchObject({
      errorCode: ErrorCode.InvalidReplicaAssignment,
      message:
        'All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled shutdown.',
    });
  });

  test('keeps a manual assignment: the first unfenced replica leads, the fenced are not in sync', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.fence(2);
    cluster.createAssigned('t', [[2, 3, 1]]);
    expect(cluster.image.partition('t', 0)).toMatchObject({ replicas: [2, 3, 1], isr: [3, 1], leader: 3 });
  });

  test('has three replicas unless the brokers are told otherwise', () => {
    const cluster = TestCluster.withBrokers(4);
    expect(cluster.create('t').replicationFactor).toBe(3);
    expect(TestCluster.withBrokers(4, { 'default.replication.factor': '2' }).create('t').replicationFactor).toBe(2);
  });

  test('leaves the directory of a broker with several to the broker (KIP-858)', () => {
    const cluster = new TestCluster();
    cluster.register(1, { directories: [testUuid(1), testUuid(2)] });
    cluster.unfence(1);
    cluster.create('t');
    expect(cluster.image.partition('t', 0)?.directories).toEqual(['AAAAAAAAAAAAAAAAAAAAAQ']);
  });
});

describe('DeleteTopics', () => {
  test('takes names and ids, and answers both', () => {
    const cluster = TestCluster.withBrokers(1);
    const [a, b] = [cluster.create('a').id, cluster.create('b').id];
    const results = cluster.run('deleteTopics', {
      topics: [
        { name: 'a', id: null },
        { name: null, id: b },
      ],
    });
    expect(results).toMatchObject([
      { name: 'a', id: a, errorCode: ErrorCode.None },
      { name: 'b', id: b, errorCode: ErrorCode.None },
    ]);
    expect(cluster.image.topicCount).toBe(0);
  });

  test('refuses what is unknown, unclear or named twice', () => {
    const cluster = TestCluster.withBrokers(1);
    const { id } = cluster.create('a');
    const references = [
      { name: 'none', id: null },
      { name: null, id: testUuid(9) },
      { name: null, id: null },
      { name: 'a', id },
      { name: 'a', id: null },
      { name: null, id },
    ];
    const results = cluster.run('deleteTopics', { topics: references });
    expect(results.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.UnknownTopicOrPartition,
      ErrorCode.UnknownTopicId,
      ErrorCode.InvalidRequest,
      ErrorCode.InvalidRequest,
      ErrorCode.InvalidRequest,
      ErrorCode.InvalidRequest,
    ]);
    expect(cluster.image.topicCount).toBe(1);
  });

  test('is refused where delete.topic.enable is false', () => {
    const cluster = TestCluster.withBrokers(1, { 'delete.topic.enable': 'false' });
    cluster.create('a');
    const [result] = cluster.run('deleteTopics', { topics: [{ name: 'a', id: null }] });
    expect(result?.errorCode).toBe(ErrorCode.TopicDeletionDisabled);
  });
});

describe('CreatePartitions', () => {
  function grow(
    cluster: TestCluster,
    partitionCount: number,
    assignments: readonly (readonly number[])[] | null = null,
    name = 't',
  ) {
    return cluster.run('createPartitions', { validateOnly: false, topics: [{ name, partitionCount, assignments }] })[0];
  }

  test('adds partitions with the replication factor of the topic', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.create('t', { partitions: 1, factor: 2 });
    expect(grow(cluster, 4)?.errorCode).toBe(ErrorCode.None);
    expect(cluster.image.topic('t')?.partitions.map(({ partition, replicas }) => [partition, replicas.length])).toEqual(
      [
        [0, 2],
        [1, 2],
        [2, 2],
        [3, 2],
      ],
    );
  });

  test('does not count the replicas that a reassignment is about to take away', () => {
    const cluster = TestCluster.withBrokers(4);
    cluster.createAssigned('t', [[1, 2]]);
    const partitions = [{ topic: 't', partition: 0, replicas: [3, 4] }];
    cluster.run('alterPartitionReassignments', { allowReplicationFactorChange: false, partitions });
    expect(cluster.state('t').replicas).toHaveLength(4);
    expect(grow(cluster, 2)?.errorCode).toBe(ErrorCode.None);
    expect(cluster.state('t', 1).replicas).toHaveLength(2);
    expect(grow(cluster, 3, [[1, 4]])?.errorCode).toBe(ErrorCode.None);
    expect(cluster.state('t', 2).replicas).toEqual([1, 4]);
  });

  test('keeps manual assignments', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', [[1]]);
    expect(grow(cluster, 2, [[2]])?.errorCode).toBe(ErrorCode.None);
    expect(cluster.image.partition('t', 1)?.replicas).toEqual([2]);
  });

  test.each<readonly [string, number, readonly (readonly number[])[] | null, ErrorCode, string]>([
    ['none', 3, null, ErrorCode.UnknownTopicOrPartition, 'does not host'],
    ['t', 2, null, ErrorCode.InvalidPartitions, 'Topic already has 2 partition(s).'],
    ['t', 1, null, ErrorCode.InvalidPartitions, 'would not be an increase'],
    ['t', 0, null, ErrorCode.InvalidPartitions, 'would not be an increase'],
    ['t', 20_000, null, ErrorCode.PolicyViolation, 'Excessively large'],
    [
      't',
      4,
      [[1]],
      ErrorCode.InvalidReplicaAssignment,
      'Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.',
    ],
    ['t', 3, [[1, 2]], ErrorCode.InvalidReplicaAssignment, 'not consistent'],
    ['t', 3, [[9]], ErrorCode.InvalidReplicaAssignment, 'no such broker'],
  ])('of %s to %i with %j is refused', (name, count, assignments, code, message) => {
    const cluster = TestCluster.withBrokers(2);
    cluster.create('t', { partitions: 2, factor: 1 });
    const result = grow(cluster, count, assignments, name);
    expect(result?.errorCode).toBe(code);
    expect(result?.message).toContain(message);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('refuses the topics of coordinators: every group and transaction would be looked for where it is not', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.create('__consumer_offsets');
    expect(grow(cluster, 4, null, '__consumer_offsets')?.errorCode).toBe(ErrorCode.InvalidTopicException);
  });

  test('refuses a topic twice, and only validates when asked', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.create('t');
    const topic = { name: 't', partitionCount: 2, assignments: null };
    expect(cluster.run('createPartitions', { validateOnly: false, topics: [topic, topic] })).toMatchObject([
      { name: 't', errorCode: ErrorCode.InvalidRequest },
    ]);
    expect(cluster.run('createPartitions', { validateOnly: true, topics: [topic] })).toMatchObject([
      { errorCode: ErrorCode.None },
    ]);
    expect(cluster.image.topic('t')?.partitions).toHaveLength(1);
  });
});
