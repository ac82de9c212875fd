import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createNodePorts } from '#platform/node-ports';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

it('the ports of a node have a disk per data directory, made where it is missing', async () => {
  const root = await mkdtemp(join(tmpdir(), 'odradek-ports-'));
  try {
    const dataDirs = [join(root, 'a/deep'), join(root, 'b')];
    const ports = await createNodePorts({
      dataDirs,
      logger: SILENT,
      ownsProcess: false,
      poolThreads: 4,
      isUrgent: () => false,
      fatal: (error) => {
        throw error;
      },
    });
    expect(ports.disks.map((disk) => disk.path)).toEqual(dataDirs);
    for (const disk of ports.disks) expect(await disk.list('')).toEqual([]);
    const draws = new Set(Array.from({ length: 1000 }, () => ports.random.fork('x').uint32()));
    expect(draws.size).toBeGreaterThan(990);
    const salt = new Uint8Array(32);
    ports.random.secret(salt);
    expect(new Set(salt).size).toBeGreaterThan(8);
    expect(Math.abs(ports.clock.wall() - Date.now())).toBeLessThan(10_000);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
