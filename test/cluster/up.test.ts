import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePortWith } from '../support/free-port.ts';
import { clusterSeenAt, createTopic } from '../support/fresh-client.ts';
import { nodeEnvironment, publishedMain } from '../support/odradek-process.ts';
import { exited, until } from '../support/process.ts';
import { testFolder } from './support.ts';

const SOON_MS = 20_000;
/** Of three nodes, from the first one's Kafka port on; and the ten before, for the test of ports in use. */
const PORTS = [-10, -9, -8, 0, 1, 2, 10, 11, 12, 20, 21, 22];

/** `odradek up`, with what it has said so far. */
interface Up {
  readonly child: ChildProcess;
  readonly port: number;
  said(): string;
}

async function up(folder: string, ...flags: readonly string[]): Promise<Up> {
  return upAt(await freePortWith(PORTS), folder, ...flags);
}

function upAt(port: number, folder: string, ...flags: readonly string[]): Up {
  const env = { ...nodeEnvironment(), TMPDIR: folder };
  const child = spawn(process.execPath, [publishedMain, 'up', '--port', String(port), ...flags], { cwd: folder, env });
  // Its children go with it.
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  const hear = (text: string): void => {
    said += text;
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  return { child, port, said: () => said };
}

async function says({ child, said }: Up, pattern: RegExp): Promise<void> {
  await until(`${pattern} from odradek up`, SOON_MS, () => {
    if (pattern.test(said())) return true;
    if (child.exitCode !== null) throw new Error(`it has ended with ${child.exitCode}: ${said()}`);
    return undefined;
  });
}

/** A signal stops all in order, none of them by force. */
async function stops({ child, said }: Up, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  expect(await exited(child)).toBe(0);
  expect(said()).not.toMatch(/has not stopped/);
}

/** The last column of the table that it prints. */
function pidsIn(said: string): readonly number[] {
  return [...said.matchAll(/^ {2}\d+ .* (\d+)$/gm)].map(([, pid]) => Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function allGone(pids: readonly number[]): Promise<void> {
  await until('the end of all processes', SOON_MS, () => (pids.some(isAlive) ? undefined : true));
}

describe('odradek up --brokers 3', () => {
  test('says when and where all are registered, and what to do, and Ctrl-C stops all', async () => {
    const folder = testFolder();
    const cluster = await up(folder, '--brokers', '3', '--racks', 'a,b,c', '--data-dir', 'kept');
    await says(cluster, /Ctrl-C stops all/);
    const { port } = cluster;
    const said = cluster.said();
    expect(said).toMatch(/^Odradek is up: 3 brokers, all registered after \d+\.\d\d s\.$/m);
    const servers = [port, port + 10, port + 20].map((at) => `127.0.0.1:${at}`);
    expect(said).toContain(`bootstrap servers  ${servers.join(',')}\n`);
    expect(said).toMatch(
      new RegExp(`^ {2}2 +b +broker, controller +${servers[1]} +http://127\\.0\\.0\\.1:${port + 12} `, 'm'),
    );
    // The first node may hear a little later that the others are let in.
    const seen = await until('three brokers in the eyes of the first', SOON_MS, async () => {
      const found = await clusterSeenAt(port);
      return found?.brokers.length === 3 ? found : undefined;
    });
    expect(seen.brokers).toEqual([
      { id: 1, port, rack: 'a' },
      { id: 2, port: port + 10, rack: 'b' },
      { id: 3, port: port + 20, rack: 'c' },
    ]);
    const ready = await fetch(`http://127.0.0.1:${port + 22}/readyz`);
    expect(ready.status).toBe(200);
    await ready.arrayBuffer();
    for (const id of [1, 2, 3]) expect(existsSync(join(folder, `kept/node-${id}/meta.properties`))).toBe(true);
    const pids = pidsIn(said);
    expect(pids).toHaveLength(3);
    await stops(cluster, 'SIGINT');
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test('starts a killed one again, which joins, and keeps what was created meanwhile', async () => {
    const cluster = await up(testFolder(), '--brokers', '3', '--ephemeral');
    await says(cluster, /Ctrl-C stops all/);
    const [first = 0] = pidsIn(cluster.said());
    process.kill(first, 'SIGKILL');
    await says(
      cluster,
      new RegExp(`^odradek: node 1 \\(pid ${first}\\) was ended by SIGKILL; it is started again in 1 s$`, 'm'),
    );
    await createTopic([cluster.port + 10, cluster.port + 20], 'meanwhile', SOON_MS);
    await says(cluster, /^odradek: node 1 \(pid \d+\) serves again$/m);
    await until('the topic at the one that is back', SOON_MS, async () =>
      (await clusterSeenAt(cluster.port))?.topics.has('meanwhile') ? true : undefined,
    );
    await stops(cluster, 'SIGTERM');
  });

  test('leaves no process behind when it is killed itself', async () => {
    const cluster = await up(testFolder(), '--brokers', '3', '--ephemeral');
    await says(cluster, /Ctrl-C stops all/);
    const pids = pidsIn(cluster.said());
    expect(pids.filter(isAlive)).toHaveLength(3);
    cluster.child.kill('SIGKILL');
    await allGone(pids);
  });

  test('stops at a second signal at once, also while a process stands still', async () => {
    const cluster = await up(testFolder(), '--brokers', '3', '--ephemeral');
    await says(cluster, /Ctrl-C stops all/);
    const pids = pidsIn(cluster.said());
    process.kill(pids[0] ?? 0, 'SIGSTOP');
    cluster.child.kill('SIGINT');
    await until('the stop of the others', SOON_MS, () => (pids.filter(isAlive).length === 1 ? true : undefined));
    cluster.child.kill('SIGINT');
    expect(await exited(cluster.child)).toBe(130);
    await allGone(pids);
  });

  test('gives up with exit code 1 where its ports are in use, and makes nothing', async () => {
    const cluster = await up(testFolder(), '--brokers', '3', '--ephemeral');
    await says(cluster, /Ctrl-C stops all/);
    const folder = testFolder();
    const args = [publishedMain, 'up', '--brokers', '3', '--port', String(cluster.port - 10), '--data-dir', 'other'];
    const second = spawn(process.execPath, args, { cwd: folder, env: nodeEnvironment() });
    let said = '';
    second.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    expect(await exited(second)).toBe(1);
    expect(said).toMatch(
      /^odradek: node 2 cannot listen on 127\.0\.0\.1:\d+: the address is in use; is one up already\? --port takes another\n$/,
    );
    expect(existsSync(join(folder, 'other'))).toBe(false);
    expect((await clusterSeenAt(cluster.port))?.brokers).toHaveLength(3);
  });

  test('runs again what it has kept, and refuses a folder of another shape', async () => {
    const folder = testFolder();
    const first = await up(folder, '--brokers', '3', '--data-dir', 'kept');
    await says(first, /Ctrl-C stops all/);
    await createTopic([first.port], 'kept', SOON_MS);
    await stops(first, 'SIGINT');

    const fewer = await up(folder, '--brokers', '2', '--data-dir', 'kept');
    expect(await exited(fewer.child)).toBe(2);
    expect(fewer.said()).toBe('odradek: kept holds a cluster of 3 nodes: --brokers takes no fewer there than 3\n');
    const single = await up(folder, '--data-dir', 'kept');
    expect(await exited(single.child)).toBe(2);
    expect(single.said()).toBe(
      'odradek: kept holds a cluster of 3 nodes: odradek up --brokers 3 runs it, and --data-dir takes another folder\n',
    );
    const inside = await up(folder, '--brokers', '3', '--data-dir', 'kept/node-1');
    expect(await exited(inside.child)).toBe(2);
    expect(inside.said()).toBe(
      'odradek: kept/node-1 holds a single node: --brokers 1 runs it, or --data-dir another cluster\n',
    );

    // On the ports of the first life, which its voters remember.
    const again = upAt(first.port, folder, '--brokers', '3', '--data-dir', 'kept');
    await says(again, /Ctrl-C stops all/);
    expect((await clusterSeenAt(first.port))?.topics.has('kept')).toBe(true);
    await stops(again, 'SIGINT');
  });
});
