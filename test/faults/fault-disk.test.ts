import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { File } from '#base/ports';
import { FaultDisk, type FaultDiskOptions } from '#faults/fault-disk';
import { createCodecs } from '#platform/codecs';
import { IoPool } from '#platform/io-pool';
import { NodeClock } from '#platform/node-clock';
import { NodeDisk } from '#platform/node-disk';
import type { MemoryDisk } from '#sim/ports/memory-disk';
import { SimWorld } from '#sim/ports/sim-world';
import { codeOf, describeDisk, read, sync, write } from '../platform/disk-contract.ts';

const codecs = createCodecs();

function realDisk(path: string): FaultDisk {
  const inner = new NodeDisk(path, new IoPool(4), { isUrgent: () => false });
  return new FaultDisk(new NodeClock(), inner, { ignoreSync: false });
}

describeDisk('FaultDisk over a real directory', async () => {
  const path = await mkdtemp(join(tmpdir(), 'odradek-fault-'));
  return {
    disk: realDisk(path),
    settle: (promise) => promise,
    dispose: () => rm(path, { recursive: true, force: true }),
  };
});

describeDisk('FaultDisk over memory', async () => {
  const { disk, settle } = new Rig(1);
  return { disk, settle, dispose: async () => {} };
});

/** A FaultDisk over memory in a world of its own, and what becomes of it. */
class Rig {
  readonly world: SimWorld;
  readonly inner: MemoryDisk;
  readonly #options: FaultDiskOptions;
  disk: FaultDisk;
  readonly settle = <T>(promise: Promise<T>): Promise<T> => this.world.complete(promise);

  constructor(seed: number, options: FaultDiskOptions = { ignoreSync: false }) {
    this.world = new SimWorld({ seed, codecs });
    this.inner = this.world.disk('/data');
    this.#options = options;
    this.disk = new FaultDisk(this.world.clock, this.inner, options);
  }

  async crash(): Promise<void> {
    await this.settle(this.disk.crash(this.world.random));
    this.disk = new FaultDisk(this.world.clock, this.inner, this.#options);
  }

  /** The content of a file; undefined if it is not there. */
  async contentOf(path: string): Promise<string | undefined> {
    if ((await codeOf(this.settle(this.disk.open(path, 'read')))) === 'ENOENT') return undefined;
    const file = await this.settle(this.disk.open(path, 'read'));
    const content = await this.settle(read(file, 0, 1_000_000));
    await this.settle(file.close());
    return content;
  }

  async file(path: string, content: string, ...syncs: ('file' | 'folder')[]): Promise<File> {
    const file = await this.settle(this.disk.open(path, 'write'));
    await this.settle(write(file, content, 0));
    if (syncs.includes('file')) await this.settle(sync(file));
    if (syncs.includes('folder')) await this.settle(this.disk.syncDir(path.split('/').slice(0, -1).join('/')));
    return file;
  }
}

/** What each of many seeds leaves. */
async function outcomes<T>(count: number, run: (rig: Rig) => Promise<T>, options?: FaultDiskOptions): Promise<T[]> {
  const all: T[] = [];
  for (let seed = 0; seed < count; seed++) all.push(await run(new Rig(seed, options)));
  return all;
}

describe('a crash', () => {
  it('keeps what was synced in a folder that was synced, whatever the seed', async () => {
    const left = await outcomes(20, async (rig) => {
      await rig.file('log', 'synced', 'file', 'folder');
      await rig.crash();
      return rig.contentOf('log');
    });
    expect(new Set(left)).toEqual(new Set(['synced']));
  });

  it('may lose a file whose folder was not synced, its own sync notwithstanding', async () => {
    const left = await outcomes(20, async (rig) => {
      await rig.file('log', 'synced', 'file');
      await rig.crash();
      return rig.contentOf('log');
    });
    expect(new Set(left)).toEqual(new Set([undefined, 'synced']));
  });

  it('may leave a file empty that was named durably and not synced', async () => {
    const left = await outcomes(20, async (rig) => {
      await rig.file('log', 'unsynced', 'folder');
      await rig.crash();
      return rig.contentOf('log');
    });
    expect(new Set(left)).toEqual(new Set(['', 'unsynced']));
  });

  it('may lose a folder with all that was synced in it, if its parent was not', async () => {
    const left = await outcomes(20, async (rig) => {
      await rig.settle(rig.disk.makeDir('topic-0'));
      await rig.file('topic-0/log', 'synced', 'file', 'folder');
      await rig.crash();
      return rig.contentOf('topic-0/log');
    });
    expect(new Set(left)).toEqual(new Set([undefined, 'synced']));
  });

  it('undoes a rename that was not synced, or does it: never half of it', async () => {
    const left = await outcomes(20, async (rig) => {
      await rig.file('checkpoint', 'old', 'file', 'folder');
      await rig.file('checkpoint.tmp', 'new', 'file', 'folder');
      await rig.settle(rig.disk.rename('checkpoint.tmp', 'checkpoint'));
      await rig.crash();
      return [await rig.contentOf('checkpoint'), await rig.contentOf('checkpoint.tmp')];
    });
    const distinct = new Set(left.map((contents) => contents.join()));
    expect(distinct).toEqual(new Set(['old,new', 'new,']));
  });

  it('leaves whole whichever of two synced files was renamed to the name last', async () => {
    const left = await outcomes(40, async (rig) => {
      await rig.file('state', 'old', 'file', 'folder');
      for (const content of ['newer', 'newest']) {
        const file = await rig.file('state.new', content, 'file');
        await rig.settle(file.close());
        await rig.settle(rig.disk.rename('state.new', 'state'));
      }
      await rig.crash();
      return rig.contentOf('state');
    });
    expect(new Set(left)).toEqual(new Set(['old', 'newer', 'newest']));
  });

  it('keeps a rename that was synced, and writes synced after it', async () => {
    const left = await outcomes(20, async (rig) => {
      await rig.settle(rig.disk.makeDir('topic-0'));
      await rig.settle(rig.disk.syncDir(''));
      const file = await rig.file('topic-0/log', 'one', 'file', 'folder');
      await rig.settle(rig.disk.rename('topic-0', 'topic-0-delete'));
      await rig.settle(rig.disk.syncDir(''));
      await rig.settle(write(file, 'two', 3));
      await rig.settle(sync(file));
      await rig.crash();
      return [await rig.contentOf('topic-0/log'), await rig.contentOf('topic-0-delete/log')];
    });
    expect(new Set(left.map((contents) => contents.join()))).toEqual(new Set([',onetwo']));
  });

  it('brings back what was removed, unless the folder was synced', async () => {
    const left = await outcomes(20, async (rig) => {
      await rig.file('kept', 'x', 'file', 'folder');
      await rig.file('gone', 'x', 'file', 'folder');
      await rig.settle(rig.disk.remove('gone'));
      await rig.settle(rig.disk.syncDir(''));
      await rig.settle(rig.disk.remove('kept'));
      await rig.crash();
      return [await rig.contentOf('kept'), await rig.contentOf('gone')];
    });
    expect(new Set(left.map((contents) => contents.join()))).toEqual(new Set([',', 'x,']));
  });

  it('tears unsynced writes at sectors of 512 bytes, and nowhere else', async () => {
    const left = await outcomes(60, async (rig) => {
      const file = await rig.file('log', 'a'.repeat(700), 'file', 'folder');
      await rig.settle(write(file, 'b'.repeat(1500), 700));
      await rig.settle(write(file, 'c'.repeat(100), 2200));
      await rig.crash();
      return (await rig.contentOf('log')) as string;
    });
    for (const content of left) {
      expect(content.slice(0, 700)).toBe('a'.repeat(700));
      for (const part of [
        content.slice(700, 1024),
        content.slice(1024, 1536),
        content.slice(1536, 2048),
        content.slice(2200),
      ]) {
        expect(new Set(part).size).toBeLessThanOrEqual(1);
      }
    }
    const shapes = new Set(left);
    expect(shapes).toContain('a'.repeat(700));
    expect(shapes).toContain('a'.repeat(700) + 'b'.repeat(1500) + 'c'.repeat(100));
    expect(left.some((content) => content.includes('b') && content.includes('\0'))).toBe(true);
    expect(left.some((content) => content.endsWith('b') && content.length < 2200)).toBe(true);
  });

  it('may undo a truncate that was not synced', async () => {
    const left = await outcomes(20, async (rig) => {
      const file = await rig.file('log', 'abcdef', 'file', 'folder');
      await rig.settle(file.truncate(2));
      await rig.crash();
      return rig.contentOf('log');
    });
    expect(new Set(left)).toEqual(new Set(['ab', 'abcdef']));
  });

  it('covers by a sync only the writes that had completed before it was asked', async () => {
    const left = await outcomes(20, async (rig) => {
      const file = await rig.file('log', '', 'file', 'folder');
      const written = write(file, 'late', 0);
      await rig.settle(Promise.all([written, sync(file)]));
      await rig.crash();
      return rig.contentOf('log');
    });
    expect(new Set(left)).toEqual(new Set(['', 'late']));
  });

  it('lets no completion run, and frees the lock', async () => {
    const rig = new Rig(1);
    await rig.settle(rig.disk.lock());
    const file = await rig.file('log', 'x', 'file', 'folder');
    let completed = 0;
    const count = (): void => {
      completed += 1;
    };
    file.write([Buffer.from('y')], 0, count);
    file.sync(count);
    rig.disk.list('').then(count);
    file.truncate(0).then(count);
    await rig.crash();
    await rig.settle(rig.disk.lock());
    await rig.world.run(1000);
    expect(completed).toBe(0);
  });

  it('frees a lock that was still being taken', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const rig = new Rig(seed);
      rig.disk.lock().catch(() => {});
      await rig.crash();
      await rig.settle(rig.disk.lock());
      rig.disk.lock().catch(() => {});
      await rig.settle(rig.disk.abandon());
      await rig.settle(rig.disk.lock());
    }
  });

  it('over a real directory is a kill: nothing unsynced has reached it', async () => {
    const path = await mkdtemp(join(tmpdir(), 'odradek-fault-'));
    try {
      const disk = realDisk(path);
      await disk.makeDir('topic-0');
      const file = await disk.open('topic-0/log', 'write');
      await write(file, 'synced', 0);
      await sync(file);
      expect(await new NodeDisk(path, new IoPool(4), { isUrgent: () => false }).list('')).toEqual([]);
      await disk.syncDir('topic-0');
      await disk.syncDir('');
      await write(file, 'unsynced', 6);
      // Another process would see this, were this one killed now.
      const after = realDisk(path);
      const found = await after.open('topic-0/log', 'read');
      expect(await read(found, 0, 100)).toBe('synced');
      expect(await read(file, 0, 100)).toBe('syncedunsynced');
      await disk.close();
      await after.close();
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  });

  it('finds on the inner disk what was synced there in turn: a sync is passed on', async () => {
    const left = await outcomes(20, async (rig) => {
      const outer = new FaultDisk(rig.world.clock, rig.disk, { ignoreSync: false });
      const file = await rig.settle(outer.open('log', 'write'));
      await rig.settle(write(file, 'synced', 0));
      await rig.settle(sync(file));
      await rig.settle(outer.syncDir(''));
      await rig.settle(write(file, ' twice', 6));
      await rig.settle(sync(file));
      await rig.crash();
      return rig.contentOf('log');
    });
    expect(new Set(left)).toEqual(new Set(['synced twice']));
  });

  it('agrees with a model: reads show all changes, a crash keeps at least what was synced', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), at: fc.nat(3000), length: fc.integer({ min: 1, max: 1200 }) }),
      fc.record({ kind: fc.constant('truncate' as const), at: fc.nat(3000), length: fc.constant(0) }),
      fc.record({ kind: fc.constant('sync' as const), at: fc.constant(0), length: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(step, { maxLength: 12 }), async (seed, steps) => {
        const rig = new Rig(seed);
        const file = await rig.file('log', '', 'file', 'folder');
        let model = Buffer.alloc(0);
        let synced = model;
        let changedSince = new Set<number>();
        for (const [index, { kind, at, length }] of steps.entries()) {
          if (kind === 'sync') {
            await rig.settle(sync(file));
            synced = model;
            changedSince = new Set();
          } else {
            const before = model;
            const text = String.fromCharCode(97 + index).repeat(length);
            if (kind === 'write') {
              await rig.settle(write(file, text, at));
              model = Buffer.alloc(Math.max(before.length, at + length));
              before.copy(model);
              model.write(text, at, 'latin1');
            } else {
              await rig.settle(file.truncate(at));
              model = Buffer.alloc(at);
              before.copy(model);
            }
            const [from, to] =
              kind === 'write' ? [Math.min(at, before.length), at + length] : [Math.min(at, before.length), 5000];
            for (let byte = from; byte < to; byte++) changedSince.add(byte);
          }
          expect(await rig.settle(read(file, 0, 5000))).toBe(model.toString('latin1'));
        }
        await rig.crash();
        const left = (await rig.contentOf('log')) as string;
        const expected = synced.toString('latin1');
        for (let byte = 0; byte < expected.length; byte++) {
          if (!changedSince.has(byte)) expect(left[byte]).toBe(expected[byte]);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('the switches', () => {
  it('a disk that ignores syncs loses what was synced', async () => {
    const rig = new Rig(3, { ignoreSync: true });
    const file = await rig.file('log', 'x'.repeat(100_000), 'file', 'folder');
    await rig.settle(sync(file));
    await rig.settle(rig.disk.close());
    expect(await rig.settle((await rig.settle(rig.inner.open('log', 'read'))).sizeBytes())).toBe(0);
  });

  it('strikes an operation on a path with the code asked for, and the next one goes through', async () => {
    let full = true;
    const rig = new Rig(1, {
      ignoreSync: false,
      strike: (operation, path) => (full && operation === 'write' && path === 'log' ? { fail: 'ENOSPC' } : undefined),
    });
    const other = await rig.file('other', 'fine');
    const file = await rig.settle(rig.disk.open('log', 'write'));
    expect(await codeOf(rig.settle(write(file, 'no room', 0)))).toBe('ENOSPC');
    full = false;
    await rig.settle(write(file, 'room', 0));
    expect(await rig.settle(read(file, 0, 100))).toBe('room');
    expect(await rig.settle(read(other, 0, 100))).toBe('fine');
  });

  it('strikes operations on names as well', async () => {
    const rig = new Rig(1, {
      ignoreSync: false,
      strike: (operation) => (operation === 'syncDir' || operation === 'rename' ? { fail: 'EIO' } : undefined),
    });
    await rig.file('log', 'x');
    expect(await codeOf(rig.settle(rig.disk.syncDir('')))).toBe('EIO');
    expect(await codeOf(rig.settle(rig.disk.rename('log', 'gol')))).toBe('EIO');
    expect(await rig.settle(rig.disk.list(''))).toEqual(['log']);
  });

  it('after a sync that failed the file is read and never written again', async () => {
    let failing = false;
    const rig = new Rig(1, {
      ignoreSync: false,
      strike: (operation) => (failing && operation === 'sync' ? { fail: 'EIO' } : undefined),
    });
    const file = await rig.file('log', 'before', 'file', 'folder');
    failing = true;
    expect(await codeOf(rig.settle(sync(file)))).toBe('EIO');
    failing = false;
    expect(await codeOf(rig.settle(sync(file)))).toBe('EIO');
    expect(await codeOf(rig.settle(write(file, 'x', 0)))).toBe('EIO');
    expect(await codeOf(rig.settle(file.truncate(0)))).toBe('EIO');
    expect(await rig.settle(read(file, 0, 100))).toBe('before');
  });

  it('a disk that outlives its users keeps for the next one what the last one wrote, as volatile as it was', async () => {
    const left = await outcomes(
      20,
      async (rig) => {
        await rig.settle(rig.disk.lock());
        const file = await rig.file('log', 'unsynced', 'folder');
        await rig.settle(file.close());
        await rig.settle(rig.disk.close());
        await rig.settle(rig.disk.lock());
        expect(await rig.contentOf('log')).toBe('unsynced');
        await rig.crash();
        return rig.contentOf('log');
      },
      { ignoreSync: false, outlivesUsers: true },
    );
    expect(new Set(left)).toEqual(new Set(['', 'unsynced']));
  });

  it('a disk is at rest after the death of its user, whatever was under way on several files', async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const rig = new Rig(seed);
      const files = [await rig.file('a', 'x', 'file', 'folder'), await rig.file('b', 'y', 'file', 'folder')];
      const completed: string[] = [];
      for (const file of files) {
        file.read(new Uint8Array(1), 0, () => completed.push('read'));
        file.write([Buffer.from('z')], 0, () => completed.push('write'));
        file.sync(() => completed.push('sync'));
      }
      await rig.world.run(rig.world.clock.now() + seed * 0.02);
      const before = completed.length;
      await rig.settle(rig.disk.abandon());
      await rig.settle(rig.disk.lock());
      expect(completed.length).toBe(before);
      expect(await rig.contentOf('a')).toMatch(/^[xz]$/);
    }
  });

  it('a full disk lets nothing grow, and all else go on; with room again it grows', async () => {
    let isFull = false;
    const rig = new Rig(1, { ignoreSync: false, isFull: () => isFull });
    const { settle } = rig;
    const file = await rig.file('there', 'abc', 'file', 'folder');
    await settle(rig.disk.makeDir('folder'));
    const freeBytes = await settle(rig.disk.freeBytes());
    isFull = true;
    expect(await codeOf(settle(write(file, 'de', 2)))).toBe('ENOSPC');
    expect(await codeOf(settle(rig.disk.open('new', 'write')))).toBe('ENOSPC');
    expect(await codeOf(settle(rig.disk.makeDir('folder/inner')))).toBe('ENOSPC');
    expect(await settle(rig.disk.freeBytes())).toBe(0);
    await settle(write(file, 'xyz', 0));
    await settle(sync(file));
    await settle(rig.disk.makeDir('folder'));
    expect(await codeOf(settle(rig.disk.open('gone', 'read')))).toBe('ENOENT');
    await settle(rig.disk.rename('there', 'moved'));
    const again = await settle(rig.disk.open('moved', 'write'));
    expect(await settle(read(again, 0, 10))).toBe('xyz');
    isFull = false;
    await settle(write(file, 'de', 3));
    expect(await settle(read(again, 0, 10))).toBe('xyzde');
    expect(await settle(rig.disk.freeBytes())).toBe(freeBytes);
  });

  it('delays what it is told to', async () => {
    const rig = new Rig(1, {
      ignoreSync: false,
      strike: (operation) => (operation === 'sync' ? { delayMs: 500 } : undefined),
    });
    const file = await rig.file('log', 'x');
    const before = rig.world.clock.now();
    await rig.settle(sync(file));
    expect(rig.world.clock.now() - before).toBeGreaterThanOrEqual(500);
  });
});

function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().arrayBuffers;
}

describe('memory', () => {
  it('holds what is unsynced only: a million small records pass through in seconds', async () => {
    const path = await mkdtemp(join(tmpdir(), 'odradek-fault-'));
    try {
      const disk = realDisk(path);
      const file = await disk.open('log', 'write');
      await disk.syncDir('');
      const record = Buffer.alloc(100, 'r');
      const batch = Buffer.alloc(100_000, record);
      const before = heldBytes();
      for (let at = 0; at < 100_000_000; at += batch.length) {
        await new Promise<void>((resolve, reject) => {
          file.write([batch], at, (failure) => (failure ? reject(failure) : resolve()));
        });
        if (at % 5_000_000 === 0) await sync(file);
      }
      await sync(file);
      // At most what was unsynced at a time, in whose last run the collector may not have caught up.
      expect(heldBytes() - before).toBeLessThan(10_000_000);
      expect(await file.sizeBytes()).toBe(100_000_000);
      await file.close();
      await disk.close();
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  });
});
