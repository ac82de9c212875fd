/** ConsumerGroupHeartbeat (KIP-848): members join, tell what they subscribe to and what they have, and learn what they shall have. */
import { type Fault, fault, isFault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import {
  type ConsumerDecision,
  groupEpochAfter,
  type MemberChange,
  sameMetadata,
  topicIdsOfMember,
} from './consumer-decision.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import {
  type ConsumerMember,
  isReconciledTo,
  LEAVE_EPOCH,
  newConsumerMember,
  STATIC_LEAVE_EPOCH,
  sameStrings,
} from './consumer-member.ts';
import { memberRecord, memberTombstones, progressRecord, targetRecord } from './consumer-records.ts';
import type { CoordinatorRecord } from './effects.ts';
import type { ConsumerHeartbeatCommand, ConsumerHeartbeatResponse } from './group-commands.ts';
import type { GroupConfig } from './group-config.ts';
import { fitsRecord } from './group-records.ts';
import { isWithin, samePartitions, type TopicPartitions, topicPartitionsOf } from './partition-sets.ts';
import { reconcile } from './reconciliation.ts';
import { changeRegex } from './regex-subscriptions.ts';
import { type Target, targetAfter } from './target-assignment.ts';

/** What is wrong with the request itself, whatever the group. */
export function consumerHeartbeatError(command: ConsumerHeartbeatCommand, config: GroupConfig): Fault | undefined {
  const { memberEpoch, memberId, instanceId, serverAssignor } = command;
  const invalid = (message: string) => fault(ErrorCode.InvalidRequest, message);
  const needsId = command.memberIdRequired || memberEpoch > 0 || memberEpoch === LEAVE_EPOCH;
  if (needsId && isBlank(memberId)) return invalid("MemberId can't be empty.");
  if (isBlank(command.groupId)) return invalid("GroupId can't be empty.");
  if (isBlank(instanceId)) return invalid("InstanceId can't be empty.");
  if (isBlank(command.rackId)) return invalid("RackId can't be empty.");
  if (memberEpoch === 0) {
    if (command.rebalanceTimeoutMs === -1) return invalid('RebalanceTimeoutMs must be provided in first request.');
    if (command.topicPartitions === null || command.topicPartitions.length > 0) {
      return invalid('TopicPartitions must be empty when (re-)joining.');
    }
    // An empty list is a subscription: Java's consumers have nothing else before they have matched their pattern.
    if (command.subscribedTopicNames === null && command.subscribedTopicRegex === null) {
      return invalid('Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.');
    }
  } else if (memberEpoch === STATIC_LEAVE_EPOCH && instanceId === null) return invalid("InstanceId can't be null.");
  else if (memberEpoch < STATIC_LEAVE_EPOCH) return invalid(`MemberEpoch is invalid.`);
  if (serverAssignor !== null && !config.consumerAssignors.includes(serverAssignor)) {
    const message = `ServerAssignor ${serverAssignor} is not supported. Supported assignors: ${config.consumerAssignors.join(', ')}.`;
    return fault(ErrorCode.UnsupportedAssignor, message);
  }
  const recorded = [
    command.groupId,
    memberId,
    instanceId,
    command.rackId,
    command.subscribedTopicRegex,
    command.clientId,
  ];
  const fits = [...recorded, ...(command.subscribedTopicNames ?? [])].every(
    (text) => text === null || fitsRecord(text),
  );
  return fits ? undefined : invalid('A text of the request is too long.');
}

/** Null is no text, and as good as any. */
function isBlank(text: string | null): boolean {
  return text !== null && text.trim() === '';
}

/**
 * One heartbeat of a member that is in the group or joins it: (1) what has changed of it is written, and the group's
 * epoch rises with its subscription; (2) a group ahead of its target gets a new one; (3) the member comes a step
 * nearer to its target.
 */
export function consumerHeartbeat(
  decision: ConsumerDecision,
  command: ConsumerHeartbeatCommand,
): ConsumerHeartbeatResponse | Fault {
  const { group, out, groupConfig, now } = decision;
  const found = findMember(decision, command);
  if (isFault(found)) return found;
  const change = { ...found, after: updated(found.before, command) };
  const { before, after } = change;
  if (!sameMetadata(before, after)) out.records.push(memberRecord(group.groupId, after));
  const resubscribed = !sameStrings(before.topicNames, after.topicNames);
  const regex = changeRegex(decision, change);
  if (typeof regex !== 'string') return regex;
  const bump = group.groupEpoch === 0 || resubscribed || regex === 'resolved';
  const groupEpoch = groupEpochAfter(decision, change, bump);
  const target = targetAfter(decision, change, groupEpoch);
  const owned = command.topicPartitions;
  const reconciled = advance(decision, change, target, owned, resubscribed || regex !== 'same');
  group.timers.keepAlive(after.memberId, now.mono + groupConfig.sessionTimeoutMs);

  const isFull =
    command.rebalanceTimeoutMs !== -1 &&
    (command.subscribedTopicNames !== null || command.subscribedTopicRegex !== null) &&
    owned !== null;
  // Of an epoch that it has not heard of yet it does not know the assignment either.
  const missed = command.memberEpoch !== before.memberEpoch;
  const tells = missed || isFull || !samePartitions(before.assigned, reconciled.assigned);
  return {
    errorCode: ErrorCode.None,
    errorMessage: null,
    memberId: reconciled.memberId,
    memberEpoch: reconciled.memberEpoch,
    heartbeatIntervalMs: groupConfig.heartbeatIntervalMs,
    assignment: tells ? { topicPartitions: topicPartitionsOf(reconciled.assigned) } : null,
  };
}

function findMember(
  decision: ConsumerDecision,
  command: ConsumerHeartbeatCommand,
): Omit<MemberChange, 'after'> | Fault {
  const { group, config } = decision;
  const { memberId, memberEpoch, instanceId, topicPartitions } = command;
  const joins = memberEpoch === 0;
  const present = instanceId === null ? undefined : group.byInstance(instanceId);
  // One that comes back to its instance makes the group no larger.
  const full = present === undefined ? fullError(group, memberId, config.consumerGroupSizeMax) : undefined;
  if (full !== undefined) return full;
  if (joins && present !== undefined) return returningStatic(decision, present, memberId);
  const unknown = joins ? newConsumerMember(memberId) : unknownMember(memberId, group);
  const member =
    instanceId === null || joins ? (group.member(memberId) ?? unknown) : staticMember(group, instanceId, memberId);
  if (isFault(member)) return member;
  return epochError(member, memberEpoch, topicPartitions) ?? { before: member, replaced: undefined };
}

/**
 * A process may take its instance's place when the one before has let go of it, or speaks the classic protocol, in which
 * the last to come counts. One that joins again under its own member id has missed the answer, or was told to.
 */
function returningStatic(
  { group, out }: ConsumerDecision,
  present: ConsumerMember,
  memberId: string,
): Omit<MemberChange, 'after'> | Fault {
  if (present.classic === null && present.memberEpoch !== STATIC_LEAVE_EPOCH) {
    if (present.memberId === memberId) return { before: present, replaced: undefined };
    const message = `Static member ${memberId} with instance id ${present.instanceId} cannot join the group because the instance id is owned by ${present.memberId} member.`;
    return fault(ErrorCode.UnreleasedInstanceId, message);
  }
  const found = replacement(present, memberId);
  out.records.push(...replacementRecords(group, found));
  return found;
}

/** A static member in a new process takes the place of the old one, with all that it has. */
export function replacement(old: ConsumerMember, memberId: string): Omit<MemberChange, 'after'> {
  const before = { ...old, memberId, memberEpoch: 0, previousMemberEpoch: 0 };
  return { before, replaced: memberId === old.memberId ? undefined : old.memberId };
}

export function replacementRecords(
  group: ConsumerGroup,
  { before, replaced }: Omit<MemberChange, 'after'>,
): CoordinatorRecord[] {
  if (replaced === undefined) return [];
  return [
    ...memberTombstones(group.groupId, replaced),
    memberRecord(group.groupId, before),
    targetRecord(group.groupId, before.memberId, group.target(replaced)),
    progressRecord(group.groupId, before),
  ];
}

/** Writes the member's next step towards the target, if it has one to make. */
export function advance(
  { group, topics, out }: ConsumerDecision,
  { after, replaced }: MemberChange,
  target: Target,
  owned: readonly TopicPartitions[] | null,
  resubscribed: boolean,
): ConsumerMember {
  if (!resubscribed && isReconciledTo(after, target.epoch)) return after;
  const subscribed = topicIdsOfMember(after, group, topics);
  const next = reconcile(after, {
    target: target.assignment,
    targetEpoch: target.epoch,
    owned,
    resubscribed,
    isSubscribed: (topicId) => subscribed.has(topicId),
    owner(topicId, partition) {
      const owner = group.owner(topicId, partition);
      return owner === replaced ? undefined : owner;
    },
  });
  if (next !== after) out.records.push(progressRecord(group.groupId, next));
  return next;
}

export function fullError(group: ConsumerGroup, memberId: string, sizeMax: number): Fault | undefined {
  if (group.memberCount < sizeMax || group.member(memberId) !== undefined) return undefined;
  return fault(
    ErrorCode.GroupMaxSizeReached,
    `The consumer group has reached its maximum capacity of ${sizeMax} members.`,
  );
}

export function unknownMember(memberId: string, { groupId }: ConsumerGroup): Fault {
  return fault(ErrorCode.UnknownMemberId, `Member ${memberId} is not a member of group ${groupId}.`);
}

/** The member of this instance, if it is who it says it is. */
export function staticMember(group: ConsumerGroup, instanceId: string, memberId: string): ConsumerMember | Fault {
  const present = group.byInstance(instanceId);
  if (present === undefined) return fault(ErrorCode.UnknownMemberId, `Instance id ${instanceId} is unknown.`);
  if (present.memberId === memberId) return present;
  const message = `Static member ${memberId} with instance id ${instanceId} was fenced by member ${present.memberId}.`;
  return fault(ErrorCode.FencedInstanceId, message);
}

/**
 * A member that is ahead of what the log knows, or behind, is fenced; but one that comes with its epoch before this one
 * and has no more than it was given since has only missed an answer.
 */
function epochError(
  member: ConsumerMember,
  epoch: number,
  owned: readonly TopicPartitions[] | null,
): Fault | undefined {
  if (epoch === 0 || epoch === member.memberEpoch) return undefined;
  const missedAnswer =
    epoch < member.memberEpoch &&
    epoch === member.previousMemberEpoch &&
    owned !== null &&
    isWithin(owned, member.assigned);
  if (missedAnswer) return undefined;
  const message =
    `The consumer group member has a ${epoch > member.memberEpoch ? 'greater' : 'smaller'} member epoch (${epoch}) than the one known ` +
    `by the group coordinator (${member.memberEpoch}). The member must abandon all its partitions and rejoin.`;
  return fault(ErrorCode.FencedMemberEpoch, message);
}

function updated(member: ConsumerMember, command: ConsumerHeartbeatCommand): ConsumerMember {
  const { subscribedTopicNames: names, rebalanceTimeoutMs } = command;
  return {
    ...member,
    instanceId: command.instanceId ?? member.instanceId,
    rackId: command.rackId ?? member.rackId,
    rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? member.rebalanceTimeoutMs : rebalanceTimeoutMs,
    serverAssignor: command.serverAssignor ?? member.serverAssignor,
    topicNames: names === null ? member.topicNames : [...new Set(names)].sort(),
    topicRegex: command.subscribedTopicRegex ?? member.topicRegex,
    clientId: command.clientId,
    clientHost: command.clientHost,
    classic: null,
  };
}
