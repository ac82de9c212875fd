import { assert, unreachable } from '#base/assert';
import type { Mono, Timestamp } from '#base/ports';
import type { Uuid } from '#model/ids';
import {
  type ConsumerMember,
  isReconciledTo,
  LEAVE_EPOCH,
  MemberState,
  newConsumerMember,
  regexOf,
} from './consumer-member.ts';
import { CONSUMER_PROTOCOL_TYPE } from './consumer-protocol.ts';
import type { ConsumerChange, MemberMetadata, MemberProgress, ResolvedRegex } from './consumer-records.ts';
import { ConsumerTimers } from './consumer-timers.ts';
import { GroupState, GroupType } from './group-commands.ts';
import { type Assignment, contains, NO_PARTITIONS, type PartitionSets } from './partition-sets.ts';

/**
 * One consumer group (KIP-848). Three epochs tell how far it is: the group's rises with every change of members,
 * subscriptions and topics; the assignment's follows when a target has been computed for the group's; a member's
 * follows when the member has what the target gives it, and has given up what it takes.
 *
 * Everything but the timers is the log's: only `replay` changes it. Decisions are made beside this file
 * (consumer-heartbeat.ts, consumer-departure.ts, classic-in-consumer.ts).
 */
export class ConsumerGroup {
  readonly kind = GroupType.Consumer;
  readonly groupId: string;
  readonly protocolType = CONSUMER_PROTOCOL_TYPE;
  readonly timers = new ConsumerTimers();
  /** A topic that the group may be subscribed to has changed: the next heartbeat looks. */
  refreshDue = true;
  /** Bounded by group.consumer.max.size. */
  readonly #members = new Map<string, ConsumerMember>();
  readonly #byInstance = new Map<string, string>();
  readonly #target = new Map<string, Assignment>();
  /** Who has a partition, or has still to give it up. */
  readonly #owners = new Map<Uuid, Map<number, string>>();
  readonly #regexes = new Map<string, ResolvedRegex>();
  /** How many members subscribe by each regex. */
  readonly #subscribers = new Map<string, number>();
  #groupEpoch = 0;
  #epochSince: Timestamp = 0;
  #metadataHash = 0;
  #assignmentEpoch = 0;
  #assignedAt: Timestamp = 0;
  /** Made when it is asked for, and dropped by every replay that may change it. */
  #subscribedTopics: ReadonlySet<string> | undefined;

  constructor(groupId: string) {
    this.groupId = groupId;
  }

  get groupEpoch(): number {
    return this.#groupEpoch;
  }

  /** When its epoch was last written: of a group without members, when the last one left. */
  get epochSince(): Timestamp {
    return this.#epochSince;
  }

  get metadataHash(): number {
    return this.#metadataHash;
  }

  get assignmentEpoch(): number {
    return this.#assignmentEpoch;
  }

  /** When the target was computed; 0 before the first time. */
  get assignedAt(): Timestamp {
    return this.#assignedAt;
  }

  get memberCount(): number {
    return this.#members.size;
  }

  get wakeAt(): Mono {
    return this.timers.wakeAt;
  }

  /** It exists while the log holds its epoch. */
  get isTrace(): boolean {
    return false;
  }

  get isDeserted(): boolean {
    return this.#members.size === 0;
  }

  get state(): GroupState {
    if (this.#members.size === 0) return GroupState.Empty;
    if (this.#groupEpoch > this.#assignmentEpoch) return GroupState.Assigning;
    for (const member of this.#members.values()) {
      if (!isReconciledTo(member, this.#assignmentEpoch)) return GroupState.Reconciling;
    }
    return GroupState.Stable;
  }

  get subscribedTopics(): ReadonlySet<string> {
    this.#subscribedTopics ??= this.#allSubscribedTopics();
    return this.#subscribedTopics;
  }

  isSubscribedTo(topic: string): boolean {
    return this.subscribedTopics.has(topic);
  }

  get regexes(): ReadonlyMap<string, ResolvedRegex> {
    return this.#regexes;
  }

  member(memberId: string): ConsumerMember | undefined {
    return this.#members.get(memberId);
  }

  byInstance(instanceId: string): ConsumerMember | undefined {
    const memberId = this.#byInstance.get(instanceId);
    return memberId === undefined ? undefined : this.#members.get(memberId);
  }

  members(): IterableIterator<ConsumerMember> {
    return this.#members.values();
  }

  target(memberId: string): Assignment {
    return this.#target.get(memberId) ?? NO_PARTITIONS;
  }

  owner(topicId: Uuid, partition: number): string | undefined {
    return this.#owners.get(topicId)?.get(partition);
  }

  /** How many members subscribe by each regex; none is there with 0. */
  get regexSubscribers(): ReadonlyMap<string, number> {
    return this.#subscribers;
  }

  /** Whether something of its target is still somebody else's. */
  waitsForOthers(member: ConsumerMember): boolean {
    for (const [topicId, partitions] of this.target(member.memberId)) {
      for (const partition of partitions) {
        if (!contains(member.assigned, topicId, partition) && this.owner(topicId, partition) !== undefined) return true;
      }
    }
    return false;
  }

  /** One record of this group. */
  replay(change: ConsumerChange, writtenAt: Timestamp): void {
    switch (change.of) {
      case 'group':
        assert(change.value !== undefined, 'a group that ends is not replayed');
        this.#groupEpoch = change.value.epoch;
        this.#epochSince = writtenAt;
        this.#metadataHash = change.value.metadataHash;
        return;
      case 'topics':
        return;
      case 'assignment':
        this.#assignmentEpoch = change.value?.epoch ?? 0;
        this.#assignedAt = change.value?.at ?? 0;
        return;
      case 'member':
        this.#replayMember(change.memberId, change.value);
        return;
      case 'progress':
        this.#replayProgress(change.memberId, change.value);
        return;
      case 'target':
        if (change.value === undefined) this.#target.delete(change.memberId);
        else this.#target.set(change.memberId, change.value);
        return;
      case 'regex':
        this.#subscribedTopics = undefined;
        if (change.value === undefined) this.#regexes.delete(change.regex);
        else this.#regexes.set(change.regex, change.value);
        return;
      default:
        unreachable(change);
    }
  }

  #replayMember(memberId: string, value: MemberMetadata | undefined): void {
    this.#subscribedTopics = undefined;
    const before = this.#members.get(memberId);
    if (before?.instanceId != null && this.#byInstance.get(before.instanceId) === memberId) {
      this.#byInstance.delete(before.instanceId);
    }
    this.#countRegex(before, -1);
    if (value === undefined) {
      if (before === undefined) return;
      this.#release(before);
      this.#members.delete(memberId);
      this.timers.remove(memberId);
      return;
    }
    const member = { ...(before ?? newConsumerMember(memberId)), ...value };
    this.#members.set(memberId, member);
    this.#countRegex(member, 1);
    if (value.instanceId !== null) this.#byInstance.set(value.instanceId, memberId);
    this.timers.begin(memberId);
  }

  #replayProgress(memberId: string, value: MemberProgress | undefined): void {
    const before = this.#members.get(memberId);
    if (value === undefined) {
      if (before === undefined) return;
      this.#release(before);
      const nothing = { assigned: NO_PARTITIONS, revoking: NO_PARTITIONS };
      const left = { state: MemberState.Stable, memberEpoch: LEAVE_EPOCH, previousMemberEpoch: LEAVE_EPOCH };
      this.#members.set(memberId, { ...before, ...nothing, ...left });
      this.timers.endRevocation(memberId);
      return;
    }
    const member = { ...(before ?? newConsumerMember(memberId)), ...value };
    if (before !== undefined) this.#release(before);
    this.#members.set(memberId, member);
    this.#take(member.assigned, memberId);
    this.#take(member.revoking, memberId);
    // A static member that goes for a while gives up at once what it should have, whatever its state was.
    if (member.classic === null && member.revoking.size > 0) this.timers.beginRevocation(memberId);
    else this.timers.endRevocation(memberId);
  }

  #countRegex(member: ConsumerMember | undefined, change: 1 | -1): void {
    const regex = member === undefined ? undefined : regexOf(member);
    if (regex === undefined) return;
    const count = (this.#subscribers.get(regex) ?? 0) + change;
    if (count === 0) this.#subscribers.delete(regex);
    else this.#subscribers.set(regex, count);
  }

  #take(partitions: PartitionSets, memberId: string): void {
    for (const [topicId, numbers] of partitions) {
      let owners = this.#owners.get(topicId);
      if (owners === undefined) {
        owners = new Map();
        this.#owners.set(topicId, owners);
      }
      for (const partition of numbers.keys()) owners.set(partition, memberId);
    }
  }

  /** A log that is being compacted may give a partition to its next owner before it takes it from the one before. */
  #release(member: ConsumerMember): void {
    for (const partitions of [member.assigned, member.revoking]) {
      for (const [topicId, numbers] of partitions) {
        const owners = this.#owners.get(topicId);
        if (owners === undefined) continue;
        for (const partition of numbers.keys()) {
          if (owners.get(partition) === member.memberId) owners.delete(partition);
        }
        if (owners.size === 0) this.#owners.delete(topicId);
      }
    }
  }

  #allSubscribedTopics(): ReadonlySet<string> {
    const all = new Set<string>();
    for (const { topicNames } of this.#members.values()) for (const name of topicNames) all.add(name);
    for (const { topics } of this.#regexes.values()) for (const name of topics) all.add(name);
    return all;
  }
}
