import { assert } from '#base/assert';
import { type Offset, offset } from '#model/ids';

/**
 * What all the followers of a node have fetched and not on their disks yet: it is held in memory until then. Above `limitBytes` nobody
 * asks for more, so that the bound of what counts is that and one response of each leader.
 */
export class UndurableBytes {
  readonly #limitBytes: number;
  #usedBytes = 0;
  /** Of each leader's fetcher at most one. */
  readonly #waiting = new Set<() => void>();

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get hasRoom(): boolean {
    return this.#usedBytes <= this.#limitBytes;
  }

  /** Runs `retry` once when there is room again; it may be told many times. */
  whenRoom(retry: () => void): void {
    this.#waiting.add(retry);
  }

  add(sizeBytes: number): void {
    this.#usedBytes += sizeBytes;
  }

  release(sizeBytes: number): void {
    this.#usedBytes -= sizeBytes;
    assert(this.#usedBytes >= 0, 'no more is released than was added');
    if (!this.hasRoom || this.#waiting.size === 0) return;
    const woken = [...this.#waiting];
    this.#waiting.clear();
    for (const retry of woken) retry();
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

/**
 * A piece holds the whole frame that it came in: a small one is copied, so that no more is held than four times what counts. Measured:
 * 0.3 µs for 200 bytes, 5 µs for 16 KiB.
 */
export function withoutFrame(piece: Uint8Array): Uint8Array {
  return 4 * piece.length < piece.buffer.byteLength ? new Uint8Array(piece) : piece;
}
