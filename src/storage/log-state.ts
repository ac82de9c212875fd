import { assert, at } from '#base/assert';
import { readEndMarker } from '#log/end-marker';
import type { LeaderEpochCache } from '#log/leader-epoch-cache';
import type { ProducerStates } from '#log/producer-state';
import { timestampToIndex } from '#log/segment-indexes';
import type { AbortedTransaction } from '#log/transaction-index';
import type { LeaderEpoch, Offset, Uuid } from '#model/ids';
import { type BatchHeader, isControl, patchBatch } from '#protocol/record-batch';
import { type EpochsSaved, LeaderEpochFile } from './leader-epoch-file.ts';
import { type LogConfig, segmentMsOf } from './log-config.ts';
import type { LogDirectory } from './log-directory.ts';
import { Segment } from './segment.ts';
import type { TailCache } from './tail-cache.ts';

/** What a log is made of, when it was recovered or is new. */
export interface LogParts {
  readonly topic: string;
  readonly partition: number;
  readonly topicId: Uuid;
  readonly directory: LogDirectory;
  readonly folder: string;
  readonly cache: TailCache;
  readonly config: LogConfig;
  /** Whether it is the topic's: of a log that was found on disk nobody knows, until its node has the metadata. */
  readonly isConfigKnown: boolean;
  /** The last one is active. */
  readonly segments: Segment[];
  readonly snapshots: Offset[];
  /** See Recovered. */
  readonly replayedBytes: number;
  readonly producers: ProducerStates;
  readonly epochs: LeaderEpochCache;
  readonly epochsSaved: EpochsSaved;
  /** The folder and its partition.metadata are there for good. */
  readonly isNamed: boolean;
  /** The files are as a clean shutdown has left them. */
  readonly isAsClosed: boolean;
  readonly logStartOffset: Offset;
  /** As its directory's checkpoint has it, or lower. */
  readonly savedStartOffset: Offset;
  /** As it was saved: what recovery has found above it is saved by the log's checkpoints, from now on. */
  readonly recoveryPoint: Offset;
  /** As it was saved; 0: it was never compacted. */
  readonly cleanedOffset: Offset;
  /** A number in [0, 1). */
  readonly jitter: () => number;
  readonly doom: (path: string, delayMs: number) => void;
}

/**
 * One log as it is in memory: its segments, where it begins and ends, which epochs and producers have written it. Changes no file:
 * those who do, share it.
 */
export class LogState {
  readonly directory: LogDirectory;
  readonly folder: string;
  /** At least one; the last one is active. It changes under those who read it. */
  readonly segments: Segment[];
  readonly producers: ProducerStates;
  readonly epochs: LeaderEpochFile;
  #config: LogConfig;
  #isConfigKnown: boolean;
  readonly #jitter: () => number;
  #isNamed: boolean;
  #startOffset: Offset;
  #savedStartOffset: Offset;
  #endOffset: Offset;
  #recoveryPoint: Offset;
  #appendedBytes = 0;
  #isAsClosed: boolean;

  constructor(parts: LogParts) {
    this.directory = parts.directory;
    this.folder = parts.folder;
    this.segments = parts.segments;
    this.producers = parts.producers;
    this.epochs = new LeaderEpochFile(parts.epochs, parts.epochsSaved);
    this.#config = parts.config;
    this.#isConfigKnown = parts.isConfigKnown;
    this.#jitter = parts.jitter;
    this.#startOffset = parts.logStartOffset;
    this.#savedStartOffset = Math.min(parts.savedStartOffset, parts.logStartOffset) as Offset;
    this.#endOffset = this.active.endOffset;
    this.#recoveryPoint = parts.recoveryPoint;
    this.#isAsClosed = parts.isAsClosed;
    this.#isNamed = parts.isNamed;
  }

  get config(): LogConfig {
    return this.#config;
  }

  /** From now on it is the topic's. */
  set config(config: LogConfig) {
    this.#config = config;
    this.#isConfigKnown = true;
  }

  /** Nothing is deleted by a config that is not the topic's. */
  get isConfigKnown(): boolean {
    return this.#isConfigKnown;
  }

  /** Until the folder and its partition.metadata are there for good, a file that speaks of later offsets would be of nobody's log. */
  get isNamed(): boolean {
    return this.#isNamed;
  }

  named(): void {
    this.#isNamed = true;
  }

  get active(): Segment {
    return at(this.segments, this.segments.length - 1);
  }

  get startOffset(): Offset {
    return this.#startOffset;
  }

  /** What lies below does not come back, whatever happens to the node. */
  get savedStartOffset(): Offset {
    return this.#savedStartOffset;
  }

  get endOffset(): Offset {
    return this.#endOffset;
  }

  get recoveryPoint(): Offset {
    return this.#recoveryPoint;
  }

  /** Since the log was opened. */
  get appendedBytes(): number {
    return this.#appendedBytes;
  }

  /** Nothing has happened to it that a clean shutdown would have to save. */
  get isAsClosed(): boolean {
    return this.#isAsClosed;
  }

  get sizeBytes(): number {
    let sizeBytes = 0;
    for (const segment of this.segments) sizeBytes += segment.sizeBytes;
    return sizeBytes;
  }

  /** Whether a new segment is to begin with these batches, of `sizeBytes` together. */
  rollsBefore(sizeBytes: number, headers: readonly BatchHeader[]): boolean {
    const last = at(headers, headers.length - 1);
    const lastOffset = (last.baseOffset + last.lastOffsetDelta) as Offset;
    let maxTimestamp = -1;
    for (const header of headers) if (header.maxTimestamp > maxTimestamp) maxTimestamp = header.maxTimestamp;
    const limits = { segmentBytes: this.config.segmentBytes, segmentMs: segmentMsOf(this.config) };
    return this.active.rollsBefore(sizeBytes, lastOffset, maxTimestamp, this.directory.clock.wall(), limits);
  }

  /** Whole batches at the log's end or above, where `headers` say; `patches`: their bytes do not yet. */
  append(bytes: Uint8Array, headers: readonly BatchHeader[], patches: boolean): void {
    assert(at(headers, 0).baseOffset >= this.#endOffset, 'a log grows at its end');
    this.#isAsClosed = false;
    const segment = this.active;
    for (const header of headers) {
      if (patches) patchBatch(bytes, header.at, header.baseOffset, header.partitionLeaderEpoch);
      this.#appendBatch(bytes, header, segment, !patches);
    }
    this.#appendedBytes += bytes.length;
  }

  /** Begins a new segment at the log's end. */
  roll(): void {
    this.#isAsClosed = false;
    this.active.seal();
    const { segmentJitterMs, segmentIndexBytes } = this.config;
    const facts = {
      folder: this.folder,
      baseOffset: this.#endOffset,
      createdAt: this.directory.clock.wall(),
      jitterMs: Math.floor(this.#jitter() * segmentJitterMs),
    };
    this.segments.push(Segment.active(facts, segmentIndexBytes));
  }

  /** What lies below `offset` is not of the log any more. */
  moveStart(offset: Offset): void {
    if (offset <= this.#startOffset) return;
    this.#startOffset = offset;
    this.#isAsClosed = false;
    this.epochs.truncateFromStart(offset);
  }

  /** The directory's checkpoint has that start, for good. */
  startSaved(offset: Offset): void {
    // It may have been cut meanwhile.
    const saved = Math.min(offset, this.#startOffset);
    this.#savedStartOffset = Math.max(this.#savedStartOffset, saved) as Offset;
  }

  /** A clean shutdown has something to save from now on. */
  touch(): void {
    this.#isAsClosed = false;
  }

  /** What lies at `offset` and above is not of the log any more; its files, epochs and producers follow. */
  cutTo(offset: Offset): void {
    this.#endOffset = Math.min(this.#endOffset, offset) as Offset;
    // The batch that holds the log's start goes as a whole.
    this.#startOffset = Math.min(this.#startOffset, offset) as Offset;
    this.#savedStartOffset = Math.min(this.#savedStartOffset, offset) as Offset;
  }

  /** Nothing at `offset` or above is vouched for. */
  lowerRecoveryPoint(offset: Offset): void {
    this.#recoveryPoint = Math.min(this.#recoveryPoint, offset) as Offset;
  }

  /** Everything below `offset` is in the log's files for good, with what is saved beside them. */
  reachRecoveryPoint(offset: Offset): void {
    this.#recoveryPoint = offset;
  }

  /** Recovery has made everything agree with the files, which end at `end`. */
  recovered(end: Offset): void {
    this.epochs.rebuilt();
    this.#endOffset = end;
  }

  /** See PartitionLog.abortedTransactions. */
  abortedTransactions(from: Offset, upTo: Offset): readonly AbortedTransaction[] {
    const found: AbortedTransaction[] = [];
    const first = Math.max(
      0,
      this.segments.findLastIndex(({ baseOffset }) => baseOffset <= from),
    );
    for (const { transactions } of this.segments.slice(first)) {
      if (transactions?.collect(from, upTo, found)) break;
    }
    return found.sort((a, b) => a.firstOffset - b.firstOffset);
  }

  #appendBatch(bytes: Uint8Array, header: BatchHeader, segment: Segment, isReplicated: boolean): void {
    const baseOffset = header.baseOffset as Offset;
    const lastOffset = (baseOffset + header.lastOffsetDelta) as Offset;
    this.epochs.appended(header.partitionLeaderEpoch as LeaderEpoch, baseOffset, this.#endOffset);
    segment.grow(lastOffset, timestampToIndex(header), header.sizeBytes, this.config.indexIntervalBytes);
    const marker = isControl(header) ? readEndMarker(bytes, header) : undefined;
    // PLANTED BUG followers-forget-producers: only who leads follows what producers do.
    const isForgotten = isReplicated && this.directory.planted.has('followers-forget-producers');
    const ended = isForgotten
      ? undefined
      : this.producers.append(header, baseOffset, lastOffset, header.maxTimestamp, marker);
    if (ended?.aborted) segment.abort(ended);
    this.#endOffset = (lastOffset + 1) as Offset;
  }
}
