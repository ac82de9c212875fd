import { assert, at } from '#base/assert';
import type { Timestamp } from '#base/ports';
import { partitionMetadataText } from '#log/checkpoint-files';
import { PARTITION_METADATA } from '#log/file-names';
import type { LeaderEpochCache } from '#log/leader-epoch-cache';
import { fitsSegment } from '#log/offset-index';
import type { ProducerStates } from '#log/producer-state';
import type { AbortedTransaction } from '#log/transaction-index';
import type { LeaderEpoch, Offset, Uuid } from '#model/ids';
import { type BatchHeader, lastOffset } from '#protocol/record-batch';
import { joinPath, writeNew } from './files.ts';
import { LogCheckpoint } from './log-checkpoint.ts';
import { type CompactionHost, LogCompaction } from './log-compaction.ts';
import type { LogConfig } from './log-config.ts';
import type { DirectoryLog, LogDirectory } from './log-directory.ts';
import { LogReader } from './log-reader.ts';
import { LogRetention } from './log-retention.ts';
import { LogRewind } from './log-rewind.ts';
import { type LogParts, LogState } from './log-state.ts';
import { LogWork } from './log-work.ts';
import { LogWriter, type WriterOwner } from './log-writer.ts';
import { ProducerSnapshots } from './producer-snapshots.ts';
import { LogTail, NOTHING_READ, type ReadResult } from './tail-cache.ts';
import { type FoundTimestamp, TimestampLookup } from './timestamp-lookup.ts';

/** Called in the turn in which it happens; the log may be asked anything meanwhile. */
export interface LogListener {
  /** Everything below `end` is in the log's files, synced or not: there was room for it. Before `durable` of the same. */
  written(end: Offset): void;
  /** Everything below `end` is synced, or written under flush.policy=os. */
  durable(end: Offset): void;
  /** There was no room: everything appended from `from` on is dropped, as if it had never been. */
  rejected(from: Offset): void;
  /** After a rejection or a cut the log is whole again: see `isBeingRewound`. */
  rewound(): void;
  /** Where the log starts now is saved: see `savedStartOffset`. */
  startSaved(): void;
  /** The log's directory went offline, for good. */
  failed(): void;
}

export interface Appended {
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
}

/**
 * One partition's log on one data directory. Appends are synchronous: in memory, readable and in order at once, written and
 * synced behind. What changes files besides runs one after the other, in the background (LogWork).
 *
 * LogState is what all parts share; each of them has one reason to change it: LogWriter (batches go to their files), LogCheckpoint
 * (what is saved beside them), LogRewind (the end goes back), LogRetention (the beginning goes), LogCompaction.
 */
export class PartitionLog implements DirectoryLog, WriterOwner {
  readonly topic: string;
  readonly partition: number;
  readonly topicId: Uuid;
  readonly directory: LogDirectory;
  readonly producers: ProducerStates;
  readonly epochs: LeaderEpochCache;
  readonly compaction: LogCompaction;
  listener: LogListener | undefined;
  /** What is committed, as the partition's replica knows it: retention stays below. Undefined: whatever is durable. */
  highWatermark: Offset | undefined;
  readonly #state: LogState;
  readonly #work: LogWork;
  readonly #tail: LogTail;
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  readonly #timestamps: TimestampLookup;
  readonly #rewind: LogRewind;
  readonly #retention: LogRetention;
  readonly #checkpoint: LogCheckpoint;
  #isClosed = false;

  constructor(parts: LogParts) {
    const { directory, folder } = parts;
    const state = new LogState(parts);
    const snapshots = new ProducerSnapshots(state, parts.snapshots, parts.replayedBytes);
    const work = new LogWork(directory, folder);
    const tail = new LogTail(parts.cache, state.endOffset);
    const writer = new LogWriter(this, directory, tail, parts.config.flushPolicy, state.endOffset);
    const reader = new LogReader(directory, state.segments);
    const rewind = new LogRewind({
      state,
      snapshots,
      tail,
      writer,
      reader,
      committed: () => this.#committed,
      cutTo: (end) => this.compaction.cutTo(end),
      rewound: () => this.listener?.rewound(),
    });
    const retention = new LogRetention({
      state,
      snapshots,
      writer,
      rewind,
      work,
      isClosed: () => this.#isClosed,
      committed: () => this.#committed,
      roll: () => this.#roll(),
      doom: parts.doom,
    });
    const compacted: CompactionHost = {
      state,
      work,
      stableOffset: () => Math.min(state.producers.lastStableOffset(this.#committed), state.recoveryPoint) as Offset,
      isBusy: () => this.#isClosed || rewind.isPending,
      releaseJournal: () => directory.journal.release(writer),
      retire: (segment) => retention.retire(segment),
      replaced: (end) => {
        tail.forgetBelow(end);
        return snapshots.dropUseless();
      },
    };
    this.topic = parts.topic;
    this.partition = parts.partition;
    this.topicId = parts.topicId;
    this.directory = directory;
    this.producers = parts.producers;
    this.epochs = parts.epochs;
    this.compaction = new LogCompaction(compacted, parts.cleanedOffset);
    this.#state = state;
    this.#work = work;
    this.#tail = tail;
    this.#writer = writer;
    this.#reader = reader;
    this.#timestamps = new TimestampLookup(state);
    this.#rewind = rewind;
    this.#retention = retention;
    this.#checkpoint = new LogCheckpoint(state, snapshots, writer, rewind);
    directory.add(this);
  }

  get folder(): string {
    return this.#state.folder;
  }

  get logStartOffset(): Offset {
    return this.#state.startOffset;
  }

  /** As `logStartOffset`, as far as that is on the disk: what lies below does not come back. */
  get savedStartOffset(): Offset {
    return this.#state.savedStartOffset;
  }

  get logEndOffset(): Offset {
    return this.#state.endOffset;
  }

  /** All below it is durable by the log's flush policy. */
  get durableOffset(): Offset {
    // A log that is being cut ends below before its files do.
    return Math.min(this.#writer.durableOffset, this.#state.endOffset) as Offset;
  }

  /** All below it is in the log's files, and is not taken back for want of room. */
  get writtenOffset(): Offset {
    return Math.min(this.#writer.writtenOffset, this.#state.endOffset) as Offset;
  }

  get recoveryPoint(): Offset {
    return this.#state.recoveryPoint;
  }

  get cleanedOffset(): Offset {
    return this.compaction.cleanedOffset;
  }

  /** Nothing is appended, and what is known of producers is not to be relied upon. */
  get isBeingRewound(): boolean {
    return this.#rewind.isPending;
  }

  get sizeBytes(): number {
    return this.#state.sizeBytes;
  }

  get config(): LogConfig {
    return this.#state.config;
  }

  updateConfig(config: LogConfig): void {
    this.#state.config = config;
    this.#writer.policy = config.flushPolicy;
  }

  /**
   * Assigns offsets from the log's end, patches them and the leader epoch into the batches, and queues the write: the batches
   * can be read at once, and `listener.durable` says when they are safe. `bytes` (whole validated batches, parsed as `headers`)
   * is owned by the log from here on. 'offline': the directory has failed; 'full': it has no room.
   */
  append(bytes: Uint8Array, headers: readonly BatchHeader[], leaderEpoch: LeaderEpoch): Appended | 'offline' | 'full' {
    let next: number = this.#state.endOffset;
    const placed = headers.map((header): BatchHeader => {
      const baseOffset = next;
      next += header.lastOffsetDelta + 1;
      return { ...header, baseOffset, partitionLeaderEpoch: leaderEpoch };
    });
    return this.#append(bytes, placed, true);
  }

  /**
   * As `append`, of batches that the leader has given their places, at or above this log's end: compaction leaves gaps. Offsets and epochs
   * ascend.
   */
  appendReplicated(bytes: Uint8Array, headers: readonly BatchHeader[]): Appended | 'offline' | 'full' {
    const { endOffset } = this.#state;
    // The gaps of what comes together may be wider than the offsets of one segment.
    const last = headers.findLastIndex((header) => fitsSegment(endOffset, lastOffset(header) as Offset));
    const rest = headers.slice(last + 1);
    if (last < 0 || rest.length === 0) return this.#append(bytes, headers, false);
    const cut = at(rest, 0).at;
    const first = this.#append(bytes.subarray(0, cut), headers.slice(0, last + 1), false);
    if (typeof first === 'string') return first;
    const moved = rest.map((header) => ({ ...header, at: header.at - cut }));
    const second = this.appendReplicated(bytes.subarray(cut), moved);
    return typeof second === 'string' ? second : { baseOffset: first.baseOffset, lastOffset: second.lastOffset };
  }

  /** This replica begins to lead: the epoch starts at the log's end, also before there is a record of it. */
  assignEpoch(leaderEpoch: LeaderEpoch): void {
    this.#state.epochs.assign(leaderEpoch, this.#state.endOffset);
  }

  /**
   * Whole batches from the one that contains `from`, all below `upTo` (and the log's end) and together within `maxBytes`; the first
   * one even beyond it if `minOneBatch`. Undefined if memory does not have them: then `read` may.
   */
  readCached(from: Offset, upTo: Offset, maxBytes: number, minOneBatch: boolean): ReadResult | undefined {
    const { startOffset, endOffset } = this.#state;
    if (from < startOffset || from > endOffset) return undefined;
    if (from >= upTo || from === endOffset) return NOTHING_READ;
    return this.#tail.read(from, upTo, maxBytes, minOneBatch);
  }

  /** As readCached, from disk if need be. `done` runs in a later turn. */
  read(
    from: Offset,
    upTo: Offset,
    maxBytes: number,
    minOneBatch: boolean,
    done: (result: ReadResult | 'out-of-range' | 'failed') => void,
  ): void {
    const cached = this.readCached(from, upTo, maxBytes, minOneBatch);
    if (this.#isClosed) this.directory.clock.defer(() => done('failed'));
    else if (cached !== undefined) this.directory.clock.defer(() => done(cached));
    else if (from < this.logStartOffset || from > this.logEndOffset)
      this.directory.clock.defer(() => done('out-of-range'));
    else this.#reader.read(from, upTo, maxBytes, minOneBatch, done);
  }

  /** The first record below `upTo` whose timestamp is at or after `timestamp`. `done` runs in a later turn. */
  offsetForTimestamp(
    timestamp: Timestamp,
    upTo: Offset,
    done: (found: FoundTimestamp | undefined | 'failed') => void,
  ): void {
    this.#timestamps.offsetFor(timestamp, upTo).then(done, (failure) => this.#readFailed(failure, done));
  }

  /** The first with the highest timestamp of all records below `upTo`, a batch's end (KIP-734; Kafka's must be the log's). As above. */
  maxTimestamp(upTo: Offset, done: (found: FoundTimestamp | undefined | 'failed') => void): void {
    this.#timestamps.latest(upTo).then(done, (failure) => this.#readFailed(failure, done));
  }

  /**
   * Transactions with records in [from, upTo) that were aborted, for read_committed consumers (KIP-98), in the order in which they
   * began: the protocol promises none, but kafkajs takes the aborted for committed where one that began later comes first.
   */
  abortedTransactions(from: Offset, upTo: Offset): readonly AbortedTransaction[] {
    return this.#state.abortedTransactions(from, upTo);
  }

  /**
   * DeleteRecords (KIP-107): the log starts at `offset`, which is at most the durable end. `listener.startSaved` says when that is for good;
   * whole segments below go, behind.
   */
  deleteRecordsBefore(offset: Offset): void {
    assert(offset <= this.durableOffset, 'only what is durable is deleted');
    this.#retention.deleteRecordsBefore(offset);
  }

  /** A follower's log starts where its leader's does, as far as this one has what lies below on its disk. */
  raiseStartTo(offset: Offset): void {
    if (!this.#rewind.isPending && !this.#isClosed)
      this.deleteRecordsBefore(Math.min(offset, this.durableOffset) as Offset);
  }

  /** By age and size; nothing at or above the high watermark. */
  enforceRetention(nowMs: Timestamp): void {
    this.#retention.enforce(nowMs);
  }

  /** Begins a new segment, unless the active one is empty. */
  roll(): void {
    if (!this.directory.isOffline && !this.#rewind.isPending && this.#state.active.sizeBytes > 0) this.#roll();
  }

  /**
   * Cuts the log, as a follower does that has what its leader has not: records from `offset` on go. Appends are refused as 'full'
   * until `done`, which does not run if the directory fails.
   */
  truncateTo(offset: Offset, done: () => void): void {
    this.#rewind.cut(offset, done);
    this.#work.background('truncation', () => this.#rewind.run());
  }

  /** Appends are over; everything is on disk in such a way that the next start scans nothing. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.compaction.stop();
    // Before the queue: should there be no room, the way back is queued by then.
    await this.#writer.flush();
    await this.#work
      .queued(() => {
        // A log that found no way back has forgotten its producers; the next start finds them in its batches.
        const isLost = this.directory.isOffline || this.#rewind.isPending;
        return isLost ? Promise.resolve() : this.#checkpoint.saveWhole();
      })
      .catch((failure) => this.directory.caught(`close of ${this.folder}`, failure));
    this.#writer.stop('closed');
  }

  /** The log is given up: nothing more is written or acknowledged, what is in flight ends, memory is let go. */
  async abandon(): Promise<void> {
    this.#isClosed = true;
    this.listener = undefined;
    this.#writer.stop('closed');
    await this.compaction.stop();
    await this.#work.queued(async () => {});
    // Its folder's name may be another log's then.
    if (!this.directory.isOffline) await this.#writer.settled();
    this.#tail.truncateTo(this.#state.startOffset);
    for (const segment of this.#state.segments) {
      this.directory.indexes.forget(segment);
      this.directory.readers.forget(segment.path('.log'));
      this.directory.writers.forget(segment.path('.log'));
    }
    this.directory.remove(this);
  }

  /** Resolves when the journal holds nothing of an abandoned log: another one may have its topic id and number. */
  async released(): Promise<void> {
    await this.directory.journal.release(this.#writer);
  }

  async checkpoint(): Promise<void> {
    if (this.#isClosed || this.directory.isOffline) return;
    await this.#work
      .queued(() => {
        if (this.#isClosed || this.#state.isAsClosed || this.directory.isOffline) return Promise.resolve();
        return this.#rewind.isPending ? this.#rewind.run() : this.#checkpoint.save();
      })
      .catch((failure) => this.directory.caught(`checkpoint of ${this.folder}`, failure));
  }

  /** A log that nobody has written to costs no sync: should it vanish with the power, it is made again. */
  async name(): Promise<void> {
    const { disk } = this.directory;
    // Written again: a sync that has failed for want of room may have dropped what it was to write.
    if (!this.#state.isNamed)
      await writeNew(disk, joinPath(this.folder, PARTITION_METADATA), partitionMetadataText(this.topicId), true);
    await disk.syncDir(this.folder);
    if (!this.#state.isNamed) await this.directory.syncNames();
    this.#state.named();
  }

  written(end: Offset): void {
    this.listener?.written(end);
  }

  durable(end: Offset): void {
    this.listener?.durable(end);
  }

  rejected(from: Offset): void {
    this.#rewind.forgetFrom(from);
    this.listener?.rejected(from);
    this.#work.background('the way back to the last write', () => this.#rewind.run());
  }

  startSaved(offset: Offset): void {
    const before = this.savedStartOffset;
    this.#state.startSaved(offset);
    if (this.savedStartOffset > before) this.listener?.startSaved();
  }

  failed(): void {
    this.#writer.stop('offline');
    this.listener?.failed();
  }

  get #committed(): Offset {
    return Math.min(this.highWatermark ?? this.durableOffset, this.durableOffset) as Offset;
  }

  /** `headers` say where the batches belong; `patches`: their bytes do not yet. */
  #append(bytes: Uint8Array, headers: readonly BatchHeader[], patches: boolean): Appended | 'offline' | 'full' {
    assert(!this.#isClosed && headers.length > 0, 'an open log takes some batches');
    if (this.directory.isOffline) return 'offline';
    if (this.directory.isFull || this.#rewind.isPending) return 'full';
    const state = this.#state;
    if (state.rollsBefore(bytes.length, headers)) this.#roll();
    const segment = state.active;
    const position = segment.sizeBytes;
    state.append(bytes, headers, patches);
    const baseOffset = at(headers, 0).baseOffset as Offset;
    this.#writer.push(this.#tail.append(bytes, baseOffset, state.endOffset, segment, position));
    return { baseOffset, lastOffset: (state.endOffset - 1) as Offset };
  }

  #roll(): void {
    const state = this.#state;
    state.roll();
    const { endOffset } = state;
    const snapshot = state.producers.takeSnapshot();
    this.#work.background('a roll', () => this.#checkpoint.saveRoll(endOffset, snapshot));
  }

  #readFailed(failure: unknown, done: (found: 'failed') => void): void {
    this.directory.logger.warn({ log: this.folder, reason: String(failure) }, 'a lookup by timestamp failed');
    done('failed');
  }
}
