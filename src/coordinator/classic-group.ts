import { assert } from '#base/assert';
import type { Mono, Timestamp } from '#base/ports';
import { ErrorCode } from '#model/errors';
import type { GroupMetadataValue } from '#protocol/generated/group-metadata-value';
import { copyOf, NO_BYTES } from './bytes.ts';
import { emptyRecord, restoredMember } from './classic-records.ts';
import { subscribedTopics } from './classic-subscriptions.ts';
import { CONSUMER_PROTOCOL_TYPE } from './consumer-protocol.ts';
import type { Instant, Output, RequestToken } from './effects.ts';
import { failedJoin, failedSync } from './failures.ts';
import {
  type ClassicGroupState,
  GroupState,
  GroupType,
  type JoinGroupResponse,
  type MemberProtocol,
} from './group-commands.ts';
import type { GroupConfig } from './group-config.ts';
import { GroupMembers, type Member, protocolMetadata } from './group-members.ts';

const NEVER: Mono = Number.POSITIVE_INFINITY;
/**
 * A join phase that could not end is looked at again no sooner, though members may ask for a rebalance timeout of 0.
 */
const RETRY_MS = 1_000;

/**
 * One classic group: its members, its generation and the rebalance between two generations.
 *
 *   Empty ── join ──> PreparingRebalance ── all joined, or time ──> CompletingRebalance ── leader's sync ──> Stable
 *     ^                 │ nobody left           ^                          │ member joins, changes, leaves, fails │
 *     └─────────────────┘                       └──────────────────────────┴──────────────────────────────────────┘
 *
 * As in Kafka, a rebalance is memory only; the log gets a generation when it is complete (its leader has assigned),
 * when the group has become empty, and when a static member comes back. Only `replayed` makes a group Stable or Empty.
 * Who asks what is decided beside this file (classic-join.ts, classic-requests.ts); here is what follows.
 */
export class ClassicGroup {
  readonly kind = GroupType.Classic;
  readonly groupId: string;
  readonly members = new GroupMembers();
  readonly #config: GroupConfig;
  #wakeAt: Mono = NEVER;
  #state: ClassicGroupState = GroupState.Empty;
  #generationId = 0;
  #protocolType: string | null = null;
  #protocolName: string | null = null;
  #subscribedTopics: ReadonlySet<string> | undefined;
  /** When it came into its state; -1 if the log does not say (formats before Kafka 2.1). */
  #stateSince: Timestamp = -1;
  /** Whether the log holds this group's metadata. */
  #persisted = false;
  /** When the join phase ends though somebody is missing. */
  #joinEndsAt: Mono = NEVER;
  /** While a new group waits for its first members; each newcomer extends the wait within what remains. */
  #initialDelay: { delayMs: number; remainingMs: number; newcomer: boolean } | undefined;
  /** When members that have not asked for their assignment are removed. */
  #syncEndsAt: Mono = NEVER;
  /** It has just become of a consumer group: sessions begin, and a rebalance, in which a leader is found. */
  #converted = false;

  constructor(groupId: string, config: GroupConfig) {
    this.groupId = groupId;
    this.#config = config;
  }

  /** A lower bound of when something of this group is due; exact after `expire`. */
  get wakeAt(): Mono {
    return this.#wakeAt;
  }

  get state(): ClassicGroupState {
    return this.#state;
  }

  get generationId(): number {
    return this.#generationId;
  }

  /** Null until a member has joined: then the group's offsets are a simple consumer's. */
  get protocolType(): string | null {
    return this.#protocolType;
  }

  get protocolName(): string | null {
    return this.#protocolName;
  }

  get stateSince(): Timestamp {
    return this.#stateSince;
  }

  get isPersisted(): boolean {
    return this.#persisted;
  }

  get memberCount(): number {
    return this.members.size;
  }

  /** Nothing anywhere needs it: no record, no member, nobody expected. */
  get isTrace(): boolean {
    return !this.#persisted && this.isDeserted;
  }

  /** Empty, and nobody about to join. */
  get isDeserted(): boolean {
    return this.#state === GroupState.Empty && this.members.pendingJoin.size === 0;
  }

  /** The topics of all members' subscriptions; undefined if they cannot be known. */
  get subscribedTopics(): ReadonlySet<string> | undefined {
    return this.#subscribedTopics;
  }

  /** Consumers whose subscriptions are not known (yet) might be subscribed to anything. */
  isSubscribedTo(topic: string): boolean {
    return this.#subscribedTopics?.has(topic) ?? this.#protocolType === CONSUMER_PROTOCOL_TYPE;
  }

  /** Whether a member with these could be in a generation with the present ones. */
  supports(protocolType: string, protocols: readonly MemberProtocol[]): boolean {
    if (this.members.size === 0) return protocolType !== '' && protocols.length > 0;
    return this.#protocolType === protocolType && this.members.supportAny(protocols);
  }

  /** `timeoutMs` of silence from now on end the member's session. */
  keepAlive(member: Member, now: Instant, timeoutMs = member.sessionTimeoutMs): void {
    member.sessionEndsAt = now.mono + timeoutMs;
    this.#wakeBy(member.sessionEndsAt);
  }

  expect(memberId: string, sessionTimeoutMs: number, now: Instant): void {
    const lapsesAt = now.mono + sessionTimeoutMs;
    this.members.pendingJoin.set(memberId, lapsesAt);
    this.#wakeBy(lapsesAt);
  }

  add(member: Member, protocolType: string): void {
    if (this.members.size === 0) this.#protocolType = protocolType;
    if (this.#initialDelay !== undefined) this.#initialDelay.newcomer = true;
    this.members.add(member);
  }

  /** Parks the JoinGroup; an earlier one of the same member, which its client has given up, is told to retry. */
  parkJoin(member: Member, token: RequestToken, out: Output): void {
    const before = this.members.setAwaitingJoin(member, token);
    if (before === undefined) return;
    const response = failedJoin(member.memberId, ErrorCode.RebalanceInProgress);
    out.replies.push({ kind: 'join', token: before, response });
  }

  answerJoin(member: Member, response: JoinGroupResponse, out: Output): void {
    const token = this.members.setAwaitingJoin(member, undefined);
    if (token !== undefined) out.replies.push({ kind: 'join', token, response });
  }

  answerSync(member: Member, errorCode: ErrorCode, assignment: Uint8Array, out: Output): boolean {
    const token = member.awaitingSync;
    if (token === undefined) return false;
    member.awaitingSync = undefined;
    const response =
      errorCode === ErrorCode.None
        ? { errorCode, protocolType: this.#protocolType, protocolName: this.#protocolName, assignment }
        : failedSync(errorCode);
    out.replies.push({ kind: 'sync', token, response });
    return true;
  }

  /** Takes the member out; what it waits for is answered UNKNOWN_MEMBER_ID, so that it joins anew if it still lives. */
  remove(member: Member, out: Output): void {
    this.answerJoin(member, failedJoin('', ErrorCode.UnknownMemberId), out);
    this.answerSync(member, ErrorCode.UnknownMemberId, NO_BYTES, out);
    this.members.remove(member);
  }

  /** After members left: the others rebalance, or the rebalance may be complete without them. */
  afterDeparture(now: Instant, out: Output): void {
    if (this.#state === GroupState.PreparingRebalance) this.#completeJoinIfAllJoined(now, out);
    else if (this.#state !== GroupState.Empty) this.rebalance(now, out);
  }

  /**
   * After one that was merely expected stays away: no generation has a gap, but a join phase may have waited for it.
   */
  afterLapse(now: Instant, out: Output): void {
    if (this.#state === GroupState.PreparingRebalance) this.#completeJoinIfAllJoined(now, out);
  }

  /** After a member joined or changed: a rebalance begins, or the one that runs may be complete. */
  afterArrival(now: Instant, out: Output): void {
    if (this.#state === GroupState.PreparingRebalance) this.#completeJoinIfAllJoined(now, out);
    else this.rebalance(now, out);
  }

  /** Every member has to join again, within the longest rebalance timeout. */
  rebalance(now: Instant, out: Output): void {
    assert(this.#state !== GroupState.PreparingRebalance, 'a rebalance begins twice');
    for (const member of this.members.all()) {
      if (this.answerSync(member, ErrorCode.RebalanceInProgress, NO_BYTES, out)) this.keepAlive(member, now);
    }
    this.members.pendingSync.clear();
    this.#syncEndsAt = NEVER;
    const isInitial = this.#state === GroupState.Empty;
    this.#enter(GroupState.PreparingRebalance, now.wall);
    if (!isInitial) {
      if (this.members.allJoined) this.#completeJoin(now, out);
      else this.#endJoinBy(now.mono + this.members.rebalanceTimeoutMs);
      return;
    }
    const delayMs = this.#config.initialRebalanceDelayMs;
    if (delayMs === 0) {
      this.#completeJoin(now, out);
      return;
    }
    const remainingMs = Math.max(this.members.rebalanceTimeoutMs - delayMs, 0);
    this.#initialDelay = { delayMs, remainingMs, newcomer: false };
    this.#endJoinBy(now.mono + delayMs);
  }

  /** The answer of a completed join phase; only the leader learns who the others are. */
  joined(member: Member): JoinGroupResponse {
    const protocolName = this.#protocolName;
    assert(protocolName !== null, 'a generation has a protocol');
    const leads = this.members.leaderId === member.memberId;
    return {
      errorCode: ErrorCode.None,
      generationId: this.#generationId,
      protocolType: this.#protocolType,
      protocolName,
      leader: this.members.leaderId ?? '',
      skipAssignment: false,
      memberId: member.memberId,
      members: leads
        ? [...this.members.all()].map((each) => ({
            memberId: each.memberId,
            groupInstanceId: each.groupInstanceId,
            metadata: protocolMetadata(each, protocolName),
          }))
        : [],
    };
  }

  /** The member asked for its assignment in time. */
  synced(member: Member): void {
    this.members.pendingSync.delete(member.memberId);
    if (this.members.pendingSync.size === 0) this.#syncEndsAt = NEVER;
  }

  /** A consumer group has become this one; what follows does when it next expires, which is due at once. */
  converted(): void {
    this.#converted = true;
    this.#wakeAt = 0;
  }

  /** Does what is due; afterwards `wakeAt` is exact. */
  expire(now: Instant, out: Output): void {
    if (this.#converted) {
      for (const member of this.members.all()) if (member.sessionEndsAt === NEVER) this.keepAlive(member, now);
      if (this.#state === GroupState.Stable) this.rebalance(now, out);
      this.#converted = false;
    }
    let lapsed = false;
    for (const [memberId, lapsesAt] of this.members.pendingJoin) {
      if (lapsesAt <= now.mono) lapsed = this.members.pendingJoin.delete(memberId);
    }
    if (lapsed) this.afterLapse(now, out);
    let departed = false;
    for (const member of this.members.all()) {
      if (member.sessionEndsAt > now.mono) continue;
      const waits = member.awaitingJoin !== undefined || member.awaitingSync !== undefined;
      if (waits && !member.isNew) {
        // It waits for the others: its session goes on when it is answered.
        member.sessionEndsAt = NEVER;
      } else {
        this.remove(member, out);
        departed = true;
      }
    }
    if (departed) this.afterDeparture(now, out);
    if (this.#joinEndsAt <= now.mono) this.#joinTimeout(now, out);
    if (this.#syncEndsAt <= now.mono) this.#syncTimeout(now, out);
    this.#wakeAt = Math.min(this.#joinEndsAt, this.#syncEndsAt);
    for (const lapsesAt of this.members.pendingJoin.values()) this.#wakeBy(lapsesAt);
    for (const member of this.members.all()) this.#wakeBy(member.sessionEndsAt);
  }

  /** A group as the log has it: no member waits, all sessions begin at `loaded`. */
  static restored(groupId: string, value: GroupMetadataValue, config: GroupConfig): ClassicGroup {
    const group = new ClassicGroup(groupId, config);
    group.#persisted = true;
    group.#generationId = value.generation;
    group.#protocolType = value.protocolType === '' ? null : value.protocolType;
    group.#protocolName = value.members.length === 0 ? null : (value.protocol ?? '');
    for (const member of value.members) group.members.add(restoredMember(member, value));
    if (value.leader !== null && group.members.get(value.leader) !== undefined)
      group.members.restoreLeader(value.leader);
    group.#enter(group.members.size === 0 ? GroupState.Empty : GroupState.Stable, value.currentStateTimestamp);
    group.#subscribedTopics = subscribedTopics(group);
    return group;
  }

  /** A record that this group has just decided. */
  replayed(value: GroupMetadataValue): void {
    this.#persisted = true;
    if (value.members.length === 0) {
      assert(this.members.size === 0, 'a group with members is written as empty');
      this.#generationId = value.generation;
      this.#protocolName = null;
      this.#subscribedTopics = subscribedTopics(this);
      this.#enter(GroupState.Empty, value.currentStateTimestamp);
      return;
    }
    assert(value.generation === this.#generationId, 'a generation is written that is not the present one');
    for (const { memberId, assignment } of value.members) {
      const member = this.members.get(memberId);
      assert(member !== undefined, `a generation is written with a stranger: ${memberId}`);
      member.assignment = copyOf(assignment);
    }
    if (this.#state !== GroupState.Stable) this.#enter(GroupState.Stable, value.currentStateTimestamp);
  }

  /** The record that this group has just decided was not taken. */
  refused(now: Instant, out: Output): void {
    if (this.#state !== GroupState.PreparingRebalance) this.rebalance(now, out);
    // Until the log says so the group is not empty: what it still holds would count again after a restart.
    else if (this.members.size === 0) this.#endJoinBy(now.mono + RETRY_MS);
  }

  /** The shard has been loaded: everybody gets a whole session to be heard. */
  loaded(now: Instant, out: Output): void {
    for (const member of this.members.all()) this.keepAlive(member, now);
    if (this.members.size > this.#config.groupSizeMax) this.rebalance(now, out);
  }

  #joinTimeout(now: Instant, out: Output): void {
    const wait = this.#initialDelay;
    if (wait === undefined || !wait.newcomer || wait.remainingMs === 0) {
      this.#completeJoin(now, out);
      return;
    }
    const delayMs = Math.min(this.#config.initialRebalanceDelayMs, wait.remainingMs);
    this.#initialDelay = { delayMs, remainingMs: Math.max(wait.remainingMs - wait.delayMs, 0), newcomer: false };
    this.#endJoinBy(now.mono + delayMs);
  }

  #syncTimeout(now: Instant, out: Output): void {
    this.#syncEndsAt = NEVER;
    for (const memberId of this.members.pendingSync) {
      const member = this.members.get(memberId);
      if (member !== undefined) this.remove(member, out);
    }
    this.rebalance(now, out);
  }

  /** A new group waits for its delay to pass, whoever is there. */
  #completeJoinIfAllJoined(now: Instant, out: Output): void {
    if (this.#initialDelay === undefined && this.members.allJoined) this.#completeJoin(now, out);
  }

  /** The next generation begins with those who are here, and with static members, who may be away for a session. */
  #completeJoin(now: Instant, out: Output): void {
    this.#joinEndsAt = NEVER;
    for (const member of this.members.all()) {
      if (member.awaitingJoin === undefined && member.groupInstanceId === null) this.remove(member, out);
    }
    if (this.members.size === 0) {
      this.#initialDelay = undefined;
      out.records.push(emptyRecord(this, now.wall));
      return;
    }
    if (!this.members.electJoinedLeader()) {
      // Only absent static members are left: they come back, or their sessions end.
      this.#endJoinBy(now.mono + Math.max(this.members.rebalanceTimeoutMs, RETRY_MS));
      return;
    }
    this.#generationId += 1;
    this.#protocolName = this.members.selectProtocol();
    this.#subscribedTopics = subscribedTopics(this);
    this.#enter(GroupState.CompletingRebalance, now.wall);
    this.members.pendingSync.clear();
    for (const member of this.members.all()) {
      this.answerJoin(member, this.joined(member), out);
      this.keepAlive(member, now);
      member.isNew = false;
      this.members.pendingSync.add(member.memberId);
    }
    this.#syncEndsAt = now.mono + this.members.rebalanceTimeoutMs;
    this.#wakeBy(this.#syncEndsAt);
  }

  #enter(state: ClassicGroupState, at: Timestamp): void {
    this.#state = state;
    this.#stateSince = at;
    if (state !== GroupState.PreparingRebalance) this.#initialDelay = undefined;
  }

  #endJoinBy(at: Mono): void {
    this.#joinEndsAt = at;
    this.#wakeBy(at);
  }

  #wakeBy(at: Mono): void {
    if (at < this.#wakeAt) this.#wakeAt = at;
  }
}
