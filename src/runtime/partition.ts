import { assert } from '#base/assert';
import type { Mono, Timestamp } from '#base/ports';
import type { EndMarker } from '#log/end-marker';
import type { EpochEnd } from '#log/leader-epoch-cache';
import { type ProducedBatch, type Verification, Verifications } from '#log/verifications';
import { ErrorCode, type FailureCode } from '#model/errors';
import { type LeaderEpoch, leaderEpoch, type NodeId, type Offset, offset, type Uuid } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import { type BatchHeader, isTransactional } from '#protocol/record-batch';
import type { FollowerFetch } from '#replication/follower-progress';
import { type ActiveBroker, type IsrProposal, LeaderState, type PartitionView } from '#replication/leader-state';
import type { LogListener, PartitionLog } from '#storage/partition-log';
import { type Acknowledge, PartitionWaiters, type WatchedEnd, type Watcher } from './partition-waiters.ts';
import { Watermarks } from './watermarks.ts';

/** A duplicate has what the batch that was taken first got. */
export interface Appended {
  readonly error: typeof ErrorCode.None;
  readonly baseOffset: Offset;
  readonly lastOffset: Offset;
  /** The timestamp of a duplicate in the log. */
  readonly appendTime?: Timestamp;
}

/** Why the batches were not taken. */
export interface NotAppended {
  readonly error: FailureCode;
  readonly message?: string;
}

export type AppendOutcome = Appended | NotAppended;

/** What happens to a partition that others act upon. */
export interface PartitionEvents {
  /** It leads, and its high watermark covers its own epoch: what is committed can be served. */
  ready(partition: Partition): void;
  /** Its directory has failed, leading or not: before it goes offline. */
  failing(partition: Partition): void;
  /** Its in-sync replicas should be others than the committed ones. */
  isrDue(partition: Partition): void;
  /** As a follower it has more on its disk, or has saved that its log starts later. */
  synced(partition: Partition): void;
  /** It has lost the end of its log, for which there was no room, or all of it with its directory. */
  lost(partition: Partition): void;
}

/** Where a partition lives: what all of one node's have in common. */
export interface PartitionHome {
  readonly self: NodeId;
  readonly planted: PlantedBugs;
  readonly events: PartitionEvents;
  now(): Mono;
  /** An empty log in place of `log`; undefined: no directory can hold it. */
  restart(log: PartitionLog, startOffset: Offset): Promise<PartitionLog | undefined>;
}

/**
 * One replica of a partition on this node: its log, and its part as leader or follower. A leader's acknowledgements and readers wait
 * here for what they need to be durable or committed.
 */
export class Partition implements LogListener {
  readonly topic: string;
  readonly topicId: Uuid;
  readonly index: number;
  readonly #home: PartitionHome;
  #log: PartitionLog | undefined;
  #leaderEpoch: LeaderEpoch = leaderEpoch(0);
  /** Undefined on a follower. */
  #leader: LeaderState | undefined;
  #wasReady = false;
  /** In the epoch before the present one. */
  #ledBefore = false;
  readonly #watermarks: Watermarks;
  readonly #waiters = new PartitionWaiters();
  readonly #verifications = new Verifications();
  /** While a follower's log is being cut. */
  #cut: Promise<void> | undefined;
  #cutEnded: (() => void) | undefined;
  #restarting: Promise<void> | undefined;

  constructor(home: PartitionHome, topic: string, topicId: Uuid, index: number, log: PartitionLog | undefined) {
    this.#home = home;
    this.topic = topic;
    this.topicId = topicId;
    this.index = index;
    this.#log = log;
    this.#watermarks = new Watermarks(log, home.planted);
    if (log !== undefined) log.listener = this;
  }

  /** A test's own; none in any other node. */
  get planted(): PlantedBugs {
    return this.#home.planted;
  }

  /** Undefined while the partition is offline: its directory has failed or its log is quarantined. */
  get log(): PartitionLog | undefined {
    return this.#log;
  }

  get leaderEpoch(): LeaderEpoch {
    return this.#leaderEpoch;
  }

  /** What it knows as a leader; undefined on a follower. */
  get leadership(): LeaderState | undefined {
    return this.#leader;
  }

  get leads(): boolean {
    return this.#leader !== undefined;
  }

  /** Whoever takes this node for the leader may know more than it does; of one that led until just now, less. */
  get mayLeadNext(): boolean {
    return this.#leader === undefined && this.#log !== undefined && !this.#ledBefore;
  }

  /**
   * Whether what is committed may be read here: on a leader once it knows what that is. One whose log is taken back to its last write
   * knows of no transactions meanwhile, and could only tell of an older last stable offset than the leader before it.
   */
  get isReady(): boolean {
    if (this.#leader === undefined) return true;
    return this.#leader.isReady && this.#watermarks.isStableKnown;
  }

  get highWatermark(): Offset {
    return this.#watermarks.high;
  }

  /** See Watermarks.stable. */
  get lastStableOffset(): Offset {
    return this.#watermarks.stable;
  }

  /** How far a follower may read: what is in the leader's files, and cannot be taken back for want of room. */
  get writtenOffset(): Offset {
    return this.#log?.writtenOffset ?? offset(0);
  }

  /** Where the logs of the leader and of these followers all start at the least, after whatever crash; undefined unless it leads. */
  lowWatermark(counts: (id: NodeId) => boolean): number | undefined {
    if (this.#leader === undefined || this.#log === undefined) return undefined;
    // PLANTED BUG delete-before-saved: a start that a power cut takes back is good enough.
    const isHasty = this.#home.planted.has('delete-before-saved');
    const { logStartOffset, savedStartOffset } = this.#log;
    return Math.min(isHasty ? logStartOffset : savedStartOffset, this.#leader.leastStartOf(counts));
  }

  /** How far this follower is behind what its leader has committed, in records; 0 on a leader. */
  get offsetLag(): number {
    return this.leads ? 0 : this.#watermarks.missing;
  }

  /** Begins to lead in a new epoch, with all that its log holds. No cut is under way. */
  lead(view: PartitionView, minIsr: number): void {
    const { self, planted } = this.#home;
    const log = this.#log;
    this.#leaderEpoch = view.leaderEpoch;
    this.#wasReady = false;
    this.#watermarks.lead();
    if (log === undefined) return;
    assert(this.#cut === undefined, 'a log that leads is whole');
    this.#waiters.drop(ErrorCode.NotLeaderOrFollower);
    this.#verifications.clear();
    log.assignEpoch(view.leaderEpoch);
    this.#leader = new LeaderState({
      self,
      view,
      minIsr,
      epochStart: log.logEndOffset,
      durableOffset: log.durableOffset,
      highWatermark: this.#watermarks.high,
      now: this.#home.now(),
      planted,
    });
    this.#committed();
    this.#waiters.wake('led');
  }

  /** Follows in another epoch, or none leads. */
  follow(epoch: LeaderEpoch): void {
    this.#ledBefore = this.#leader !== undefined || (this.#ledBefore && epoch === this.#leaderEpoch);
    this.#leaderEpoch = epoch;
    this.#leader = undefined;
    this.#waiters.drop(ErrorCode.NotLeaderOrFollower);
  }

  /** Another state of the epoch in which it leads. */
  changed(view: PartitionView, minIsr: number): void {
    const leader = this.#leader;
    if (leader === undefined) return;
    if (leader.changed(view, minIsr, this.#home.now())) this.#committed();
    // They would wait for a high watermark that does not move. What was appended may be committed later all the same.
    if (leader.isUnderMinIsr) this.#waiters.refuseCommits(ErrorCode.NotEnoughReplicasAfterAppend);
    this.#lookForNewcomers(leader);
    // Whoever was waited for may be no replica any more, or dead.
    this.#waiters.wake('trimmed');
  }

  /** Brokers have come or gone, whether or not its state has changed with that. */
  brokersChanged(): void {
    // Who deletes records waits for all that live, in sync or not.
    this.#waiters.wake('trimmed');
  }

  /** FENCED or UNKNOWN_LEADER_EPOCH if the client's epoch is not ours; −1 is not checked (KIP-320). */
  checkLeaderEpoch(clientEpoch: number): ErrorCode {
    if (clientEpoch < 0 || clientEpoch === this.#leaderEpoch) return ErrorCode.None;
    // PLANTED BUG serve-old-leader-epoch: who fetches in an epoch that is over is served as any other.
    if (clientEpoch < this.#leaderEpoch && this.#home.planted.has('serve-old-leader-epoch')) return ErrorCode.None;
    return clientEpoch < this.#leaderEpoch ? ErrorCode.FencedLeaderEpoch : ErrorCode.UnknownLeaderEpoch;
  }

  /** Where the log of `epoch` ends, as OffsetForLeaderEpoch answers it (KIP-279); undefined if the log knows of no such epoch. */
  endOffsetFor(epoch: number): EpochEnd | undefined {
    const log = this.#log;
    if (log === undefined || epoch < 0) return undefined;
    const end = log.epochs.endOffsetFor(leaderEpoch(epoch), log.logEndOffset);
    if (end !== undefined || this.#leader === undefined || epoch > this.#leaderEpoch) return end;
    // A full disk has taken back all of the epoch in which it leads, which begins anew where the log ends.
    const known = epoch === this.#leaderEpoch ? undefined : log.epochs.latest();
    return { epoch: known?.epoch ?? leaderEpoch(epoch), endOffset: log.logEndOffset };
  }

  /**
   * Before a transaction's first batch is appended here: what goes with that append once the coordinator has confirmed it. 'open': the
   * transaction has begun here already, and nothing is to be verified. `adds`: the coordinator is to add the partition.
   */
  beginVerification(header: ProducedBatch, adds: boolean): Verification | 'open' | FailureCode {
    const log = this.#log;
    if (log === undefined) return ErrorCode.KafkaStorageError;
    if (this.#leader === undefined) return ErrorCode.NotLeaderOrFollower;
    const { producerId, producerEpoch } = header;
    const error = log.producers.checkEpoch(producerId, producerEpoch);
    if (error !== ErrorCode.None) return error;
    return log.producers.hasOpenTransaction(producerId, producerEpoch)
      ? 'open'
      : this.#verifications.begin(header, adds);
  }

  /**
   * Appends whole validated batches, which the log owns from here on. Duplicates of an idempotent producer are not
   * appended again: what they got first is the outcome. Acknowledged by `whenDurable` or `whenCommitted`. `verification`: see
   * `beginVerification`; 'waived' if the broker is not to verify.
   */
  append(
    bytes: Uint8Array,
    headers: readonly BatchHeader[],
    verification?: Verification | 'waived' | undefined,
  ): AppendOutcome {
    const log = this.#leadingLog();
    if (typeof log === 'number') return { error: log };
    // What is known of its producers is being rebuilt: it would take the next sequence for one that is ahead.
    if (log.isBeingRewound) return { error: ErrorCode.KafkaStorageError, message: 'the disk is full' };
    for (const header of headers) {
      const { producers, logEndOffset } = log;
      const check = this.#verifications.check(header, producers.check(header, logEndOffset), producers, verification);
      // PLANTED BUG duplicate-appended: what was sent again is taken for new.
      if (check.kind === 'duplicate' && !this.#home.planted.has('duplicate-appended')) {
        const { baseOffset, lastOffset, appendTime } = check;
        return { error: ErrorCode.None, baseOffset, lastOffset, appendTime };
      }
      if (check.kind === 'error') return { error: check.code };
    }
    const outcome = this.#append(log, bytes, headers);
    if (outcome.error === ErrorCode.None)
      for (const header of headers) if (isTransactional(header)) this.#verifications.end(header.producerId);
    return outcome;
  }

  /** Ends a transaction here, or says again that it has ended. `epochMustRise`: see ProducerStates.checkMarker. */
  appendMarker(bytes: Uint8Array, header: BatchHeader, marker: EndMarker, epochMustRise: boolean): AppendOutcome {
    const log = this.#leadingLog();
    if (typeof log === 'number') return { error: log };
    const check = log.producers.checkMarker(header, marker, epochMustRise);
    if (check.kind === 'error') return { error: check.code };
    const outcome = this.#append(log, bytes, [header]);
    if (outcome.error === ErrorCode.None) this.#verifications.end(header.producerId);
    return outcome;
  }

  /** Calls `done` once everything up to and including `last` is durable here, or when it never will be. */
  whenDurable(last: Offset, done: Acknowledge): void {
    if (this.#log === undefined) return done(ErrorCode.KafkaStorageError);
    if (last < this.#log.durableOffset) return done(ErrorCode.None);
    this.#waiters.whenDurable(last, done);
  }

  /** As whenDurable, but on every in-sync replica. */
  whenCommitted(last: Offset, done: Acknowledge): void {
    if (this.#log === undefined) return done(ErrorCode.KafkaStorageError);
    if (this.#leader === undefined) return done(ErrorCode.NotLeaderOrFollower);
    if (last < this.#leader.highWatermark) return done(ErrorCode.None);
    if (this.#leader.isUnderMinIsr) return done(ErrorCode.NotEnoughReplicasAfterAppend);
    // PLANTED BUG acknowledge-after-own-sync: the leader's disk is enough for acks=all.
    if (this.#home.planted.has('acknowledge-after-own-sync')) return this.whenDurable(last, done);
    this.#waiters.whenCommitted(last, done);
  }

  /** A fetch of a registered follower by its present process. */
  fetchedBy(id: NodeId, fetch: FollowerFetch): void {
    const leader = this.#leader;
    if (leader === undefined || this.#log === undefined) return;
    const startedAt = leader.follower(id)?.logStartOffset;
    // Of more, which this node's disk may be slow to take, the follower can have nothing.
    if (leader.fetched(id, fetch, this.#log.writtenOffset, this.#home.now())) this.#committed();
    leader.startsAt(this.#log.logStartOffset);
    if (!leader.view.isr.includes(id) && !leader.isProposing && leader.isCaughtUp(id)) this.#home.events.isrDue(this);
    this.#lookForHeldUp(leader);
    if (startedAt !== fetch.logStartOffset) this.#waiters.wake('trimmed');
  }

  /** See LeaderState.wasDeaf. */
  wasDeaf(deafMs: number): void {
    this.#leader?.wasDeaf(deafMs, this.#home.now());
  }

  /** See LeaderState.propose. */
  proposeIsr(active: ActiveBroker, lagMaxMs: number): IsrProposal | undefined {
    if (this.#log === undefined) return undefined;
    this.#leader?.startsAt(this.#log.logStartOffset);
    return this.#leader?.propose(active, lagMaxMs, this.#home.now());
  }

  isrRefused(proposal: IsrProposal): void {
    if (this.#leader?.refused(proposal)) this.#committed();
  }

  /** A follower's append, of batches that its leader has at these offsets. 'busy': the log is being cut, or has no room. */
  appendReplicated(bytes: Uint8Array, headers: readonly BatchHeader[]): 'appended' | 'busy' | 'offline' {
    const log = this.#log;
    if (log === undefined) return 'offline';
    if (this.leads || this.#cut !== undefined) return 'busy';
    const appended = log.appendReplicated(bytes, headers);
    if (typeof appended === 'object') return 'appended';
    return appended === 'offline' ? 'offline' : 'busy';
  }

  /** What its leader has told with a fetch: how far it is committed, and where its log starts. */
  leaderIsAt(highWatermark: Offset, logStartOffset: Offset): void {
    const log = this.#log;
    if (log === undefined || this.leads) return;
    this.#watermarks.leaderIsAt(highWatermark);
    this.#followHighWatermark();
    // Its log goes no further than its disk; what it does not come to now it is told again.
    if (logStartOffset > log.logStartOffset && this.#cut === undefined) log.raiseStartTo(logStartOffset);
  }

  /** Cuts a follower's log: what is at and above `to` goes. */
  truncateTo(to: Offset): void {
    const log = this.#log;
    if (log === undefined || this.leads || this.#cut !== undefined) return;
    this.#beginCut();
    this.#watermarks.lowerTo(to);
    log.truncateTo(to, () => {
      // Batches go as a whole.
      this.#watermarks.lowerTo(log.logEndOffset);
      this.#endCut();
    });
  }

  /** Nothing of a follower's log is of use: it goes on at `startOffset` (KIP-101's full truncation). */
  restartAt(startOffset: Offset): void {
    const log = this.#log;
    if (log === undefined || this.leads || this.#cut !== undefined) return;
    this.#beginCut();
    log.listener = undefined;
    this.#restarting = this.#home.restart(log, startOffset).then((made) => {
      this.#restarting = undefined;
      if (this.#log !== log) return;
      this.#log = made;
      this.#watermarks.begin(made, startOffset);
      this.#watermarks.leaderIsAt(startOffset);
      if (made !== undefined) made.listener = this;
      this.#endCut();
    });
  }

  /** An empty log in place of none, or of one that could not be served. */
  beginAnew(log: PartitionLog): void {
    assert(this.#log === undefined && !this.leads, 'nothing is served that could be lost');
    this.#log = log;
    this.#watermarks.begin(log, log.logStartOffset);
    log.listener = this;
  }

  get isBeingCut(): boolean {
    return this.#cut !== undefined;
  }

  /** Resolves when no cut is under way. */
  async whenWhole(): Promise<void> {
    await this.#cut;
  }

  /** Resolves when no log is being made for it, also if it has retired: then somebody else owns what was made. */
  async whenRestarted(): Promise<void> {
    await this.#restarting;
  }

  watch(watcher: Watcher, end: WatchedEnd = 'committed'): void {
    this.#waiters.watch(watcher, end);
  }

  unwatch(watcher: Watcher, end: WatchedEnd = 'committed'): void {
    this.#waiters.unwatch(watcher, end);
  }

  written(): void {
    this.#waiters.wake('written');
  }

  durable(end: Offset): void {
    this.#waiters.durable(end);
    const leader = this.#leader;
    if (leader === undefined) {
      this.#followHighWatermark();
      this.#home.events.synced(this);
      return;
    }
    if (leader.synced(end)) this.#committed();
    this.#lookForHeldUp(leader);
  }

  /** A follower's leader waits to hear of it, and whoever has deleted records for that. */
  startSaved(): void {
    if (this.leads) this.#waiters.wake('trimmed');
    else this.#home.events.synced(this);
  }

  rejected(from: Offset): void {
    this.#leader?.rejected(from);
    this.#waiters.rejected(from);
    this.#home.events.lost(this);
  }

  /** Whoever reads up to the last stable offset has waited for it to be known, and no high watermark need move. */
  rewound(): void {
    this.#waiters.wake('committed');
  }

  failed(): void {
    this.#home.events.failing(this);
    this.#goOffline(ErrorCode.KafkaStorageError);
    this.#home.events.lost(this);
  }

  /** The topic was deleted, the replica moved away, or the node stops: nothing waits any longer. */
  retire(error: ErrorCode): void {
    this.#goOffline(error);
  }

  #leadingLog(): PartitionLog | FailureCode {
    if (this.#log === undefined) return ErrorCode.KafkaStorageError;
    return this.#leader === undefined ? ErrorCode.NotLeaderOrFollower : this.#log;
  }

  #append(log: PartitionLog, bytes: Uint8Array, headers: readonly BatchHeader[]): AppendOutcome {
    const appended = log.append(bytes, headers, this.#leaderEpoch);
    if (appended === 'offline') return { error: ErrorCode.KafkaStorageError };
    if (appended === 'full') return { error: ErrorCode.KafkaStorageError, message: 'the disk is full' };
    return { error: ErrorCode.None, baseOffset: appended.baseOffset, lastOffset: appended.lastOffset };
  }

  #goOffline(error: ErrorCode): void {
    if (this.#log !== undefined) this.#log.listener = undefined;
    this.#log = undefined;
    this.#watermarks.end();
    this.#leader = undefined;
    this.#endCut();
    this.#waiters.drop(error);
  }

  #beginCut(): void {
    this.#cut = new Promise((resolve) => {
      this.#cutEnded = resolve;
    });
  }

  #endCut(): void {
    this.#cut = undefined;
    this.#cutEnded?.();
    this.#cutEnded = undefined;
  }

  /** A leader's high watermark may have moved. */
  #committed(): void {
    const leader = this.#leader;
    if (leader === undefined || !leader.isReady) return;
    const end = leader.highWatermark;
    const isNew = !this.#wasReady;
    this.#wasReady = true;
    if (end > this.#watermarks.high) {
      this.#watermarks.advanceTo(end);
      this.#lookForNewcomers(leader);
    }
    this.#waiters.committed(end);
    this.#waiters.wake('committed');
    if (isNew) this.#home.events.ready(this);
  }

  #followHighWatermark(): void {
    if (this.#watermarks.follow()) this.#waiters.wake('committed');
  }

  /** Replicas out of sync that may come in, now that the state is another. */
  #lookForNewcomers(leader: LeaderState): void {
    const { replicas, isr } = leader.view;
    if (isr.length === replicas.length || leader.isProposing) return;
    if (replicas.some((id) => !isr.includes(id) && leader.isCaughtUp(id))) this.#home.events.isrDue(this);
  }

  /** Writes that wait for a replica without room may go on without it. */
  #lookForHeldUp(leader: LeaderState): void {
    if (!leader.isProposing && leader.isHeldUp) this.#home.events.isrDue(this);
  }
}
