import { unreachable } from '#base/assert';
import type { Mono, Random } from '#base/ports';
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import type { GroupMetadataValue } from '#protocol/generated/group-metadata-value';
import { ClassicGroup } from './classic-group.ts';
import { heartbeatInConsumerGroup, joinConsumerGroup, syncConsumerGroup } from './classic-in-consumer.ts';
import { joinClassicGroup, joinRequestError } from './classic-join.ts';
import {
  heartbeatClassicGroup,
  leaveClassicGroup,
  offsetCommitError,
  syncClassicGroup,
  txnOffsetCommitError,
} from './classic-requests.ts';
import type { ConsumerDecision } from './consumer-decision.ts';
import { leaveByClassicProtocol } from './consumer-departure.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { ConsumerGroups, type ConsumerGroupsParts } from './consumer-groups.ts';
import {
  type CommitRight,
  consumerCommitRight,
  consumerFetchError,
  consumerTxnCommitRight,
} from './consumer-offsets.ts';
import type { ConsumerChange } from './consumer-records.ts';
import { consumerTombstones } from './conversion.ts';
import {
  type CoordinatorRecord,
  type Effects,
  type Instant,
  type Outcome,
  type Output,
  outcome,
  output,
  type Reply,
  type RequestToken,
} from './effects.ts';
import { coordinatorError, failedJoin, failedOffsetCommit, failedSync } from './failures.ts';
import {
  type ConsumerHeartbeatCommand,
  type ConsumerHeartbeatResponse,
  type DeletedGroup,
  type DescribedConsumerGroup,
  type DescribedGroup,
  type GroupState,
  GroupType,
  type HeartbeatCommand,
  type HeartbeatResponse,
  type JoinGroupCommand,
  type LeaveGroupCommand,
  type LeaveGroupResponse,
  type ListedGroup,
  type ListGroupsCommand,
  type OffsetCommitCommand,
  type OffsetCommitResponse,
  type OffsetDeleteCommand,
  type OffsetDeleteResponse,
  type OffsetFetchCommand,
  type OffsetFetchResponse,
  type SyncGroupCommand,
} from './group-commands.ts';
import { GROUPS_MAX, GROUPS_PER_TICK, type GroupConfig, STALL_MS } from './group-config.ts';
import { describeClassicGroup, describeUnknownGroup, listGroups } from './group-queries.ts';
import { fitsRecord, type GroupRecord, readGroupRecord } from './group-records.ts';
import { newMemberId } from './member-id.ts';
import { deleteGroup, deleteOffsets, deleteTopicOffsets } from './offset-deletion.ts';
import { commitOffsets, fetchOffsets, GroupOffsets } from './offsets.ts';
import { Retention } from './retention.ts';
import { Schedule, type Scheduled } from './schedule.ts';
import { TransactionalOffsets } from './transactional-offsets.ts';

/** A group, whatever its kind, with what stays when the kind changes. */
interface Entry extends Scheduled {
  group: ClassicGroup | ConsumerGroup;
  readonly offsets: GroupOffsets;
}

/** A group as metrics tell of it. */
export interface ObservedGroup {
  readonly groupId: string;
  readonly type: GroupType;
  readonly state: GroupState;
  readonly memberCount: number;
  readonly offsets: Pick<GroupOffsets, 'topics'>;
}

/**
 * The groups of one partition of __consumer_offsets: a pure state machine.
 *
 * Life: `replay` every record of the partition, `loaded`, then decisions. Each decision gives Effects (see there for
 * the order in which they are to be carried out). When the partition moves away, or an append that was taken never
 * becomes durable: `resign`, and load a new shard from the log. What the log holds changes through `replay` alone; who
 * is joining, what is parked and when sessions end is memory, and clients come back with it.
 */
export class GroupShard {
  readonly #config: GroupConfig;
  readonly #random: Random;
  /** Bounded by GROUPS_MAX. */
  readonly #groups = new Map<string, Entry>();
  readonly #schedule = new Schedule<Entry>();
  readonly #pending = new TransactionalOffsets();
  readonly #consumers: ConsumerGroups;
  /** The consumer group that has just ended to become a classic one without a rebalance. */
  #endedQuietly: string | undefined;
  /** From `loaded` on. */
  #retention: Retention | undefined;
  /** No session is judged before this: see `tick`. Undefined if there was no stall. */
  #judgesFrom: Mono | undefined;

  /** `random` makes member ids; `topics` is the image as it is at each decision. */
  constructor({ config, random, topics, configOf }: ConsumerGroupsParts) {
    this.#config = config;
    this.#random = random;
    this.#consumers = new ConsumerGroups({ config, random, topics, configOf }, this.#groups);
  }

  /**
   * Applies a record of the log; borrowed. Before `loaded` any record, after it those just decided, in order. `producerId` is that of the
   * transaction that the record belongs to, if it does to one. Gives the group that it is of.
   */
  replay(record: CoordinatorRecord, producerId?: number): string | undefined {
    const read = readGroupRecord(record);
    switch (read.kind) {
      case 'offset':
        this.#replayOffset(read, producerId);
        return read.groupId;
      case 'group':
        this.#replayClassic(read.groupId, read.value);
        return read.groupId;
      case 'consumer':
        this.#replayConsumer(read.groupId, read.change);
        return read.groupId;
      case 'unknown':
        return undefined;
      default:
        return unreachable(read);
    }
  }

  /** Applies the end of a transaction, as `replay` does a record. Gives the groups with offsets in it, each once or more. */
  replayMarker(producerId: number, aborted: boolean): readonly string[] {
    const ended = this.#pending.end(producerId, aborted);
    for (const { groupId, topic, partition, value, counts } of ended) {
      const entry = this.#entry(groupId);
      if (counts) entry.offsets.replay(topic, partition, value);
      this.#touched(entry);
    }
    return ended.map(({ groupId }) => groupId);
  }

  /** The whole log has been replayed: members have one session from now on to be heard. */
  loaded(now: Instant): Effects {
    const out = output();
    this.#retention = new Retention(this.#config, now.mono);
    for (const entry of this.#groups.values()) {
      // Members of consumer groups begin their sessions with the first tick.
      if (entry.group.kind === GroupType.Classic) entry.group.loaded(now, out);
      this.#schedule.set(entry, entry.group.wakeAt);
    }
    return out;
  }

  /** The answer is among the replies, of this decision or of a later one. */
  joinGroup(command: JoinGroupCommand, token: RequestToken, now: Instant): Effects {
    const out = output();
    const error = joinRequestError(command, this.#config);
    const refuse = (errorCode: ErrorCode): void => {
      out.replies.push({ kind: 'join', token, response: failedJoin(command.memberId, errorCode) });
    };
    const entry = error === ErrorCode.None ? this.#joinable(command, out) : undefined;
    if (entry === undefined) {
      refuse(error === ErrorCode.None ? this.#missing(command.memberId === '') : error);
      return out;
    }
    const idPrefix = command.groupInstanceId ?? command.clientId;
    const makeMemberId = () => newMemberId(idPrefix, this.#random);
    if (entry.group.kind === GroupType.Consumer) {
      const join = (decision: ConsumerDecision) => joinConsumerGroup(decision, command, token, makeMemberId);
      this.#consumers.decide(entry.group, now, out, join, refuse);
    } else {
      joinClassicGroup(entry.group, { command, token, config: this.#config, newMemberId: makeMemberId, now, out });
    }
    this.#touched(entry);
    return out;
  }

  /** As joinGroup. */
  syncGroup(command: SyncGroupCommand, token: RequestToken, now: Instant): Effects {
    const out = output();
    const entry = this.#named(command.groupId);
    if (entry === undefined) {
      const errorCode = groupIdError(command.groupId) ?? ErrorCode.UnknownMemberId;
      out.replies.push({ kind: 'sync', token, response: failedSync(errorCode) });
      return out;
    }
    if (entry.group.kind === GroupType.Consumer) {
      const sync = (decision: ConsumerDecision) => syncConsumerGroup(decision, command);
      const response = this.#consumers.decide(entry.group, now, out, sync, failedSync);
      out.replies.push({ kind: 'sync', token, response });
    } else syncClassicGroup(entry.group, command, token, now, out);
    this.#touched(entry);
    return out;
  }

  heartbeat(command: HeartbeatCommand, now: Instant): HeartbeatResponse {
    const entry = this.#named(command.groupId);
    if (entry === undefined) return { errorCode: groupIdError(command.groupId) ?? ErrorCode.UnknownMemberId };
    const errorCode =
      entry.group.kind === GroupType.Consumer
        ? heartbeatInConsumerGroup({ group: entry.group, now }, command)
        : heartbeatClassicGroup(entry.group, command, now);
    this.#touched(entry);
    return { errorCode };
  }

  leaveGroup(command: LeaveGroupCommand, now: Instant): Outcome<LeaveGroupResponse> {
    const out = output();
    const entry = this.#named(command.groupId);
    if (entry === undefined) {
      const errorCode = groupIdError(command.groupId) ?? ErrorCode.UnknownMemberId;
      return outcome(out, { errorCode, members: [] });
    }
    const leave = (decision: ConsumerDecision) => leaveByClassicProtocol(decision, command);
    const failed = (errorCode: ErrorCode) => ({ errorCode, members: [] });
    const response =
      entry.group.kind === GroupType.Consumer
        ? this.#consumers.decide(entry.group, now, out, leave, failed)
        : leaveClassicGroup(entry.group, command, now, out);
    this.#touched(entry);
    return outcome(out, response);
  }

  /** A commit to an unknown group by somebody outside of any generation makes a group without members. */
  offsetCommit(command: OffsetCommitCommand, now: Instant): Outcome<OffsetCommitResponse> {
    const entry = this.#groups.get(command.groupId);
    const right =
      entry === undefined
        ? this.#strangersCommitError(command, ErrorCode.GroupIdNotFound)
        : commitRight(entry.group, command, now);
    if (entry !== undefined) this.#touched(entry);
    return this.#commit(command, right, now);
  }

  /** Within a transaction: what is committed counts from its marker on. A member is fenced by what it knows of its group (KIP-447). */
  txnOffsetCommit(command: OffsetCommitCommand, now: Instant): Outcome<OffsetCommitResponse> {
    const entry = this.#groups.get(command.groupId);
    const right =
      entry === undefined
        ? this.#strangersCommitError(command, ErrorCode.IllegalGeneration)
        : txnCommitRight(entry.group, command);
    return this.#commit(command, right, now);
  }

  /** To be sent when what was replayed of the group is durable. An unknown group has no offsets, which is no error. */
  offsetFetch(command: OffsetFetchCommand): OffsetFetchResponse {
    const { groupId, topics, requireStable } = command;
    const entry = this.#groups.get(groupId);
    const errorCode =
      entry?.group.kind === GroupType.Consumer ? consumerFetchError(entry.group, command) : ErrorCode.None;
    if (errorCode !== ErrorCode.None) return { groupId, errorCode, topics: [] };
    const isUnstable = (topic: string, partition: number) =>
      requireStable && this.#pending.isPending(groupId, topic, partition);
    return { groupId, errorCode, topics: fetchOffsets(entry?.offsets, topics, isUnstable) };
  }

  /** For metrics: as replayed, durable or not; borrowed. */
  *observed(): IterableIterator<ObservedGroup> {
    for (const { group, offsets } of this.#groups.values())
      yield { groupId: group.groupId, type: group.kind, state: group.state, memberCount: group.memberCount, offsets };
  }

  offsetDelete(command: OffsetDeleteCommand): Outcome<OffsetDeleteResponse> {
    const out = output();
    const entry = this.#named(command.groupId);
    if (entry === undefined) {
      const errorCode = groupIdError(command.groupId) ?? ErrorCode.GroupIdNotFound;
      return outcome(out, { errorCode, topics: [] });
    }
    return outcome(out, deleteOffsets(entry.group, entry.offsets, this.#pending, command, out));
  }

  /** Groups of the list that share an id are answered alike. */
  deleteGroups(groupIds: readonly string[]): Outcome<readonly DeletedGroup[]> {
    const out = output();
    const results = new Map<string, ErrorCode>();
    for (const groupId of groupIds) {
      if (results.has(groupId)) continue;
      const entry = this.#groups.get(groupId);
      const error =
        entry === undefined ? ErrorCode.GroupIdNotFound : deleteGroup(entry.group, entry.offsets, this.#pending, out);
      results.set(groupId, error);
    }
    const response = groupIds.map((groupId) => ({ groupId, errorCode: results.get(groupId) ?? ErrorCode.None }));
    return outcome(out, response);
  }

  listGroups(command: ListGroupsCommand): readonly ListedGroup[] {
    return listGroups(this.#allGroups(), command);
  }

  describeGroups(groupIds: readonly string[]): readonly DescribedGroup[] {
    return groupIds.map((groupId) => {
      const entry = this.#groups.get(groupId);
      if (entry?.group.kind === GroupType.Classic) return describeClassicGroup(entry.group);
      return describeUnknownGroup(groupId, entry !== undefined);
    });
  }

  /** KIP-848. What has changed is told by the records; a failed request changes nothing. */
  consumerHeartbeat(command: ConsumerHeartbeatCommand, now: Instant): Outcome<ConsumerHeartbeatResponse> {
    const decided = this.#consumers.heartbeat(command, now);
    const entry = this.#groups.get(command.groupId);
    if (entry !== undefined) this.#touched(entry);
    return decided;
  }

  consumerGroupDescribe(groupIds: readonly string[]): readonly DescribedConsumerGroup[] {
    return this.#consumers.describe(groupIds);
  }

  /** See ConsumerGroups. */
  topicsChanged(created: readonly string[], changed: readonly string[] | 'all'): void {
    this.#consumers.topicsChanged(created, changed);
  }

  /** Their offsets go with deleted topics. Looks at every group once. */
  topicsDeleted(topics: readonly { readonly name: string; readonly id: Uuid }[]): Effects {
    const out = output();
    for (const { group, offsets } of this.#groups.values())
      deleteTopicOffsets(group.groupId, offsets, this.#pending, topics, out);
    this.topicsChanged(
      [],
      topics.map(({ name }) => name),
    );
    return out;
  }

  /** When `tick` has something to do; Infinity if never. */
  nextDeadline(): Mono {
    if (this.#retention === undefined) return Number.POSITIVE_INFINITY;
    if (this.#consumers.isResolving) return 0;
    return Math.min(Math.max(this.#schedule.nextDueAt, this.#judgesFrom ?? 0), this.#retention.nextDueAt);
  }

  /**
   * Does what is due: sessions, rebalances, retention; a bounded part of it, after which nextDeadline is in the past if
   * more is due. `lateMs` is how late the node's timer fired: a stalled node has not read the heartbeats that wait in
   * its sockets, so members get as long again, once.
   */
  tick(now: Instant, lateMs = 0): Effects {
    const out = output();
    if (this.#schedule.nextDueAt <= now.mono) {
      if (lateMs >= STALL_MS && this.#judgesFrom === undefined) this.#judgesFrom = now.mono + lateMs;
      else if (now.mono >= (this.#judgesFrom ?? 0)) this.#expireGroups(now, out);
    }
    this.#consumers.resolveRegexes(now, out);
    this.#retention?.run(this.#groups, this.#pending, now, out);
    return out;
  }

  /**
   * The append of `effects` was refused and none of it was replayed. Gives what is to be sent and done instead; the
   * Outcome's own response is the caller's to replace by `coordinatorError(appendError)`.
   */
  refused(effects: Effects, appendError: ErrorCode, now: Instant): Effects {
    const out = output();
    const errorCode = coordinatorError(appendError);
    for (const reply of effects.replies) out.replies.push(failedReply(reply, errorCode));
    for (const record of effects.records) {
      const read = readGroupRecord(record);
      const entry = read.kind === 'unknown' ? undefined : this.#groups.get(read.groupId);
      if (entry === undefined) continue;
      // What it knew of its topics may have been in these records.
      if (entry.group.kind === GroupType.Consumer) entry.group.refreshDue = true;
      if (read.kind !== 'group' || read.value === undefined || entry.group.kind !== GroupType.Classic) continue;
      entry.group.refused(now, out);
      this.#touched(entry);
    }
    return out;
  }

  /** Answers everything that is parked, with NOT_COORDINATOR as a rule; the shard must not be used afterwards. */
  resign(errorCode: ErrorCode): readonly Reply[] {
    const out = output();
    for (const group of this.#allGroups()) {
      if (group.kind !== GroupType.Classic) continue;
      for (const member of group.members.all()) {
        group.answerJoin(member, failedJoin(member.memberId, errorCode), out);
        group.answerSync(member, errorCode, member.assignment, out);
      }
    }
    this.#groups.clear();
    this.#retention = undefined;
    return out.replies;
  }

  /** A commit to a group that nobody knows: by somebody outside of any generation. */
  #strangersCommitError(
    { groupId, generationIdOrMemberEpoch }: OffsetCommitCommand,
    inGeneration: ErrorCode,
  ): ErrorCode {
    if (!fitsRecord(groupId)) return ErrorCode.InvalidGroupId;
    if (generationIdOrMemberEpoch >= 0) return inGeneration;
    return this.#groups.size >= GROUPS_MAX ? ErrorCode.CoordinatorNotAvailable : ErrorCode.None;
  }

  #commit(command: OffsetCommitCommand, right: CommitRight, now: Instant): Outcome<OffsetCommitResponse> {
    const out = output();
    if (typeof right !== 'function' && right !== ErrorCode.None)
      return outcome(out, failedOffsetCommit(command, right));
    const ofPartition = typeof right === 'function' ? right : () => ErrorCode.None;
    return outcome(out, commitOffsets(command, this.#config, ofPartition, now.wall, out));
  }

  /**
   * The group to join; a member without an id may be the first of a new one. A consumer group without members makes way
   * for a classic one; its offsets stay.
   */
  #joinable({ groupId, memberId }: JoinGroupCommand, out: Output): Entry | undefined {
    const present = this.#groups.get(groupId);
    if (present?.group.kind === GroupType.Consumer && present.group.memberCount === 0) {
      if (memberId !== '') return undefined;
      out.records.push(...consumerTombstones(present.group));
      present.group = new ClassicGroup(groupId, this.#config);
    }
    if (present !== undefined || memberId !== '' || this.#groups.size >= GROUPS_MAX) return present;
    return this.#entry(groupId);
  }

  /** Simple consumers may commit to the group without a name; there is nothing else to do in it. */
  #named(groupId: string): Entry | undefined {
    return groupId === '' ? undefined : this.#groups.get(groupId);
  }

  #missing(mayBeFirst: boolean): ErrorCode {
    return mayBeFirst ? ErrorCode.CoordinatorNotAvailable : ErrorCode.UnknownMemberId;
  }

  #expireGroups(now: Instant, out: Output): void {
    this.#judgesFrom = undefined;
    for (let count = 0; count < GROUPS_PER_TICK; count += 1) {
      const entry = this.#schedule.take(now.mono);
      if (entry === undefined) return;
      if (entry.group.kind === GroupType.Consumer) this.#consumers.expire(entry.group, now, out);
      else entry.group.expire(now, out);
      this.#touched(entry);
    }
  }

  #replayOffset({ groupId, topic, partition, value }: GroupRecord & { kind: 'offset' }, producerId?: number): void {
    const entry = value === undefined ? this.#groups.get(groupId) : this.#entry(groupId);
    if (value !== undefined && producerId !== undefined) {
      this.#pending.replay(producerId, groupId, topic, partition, value);
      return;
    }
    if (value === undefined) this.#pending.delete(groupId, topic, partition);
    else this.#pending.overtake(groupId, topic, partition);
    entry?.offsets.replay(topic, partition, value);
  }

  #replayClassic(groupId: string, value: GroupMetadataValue | undefined): void {
    const entry = this.#groups.get(groupId);
    if (value === undefined) {
      if (entry?.group.kind === GroupType.Classic) this.#end(entry);
      return;
    }
    const present = entry?.group;
    if (this.#retention !== undefined && present?.kind === GroupType.Classic && !present.isTrace) {
      present.replayed(value);
      return;
    }
    const restored = this.#entry(groupId);
    const group = ClassicGroup.restored(groupId, value, this.#config);
    restored.group = group;
    if (this.#retention === undefined) return;
    group.converted(this.#endedQuietly === groupId);
    this.#schedule.set(restored, group.wakeAt);
  }

  #replayConsumer(groupId: string, change: ConsumerChange): void {
    const entry = this.#groups.get(groupId);
    const isTombstone = !('value' in change) || change.value === undefined;
    if (entry?.group.kind === GroupType.Consumer) {
      if (isTombstone && change.of === 'group') {
        this.#endedQuietly = entry.group.becomesClassicQuietly ? groupId : undefined;
        this.#end(entry);
        return;
      }
      entry.group.replay(change);
      this.#schedule.set(entry, entry.group.wakeAt);
    } else if (!isTombstone) {
      const made = this.#entry(groupId);
      const group = new ConsumerGroup(groupId);
      made.group = group;
      group.replay(change);
      this.#schedule.set(made, group.wakeAt);
    }
  }

  /** The group is gone; what it has committed has tombstones of its own, and stays when it becomes one of another kind. */
  #end(entry: Entry): void {
    if (entry.offsets.isEmpty) {
      this.#drop(entry);
      return;
    }
    entry.group = new ClassicGroup(entry.group.groupId, this.#config);
    this.#schedule.set(entry, Number.POSITIVE_INFINITY);
  }

  #touched(entry: Entry): void {
    const { group, offsets } = entry;
    if (group.isTrace && offsets.isEmpty && !this.#pending.hasPending(group.groupId)) this.#drop(entry);
    else this.#schedule.set(entry, entry.group.wakeAt);
  }

  #entry(groupId: string): Entry {
    const present = this.#groups.get(groupId);
    if (present !== undefined) return present;
    const entry: Entry = {
      group: new ClassicGroup(groupId, this.#config),
      offsets: new GroupOffsets(),
      dueAt: Number.POSITIVE_INFINITY,
      place: -1,
    };
    this.#groups.set(groupId, entry);
    return entry;
  }

  #drop(entry: Entry): void {
    this.#schedule.set(entry, Number.POSITIVE_INFINITY);
    this.#groups.delete(entry.group.groupId);
  }

  *#allGroups(): Generator<ClassicGroup | ConsumerGroup> {
    for (const { group } of this.#groups.values()) yield group;
  }
}

/** Kafka allows the empty group id for commits only, which do not come here. */
function groupIdError(groupId: string): ErrorCode | undefined {
  return groupId === '' || !fitsRecord(groupId) ? ErrorCode.InvalidGroupId : undefined;
}

function txnCommitRight(group: ClassicGroup | ConsumerGroup, command: OffsetCommitCommand): CommitRight {
  return group.kind === GroupType.Consumer
    ? consumerTxnCommitRight(group, command)
    : txnOffsetCommitError(group, command);
}

function commitRight(group: ClassicGroup | ConsumerGroup, command: OffsetCommitCommand, now: Instant): CommitRight {
  return group.kind === GroupType.Consumer
    ? consumerCommitRight(group, command)
    : offsetCommitError(group, command, now);
}

function failedReply(reply: Reply, errorCode: ErrorCode): Reply {
  if (reply.response.errorCode !== ErrorCode.None) return reply;
  return reply.kind === 'join'
    ? { kind: 'join', token: reply.token, response: failedJoin(reply.response.memberId, errorCode) }
    : { kind: 'sync', token: reply.token, response: failedSync(errorCode) };
}
