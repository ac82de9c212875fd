import { at } from '#base/assert';
import type { Deadline } from '#base/deadlines';
import type { Mono, Ports } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { type LeaderEpoch, type NodeId, type Offset, offset, partitionName } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import type { PartitionData } from '#protocol/generated/fetch-response';
import { replicatedBatches } from '#protocol/replicated-batches';
import { divergencePoint } from '#replication/truncation';
import type { Partition } from './partition.ts';
import type { ReplicationThrottle } from './replication-throttle.ts';
import { type UndurableBytes, UndurableTail, withoutFrame } from './undurable-bytes.ts';

/** A partition that its leader refuses is asked for again then, and each time twice as late: the metadata of one of the two are behind. */
const RETRY_MS = 2;
const RETRY_MS_MAX = 50;
const DAMAGED_RETRY_MS = 1_000;
/** What has no room now has some soon at the best: its directory looks for it as often. */
export const FULL_RETRY_MS = 1_000;

/** A partition as its leader has been told of it. */
export interface Followed {
  readonly partition: Partition;
  readonly leaderEpoch: LeaderEpoch;
  /** The end of its log as the leader was last told, by a fetch or a report; */
  toldOffset: number;
  /** and as the last fetch went by it: what the answer is about. */
  askedOffset: number;
  /** It is not asked for before. */
  pausedUntil: Mono;
  /** When it is asked for again, whatever comes. */
  again: Deadline | undefined;
  /** The next pause after a refusal. */
  retryMs: number;
  /** The leader was told that there is no room here, by asking it for nothing. */
  isToldFull: boolean;
  /** Where the leader's log started when it was first told; for a planted bug. */
  startAtFirst: Offset | undefined;
  /** What was appended to its log and is not on disk. */
  readonly undurable: UndurableTail;
}

/** In its present leader epoch, of which the leader knows nothing yet. */
export function newFollowed(partition: Partition, undurable: UndurableBytes): Followed {
  return {
    partition,
    leaderEpoch: partition.leaderEpoch,
    toldOffset: -1,
    askedOffset: -1,
    pausedUntil: 0,
    again: undefined,
    retryMs: RETRY_MS,
    isToldFull: false,
    startAtFirst: undefined,
    undurable: new UndurableTail(undurable),
  };
}

export interface ReplicaIntakeOptions {
  readonly leader: NodeId;
  readonly planted: PlantedBugs;
  readonly throttle: ReplicationThrottle;
  /** Whole batches have been taken in. */
  onAppended(sizeBytes: number): void;
  /** Whether this node's replica is in sync by the metadata. */
  isInSync(partition: Partition): boolean;
}

/** Whoever asks for what is taken in here. */
export interface Asker {
  isFollowed(followed: Followed): boolean;
  /** The leader has to be told of it: its position is another. */
  note(followed: Followed): void;
  /** It is asked for no more until it is noted. */
  leave(followed: Followed): void;
  /** It is asked for no more before that time has passed. */
  pause(followed: Followed, pauseMs: number): void;
}

/** What a follower does with its leader's answers: appends to its log, cuts it, begins it anew, or has it asked for again later. */
export class ReplicaIntake {
  readonly #ports: Pick<Ports, 'codecs' | 'logger'>;
  readonly #options: ReplicaIntakeOptions;
  readonly #asker: Asker;

  constructor(ports: Pick<Ports, 'codecs' | 'logger'>, options: ReplicaIntakeOptions, asker: Asker) {
    this.#ports = ports;
    this.#options = options;
    this.#asker = asker;
  }

  take(followed: Followed, answer: PartitionData): void {
    const { partition } = followed;
    const { log } = partition;
    const isTaker = !partition.isBeingCut && !partition.leads && partition.leaderEpoch === followed.leaderEpoch;
    // It would be sent the same again and again.
    if (log === undefined || !isTaker) return this.#asker.leave(followed);
    // The log was cut since, or had no room for what came before: the answer would leave a hole, and looks like one that compaction left.
    if (log.logEndOffset !== followed.askedOffset) return this.#asker.note(followed);
    const { errorCode, divergingEpoch } = answer;
    if (!hasPossibleOffsets(answer)) {
      this.#refuse(followed, 'offsets that no log reaches');
      return;
    }
    if (errorCode === ErrorCode.OffsetOutOfRange) return this.#outOfRange(followed, answer);
    if (errorCode !== ErrorCode.None) return this.#retryLater(followed);
    if (divergingEpoch.epoch >= 0) {
      const { epoch, endOffset } = divergingEpoch;
      // Above it both have nothing in common, and below it this log has nothing; or it has no record at all.
      if (endOffset < log.logStartOffset || log.logEndOffset === log.logStartOffset) {
        if (endOffset !== log.logEndOffset)
          return this.#cut(followed, offset(Math.max(0, answer.logStartOffset)), 'restart');
        // It has led an epoch in which nothing was written, which it forgets: whoever is in sync does not go back below what is committed.
        const isBare = log.epochs.latest()?.startOffset === endOffset;
        return this.#cut(followed, log.logEndOffset, isBare ? 'truncate' : 'restart');
      }
      const diverging = { epoch: epoch as LeaderEpoch, endOffset: offset(Math.max(0, endOffset)) };
      const to = this.#options.planted.has('truncate-to-high-watermark')
        ? // PLANTED BUG truncate-to-high-watermark: what is above the follower's high watermark goes, as before KIP-101.
          partition.highWatermark
        : divergencePoint(log.epochs, log.logStartOffset, log.logEndOffset, diverging);
      return this.#cut(followed, to, 'truncate');
    }
    const chunks = answer.records ?? [];
    const bytes = chunks.length === 1 ? at(chunks, 0) : Buffer.concat(chunks);
    const appended = bytes.length === 0 ? 'taken' : this.#append(followed, bytes);
    if (appended === 'refused') return;
    if (appended === 'taken') followed.retryMs = RETRY_MS;
    // Also where there is no room for more: what the leader has deleted makes some.
    partition.leaderIsAt(offset(Math.max(0, answer.highWatermark)), this.#startOf(followed, answer));
  }

  /** Where the leader's log starts. */
  #startOf(followed: Followed, answer: PartitionData): Offset {
    const start = offset(Math.max(0, answer.logStartOffset));
    if (!this.#options.planted.has('expand-with-deleted')) return start;
    // PLANTED BUG expand-with-deleted: a follower takes part only in the deletions that come after it has begun to follow.
    followed.startAtFirst ??= start;
    return start === followed.startAtFirst ? offset(0) : start;
  }

  /** Whether the answer was taken in. 'busy': there is no room, or the log has gone; it is asked for again. */
  #append(followed: Followed, bytes: Uint8Array): 'taken' | 'busy' | 'refused' {
    const { partition, leaderEpoch } = followed;
    const { log } = partition;
    if (log === undefined) return 'refused';
    const batches = replicatedBatches(bytes, log.logEndOffset, leaderEpoch, this.#ports.codecs);
    if (batches.kind === 'damaged') return this.#refuse(followed, batches.reason);
    if (batches.kind === 'straddling') {
      if (log.logEndOffset > log.logStartOffset) return this.#refuse(followed, 'a batch begins within the log');
      // The leader's log starts within this batch: the follower's begins with the whole of it.
      this.#cut(followed, offset(batches.baseOffset), 'restart', () => this.#append(followed, batches.bytes));
      return 'refused';
    }
    if (batches.headers.length === 0) return 'taken';
    const taken = withoutFrame(batches.bytes);
    if (partition.appendReplicated(taken, batches.headers) !== 'appended') {
      if (log.directory.isFull && !followed.isToldFull) this.#asker.note(followed);
      else this.#asker.pause(followed, FULL_RETRY_MS);
      return 'busy';
    }
    followed.undurable.append(log.logEndOffset, taken.length);
    this.#options.onAppended(taken.length);
    this.#asker.note(followed);
    this.#throttle(followed, taken.length);
    return 'taken';
  }

  /** What was fetched for a reassignment, say, is paid for by a pause (KIP-73). */
  #throttle(followed: Followed, sizeBytes: number): void {
    const { throttle, isInSync } = this.#options;
    if (!throttle.applies(followed.partition) || isInSync(followed.partition)) return;
    throttle.moved(sizeBytes);
    const { delayMs } = throttle;
    if (delayMs > 0) this.#asker.pause(followed, delayMs);
  }

  /** The leader's log starts above this one's end: nothing of this one is of use. */
  #outOfRange(followed: Followed, { logStartOffset }: PartitionData): void {
    const end = followed.partition.log?.logEndOffset ?? 0;
    if (logStartOffset <= end) return this.#retryLater(followed);
    this.#cut(followed, offset(logStartOffset), 'restart');
  }

  #cut(followed: Followed, to: Offset, how: 'truncate' | 'restart', then?: () => void): void {
    const { partition, leaderEpoch } = followed;
    const { topic, index, log } = partition;
    const from = log?.logEndOffset;
    this.#ports.logger.info({ partition: partitionName(topic, index), leaderEpoch, from, to }, 'the log is cut');
    followed.undurable.clear();
    if (how === 'truncate') partition.truncateTo(to);
    else partition.restartAt(to);
    this.#asker.note(followed);
    void partition.whenWhole().then(() => {
      if (!this.#asker.isFollowed(followed) || partition.log === undefined) return;
      then?.();
      this.#asker.note(followed);
    });
  }

  #refuse(followed: Followed, reason: string): 'refused' {
    const { topic, index } = followed.partition;
    const { leader } = this.#options;
    this.#ports.logger.error({ partition: partitionName(topic, index), leader, reason }, 'what was fetched is refused');
    this.#asker.pause(followed, DAMAGED_RETRY_MS);
    return 'refused';
  }

  #retryLater(followed: Followed): void {
    this.#asker.pause(followed, followed.retryMs);
    followed.retryMs = Math.min(2 * followed.retryMs, RETRY_MS_MAX);
  }
}

/** Whether it tells of places where a log can be; below 0 it tells of none. */
function hasPossibleOffsets({ highWatermark, logStartOffset, divergingEpoch }: PartitionData): boolean {
  return Math.max(highWatermark, logStartOffset, divergingEpoch.endOffset) <= Number.MAX_SAFE_INTEGER;
}
