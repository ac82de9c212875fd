import { describe, expect, test } from 'vitest';
import { ErrorCode } from '#model/errors';
import { TestCluster, testUuid } from './support.ts';

function of(replicas: readonly number[], brokerCount = 6): TestCluster {
  const cluster = TestCluster.withBrokers(brokerCount);
  cluster.createAssigned('t', [replicas]);
  return cluster;
}

function reassign(
  cluster: TestCluster,
  replicas: readonly number[] | null,
  options: { topic?: string; partition?: number; allowReplicationFactorChange?: boolean } = {},
) {
  const { topic = 't', partition = 0, allowReplicationFactorChange = true } = options;
  return cluster.run('alterPartitionReassignments', {
    allowReplicationFactorChange,
    partitions: [{ topic, partition, replicas }],
  })[0];
}

describe('a reassignment (KIP-455)', () => {
  test('adds replicas, and ends when all that stay are in sync: who goes leads no more', () => {
    const cluster = of([1, 2, 3]);
    expect(reassign(cluster, [4, 5, 3])?.errorCode).toBe(ErrorCode.None);
    expect(cluster.state('t')).toMatchObject({
      replicas: [4, 5, 3, 1, 2],
      adding: [4, 5],
      removing: [1, 2],
      isr: [1, 2, 3],
      leader: 1,
      leaderEpoch: 0,
    });
    cluster.alterIsr('t', [1, 2, 3, 4]);
    expect(cluster.state('t')).toMatchObject({ adding: [4, 5], leader: 1 });
    expect(cluster.alterIsr('t', [1, 2, 3, 4, 5]).partitions[0]?.errorCode).toBe(ErrorCode.NewLeaderElected);
    expect(cluster.state('t')).toMatchObject({
      replicas: [4, 5, 3],
      adding: [],
      removing: [],
      isr: [3, 4, 5],
      leader: 4,
      leaderEpoch: 1,
    });
    expect(cluster.state('t').directories).toHaveLength(3);
  });

  test('that only takes in-sync replicas away ends at once, in a new leader epoch', () => {
    const cluster = of([1, 2, 3]);
    reassign(cluster, [1, 2]);
    expect(cluster.state('t')).toMatchObject({
      replicas: [1, 2],
      removing: [],
      isr: [1, 2],
      leader: 1,
      leaderEpoch: 1,
    });
  });

  test('to another order changes the preferred leader only', () => {
    const cluster = of([1, 2, 3]);
    reassign(cluster, [3, 2, 1]);
    expect(cluster.state('t')).toMatchObject({
      replicas: [3, 2, 1],
      leader: 1,
      leaderEpoch: 0,
      adding: [],
      removing: [],
    });
  });

  test('again to the same target changes nothing', () => {
    const cluster = of([1, 2, 3]);
    reassign(cluster, [4, 2, 3]);
    expect(reassign(cluster, [4, 2, 3])?.errorCode).toBe(ErrorCode.None);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('is refused where nobody that would be left has what was acknowledged: only an eligible newcomer has', () => {
    const cluster = of([1, 2]).keepEligible();
    cluster.setTopicConfig('t', 'min.insync.replicas', '2');
    reassign(cluster, [1, 2, 4]);
    cluster.fence(1);
    cluster.alterIsr('t', [2, 4]);
    cluster.fence(2);
    cluster.fence(4);
    // Its disk is another: broker 4 alone has everything.
    cluster.register(2, { incarnation: testUuid(60), directories: [testUuid(61)] });
    const before = cluster.state('t');
    expect(before).toMatchObject({ replicas: [1, 2, 4], adding: [4], isr: [], elr: [4], leader: null });
    expect(reassign(cluster, [1, 2])?.errorCode).toBe(ErrorCode.InvalidReplicaAssignment);
    expect(cluster.state('t')).toEqual(before);
    cluster.unfence(4);
    expect(cluster.state('t').leader).toBe(4);
  });

  test('to a third target forgets the replicas that only the second wanted', () => {
    const cluster = of([1, 2]);
    reassign(cluster, [1, 3]);
    reassign(cluster, [1, 4]);
    expect(cluster.state('t')).toMatchObject({ replicas: [1, 4, 2], adding: [4], removing: [2] });
    cluster.alterIsr('t', [1, 2, 4]);
    expect(cluster.state('t')).toMatchObject({ replicas: [1, 4], isr: [1, 4] });
  });

  test('is taken back: newcomers go, also those in sync', () => {
    const cluster = of([1, 2]);
    reassign(cluster, [3, 4]);
    cluster.alterIsr('t', [1, 2, 3]);
    expect(reassign(cluster, null)?.errorCode).toBe(ErrorCode.None);
    expect(cluster.state('t')).toMatchObject({ replicas: [1, 2], adding: [], removing: [], isr: [1, 2], leader: 1 });
    expect(reassign(cluster, null)?.errorCode).toBe(ErrorCode.NoReassignmentInProgress);
  });

  test('is not taken back when only newcomers are in sync, unless the topic allows an unclean election', () => {
    const cluster = of([1, 2]);
    reassign(cluster, [3, 4]);
    cluster.alterIsr('t', [1, 2, 3]);
    cluster.fence(1);
    cluster.fence(2);
    expect(cluster.state('t')).toMatchObject({ isr: [3], leader: 3 });
    cluster.unfence(2);
    expect(reassign(cluster, null)?.errorCode).toBe(ErrorCode.InvalidReplicaAssignment);
    expect(reassign(cluster, [1, 2])?.errorCode).toBe(ErrorCode.InvalidReplicaAssignment);
    cluster.setTopicConfig('t', 'unclean.leader.election.enable', 'true');
    expect(reassign(cluster, null)?.errorCode).toBe(ErrorCode.None);
    expect(cluster.state('t')).toMatchObject({ replicas: [1, 2], isr: [2], leader: 2, adding: [], removing: [] });
  });

  test.each([
    ['an unknown topic', [1, 2], { topic: 'none' }, ErrorCode.UnknownTopicOrPartition],
    ['an unknown partition', [1, 2], { partition: 9 }, ErrorCode.UnknownTopicOrPartition],
    ['nobody', [], {}, ErrorCode.InvalidReplicaAssignment],
    ['an unknown broker', [1, 9], {}, ErrorCode.InvalidReplicaAssignment],
    ['a broker twice', [1, 1], {}, ErrorCode.InvalidReplicaAssignment],
    [
      'another number of replicas where that is not allowed',
      [1],
      { allowReplicationFactorChange: false },
      ErrorCode.InvalidReplicationFactor,
    ],
    ['nothing that was under way', null, {}, ErrorCode.NoReassignmentInProgress],
  ] as const)('to %s is refused', (_, replicas, options, errorCode) => {
    const cluster = of([1, 2]);
    expect(reassign(cluster, replicas, options)?.errorCode).toBe(errorCode);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('counts the replicas of the beginning, not newcomers, where their number must stay', () => {
    const cluster = of([1, 2]);
    reassign(cluster, [3, 4]);
    expect(reassign(cluster, [5, 6], { allowReplicationFactorChange: false })?.errorCode).toBe(ErrorCode.None);
  });

  test('of one partition comes once in a request', () => {
    const cluster = of([1, 2]);
    const partition = { topic: 't', partition: 0, replicas: [2, 3] };
    const results = cluster.run('alterPartitionReassignments', {
      allowReplicationFactorChange: true,
      partitions: [partition, partition],
    });
    expect(results.map(({ errorCode }) => errorCode)).toEqual([ErrorCode.None, ErrorCode.InvalidRequest]);
  });
});
