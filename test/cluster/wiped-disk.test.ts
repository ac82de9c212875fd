import { rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ClusterProcesses } from '../support/cluster-processes.ts';
import { createTopic } from '../support/fresh-client.ts';
import { sleep, until } from '../support/process.ts';
import { threeNodes } from './support.ts';

/** Longer than any election takes. */
const LONG_MS = 6_000;

function wipe(cluster: ClusterProcesses, id: number): void {
  rmSync(cluster.optionsOf(id).dataDir, { recursive: true });
}

describe('a voter whose disk was wiped', () => {
  test('heals by itself beside two healthy ones: it becomes a voter again, and then one of the others may die', async () => {
    const cluster = await threeNodes();
    await createTopic([cluster.portOf(1)], 'kept', 10_000);
    const controller = await cluster.controller();
    const [wiped = 0, other = 0] = cluster.ids.filter((id) => id !== controller);
    const lostDisk = await until('all voters', 10_000, () => cluster.votingDisk(wiped, controller));
    await cluster.kill(wiped);
    wipe(cluster, wiped);
    cluster.spawn(wiped);
    await cluster.allRegistered();
    expect((await cluster.seenAt(wiped))?.topics.has('kept')).toBe(true);
    await cluster.logged(wiped, /of which this empty disk is no voter yet/);
    await until('its new disk to vote', 20_000, async () => {
      const disk = await cluster.votingDisk(wiped, await cluster.controller());
      return disk === undefined || disk === lostDisk ? undefined : true;
    });
    // Two of three are a majority only if it counts.
    await cluster.kill(other);
    await createTopic([cluster.portOf(wiped), cluster.portOf(controller)], 'on-two', 10_000);
  });

  test('makes no leader and no empty cluster while another one is down, and says why', async () => {
    const cluster = await threeNodes();
    await createTopic([cluster.portOf(1)], 'kept', 10_000);
    const before = await cluster.seenAt(1);
    await cluster.killAll();
    wipe(cluster, 1);
    cluster.spawn(1);
    cluster.spawn(2);
    await cluster.logged(1, /voter 2 \S+ belongs to the cluster \S+, of which this empty disk is no voter yet/);
    await sleep(LONG_MS);
    for (const id of [1, 2]) {
      expect(await cluster.node(id).isReady()).toBe(false);
      expect(cluster.log(id)).not.toMatch(/"role":"leader"/);
      expect(cluster.log(id)).not.toMatch(/founds a new cluster/);
    }
    // With the third back there are two that know the cluster: it is the old one, and the wiped disk joins it.
    cluster.spawn(3);
    await cluster.allRegistered();
    const after = await cluster.seenAt(1);
    expect(after?.clusterId).toBe(before?.clusterId);
    expect(after?.topics.has('kept')).toBe(true);
  });
});
