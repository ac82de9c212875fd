import { describe, expect, test } from 'vitest';
import { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { contents, TestCluster, testUuid } from './support.ts';

const drain = (cluster: TestCluster, id: number) => cluster.run('drainBroker', cluster.brokerCommand(id));

describe('fencing of several brokers at once', () => {
  test('elects nobody who is fenced by the same entry', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.createAssigned('t', [[1, 2, 3]]);
    const brokers = [cluster.brokerCommand(1), cluster.brokerCommand(2)];
    expect(cluster.run('fenceBrokers', { brokers }).map(({ errorCode }) => errorCode)).toEqual([0, 0]);
    expect(cluster.lastRecords.map(({ kind }) => kind)).toEqual(['fenceBroker', 'fenceBroker', 'partitionChange']);
    expect(cluster.state('t')).toMatchObject({ leader: 3, isr: [3], leaderEpoch: 1 });
  });

  test('keeps all of an ISR that has gone at once: whoever comes first leads, with those in sync that live', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.createAssigned('t', [[1, 2, 3]]);
    cluster.run('fenceBrokers', { brokers: [1, 2, 3].map((id) => cluster.brokerCommand(id)) });
    expect(cluster.state('t')).toMatchObject({ leader: null, isr: [1, 2, 3], leaderEpoch: 1 });
    cluster.unfence(2);
    expect(cluster.state('t')).toMatchObject({ leader: 2, isr: [2], leaderEpoch: 2 });
  });

  test('answers each by itself', () => {
    const cluster = TestCluster.withBrokers(2);
    const stale = { ...cluster.brokerCommand(2), brokerEpoch: 0 };
    const brokers = [cluster.brokerCommand(1), stale, { id: nodeId(9), brokerEpoch: 1 }, cluster.brokerCommand(1)];
    expect(cluster.run('fenceBrokers', { brokers }).map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.None,
      ErrorCode.StaleBrokerEpoch,
      ErrorCode.BrokerIdNotRegistered,
      ErrorCode.None,
    ]);
    expect(cluster.lastRecords).toEqual([{ kind: 'fenceBroker', ...cluster.brokerCommand(1) }]);
  });
});

test('PLANTED BUG accept-stale-broker-epoch lets an earlier process speak, and the record shows it', () => {
  const cluster = TestCluster.withBrokers(1);
  cluster.planted = new Set(['accept-stale-broker-epoch']);
  const stale = { id: nodeId(1), brokerEpoch: 0 };
  expect(cluster.run('fenceBroker', stale).errorCode).toBe(ErrorCode.None);
  expect(cluster.lastRecords).toEqual([{ kind: 'fenceBroker', ...stale }]);
});

describe('UnregisterBroker', () => {
  test('forgets a broker, which leads nothing any more; its replicas stay assigned', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', [[1, 2]]);
    cluster.createAssigned('single', [[1]]);
    expect(cluster.run('unregisterBroker', { id: nodeId(1) }).errorCode).toBe(ErrorCode.None);
    expect(cluster.image.brokers.has(nodeId(1))).toBe(false);
    expect(cluster.state('t')).toMatchObject({ replicas: [1, 2], leader: 2, isr: [2] });
    expect(cluster.state('single')).toMatchObject({ replicas: [1], leader: null, isr: [1], leaderEpoch: 1 });
    cluster.register(1, { incarnation: testUuid(50) });
    cluster.unfence(1);
    expect(cluster.state('single')).toMatchObject({ leader: 1, leaderEpoch: 2 });
  });

  test('of an unknown broker is refused', () => {
    const cluster = new TestCluster();
    expect(cluster.run('unregisterBroker', { id: nodeId(1) }).errorCode).toBe(ErrorCode.BrokerIdNotRegistered);
  });
});

describe('a controlled shutdown', () => {
  test('hands leaderships to others in sync, leaves their ISRs, and says what it leads still', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.createAssigned('t', [
      [1, 2],
      [2, 1],
      [1, 3],
    ]);
    cluster.createAssigned('single', [[1]]);
    expect(drain(cluster, 1)).toMatchObject({ errorCode: ErrorCode.None, leaderCount: 1 });
    expect(cluster.topic('t').partitions).toMatchObject([
      { leader: 2, isr: [2], leaderEpoch: 1 },
      { leader: 2, isr: [2], leaderEpoch: 0 },
      { leader: 3, isr: [3], leaderEpoch: 1 },
    ]);
    expect(cluster.state('single')).toMatchObject({ leader: 1, isr: [1], leaderEpoch: 0 });
    expect(cluster.image.brokers.get(nodeId(1))).toMatchObject({ fenced: false, draining: true });
    cluster.fence(1);
    expect(cluster.state('single')).toMatchObject({ leader: null, isr: [1], leaderEpoch: 1 });
  });

  test('again tries what was left', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', [[1, 2]]);
    cluster.fence(2);
    expect(drain(cluster, 1).leaderCount).toBe(1);
    expect(drain(cluster, 1).leaderCount).toBe(1);
    expect(cluster.lastRecords).toEqual([]);
    cluster.register(2, { incarnation: testUuid(50) });
    cluster.unfence(2);
    // The leader, which drains, still takes others back into its ISR, and hands over to them at once.
    expect(cluster.alterIsr('t', [1, 2])).toMatchObject({ partitions: [{ errorCode: ErrorCode.NewLeaderElected }] });
    expect(cluster.state('t')).toMatchObject({ leader: 2, isr: [1, 2] });
    expect(drain(cluster, 1).leaderCount).toBe(0);
    expect(cluster.state('t').isr).toEqual([2]);
  });

  test('gets nothing new to lead, until the next registration or until it is unfenced', () => {
    const cluster = TestCluster.withBrokers(2);
    drain(cluster, 1);
    cluster.create('t', { partitions: 6, factor: 2 });
    expect(cluster.topic('t').partitions.map(({ leader, isr }) => [leader, isr])).toEqual(Array(6).fill([2, [2]]));
    cluster.register(1, { incarnation: testUuid(50) });
    expect(cluster.image.brokers.get(nodeId(1))).toMatchObject({ fenced: true, draining: false });
    drain(cluster, 2);
    cluster.fence(2);
    cluster.unfence(2);
    expect(cluster.image.brokers.get(nodeId(2))).toMatchObject({ fenced: false, draining: false });
  });

  test('cannot be joined to an ISR, and does not lead by any election', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', [[1, 2]]);
    drain(cluster, 1);
    expect(cluster.alterIsr('t', [2, 1])).toMatchObject({ partitions: [{ errorCode: ErrorCode.IneligibleReplica }] });
    expect(cluster.run('balanceLeaders', { changesMax: 9 }).changed).toBe(0);
    const [elected] = cluster.run('electLeaders', { type: 0, partitions: [{ topic: 't', partition: 0 }] }).partitions;
    expect(elected?.errorCode).toBe(ErrorCode.PreferredLeaderNotAvailable);
  });

  test('is in a snapshot', () => {
    const cluster = TestCluster.withBrokers(2);
    drain(cluster, 1);
    const copy = new MetadataImage();
    for (const record of cluster.image.snapshot()) copy.replay(record, cluster.image.index);
    expect(contents(copy)).toEqual(contents(cluster.image));
  });

  test('of an earlier process is refused', () => {
    const cluster = TestCluster.withBrokers(1);
    expect(cluster.run('drainBroker', { id: nodeId(1), brokerEpoch: 0 })).toMatchObject({
      errorCode: ErrorCode.StaleBrokerEpoch,
      leaderCount: 0,
    });
  });
});

describe('a failed log directory (KIP-858)', () => {
  function withTwoDirectories(): TestCluster {
    const cluster = TestCluster.withBrokers(2);
    cluster.fence(1);
    cluster.register(1, { incarnation: testUuid(50), directories: [testUuid(101), testUuid(51)] });
    cluster.unfence(1);
    cluster.createAssigned('t', [
      [1, 2],
      [1, 2],
    ]);
    cluster.createAssigned('single', [[1]]);
    const inDirectory = (topic: string, partition: number, directory: number) => {
      return { topicId: cluster.topic(topic).id, partition, directory: testUuid(directory) };
    };
    const replicas = [inDirectory('t', 0, 101), inDirectory('t', 1, 51), inDirectory('single', 0, 101)];
    cluster.run('assignReplicas', { ...cluster.brokerCommand(1), replicas });
    return cluster;
  }

  test('takes its replicas out of their ISRs and leaderships, and no others', () => {
    const cluster = withTwoDirectories();
    const directories = [testUuid(101), testUuid(99)];
    expect(cluster.run('failDirectories', { ...cluster.brokerCommand(1), directories }).errorCode).toBe(ErrorCode.None);
    expect(cluster.topic('t').partitions).toMatchObject([
      { leader: 2, isr: [2] },
      { leader: 1, isr: [1, 2] },
    ]);
    expect(cluster.state('single')).toMatchObject({ leader: null, isr: [1] });
    expect(cluster.image.brokers.get(nodeId(1))?.directories).toEqual([testUuid(51)]);
    cluster.run('failDirectories', { ...cluster.brokerCommand(1), directories });
    expect(cluster.lastRecords).toEqual([]);
  });

  test('comes back with the next process, and leads again what only it has', () => {
    const cluster = withTwoDirectories();
    cluster.run('failDirectories', { ...cluster.brokerCommand(1), directories: [testUuid(101)] });
    cluster.register(1, { incarnation: testUuid(60), directories: [testUuid(51), testUuid(101)] });
    cluster.unfence(1);
    expect(cluster.state('single')).toMatchObject({ leader: 1, isr: [1] });
  });
});
