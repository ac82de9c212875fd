/** What the leader of one partition knows and decides: the high watermark, and who is in sync (KIP-497, KIP-966). Pure. */
import { assert } from '#base/assert';
import type { Mono } from '#base/ports';
import type { LeaderEpoch, NodeId, Offset } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import { type FollowerFetch, FollowerProgress } from './follower-progress.ts';

/** A partition's state as the metadata have it, as far as its leader goes by it. */
export interface PartitionView {
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: number;
  readonly replicas: readonly NodeId[];
  readonly isr: readonly NodeId[];
}

export interface IsrMember {
  readonly id: NodeId;
  /** The process that the leader takes for in sync. */
  readonly brokerEpoch: number;
}

/** What the leader wants the controller to decide. */
export interface IsrProposal {
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: number;
  readonly isr: readonly IsrMember[];
}

/** The epoch of the broker's present process if it may be in sync: registered, not fenced, not draining. */
export type ActiveBroker = (id: NodeId) => number | undefined;

export interface Leadership {
  readonly self: NodeId;
  readonly view: PartitionView;
  /** min.insync.replicas of the topic; as many as there are replicas are enough. */
  readonly minIsr: number;
  /** The log's end when this epoch began: everything committed before lies below. */
  readonly epochStart: Offset;
  readonly durableOffset: Offset;
  /** As it was known to this replica before it led. */
  readonly highWatermark: Offset;
  readonly now: Mono;
  readonly planted: PlantedBugs;
}

/** One leader epoch of one partition on its leader. */
export class LeaderState {
  readonly #self: NodeId;
  readonly #followers = new Map<NodeId, FollowerProgress>();
  readonly #planted: PlantedBugs;
  #view: PartitionView;
  #minIsr: number;
  #epochStart: Offset;
  #durableOffset: Offset;
  #highWatermark: Offset;
  #logStartOffset = 0;
  /** Sent to the controller, its answer not known. */
  #proposed: IsrProposal | undefined;

  constructor(leadership: Leadership) {
    const { self, view, now } = leadership;
    assert(view.isr.includes(self), 'a leader is in sync');
    this.#self = self;
    this.#view = view;
    this.#minIsr = leadership.minIsr;
    this.#epochStart = leadership.epochStart;
    this.#durableOffset = leadership.durableOffset;
    this.#highWatermark = leadership.highWatermark;
    this.#planted = leadership.planted;
    for (const id of view.replicas) if (id !== self) this.#followers.set(id, new FollowerProgress(now));
    this.#advance();
  }

  get view(): PartitionView {
    return this.#view;
  }

  /** Everything below is committed: no leader to come is without it. Meaningless to others while this leader is not ready. */
  get highWatermark(): Offset {
    return this.#highWatermark;
  }

  /**
   * Whether the high watermark has reached this epoch's start. Before, an earlier leader may have told clients of a higher one, so
   * that nothing is served.
   */
  get isReady(): boolean {
    // PLANTED BUG serve-before-own-epoch: what is known of the high watermark from before is good enough.
    if (this.#planted.has('serve-before-own-epoch')) return true;
    return this.#highWatermark >= this.#epochStart;
  }

  get isUnderMinIsr(): boolean {
    return this.#view.isr.length < this.#isrMin;
  }

  get isUnderReplicated(): boolean {
    return this.#view.isr.length < this.#view.replicas.length;
  }

  get isProposing(): boolean {
    return this.#proposed !== undefined;
  }

  /** Whether somebody else is in sync, and will be whatever becomes of the proposal. */
  get hasSuccessor(): boolean {
    const { isr } = this.#view;
    const proposed = this.#proposed?.isr.map(({ id }) => id) ?? isr;
    return isr.some((id) => id !== this.#self && proposed.includes(id));
  }

  /** Whether what is on the leader's disk waits for a member that has no room for it. */
  get isHeldUp(): boolean {
    return this.#view.isr.some((id) => this.#isStuck(id));
  }

  follower(id: NodeId): FollowerProgress | undefined {
    return this.#followers.get(id);
  }

  /** Where the logs of these followers start, by what they have told: the least; -1 while one has told nothing. */
  leastStartOf(counts: (id: NodeId) => boolean): number {
    let least = Number.POSITIVE_INFINITY;
    for (const [id, { logStartOffset }] of this.#followers) if (counts(id)) least = Math.min(least, logStartOffset);
    return least;
  }

  /** Says whether the high watermark has moved. The same epoch, another state: what was proposed is decided if it is later. */
  changed(view: PartitionView, minIsr: number, now: Mono): boolean {
    assert(view.leaderEpoch === this.#view.leaderEpoch && view.isr.includes(this.#self), 'one state, one leader epoch');
    this.#minIsr = minIsr;
    if (view.partitionEpoch > this.#view.partitionEpoch) this.#proposed = undefined;
    this.#view = view;
    for (const id of this.#followers.keys()) if (!view.replicas.includes(id)) this.#followers.delete(id);
    for (const id of view.replicas)
      if (id !== this.#self && !this.#followers.has(id)) this.#followers.set(id, new FollowerProgress(now));
    return this.#advance();
  }

  /** The leader's own log is durable below `end`. Says whether the high watermark has moved. */
  synced(end: Offset): boolean {
    this.#durableOffset = end;
    return this.#advance();
  }

  /** The leader's log starts at `offset`: what lies below was deleted. */
  startsAt(offset: Offset): void {
    this.#logStartOffset = offset;
  }

  /** The leader's log ends at `end` again: there was no room for more. None of that was given to anybody. */
  rejected(end: Offset): void {
    assert(end >= this.#highWatermark, 'what is committed is never taken back');
    if (end < this.#epochStart) this.#epochStart = end;
  }

  /** `leaderEnd`: of what followers are given. Says whether the high watermark has moved. Unknown replicas have no effect. */
  fetched(id: NodeId, fetch: FollowerFetch, leaderEnd: Offset, now: Mono): boolean {
    const follower = this.#followers.get(id);
    if (follower === undefined) return false;
    // PLANTED BUG count-unsynced-followers: what a follower has been given counts as synced.
    const counted = this.#planted.has('count-unsynced-followers')
      ? { ...fetch, durableOffset: fetch.fetchOffset }
      : fetch;
    follower.fetched(counted, leaderEnd, now);
    return this.#isMaximalMember(id) && this.#advance();
  }

  /** This node did not listen for so long, up to `now`: no follower is judged by that time. */
  wasDeaf(deafMs: number, now: Mono): void {
    for (const follower of this.#followers.values()) follower.excused(deafMs, now);
  }

  /**
   * Whether a follower out of sync may come in: it has all that is committed, also by any leader before this epoch, room for what the
   * leader has beyond it, and nothing that was deleted, which it would bring back if it came to lead.
   */
  isCaughtUp(id: NodeId): boolean {
    const follower = this.#followers.get(id);
    if (follower === undefined || follower.durableOffset < this.#highWatermark || this.#isStuck(id)) return false;
    // PLANTED BUG expand-with-deleted: whoever has everything else may come in, and is not told (see ReplicaIntake).
    if (follower.logStartOffset < this.#logStartOffset && !this.#planted.has('expand-with-deleted')) return false;
    // PLANTED BUG expand-without-epoch-start: this leader's high watermark, which may be behind, is all that is asked for.
    return this.#planted.has('expand-without-epoch-start') || follower.durableOffset >= this.#epochStart;
  }

  /**
   * Another ISR than the committed one, if one is due and none is on its way: without who has not been caught up for `lagMaxMs`, with
   * who has come to be since. Until its fate is known both the old and the new members count for the high watermark.
   *
   * Who has no room for what is on the leader's disk leaves at once, if enough are left for writes to go on without it.
   */
  propose(active: ActiveBroker, lagMaxMs: number, now: Mono): IsrProposal | undefined {
    if (this.#proposed !== undefined) return undefined;
    const { isr, replicas, leaderEpoch, partitionEpoch } = this.#view;
    const members: IsrMember[] = [];
    for (const id of replicas) {
      const brokerEpoch = this.#mayBeMember(id, isr.includes(id), active, now - lagMaxMs);
      if (brokerEpoch !== undefined) members.push({ id, brokerEpoch });
    }
    const growing = members.filter(({ id }) => !this.#isStuck(id));
    const wanted = growing.length >= this.#isrMin ? growing : members;
    if (wanted.length === isr.length && wanted.every(({ id }) => isr.includes(id))) return undefined;
    this.#proposed = { leaderEpoch, partitionEpoch, isr: wanted };
    return this.#proposed;
  }

  /** The controller has refused the proposal, and nothing will come of it. Says whether the high watermark has moved. */
  refused(proposal: IsrProposal): boolean {
    if (this.#proposed !== proposal) return false;
    this.#proposed = undefined;
    return this.#advance();
  }

  #mayBeMember(id: NodeId, isMember: boolean, active: ActiveBroker, caughtUpSince: Mono): number | undefined {
    if (id === this.#self) return active(id) ?? -1;
    const follower = this.#followers.get(id);
    if (follower === undefined) return undefined;
    const brokerEpoch = active(id);
    // Nor does one come in that has fallen silent since it had everything: it would go again with the next look, and so on.
    if (follower.caughtUpAt < caughtUpSince) return undefined;
    // A member stays until it lags; the controller itself takes out who is fenced.
    if (isMember) return brokerEpoch ?? -1;
    // PLANTED BUG alter-partition-of-old-process: whatever an earlier process had, the present one has; the controller believes it, too.
    const isHeard = follower.brokerEpoch === brokerEpoch || this.#planted.has('alter-partition-of-old-process');
    return brokerEpoch !== undefined && isHeard && this.isCaughtUp(id) ? brokerEpoch : undefined;
  }

  /** Whether it has no room for what is on the leader's disk. */
  #isStuck(id: NodeId): boolean {
    const follower = this.#followers.get(id);
    return follower?.isFull === true && follower.durableOffset < this.#durableOffset;
  }

  get #isrMin(): number {
    const isrMin = Math.min(this.#minIsr, this.#view.replicas.length);
    // PLANTED BUG acknowledge-below-min-isr: one less will do.
    return this.#planted.has('acknowledge-below-min-isr') ? isrMin - 1 : isrMin;
  }

  #isMaximalMember(id: NodeId): boolean {
    const isProposed = this.#proposed?.isr.some((member) => member.id === id);
    // PLANTED BUG newcomer-uncounted: who is to come in is waited for only when the leader hears that it has.
    return this.#view.isr.includes(id) || (isProposed === true && !this.#planted.has('newcomer-uncounted'));
  }

  /** The least durable offset of the maximal ISR: the committed one, and whoever may be in it by now. */
  #advance(): boolean {
    if (this.isUnderMinIsr) return false;
    let least: number = this.#durableOffset;
    for (const [id, { durableOffset }] of this.#followers)
      if (durableOffset < least && this.#isMaximalMember(id)) least = durableOffset;
    if (least <= this.#highWatermark) return false;
    this.#highWatermark = least as Offset;
    return true;
  }
}
