import { unreachable } from '#base/assert';
import type { Mono, Random } from '#base/ports';
import { type Fault, fault, isFault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import { newUuid } from '#model/uuids';
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
import { leaveByClassicProtocol, leaveConsumerGroup, removeMembers } from './consumer-departure.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { consumerHeartbeat, consumerHeartbeatError } from './consumer-heartbeat.ts';
import {
  type CommitRight,
  consumerCommitRight,
  consumerFetchError,
  consumerTxnCommitRight,
} from './consumer-offsets.ts';
import { describeConsumerGroup, describeUnknownConsumerGroup } from './consumer-queries.ts';
import type { ConsumerChange } from './consumer-records.ts';
import { becomeConsumer, consumerTombstones } from './conversion.ts';
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
import { coordinatorError, failedConsumerHeartbeat, failedJoin, failedOffsetCommit, failedSync } from './failures.ts';
import {
  type ConsumerHeartbeatCommand,
  type ConsumerHeartbeatResponse,
  type DeletedGroup,
  type DescribedConsumerGroup,
  type DescribedGroup,
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
import {
  type ConsumerGroupConfig,
  GROUPS_MAX,
  GROUPS_PER_TICK,
  type GroupConfig,
  REGEX_MATCHES_PER_TICK,
  STALL_MS,
} from './group-config.ts';
import { describeClassicGroup, describeUnknownGroup, listGroups } from './group-queries.ts';
import { fitsRecord, groupRecord, readGroupRecord } from './group-records.ts';
import { newMemberId } from './member-id.ts';
import { deleteGroup, deleteOffsets, deleteTopicOffsets } from './offset-deletion.ts';
import { commitOffsets, fetchOffsets, GroupOffsets } from './offsets.ts';
import { regexesResolved } from './regex-subscriptions.ts';
import { Retention } from './retention.ts';
import { Schedule, type Scheduled } from './schedule.ts';
import { RegexResolution } from './topic-regex.ts';
import type { TopicsView } from './topics-view.ts';
import { TransactionalOffsets } from './transactional-offsets.ts';

/** A group, whatever its kind, with what stays when the kind changes. */
interface Entry extends Scheduled {
  group: ClassicGroup | ConsumerGroup;
  readonly offsets: GroupOffsets;
}

export interface GroupShardParts {
  readonly config: GroupConfig;
  readonly random: Random;
  readonly topics: TopicsView;
  /** What holds for one consumer group. */
  configOf(groupId: string): ConsumerGroupConfig;
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
  readonly #topics: TopicsView;
  readonly #configOf: (groupId: string) => ConsumerGroupConfig;
  /** Groups whose regexes are to be resolved; the first one's are being. */
  readonly #unresolved = new Set<string>();
  #resolution: RegexResolution | undefined;
  /** The consumer group that has just ended to become a classic one without a rebalance. */
  #endedQuietly: string | undefined;
  /** When a topic was last created, as far as this shard knows. */
  #topicsVersion: number;
  /** From `loaded` on. */
  #retention: Retention | undefined;
  /** No session is judged before this: see `tick`. Undefined if there was no stall. */
  #judgesFrom: Mono | undefined;

  /** `random` makes member ids; `topics` is the image as it is at each decision. */
  constructor({ config, random, topics, configOf }: GroupShardParts) {
    this.#config = config;
    this.#random = random;
    this.#topics = topics;
    this.#configOf = configOf;
    this.#topicsVersion = topics.index;
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
      case 'group':
        this.#replayClassic(read.groupId, read.value);
        return;
      case 'consumer':
        this.#replayConsumer(read.groupId, read.change);
        return;
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
    const refuse = (errorCode: ErrorCode) =>
      out.replies.push({ kind: 'join', token, response: failedJoin(command.memberId, errorCode) });
    const entry = error === ErrorCode.None ? this.#joinable(command, out) : undefined;
    if (entry === undefined) {
      refuse(error === ErrorCode.None ? this.#missing(command.memberId === '') : error);
      return out;
    }
    const idPrefix = command.groupInstanceId ?? command.clientId;
    const makeMemberId = () => newMemberId(idPrefix, this.#random);
    if (entry.group.kind === GroupType.Consumer) {
      joinConsumerGroup(this.#decision(entry.group, now, out), command, token, makeMemberId);
    } else {
      joinClassicGroup(entry.group, { command, token, config: this.#config, newMemberId: makeMemberId, now, out });
    }
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
    if (entry.group.kind === GroupType.Consumer) {
      const response = syncConsumerGroup(this.#decision(entry.group, now, out), command);
      out.replies.push({ kind: 'sync', token, response });
    } else syncClassicGroup(entry.group, command, token, now, out);
    this.#touched(entry);
    return out;
  }

  heartbeat(command: HeartbeatCommand, now: Instant): HeartbeatResponse {
    const entry = this.#groups.get(command.groupId);
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
    const entry = this.#groups.get(command.groupId);
    if (entry === undefined) {
      const errorCode = groupIdError(command.groupId) ?? ErrorCode.UnknownMemberId;
      return outcome(out, { errorCode, members: [] });
    }
    const response =
      entry.group.kind === GroupType.Consumer
        ? leaveByClassicProtocol(this.#decision(entry.group, now, out), command)
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

  /**
   * To be sent, like every answer, when what was replayed is durable. An unknown group has no offsets, which is no
   * error.
   */
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
      yield { groupId: group.groupId, memberCount: group.memberCount, offsets };
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
    const error = consumerHeartbeatError(command, this.#config);
    const out = output();
    const response = error ?? this.#consumerHeartbeat(command, now, out);
    if (isFault(response)) {
      return outcome(output(), failedConsumerHeartbeat(response.errorCode, response.message));
    }
    const entry = this.#groups.get(command.groupId);
    if (entry !== undefined) this.#touched(entry);
    return outcome(out, response);
  }

  consumerGroupDescribe(groupIds: readonly string[]): readonly DescribedConsumerGroup[] {
    return groupIds.map((groupId) => {
      const group = this.#groups.get(groupId)?.group;
      if (group?.kind !== GroupType.Consumer) return describeUnknownConsumerGroup(groupId, group !== undefined);
      return describeConsumerGroup(group, this.#topics, this.#config.consumerAssignors[0] ?? '');
    });
  }

  /** Topics have come (`created`), or have other partitions, replicas or racks. Looks at every group once. */
  topicsChanged(created: readonly string[], changed: readonly string[]): void {
    if (created.length > 0) this.#topicsVersion = this.#topics.index;
    for (const group of this.#allGroups()) {
      if (group.kind !== GroupType.Consumer || group.refreshDue) continue;
      group.refreshDue =
        created.some((name) => group.isSubscribedTo(name)) || changed.some((name) => group.isSubscribedTo(name));
    }
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
    if (this.#unresolved.size > 0) return 0;
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
    this.#resolveRegexes(now, out);
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

  #missing(mayBeFirst: boolean): ErrorCode {
    return mayBeFirst ? ErrorCode.CoordinatorNotAvailable : ErrorCode.UnknownMemberId;
  }

  #expireGroups(now: Instant, out: Output): void {
    this.#judgesFrom = undefined;
    for (let count = 0; count < GROUPS_PER_TICK; count += 1) {
      const entry = this.#schedule.take(now.mono);
      if (entry === undefined) return;
      this.#expire(entry.group, now, out);
      this.#touched(entry);
    }
  }

  #expire(group: ClassicGroup | ConsumerGroup, now: Instant, out: Output): void {
    if (group.kind === GroupType.Classic) {
      group.expire(now, out);
      return;
    }
    const { sessionTimeoutMs } = this.#configOf(group.groupId);
    const over = group.timers.due(
      now.mono,
      (memberId) => group.member(memberId),
      ({ classic, rebalanceTimeoutMs }) => ({
        sessionMs: classic?.sessionTimeoutMs ?? sessionTimeoutMs,
        rebalanceMs: rebalanceTimeoutMs,
      }),
    );
    const members = over.flatMap((memberId) => group.member(memberId) ?? []);
    if (members.length > 0) removeMembers(this.#decision(group, now, out), members);
  }

  #consumerHeartbeat(command: ConsumerHeartbeatCommand, now: Instant, out: Output): ConsumerHeartbeatResponse | Fault {
    const { groupId, memberEpoch } = command;
    if (memberEpoch < 0) {
      const group = this.#groups.get(groupId)?.group;
      if (group?.kind !== GroupType.Consumer) return unknownGroup(groupId, group !== undefined);
      return leaveConsumerGroup(this.#decision(group, now, out), command);
    }
    const group = this.#consumerGroup(groupId, memberEpoch === 0, out);
    if (isFault(group)) return group;
    const memberId = command.memberId === '' ? newUuid(this.#random) : command.memberId;
    return consumerHeartbeat(this.#decision(group, now, out), { ...command, memberId });
  }

  /** The group to beat in. One that is new, or still classic, becomes a consumer group with the records that are replayed. */
  #consumerGroup(groupId: string, joins: boolean, out: Output): ConsumerGroup | Fault {
    const present = this.#groups.get(groupId)?.group;
    if (present?.kind === GroupType.Consumer) return present;
    if (!joins) return unknownGroup(groupId, present !== undefined);
    if (present === undefined) {
      if (this.#groups.size < GROUPS_MAX) return new ConsumerGroup(groupId);
      return fault(ErrorCode.CoordinatorNotAvailable, 'The coordinator has as many groups as it can hold.');
    }
    if (present.isDeserted) {
      if (present.isPersisted) out.records.push(groupRecord(groupId, null));
      return new ConsumerGroup(groupId);
    }
    const records = becomeConsumer(present, this.#topics, this.#config, out);
    if (isFault(records)) return records;
    out.records.push(...records);
    const group = new ConsumerGroup(groupId);
    for (const record of records) {
      const read = readGroupRecord(record);
      if (read.kind === 'consumer') group.replay(read.change);
    }
    return group;
  }

  #decision(group: ConsumerGroup, now: Instant, out: Output): ConsumerDecision {
    const { groupId } = group;
    return {
      group,
      topics: this.#topics,
      config: this.#config,
      groupConfig: this.#configOf(groupId),
      now,
      out,
      resolveRegexes: () => this.#unresolved.add(groupId),
      topicsVersion: this.#topicsVersion,
    };
  }

  /** A slice of the work; see nextDeadline. */
  #resolveRegexes(now: Instant, out: Output): void {
    let left = REGEX_MATCHES_PER_TICK;
    for (const groupId of this.#unresolved) {
      const group = this.#groups.get(groupId)?.group;
      if (group?.kind === GroupType.Consumer) {
        const resolution = this.#resolution ?? new RegexResolution(group.regexSubscribers.keys(), this.#topics);
        this.#resolution = resolution;
        left -= resolution.step(left);
        if (!resolution.isDone) return;
        const found = output();
        regexesResolved(this.#decision(group, now, found), resolution);
        out.records.push(...found.records);
      }
      this.#unresolved.delete(groupId);
      this.#resolution = undefined;
      if (left <= 0) return;
    }
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

function unknownGroup(groupId: string, isOther: boolean): Fault {
  const message = isOther ? `Group ${groupId} is not a consumer group.` : `Consumer group ${groupId} not found.`;
  return fault(ErrorCode.GroupIdNotFound, message);
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
