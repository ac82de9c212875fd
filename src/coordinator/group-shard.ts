import type { Mono, Random, Timestamp } from '#base/ports';
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import { NO_PLANTED_BUGS, type PlantedBugs } from '#model/planted-bugs';
import { ClassicGroup } from './classic-group.ts';
import { joinConsumerGroup, syncConsumerGroup } from './classic-in-consumer.ts';
import { joinClassicGroup, joinRequestError } from './classic-join.ts';
import { heartbeatClassicGroup, leaveClassicGroup, syncClassicGroup } from './classic-requests.ts';
import type { ConsumerDecision } from './consumer-decision.ts';
import { leaveByClassicProtocol } from './consumer-departure.ts';
import { ConsumerGroups, type ConsumerGroupsParts } from './consumer-groups.ts';
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
import { coordinatorError, failedJoin, failedSync } from './failures.ts';
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
import { GROUPS_PER_TICK, type GroupConfig, STALL_MS } from './group-config.ts';
import { describeClassicGroup, describeUnknownGroup, listGroups } from './group-queries.ts';
import { groupIdError, readGroupRecord } from './group-records.ts';
import { GroupReplay } from './group-replay.ts';
import { type GroupEntry, GroupTable } from './group-table.ts';
import { newMemberId } from './member-id.ts';
import { deleteGroup, deleteTopicOffsets } from './offset-deletion.ts';
import { COMMIT, offsetCommit, offsetDelete, offsetFetch, TRANSACTIONAL_COMMIT } from './offset-requests.ts';
import type { GroupOffsets } from './offsets.ts';
import { Retention } from './retention.ts';
import type { TopicsView } from './topics-view.ts';

/** A group as metrics tell of it. */
export interface ObservedGroup {
  readonly groupId: string;
  readonly type: GroupType;
  readonly state: GroupState;
  readonly memberCount: number;
  readonly offsets: Pick<GroupOffsets, 'topics'>;
}

export interface GroupShardParts extends ConsumerGroupsParts {
  readonly planted?: PlantedBugs;
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
  readonly #topics: TopicsView;
  readonly #table: GroupTable;
  readonly #replay: GroupReplay;
  readonly #consumers: ConsumerGroups;
  /** From `loaded` on. */
  #retention: Retention | undefined;
  /** No session is judged before this: see `tick`. Undefined if there was no stall. */
  #judgesFrom: Mono | undefined;

  /** `random` makes member ids; `topics` is the image as it is at each decision. */
  constructor({ config, random, topics, configOf, planted = NO_PLANTED_BUGS }: GroupShardParts) {
    this.#config = config;
    this.#random = random;
    this.#topics = topics;
    this.#table = new GroupTable(config);
    this.#replay = new GroupReplay(this.#table, config, planted);
    this.#consumers = new ConsumerGroups({ config, random, topics, configOf }, this.#table.byId);
  }

  /**
   * Applies a record of the log; borrowed. Before `loaded` any record, after it those just decided, in order. `producerId` is that of the
   * transaction that the record belongs to, if it does to one. Gives the group that it is of.
   */
  replay(record: CoordinatorRecord, writtenAt: Timestamp, producerId?: number): string | undefined {
    return this.#replay.record(record, writtenAt, producerId);
  }

  /** Applies the end of a transaction, as `replay` does a record. Gives the groups with offsets in it, each once or more. */
  replayMarker(producerId: number, aborted: boolean): readonly string[] {
    return this.#replay.marker(producerId, aborted);
  }

  /** The whole log has been replayed: members have one session from now on to be heard. */
  loaded(now: Instant): Effects {
    const out = output();
    this.#replay.loaded();
    this.#retention = new Retention(this.#config, now.mono);
    for (const entry of this.#table.byId.values()) {
      // Members of consumer groups begin their sessions with the first tick.
      if (entry.group.kind === GroupType.Classic) entry.group.loaded(now, out);
      this.#table.schedule(entry);
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
    this.#table.touched(entry);
    return out;
  }

  /** As joinGroup. */
  syncGroup(command: SyncGroupCommand, token: RequestToken, now: Instant): Effects {
    const out = output();
    const entry = this.#table.named(command.groupId);
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
    this.#table.touched(entry);
    return out;
  }

  heartbeat(command: HeartbeatCommand, now: Instant): HeartbeatResponse {
    const entry = this.#table.named(command.groupId);
    if (entry === undefined) return { errorCode: groupIdError(command.groupId) ?? ErrorCode.UnknownMemberId };
    const errorCode =
      entry.group.kind === GroupType.Consumer
        ? this.#consumers.classicHeartbeat(entry.group, command, now)
        : heartbeatClassicGroup(entry.group, command, now);
    this.#table.touched(entry);
    return { errorCode };
  }

  leaveGroup(command: LeaveGroupCommand, now: Instant): Outcome<LeaveGroupResponse> {
    const out = output();
    const entry = this.#table.named(command.groupId);
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
    this.#table.touched(entry);
    return outcome(out, response);
  }

  /** A commit to an unknown group by somebody outside of any generation makes a group without members. */
  offsetCommit(command: OffsetCommitCommand, now: Instant): Outcome<OffsetCommitResponse> {
    return offsetCommit(this.#table, this.#config, COMMIT, command, now);
  }

  /** Within a transaction: what is committed counts from its marker on. A member is fenced by what it knows of its group (KIP-447). */
  txnOffsetCommit(command: OffsetCommitCommand, now: Instant): Outcome<OffsetCommitResponse> {
    return offsetCommit(this.#table, this.#config, TRANSACTIONAL_COMMIT, command, now);
  }

  /** To be sent when what was replayed of the group is durable. An unknown group has no offsets, which is no error. */
  offsetFetch(command: OffsetFetchCommand): OffsetFetchResponse {
    return offsetFetch(this.#table, this.#topics, command);
  }

  /** For metrics: as replayed, durable or not; borrowed. */
  *observed(): IterableIterator<ObservedGroup> {
    for (const { group, offsets } of this.#table.byId.values())
      yield { groupId: group.groupId, type: group.kind, state: group.state, memberCount: group.memberCount, offsets };
  }

  offsetDelete(command: OffsetDeleteCommand): Outcome<OffsetDeleteResponse> {
    return offsetDelete(this.#table, command);
  }

  /** Groups of the list that share an id are answered alike. */
  deleteGroups(groupIds: readonly string[]): Outcome<readonly DeletedGroup[]> {
    const out = output();
    const results = new Map<string, ErrorCode>();
    for (const groupId of groupIds) {
      if (results.has(groupId)) continue;
      const entry = this.#table.get(groupId);
      const error =
        entry === undefined
          ? ErrorCode.GroupIdNotFound
          : deleteGroup(entry.group, entry.offsets, this.#table.pending, out);
      results.set(groupId, error);
    }
    const response = groupIds.map((groupId) => ({ groupId, errorCode: results.get(groupId) ?? ErrorCode.None }));
    return outcome(out, response);
  }

  listGroups(command: ListGroupsCommand): readonly ListedGroup[] {
    return listGroups(this.#table.groups(), command);
  }

  describeGroups(groupIds: readonly string[]): readonly DescribedGroup[] {
    return groupIds.map((groupId) => {
      const entry = this.#table.get(groupId);
      if (entry?.group.kind === GroupType.Classic) return describeClassicGroup(entry.group);
      return describeUnknownGroup(groupId, entry !== undefined);
    });
  }

  /** KIP-848. What has changed is told by the records; a failed request changes nothing. */
  consumerHeartbeat(command: ConsumerHeartbeatCommand, now: Instant): Outcome<ConsumerHeartbeatResponse> {
    const decided = this.#consumers.heartbeat(command, now);
    const entry = this.#table.get(command.groupId);
    if (entry !== undefined) this.#table.touched(entry);
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
    for (const { group, offsets } of this.#table.byId.values())
      deleteTopicOffsets(group.groupId, offsets, this.#table.pending, topics, out);
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
    return Math.min(Math.max(this.#table.nextDueAt, this.#judgesFrom ?? 0), this.#retention.nextDueAt);
  }

  /**
   * Does what is due: sessions, rebalances, retention; a bounded part of it, after which nextDeadline is in the past if
   * more is due. `lateMs` is how late the node's timer fired: a stalled node has not read the heartbeats that wait in
   * its sockets, so members get as long again, once.
   */
  tick(now: Instant, lateMs = 0): Effects {
    const out = output();
    if (this.#table.nextDueAt <= now.mono) {
      if (lateMs >= STALL_MS && this.#judgesFrom === undefined) this.#judgesFrom = now.mono + lateMs;
      else if (now.mono >= (this.#judgesFrom ?? 0)) this.#expireGroups(now, out);
    }
    // One decision about a group at a time: the next rests on what this one writes.
    if (out.records.length === 0) this.#consumers.resolveRegexes(now, out);
    this.#retention?.run(this.#table.byId, this.#table.pending, now, out);
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
      const entry = read.kind === 'unknown' ? undefined : this.#table.get(read.groupId);
      if (entry === undefined) continue;
      // What it knew of its topics may have been in these records.
      if (entry.group.kind === GroupType.Consumer) entry.group.refreshDue = true;
      if (read.kind !== 'group' || read.value === undefined || entry.group.kind !== GroupType.Classic) continue;
      entry.group.refused(now, out);
      this.#table.touched(entry);
    }
    return out;
  }

  /** Answers everything that is parked, with NOT_COORDINATOR as a rule; the shard must not be used afterwards. */
  resign(errorCode: ErrorCode): readonly Reply[] {
    const out = output();
    for (const group of this.#table.groups()) {
      if (group.kind !== GroupType.Classic) continue;
      for (const member of group.members.all()) {
        group.answerJoin(member, failedJoin(member.memberId, errorCode), out);
        group.answerSync(member, errorCode, member.assignment, out);
      }
    }
    this.#table.clear();
    this.#retention = undefined;
    return out.replies;
  }

  /**
   * The group to join; a member without an id may be the first of a new one. A consumer group without members makes way
   * for a classic one; its offsets stay.
   */
  #joinable({ groupId, memberId }: JoinGroupCommand, out: Output): GroupEntry | undefined {
    const present = this.#table.get(groupId);
    if (present?.group.kind === GroupType.Consumer && present.group.memberCount === 0) {
      if (memberId !== '') return undefined;
      out.records.push(...consumerTombstones(present.group));
      present.group = new ClassicGroup(groupId, this.#config);
    }
    if (present !== undefined || memberId !== '' || this.#table.isFull) return present;
    return this.#table.getOrMake(groupId);
  }

  #missing(mayBeFirst: boolean): ErrorCode {
    return mayBeFirst ? ErrorCode.CoordinatorNotAvailable : ErrorCode.UnknownMemberId;
  }

  #expireGroups(now: Instant, out: Output): void {
    this.#judgesFrom = undefined;
    for (let count = 0; count < GROUPS_PER_TICK; count += 1) {
      const entry = this.#table.takeDue(now.mono);
      if (entry === undefined) return;
      if (entry.group.kind === GroupType.Consumer) this.#consumers.expire(entry.group, now, out);
      else entry.group.expire(now, out);
      this.#table.touched(entry);
    }
  }
}

function failedReply(reply: Reply, errorCode: ErrorCode): Reply {
  if (reply.response.errorCode !== ErrorCode.None) return reply;
  return reply.kind === 'join'
    ? { kind: 'join', token: reply.token, response: failedJoin(reply.response.memberId, errorCode) }
    : { kind: 'sync', token: reply.token, response: failedSync(errorCode) };
}
