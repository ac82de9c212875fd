import { assert, at } from '#base/assert';
import type { Timestamp } from '#base/ports';
import { partitionMetadataText } from '#log/checkpoint-files';
import { readEndMarker } from '#log/end-marker';
import { LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA, segmentFileName } from '#log/file-names';
import type { LeaderEpochCache } from '#log/leader-epoch-cache';
import type { ProducerStates } from '#log/producer-state';
import { timestampToIndex } from '#log/segment-indexes';
import type { AbortedTransaction } from '#log/transaction-index';
import type { LeaderEpoch, Offset, Uuid } from '#model/ids';
import { type BatchHeader, isControl, patchBatch } from '#protocol/record-batch';
import { joinPath, replaceFile, writeNew } from './files.ts';
import { LogCompaction } from './log-compaction.ts';
import { type LogConfig, segmentMsOf } from './log-config.ts';
import type { DirectoryLog, LogDirectory } from './log-directory.ts';
import { type FoundTimestamp, LogReader } from './log-reader.ts';
import { cutFile, dropSegments, dropSnapshotsAbove, recoverLog } from './log-recovery.ts';
import { type Expiry, expireSegments } from './log-retention.ts';
import { LogWriter, type WriterOwner } from './log-writer.ts';
import { Segment } from './segment.ts';
import { LogTail, NOTHING_READ, type ReadResult, type TailCache } from './tail-cache.ts';

/** Called in the turn in which it happens; the log may be asked anything meanwhile. */
export interface LogListener {
  /** Everything below `end` is in the log's files, synced or not: there was room for it. Before `durable` of the same. */
  written(end: Offset): void;
  /** Everything below `end` is synced, or written under flush.policy=os. */
  durable(end: Offset): void;
  /** There was no room: everything appended from `from` on is dropped, as if it had never been. */
  rejected(from: Offset): void;
  /** The log's directory went offline, for good. */
  failed(): void;
}

export interface Appended {
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
}

/** What a log is made of, when it was recovered or is new. */
export interface LogParts {
  readonly topic: string;
  readonly partition: number;
  readonly topicId: Uuid;
  readonly directory: LogDirectory;
  readonly folder: string;
  readonly cache: TailCache;
  readonly config: LogConfig;
  /** The last one is active. */
  readonly segments: Segment[];
  readonly snapshots: Offset[];
  readonly producers: ProducerStates;
  readonly epochs: LeaderEpochCache;
  /** Whether the epochs' file says what `epochs` do; 'unread' while nobody needs it: the log is small, and its file is not older. */
  readonly epochsSaved: boolean | 'unread';
  /** The folder and its partition.metadata are there for good. */
  readonly isNamed: boolean;
  /** The files are as a clean shutdown has left them. */
  readonly isAsClosed: boolean;
  readonly logStartOffset: Offset;
  /** As it was saved: what recovery has found above it is saved by the log's checkpoints, from now on. */
  readonly recoveryPoint: Offset;
  /** As it was saved; 0: it was never compacted. */
  readonly cleanedOffset: Offset;
  /** A number in [0, 1). */
  readonly jitter: () => number;
  readonly doom: (path: string, delayMs: number) => void;
}

interface Rewind {
  readonly to: Offset;
  readonly done: (() => void) | undefined;
}

/** At most so much is replayed for the producer state after a crash, above what the recovery point asks for. */
const SNAPSHOT_BYTES = 1024 * 1024;
/** Of those that no segment begins with; the newest may tell of more than the recovery point covers. */
const INTERIM_SNAPSHOTS = 2;

/**
 * One partition's log on one data directory. Appends are synchronous: in memory, readable and in order at once, written and
 * synced behind. What changes files besides runs one after the other, in the background.
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
  readonly #folder: string;
  readonly #parts: LogParts;
  readonly #segments: Segment[];
  readonly #snapshots: Offset[];
  readonly #tail: LogTail;
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  #config: LogConfig;
  #active: Segment;
  #end: Offset;
  #start: Offset;
  #recoveryPoint: Offset;
  #appendedBytes = 0;
  #snapshotAtBytes = 0;
  #epochsChanged: boolean;
  #epochsUnread: boolean;
  #isNamed: boolean;
  /** Nothing has happened to it that a clean shutdown would have to save. */
  #isAsClosed: boolean;
  /** Until what was appended without room is undone on disk, or the log is cut; nothing is appended meanwhile. */
  #rewinding: Rewind | undefined;
  #isClosed = false;
  #work: Promise<void> = Promise.resolve();

  constructor(parts: LogParts) {
    this.topic = parts.topic;
    this.partition = parts.partition;
    this.topicId = parts.topicId;
    this.directory = parts.directory;
    this.producers = parts.producers;
    this.epochs = parts.epochs;
    this.#parts = parts;
    this.#folder = parts.folder;
    this.#config = parts.config;
    this.#segments = parts.segments;
    this.#snapshots = parts.snapshots;
    this.#active = at(parts.segments, parts.segments.length - 1);
    this.#end = this.#active.endOffset;
    this.#start = parts.logStartOffset;
    this.#epochsChanged = parts.epochsSaved === false;
    this.#epochsUnread = parts.epochsSaved === 'unread';
    this.#isAsClosed = parts.isAsClosed;
    this.#isNamed = parts.isNamed;
    this.#recoveryPoint = parts.recoveryPoint;
    this.#tail = new LogTail(parts.cache, this.#end);
    this.#writer = new LogWriter(this, parts.directory, this.#tail, parts.config.flushPolicy, this.#end);
    this.#reader = new LogReader(parts.directory, this.#segments);
    this.compaction = new LogCompaction(
      {
        directory: parts.directory,
        folder: parts.folder,
        segments: this.#segments,
        config: () => this.#config,
        startOffset: () => this.#start,
        stableOffset: () => Math.min(this.producers.lastStableOffset(this.#committed), this.#recoveryPoint) as Offset,
        lastOfProducers: () => this.producers.lastOfEach(),
        epochs: () => this.epochs.entries,
        abortedTransactions: (from, upTo) => this.abortedTransactions(from, upTo),
        isBusy: () => this.#isClosed || this.#rewinding !== undefined,
        queued: (work) => this.#queued(work),
        releaseJournal: () => parts.directory.journal.release(this.#writer),
        retire: (segment) => this.#retire(segment),
        replaced: (end) => {
          this.#tail.forgetBelow(end);
          return this.#dropSnapshots();
        },
      },
      parts.cleanedOffset,
    );
    parts.directory.add(this);
  }

  get folder(): string {
    return this.#folder;
  }

  get logStartOffset(): Offset {
    return this.#start;
  }

  get logEndOffset(): Offset {
    return this.#end;
  }

  /** All below it is durable by the log's flush policy. */
  get durableOffset(): Offset {
    // A log that is being cut ends below before its files do.
    return Math.min(this.#writer.durableOffset, this.#end) as Offset;
  }

  /** All below it is in the log's files, and is not taken back for want of room. */
  get writtenOffset(): Offset {
    return Math.min(this.#writer.writtenOffset, this.#end) as Offset;
  }

  get recoveryPoint(): Offset {
    return this.#recoveryPoint;
  }

  get cleanedOffset(): Offset {
    return this.compaction.cleanedOffset;
  }

  /** Nothing is appended, and what is known of producers is not to be relied upon. */
  get isBeingRewound(): boolean {
    return this.#rewinding !== undefined;
  }

  get sizeBytes(): number {
    let sizeBytes = 0;
    for (const segment of this.#segments) sizeBytes += segment.sizeBytes;
    return sizeBytes;
  }

  get config(): LogConfig {
    return this.#config;
  }

  updateConfig(config: LogConfig): void {
    this.#config = config;
    this.#writer.policy = config.flushPolicy;
  }

  /**
   * Assigns offsets from the log's end, patches them and the leader epoch into the batches, and queues the write: the batches
   * can be read at once, and `listener.durable` says when they are safe. `bytes` (whole validated batches, parsed as `headers`)
   * is owned by the log from here on. 'offline': the directory has failed; 'full': it has no room.
   */
  append(bytes: Uint8Array, headers: readonly BatchHeader[], leaderEpoch: LeaderEpoch): Appended | 'offline' | 'full' {
    let next: number = this.#end;
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
    return this.#append(bytes, headers, false);
  }

  /** This replica begins to lead: the epoch starts at the log's end, also before there is a record of it. */
  assignEpoch(leaderEpoch: LeaderEpoch): void {
    if (this.epochs.assign(leaderEpoch, this.#end)) this.#epochsChanged = true;
  }

  /**
   * Whole batches from the one that contains `from`, all below `upTo` (and the log's end) and together within `maxBytes`; the first
   * one even beyond it if `minOneBatch`. Undefined if memory does not have them: then `read` may.
   */
  readCached(from: Offset, upTo: Offset, maxBytes: number, minOneBatch: boolean): ReadResult | undefined {
    if (from < this.#start || from > this.#end) return undefined;
    if (from >= upTo || from === this.#end) return NOTHING_READ;
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
    else if (from < this.#start || from > this.#end) this.directory.clock.defer(() => done('out-of-range'));
    else this.#reader.read(from, upTo, maxBytes, minOneBatch, done);
  }

  /** The first record below `upTo` whose timestamp is at or after `timestamp`. `done` runs in a later turn. */
  offsetForTimestamp(
    timestamp: Timestamp,
    upTo: Offset,
    done: (found: FoundTimestamp | undefined | 'failed') => void,
  ): void {
    this.#reader
      .offsetForTimestamp(timestamp, this.#start, upTo)
      .then(done, (failure) => this.#readFailed(failure, done));
  }

  /** The first record with the log's highest timestamp (KIP-734), if it is below `upTo`. `done` runs in a later turn. */
  maxTimestamp(upTo: Offset, done: (found: FoundTimestamp | undefined | 'failed') => void): void {
    this.#reader.maxTimestamp(this.#start, upTo).then(done, (failure) => this.#readFailed(failure, done));
  }

  /** Transactions with records in [from, upTo) that were aborted, for read_committed consumers (KIP-98). */
  abortedTransactions(from: Offset, upTo: Offset): readonly AbortedTransaction[] {
    const found: AbortedTransaction[] = [];
    const first = Math.max(
      0,
      this.#segments.findLastIndex(({ baseOffset }) => baseOffset <= from),
    );
    for (const { transactions } of this.#segments.slice(first)) {
      if (transactions?.collect(from, upTo, found)) break;
    }
    return found;
  }

  /** DeleteRecords (KIP-107): the log starts at `offset`, which is at most the durable end. Whole segments below go, behind. */
  deleteRecordsBefore(offset: Offset): void {
    assert(offset <= this.durableOffset, 'only what is durable is deleted');
    if (offset <= this.#start) return;
    this.#moveStart(offset);
    this.#background('DeleteRecords', async () => {
      await this.directory.saveOffsets();
      await this.#expire(undefined);
    });
  }

  /** A follower's log starts where its leader's does, as far as this one has what lies below on its disk. */
  raiseStartTo(offset: Offset): void {
    if (this.#rewinding === undefined && !this.#isClosed)
      this.deleteRecordsBefore(Math.min(offset, this.durableOffset) as Offset);
  }

  /** Deletes segments by age and size; nothing at or above the high watermark. */
  enforceRetention(nowMs: Timestamp): void {
    const highWatermark = this.#committed;
    this.#background('retention', () => this.#expire({ nowMs, highWatermark }));
  }

  /** Begins a new segment, unless the active one is empty. */
  roll(): void {
    if (!this.directory.isOffline && this.#rewinding === undefined && this.#active.sizeBytes > 0) this.#roll();
  }

  /**
   * Cuts the log, as a follower does that has what its leader has not: records from `offset` on go. Appends are refused as 'full'
   * until `done`, which does not run if the directory fails.
   */
  truncateTo(offset: Offset, done: () => void): void {
    const rewinding = this.#rewinding;
    assert(rewinding?.done === undefined && offset >= this.#start, 'the log is cut once at a time, above its start');
    this.#rewinding = { to: Math.min(offset, rewinding?.to ?? offset) as Offset, done };
    this.#background('truncation', () => this.#rewind());
  }

  /** Appends are over; everything is on disk in such a way that the next start scans nothing. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.compaction.stop();
    // Before the queue: should there be no room, the way back is queued by then.
    await this.#writer.flush();
    await this.#queued(async () => {
      // A log that found no way back has forgotten its producers; the next start finds them in its batches.
      if (this.directory.isOffline || this.#rewinding !== undefined) return;
      if (!this.#isAsClosed) {
        await this.#flushSealed();
        this.#active.indexes?.seal();
        // What is new in them is not synced, as the snapshot: recovery finds out should the power go now.
        await this.#active.flushIndexes(this.directory.disk, 'complete');
        await this.#saveEpochs();
        await this.#snapshot(this.#end, this.producers.takeSnapshot(), false);
      }
      this.#recoveryPoint = this.#end;
    }).catch((failure) => this.directory.caught(`close of ${this.#folder}`, failure));
    this.#writer.stop('closed');
  }

  /** The log is given up: nothing more is written or acknowledged, what is in flight ends, memory is let go. */
  async abandon(): Promise<void> {
    this.#isClosed = true;
    this.listener = undefined;
    this.#writer.stop('closed');
    await this.compaction.stop();
    await this.#queued(async () => {});
    this.#tail.truncateTo(this.#start);
    for (const segment of this.#segments) {
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
    await this.#queued(async () => {
      if (this.#isClosed || this.#isAsClosed || this.directory.isOffline) return;
      if (this.#rewinding !== undefined) return this.#rewind();
      if (this.#writer.owesSync) await new Promise((resolve) => this.#writer.sync(resolve));
      // The recovery point covers what this checkpoint saves, no later epoch or segment.
      const synced = this.#writer.syncedOffset;
      await this.#saveEpochs();
      if (this.#appendedBytes - this.#snapshotAtBytes >= SNAPSHOT_BYTES && this.#rewinding === undefined) {
        await this.#active.flushIndexes(this.directory.disk, 'synced');
        await this.#snapshot(this.#end, this.producers.takeSnapshot(), false);
      }
      await this.#flushSealed();
      this.#recoveryPoint = synced;
    }).catch((failure) => this.directory.caught(`checkpoint of ${this.#folder}`, failure));
  }

  /** A log that nobody has written to costs no sync: should it vanish with the power, it is made again. */
  async name(): Promise<void> {
    const { disk } = this.directory;
    // Written again: a sync that has failed for want of room may have dropped what it was to write.
    if (!this.#isNamed)
      await writeNew(disk, joinPath(this.#folder, PARTITION_METADATA), partitionMetadataText(this.topicId), true);
    await disk.syncDir(this.#folder);
    if (!this.#isNamed) await this.directory.syncNames();
    this.#isNamed = true;
  }

  written(end: Offset): void {
    this.listener?.written(end);
  }

  durable(end: Offset): void {
    this.listener?.durable(end);
  }

  rejected(from: Offset): void {
    // A log that is being cut still goes where its leader sends it.
    const to = Math.min(from, this.#rewinding?.to ?? from) as Offset;
    this.#rewinding = { to, done: this.#rewinding?.done };
    this.#end = Math.min(this.#end, from) as Offset;
    this.#tail.truncateTo(from);
    // It would take a refused batch that is sent again for a duplicate; until it is rebuilt nothing is appended anyway.
    this.producers.clear();
    this.listener?.rejected(from);
    this.#background('the way back to the last write', () => this.#rewind());
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
    if (this.directory.isFull || this.#rewinding !== undefined) return 'full';
    const baseOffset = at(headers, 0).baseOffset as Offset;
    const last = at(headers, headers.length - 1);
    const lastOffset = (last.baseOffset + last.lastOffsetDelta) as Offset;
    assert(baseOffset >= this.#end, 'a log grows at its end');
    let maxTimestamp = -1;
    for (const header of headers) if (header.maxTimestamp > maxTimestamp) maxTimestamp = header.maxTimestamp;
    const nowMs = this.directory.clock.wall();
    const limits = { segmentBytes: this.#config.segmentBytes, segmentMs: segmentMsOf(this.#config) };
    if (this.#active.rollsBefore(bytes.length, lastOffset, maxTimestamp, nowMs, limits)) this.#roll();
    const segment = this.#active;
    const position = segment.sizeBytes;
    this.#isAsClosed = false;
    for (const header of headers) {
      if (patches) patchBatch(bytes, header.at, header.baseOffset, header.partitionLeaderEpoch);
      this.#appendBatch(bytes, header, segment);
    }
    this.#appendedBytes += bytes.length;
    this.#writer.push(this.#tail.append(bytes, baseOffset, this.#end, segment, position));
    return { baseOffset, lastOffset };
  }

  #appendBatch(bytes: Uint8Array, header: BatchHeader, segment: Segment): void {
    const baseOffset = header.baseOffset as Offset;
    const lastOffset = (baseOffset + header.lastOffsetDelta) as Offset;
    const epoch = header.partitionLeaderEpoch as LeaderEpoch;
    if (this.epochs.assign(epoch, baseOffset) || this.#epochsUnread) this.#epochsChanged = true;
    this.#epochsUnread = false;
    segment.grow(lastOffset, timestampToIndex(header), header.sizeBytes, this.#config.indexIntervalBytes);
    const marker = isControl(header) ? readEndMarker(bytes, header) : undefined;
    const ended = this.producers.append(header, baseOffset, lastOffset, header.maxTimestamp, marker);
    if (ended?.aborted) segment.abort(ended);
    this.#end = (lastOffset + 1) as Offset;
  }

  #roll(): void {
    this.#isAsClosed = false;
    this.#active.seal();
    const { segmentJitterMs, segmentIndexBytes } = this.#config;
    const facts = {
      folder: this.#folder,
      baseOffset: this.#end,
      createdAt: this.directory.clock.wall(),
      jitterMs: Math.floor(this.#parts.jitter() * segmentJitterMs),
    };
    this.#active = Segment.active(facts, segmentIndexBytes);
    this.#segments.push(this.#active);
    const offset = this.#end;
    const snapshot = this.producers.takeSnapshot();
    this.#background('a roll', async () => {
      // The log may have been cut since.
      if (offset <= this.#end) await this.#snapshot(offset, snapshot, true);
      await this.#flushSealed();
    });
  }

  /**
   * Takes the log back to where it is to go, or to the start of the batch that holds it; rebuilds what is known of the rest. Tried
   * again by the next checkpoint if room or handles are lacking.
   */
  async #rewind(): Promise<void> {
    const { directory } = this;
    // Everything written before is safe in the log's files, so that nothing of it is needed from the journal.
    if (!(await this.#writer.flush()) || this.#rewinding === undefined) return;
    const { to, done } = this.#rewinding;
    this.#isAsClosed = false;
    const log = { directory, segments: this.#segments, snapshots: this.#snapshots, folder: this.#folder };
    const keep = Math.max(
      0,
      this.#segments.findLastIndex(({ baseOffset }) => baseOffset < to),
    );
    const last = at(this.#segments, keep);
    const cut = await this.#reader.cutAt(last, to);
    const pending = { to: cut.offset, done };
    this.#rewinding = pending;
    this.#tail.truncateTo(cut.offset);
    this.compaction.cutTo(cut.offset);
    this.#end = Math.min(this.#end, cut.offset) as Offset;
    // The batch that holds the log's start goes as a whole.
    this.#start = Math.min(this.#start, cut.offset) as Offset;
    await directory.journal.release(this.#writer);
    // On disk, too, and also if an earlier attempt came no further than here.
    this.#recoveryPoint = Math.min(this.#recoveryPoint, cut.offset) as Offset;
    await directory.saveOffsets();
    // Then nothing was saved, and the journal may still hold what is to be cut.
    if (directory.isOffline) return;
    this.#writer.dropTargets((segment) => segment.baseOffset > last.baseOffset);
    await dropSegments(log, keep + 1);
    await dropSnapshotsAbove(log, cut.offset);
    await cutFile(log, last, cut.position);
    const recovered = await recoverLog({
      ...log,
      config: this.#config,
      epochs: this.epochs,
      epochsLost: false,
      producers: this.producers,
      recoveryPoint: cut.offset,
      isSmall: false,
    });
    if ('quarantine' in recovered) return directory.fail(recovered.quarantine);
    // Also what somebody has begun to load while it was cut.
    directory.indexes.forget(last);
    this.#epochsChanged = true;
    this.#active = last;
    this.#end = recovered.end;
    this.#writer.rewound(recovered.end);
    // What was replayed has been decided before, as far as it is committed.
    this.producers.highWatermarkAdvanced(this.#committed);
    // Meanwhile its leader may have sent it further back.
    if (this.#rewinding === pending) this.#rewinding = undefined;
    done?.();
  }

  async #expire(expiry: Expiry | undefined): Promise<void> {
    if (this.#isClosed || this.#rewinding !== undefined || this.directory.isOffline) return;
    const limits = { logStartOffset: this.#start, logEndOffset: this.#end, durableOffset: this.durableOffset };
    const expired = await expireSegments(this.directory, this.#segments, this.#config, limits, expiry);
    if (expired.count === 0 || this.#rewinding !== undefined) return;
    if (expired.rollFirst) this.#roll();
    this.#moveStart(at(this.#segments, expired.count).baseOffset);
    this.directory.logger.info(
      { log: this.#folder, segments: expired.count, reasons: expired.reasons, logStartOffset: this.#start },
      'segments are deleted',
    );
    await this.directory.saveOffsets();
    if (this.#writer.syncedOffset < this.#start && !(await this.#writer.flush())) return;
    for (let count = expired.count; count > 0; count -= 1) {
      // It stays in the list until it is gone: should that fail, the next round tries again.
      await this.#retire(at(this.#segments, 0));
      this.#segments.shift();
    }
    await this.#dropSnapshots();
  }

  /** Its files wait under another name for those who are reading them. */
  async #retire(segment: Segment): Promise<void> {
    const { disk, readers, writers, indexes } = this.directory;
    readers.forget(segment.path('.log'));
    writers.forget(segment.path('.log'));
    indexes.forget(segment);
    const there = new Set(await disk.list(this.#folder));
    for (const extension of ['.log', '.index', '.timeindex', '.txnindex'] as const) {
      const path = segment.path(extension);
      if (!there.has(segmentFileName(segment.baseOffset, extension))) continue;
      const doomed = joinPath(this.#folder, segmentFileName(segment.baseOffset, extension, '.deleted'));
      await disk.rename(path, doomed);
      this.#parts.doom(doomed, this.#config.fileDeleteDelayMs);
    }
  }

  #moveStart(offset: Offset): void {
    if (offset <= this.#start) return;
    this.#start = offset;
    this.#isAsClosed = false;
    if (this.epochs.truncateFromStart(offset)) this.#epochsChanged = true;
  }

  /**
   * `bytes` is the producer state as of `offset`; what it has forgotten of transactions is durable before it. Those of rolls are
   * synced: once the segments before them are deleted, nothing else tells of their producers.
   */
  async #snapshot(offset: Offset, bytes: Uint8Array, sync: boolean): Promise<void> {
    this.#snapshotAtBytes = this.#appendedBytes;
    const { disk } = this.directory;
    for (const segment of this.#segments) await segment.flushTransactions(disk);
    const newest = this.#snapshots.at(-1) ?? -1;
    // One that is there may not be there for good.
    if (newest > offset || (newest === offset && !sync)) return;
    await writeNew(disk, joinPath(this.#folder, segmentFileName(offset, '.snapshot')), bytes, sync);
    if (sync) await disk.syncDir(this.#folder);
    if (newest < offset) this.#snapshots.push(offset);
    await this.#dropSnapshots();
  }

  async #dropSnapshots(): Promise<void> {
    const bases = new Set(this.#segments.map(({ baseOffset }) => baseOffset));
    const interim = this.#snapshots.filter((offset) => !bases.has(offset));
    const useless = new Set(interim.slice(0, Math.max(0, interim.length - INTERIM_SNAPSHOTS)));
    for (const offset of useless) {
      this.#snapshots.splice(this.#snapshots.indexOf(offset), 1);
      await this.directory.disk.remove(joinPath(this.#folder, segmentFileName(offset, '.snapshot')));
    }
  }

  /** A sealed segment keeps its indexes in memory until its files have them for good. */
  async #flushSealed(): Promise<void> {
    const { disk } = this.directory;
    const unsaved = this.#segments.filter(({ sealed, indexes }) => sealed && indexes !== undefined);
    if (unsaved.length === 0) return;
    for (const segment of unsaved) await segment.flushIndexes(disk, 'synced');
    await disk.syncDir(this.#folder);
    for (const segment of unsaved) if (segment.sealed) segment.forgetIndexes();
  }

  async #saveEpochs(): Promise<void> {
    if (!this.#epochsChanged) return;
    this.#epochsChanged = false;
    try {
      await replaceFile(this.directory.disk, this.#folder, LEADER_EPOCH_CHECKPOINT, this.epochs.toText());
    } catch (failure) {
      this.#epochsChanged = true;
      throw failure;
    }
  }

  #readFailed(failure: unknown, done: (found: 'failed') => void): void {
    this.directory.logger.warn({ log: this.#folder, reason: String(failure) }, 'a lookup by timestamp failed');
    done('failed');
  }

  /** One after the other, in the order asked. */
  #queued<T>(work: () => Promise<T>): Promise<T> {
    const queued = this.#work.then(work);
    this.#work = queued.then(
      () => {},
      () => {},
    );
    return queued;
  }

  #background(what: string, work: () => Promise<void>): void {
    this.directory.supervise(`${what} of ${this.#folder}`, this.#queued(work));
  }
}
