import { describe, expect, test, vi } from 'vitest';
import { AssertionError, at } from '#base/assert';
import { MetadataImage } from '#metadata/image';
import { type MetadataRecord, type Partition, ResourceType } from '#metadata/records';
import { leaderEpoch, nodeId, producerId, uuidFromBytes } from '#model/ids';
import { TestCluster, testUuid } from './support.ts';

function partition(number: number, options: Partial<Partition> = {}): Partition {
  return {
    partition: number,
    replicas: [nodeId(1)],
    isr: [nodeId(1)],
    elr: [],
    removing: [],
    adding: [],
    leader: nodeId(1),
    leaderEpoch: leaderEpoch(0),
    partitionEpoch: 0,
    directories: [testUuid(101)],
    ...options,
  };
}

const unchanged = { isr: null, elr: null, replicas: null, removing: null, adding: null, directories: null } as const;

describe('replay', () => {
  test('a leader in a change raises the leader epoch, also the same one; every change raises the partition epoch', () => {
    const image = new MetadataImage();
    image.replay({ kind: 'topic', name: 't', id: testUuid(1) }, 1);
    image.replay({ kind: 'partition', topicId: testUuid(1), state: partition(0) }, 1);
    const change = { kind: 'partitionChange', topicId: testUuid(1), partition: 0, leader: null, ...unchanged } as const;
    const epochs = () => [
      image.partition('t', 0)?.leader,
      image.partition('t', 0)?.leaderEpoch,
      image.partition('t', 0)?.partitionEpoch,
    ];
    image.replay(change, 2);
    expect(epochs()).toEqual([1, 0, 1]);
    image.replay({ ...change, leader: nodeId(1) }, 3);
    expect(epochs()).toEqual([1, 1, 2]);
    image.replay({ ...change, leader: 'none' }, 4);
    expect(epochs()).toEqual([null, 2, 3]);
  });

  test('a registration takes the index of its entry as the broker epoch, unless a snapshot spells it out', () => {
    const cluster = new TestCluster();
    cluster.register(1);
    expect(cluster.image.brokers.get(nodeId(1))).toMatchObject({ brokerEpoch: cluster.image.index, fenced: true });
    const copy = new MetadataImage();
    for (const record of cluster.image.snapshot()) copy.replay(record, 77);
    expect(copy.brokers.get(nodeId(1))?.brokerEpoch).toBe(cluster.image.index);
    expect(copy.featuresEpoch).toBe(cluster.image.featuresEpoch);
  });

  test('the target size rises with the brokers, and never falls', () => {
    const cluster = TestCluster.withBrokers(3);
    expect(cluster.image.cluster?.targetSize).toBe(3);
    cluster.replay([{ kind: 'unregisterBroker', ...cluster.brokerCommand(3) }]);
    expect(cluster.image.cluster?.targetSize).toBe(3);
  });

  test('a removed topic takes its configs along, and its name is free', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.create('a.b', { configs: { 'retention.ms': '5' } });
    cluster.run('deleteTopics', { topics: [{ name: 'a.b', id: null }] });
    expect(cluster.image.configs(ResourceType.Topic, 'a.b').size).toBe(0);
    expect([cluster.image.topicCount, cluster.image.partitionCount, cluster.image.topicLike('a_b')]).toEqual([
      0,
      0,
      undefined,
    ]);
    expect(cluster.create('a_b').errorCode).toBe(0);
  });

  test.each<readonly [string, readonly MetadataRecord[]]>([
    ['an unknown topic', [{ kind: 'removeTopic', id: testUuid(9) }]],
    [
      'a partition out of order',
      [
        { kind: 'topic', name: 't', id: testUuid(9) },
        { kind: 'partition', topicId: testUuid(9), state: partition(1) },
      ],
    ],
    [
      'a name twice',
      [
        { kind: 'topic', name: 't', id: testUuid(8) },
        { kind: 'topic', name: 't', id: testUuid(9) },
      ],
    ],
    [
      'producer ids given before',
      [
        { kind: 'producerIds', brokerId: nodeId(1), brokerEpoch: 1, nextProducerId: producerId(5) },
        { kind: 'producerIds', brokerId: nodeId(1), brokerEpoch: 1, nextProducerId: producerId(4) },
      ],
    ],
    [
      'a leader that is not in sync',
      [
        { kind: 'topic', name: 't', id: testUuid(9) },
        { kind: 'partition', topicId: testUuid(9), state: partition(0) },
        { kind: 'partitionChange', topicId: testUuid(9), partition: 0, ...unchanged, leader: nodeId(2) },
      ],
    ],
  ])('%s is a broken invariant', (_, records) => {
    const image = new MetadataImage();
    expect(() => {
      for (const record of records) image.replay(record, 1);
    }).toThrow(AssertionError);
  });

  test('out of order is a broken invariant', () => {
    const image = new MetadataImage();
    image.replay({ kind: 'noOp' }, 2);
    expect(() => image.replay({ kind: 'noOp' }, 1)).toThrow(AssertionError);
  });
});

describe('a delta', () => {
  test('tells what was made, changed and removed since the one before', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.create('old');
    cluster.image.takeDelta();
    const { id } = cluster.create('new', { partitions: 2, configs: { 'retention.ms': '5' } });
    cluster.run('deleteTopics', { topics: [{ name: 'old', id: null }] });
    const delta = cluster.image.takeDelta();
    expect(delta).toMatchObject({
      index: cluster.image.index,
      topicsCreated: [{ name: 'new', id }],
      topicsDeleted: [{ name: 'old', partitions: [{ partition: 0 }] }],
      partitions: [
        { topic: 'new', topicId: id, partition: 0, before: undefined },
        { topic: 'new', topicId: id, partition: 1, before: undefined },
      ],
      configs: [{ type: ResourceType.Topic, name: 'new' }],
      brokers: [],
      fenced: [],
      cluster: false,
    });
    expect(cluster.image.takeDelta()).toMatchObject({
      topicsCreated: [],
      topicsDeleted: [],
      partitions: [],
      configs: [],
    });
  });

  test('joins the changes of one partition', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', [[1, 2]]);
    cluster.image.takeDelta();
    const before = cluster.image.partition('t', 0);
    cluster.fence(1);
    cluster.unfence(1);
    const delta = cluster.image.takeDelta();
    expect(delta.partitions).toHaveLength(1);
    expect(delta.partitions[0]).toMatchObject({ before, after: { leader: 2, isr: [2], leaderEpoch: 1 } });
    expect(delta.brokers).toEqual([1]);
  });

  test('leaves out a topic that came and went', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.image.takeDelta();
    cluster.create('t', { configs: { 'retention.ms': '5' } });
    cluster.run('deleteTopics', { topics: [{ name: 't', id: null }] });
    expect(cluster.image.takeDelta()).toMatchObject({
      topicsCreated: [],
      topicsDeleted: [],
      partitions: [],
      configs: [],
    });
  });

  test('of everything equals that of a new image replayed from a snapshot', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.create('t', { partitions: 3, configs: { 'retention.ms': '5' } });
    const copy = new MetadataImage();
    for (const record of cluster.image.snapshot()) copy.replay(record, cluster.image.index);
    expect(cluster.image.fullDelta()).toEqual(copy.takeDelta());
  });
});

test('a snapshot holds the image of its moment, however it is read later', () => {
  const cluster = TestCluster.withBrokers(1);
  cluster.create('t', { configs: { 'retention.ms': '5' } });
  const expected = [...cluster.image.snapshot()];
  const snapshot = cluster.image.snapshot();
  const first = snapshot.next().value;
  cluster.create('later');
  cluster.fence(1);
  cluster.run('deleteTopics', { topics: [{ name: 't', id: null }] });
  expect([first, ...snapshot]).toEqual(expected);
});

describe('the partitions of a broker', () => {
  const namesOf = (image: MetadataImage, id: number) =>
    [...image.partitionsOf(nodeId(id))].map(({ topic, state }) => `${topic.name}-${state.partition}`);

  test('are those that it has a replica of, from their creation to the end of their topic', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.createAssigned('a', [
      [1, 2],
      [2, 3],
    ]);
    cluster.createAssigned('b', [[1]]);
    expect([1, 2, 3, 4].map((id) => namesOf(cluster.image, id))).toEqual([['a-0', 'b-0'], ['a-0', 'a-1'], ['a-1'], []]);
    cluster.run('alterPartitionReassignments', {
      allowReplicationFactorChange: true,
      partitions: [{ topic: 'a', partition: 0, replicas: [1] }],
    });
    expect([1, 2].map((id) => namesOf(cluster.image, id))).toEqual([['a-0', 'b-0'], ['a-1']]);
    cluster.run('deleteTopics', { topics: [{ name: 'a', id: null }] });
    expect([1, 2, 3].map((id) => namesOf(cluster.image, id))).toEqual([['b-0'], [], []]);
  });

  test(
    'are all that is looked at when it is fenced and comes back, of 100,000 on 100 brokers',
    { timeout: 30_000 },
    () => {
      const cluster = TestCluster.withBrokers(100);
      const { image } = cluster;
      const directoryOf = Array.from({ length: 101 }, (_, id) => testUuid(100 + id));
      const index = image.index + 1;
      for (let t = 0; t < 1000; t += 1) {
        const topicId = uuidFromBytes(Uint8Array.from({ length: 16 }, (_, i) => (i < 2 ? t >> (8 * i) : 7)));
        image.replay({ kind: 'topic', name: `t${t}`, id: topicId }, index);
        for (let p = 0; p < 100; p += 1) {
          const replicas = [0, 1, 2].map((r) => nodeId(1 + ((t + p + 33 * r) % 100)));
          const directories = replicas.map((id) => at(directoryOf, id));
          const state = partition(p, { replicas, isr: replicas, leader: at(replicas, 0), directories });
          image.replay({ kind: 'partition', topicId, state }, index);
        }
      }
      expect(image.partitionCount).toBe(100_000);
      const all = vi.spyOn(image, 'topics');
      const looked = vi.spyOn(image, 'partitionsOf');
      cluster.fence(7);
      const changes = cluster.lastRecords.filter((record) => record.kind === 'partitionChange');
      expect(changes).toHaveLength(3000);
      expect(changes.filter(({ leader }) => leader !== null)).toHaveLength(1000);
      cluster.unfence(7);
      expect(cluster.lastRecords).toHaveLength(1);
      expect([all.mock.calls.length, looked.mock.calls]).toEqual([0, [[7], [7]]]);
      expect([...image.partitionsOf(nodeId(7))]).toHaveLength(3000);
    },
  );
});

describe('an image that becomes another', () => {
  test('tells the difference, and is as the other from then on', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.createAssigned('stays', [
      [1, 2],
      [2, 3],
    ]);
    cluster.create('goes', { configs: { 'retention.ms': '5' } });
    const mine = new MetadataImage();
    for (const record of cluster.image.snapshot()) mine.replay(record, cluster.image.index);
    mine.takeDelta();
    const before = cluster.state('stays');
    cluster.run('deleteTopics', { topics: [{ name: 'goes', id: null }] });
    cluster.fence(1);
    cluster.create('comes', { configs: { 'retention.ms': '5' } });
    cluster.setTopicConfig('stays', 'retention.ms', '7');
    const its = new MetadataImage();
    for (const record of cluster.image.snapshot()) its.replay(record, cluster.image.index);
    mine.become(its);
    expect(mine.takeDelta()).toMatchObject({
      index: cluster.image.index,
      topicsCreated: [{ name: 'comes' }],
      topicsDeleted: [{ name: 'goes', partitions: [{ partition: 0 }] }],
      partitions: [
        { topic: 'comes', partition: 0, before: undefined },
        { topic: 'stays', partition: 0, before, after: cluster.state('stays') },
      ],
      configs: [
        { type: ResourceType.Topic, name: 'comes' },
        { type: ResourceType.Topic, name: 'stays' },
      ],
      brokers: [1, 2, 3],
      cluster: true,
    });
    expect([...mine.snapshot()]).toEqual([...cluster.image.snapshot()]);
    expect([...mine.partitionsOf(nodeId(1))].map(({ topic }) => topic.name)).toContain('stays');
    mine.replay({ kind: 'unregisterBroker', ...cluster.brokerCommand(1) }, mine.index + 1);
    expect(mine.brokers.has(nodeId(1))).toBe(false);
  });

  test('never goes back', () => {
    const cluster = TestCluster.withBrokers(1);
    expect(() => cluster.image.become(new MetadataImage())).toThrow(AssertionError);
  });
});

test('100,000 partitions are replayed record by record without copying what is there', () => {
  const image = new MetadataImage();
  for (let t = 0; t < 100; t += 1) {
    const id = testUuid(t);
    image.replay({ kind: 'topic', name: `t${t}`, id }, 1);
    for (let p = 0; p < 1000; p += 1) image.replay({ kind: 'partition', topicId: id, state: partition(p) }, 1);
  }
  const state = image.partition('t50', 500);
  image.replay({ kind: 'partitionChange', topicId: testUuid(50), partition: 501, leader: nodeId(1), ...unchanged }, 2);
  expect(image.partitionCount).toBe(100_000);
  expect(image.partition('t50', 500)).toBe(state);
});
