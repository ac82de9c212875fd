import type { Disk, Done, File, IoError } from '#base/ports';
import type { EventQueue } from './event-queue.ts';
import type { Life } from './life.ts';
import type { Trace } from './trace.ts';

/** A disk as one process sees it: completions wait while the process is stalled, and do not come once it is dead. Each counts in the trace. */
export class ProcessDisk implements Disk {
  readonly #inner: Disk;
  readonly #context: Context;

  constructor(inner: Disk, events: EventQueue, life: Life, forgetsFolders: boolean) {
    this.#inner = inner;
    this.#context = new Context(events, life, forgetsFolders);
  }

  get path(): string {
    return this.#inner.path;
  }

  lock(): Promise<void> {
    return this.#context.settle('lock', '', this.#inner.lock());
  }

  async open(path: string, mode: 'read' | 'write'): Promise<File> {
    return new ProcessFile(
      await this.#context.settle(`open for ${mode}`, path, this.#inner.open(path, mode)),
      path,
      this.#context,
    );
  }

  list(path: string): Promise<readonly string[]> {
    return this.#context.settle('list', path, this.#inner.list(path));
  }

  makeDir(path: string): Promise<void> {
    return this.#context.settle('makeDir', path, this.#inner.makeDir(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#context.settle('rename to', to, this.#inner.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#context.settle('remove', path, this.#inner.remove(path));
  }

  syncDir(path: string): Promise<void> {
    // A planted bug: it still takes its time, and fails where there is no such folder.
    const synced = this.#context.forgetsFolders ? this.#inner.list(path).then(() => {}) : this.#inner.syncDir(path);
    return this.#context.settle('syncDir', path, synced);
  }

  freeBytes(): Promise<number> {
    return this.#context.settle('freeBytes', '', this.#inner.freeBytes());
  }

  totalBytes(): Promise<number> {
    return this.#context.settle('totalBytes', '', this.#inner.totalBytes());
  }

  close(): Promise<void> {
    return this.#context.settle('close', '', this.#inner.close());
  }
}

class ProcessFile implements File {
  readonly #inner: File;
  readonly #path: string;
  readonly #context: Context;

  constructor(inner: File, path: string, context: Context) {
    this.#inner = inner;
    this.#path = path;
    this.#context = context;
  }

  read(into: Uint8Array, at: number, done: Done): void {
    this.#inner.read(into, at, (failure, bytes) => {
      this.#context.deliver('read', this.#path, failure, () => {
        this.#context.trace.bytes(into.subarray(0, bytes));
        done(failure, bytes);
      });
    });
  }

  write(chunks: readonly Uint8Array[], at: number, done: Done): void {
    this.#inner.write(chunks, at, (failure, bytes) => {
      this.#context.deliver('write', this.#path, failure, () => {
        this.#context.trace.word(bytes);
        done(failure, bytes);
      });
    });
  }

  sync(done: Done): void {
    this.#inner.sync((failure, bytes) => {
      this.#context.deliver('sync', this.#path, failure, () => done(failure, bytes));
    });
  }

  sizeBytes(): Promise<number> {
    return this.#context.settle('sizeBytes', this.#path, this.#inner.sizeBytes());
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#context.settle('truncate', this.#path, this.#inner.truncate(sizeBytes));
  }

  close(): Promise<void> {
    return this.#context.settle('close', this.#path, this.#inner.close());
  }
}

class Context {
  readonly trace: Trace;
  readonly forgetsFolders: boolean;
  readonly #events: EventQueue;
  readonly #life: Life;

  constructor(events: EventQueue, life: Life, forgetsFolders: boolean) {
    this.trace = events.trace;
    this.forgetsFolders = forgetsFolders;
    this.#events = events;
    this.#life = life;
  }

  deliver(what: string, path: string, failure: IoError | undefined, run: () => void): void {
    this.#events.deliver(this.#life, () => {
      this.trace.word(this.#life.number);
      this.trace.text(what);
      if (failure !== undefined) this.trace.text(failure.code);
      if (this.trace.isRead)
        this.trace.say(
          this.#events.now,
          this.#life.name,
          `disk: ${what} ${path}${failure ? ` failed: ${failure.code}` : ''}`,
        );
      run();
    });
  }

  settle<T>(what: string, path: string, promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => this.deliver(what, path, undefined, () => resolve(value)),
        (failure: IoError) => this.deliver(what, path, failure, () => reject(failure)),
      );
    });
  }
}
