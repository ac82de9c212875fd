import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Clock, Done, File, IoError } from '#base/ports';
import type { VolatileFile } from './volatile-file.ts';

export type FileOperation = 'read' | 'write' | 'sync' | 'truncate';

/** What a handle needs of its disk. */
export interface FileContext {
  readonly clock: Clock;
  readonly ignoreSync: boolean;
  isDead(): boolean;
  isFull(): boolean;
  /** The fault to strike the operation with, after its delay. */
  strike(operation: FileOperation, proceed: (failure: IoError | undefined) => void): void;
  failure(message: string): IoError;
  noRoom(): IoError;
  released(file: FaultFile): Promise<void>;
}

interface Operation {
  readonly kind: FileOperation;
  readonly work: (finish: Done) => void;
  readonly done: Done;
}

/** An open file of a FaultDisk: its operations run one after the other, in the order asked. */
export class FaultFile implements File {
  readonly #context: FileContext;
  readonly #content: VolatileFile;
  readonly #queue = new Fifo<Operation>();
  #busy = false;
  #closed = false;
  #idle: (() => void) | undefined;

  constructor(context: FileContext, content: VolatileFile) {
    this.#context = context;
    this.#content = content;
    content.users += 1;
  }

  read(into: Uint8Array, at: number, done: Done): void {
    this.#ask('read', (finish) => this.#content.read(into, at, finish), done);
  }

  write(chunks: readonly Uint8Array[], at: number, done: Done): void {
    const work = (finish: Done): void => {
      const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      if (at + sizeBytes > this.#content.sizeBytes && this.#context.isFull()) return finish(this.#context.noRoom(), 0);
      this.#content.write(chunks, at);
      finish(undefined, sizeBytes);
    };
    this.#ask('write', work, done);
  }

  sync(done: Done): void {
    const covered = this.#content.changeCount;
    const work = (finish: Done): void => {
      if (this.#context.ignoreSync) {
        finish(undefined, 0);
        return;
      }
      this.#content.settle(covered);
      this.#content.flush().then(
        () => finish(undefined, 0),
        (failure: IoError) => finish(failure, 0),
      );
    };
    this.#ask('sync', work, done);
  }

  truncate(sizeBytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const work = (finish: Done): void => {
        this.#content.truncate(sizeBytes);
        finish(undefined, 0);
      };
      this.#ask('truncate', work, (failure) => (failure ? reject(failure) : resolve()));
    });
  }

  sizeBytes(): Promise<number> {
    return new Promise((resolve) => {
      this.#context.clock.defer(() => {
        if (!this.#context.isDead()) resolve(this.#content.sizeBytes);
      });
    });
  }

  async close(): Promise<void> {
    assert(!this.#closed, 'a file is closed once');
    this.#closed = true;
    this.#queue.drain();
    await this.#release();
  }

  /** The process that held it is gone: what it had asked for and was not begun is not done. Resolves when the rest is. */
  async abandon(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.drain();
    if (this.#busy) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    await this.#release();
  }

  #release(): Promise<void> {
    this.#content.users -= 1;
    return this.#context.released(this);
  }

  #ask(kind: FileOperation, work: (finish: Done) => void, done: Done): void {
    assert(!this.#closed, 'a closed file is not used');
    this.#queue.push({ kind, work, done });
    if (!this.#busy) this.#startNext();
  }

  #startNext(): void {
    if (this.#queue.length === 0) return;
    this.#busy = true;
    const operation = this.#queue.shift();
    const finish = (failure: IoError | undefined, bytes: number): void => {
      if (this.#context.isDead()) return;
      if (operation.kind === 'sync') this.#content.failure ??= failure;
      this.#busy = false;
      this.#idle?.();
      if (this.#closed) return;
      operation.done(failure, bytes);
      if (!this.#busy) this.#startNext();
    };
    this.#context.strike(operation.kind, (struck) => {
      if (this.#context.isDead()) return;
      if (this.#idle !== undefined) {
        this.#busy = false;
        this.#idle();
        return;
      }
      const refused = operation.kind === 'read' ? undefined : this.#content.failure;
      const failure = struck ?? (refused && this.#context.failure('an earlier sync of the file has failed'));
      if (failure) finish(failure, 0);
      else operation.work(finish);
    });
  }
}
