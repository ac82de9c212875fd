import { assert } from '#base/assert';
import type { Disk, Done, File, IoError, IoErrorCode, Random } from '#base/ports';
import type { EventQueue } from './event-queue.ts';
import { Life } from './life.ts';
import { between } from './sim-random.ts';

const LATENCY_MS_MIN = 0.02;
const LATENCY_MS_MAX = 0.2;

interface Content {
  /** At least `sizeBytes` long; zeros beyond it. */
  bytes: Uint8Array;
  sizeBytes: number;
}

interface Folder {
  readonly names: Map<string, Content | Folder>;
}

/**
 * A disk in memory that survives its nodes. What has completed is on it for good; a FaultDisk over it forgets what was
 * not synced. Operations take effect when they complete, after a short random while.
 */
export class MemoryDisk implements Disk {
  readonly path: string;
  readonly #events: EventQueue;
  readonly #random: Random;
  readonly #sizeBytes: number;
  readonly #root: Folder = { names: new Map() };
  #life = new Life('disk', 0);
  #locked = false;
  #usedBytes = 0;
  #changeCount = 0;

  constructor(path: string, events: EventQueue, random: Random, sizeBytes: number) {
    this.path = path;
    this.#events = events;
    this.#random = random;
    this.#sizeBytes = sizeBytes;
  }

  /** The process that used it dies: its completions do not run, its lock is free. */
  kill(): void {
    this.#life.alive = false;
    this.#life = new Life('disk', 0);
    this.#locked = false;
  }

  /** Somebody puts an empty disk in its place, while nobody uses it. */
  wipe(): void {
    this.kill();
    this.#root.names.clear();
    this.#usedBytes = 0;
    this.#changeCount += 1;
  }

  /** Rises with every change: for those who read along. */
  get changeCount(): number {
    return this.#changeCount;
  }

  /** What the file holds now, borrowed; undefined if there is none. For checkers: no event, no trace. */
  peek(path: string): Uint8Array | undefined {
    const { folder, name } = this.#place(path);
    const content = folder?.names.get(name);
    if (content === undefined || isFolder(content)) return undefined;
    return content.bytes.subarray(0, content.sizeBytes);
  }

  /** A byte of the file changes by itself, and nobody is told. */
  rot(path: string, at: number, mask: number): void {
    const bytes = this.peek(path);
    assert(bytes?.[at] !== undefined && mask > 0, 'there is such a byte, and it becomes another');
    bytes[at] = (bytes[at] as number) ^ mask;
    this.#changeCount += 1;
  }

  /** The names in the folder, in no order; none if there is no such folder. */
  peekNames(path: string): readonly string[] {
    return [...(this.#folder(segments(path))?.names.keys() ?? [])];
  }

  lock(): Promise<void> {
    return this.#cold(() => {
      if (this.#locked) throw ioError('ELOCKED', this.path);
      this.#locked = true;
    });
  }

  open(path: string, mode: 'read' | 'write'): Promise<File> {
    return this.#cold(() => {
      const { folder, name } = this.#place(path);
      let content = folder?.names.get(name);
      if (content === undefined && folder !== undefined && mode === 'write') {
        content = { bytes: new Uint8Array(0), sizeBytes: 0 };
        folder.names.set(name, content);
        this.#changeCount += 1;
      }
      if (content === undefined || isFolder(content)) throw ioError('ENOENT', path);
      return new MemoryFile(content, {
        after: (earliest, run) => this.#after(earliest, run),
        resize: (file, sizeBytes) => this.#resize(file, sizeBytes),
        changed: () => {
          this.#changeCount += 1;
        },
      });
    });
  }

  list(path: string): Promise<readonly string[]> {
    return this.#cold(() => {
      const folder = this.#folder(segments(path));
      if (folder === undefined) throw ioError('ENOENT', path);
      return [...folder.names.keys()].sort();
    });
  }

  makeDir(path: string): Promise<void> {
    return this.#cold(() => {
      let folder = this.#root;
      for (const name of segments(path)) {
        const known = folder.names.get(name);
        if (known !== undefined && !isFolder(known)) throw ioError('EEXIST', path);
        const next = known ?? { names: new Map() };
        folder.names.set(name, next);
        folder = next;
      }
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#cold(() => {
      const source = this.#place(from);
      const target = this.#place(to);
      const moved = source.folder?.names.get(source.name);
      if (moved === undefined || target.folder === undefined) throw ioError('ENOENT', from);
      const replaced = target.folder.names.get(target.name);
      if (replaced === moved) return;
      if (replaced !== undefined && isFolder(replaced)) throw ioError('EEXIST', to);
      if (replaced !== undefined) this.#usedBytes -= replaced.sizeBytes;
      source.folder?.names.delete(source.name);
      target.folder.names.set(target.name, moved);
      this.#changeCount += 1;
    });
  }

  remove(path: string): Promise<void> {
    return this.#cold(() => {
      const { folder, name } = this.#place(path);
      const removed = folder?.names.get(name);
      if (removed === undefined) return;
      this.#usedBytes -= sizeOf(removed);
      folder?.names.delete(name);
      this.#changeCount += 1;
    });
  }

  syncDir(path: string): Promise<void> {
    return this.#cold(() => {
      if (this.#folder(segments(path)) === undefined) throw ioError('ENOENT', path);
    });
  }

  freeBytes(): Promise<number> {
    return this.#cold(() => this.#sizeBytes - this.#usedBytes);
  }

  totalBytes(): Promise<number> {
    return this.#cold(() => this.#sizeBytes);
  }

  close(): Promise<void> {
    return this.#cold(() => {
      this.#locked = false;
    });
  }

  #cold<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#after(0, () => {
        try {
          resolve(work());
        } catch (failure) {
          reject(failure);
        }
      });
    });
  }

  /** After a while, and not before `earliest`; gives the time. */
  #after(earliest: number, run: () => void): number {
    const soon = this.#events.now + between(this.#random, LATENCY_MS_MIN, LATENCY_MS_MAX);
    const time = Math.max(soon, earliest);
    this.#events.at(time, this.#life, run);
    return time;
  }

  /** False if there is no room. */
  #resize(content: Content, sizeBytes: number): boolean {
    const growth = sizeBytes - content.sizeBytes;
    if (this.#usedBytes + growth > this.#sizeBytes) return false;
    this.#usedBytes += growth;
    if (sizeBytes > content.bytes.length) {
      const bytes = new Uint8Array(Math.max(sizeBytes, content.bytes.length * 2));
      bytes.set(content.bytes.subarray(0, content.sizeBytes));
      content.bytes = bytes;
    } else content.bytes.fill(0, sizeBytes, content.sizeBytes);
    content.sizeBytes = sizeBytes;
    return true;
  }

  #place(path: string): { folder: Folder | undefined; name: string } {
    const names = segments(path);
    const name = names.pop();
    assert(name !== undefined, 'the data directory itself is not opened, renamed or removed');
    return { folder: this.#folder(names), name };
  }

  #folder(names: readonly string[]): Folder | undefined {
    let folder = this.#root;
    for (const name of names) {
      const next = folder.names.get(name);
      if (next === undefined || !isFolder(next)) return undefined;
      folder = next;
    }
    return folder;
  }
}

interface FileContext {
  after(earliest: number, run: () => void): number;
  resize(content: Content, sizeBytes: number): boolean;
  changed(): void;
}

/** Completes in the order asked. */
class MemoryFile implements File {
  readonly #content: Content;
  readonly #context: FileContext;
  /** When the last operation completes. */
  #lastAt = 0;
  #closed = false;

  constructor(content: Content, context: FileContext) {
    this.#content = content;
    this.#context = context;
  }

  read(into: Uint8Array, at: number, done: Done): void {
    this.#ask(() => {
      const found = this.#content.bytes.subarray(Math.min(at, this.#content.sizeBytes), this.#content.sizeBytes);
      const taken = found.subarray(0, into.length);
      into.set(taken);
      done(undefined, taken.length);
    });
  }

  write(chunks: readonly Uint8Array[], at: number, done: Done): void {
    this.#ask(() => {
      const end = chunks.reduce((sum, chunk) => sum + chunk.length, at);
      if (end > this.#content.sizeBytes && !this.#context.resize(this.#content, end)) {
        done(ioError('ENOSPC', 'the disk is full'), 0);
        return;
      }
      this.#context.changed();
      let next = at;
      for (const chunk of chunks) {
        this.#content.bytes.set(chunk, next);
        next += chunk.length;
      }
      done(undefined, next - at);
    });
  }

  sync(done: Done): void {
    this.#ask(() => done(undefined, 0));
  }

  sizeBytes(): Promise<number> {
    return new Promise((resolve) => this.#ask(() => resolve(this.#content.sizeBytes)));
  }

  truncate(sizeBytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#ask(() => {
        this.#context.changed();
        if (this.#context.resize(this.#content, sizeBytes)) resolve();
        else reject(ioError('ENOSPC', 'the disk is full'));
      });
    });
  }

  close(): Promise<void> {
    assert(!this.#closed, 'a file is closed once');
    this.#closed = true;
    return new Promise((resolve) => {
      this.#context.after(this.#lastAt, resolve);
    });
  }

  #ask(run: () => void): void {
    assert(!this.#closed, 'a closed file is not used');
    // Strictly later, as equal times are decided by lot.
    this.#lastAt = this.#context.after(this.#lastAt + 0.001, () => {
      if (!this.#closed) run();
    });
  }
}

function isFolder(node: Content | Folder): node is Folder {
  return 'names' in node;
}

function sizeOf(node: Content | Folder): number {
  if (!isFolder(node)) return node.sizeBytes;
  return [...node.names.values()].reduce((sum, child) => sum + sizeOf(child), 0);
}

function segments(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

function ioError(code: IoErrorCode, message: string): IoError {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
