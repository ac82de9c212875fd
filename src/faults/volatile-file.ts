import { assert } from '#base/assert';
import type { Done, File, IoError, Random } from '#base/ports';

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512;

/** One write, or a truncate to `at` if it has no bytes. */
interface Change {
  readonly at: number;
  readonly bytes: Uint8Array | undefined;
}

/**
 * The content of one file as its users see it: what the inner disk holds, and over it the changes that are in memory
 * only, in order. A sync settles the changes before it; settled ones reach the inner file as soon as there is one, that
 * is when the folder that names it was synced. Memory is bounded by what was not synced.
 */
export class VolatileFile {
  /** Handles that are open on it. */
  users = 0;
  /** Set by a failed sync: the file accepts nothing more. */
  failure: IoError | undefined;
  sizeBytes: number;
  #inner: File | undefined;
  /** Replaced, never shifted, when some have reached the inner file: a read that is under way keeps what it has begun with. */
  #changes: Change[] = [];
  /** Of all changes ever made, how many have reached the inner file, and how many were synced. */
  #flushedCount = 0;
  #settledCount = 0;
  #flushing: Promise<void> = Promise.resolve();
  #dead = false;

  constructor(inner: File | undefined, sizeBytes: number) {
    this.#inner = inner;
    this.sizeBytes = sizeBytes;
  }

  /** All changes so far; what `settle` takes. */
  get changeCount(): number {
    return this.#flushedCount + this.#changes.length;
  }

  get hasChanges(): boolean {
    return this.#changes.length > 0;
  }

  /** Something was synced that the inner file does not have. */
  get hasSettled(): boolean {
    return this.#settledCount > this.#flushedCount;
  }

  /** Copies the chunks. */
  write(chunks: readonly Uint8Array[], at: number): void {
    const bytes = Buffer.concat(chunks);
    this.#changes.push({ at, bytes });
    this.sizeBytes = Math.max(this.sizeBytes, at + bytes.length);
  }

  truncate(sizeBytes: number): void {
    this.#changes.push({ at: sizeBytes, bytes: undefined });
    this.sizeBytes = sizeBytes;
  }

  /** `done` runs inside the call if there is no inner file to ask. */
  read(into: Uint8Array, at: number, done: Done): void {
    const length = Math.max(0, Math.min(into.length, this.sizeBytes - at));
    const window = into.subarray(0, length);
    const changes = this.#changes;
    const count = changes.length;
    const overlay = (failure: IoError | undefined, innerBytes: number): void => {
      if (failure) {
        done(failure, 0);
        return;
      }
      window.fill(0, innerBytes);
      for (let index = 0; index < count; index++) applyTo(window, at, changes[index] as Change);
      done(undefined, length);
    };
    if (this.#inner === undefined || length === 0) overlay(undefined, 0);
    else this.#inner.read(window, at, overlay);
  }

  /** The first `count` changes are to survive a crash. */
  settle(count: number): void {
    this.#settledCount = Math.max(this.#settledCount, count);
  }

  /** The folder now names it: settled changes have a place to go to. */
  attach(inner: File): void {
    assert(this.#inner === undefined, 'a file has one place');
    this.#inner = inner;
  }

  /** Brings the settled changes to the inner file and syncs it, if there is one. One flush at a time. */
  flush(): Promise<void> {
    const flushed = this.#flushing.then(() => this.#flush());
    this.#flushing = flushed.catch(() => {
      // Told to whoever asked for it; the next one is refused by `failure`.
    });
    return flushed;
  }

  /** Stops a flush that is under way, then leaves on the inner file what a power cut might: see `survivors`. */
  async crash(random: Random): Promise<void> {
    this.#dead = true;
    await this.#flushing;
    const inner = this.#inner;
    if (inner === undefined) return;
    const settled = this.#settledCount - this.#flushedCount;
    const kept = [...this.#changes.slice(0, settled), ...survivors(this.#changes.slice(settled), random)];
    for (const change of kept) await apply(inner, [change]);
    await inner.close();
  }

  /** What was not synced is lost. */
  async close(): Promise<void> {
    this.#dead = true;
    await this.#flushing;
    await this.#inner?.close();
  }

  async #flush(): Promise<void> {
    const inner = this.#inner;
    if (inner === undefined) return;
    while (this.#flushedCount < this.#settledCount && !this.#dead) {
      const run = adjacent(this.#changes, this.#settledCount - this.#flushedCount);
      await apply(inner, run);
      this.#changes = this.#changes.slice(run.length);
      this.#flushedCount += run.length;
    }
    if (!this.#dead) await completion((done) => inner.sync(done));
  }
}

/** The longest run at the head of `changes`, at most `countMax`, that one write can carry. */
function adjacent(changes: readonly Change[], countMax: number): Change[] {
  const run: Change[] = [];
  let end: number | undefined;
  for (const change of changes) {
    if (run.length === countMax || (run.length > 0 && (change.bytes === undefined || change.at !== end))) break;
    run.push(change);
    if (change.bytes === undefined) break;
    end = change.at + change.bytes.length;
  }
  return run;
}

async function apply(inner: File, run: readonly Change[]): Promise<void> {
  const first = run[0] as Change;
  if (first.bytes === undefined) await inner.truncate(first.at);
  else {
    const chunks = run.map((change) => change.bytes as Uint8Array);
    await completion((done) => inner.write(chunks, first.at, done));
  }
}

function completion(start: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => start((failure) => (failure ? reject(failure) : resolve())));
}

/** Does to `window`, which shows the file from `windowAt` on, what `change` does to the file. */
function applyTo(window: Uint8Array, windowAt: number, change: Change): void {
  const from = change.at - windowAt;
  if (change.bytes === undefined) {
    if (from < window.length) window.fill(0, Math.max(0, from));
    return;
  }
  const skip = Math.max(0, -from);
  const length = Math.min(change.bytes.length - skip, window.length - Math.max(0, from));
  if (length > 0) window.set(change.bytes.subarray(skip, skip + length), Math.max(0, from));
}

/**
 * What a power cut leaves of changes that were not synced: nothing; the first ones and a torn one; or any sectors of any
 * of them, in which case later data may stand behind a hole of zeros.
 */
function survivors(changes: readonly Change[], random: Random): Change[] {
  if (changes.length === 0) return [];
  switch (random.uint32() % 3) {
    case 0:
      return [];
    case 1: {
      const whole = random.uint32() % (changes.length + 1);
      return [...changes.slice(0, whole), ...changes.slice(whole, whole + 1).flatMap((change) => torn(change, random))];
    }
    default:
      return changes.flatMap((change) => torn(change, random));
  }
}

/** Each sector of it is there or not; a truncate is there or not. */
function torn(change: Change, random: Random): Change[] {
  if (change.bytes === undefined) return random.uint32() % 2 === 0 ? [change] : [];
  const pieces: Change[] = [];
  for (let at = 0; at < change.bytes.length; ) {
    const end = Math.min(change.bytes.length, at + SECTOR_BYTES - ((change.at + at) % SECTOR_BYTES));
    if (random.uint32() % 2 === 0) pieces.push({ at: change.at + at, bytes: change.bytes.subarray(at, end) });
    at = end;
  }
  return pieces;
}
