import { assert, unreachable } from '#base/assert';
import type { Mono, Random } from '#base/ports';
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import { ClassicGroup } from './classic-group.ts';
import { joinClassicGroup, joinRequestError } from './classic-join.ts';
import {
  heartbeatClassicGroup,
  leaveClassicGroup,
  offsetCommitError,
  syncClassicGroup,
  txnOffsetCommitError,
} from './classic-requests.ts';
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
import type {
  DeletedGroup,
  DescribedGroup,
  HeartbeatCommand,
  HeartbeatResponse,
  JoinGroupCommand,
  LeaveGroupCommand,
  LeaveGroupResponse,
  ListedGroup,
  ListGroupsCommand,
  OffsetCommitCommand,
  OffsetCommitResponse,
  OffsetDeleteCommand,
  OffsetDeleteResponse,
  OffsetFetchCommand,
  OffsetFetchResponse,
  SyncGroupCommand,
} from './group-commands.ts';
import { GROUPS_MAX, GROUPS_PER_TICK, type GroupConfig, STALL_MS } from './group-config.ts';
import { describeClassicGroup, describeUnknownGroup, listGroups } from './group-queries.ts';
import { fitsRecord, readGroupRecord } from './group-records.ts';
import { newMemberId } from './member-id.ts';
import { deleteGroup, deleteOffsets, deleteTopicOffsets } from './offset-deletion.ts';
import { commitOffsets, fetchOffsets, GroupOffsets } from './offsets.ts';
import { Retention } from './retention.ts';
import { Schedule, type Scheduled } from './schedule.ts';
import { TransactionalOffsets } from './transactional-offsets.ts';

/** A group, whatever its kind, with what stays when the kind changes. */
interface Entry extends Scheduled {
  group: ClassicGroup;
  readonly offsets: GroupOffsets;
}

/** A group as metrics tell of it. */
export interface ObservedGroup {
  readonly groupId: string;
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
  /** From `loaded` on. */
  #retention: Retention | undefined;
  /** No session is judged before this: see `tick`. Undefined if there was no stall. */
  #judgesFrom: Mono | undefined;

  /** `random` makes member ids. */
  constructor({ config, random }: { readonly config: GroupConfig; readonly random: Random }) {
    this.#config = config;
    this.#random = random;
  }

  /**
   * Applies a record of the log; borrowed. Before `loaded` any record, after it those just decided, in order. `producerId` is that of the
   * transaction that the record belongs to, if it does to one.
   */
  replay(record: CoordinatorRecord, producerId?: number): void {
    const read = readGroupRecord(record);
    switch (read.kind) {
      case 'offset': {
        const { groupId, topic, partition, value } = read;
        const entry = value === undefined ? this.#groups.get(groupId) : this.#entry(groupId);
        if (value !== undefined && producerId !== undefined)
          return this.#pending.replay(producerId, groupId, topic, partition, value);
        if (value === undefined) this.#pending.delete(groupId, topic, partition);
        else this.#pending.overtake(groupId, topic, partition);
        entry?.offsets.replay(topic, partition, value);
        return;
      }
      case 'group': {
        const entry = this.#groups.get(read.groupId);
        if (read.value === undefined) {
          if (entry !== undefined) this.#drop(entry);
        } else if (this.#retention !== undefined) {
          assert(entry !== undefined, `a decision of a group that is gone: ${read.groupId}`);
          entry.group.replayed(read.value);
        } else {
          this.#entry(read.groupId).group = ClassicGroup.restored(read.groupId, read.value, this.#config);
        }
        return;
      }
      case 'unknown':
        return;
      default:
        unreachable(read);
    }
  }

  /** Applies the end of a transaction, as `replay` does a record. */
  replayMarker(producerId: number, aborted: boolean): void {
    for (const { groupId, topic, partition, value, counts } of this.#pending.end(producerId, aborted)) {
      const entry = this.#entry(groupId);
      if (counts) entry.offsets.replay(topic, partition, value);
      this.#touched(entry);
    }
  }

  /** The whole log has been replayed: members have one session from now on to be heard. */
  loaded(now: Instant): Effects {
    const out = output();
    this.#retention = new Retention(this.#config, now.mono);
    for (const entry of this.#groups.values()) {
      entry.group.loaded(now, out);
      this.#schedule.set(entry, entry.group.wakeAt);
    }
    return out;
  }

  /** The answer is among the replies, of this decision or of a later one. */
  joinGroup(command: JoinGroupCommand, token: RequestToken, now: Instant): Effects {
    const out = output();
    const error = joinRequestError(command, this.#config);
    const entry = error === ErrorCode.None ? this.#joinable(command) : undefined;
    if (entry === undefined) {
      const errorCode = error === ErrorCode.None ? this.#missing(command.memberId === '') : error;
      out.replies.push({ kind: 'join', token, response: failedJoin(command.memberId, errorCode) });
      return out;
    }
    const idPrefix = command.groupInstanceId ?? command.clientId;
    joinClassicGroup(entry.group, {
      command,
      token,
      config: this.#config,
      newMemberId: () => newMemberId(idPrefix, this.#random),
      now,
      out,
    });
    this.#touched(entry);
    return out;
  }

  /** As joinGroup. */
  syncGroup(command: SyncGroupCommand, token: RequestToken, now: Instant): Effects {
    const out = output();
    const entry = this.#groups.get(command.groupId);
    if (entry === undefined) {
      const errorCode = groupIdError(command.groupId) ?? ErrorCode.UnknownMemberId;
      out.replies.push({ kind: 'sync', token, response: failedSync(errorCode) });
      return out;
    }
    syncClassicGroup(entry.group, command, token, now, out);
    this.#touched(entry);
    return out;
  }

  heartbeat(command: HeartbeatCommand, now: Instant): HeartbeatResponse {
    const entry = this.#groups.get(command.groupId);
    if (entry === undefined) return { errorCode: groupIdError(command.groupId) ?? ErrorCode.UnknownMemberId };
    const errorCode = heartbeatClassicGroup(entry.group, command, now);
    this.#touched(entry);
    return { errorCode };
  }

  leaveGroup(command: LeaveGroupCommand, now: Instant): Outcome<LeaveGroupResponse> {
    const out = output();
    const entry = this.#groups.get(command.groupId);
    if (entry === undefined) {
      const errorCode = groupIdError(command.groupId) ?? ErrorCode.UnknownMemberId;
      return outcome(out, { errorCode, members: [] });
    }
    const response = leaveClassicGroup(entry.group, command, now, out);
    this.#touched(entry);
    return outcome(out, response);
  }

  /** A commit to an unknown group by somebody outside of any generation makes a group without members. */
  offsetCommit(command: OffsetCommitCommand, now: Instant): Outcome<OffsetCommitResponse> {
    const entry = this.#groups.get(command.groupId);
    const error = entry === undefined ? undefined : offsetCommitError(entry.group, command, now);
    if (entry !== undefined) this.#touched(entry);
    return this.#commit(command, error ?? this.#strangersCommitError(command, ErrorCode.GroupIdNotFound), now);
  }

  /** Within a transaction: what is committed counts from its marker on. A member is fenced by what it knows of its group (KIP-447). */
  txnOffsetCommit(command: OffsetCommitCommand, now: Instant): Outcome<OffsetCommitResponse> {
    const entry = this.#groups.get(command.groupId);
    const error = entry === undefined ? undefined : txnOffsetCommitError(entry.group, command);
    return this.#commit(command, error ?? this.#strangersCommitError(command, ErrorCode.IllegalGeneration), now);
  }

  /**
   * To be sent, like every answer, when what was replayed is durable. An unknown group has no offsets, which is no
   * error.
   */
  offsetFetch(command: OffsetFetchCommand): OffsetFetchResponse {
    const { groupId, topics, requireStable } = command;
    const offsets = this.#groups.get(groupId)?.offsets;
    const isUnstable = (topic: string, partition: number) =>
      requireStable && this.#pending.isPending(groupId, topic, partition);
    return { groupId, errorCode: ErrorCode.None, topics: fetchOffsets(offsets, topics, isUnstable) };
  }

  /** For metrics: as replayed, durable or not; borrowed. */
  *observed(): IterableIterator<ObservedGroup> {
    for (const { group, offsets } of this.#groups.values())
      yield { groupId: group.groupId, memberCount: group.members.size, offsets };
  }

  offsetDelete(command: OffsetDeleteCommand): Outcome<OffsetDeleteResponse> {
    const out = output();
    const entry = this.#groups.get(command.groupId);
    if (entry === undefined) {
      const errorCode = groupIdError(command.groupId) ?? ErrorCode.GroupIdNotFound;
      return outcome(out, { errorCode, topics: [] });
    }
    return outcome(out, deleteOffsets(entry.group, entry.offsets, command, out));
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
    return listGroups(this.#classicGroups(), command);
  }

  describeGroups(groupIds: readonly string[]): readonly DescribedGroup[] {
    return groupIds.map((groupId) => {
      const entry = this.#groups.get(groupId);
      return entry === undefined ? describeUnknownGroup(groupId) : describeClassicGroup(entry.group);
    });
  }

  /** Their offsets go with deleted topics. Looks at every group once. */
  topicsDeleted(topics: readonly { readonly name: string; readonly id: Uuid }[]): Effects {
    const out = output();
    for (const { group, offsets } of this.#groups.values())
      deleteTopicOffsets(group.groupId, offsets, this.#pending, topics, out);
    return out;
  }

  /** When `tick` has something to do; Infinity if never. */
  nextDeadline(): Mono {
    if (this.#retention === undefined) return Number.POSITIVE_INFINITY;
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
      if (read.kind !== 'group' || read.value === undefined) continue;
      const entry = this.#groups.get(read.groupId);
      if (entry === undefined) continue;
      entry.group.refused(now, out);
      this.#touched(entry);
    }
    return out;
  }

  /** Answers everything that is parked, with NOT_COORDINATOR as a rule; the shard must not be used afterwards. */
  resign(errorCode: ErrorCode): readonly Reply[] {
    const out = output();
    for (const { group } of this.#groups.values()) {
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

  #commit(command: OffsetCommitCommand, error: ErrorCode, now: Instant): Outcome<OffsetCommitResponse> {
    const out = output();
    if (error !== ErrorCode.None) return outcome(out, failedOffsetCommit(command, error));
    return outcome(out, commitOffsets(command, this.#config, now.wall, out));
  }

  /** The group to join; a member without an id may be the first of a new one. */
  #joinable({ groupId, memberId }: JoinGroupCommand): Entry | undefined {
    const present = this.#groups.get(groupId);
    if (present !== undefined || memberId !== '' || this.#groups.size >= GROUPS_MAX) return present;
    return this.#entry(groupId);
  }

  #missing(mayBeFirst: boolean): ErrorCode {
    return mayBeFirst ? ErrorCode.CoordinatorNotAvailable : ErrorCode.UnknownMemberId;
  }

  #expireGroups(now: Instant, out: Output): void {
    this.#judgesFrom = undefined;
    for (let count = 0; count < GROUPS_PER_TICK; count += 1) {
      const entry = this.#schedule.take(now.mono);
      if (entry === undefined) return;
      entry.group.expire(now, out);
      this.#touched(entry);
    }
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

  *#classicGroups(): Generator<ClassicGroup> {
    for (const { group } of this.#groups.values()) yield group;
  }
}

/** Kafka allows the empty group id for commits only, which do not come here. */
function groupIdError(groupId: string): ErrorCode | undefined {
  return groupId === '' || !fitsRecord(groupId) ? ErrorCode.InvalidGroupId : undefined;
}

function failedReply(reply: Reply, errorCode: ErrorCode): Reply {
  if (reply.response.errorCode !== ErrorCode.None) return reply;
  return reply.kind === 'join'
    ? { kind: 'join', token: reply.token, response: failedJoin(reply.response.memberId, errorCode) }
    : { kind: 'sync', token: reply.token, response: failedSync(errorCode) };
}
