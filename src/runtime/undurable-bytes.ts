import { assert } from '#base/assert';
import { type Offset, offset } from '#model/ids';

/** What has been fetched and is not on disk yet: it is held in memory until then. No more is fetched above `limitBytes`. */
export class UndurableBytes {
  readonly #limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get hasRoom(): boolean {
    return this.#usedBytes <= this.#limitBytes;
  }

  add(sizeBytes: number): void {
    this.#usedBytes += sizeBytes;
  }

  release(sizeBytes: number): void {
    this.#usedBytes -= sizeBytes;
    assert(this.#usedBytes >= 0, 'no more is released than was added');
  }
}

/** One log's part of it. */
export class UndurableTail {
  readonly #all: UndurableBytes;
  /** By their ends, which ascend. */
  readonly #pieces: { readonly end: Offset; readonly sizeBytes: number }[] = [];

  constructor(all: UndurableBytes) {
    this.#all = all;
  }

  /** So many bytes are new in the log, which ends at `end` with them. */
  append(end: Offset, sizeBytes: number): void {
    this.#pieces.push({ end, sizeBytes });
    this.#all.add(sizeBytes);
  }

  /** What lies below is on the disk. */
  durable(durableOffset: Offset): void {
    while (this.#pieces[0] !== undefined && this.#pieces[0].end <= durableOffset)
      this.#all.release(this.#pieces.shift()?.sizeBytes ?? 0);
  }

  /** The log has lost what lies above, which will never be on the disk. */
  truncateTo(logEndOffset: Offset): void {
    for (let last = this.#pieces.at(-1); last !== undefined && last.end > logEndOffset; last = this.#pieces.at(-1)) {
      this.#pieces.pop();
      this.#all.release(last.sizeBytes);
    }
  }

  clear(): void {
    this.truncateTo(offset(0));
  }
}
