import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ClusterProcesses } from '../support/cluster-processes.ts';
import { freePort } from '../support/free-port.ts';
import { freeAddress, type NodeOptions, OdradekProcess } from '../support/odradek-process.ts';
import { sleep, until } from '../support/process.ts';
import { prepared, testFolder, threeNodes } from './support.ts';

const SOON_MS = 10_000;
/** Time enough for a node that is let in by mistake to be seen. */
const WATCH_MS = 2_000;

type Settings = Readonly<Record<string, string>>;

const votersOf = (cluster: ClusterProcesses): string => cluster.optionsOf(1).settings['controller.quorum.voters'] ?? '';

/** A node beside a cluster, on addresses of its own. */
async function another(dataDir: string, settings: Settings): Promise<OdradekProcess> {
  const options: NodeOptions = { ...(await freeAddress()), dataDir, settings };
  const node = OdradekProcess.spawn(options);
  onTestFinished(() => node.kill());
  return node;
}

async function says(node: OdradekProcess, pattern: RegExp): Promise<void> {
  await until(`${pattern} from a node that says\n${node.log}`, SOON_MS, () =>
    pattern.test(node.log) ? true : undefined,
  );
}

describe('a node that does not belong', () => {
  test('of another cluster, with the same id and address, is turned away by both sides, and the cluster is as it was', async () => {
    const folder = testFolder();
    const cluster = await threeNodes({ folder });
    await cluster.killAll();
    // The same nodes on the same addresses found a second cluster on empty disks.
    const first = join(folder, 'of-the-first');
    cpSync(cluster.optionsOf(3).dataDir, first, { recursive: true });
    for (const id of cluster.ids) rmSync(cluster.optionsOf(id).dataDir, { recursive: true });
    for (const id of cluster.ids) cluster.spawn(id);
    await cluster.allRegistered();
    await cluster.kill(3);
    rmSync(cluster.optionsOf(3).dataDir, { recursive: true });
    cpSync(first, cluster.optionsOf(3).dataDir, { recursive: true });
    cluster.spawn(3);
    const sentence =
      /node \d at \S+ belongs to cluster \S+, and node \d at \S+ to cluster \S+: check their data directories/;
    await cluster.logged(3, sentence);
    await cluster.logged(await cluster.controllerSeenAt(1), sentence);
    await sleep(WATCH_MS);
    expect(await cluster.node(3).isReady()).toBe(false);
    expect((await cluster.seenAt(1))?.brokers.map(({ id }) => id)).toEqual([1, 2]);
  });

  test('with the id of another one is turned away, and that one stays', async () => {
    const folder = testFolder();
    const cluster = await threeNodes({ folder });
    const peerPort = await freePort();
    const twin = await another(join(folder, 'twin'), {
      'node.id': '2',
      'peer.listener': `127.0.0.1:${peerPort}`,
      'controller.quorum.voters': votersOf(cluster).replace(/2@127\.0\.0\.1:\d+/, `2@127.0.0.1:${peerPort}`),
    });
    await says(
      twin,
      /node id 2 is in use by the node at \S+, whose data directory is another one .*: give each node an id/,
    );
    await sleep(WATCH_MS);
    expect(await twin.isReady()).toBe(false);
    expect((await cluster.seenAt(1))?.brokers.find(({ id }) => id === 2)?.port).toBe(cluster.portOf(2));
  });

  test('as a broker with the id of another broker is turned away, and that one stays', async () => {
    const folder = testFolder();
    const cluster = await threeNodes({ folder, brokers: 4, voters: 3 });
    const twin = await another(join(folder, 'twin'), {
      'node.id': '4',
      'process.roles': 'broker',
      'controller.quorum.voters': votersOf(cluster),
    });
    await says(twin, /node id 4 is in use by the node at/);
    await sleep(WATCH_MS);
    expect(await twin.isReady()).toBe(false);
    expect((await cluster.seenAt(1))?.brokers.find(({ id }) => id === 4)?.port).toBe(cluster.portOf(4));
  });

  test('with another list of voters founds no cluster, nor do the others, and each says which list it was given', async () => {
    const cluster = await prepared();
    const voters = votersOf(cluster);
    const strange = voters.replace(/3@127\.0\.0\.1:\d+/, `3@127.0.0.1:${await freePort()}`);
    cluster.spawn(1);
    cluster.spawn(2, { 'controller.quorum.voters': strange });
    cluster.spawn(3);
    await cluster.logged(
      1,
      new RegExp(`voter 2 \\S+ was given the voters ${strange}, this node ${voters}: no cluster`),
    );
    await cluster.logged(2, new RegExp(`was given the voters ${voters}, this node ${strange}: no cluster`));
    await sleep(WATCH_MS);
    for (const id of cluster.ids) expect(await cluster.node(id).isReady()).toBe(false);
    // With the list put right they are a cluster at once: nothing was written that stands in its way.
    await cluster.kill(2);
    cluster.spawn(2);
    await cluster.allRegistered();
  });

  test("refuses another node's data directory, whether that node runs or not, and the directory stays its own", async () => {
    const cluster = await threeNodes();
    const { dataDir } = cluster.optionsOf(1);
    const settings = { 'node.id': '4', 'process.roles': 'broker', 'controller.quorum.voters': votersOf(cluster) };
    const beside = await another(dataDir, settings);
    expect(await beside.ended).toBe(1);
    expect(beside.log).toMatch(/^odradek: the data directory \S+node-1 is in use by another process\n$/);
    expect(await cluster.stop(1)).toBe(0);
    const instead = await another(dataDir, settings);
    expect(await instead.ended).toBe(1);
    expect(instead.log).toMatch(/node-1 belongs to node 1, not 4/);
    cluster.spawn(1);
    await cluster.allRegistered();
  });

  test('that has founded a cluster alone says that a longer list of voters changes nothing, and serves', async () => {
    const cluster = await prepared();
    const { dataDir } = cluster.optionsOf(1);
    const alone = await another(dataDir, { 'node.id': '1' });
    await until('the node serves alone', SOON_MS, async () => ((await alone.isReady()) ? true : undefined));
    await alone.kill();
    cluster.spawn(1);
    await cluster.logged(1, /controller.quorum.voters names nodes that are no voters/);
    await until('it serves again', SOON_MS, async () => ((await cluster.node(1).isReady()) ? true : undefined));
  });
});
