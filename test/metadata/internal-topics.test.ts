import { describe, expect, test } from 'vitest';
import { partitionName } from '#model/ids';
import { TestCluster } from './support.ts';

const OFFSETS = '__consumer_offsets';
const TRANSACTIONS = '__transaction_state';

/** One broker with an offsets topic of four partitions; two more have come since, on racks of their own. */
function grown(given: Readonly<Record<string, string>> = {}): TestCluster {
  const cluster = new TestCluster(given);
  cluster.register(1, { rack: 'a' });
  cluster.unfence(1);
  cluster.createAssigned(OFFSETS, [[1], [1], [1], [1]]);
  for (const [id, rack] of [
    [2, 'b'],
    [3, 'c'],
  ] as const) {
    cluster.register(id, { rack });
    cluster.unfence(id);
  }
  return cluster;
}

const grow = (cluster: TestCluster, movesMax = 10) => cluster.run('growInternalTopics', { movesMax }).changed;

describe('internal topics of a cluster that has grown', () => {
  test('get as many replicas as its size asks for; who leads goes on, and the others catch up', () => {
    const cluster = grown();
    expect(grow(cluster)).toBe(4);
    for (const state of cluster.topic(OFFSETS).partitions) {
      expect(state).toMatchObject({ leader: 1, isr: [1] });
      expect(state.replicas[0]).toBe(1);
      expect(state.adding.toSorted()).toEqual([2, 3]);
    }
    cluster.alterIsr(OFFSETS, [1, 2, 3]);
    expect(cluster.state(OFFSETS)).toMatchObject({ isr: [1, 2, 3], adding: [], leader: 1 });
  });

  test('are left alone once they have them', () => {
    const cluster = grown();
    grow(cluster);
    expect(grow(cluster)).toBe(0);
  });

  test('grow a few partitions at a time', () => {
    const cluster = grown();
    expect([grow(cluster, 3), grow(cluster, 3)]).toEqual([3, 0]);
    cluster.alterIsr(OFFSETS, [1, 2, 3]);
    expect(grow(cluster, 3)).toBe(1);
  });

  test('do not wait for those that go to a broker which is gone', () => {
    const cluster = grown();
    expect(grow(cluster, 3)).toBe(3);
    cluster.fence(3);
    cluster.register(4, { rack: 'd' });
    cluster.unfence(4);
    expect(cluster.run('growInternalTopics', { movesMax: 3 })).toMatchObject({ changed: 1, moving: 1 });
    expect(cluster.state(OFFSETS, 3).adding.toSorted()).toEqual([2, 4]);
    cluster.unfence(3);
    expect(cluster.run('growInternalTopics', { movesMax: 3 })).toMatchObject({ changed: 0, moving: 4 });
  });

  test('wait until as many brokers live', () => {
    const cluster = grown();
    cluster.fence(3);
    expect(grow(cluster)).toBe(0);
    cluster.unfence(3);
    expect(grow(cluster)).toBe(4);
  });

  test('keep what the configuration asks for', () => {
    expect(grow(grown({ 'offsets.topic.replication.factor': '1' }))).toBe(0);
    const two = grown({ 'offsets.topic.replication.factor': '2' });
    grow(two);
    const added = two
      .topic(OFFSETS)
      .partitions.map(({ partition, adding }) => [partitionName(OFFSETS, partition), adding]);
    expect(added.map(([, adding]) => adding?.length)).toEqual([1, 1, 1, 1]);
    expect(new Set(added.map(([, adding]) => String(adding))).size).toBe(2);
  });

  test('the one of transactions grows as that of offsets, by a factor of its own, and both share the moves', () => {
    const cluster = grown({ 'offsets.topic.replication.factor': '1' });
    cluster.createAssigned(TRANSACTIONS, [[1], [1]]);
    expect([grow(cluster, 1), grow(cluster, 1), grow(cluster, 2)]).toEqual([1, 0, 1]);
    for (const { adding } of cluster.topic(TRANSACTIONS).partitions) expect(adding.toSorted()).toEqual([2, 3]);
    const alone = grown({ 'transaction.state.log.replication.factor': '1' });
    alone.createAssigned(TRANSACTIONS, [[1]]);
    expect(grow(alone)).toBe(4);
    expect(alone.state(TRANSACTIONS).adding).toEqual([]);
  });
});
