import { assert } from '#base/assert';
import type { Clock, Disk, File, IoError, IoErrorCode, Random } from '#base/ports';
import { FaultFile, type FileOperation } from './fault-file.ts';
import { type Inode, VolatileTree } from './volatile-tree.ts';

export type DiskOperation = FileOperation | 'open' | 'list' | 'makeDir' | 'rename' | 'remove' | 'syncDir';

/** What is done to one operation: it waits, then fails, or goes on if there is no code. */
export interface Strike {
  readonly delayMs?: number;
  readonly fail?: IoErrorCode;
}

export interface FaultDiskOptions {
  /** The sync of a file succeeds and makes nothing durable: a node that forgets its fsyncs. */
  readonly ignoreSync: boolean;
  /** `close` does as `abandon`: one machine, whose processes come and go. */
  readonly outlivesUsers?: boolean;
  /** Asked once for each operation, when its turn has come; a file's path is the one it was opened by. */
  readonly strike?: (operation: DiskOperation, path: string) => Strike | undefined;
  /** Asked at each operation: while it is full, nothing grows (ENOSPC), and what is there can be read, written over and removed. */
  readonly isFull?: () => boolean;
}

/**
 * A volatile cache over a durable disk. What was not synced lives in memory only: writes and truncates until the sync of
 * their file, creates, renames and removes until the sync of their folder. So over a real directory SIGKILL is a power
 * cut, and over a memory disk `crash` leaves what a power cut might. Its users see the merged view.
 *
 * Stricter than most file systems: a synced file is lost if the folder that names it was not synced, and folders are
 * synced one by one. Laxer in one thing: a rename from one folder to another is durable at once.
 */
export class FaultDisk implements Disk {
  readonly path: string;
  readonly #clock: Clock;
  readonly #inner: Disk;
  readonly #options: FaultDiskOptions;
  readonly #tree: VolatileTree;
  /** Operations on names run one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #dead = false;
  /** Handles of the process that uses the disk. */
  readonly #open = new Set<FaultFile>();
  /** Counts the processes that have used it. */
  #user = 0;

  constructor(clock: Clock, inner: Disk, options: FaultDiskOptions) {
    this.path = inner.path;
    this.#clock = clock;
    this.#inner = inner;
    this.#options = options;
    this.#tree = new VolatileTree(inner);
  }

  lock(): Promise<void> {
    // In turn: a lock that is still being taken when its process dies would otherwise be taken after it was freed.
    return this.#serially(() => this.#inner.lock());
  }

  open(path: string, mode: 'read' | 'write'): Promise<File> {
    return this.#named('open', path, async () => {
      const isRefused = mode === 'write' && this.#isFull;
      const inode = await this.#tree.file(path, mode === 'write' && !isRefused);
      if (inode === undefined) throw isRefused ? noRoom(path) : ioError('ENOENT', `no file ${path}`);
      return this.#handle(path, inode);
    });
  }

  list(path: string): Promise<readonly string[]> {
    return this.#named('list', path, async () => {
      const folder = await this.#tree.folder(path);
      if (folder === undefined) throw ioError('ENOENT', `no folder ${path}`);
      return [...folder.names.keys()].sort();
    });
  }

  makeDir(path: string): Promise<void> {
    return this.#named('makeDir', path, async () => {
      if (this.#isFull && (await this.#tree.folder(path)) === undefined) throw noRoom(path);
      await this.#tree.makeFolder(path);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#named('rename', from, async () => {
      const outcome = await this.#tree.rename(from, to);
      if (outcome !== undefined) throw ioError(outcome, `rename of ${from} to ${to}`);
    });
  }

  remove(path: string): Promise<void> {
    return this.#named('remove', path, () => this.#tree.remove(path));
  }

  syncDir(path: string): Promise<void> {
    return this.#named('syncDir', path, async () => {
      if (!(await this.#tree.sync(path))) throw ioError('ENOENT', `no folder ${path}`);
    });
  }

  async freeBytes(): Promise<number> {
    return this.#isFull ? 0 : await this.#inner.freeBytes();
  }

  totalBytes(): Promise<number> {
    return this.#inner.totalBytes();
  }

  /** What was not synced is lost, as at a kill, unless the disk outlives its users. */
  async close(): Promise<void> {
    if (this.#options.outlivesUsers) return this.abandon();
    this.#dead = true;
    await this.#last;
    await this.#tree.close();
    await this.#inner.close();
  }

  /**
   * The power goes: no completion runs any more; of what was not synced, `random` decides what the inner disk keeps
   * (changes of names in their order, data by sectors of 512 bytes). Resolves when the inner disk is at rest and
   * unlocked; the next incarnation is a new FaultDisk over it.
   */
  async crash(random: Random): Promise<void> {
    assert(!this.#dead, 'a disk crashes once');
    this.#dead = true;
    await this.#last;
    await this.#tree.crash(random);
    await this.#inner.close();
  }

  /**
   * The process that uses it dies, the machine does not: what was written is there for the next one, and as volatile as before. What had
   * not begun is not done, and no completion runs. Resolves when the disk can be locked again; the inner one must allow that after its
   * `close`.
   */
  async abandon(): Promise<void> {
    assert(!this.#dead, 'a disk that lives on');
    this.#user += 1;
    // Also those whose opening was under way.
    await this.#last;
    await Promise.all([...this.#open].map((file) => file.abandon()));
    await this.#last;
    await this.#inner.close();
  }

  get #isFull(): boolean {
    return this.#options.isFull?.() === true;
  }

  #handle(path: string, inode: Inode): FaultFile {
    const content = inode.file;
    assert(content !== undefined, 'the tree has loaded the file');
    const file = new FaultFile(
      {
        clock: this.#clock,
        ignoreSync: this.#options.ignoreSync,
        isDead: () => this.#dead,
        isFull: () => this.#isFull,
        strike: (operation, proceed) => this.#strike(operation, path, proceed),
        failure: (message) => ioError('EIO', `${message}: ${path}`),
        noRoom: () => noRoom(path),
        released: (closed) => {
          this.#open.delete(closed);
          return this.#serially(() => this.#tree.release(inode));
        },
      },
      content,
    );
    this.#open.add(file);
    return file;
  }

  /** Runs `work` in a turn of its own, behind the operations on names that were asked before it. */
  #named<T>(operation: DiskOperation, path: string, work: () => Promise<T>): Promise<T> {
    const user = this.#user;
    return new Promise((resolve, reject) => {
      this.#strike(operation, path, (struck) => {
        if (!this.#dead && user === this.#user)
          this.#serially(struck ? () => Promise.reject(struck) : work).then(resolve, reject);
      });
    });
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#last = this.#last.then(work).then(
        (value) => {
          if (!this.#dead) resolve(value);
        },
        (failure: IoError) => {
          if (!this.#dead) reject(failure);
        },
      );
    });
  }

  #strike(operation: DiskOperation, path: string, proceed: (failure: IoError | undefined) => void): void {
    const strike = this.#options.strike?.(operation, path);
    const failure = strike?.fail && ioError(strike.fail, `injected into ${operation} of ${path}`);
    if (strike?.delayMs === undefined) this.#clock.defer(() => proceed(failure));
    else this.#clock.timer(() => proceed(failure)).arm(strike.delayMs);
  }
}

function noRoom(path: string): IoError {
  return ioError('ENOSPC', `the disk is full: ${path}`);
}

function ioError(code: IoErrorCode, message: string): IoError {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
