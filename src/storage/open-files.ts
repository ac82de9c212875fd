import { assert } from '#base/assert';
import type { Disk, File, IoError } from '#base/ports';

/** An open file with its users; it stays open while it has some, and for a while after. */
export interface OpenFile {
  readonly path: string;
  readonly file: File;
  users: number;
}

export type Opened = (file: OpenFile | undefined, failure: IoError | undefined) => void;

/**
 * Segment files of one data directory that are open in one mode: readers and writers have handles of their own, because the
 * operations of one handle complete in order and a cold read must not wait for a sync. At most `limit` are kept open without
 * a user, least recently used ones are closed first; those in use are bounded by the operations in flight.
 */
export class OpenFiles {
  readonly #disk: Disk;
  readonly #mode: 'read' | 'write';
  readonly #limit: number;
  readonly #open = new Map<string, OpenFile>();
  readonly #idle = new Map<string, OpenFile>();
  readonly #opening = new Map<string, Opened[]>();
  readonly #closing = new Set<Promise<void>>();

  constructor(disk: Disk, mode: 'read' | 'write', limit: number) {
    this.#disk = disk;
    this.#mode = mode;
    this.#limit = limit;
  }

  /** The file with one more user, if it is open. */
  take(path: string): OpenFile | undefined {
    const open = this.#open.get(path);
    if (open === undefined) return undefined;
    if (open.users === 0) this.#idle.delete(path);
    open.users += 1;
    return open;
  }

  /** Answers at once if the file is open, later if not. Each file answered is to be released. */
  use(path: string, done: Opened): void {
    const open = this.take(path);
    if (open !== undefined) return done(open, undefined);
    const known = this.#opening.get(path);
    if (known !== undefined) {
      known.push(done);
      return;
    }
    const waiting = [done];
    this.#opening.set(path, waiting);
    this.#disk.open(path, this.#mode).then(
      (file) => this.#opened(path, waiting, file),
      (failure: IoError) => {
        if (this.#opening.get(path) === waiting) this.#opening.delete(path);
        for (const each of waiting) each(undefined, failure);
      },
    );
  }

  usePromised(path: string): Promise<OpenFile> {
    return new Promise((resolve, reject) => {
      this.use(path, (file, failure) => (file === undefined ? reject(failure) : resolve(file)));
    });
  }

  release(open: OpenFile): void {
    assert(open.users > 0, 'released as often as used');
    open.users -= 1;
    if (open.users > 0) return;
    if (this.#open.get(open.path) !== open) {
      this.#close(open);
      return;
    }
    this.#idle.set(open.path, open);
    if (this.#idle.size <= this.#limit) return;
    const [oldest] = this.#idle.values();
    assert(oldest !== undefined, 'more than none are idle');
    this.forget(oldest.path);
  }

  /** From now on the path means this file, whatever it names on the disk until its last user releases it. It has one user: the caller. */
  put(path: string, file: File): OpenFile {
    this.forget(path);
    const open = { path, file, users: 1 };
    this.#open.set(path, open);
    return open;
  }

  /** The path is about to name something else, or nothing: whoever uses or opens the file goes on, nobody else gets it. */
  forget(path: string): void {
    this.#opening.delete(path);
    const open = this.#open.get(path);
    if (open === undefined) return;
    this.#open.delete(path);
    this.#idle.delete(path);
    if (open.users === 0) this.#close(open);
  }

  /** Of files that are in use the users are to let go first. */
  async close(): Promise<void> {
    for (const path of [...this.#idle.keys()]) this.forget(path);
    await Promise.all(this.#closing);
  }

  #opened(path: string, waiting: readonly Opened[], file: File): void {
    const open = { path, file, users: waiting.length };
    if (this.#opening.get(path) === waiting) {
      this.#opening.delete(path);
      this.#open.set(path, open);
    }
    for (const each of waiting) each(open, undefined);
  }

  #close(open: OpenFile): void {
    // Everything that counts was synced before: a failing close loses nothing.
    const closing: Promise<void> = open.file.close().then(
      () => void this.#closing.delete(closing),
      () => void this.#closing.delete(closing),
    );
    this.#closing.add(closing);
  }
}
