import { Fifo } from '#base/fifo';

/** What an operation asks of a thread: `sync` may take it for milliseconds, `urgent` must never wait for the others. */
export type IoKind = 'data' | 'sync' | 'urgent';

/**
 * Shares out libuv's threads, which know no priority: one is always free for urgent work (the metadata log's writes and
 * fsyncs), and syncs take at most half of them, so that cold reads never queue behind fsyncs. One per process where its
 * disks share one; the queues are bounded by what the files' owners have asked for and not yet got.
 */
export class IoPool {
  readonly #runningMax: number;
  readonly #syncsMax: number;
  readonly #data = new Fifo<() => void>();
  readonly #syncs = new Fifo<() => void>();
  #running = 0;
  #runningSyncs = 0;

  /** `threads`: UV_THREADPOOL_SIZE; 4 is libuv's default. */
  constructor(threads: number) {
    this.#runningMax = Math.max(1, threads - 1);
    this.#syncsMax = Math.max(1, threads >> 1);
  }

  /** Calls `start` at once or when a thread is free; `release` of the same kind must follow when its work is done. */
  acquire(kind: IoKind, start: () => void): void {
    if (kind === 'urgent') {
      start();
      return;
    }
    (kind === 'sync' ? this.#syncs : this.#data).push(start);
    this.#startNext();
  }

  release(kind: IoKind): void {
    if (kind === 'urgent') return;
    this.#running -= 1;
    if (kind === 'sync') this.#runningSyncs -= 1;
    this.#startNext();
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => this.acquire('data', resolve));
    try {
      return await work();
    } finally {
      this.release('data');
    }
  }

  #startNext(): void {
    while (this.#running < this.#runningMax) {
      if (this.#syncs.length > 0 && this.#runningSyncs < this.#syncsMax) {
        this.#running += 1;
        this.#runningSyncs += 1;
        this.#syncs.shift()();
      } else if (this.#data.length > 0) {
        this.#running += 1;
        this.#data.shift()();
      } else return;
    }
  }
}
