import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { placeReplicas } from '#metadata/placement';
import type { RegisteredBroker } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { nodeId, type Uuid } from '#model/ids';
import { countingRandom, TestCluster, testUuid } from './support.ts';

describe('bootstrap', () => {
  test('makes the cluster id, the voters, and the features of this version', () => {
    const { image } = new TestCluster({}, 3, 'as bootstrapped');
    expect(image.cluster).toMatchObject({ targetSize: 3, voters: [{ id: 1, host: 'localhost', port: 9093 }] });
    expect([...image.features.values()].map(({ name, level }) => [name, level])).toEqual([
      ['eligible.leader.replicas.version', 1],
      ['group.version', 1],
      ['kraft.version', 1],
      ['metadata.version', 30],
      ['transaction.version', 2],
    ]);
    expect(image.featuresEpoch).toBe(1);
  });

  test('happens once', () => {
    const cluster = new TestCluster();
    cluster.run('bootstrap', { voters: [], targetSize: 9 });
    expect(cluster.lastRecords).toEqual([]);
  });
});

describe('registration', () => {
  test('registers a broker fenced; unfenced it leads what it can', () => {
    const cluster = new TestCluster();
    expect(cluster.register(1).errorCode).toBe(ErrorCode.None);
    expect(cluster.image.brokers.get(nodeId(1))?.fenced).toBe(true);
    cluster.unfence(1);
    expect(cluster.image.brokers.get(nodeId(1))?.fenced).toBe(false);
  });

  test('again with the same incarnation changes nothing', () => {
    const cluster = TestCluster.withBrokers(1);
    expect(cluster.register(1).errorCode).toBe(ErrorCode.None);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('of a new incarnation with the same directory replaces the old one in one batch that raises the epoch of all it led, also at replication factor 1', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.create('t', { partitions: 2 });
    cluster.register(1, { incarnation: testUuid(50) });
    expect(cluster.lastRecords.map(({ kind }) => kind)).toEqual([
      'fenceBroker',
      'partitionChange',
      'partitionChange',
      'registerBroker',
    ]);
    expect(cluster.image.topic('t')?.partitions).toMatchObject([
      { leader: null, isr: [1], leaderEpoch: 1 },
      { leader: null, isr: [1], leaderEpoch: 1 },
    ]);
    cluster.unfence(1);
    expect(cluster.image.topic('t')?.partitions).toMatchObject([
      { leader: 1, isr: [1], leaderEpoch: 2 },
      { leader: 1, isr: [1], leaderEpoch: 2 },
    ]);
  });

  test('that is overtaken by that of a later process is refused', () => {
    const cluster = TestCluster.withBrokers(1);
    const seen = { replaces: cluster.brokerCommand(1).brokerEpoch };
    expect(cluster.register(1, { ...seen, incarnation: testUuid(51) }).errorCode).toBe(ErrorCode.None);
    expect(cluster.register(1, { ...seen, incarnation: testUuid(50) }).errorCode).toBe(ErrorCode.StaleBrokerEpoch);
    expect(cluster.register(1, { ...seen, incarnation: testUuid(51) }).errorCode).toBe(ErrorCode.None);
    expect(cluster.lastRecords).toEqual([]);
    expect(cluster.register(2, { replaces: -1 }).errorCode).toBe(ErrorCode.None);
    expect(cluster.register(3, { replaces: 5 }).errorCode).toBe(ErrorCode.StaleBrokerEpoch);
  });

  test('of a new incarnation hands leadership to an in-sync replica that lives', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.createAssigned('t', [[1, 2, 3]]);
    cluster.fence(2);
    cluster.register(1, { incarnation: testUuid(50) });
    expect(cluster.image.partition('t', 0)).toMatchObject({ leader: 3, isr: [3] });
  });

  test('with other directories waits until the old one is fenced, and then leads nothing of it', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.create('t');
    const other = { incarnation: testUuid(50), directories: [testUuid(51)] };
    expect(cluster.register(1, other).errorCode).toBe(ErrorCode.DuplicateBrokerRegistration);
    cluster.fence(1);
    expect(cluster.register(1, other).errorCode).toBe(ErrorCode.None);
    cluster.unfence(1);
    expect(cluster.image.partition('t', 0)).toMatchObject({ leader: null, isr: [1] });
  });

  test('is refused with a directory of another broker, without one, or with one twice', () => {
    const cluster = TestCluster.withBrokers(1);
    const register = (directories: readonly Uuid[]) => cluster.register(2, { directories }).errorCode;
    expect(register([testUuid(101)])).toBe(ErrorCode.InvalidRegistration);
    expect(register([])).toBe(ErrorCode.InvalidRequest);
    expect(register([testUuid(5), testUuid(5)])).toBe(ErrorCode.InvalidRequest);
  });

  test('is refused for another cluster, a missing feature, or a text too long to store', () => {
    const cluster = new TestCluster();
    const clusterId = cluster.image.cluster?.id ?? testUuid(0);
    const broker = {
      id: nodeId(1),
      incarnation: testUuid(1),
      rack: null,
      listeners: [],
      directories: [testUuid(2)],
      features: [],
    };
    const all = [
      { name: 'metadata.version', min: 1, max: 99 },
      { name: 'kraft.version', min: 1, max: 1 },
      { name: 'group.version', min: 0, max: 1 },
    ];
    expect(cluster.run('registerBroker', { clusterId: testUuid(9), broker }).errorCode).toBe(
      ErrorCode.InconsistentClusterId,
    );
    expect(cluster.run('registerBroker', { clusterId, broker })).toMatchObject({
      errorCode: ErrorCode.UnsupportedVersion,
      message: expect.stringContaining('finalized version 1 of feature group.version'),
    });
    const rack = 'r'.repeat(40_000);
    expect(cluster.run('registerBroker', { clusterId, broker: { ...broker, features: all, rack } }).errorCode).toBe(
      ErrorCode.InvalidRequest,
    );
  });
});

describe('fencing', () => {
  test('moves every leadership and shrinks every ISR in one batch; the last in-sync replica stays', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.createAssigned('t', [
      [1, 2],
      [2, 1],
      [2, 3],
    ]);
    cluster.createAssigned('single', [[1]]);
    cluster.fence(1);
    expect(cluster.image.topic('t')?.partitions).toMatchObject([
      { leader: 2, isr: [2], leaderEpoch: 1, partitionEpoch: 1 },
      { leader: 2, isr: [2], leaderEpoch: 0, partitionEpoch: 1 },
      { leader: 2, isr: [2, 3], leaderEpoch: 0, partitionEpoch: 0 },
    ]);
    expect(cluster.image.partition('single', 0)).toMatchObject({
      leader: null,
      isr: [1],
      leaderEpoch: 1,
      partitionEpoch: 1,
    });
  });

  test('speaks for one registration: an earlier process is refused, as is one that never registered', () => {
    const cluster = TestCluster.withBrokers(1);
    const { id, brokerEpoch } = cluster.brokerCommand(1);
    for (const operation of ['fenceBroker', 'unfenceBroker', 'allocateProducerIds'] as const) {
      expect(cluster.run(operation, { id, brokerEpoch: brokerEpoch - 1 }).errorCode).toBe(ErrorCode.StaleBrokerEpoch);
      expect(cluster.run(operation, { id: nodeId(9), brokerEpoch }).errorCode).toBe(ErrorCode.BrokerIdNotRegistered);
      expect(cluster.lastRecords).toEqual([]);
    }
  });

  test('of a broker that leads nothing and is alone in sync changes no partition', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.create('t');
    cluster.fence(1);
    cluster.register(1, { incarnation: testUuid(50), directories: [testUuid(51)] });
    cluster.unfence(1);
    cluster.fence(1);
    expect(cluster.lastRecords.map(({ kind }) => kind)).toEqual(['fenceBroker']);
  });

  test('twice changes nothing', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.unfence(1);
    expect(cluster.lastRecords).toEqual([]);
    cluster.fence(1);
    cluster.fence(1);
    expect(cluster.lastRecords).toEqual([]);
  });
});

describe('producer ids', () => {
  test('are given in blocks that never overlap', () => {
    const cluster = TestCluster.withBrokers(2);
    const blocks = [1, 2, 1].map((id) => cluster.run('allocateProducerIds', cluster.brokerCommand(id)));
    expect(blocks.map(({ first, count }) => [first, count])).toEqual([
      [0, 1000],
      [1000, 1000],
      [2000, 1000],
    ]);
  });
});

describe('placement', () => {
  const brokers = (racks: readonly (string | null)[]): readonly RegisteredBroker[] =>
    racks.map((rack, index) => ({
      id: nodeId(index + 1),
      incarnation: testUuid(index),
      brokerEpoch: 1,
      fenced: false,
      draining: false,
      rack,
      listeners: [],
      directories: [testUuid(index)],
      features: [],
    }));

  const anyRacks = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 9 });

  test('gives distinct brokers, spread over min(RF, racks) racks (reliability I10)', () => {
    fc.assert(
      fc.property(anyRacks, fc.nat(20), fc.nat(), (racks, partitionCount, choice) => {
        const replicationFactor = 1 + (choice % racks.length);
        const placed = placeReplicas({ brokers: brokers(racks), partitionCount, replicationFactor }, countingRandom());
        if ('errorCode' in placed) throw new Error(placed.message);
        expect(placed).toHaveLength(partitionCount);
        for (const replicas of placed) {
          expect(new Set(replicas).size).toBe(replicationFactor);
          const spread = new Set(replicas.map((id) => racks[id - 1])).size;
          expect(spread).toBe(Math.min(replicationFactor, new Set(racks).size));
        }
      }),
    );
  });

  test('gives every broker as many leaders as any other, but for one', () => {
    fc.assert(
      fc.property(anyRacks, fc.nat(40), (racks, partitionCount) => {
        const placed = placeReplicas(
          { brokers: brokers(racks), partitionCount, replicationFactor: 1 },
          countingRandom(),
        );
        if ('errorCode' in placed) throw new Error(placed.message);
        const leaders = racks.map((_, index) => placed.filter(([leader]) => leader === index + 1).length);
        expect(Math.max(...leaders) - Math.min(...leaders)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('gives nothing when every broker is fenced or drains', () => {
    const [first, second] = brokers([null, null]);
    if (first === undefined || second === undefined) throw new Error('brokers');
    const refused = placeReplicas(
      {
        brokers: [
          { ...first, fenced: true },
          { ...second, draining: true },
        ],
        partitionCount: 1,
        replicationFactor: 1,
      },
      countingRandom(),
    );
    expect(refused).toMatchObject({
      errorCode: ErrorCode.InvalidReplicationFactor,
      message: expect.stringContaining('fenced or in controlled shutdown'),
    });
  });

  test('gives the followers of a leader to all other brokers in turn', () => {
    const placed = placeReplicas(
      { brokers: brokers([null, null, null, null]), partitionCount: 12, replicationFactor: 2 },
      countingRandom(),
    );
    if ('errorCode' in placed) throw new Error(placed.message);
    const followers = placed.filter(([leader]) => leader === 1).map(([, follower]) => follower);
    expect(new Set(followers)).toEqual(new Set([2, 3, 4]));
  });

  test.each(['fenced', 'draining'] as const)('never leads with a %s broker, but may follow with it', (state) => {
    const [first, ...rest] = brokers(['a', 'b', 'c']);
    if (first === undefined) throw new Error('brokers');
    const placed = placeReplicas(
      { brokers: [{ ...first, [state]: true }, ...rest], partitionCount: 6, replicationFactor: 3 },
      countingRandom(),
    );
    if ('errorCode' in placed) throw new Error(placed.message);
    expect(placed.every(([leader]) => leader !== 1)).toBe(true);
    expect(placed.every((replicas) => replicas.includes(nodeId(1)))).toBe(true);
  });
});
