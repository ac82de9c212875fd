import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Fault } from '#chaos/fault';
import { ChaosCluster } from '#cli/chaos-cluster';
import { hold, isHeld, writeClusterFile } from '#cli/cluster-file';
import { planCluster } from '#cli/cluster-plan';
import { DirectoryLock } from '#platform/directory-lock';
import { freePortWith } from '../support/free-port.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const kill: Fault = { kind: 'kill', node: { kind: 'node', id: 2 } };
const full: Fault = { kind: 'disk-full', node: { kind: 'node', id: 2 } };
const rack: Fault = { kind: 'lose-rack', rack: 'z', how: 'kill' };

describe('the cluster that odradek chaos has hold of', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let lock: DirectoryLock;

  beforeEach(async () => {
    folder = temporaryFolder('chaos');
    lock = await DirectoryLock.take(folder.path);
  });
  afterEach(async () => {
    await lock.release();
    folder[Symbol.dispose]();
  });

  /** Of which nothing runs but `up`, which this process stands for. */
  async function cluster(token: string | undefined): Promise<ChaosCluster> {
    const shape = { brokers: 3, racks: ['a', 'b', 'c'], port: 9092, chaos: token !== undefined };
    const nodes = planCluster({ ...shape, dataDir: folder.path });
    for (const { dataDir } of nodes) mkdirSync(dataDir, { recursive: true });
    writeClusterFile(folder.path, { nodes, token });
    return await ChaosCluster.in(folder.path);
  }

  test('is none in a folder where none is, or none runs any more', async () => {
    const sentence = /^no cluster of several brokers runs in .*: `odradek up --chaos` starts one, --data-dir says/;
    await expect(ChaosCluster.in(join(folder.path, 'nowhere'))).rejects.toThrow(sentence);
    await expect(ChaosCluster.in(folder.path)).rejects.toThrow(sentence);
    await cluster('token');
    await lock.release();
    await expect(ChaosCluster.in(folder.path)).rejects.toMatchObject({ name: 'Unreachable' });
    lock = await DirectoryLock.take(folder.path);
  });

  test('without --chaos is killed, paused and healed, and the rest says how to get it', async () => {
    const plain = await cluster(undefined);
    plain.check([kill, { ...kill, kind: 'pause' }]);
    expect(() => plain.check([kill, full, { ...full, kind: 'delay', ms: 5 }, full])).toThrow(
      'disk-full, delay: the cluster was started without --chaos, and only kill, pause and heal work then; start it with `odradek up --chaos`',
    );
    (await cluster('token')).check([kill, full]);
  });

  test('has no nodes and racks but its own', async () => {
    const { check } = ChaosCluster.prototype;
    const known = await cluster('token');
    const stranger: Fault = { kind: 'kill', node: { kind: 'node', id: 4 } };
    expect(() => check.call(known, [kill, stranger])).toThrow('there is no node 4: there are 1, 2, 3');
    expect(() => check.call(known, [rack])).toThrow('there is no rack z: there are a, b, c');
    await expect(known.heal(9)).rejects.toThrow('there is no node 9: there are 1, 2, 3');
  });

  test('is told where a node that is meant does not run', async () => {
    const dead = await cluster('token');
    for (const fault of [kill, full]) {
      await expect(dead.inject(fault, undefined)).rejects.toThrow(
        'node 2 does not run: `odradek chaos heal 2` brings it back',
      );
    }
    expect(isHeld(folder.path, 2)).toBe(false);
  });

  /** Nodes that this process stands for: what each was asked, and what it says of orders. */
  async function nodes(
    says: (id: number) => number,
  ): Promise<{ cluster: ChaosCluster; asked: string[] } & AsyncDisposable> {
    const port = await freePortWith([0, 2, 12, 22]);
    const plans = planCluster({ brokers: 3, racks: [], port, chaos: true, dataDir: folder.path });
    const asked: string[] = [];
    const held: AsyncDisposable[] = [];
    for (const { id, dataDir, httpPort } of plans) {
      mkdirSync(dataDir, { recursive: true });
      const own = await DirectoryLock.take(dataDir);
      const server = createServer(async (request, response) => {
        const body = await text(request);
        const isOrder = request.url === '/chaos';
        if (isOrder) asked.push(`${id} ${request.method} ${body}`.trim());
        response.writeHead(isOrder ? says(id) : 200).end('as it says');
      });
      await new Promise<void>((resolve) => server.listen(httpPort, '127.0.0.1', resolve));
      held.push({
        [Symbol.asyncDispose]: async () => {
          server.closeAllConnections();
          server.close();
          await own.release();
        },
      });
    }
    writeClusterFile(folder.path, { nodes: plans, token: 'token' });
    const disposed = async (): Promise<void> => {
      for (const one of held) await one[Symbol.asyncDispose]();
    };
    return { cluster: await ChaosCluster.in(folder.path), asked, [Symbol.asyncDispose]: disposed };
  }

  test('heals a node with all that others have against it, and lets it start again', async () => {
    await using stage = await nodes(() => 200);
    hold(folder.path, 2);
    expect(await stage.cluster.heal(2)).toEqual([]);
    expect(isHeld(folder.path, 2)).toBe(false);
    expect(stage.asked.sort()).toEqual(['1 POST {"lines":{"2":null}}', '2 DELETE', '3 POST {"lines":{"2":null}}']);
  });

  test('undoes what it has done where a node does not take its order', async () => {
    await using stage = await nodes((id) => (id === 3 ? 400 : 200));
    const between = { kind: 'node', node: { kind: 'node', id: 1 }, others: 'nodes' } as const;
    const cut: Fault = { kind: 'partition', between, oneWay: false, refuses: true };
    await expect(stage.cluster.inject(cut, undefined)).rejects.toThrow('node 3 did not take the order: as it says');
    const refuse = '{"kind":"refuse"}';
    expect(stage.asked.slice(0, 3).sort()).toEqual([
      `1 POST {"lines":{"2":${refuse},"3":${refuse}}}`,
      `2 POST {"lines":{"1":${refuse}}}`,
      `3 POST {"lines":{"1":${refuse}}}`,
    ]);
    expect(stage.asked.slice(3).sort()).toEqual([
      '1 POST {"lines":{"2":null,"3":null}}',
      '2 POST {"lines":{"1":null}}',
      '3 POST {"lines":{"1":null}}',
    ]);
  });

  test('is for one scenario at a time', async () => {
    const running = await cluster('token');
    const reserved = await running.reserve();
    const sentence = 'another scenario runs on this cluster, which would be healed in the midst of it';
    await expect(running.reserve()).rejects.toMatchObject({ name: 'Unreachable', message: sentence });
    await reserved[Symbol.asyncDispose]();
    expect(existsSync(join(folder.path, 'chaos-run'))).toBe(false);
    await (await running.reserve())[Symbol.asyncDispose]();
  });

  test('keeps down what of a lost rack is down already', async () => {
    const dead = await cluster('token');
    await dead.inject({ ...rack, rack: 'b' }, undefined);
    expect([1, 2, 3].map((id) => isHeld(folder.path, id))).toEqual([false, true, false]);
  });
});
