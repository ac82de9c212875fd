import { open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { assert } from '#base/assert';
import type { Disk, File } from '#base/ports';
import { DirectoryLock, LOCK_FILE } from './directory-lock.ts';
import { toIoError } from './io-error.ts';
import type { IoPool } from './io-pool.ts';
import { makeFolders } from './make-folders.ts';
import { NodeFile } from './node-file.ts';

export interface NodeDiskOptions {
  /** Files whose work never waits for that of the others: the metadata log's. */
  isUrgent(path: string): boolean;
}

/** One data directory of the file system; it must exist before `lock`, which `makeDir('')` sees to. */
export class NodeDisk implements Disk {
  /** Absolute. */
  readonly path: string;
  readonly #pool: IoPool;
  readonly #options: NodeDiskOptions;
  #lock: DirectoryLock | undefined;

  constructor(path: string, pool: IoPool, options: NodeDiskOptions) {
    this.path = resolve(path);
    this.#pool = pool;
    this.#options = options;
  }

  async lock(): Promise<void> {
    assert(this.#lock === undefined, 'the directory is locked already');
    this.#lock = await DirectoryLock.take(this.path);
  }

  open(path: string, mode: 'read' | 'write'): Promise<File> {
    const urgent = this.#options.isUrgent(path);
    return this.#at(path, (absolute) => NodeFile.open(absolute, mode, this.#pool, urgent));
  }

  list(path: string): Promise<readonly string[]> {
    return this.#at(path, async (absolute) => {
      const names = await readdir(absolute);
      return names.filter((name) => name !== LOCK_FILE).sort();
    });
  }

  makeDir(path: string): Promise<void> {
    return this.#at(path, makeFolders);
  }

  rename(from: string, to: string): Promise<void> {
    const target = this.#absolute(to);
    return this.#at(from, (absolute) => rename(absolute, target));
  }

  remove(path: string): Promise<void> {
    return this.#at(path, (absolute) => rm(absolute, { recursive: true, force: true }));
  }

  syncDir(path: string): Promise<void> {
    return this.#at(path, async (absolute) => {
      const folder = await open(absolute, 'r');
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    });
  }

  freeBytes(): Promise<number> {
    return this.#at('', async (absolute) => {
      const { bavail, bsize } = await statfs(absolute);
      return bavail * bsize;
    });
  }

  totalBytes(): Promise<number> {
    return this.#at('', async (absolute) => {
      const { blocks, bsize } = await statfs(absolute);
      return blocks * bsize;
    });
  }

  async close(): Promise<void> {
    await this.#lock?.release();
    this.#lock = undefined;
  }

  #at<T>(path: string, work: (absolute: string) => Promise<T>): Promise<T> {
    const absolute = this.#absolute(path);
    return this.#pool
      .run(() => work(absolute))
      .catch((failure) => {
        throw toIoError(failure);
      });
  }

  #absolute(path: string): string {
    assert(!path.startsWith('/') && !path.split('/').includes('..'), `not a path within the directory: ${path}`);
    return join(this.path, path);
  }
}
