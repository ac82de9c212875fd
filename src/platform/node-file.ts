import { close, constants, fdatasync, fstat, ftruncate, open, read, write, writev } from 'node:fs';
import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Done, File, IoError } from '#base/ports';
import { ioError, toIoError } from './io-error.ts';
import type { IoKind, IoPool } from './io-pool.ts';

const { O_RDONLY, O_RDWR, O_CREAT } = constants;

interface Operation {
  readonly kind: 'read' | 'write' | 'sync' | 'truncate';
  readonly done: Done;
  /** Of a read one, of a write any number, else none. */
  readonly chunks: readonly Uint8Array[];
  /** Where in the file; of a truncate the new size. */
  readonly at: number;
  failure: IoError | undefined;
  bytes: number;
  finished: boolean;
}

/**
 * A file over node:fs callbacks. Operations start in the order asked: a read or write when the writes before it have
 * ended, so that it sees them; a sync overlaps both. They complete in the order asked, so a reader that must not wait
 * for syncs opens the path a second time. Its owner bounds what is in flight.
 */
export class NodeFile implements File {
  readonly #fd: number;
  readonly #pool: IoPool;
  readonly #urgent: boolean;
  readonly #path: string;
  /** Asked and not completed, in order; the first `#started` of them are running or finished. */
  readonly #operations = new Fifo<Operation>();
  #started = 0;
  #running = 0;
  #runningWrites = 0;
  #runningSyncs = 0;
  #syncFailure: IoError | undefined;
  #closed = false;
  #idle: (() => void) | undefined;

  private constructor(path: string, fd: number, pool: IoPool, urgent: boolean) {
    this.#path = path;
    this.#fd = fd;
    this.#pool = pool;
    this.#urgent = urgent;
  }

  /** Rejects with the system's own error. */
  static open(path: string, mode: 'read' | 'write', pool: IoPool, urgent: boolean): Promise<NodeFile> {
    return new Promise((resolve, reject) => {
      open(path, mode === 'read' ? O_RDONLY : O_RDWR | O_CREAT, 0o644, (failure, fd) => {
        if (failure) reject(failure);
        else resolve(new NodeFile(path, fd, pool, urgent));
      });
    });
  }

  read(into: Uint8Array, at: number, done: Done): void {
    this.#ask('read', [into], at, done);
  }

  write(chunks: readonly Uint8Array[], at: number, done: Done): void {
    this.#ask('write', chunks, at, done);
  }

  sync(done: Done): void {
    this.#ask('sync', [], 0, done);
  }

  truncate(sizeBytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#ask('truncate', [], sizeBytes, (failure) => (failure ? reject(failure) : resolve()));
    });
  }

  /** Does not wait for what is in flight. */
  sizeBytes(): Promise<number> {
    return this.#pool.run(
      () =>
        new Promise((resolve, reject) => {
          fstat(this.#fd, (failure, stats) => (failure ? reject(toIoError(failure)) : resolve(stats.size)));
        }),
    );
  }

  async close(): Promise<void> {
    assert(!this.#closed, 'a file is closed once');
    this.#closed = true;
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    this.#operations.drain();
    await new Promise<void>((resolve, reject) => {
      close(this.#fd, (failure) => (failure ? reject(toIoError(failure)) : resolve()));
    });
  }

  #ask(kind: Operation['kind'], chunks: readonly Uint8Array[], at: number, done: Done): void {
    assert(!this.#closed, 'a closed file is not used');
    this.#operations.push({ kind, done, chunks, at, failure: undefined, bytes: 0, finished: false });
    this.#startNext();
  }

  #startNext(): void {
    for (;;) {
      const next = this.#operations.peek(this.#started);
      if (this.#closed || next === undefined || !this.#mayStart(next)) return;
      this.#started += 1;
      this.#running += 1;
      if (next.kind === 'sync') this.#runningSyncs += 1;
      else if (next.kind !== 'read') this.#runningWrites += 1;
      this.#pool.acquire(this.#ioKind(next), () => this.#run(next));
    }
  }

  #mayStart(next: Operation): boolean {
    switch (next.kind) {
      case 'read':
      case 'write':
        return this.#runningWrites === 0;
      case 'sync':
        return this.#runningSyncs === 0;
      default:
        return this.#running === 0;
    }
  }

  #ioKind(operation: Operation): IoKind {
    if (this.#urgent) return 'urgent';
    return operation.kind === 'sync' ? 'sync' : 'data';
  }

  #run(operation: Operation): void {
    if (operation.kind !== 'read' && this.#syncFailure !== undefined) {
      // What a failed fsync has dropped from the page cache is gone: nothing may be acknowledged on top of it.
      setImmediate(() => this.#finish(operation, this.#syncFailure));
      return;
    }
    switch (operation.kind) {
      case 'read':
        this.#readRest(operation, operation.chunks[0] as Uint8Array);
        return;
      case 'write':
        this.#writeRest(operation, operation.chunks);
        return;
      case 'sync':
        fdatasync(this.#fd, (failure) => this.#finish(operation, failure ? toIoError(failure) : undefined));
        return;
      default:
        ftruncate(this.#fd, operation.at, (failure) =>
          this.#finish(operation, failure ? toIoError(failure) : undefined),
        );
    }
  }

  /** A short read is the end of the file only if the next one gives nothing. */
  #readRest(operation: Operation, into: Uint8Array): void {
    read(
      this.#fd,
      into,
      operation.bytes,
      into.length - operation.bytes,
      operation.at + operation.bytes,
      (failure, bytes) => {
        operation.bytes += failure ? 0 : bytes;
        if (failure) this.#finish(operation, toIoError(failure));
        else if (bytes === 0 || operation.bytes === into.length) this.#finish(operation, undefined);
        else this.#readRest(operation, into);
      },
    );
  }

  /** libuv cuts at IOV_MAX and goes on after a short write, but tells of one that a failure (a full disk) has ended as a success. */
  #writeRest(operation: Operation, rest: readonly Uint8Array[]): void {
    const sizeBytes = rest.reduce((sum, chunk) => sum + chunk.length, 0);
    const position = operation.at + operation.bytes;
    const written = (failure: Error | null, bytes: number): void => {
      operation.bytes += failure ? 0 : bytes;
      if (failure) this.#finish(operation, toIoError(failure));
      else if (bytes === sizeBytes) this.#finish(operation, undefined);
      else if (bytes === 0) this.#finish(operation, ioError('EIO', `nothing was written to ${this.#path}`));
      else this.#writeRest(operation, behind(rest, bytes));
    };
    if (sizeBytes === 0) setImmediate(written, null, 0);
    else if (rest.length === 1) write(this.#fd, rest[0] as Uint8Array, 0, sizeBytes, position, written);
    else writev(this.#fd, rest, position, written);
  }

  #finish(operation: Operation, failure: IoError | undefined): void {
    this.#pool.release(this.#ioKind(operation));
    operation.failure = failure;
    operation.finished = true;
    this.#running -= 1;
    if (operation.kind === 'sync') {
      this.#runningSyncs -= 1;
      this.#syncFailure ??= failure;
    } else if (operation.kind !== 'read') this.#runningWrites -= 1;
    if (this.#closed) {
      if (this.#running === 0) this.#idle?.();
      return;
    }
    for (let first = this.#operations.peek(); first?.finished && !this.#closed; first = this.#operations.peek()) {
      this.#operations.shift();
      this.#started -= 1;
      first.done(first.failure, first.bytes);
    }
    this.#startNext();
  }
}

/** `chunks` without their first `count` bytes. */
function behind(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = count;
  for (const chunk of chunks) {
    if (skip < chunk.length) rest.push(chunk.subarray(skip));
    skip = Math.max(0, skip - chunk.length);
  }
  return rest;
}
