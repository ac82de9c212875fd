import { describe, expect, it } from 'vitest';
import { ElectionType } from '#metadata/elect-leaders';
import { ElectionCounts } from '#node/metrics/election-counts';
import { TestCluster } from '../metadata/support.ts';

/** t-0 on the brokers 1 and 2, both in sync; `eligible`: as KIP-966 has it, replicas that left last remain eligible. */
function clusterOf(eligible: 'not kept' | 'as bootstrapped', given: Readonly<Record<string, string>> = {}) {
  const cluster = new TestCluster(given, 1, eligible);
  for (const id of [1, 2]) {
    cluster.register(id);
    cluster.unfence(id);
  }
  cluster.createAssigned('t', [[1, 2]]);
  const unclean: string[] = [];
  const counts = new ElectionCounts((topic, partitions) => unclean.push(`${topic}: ${partitions}`));
  cluster.image.takeDelta();
  const observed = (): ElectionCounts => {
    counts.observe(cluster.image.takeDelta());
    return counts;
  };
  return { cluster, observed, unclean };
}

describe('elections of leaders', () => {
  it('among those in sync are neither unclean nor of eligible replicas', () => {
    const { cluster, observed } = clusterOf('not kept');
    cluster.fence(1);
    expect(cluster.image.partition('t', 0)?.leader).toBe(2);
    expect(observed()).toMatchObject({ unclean: 0, eligible: 0 });
  });

  it('of a replica out of sync are unclean, each counted and told once', () => {
    const { cluster, observed, unclean } = clusterOf('not kept');
    cluster.fence(2);
    observed();
    cluster.fence(1);
    expect(observed()).toMatchObject({ unclean: 0, eligible: 0 });
    cluster.unfence(2);
    cluster.run('electLeaders', { type: ElectionType.Unclean, partitions: [{ topic: 't', partition: 0 }] });
    expect(cluster.image.partition('t', 0)?.leader).toBe(2);
    expect(observed()).toMatchObject({ unclean: 1, eligible: 0 });
    expect(observed()).toMatchObject({ unclean: 1 });
    expect(unclean).toEqual(['t: 0']);
  });

  it('of a replica that has come into sync are not unclean, also where several entries are told of at once', () => {
    const { cluster, observed, unclean } = clusterOf('not kept');
    cluster.fence(2);
    observed();
    cluster.unfence(2);
    cluster.alterIsr('t', [1, 2]);
    cluster.fence(1);
    expect(cluster.image.partition('t', 0)).toMatchObject({ leader: 2, isr: [2] });
    expect(observed()).toMatchObject({ unclean: 0, eligible: 0 });
    expect(unclean).toEqual([]);
  });

  it('of a replica that had left the in-sync ones as eligible are counted as such', () => {
    const { cluster, observed } = clusterOf('as bootstrapped', { 'min.insync.replicas': '2' });
    cluster.fence(2);
    cluster.fence(1);
    observed();
    expect(cluster.image.partition('t', 0)?.elr).toContain(2);
    cluster.unfence(2);
    expect(cluster.image.partition('t', 0)?.leader).toBe(2);
    expect(observed()).toMatchObject({ unclean: 0, eligible: 1 });
  });
});
