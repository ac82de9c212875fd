import { describe, expect, test } from 'vitest';
import { ElectionType } from '#metadata/elect-leaders';
import { ErrorCode } from '#model/errors';
import { TestCluster, testUuid } from './support.ts';

const { Preferred, Unclean } = ElectionType;

function elect(cluster: TestCluster, type: number, ...names: readonly string[]) {
  const partitions = names.map((topic) => ({ topic, partition: 0 }));
  return cluster.run('electLeaders', { type, partitions: names.length === 0 ? null : partitions });
}

const codes = (result: ReturnType<typeof elect>) => result.partitions.map(({ topic, errorCode }) => [topic, errorCode]);

/** Led by 2, preferred 1, both in sync. */
function offBalance(): TestCluster {
  const cluster = TestCluster.withBrokers(2);
  cluster.createAssigned('t', [[1, 2]]);
  cluster.createAssigned('fine', [[2, 1]]);
  cluster.fence(1);
  cluster.unfence(1);
  cluster.alterIsr('t', [1, 2]);
  return cluster;
}

/** The only one in sync is gone, and another replica lives. */
function leaderless(): TestCluster {
  const cluster = TestCluster.withBrokers(2);
  cluster.createAssigned('t', [[1, 2]]);
  cluster.alterIsr('t', [1]);
  cluster.fence(1);
  return cluster;
}

describe('a preferred election (KIP-460)', () => {
  test('brings the leader back to the first replica', () => {
    const cluster = offBalance();
    expect(codes(elect(cluster, Preferred, 't', 'fine', 'none'))).toEqual([
      ['t', ErrorCode.None],
      ['fine', ErrorCode.ElectionNotNeeded],
      ['none', ErrorCode.UnknownTopicOrPartition],
    ]);
    expect(cluster.state('t')).toMatchObject({ leader: 1, isr: [1, 2], leaderEpoch: 2 });
  });

  test('of all partitions leaves out those that need none', () => {
    expect(codes(elect(offBalance(), Preferred))).toEqual([['t', ErrorCode.None]]);
  });

  test('is refused while the first replica is gone or not in sync', () => {
    const cluster = offBalance();
    cluster.alterIsr('t', [2]);
    expect(codes(elect(cluster, Preferred, 't'))).toEqual([['t', ErrorCode.PreferredLeaderNotAvailable]]);
    expect(codes(elect(leaderless(), Preferred, 't'))).toEqual([['t', ErrorCode.PreferredLeaderNotAvailable]]);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('changes a partition once in a request', () => {
    expect(codes(elect(offBalance(), Preferred, 't', 't'))).toEqual([
      ['t', ErrorCode.None],
      ['t', ErrorCode.InvalidRequest],
    ]);
  });
});

describe('an unclean election', () => {
  test('by request makes a live replica the only one in sync', () => {
    const cluster = leaderless();
    expect(cluster.state('t')).toMatchObject({ leader: null, isr: [1] });
    expect(codes(elect(cluster, Unclean, 't'))).toEqual([['t', ErrorCode.None]]);
    expect(cluster.state('t')).toMatchObject({ leader: 2, isr: [2], leaderEpoch: 2 });
    expect(codes(elect(cluster, Unclean, 't'))).toEqual([['t', ErrorCode.ElectionNotNeeded]]);
  });

  test('finds nobody when no replica lives', () => {
    const cluster = leaderless();
    cluster.fence(2);
    expect(codes(elect(cluster, Unclean, 't'))).toEqual([['t', ErrorCode.EligibleLeadersNotAvailable]]);
  });

  test('rather takes one in sync', () => {
    const cluster = leaderless();
    cluster.unfence(1);
    expect(cluster.state('t')).toMatchObject({ leader: 1, isr: [1] });
  });

  test('by the config of the topic comes with the fencing', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', [[1, 2]]);
    cluster.setTopicConfig('t', 'unclean.leader.election.enable', 'true');
    cluster.alterIsr('t', [1]);
    cluster.fence(1);
    expect(cluster.state('t')).toMatchObject({ leader: 2, isr: [2] });
  });

  test('gives a replica whose disk is gone a new directory', () => {
    const cluster = TestCluster.withBrokers(1);
    cluster.createAssigned('t', [[1]]);
    cluster.fence(1);
    cluster.register(1, { incarnation: testUuid(50), directories: [testUuid(51)] });
    cluster.unfence(1);
    expect(cluster.state('t')).toMatchObject({ leader: null, isr: [1], directories: [testUuid(101)] });
    elect(cluster, Unclean, 't');
    expect(cluster.state('t')).toMatchObject({ leader: 1, isr: [1], directories: [testUuid(51)] });
  });

  test('of an unknown type is refused', () => {
    expect(elect(leaderless(), 2, 't')).toMatchObject({ errorCode: ErrorCode.InvalidRequest, partitions: [] });
  });
});

describe('the balance of leaders', () => {
  const balance = (cluster: TestCluster, changesMax = 10) => cluster.run('balanceLeaders', { changesMax });

  test('brings leaders back, a bounded number at a time', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', Array(5).fill([1, 2]));
    cluster.fence(1);
    cluster.unfence(1);
    for (const { partition, leaderEpoch, partitionEpoch } of cluster.topic('t').partitions)
      cluster.alterIsr('t', [1, 2], { partition, leaderEpoch, partitionEpoch });
    expect(balance(cluster, 3)).toMatchObject({ changed: 3, isPartial: true });
    expect(balance(cluster, 3)).toMatchObject({ changed: 2, isPartial: false });
    expect(balance(cluster, 3)).toMatchObject({ changed: 0, isPartial: false });
    expect(cluster.topic('t').partitions.map(({ leader }) => leader)).toEqual([1, 1, 1, 1, 1]);
  });

  test('leads what a topic has come to allow an unclean election for, and nothing else', () => {
    const cluster = leaderless();
    expect(balance(cluster).changed).toBe(0);
    cluster.setTopicConfig('t', 'unclean.leader.election.enable', 'true');
    expect(balance(cluster).changed).toBe(1);
    expect(cluster.state('t').leader).toBe(2);
  });

  test('leads only what has no leader where leaders are to stay', () => {
    const cluster = leaderless();
    cluster.unfence(1);
    cluster.alterIsr('t', [1, 2]);
    cluster.createAssigned('u', [[1, 2]]);
    cluster.alterIsr('u', [1]);
    cluster.fence(1);
    cluster.setTopicConfig('u', 'unclean.leader.election.enable', 'true');
    expect([cluster.state('t').leader, cluster.state('u').leader]).toEqual([2, null]);
    expect(cluster.run('balanceLeaders', { leaderlessOnly: true, changesMax: 10 }).changed).toBe(1);
    cluster.unfence(1);
    cluster.alterIsr('t', [1, 2]);
    expect(cluster.run('balanceLeaders', { leaderlessOnly: true, changesMax: 10 }).changed).toBe(0);
    expect([cluster.state('t').leader, cluster.state('u').leader]).toEqual([2, 2]);
    expect(balance(cluster).changed).toBe(1);
  });

  test('never trades a leader that is there for an unclean one', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', [[1, 2]]);
    cluster.setTopicConfig('t', 'unclean.leader.election.enable', 'true');
    cluster.fence(1);
    cluster.unfence(1);
    expect(balance(cluster).changed).toBe(0);
    expect(cluster.state('t')).toMatchObject({ leader: 2, isr: [2] });
  });
});
