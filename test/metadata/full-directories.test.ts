import { describe, expect, test } from 'vitest';
import type { Uuid } from '#model/ids';
import { TestCluster, testUuid } from './support.ts';

/** The only directory of a broker. */
const of = (id: number): Uuid => testUuid(100 + id);

function clusterOf(): TestCluster {
  const cluster = TestCluster.withBrokers(3);
  cluster.createAssigned('t', Array(5).fill([1, 2, 3]));
  return cluster;
}

const leave = (cluster: TestCluster, directories: readonly Uuid[], changesMax = 10) =>
  cluster.run('leaveFullDirectories', { directories, changesMax });
const leaders = (cluster: TestCluster) => cluster.topic('t').partitions.map(({ leader }) => leader);

describe('leaders in full directories', () => {
  test('make way for others in sync, a bounded number at a time, and stay in sync', () => {
    const cluster = clusterOf();
    const epoch = cluster.state('t').leaderEpoch;
    expect(leave(cluster, [of(1)], 3)).toMatchObject({ changed: 3, isPartial: true });
    expect(leave(cluster, [of(1)], 3)).toMatchObject({ changed: 2, isPartial: false });
    expect(leave(cluster, [of(1)], 3)).toMatchObject({ changed: 0, isPartial: false });
    expect(leaders(cluster)).toEqual([2, 2, 2, 2, 2]);
    expect(cluster.state('t')).toMatchObject({ isr: [1, 2, 3], leaderEpoch: epoch + 1 });
  });

  test('make way for none that is full itself, out of sync, fenced or draining', () => {
    const cluster = clusterOf();
    leave(cluster, [of(1), of(2)]);
    expect(leaders(cluster)).toEqual([3, 3, 3, 3, 3]);
    const another = clusterOf();
    another.alterIsr('t', [1, 3]);
    another.fence(3);
    leave(another, [of(1)]);
    expect(another.state('t')).toMatchObject({ leader: 1, isr: [1] });
    const draining = clusterOf();
    draining.run('drainBroker', draining.brokerCommand(2));
    leave(draining, [of(1), of(3)]);
    expect(leaders(draining)).toEqual([1, 1, 1, 1, 1]);
  });

  test('stay where every replica in sync is full', () => {
    const cluster = clusterOf();
    expect(leave(cluster, [of(1), of(2), of(3)])).toMatchObject({ changed: 0 });
    expect(leaders(cluster)).toEqual([1, 1, 1, 1, 1]);
  });

  test('are those of the directory alone, where a broker has several', () => {
    const cluster = new TestCluster();
    const [first, second] = [testUuid(50), testUuid(51)];
    cluster.register(1, { directories: [first, second] });
    cluster.register(2);
    for (const id of [1, 2]) cluster.unfence(id);
    cluster.createAssigned('t', [
      [1, 2],
      [1, 2],
    ]);
    const { topicId } = { topicId: cluster.topic('t').id };
    const replicas = [first, second].map((directory, partition) => ({ directory, topicId, partition }));
    cluster.run('assignReplicas', { ...cluster.brokerCommand(1), replicas });
    leave(cluster, [second]);
    expect(leaders(cluster)).toEqual([1, 2]);
  });

  test('do not come back to them in the balance of leaders, and do when they have room', () => {
    const cluster = clusterOf();
    leave(cluster, [of(1)]);
    const balance = (fullDirectories: readonly Uuid[]) =>
      cluster.run('balanceLeaders', { fullDirectories, changesMax: 10 }).changed;
    expect(balance([of(1)])).toBe(0);
    expect(balance([])).toBe(5);
    expect(leaders(cluster)).toEqual([1, 1, 1, 1, 1]);
  });
});

test('a full directory does not keep a partition without a leader: what is eligible leads', () => {
  const cluster = clusterOf();
  for (const id of [3, 2, 1]) cluster.fence(id);
  expect(cluster.state('t').leader).toBeNull();
  cluster.unfence(1);
  expect(cluster.state('t').leader).toBe(1);
  expect(cluster.run('balanceLeaders', { fullDirectories: [of(1)], changesMax: 10 }).changed).toBe(0);
});
