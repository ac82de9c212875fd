/** One broker's followers of the partitions that another one leads: fetches them over one connection (KIP-227, KIP-903). */
import type { Deadlines } from '#base/deadlines';
import type { Mono, Ports } from '#base/ports';
import { type NodeId, offset, type Uuid } from '#model/ids';
import type { FetchPartitionInput, FetchRequestInput } from '#protocol/generated/fetch-request';
import type { FetchResponse } from '#protocol/generated/fetch-response';
import type { PartitionLog } from '#storage/partition-log';
import { FetchLink, type FetchLinkOptions } from './fetch-link.ts';
import { FollowerSession } from './follower-session.ts';
import type { Partition } from './partition.ts';
import {
  type Followed,
  FULL_RETRY_MS,
  newFollowed,
  ReplicaIntake,
  type ReplicaIntakeOptions,
} from './replica-intake.ts';
import type { UndurableBytes } from './undurable-bytes.ts';

/** Of the configs, replica.fetch.wait.max.ms, .min.bytes, .max.bytes (of a partition) and .response.max.bytes. */
export interface ReplicaFetcherOptions extends FetchLinkOptions, ReplicaIntakeOptions {
  readonly minBytes: number;
  readonly partitionMaxBytes: number;
  /** Of all fetchers of the node. */
  readonly undurable: UndurableBytes;
  /** Of this process; -1 while it is not registered. */
  brokerEpoch(): number;
}

/**
 * Fetches are long polls, one at a time. What becomes durable while one waits at the leader is told by a report: a second request
 * that asks for no data, upon which the leader answers both.
 */
export class ReplicaFetcher {
  readonly #ports: Ports;
  readonly #deadlines: Deadlines;
  readonly #options: ReplicaFetcherOptions;
  /** By topic id and number. */
  readonly #followed = new Map<Uuid, Map<number, Followed>>();
  /** The leader has to be told of them: their position is another, or they are new. */
  readonly #changed = new Set<Followed>();
  /** Told by reports since the last fetch. */
  readonly #reported = new Set<Followed>();
  /** Of the partitions that are followed. */
  readonly #session = new FollowerSession();
  readonly #link: FetchLink;
  readonly #intake: ReplicaIntake;
  #isPumpDue = false;
  #isClosed = false;
  readonly #retry = (): void => this.#schedule();

  constructor(ports: Ports, deadlines: Deadlines, options: ReplicaFetcherOptions) {
    this.#ports = ports;
    this.#deadlines = deadlines;
    this.#options = options;
    this.#link = new FetchLink(ports, deadlines, options, {
      opened: () => this.#pump(),
      answered: (response) => this.#answered(response),
      lost: () => {
        this.#session.reset();
        this.#reported.clear();
      },
      redialDue: () => this.#schedule(),
    });
    this.#intake = new ReplicaIntake(ports, options, {
      isFollowed: (followed) => this.#find(followed.partition.topicId, followed.partition.index) === followed,
      note: (followed) => this.#note(followed),
      leave: (followed) => this.#session.leave(followed.partition),
      pause: (followed, pauseMs) => this.#pause(followed, pauseMs),
    });
  }

  get leader(): NodeId {
    return this.#options.leader;
  }

  get isIdle(): boolean {
    return this.#followed.size === 0;
  }

  /** In the partition's present leader epoch; again, if that is another one. */
  follow(partition: Partition): void {
    const known = this.#find(partition.topicId, partition.index);
    if (known?.partition === partition && known.leaderEpoch === partition.leaderEpoch) return;
    if (known !== undefined) this.unfollow(partition);
    const { topicId, index } = partition;
    const followed = newFollowed(partition, this.#options.undurable);
    let ofTopic = this.#followed.get(topicId);
    if (ofTopic === undefined) {
      ofTopic = new Map();
      this.#followed.set(topicId, ofTopic);
    }
    ofTopic.set(index, followed);
    this.#note(followed);
    // A cut that an earlier leader has led to may be under way still: nothing is asked for until it is over.
    if (!partition.isBeingCut) return;
    void partition.whenWhole().then(() => {
      if (this.#find(topicId, index) === followed) this.#note(followed);
    });
  }

  unfollow({ topicId, index }: Partition): void {
    const followed = this.#find(topicId, index);
    if (followed === undefined) return;
    this.#session.leave(followed.partition);
    followed.undurable.clear();
    this.#changed.delete(followed);
    this.#reported.delete(followed);
    const ofTopic = this.#followed.get(topicId);
    ofTopic?.delete(index);
    if (ofTopic?.size === 0) this.#followed.delete(topicId);
    this.#schedule();
  }

  /** See PartitionEvents. */
  synced({ topicId, index, log }: Partition): void {
    const followed = this.#find(topicId, index);
    if (followed === undefined || log === undefined) return;
    followed.undurable.durable(log.durableOffset);
    this.#note(followed);
  }

  /** See PartitionEvents. */
  lost({ topicId, index, log }: Partition): void {
    const followed = this.#find(topicId, index);
    if (followed === undefined) return;
    followed.undurable.truncateTo(log?.logEndOffset ?? offset(0));
    this.#note(followed);
  }

  close(): void {
    this.#isClosed = true;
    this.#link.close();
  }

  #find(topicId: Uuid, index: number): Followed | undefined {
    return this.#followed.get(topicId)?.get(index);
  }

  #note(followed: Followed): void {
    this.#changed.add(followed);
    this.#schedule();
  }

  /** In a turn of its own: what many partitions have to tell goes into one request. */
  #schedule(): void {
    if (this.#isPumpDue || this.#isClosed) return;
    this.#isPumpDue = true;
    this.#ports.clock.defer(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#isClosed || this.isIdle) return;
    const link = this.#link;
    if (!link.isDialled) return link.dial();
    if (!link.isOpen || link.awaitsReport) return;
    if (link.awaitsAnswer) {
      // The leader must know the session before a second request can go on in it.
      if (this.#session.isOpen && this.#changed.size > 0) this.#send(true);
    } else if (this.#options.undurable.hasRoom) this.#send(false);
    else {
      this.#options.undurable.whenRoom(this.#retry);
      if (this.#changed.size > 0) this.#send(true);
    }
  }

  #send(isReport: boolean): void {
    const topics = this.#topics(isReport);
    // Nothing can be taken now: a fetch for nothing would be answered at once.
    if (topics.length === 0 && this.#session.isEmpty) return;
    const { self, waitMaxMs, minBytes, responseMaxBytes } = this.#options;
    const body: FetchRequestInput = {
      replicaState: { replicaId: self, replicaEpoch: this.#options.brokerEpoch() },
      maxWaitMs: isReport ? 0 : waitMaxMs,
      minBytes,
      // A report has room for nothing, and no fetch must look like one: the first batch comes whole, however little is asked for.
      maxBytes: isReport ? 0 : Math.max(1, responseMaxBytes),
      ...this.#session.next(),
      topics,
    };
    this.#changed.clear();
    this.#link.send(body, isReport);
  }

  /** What the leader must be told: in a session what has changed, else everything. */
  #topics(isReport: boolean): FetchRequestInput['topics'][number][] {
    const topics = new Map<Uuid, FetchPartitionInput[]>();
    const now = this.#ports.clock.now();
    if (!isReport) {
      for (const followed of this.#reported) followed.askedOffset = followed.toldOffset;
      this.#reported.clear();
    }
    for (const followed of this.#session.isOpen ? this.#changed : this.#all()) {
      const asked = this.#ask(followed, now);
      if (asked === undefined) {
        this.#session.leave(followed.partition);
        continue;
      }
      this.#session.enter(followed.partition);
      followed.isToldFull = asked.partitionMaxBytes === 0;
      if (followed.isToldFull) this.#noteAfter(followed, FULL_RETRY_MS);
      followed.toldOffset = asked.fetchOffset;
      if (isReport) this.#reported.add(followed);
      else followed.askedOffset = asked.fetchOffset;
      const { topicId } = followed.partition;
      const partitions = topics.get(topicId);
      if (partitions === undefined) topics.set(topicId, [asked]);
      else partitions.push(asked);
    }
    return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }));
  }

  /** Undefined while it cannot take anything. */
  #ask({ partition, leaderEpoch, pausedUntil }: Followed, now: Mono): FetchPartitionInput | undefined {
    const { log } = partition;
    if (log === undefined || partition.isBeingCut || now < pausedUntil) return undefined;
    const { logEndOffset, logStartOffset, savedStartOffset, durableOffset, directory } = log;
    return {
      partition: partition.index,
      currentLeaderEpoch: leaderEpoch,
      fetchOffset: logEndOffset,
      // PLANTED BUG fetch-without-last-epoch: nobody finds out that the histories part.
      lastFetchedEpoch: this.#options.planted.has('fetch-without-last-epoch') ? -1 : lastEpochOf(log),
      // PLANTED BUG delete-before-saved: a start that a power cut takes back is good enough.
      logStartOffset: this.#options.planted.has('delete-before-saved') ? logStartOffset : savedStartOffset,
      // A leader that knows does not wait for this replica; where its log starts it tells all the same, which may make room.
      partitionMaxBytes: directory.isFull ? 0 : Math.max(1, this.#options.partitionMaxBytes),
      // PLANTED BUG report-before-sync: what was fetched is told as if it were on the disk.
      durableOffset: this.#options.planted.has('report-before-sync') ? logEndOffset : durableOffset,
    };
  }

  #answered(response: FetchResponse): void {
    this.#session.answered(response.sessionId);
    for (const { topicId, partitions } of response.responses)
      for (const data of partitions) {
        const index = data.partitionIndex;
        const followed = this.#find(topicId, index);
        if (followed === undefined) this.#session.forget({ topicId, index });
        else if (this.#session.has(followed.partition)) this.#intake.take(followed, data);
      }
    this.#schedule();
  }

  #pause(followed: Followed, pauseMs: number): void {
    followed.pausedUntil = this.#ports.clock.now() + pauseMs;
    this.#session.leave(followed.partition);
    this.#noteAfter(followed, pauseMs);
  }

  #noteAfter(followed: Followed, delayMs: number): void {
    if (followed.again !== undefined) this.#deadlines.cancel(followed.again);
    followed.again = this.#deadlines.after(delayMs, () => {
      followed.again = undefined;
      if (this.#find(followed.partition.topicId, followed.partition.index) === followed) this.#note(followed);
    });
  }

  *#all(): Iterable<Followed> {
    for (const ofTopic of this.#followed.values()) yield* ofTopic.values();
  }
}

/**
 * The epoch of its last record, also if that was deleted: above an end that a leader by an unclean election does not reach, the log has
 * nothing in common with that one's. -1 if it never had any, as far as it knows.
 */
function lastEpochOf({ epochs, logStartOffset, logEndOffset }: PartitionLog): number {
  const last = logEndOffset > logStartOffset ? offset(logEndOffset - 1) : logEndOffset;
  return epochs.epochAt(last) ?? -1;
}
