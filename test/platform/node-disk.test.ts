import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { IoPool } from '#platform/io-pool';
import { NodeDisk } from '#platform/node-disk';
import { codeOf, describeDisk, read, write } from './disk-contract.ts';

const folders: string[] = [];

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'odradek-disk-'));
  folders.push(path);
  return path;
}

afterEach(async () => {
  for (const path of folders.splice(0)) await rm(path, { recursive: true, force: true });
});

function diskAt(path: string, threads = 4): NodeDisk {
  return new NodeDisk(path, new IoPool(threads), { isUrgent: (name) => name.startsWith('metadata') });
}

describeDisk('NodeDisk', async () => ({
  disk: diskAt(await folder()),
  settle: (promise) => promise,
  dispose: async () => {},
}));

describe('a data directory', () => {
  it('is made with its parents', async () => {
    const disk = diskAt(join(await folder(), 'a/b'));
    await disk.makeDir('');
    expect(await disk.list('')).toEqual([]);
  });

  it('may be there already, and several may be made at once', async () => {
    const path = await folder();
    const disk = diskAt(path);
    await Promise.all([disk.makeDir(''), disk.makeDir('a/b/c'), disk.makeDir('a/b/d'), disk.makeDir('a/b/c')]);
    expect((await readdir(path, { recursive: true })).sort()).toEqual(['a', 'a/b', 'a/b/c', 'a/b/d']);
  });

  it('cannot be a file, nor lie in one, nor where no folder can be made, which is said and not tried for ever', async () => {
    const path = await folder();
    await writeFile(join(path, 'file'), '');
    expect(await codeOf(diskAt(join(path, 'file')).makeDir(''))).toBe('EEXIST');
    expect(await codeOf(diskAt(join(path, 'file/inner')).makeDir(''))).toBe('ENOENT');
    // Linux answers ENOENT to whoever makes a folder in /proc; elsewhere there is none.
    expect(await codeOf(diskAt('/proc/odradek').makeDir(''))).toMatch(/^(ENOENT|EACCES|EIO)$/);
  });

  it('refuses paths that lead out of it', async () => {
    const disk = diskAt(await folder());
    expect(() => disk.list('../elsewhere')).toThrow('not a path within');
  });

  it('holds what was written by one disk for the next', async () => {
    const path = await folder();
    const file = await diskAt(path).open('log', 'write');
    await write(file, 'kept', 0);
    await file.close();
    const again = await diskAt(path).open('log', 'read');
    expect(await read(again, 0, 10)).toBe('kept');
    await again.close();
  });

  it('says EIO for a write that the system refuses', async () => {
    const disk = diskAt(await folder());
    await (await disk.open('log', 'write')).close();
    const file = await disk.open('log', 'read');
    expect(await codeOf(write(file, 'no', 0))).toBe('EIO');
    await file.close();
  });
});

describe('the lock of a data directory', () => {
  it('keeps a second user off until it is closed, and by any path to it', async () => {
    const path = await folder();
    const first = diskAt(path);
    const second = diskAt(`${path}/../${path.split('/').pop()}`);
    await first.lock();
    expect(await codeOf(second.lock())).toBe('ELOCKED');
    await first.close();
    await second.lock();
    await second.close();
  });

  it('names its holder in a file that no listing shows, and takes it away at the end', async () => {
    const path = await folder();
    const disk = diskAt(path);
    await disk.lock();
    const holder = JSON.parse(await readFile(join(path, '.lock'), 'utf8'));
    expect(holder).toMatchObject({ pid: process.pid, bootId: expect.any(String), startTime: expect.any(String) });
    expect(await disk.list('')).toEqual([]);
    await disk.close();
    await expect(readFile(join(path, '.lock'))).rejects.toThrow('ENOENT');
  });

  it.each([
    ['of a process that is gone', { bootId: 'THIS', pid: 2 ** 22 - 1, startTime: '1' }],
    ['of a boot that is gone', { bootId: 'another', pid: 1, startTime: 'FIRST' }],
    ['of a process whose pid was given again', { bootId: 'THIS', pid: 1, startTime: '-1' }],
    ['that a power cut has torn', undefined],
  ])('passes over a file %s', async (_, holder) => {
    const path = await folder();
    await writeFile(join(path, '.lock'), holder === undefined ? '{"boo' : JSON.stringify(await onThisMachine(holder)));
    const disk = diskAt(path);
    await disk.lock();
    await disk.close();
  });

  it.runIf(process.platform === 'linux')('heeds the file of a live process that its socket does not show', async () => {
    const path = await folder();
    const live = await onThisMachine({ bootId: 'THIS', pid: 1, startTime: 'FIRST' });
    await writeFile(join(path, '.lock'), JSON.stringify(live));
    expect(await codeOf(diskAt(path).lock())).toBe('ELOCKED');
  });

  it('is free as soon as its holder was killed', async () => {
    const path = await folder();
    const script = `
      const { NodeDisk } = await import(${JSON.stringify(new URL('../../src/platform/node-disk.ts', import.meta.url))});
      const { IoPool } = await import(${JSON.stringify(new URL('../../src/platform/io-pool.ts', import.meta.url))});
      await new NodeDisk(${JSON.stringify(path)}, new IoPool(4), { isUrgent: () => false }).lock();
      process.stdout.write('locked');
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    const disk = diskAt(path);
    expect(await codeOf(disk.lock())).toBe('ELOCKED');
    const ended = new Promise((resolve) => holder.once('exit', resolve));
    holder.kill('SIGKILL');
    await ended;
    await disk.lock();
    await disk.close();
  });
});

/** THIS stands for the running boot, FIRST for the start time of process 1. */
async function onThisMachine(holder: { bootId: string; pid: number; startTime: string }): Promise<object> {
  const text = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
  const first = await text('/proc/1/stat');
  return {
    ...holder,
    bootId: holder.bootId === 'THIS' ? (await text('/proc/sys/kernel/random/boot_id')).trim() : holder.bootId,
    startTime: holder.startTime === 'FIRST' ? first.slice(first.lastIndexOf(')') + 2).split(' ')[19] : holder.startTime,
  };
}

describe('the pool', () => {
  it('leaves one thread to urgent work and gives syncs at most half, whatever is asked', () => {
    const pool = new IoPool(8);
    const started: string[] = [];
    for (let index = 0; index < 20; index++) pool.acquire('sync', () => started.push('sync'));
    expect(started).toHaveLength(4);
    for (let index = 0; index < 20; index++) pool.acquire('data', () => started.push('data'));
    expect(started).toHaveLength(7);
    pool.acquire('urgent', () => started.push('urgent'));
    expect(started).toHaveLength(8);
    pool.release('sync');
    expect(started.slice(8)).toEqual(['sync']);
    pool.release('data');
    expect(started.slice(9)).toEqual(['data']);
  });

  it('starts everything in the end', () => {
    const pool = new IoPool(2);
    let started = 0;
    for (let index = 0; index < 10; index++) {
      pool.acquire(index % 2 === 0 ? 'sync' : 'data', () => {
        started += 1;
      });
    }
    for (let index = 0; index < 5; index++) pool.release('sync');
    for (let index = 0; index < 5; index++) pool.release('data');
    expect(started).toBe(10);
  });
});
