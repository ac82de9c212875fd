import { at } from '#base/assert';
import type { Deadline, Deadlines } from '#base/deadlines';
import type { AbortedTransaction } from '#log/transaction-index';
import { ErrorCode } from '#model/errors';
import { type NodeId, type Offset, offset } from '#model/ids';
import { lastOffset, readBatchHeader } from '#protocol/record-batch';
import type { PartitionLog } from '#storage/partition-log';
import type { ReadResult } from '#storage/tail-cache';
import type { FetchTarget } from './fetch-sessions.ts';
import type { Partition } from './partition.ts';
import type { WatchedEnd, Watcher } from './partition-waiters.ts';

/** The part of the node's response memory that a fetch needs; see net's MemoryBudget. */
export interface ReadBudget {
  readonly freeBytes: number;
  reserve(sizeBytes: number): void;
  release(sizeBytes: number): void;
}

export interface FetchPlan {
  readonly targets: readonly FetchTarget[];
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  /** A follower reads whatever its leader has written, a client what is committed, or of that what no open transaction holds back. */
  readonly reader: 'follower' | 'client' | 'read-committed';
  /** Not read for this follower now: its replication is throttled (KIP-73). */
  readonly isWithheld?: ((partition: Partition) => boolean) | undefined;
  /** Another replica that the reader had better read from (KIP-392). */
  readonly nearer?: ((target: FetchTarget, partition: Partition) => NodeId | undefined) | undefined;
}

export interface PartitionFetch {
  readonly target: FetchTarget;
  readonly partition: Partition | undefined;
  readonly error: ErrorCode;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  /** Where the reader's history leaves ours (KIP-595, versions 12+). */
  readonly diverging?: { readonly epoch: number; readonly endOffset: number };
  readonly chunks: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** Nothing is read here: that replica is nearer. */
  readonly preferredReplica?: NodeId | undefined;
  /** Up to where could be read. */
  readonly limit: number;
  /** For a read_committed reader: those that have records in the chunks. */
  readonly aborted?: readonly AbortedTransaction[];
  /** The buffer of the chunks, to be released when they are sent. */
  readonly lease?: { release(): void } | undefined;
}

const NO_BYTES: readonly Uint8Array[] = [];

/** One go over all targets. */
interface Attempt {
  /** The first target that was not read. */
  next: number;
  /** By the target's place. */
  readonly results: PartitionFetch[];
  sizeBytes: number;
  failed: boolean;
}

interface ReadRange {
  readonly from: Offset;
  readonly upTo: Offset;
  readonly maxBytes: number;
  readonly minOneBatch: boolean;
}

/** Finds the partition of a target, or says why there is none. */
export type Lookup = (target: FetchTarget) => Partition | ErrorCode;

/**
 * One Fetch on its way: reads every target, and if that is fewer than `minBytes` waits for the partitions to advance, at
 * most `maxWaitMs`. The first non-empty partition returns at least one batch, whatever the limits (KIP-74).
 */
export class DelayedFetch implements Watcher {
  readonly #plan: FetchPlan;
  readonly #lookup: Lookup;
  readonly #deadlines: Deadlines;
  readonly #budget: ReadBudget;
  readonly #done: (results: PartitionFetch[]) => void;
  #watched: Partition[] = [];
  #deadline: Deadline | undefined;
  #expired: boolean;
  #reading = false;
  #finished = false;
  #reservedBytes = 0;

  constructor(
    plan: FetchPlan,
    lookup: Lookup,
    deadlines: Deadlines,
    budget: ReadBudget,
    done: (results: PartitionFetch[]) => void,
  ) {
    this.#plan = plan;
    this.#lookup = lookup;
    this.#deadlines = deadlines;
    this.#budget = budget;
    this.#done = done;
    this.#expired = plan.maxWaitMs <= 0;
  }

  start(): void {
    this.#attempt();
  }

  /** It is to answer now, with what there is. */
  hurry(): void {
    this.#expired = true;
    if (!this.#reading && !this.#finished) this.#attempt();
  }

  /** Nobody waits for it any more: it is done with what it has, at once or when its reads have ended. */
  giveUp(): void {
    this.#expired = true;
    if (!this.#reading && !this.#finished) this.#finish([]);
  }

  advanced(): void {
    if (!this.#finished && !this.#reading) this.#attempt();
  }

  #attempt(): void {
    this.#reading = true;
    this.#readWave({ next: 0, results: [], sizeBytes: 0, failed: false });
  }

  /**
   * Reads target after target while `maxBytes` surely has room for all that they may return; those that need the disk read it side by
   * side. When the last of them is there, the next wave goes on with what is truly left.
   */
  #readWave(attempt: Attempt): void {
    const { targets } = this.#plan;
    const { results } = attempt;
    let claimedBytes = attempt.sizeBytes;
    let open = 1;
    const completed = (): void => {
      open -= 1;
      if (open > 0 || this.#finished) return;
      if (attempt.next < targets.length) this.#readWave(attempt);
      else this.#settle(results, attempt.sizeBytes, attempt.failed);
    };
    while (attempt.next < targets.length) {
      const place = attempt.next;
      const target = targets[place] as FetchTarget;
      const found = this.#lookup(target);
      const refused =
        typeof found === 'number'
          ? failure(target, undefined, found)
          : refuse(target, found, this.#plan.reader === 'follower');
      if (refused !== undefined) {
        results[place] = refused;
        attempt.failed = true;
        attempt.next += 1;
        continue;
      }
      const partition = found as Partition;
      if (!this.#isServed(partition)) {
        // Those who can wait do; the rest asks again.
        results[place] = failure(target, partition, ErrorCode.OffsetNotAvailable);
        attempt.next += 1;
        continue;
      }
      const preferredReplica = this.#plan.nearer?.(target, partition);
      if (preferredReplica !== undefined) {
        results[place] = { ...success(target, partition, partition.highWatermark), preferredReplica };
        attempt.failed = true;
        attempt.next += 1;
        continue;
      }
      const from = offset(target.fetchOffset);
      const upTo = this.#readLimit(partition);
      // A follower that tells what it has on its disk asks for nothing, nor does one of what it has no room for.
      const asksNothing = this.#plan.reader === 'follower' && (this.#plan.maxBytes === 0 || target.maxBytes === 0);
      if (asksNothing || this.#plan.isWithheld?.(partition)) {
        results[place] = success(target, partition, upTo);
        attempt.next += 1;
        continue;
      }
      const room = Math.min(this.#plan.maxBytes - claimedBytes, this.#budget.freeBytes - claimedBytes);
      const maxBytes = Math.max(0, Math.min(target.maxBytes, room));
      const minOneBatch = claimedBytes === 0;
      if (from < upTo && maxBytes < target.maxBytes && claimedBytes > attempt.sizeBytes) break;
      attempt.next += 1;
      const nothing = success(target, partition, upTo);
      results[place] = nothing;
      if (from >= upTo || (maxBytes === 0 && !minOneBatch)) continue;
      const cached = partition.log?.readCached(from, upTo, maxBytes, minOneBatch);
      if (cached !== undefined && this.#endOfEmptied(cached, upTo) === undefined) {
        results[place] = this.#withAborted({ ...nothing, ...cached }, partition.log);
        attempt.sizeBytes += cached.sizeBytes;
        claimedBytes += cached.sizeBytes;
        continue;
      }
      claimedBytes += Math.max(1, maxBytes);
      open += 1;
      this.#readFromDisk(nothing, partition, { from, upTo, maxBytes, minOneBatch }, (result) => {
        results[place] = result;
        attempt.sizeBytes += result.sizeBytes;
        if (result.error !== ErrorCode.None) attempt.failed = true;
        completed();
      });
    }
    completed();
  }

  #readFromDisk(
    nothing: PartitionFetch,
    partition: Partition,
    range: ReadRange,
    done: (result: PartitionFetch) => void,
  ): void {
    const { log } = partition;
    this.#budget.reserve(range.maxBytes);
    this.#reservedBytes += range.maxBytes;
    const readFrom = (from: Offset, before: PartitionFetch): void => {
      log?.read(from, range.upTo, range.maxBytes, range.minOneBatch, (result) => {
        if (result === 'failed') return done(failure(nothing.target, partition, ErrorCode.KafkaStorageError));
        if (result === 'out-of-range') return done(failure(nothing.target, partition, ErrorCode.OffsetOutOfRange));
        if (result.sizeBytes === 0) return done(before);
        const end = this.#endOfEmptied(result, range.upTo);
        if (end === undefined) return done(this.#withAborted({ ...nothing, ...result }, log));
        const { sizeBytes } = result;
        const chunks = result.chunks.map((chunk) => new Uint8Array(chunk));
        result.lease?.release();
        readFrom(end, { ...nothing, chunks, sizeBytes });
      });
    };
    readFrom(range.from, nothing);
  }

  /**
   * Where to read on, if all that was read are batches that compaction has emptied, and there is more. They are told only where nothing
   * follows: kafkajs, which goes by records, would take them for nothing, and ask for the same again without end.
   */
  #endOfEmptied({ chunks }: ReadResult, upTo: Offset): Offset | undefined {
    if (this.#plan.reader === 'follower') return undefined;
    const end = endOfEmptied(chunks);
    return end !== undefined && end < upTo ? offset(end) : undefined;
  }

  /** Of the log that was read, at once: retention may delete what it knows of it, and a failed disk takes it away. */
  #withAborted(result: PartitionFetch, log: PartitionLog | undefined): PartitionFetch {
    if (this.#plan.reader !== 'read-committed' || log === undefined || result.sizeBytes === 0) return result;
    return withAborted(result, log);
  }

  #readLimit(partition: Partition): Offset {
    if (this.#plan.reader === 'follower') return partition.writtenOffset;
    // PLANTED BUG serve-above-high-watermark: consumers are given what only the leader may have.
    if (partition.planted.has('serve-above-high-watermark')) return partition.writtenOffset;
    return this.#plan.reader === 'read-committed' ? partition.lastStableOffset : partition.highWatermark;
  }

  /** Before its leader knows what was committed before its epoch, clients are given nothing, and told of no high watermark. */
  #isServed(partition: Partition): boolean {
    return this.#plan.reader === 'follower' || partition.isReady;
  }

  #isOutdated({ partition, error, limit, highWatermark }: PartitionFetch): boolean {
    if (partition === undefined) return false;
    if (error === ErrorCode.OffsetNotAvailable) return this.#isServed(partition);
    if (partition.log === undefined || this.#readLimit(partition) !== limit) return true;
    return this.#plan.reader !== 'follower' && partition.highWatermark !== highWatermark;
  }

  #settle(results: PartitionFetch[], sizeBytes: number, failed: boolean): void {
    this.#reading = false;
    this.#releaseReserved();
    const isEnough = sizeBytes >= this.#plan.minBytes || this.#plan.targets.length === 0;
    if (failed || this.#expired || isEnough || results.some(isCut)) return this.#finish(results);
    // What was read is too little: it is read again when there is more.
    for (const { lease } of results) lease?.release();
    // A disk took its time, and nobody was told of what came meanwhile.
    if (results.some((result) => this.#isOutdated(result))) return this.#attempt();
    this.#park(results);
  }

  #park(results: readonly PartitionFetch[]): void {
    if (this.#deadline !== undefined) return;
    for (const { partition } of results) {
      if (partition === undefined) continue;
      partition.watch(this, this.#watchedEnd);
      this.#watched.push(partition);
    }
    this.#deadline = this.#deadlines.after(this.#plan.maxWaitMs, () => {
      this.#expired = true;
      if (!this.#reading) this.#attempt();
    });
  }

  get #watchedEnd(): WatchedEnd {
    return this.#plan.reader === 'follower' ? 'written' : 'committed';
  }

  #finish(results: PartitionFetch[]): void {
    this.#finished = true;
    for (const partition of this.#watched) partition.unwatch(this, this.#watchedEnd);
    this.#watched = [];
    if (this.#deadline !== undefined) this.#deadlines.cancel(this.#deadline);
    this.#done(results);
  }

  #releaseReserved(): void {
    if (this.#reservedBytes > 0) this.#budget.release(this.#reservedBytes);
    this.#reservedBytes = 0;
  }
}

/** All that began below what was read are decided, since nothing is read beyond the last stable offset: the log knows how. */
function withAborted(result: PartitionFetch, log: PartitionLog): PartitionFetch {
  const { target, partition, chunks, limit, lease } = result;
  if (log.logStartOffset > target.fetchOffset) {
    // It was deleted while it was read, and with it, perhaps, what was known of its transactions.
    lease?.release();
    return failure(target, partition, ErrorCode.OffsetOutOfRange);
  }
  const end = endOf(at(chunks, chunks.length - 1)) ?? limit;
  return { ...result, aborted: log.abortedTransactions(offset(target.fetchOffset), offset(end)) };
}

/** Whether there is more than was read, up to a limit or the end of a segment: to wait would bring the reader no more of it. */
function isCut({ chunks, limit }: PartitionFetch): boolean {
  const last = chunks.at(-1);
  return last !== undefined && (endOf(last) ?? limit) < limit;
}

/** The offset after the last of whole batches; undefined if they make no sense, which is the reader's to find out. */
function endOf(chunk: Uint8Array): number | undefined {
  let end: number | undefined;
  for (let batchAt = 0; batchAt < chunk.length; ) {
    const header = readBatchHeader(chunk, batchAt);
    if (typeof header === 'string') return undefined;
    end = lastOffset(header) + 1;
    batchAt += header.sizeBytes;
  }
  return end;
}

/** The offset after the last of these batches, if none of them has a record. */
function endOfEmptied(chunks: readonly Uint8Array[]): number | undefined {
  let end: number | undefined;
  for (const chunk of chunks) {
    for (let batchAt = 0; batchAt < chunk.length; ) {
      const header = readBatchHeader(chunk, batchAt);
      if (typeof header === 'string' || header.recordCount !== 0) return undefined;
      end = lastOffset(header) + 1;
      batchAt += header.sizeBytes;
    }
  }
  return end;
}

/** Whether a follower's log is a part of its leader's, up to where it fetches. */
export function isInStep(target: FetchTarget, partition: Partition): boolean {
  return refuse(target, partition, true) === undefined;
}

function refuse(target: FetchTarget, partition: Partition, byFollower: boolean): PartitionFetch | undefined {
  const log = partition.log;
  if (log === undefined) return failure(target, partition, ErrorCode.KafkaStorageError);
  const epochError = partition.checkLeaderEpoch(target.currentLeaderEpoch);
  if (epochError !== ErrorCode.None) return failure(target, partition, epochError);
  if (target.fetchOffset < log.logStartOffset) {
    const outside = failure(target, partition, ErrorCode.OffsetOutOfRange);
    // A follower begins anew where its leader does.
    return byFollower ? { ...outside, logStartOffset: log.logStartOffset } : outside;
  }
  if (target.lastFetchedEpoch >= 0) {
    const end = partition.endOffsetFor(target.lastFetchedEpoch);
    if (end === undefined) return failure(target, partition, ErrorCode.OffsetOutOfRange);
    if (end.epoch < target.lastFetchedEpoch || end.endOffset < target.fetchOffset) {
      const limit = partition.highWatermark;
      return { ...success(target, partition, limit), diverging: { epoch: end.epoch, endOffset: end.endOffset } };
    }
  }
  if (target.fetchOffset <= log.logEndOffset) return undefined;
  const latest = log.epochs.latest();
  if (byFollower && latest !== undefined) {
    // Its log is empty, so that no epoch tells: it starts above all that a leader has that was elected uncleanly.
    const diverging = { epoch: latest.epoch, endOffset: log.logEndOffset };
    return { ...success(target, partition, partition.highWatermark), diverging };
  }
  // A consumer may be ahead of a follower that it reads from (KIP-392).
  return failure(target, partition, partition.leads ? ErrorCode.OffsetOutOfRange : ErrorCode.OffsetNotAvailable);
}

function failure(target: FetchTarget, partition: Partition | undefined, error: ErrorCode): PartitionFetch {
  return {
    target,
    partition,
    error,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    chunks: NO_BYTES,
    sizeBytes: 0,
    limit: -1,
  };
}

/** What is known of the partition before anything of it is read. */
function success(target: FetchTarget, partition: Partition, limit: number): PartitionFetch {
  return {
    target,
    partition,
    error: ErrorCode.None,
    highWatermark: partition.highWatermark,
    lastStableOffset: partition.lastStableOffset,
    logStartOffset: partition.log?.logStartOffset ?? -1,
    chunks: NO_BYTES,
    sizeBytes: 0,
    limit,
  };
}
