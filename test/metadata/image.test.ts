import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssertionError } from '#base/assert';
import { MetadataImage } from '#metadata/image';
import { RecordCodec } from '#metadata/record-codec';
import { type MetadataRecord, type Partition, ResourceType } from '#metadata/records';
import { leaderEpoch, nodeId, producerId } from '#model/ids';
import { contents, TestCluster, testUuid } from './support.ts';

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

type Step =
  | { readonly do: 'register' | 'unfence' | 'fence'; readonly broker: number; readonly incarnation: number }
  | { readonly do: 'create'; readonly topic: number; readonly partitions: number; readonly factor: number }
  | { readonly do: 'delete'; readonly topic: number }
  | { readonly do: 'config'; readonly topic: number; readonly value: string | null }
  | { readonly do: 'producerIds'; readonly broker: number };

const broker = fc.integer({ min: 1, max: 4 });
const topic = fc.integer({ min: 0, max: 4 });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom('register' as const, 'unfence' as const, 'fence' as const),
    broker,
    incarnation: fc.integer({ min: 200, max: 205 }),
  }),
  fc.record({
    do: fc.constant('create' as const),
    topic,
    partitions: fc.integer({ min: 1, max: 4 }),
    factor: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ do: fc.constant('delete' as const), topic }),
  fc.record({ do: fc.constant('config' as const), topic, value: fc.option(fc.constantFrom('1', '2')) }),
  fc.record({ do: fc.constant('producerIds' as const), broker }),
);

function perform(cluster: TestCluster, step: Step): void {
  switch (step.do) {
    case 'register':
      cluster.register(step.broker, { incarnation: testUuid(step.incarnation) });
      break;
    case 'unfence':
      cluster.unfence(step.broker);
      break;
    case 'fence':
      cluster.fence(step.broker);
      break;
    case 'create':
      cluster.create(`t${step.topic}`, { partitions: step.partitions, factor: step.factor });
      break;
    case 'delete':
      cluster.run('deleteTopics', { topics: [{ name: `t${step.topic}`, id: null }] });
      break;
    case 'config':
      cluster.run('incrementalAlterConfigs', {
        validateOnly: false,
        resources: [
          {
            type: ResourceType.Topic,
            name: `t${step.topic}`,
            changes: [{ key: 'retention.ms', operation: step.value === null ? 1 : 0, value: step.value }],
          },
        ],
      });
      break;
    case 'producerIds':
      cluster.run('allocateProducerIds', cluster.brokerCommand(step.broker));
      break;
  }
}

describe('any sequence of commands', () => {
  test('gives an image that its own snapshot makes again, through bytes', () => {
    const codec = new RecordCodec();
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
        const cluster = new TestCluster();
        for (const step of steps) perform(cluster, step);
        const copy = new MetadataImage();
        const records = codec.decode(codec.encode([...cluster.image.snapshot()]));
        for (const record of records) copy.replay(record, cluster.image.index);
        expect([...copy.snapshot()]).toEqual([...cluster.image.snapshot()]);
        const sorted = (image: MetadataImage) => ({
          ...contents(image),
          topics: contents(image).topics.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
          brokers: contents(image).brokers.toSorted((a, b) => a.id - b.id),
          features: contents(image).features.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
        });
        expect(sorted(copy)).toEqual(sorted(cluster.image));
      }),
      { numRuns: 200 },
    );
  });

  test('keeps every leader unfenced and in sync, every ISR within the replicas and never empty, and epochs rising', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
        const cluster = new TestCluster();
        const { image } = cluster;
        const led = new Map<string, string>();
        for (const step of steps) {
          perform(cluster, step);
          for (const { id, partitions } of image.topics()) {
            for (const state of partitions) {
              const { leader, isr, replicas } = state;
              expect(isr.length > 0 && isr.every((member) => replicas.includes(member))).toBe(true);
              if (leader === null) continue;
              expect(image.brokers.get(leader)?.fenced).toBe(false);
              expect(isr).toContain(leader);
              // One process per leader epoch: the broker's epoch is the process.
              const key = `${id}-${state.partition}-${state.leaderEpoch}`;
              const process = `${leader}@${image.brokers.get(leader)?.brokerEpoch}`;
              expect(led.get(key) ?? process).toBe(process);
              led.set(key, process);
            }
          }
        }
      }),
      { numRuns: 200 },
    );
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
