import { Fifo } from '#base/fifo';
import type { EpochEnd } from '#log/leader-epoch-cache';
import { ErrorCode, type FailureCode } from '#model/errors';
import { type LeaderEpoch, leaderEpoch, type Offset, offset, type Uuid } from '#model/ids';
import type { BatchHeader } from '#protocol/record-batch';
import type { LogListener, PartitionLog } from '#storage/partition-log';

/** Called when the high watermark of a partition that it watches has moved, or the partition has gone. */
export interface Watcher {
  advanced(): void;
}

interface PendingAck {
  /** Answered once everything below is durable. */
  readonly upTo: Offset;
  readonly done: (error: ErrorCode) => void;
}

/** A duplicate has the offsets of the batch that was taken first. */
export interface Appended {
  readonly error: typeof ErrorCode.None;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
}

/** Why the batches were not taken. */
export interface NotAppended {
  readonly error: FailureCode;
  readonly message?: string;
}

export type AppendOutcome = Appended | NotAppended;

/**
 * A partition that this node leads: the log, what waits for its durability and what watches its end. With one replica
 * the high watermark is the log's durable end offset.
 */
export class Partition implements LogListener {
  readonly topic: string;
  readonly topicId: Uuid;
  readonly index: number;
  /** As the metadata have it. */
  replicaCount = 1;
  #log: PartitionLog | undefined;
  #leaderEpoch: LeaderEpoch;
  #highWatermark: Offset;
  /** Bounded by the request memory of the connections: each entry belongs to a request in flight. */
  readonly #acks = new Fifo<PendingAck>();
  readonly #watchers = new Set<Watcher>();

  constructor(topic: string, topicId: Uuid, index: number, leaderEpoch: LeaderEpoch, log: PartitionLog | undefined) {
    this.topic = topic;
    this.topicId = topicId;
    this.index = index;
    this.#leaderEpoch = leaderEpoch;
    this.#log = log;
    this.#highWatermark = log?.durableOffset ?? offset(0);
    if (log !== undefined) log.listener = this;
  }

  /** Undefined while the partition is offline: its directory has failed or its log is quarantined. */
  get log(): PartitionLog | undefined {
    return this.#log;
  }

  get leaderEpoch(): LeaderEpoch {
    return this.#leaderEpoch;
  }

  set leaderEpoch(epoch: LeaderEpoch) {
    this.#leaderEpoch = epoch;
  }

  get highWatermark(): Offset {
    return this.#highWatermark;
  }

  /** Below it no transaction is open; what read_committed consumers may read. */
  get lastStableOffset(): Offset {
    return this.#log?.producers.lastStableOffset(this.#highWatermark) ?? this.#highWatermark;
  }

  /** FENCED or UNKNOWN_LEADER_EPOCH if the client's epoch is not ours; −1 is not checked (KIP-320). */
  checkLeaderEpoch(clientEpoch: number): ErrorCode {
    if (clientEpoch < 0 || clientEpoch === this.#leaderEpoch) return ErrorCode.None;
    return clientEpoch < this.#leaderEpoch ? ErrorCode.FencedLeaderEpoch : ErrorCode.UnknownLeaderEpoch;
  }

  /** Where the log of `epoch` ends, as OffsetForLeaderEpoch answers it (KIP-279); undefined if the log knows of no such epoch. */
  endOffsetFor(epoch: number): EpochEnd | undefined {
    if (this.#log === undefined || epoch < 0) return undefined;
    return this.#log.epochs.endOffsetFor(leaderEpoch(epoch), this.#log.logEndOffset);
  }

  /**
   * Appends whole validated batches, which the log owns from here on. Duplicates of an idempotent producer are not
   * appended again: their first offsets are the outcome. Readable at once below the log end, acknowledged by `whenDurable`.
   */
  append(bytes: Uint8Array, headers: readonly BatchHeader[]): AppendOutcome {
    const log = this.#log;
    if (log === undefined) return { error: ErrorCode.KafkaStorageError };
    for (const header of headers) {
      const check = log.producers.check(header);
      if (check.kind === 'duplicate') {
        return { error: ErrorCode.None, baseOffset: check.baseOffset, lastOffset: check.lastOffset };
      }
      if (check.kind === 'error') return { error: check.code };
    }
    const appended = log.append(bytes, headers, this.#leaderEpoch);
    if (appended === 'offline') return { error: ErrorCode.KafkaStorageError };
    if (appended === 'full') return { error: ErrorCode.KafkaStorageError, message: 'the disk is full' };
    return { error: ErrorCode.None, baseOffset: appended.baseOffset, lastOffset: appended.lastOffset };
  }

  /** Calls `done` once everything up to and including `last` is durable, or when it never will be. */
  whenDurable(last: Offset, done: (error: ErrorCode) => void): void {
    if (this.#log === undefined) return done(ErrorCode.KafkaStorageError);
    if (last < this.#log.durableOffset) return done(ErrorCode.None);
    this.#acks.push({ upTo: last, done });
  }

  watch(watcher: Watcher): void {
    this.#watchers.add(watcher);
  }

  unwatch(watcher: Watcher): void {
    this.#watchers.delete(watcher);
  }

  durable(end: Offset): void {
    this.#highWatermark = end;
    this.#log?.producers.highWatermarkAdvanced(end);
    for (let first = this.#acks.peek(); first !== undefined && first.upTo < end; first = this.#acks.peek()) {
      this.#acks.shift().done(ErrorCode.None);
    }
    this.#wakeWatchers();
  }

  rejected(from: Offset): void {
    for (const ack of this.#acks.drain()) {
      if (ack.upTo < from) this.#acks.push(ack);
      else ack.done(ErrorCode.KafkaStorageError);
    }
  }

  failed(): void {
    this.#goOffline(ErrorCode.KafkaStorageError);
  }

  /** The topic was deleted, or the node stops: nothing waits any longer. */
  retire(error: ErrorCode): void {
    this.#goOffline(error);
  }

  #goOffline(error: ErrorCode): void {
    if (this.#log !== undefined) this.#log.listener = undefined;
    this.#log = undefined;
    for (const ack of this.#acks.drain()) ack.done(error);
    this.#wakeWatchers();
  }

  #wakeWatchers(): void {
    // A woken watcher may watch again: only those of now are woken.
    for (const watcher of [...this.#watchers]) watcher.advanced();
  }
}
