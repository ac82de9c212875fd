import { Fifo } from '#base/fifo';
import type { IoError } from '#base/ports';
import type { Offset, Uuid } from '#model/ids';
import type { FlushPolicy } from '#model/topic-config';
import type { CommitMember } from './commit-rounds.ts';
import { isTransient } from './files.ts';
import type { JournalEntry } from './journal-format.ts';
import type { LogDirectory } from './log-directory.ts';
import type { OpenFile } from './open-files.ts';
import type { Segment } from './segment.ts';
import type { LogTail, TailEntry } from './tail-cache.ts';

/** The log whose writes these are. */
export interface WriterOwner {
  readonly topicId: Uuid;
  readonly partition: number;
  /** Makes the segment's name, and that of its folder, durable. */
  name(segment: Segment): Promise<void>;
  /** Everything below `end` is in the log's files, and will not be rejected. */
  written(end: Offset): void;
  /** Everything below `end` is durable now, by the log's flush policy. */
  durable(end: Offset): void;
  /** There was no room: what was appended from `from` on is dropped, and the segment's file may hold anything behind it. */
  rejected(from: Offset): void;
}

/** A segment that has been written to and not synced to its end. */
interface Target {
  readonly segment: Segment;
  readonly file: OpenFile;
  /** Everything below that belongs to the segment is in the file. */
  written: Offset;
}

interface SyncWaiter {
  readonly upTo: Offset;
  readonly done: (isDurable: boolean) => void;
}

/** One write's size: bounds how long a sync of the same file waits for it. */
const WRITE_BYTES_MAX = 8 * 1024 * 1024;
const WRITE_CHUNKS_MAX = 512;

/**
 * The way of one log's batches to its files. One write at a time takes all that waits; the next goes on while the one before it
 * is synced. What is queued and not durable is bounded by the request memory of those who appended it: they wait.
 */
export class LogWriter implements CommitMember {
  readonly #owner: WriterOwner;
  readonly #directory: LogDirectory;
  readonly #tail: LogTail;
  readonly #queue = new Fifo<TailEntry>();
  /** The oldest first; the last one is being written to. Two, but for a log that rolls faster than it syncs. */
  readonly #targets: Target[] = [];
  readonly #syncWaiters: SyncWaiter[] = [];
  /** Of `flush`, until nothing is queued, and of `settled`. */
  readonly #idleWaiters: (() => void)[] = [];
  #policy: FlushPolicy;
  #written: Offset;
  #synced: Offset;
  #durable: Offset;
  #collected: Offset;
  /** What flush.policy=os has acknowledged, synced or not. */
  #acknowledgedUnsynced: Offset;
  #opening = false;
  #writing = false;
  #syncing = false;
  #stopped: 'offline' | 'closed' | undefined;

  constructor(owner: WriterOwner, directory: LogDirectory, tail: LogTail, policy: FlushPolicy, end: Offset) {
    this.#owner = owner;
    this.#directory = directory;
    this.#tail = tail;
    this.#policy = policy;
    this.#written = end;
    this.#synced = end;
    this.#durable = end;
    this.#collected = end;
    this.#acknowledgedUnsynced = end;
  }

  /** What was acknowledged unsynced is synced at once where that counts no longer as safe. */
  set policy(policy: FlushPolicy) {
    this.#policy = policy;
    if (policy === 'fsync' && this.owesSync && this.#stopped === undefined) this.#directory.commits.add(this);
  }

  get durableOffset(): Offset {
    return this.#durable;
  }

  get writtenOffset(): Offset {
    return this.#written;
  }

  /** Everything below is synced in its own files. */
  get syncedOffset(): Offset {
    return this.#synced;
  }

  /** Whether flush.policy=os has acknowledged what is not synced. */
  get owesSync(): boolean {
    return this.#synced < this.#acknowledgedUnsynced;
  }

  push(entry: TailEntry): void {
    this.#queue.push(entry);
    this.#writeNext();
  }

  sync(done: (isDurable: boolean) => void): void {
    if (this.#stopped !== undefined) return done(this.#stopped === 'closed');
    if (this.#synced >= this.#written) return done(true);
    this.#syncWaiters.push({ upTo: this.#written, done });
    if (!this.#syncing) this.#syncOldest();
  }

  collect(into: JournalEntry[], bytesMax: number): number {
    const { topicId, partition } = this.#owner;
    let bytes = 0;
    if (this.owesSync) {
      // Behind a hole that a power cut leaves, a record of the journal is of no use.
      this.sync(() => {});
      return 0;
    }
    this.#collected = this.#durable;
    this.#tail.forEach(this.#durable, this.#written, (entry) => {
      if (bytes >= bytesMax) return false;
      const { segment, position } = entry;
      into.push({ topicId, partition, segmentBase: segment.baseOffset, position, bytes: entry.bytes });
      bytes += entry.bytes.length;
      this.#collected = entry.nextOffset;
      return true;
    });
    return bytes;
  }

  journaled(): void {
    if (this.#stopped !== undefined) return;
    this.#advance(this.#collected);
    if (this.#durable < this.#written) this.#directory.commits.add(this);
  }

  /** Everything that was appended is written and synced; false if the directory has failed, or had no room. */
  async flush(): Promise<boolean> {
    while (this.#stopped === undefined && (this.#opening || this.#writing || this.#queue.length > 0)) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
    return new Promise((resolve) => this.sync(resolve));
  }

  /** Segments that are about to go; nothing is queued for them. */
  dropTargets(goes: (segment: Segment) => boolean): void {
    const gone = this.#targets.filter(({ segment }) => goes(segment));
    for (const target of gone) {
      this.#targets.splice(this.#targets.indexOf(target), 1);
      this.#directory.writers.release(target.file);
    }
  }

  /** The log ends at `end` now. If that is below what was written, everything was synced and nothing is in flight. */
  rewound(end: Offset): void {
    this.#written = Math.min(this.#written, end) as Offset;
    this.#synced = Math.min(this.#synced, end) as Offset;
    this.#durable = Math.min(this.#durable, end) as Offset;
    this.#collected = Math.min(this.#collected, end) as Offset;
    this.#acknowledgedUnsynced = Math.min(this.#acknowledgedUnsynced, end) as Offset;
    for (const target of this.#targets) target.written = Math.min(target.written, end) as Offset;
  }

  /** Nothing more is written or acknowledged. */
  stop(why: 'offline' | 'closed'): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = why;
    this.#queue.drain();
    this.#directory.commits.remove(this);
    if (!this.#syncing) this.#answer();
    if (!this.#writing && !this.#syncing) this.#releaseAll();
    this.#wakeIdle();
  }

  /** After a stop, resolves when no file or name is made any more: another log may come to have them. */
  async settled(): Promise<void> {
    while (this.#opening) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  #writeNext(): void {
    if (this.#opening || this.#writing || this.#stopped !== undefined) return;
    const first = this.#queue.peek();
    if (first === undefined) return this.#wakeIdle();
    const target = this.#targets.at(-1);
    if (target?.segment !== first.segment) return this.#open(first.segment);
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    let last = first;
    for (
      let entry: TailEntry | undefined = first;
      entry?.segment === first.segment;
      entry = this.#queue.peek(chunks.length)
    ) {
      if (chunks.length === WRITE_CHUNKS_MAX || sizeBytes >= WRITE_BYTES_MAX) break;
      chunks.push(entry.bytes);
      sizeBytes += entry.bytes.length;
      last = entry;
    }
    this.#writing = true;
    target.file.file.write(chunks, first.position, (failure) => {
      this.#writing = false;
      if (this.#stopped !== undefined) return this.#releaseAll();
      if (failure !== undefined) return this.#writeFailed(failure);
      for (let count = chunks.length; count > 0; count -= 1) this.#queue.shift();
      this.#wrote(target, last.nextOffset, last.position + last.bytes.length);
    });
  }

  #wrote(target: Target, end: Offset, endPosition: number): void {
    this.#written = end;
    target.written = end;
    target.segment.writtenBytes = endPosition;
    this.#directory.wrote();
    this.#owner.written(end);
    if (this.#policy === 'fsync') this.#directory.commits.add(this);
    else {
      this.#acknowledgedUnsynced = end;
      this.#advance(end);
    }
    this.#writeNext();
  }

  /** A new segment's name is durable before anything in it counts as durable. */
  #open(segment: Segment): void {
    this.#opening = true;
    const { writers } = this.#directory;
    writers.use(segment.path('.log'), (file, failure) => {
      if (file === undefined) return this.#opened(failure);
      const target = { segment, file, written: this.#written };
      if (segment.isNamed || this.#stopped !== undefined) {
        this.#targets.push(target);
        return this.#opened(undefined);
      }
      this.#owner.name(segment).then(
        () => {
          segment.isNamed = true;
          this.#targets.push(target);
          this.#opened(undefined);
        },
        (syncFailure: IoError) => {
          writers.release(file);
          this.#opened(syncFailure);
        },
      );
    });
  }

  #opened(failure: IoError | undefined): void {
    this.#opening = false;
    if (this.#stopped !== undefined) {
      this.#releaseAll();
      return this.#wakeIdle();
    }
    if (failure !== undefined) this.#writeFailed(failure);
    else this.#writeNext();
  }

  #writeFailed(failure: IoError): void {
    if (!isTransient(failure)) return this.#directory.fail(`a write: ${failure.message}`);
    this.#directory.refuse(failure.message);
    this.#queue.drain();
    this.#wakeIdle();
    this.#owner.rejected(this.#written);
  }

  #syncOldest(): void {
    const target = this.#targets[0] as Target;
    const upTo = target.written;
    this.#syncing = true;
    target.file.file.sync((failure) => {
      this.#syncing = false;
      if (this.#stopped !== undefined) {
        this.#answer();
        if (!this.#writing) this.#releaseAll();
        return;
      }
      if (failure !== undefined) return this.#directory.fail(`a sync: ${failure.message}`);
      this.#synced = upTo;
      this.#releaseSynced();
      this.#advance(upTo);
      this.#answer();
      if (this.#syncWaiters.length > 0 && !this.#syncing) this.#syncOldest();
    });
  }

  #releaseSynced(): void {
    const target = this.#targets[0] as Target;
    const isCurrent = this.#targets.length === 1 && (this.#writing || this.#queue.length > 0);
    if (isCurrent || target.written > this.#synced) return;
    this.#targets.shift();
    this.#directory.writers.release(target.file);
  }

  #answer(): void {
    const ready = (waiter: SyncWaiter): boolean => this.#stopped !== undefined || waiter.upTo <= this.#synced;
    // Waiters ask in the order of the writes.
    while (this.#syncWaiters[0] !== undefined && ready(this.#syncWaiters[0])) {
      this.#syncWaiters.shift()?.done(this.#stopped !== 'offline');
    }
  }

  #advance(end: Offset): void {
    if (end <= this.#durable) return;
    this.#durable = end;
    this.#tail.durable(end);
    this.#owner.durable(end);
  }

  #wakeIdle(): void {
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }

  #releaseAll(): void {
    for (const { file } of this.#targets.splice(0)) this.#directory.writers.release(file);
  }
}
