/** JoinGroup, SyncGroup and Heartbeat of members that speak the classic protocol, in a consumer group (KIP-848). */
import { type Fault, fault, isFault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import { type ConsumerDecision, groupEpochAfter, type MemberChange, sameMetadata } from './consumer-decision.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import {
  advance,
  fullError,
  replacement,
  replacementRecords,
  staticMember,
  unknownMember,
} from './consumer-heartbeat.ts';
import { type ConsumerMember, MemberState, newConsumerMember, sameStrings } from './consumer-member.ts';
import { CONSUMER_PROTOCOL_TYPE, type ConsumerSubscription, readSubscription } from './consumer-protocol.ts';
import { memberRecord } from './consumer-records.ts';
import { becomeClassic, classicAssignment, mayDowngrade } from './conversion.ts';
import type { RequestToken } from './effects.ts';
import { failedJoin, failedSync } from './failures.ts';
import type {
  HeartbeatCommand,
  JoinGroupCommand,
  JoinGroupResponse,
  SyncGroupCommand,
  SyncGroupResponse,
} from './group-commands.ts';
import { ownedProtocols } from './group-members.ts';
import type { TopicPartitions } from './partition-sets.ts';
import { changeRegex } from './regex-subscriptions.ts';
import { type AssignmentTiming, mayAssign, targetAfter } from './target-assignment.ts';
import type { TopicsView } from './topics-view.ts';

/**
 * The answer is among the replies. It comes at once, and without the others' metadata: there is no leader, the
 * coordinator assigns. Heartbeats tell when to join again.
 */
export function joinConsumerGroup(
  decision: ConsumerDecision,
  command: JoinGroupCommand,
  token: RequestToken,
  newMemberId: () => string,
): void {
  decision.out.replies.push({ kind: 'join', token, response: join(decision, command, newMemberId) });
}

function join(decision: ConsumerDecision, command: JoinGroupCommand, newMemberId: () => string): JoinGroupResponse {
  const { group, config, now } = decision;
  const memberId = command.memberId === '' ? newMemberId() : command.memberId;
  const present = command.groupInstanceId === null ? undefined : group.byInstance(command.groupInstanceId);
  // One that comes back to its instance makes the group no larger.
  const full = present === undefined ? fullError(group, memberId, config.consumerGroupSizeMax) : undefined;
  const error = full ?? protocolError(group, command);
  if (error !== undefined) return failedJoin(command.memberId, error.errorCode);
  const [preferred] = command.protocols;
  const subscription = preferred === undefined ? undefined : readSubscription(preferred.metadata);
  if (preferred === undefined || subscription === undefined) {
    return failedJoin(command.memberId, ErrorCode.InconsistentGroupProtocol);
  }
  if (command.memberId === '' && command.groupInstanceId === null && command.memberIdRequired) {
    return failedJoin(memberId, ErrorCode.MemberIdRequired);
  }
  const replaces = present !== undefined && command.memberId === '';
  const found = replaces ? replacement(present, memberId) : findMember(group, command, memberId);
  if (isFault(found)) return failedJoin(command.memberId, found.errorCode);
  const change = { ...found, after: updated(found.before, command, subscription) };
  const joined = (generationId: number): JoinGroupResponse => ({
    errorCode: ErrorCode.None,
    generationId,
    protocolType: CONSUMER_PROTOCOL_TYPE,
    protocolName: preferred.name,
    leader: '',
    skipAssignment: false,
    memberId,
    members: [],
  });
  if (present !== undefined && isClassicBut(group, present.memberId) && mayDowngrade(config, group.memberCount)) {
    becomeClassic(decision, new Set(), change);
    return joined(group.groupEpoch);
  }
  const entered = enter(decision, change, ownedBy(subscription, decision.topics));
  if (isFault(entered)) return failedJoin(command.memberId, entered.errorCode);
  group.timers.joined(memberId, now.mono + change.after.rebalanceTimeoutMs);
  group.timers.keepAlive(memberId, now.mono + command.sessionTimeoutMs);
  return joined(entered.memberEpoch);
}

/** As a heartbeat does. */
function enter(
  decision: ConsumerDecision,
  change: MemberChange,
  owned: readonly TopicPartitions[],
): ConsumerMember | Fault {
  const { group, out } = decision;
  const { before, after } = change;
  out.records.push(...replacementRecords(group, change));
  if (!sameMetadata(before, after)) out.records.push(memberRecord(group.groupId, after));
  const regex = changeRegex(decision, change);
  if (typeof regex !== 'string') return regex;
  const resubscribed = !sameStrings(before.topicNames, after.topicNames) || regex !== 'same';
  const groupEpoch = groupEpochAfter(decision, change, resubscribed);
  return advance(decision, change, targetAfter(decision, change, groupEpoch), owned, resubscribed);
}

function protocolError(group: ConsumerGroup, { protocolType, protocols }: JoinGroupCommand): Fault | undefined {
  const refused = fault(
    ErrorCode.InconsistentGroupProtocol,
    'The member supports no protocol that the others support.',
  );
  if (protocolType !== CONSUMER_PROTOCOL_TYPE || protocols.length === 0) return refused;
  const classic = [...group.members()].flatMap((member) => (member.classic === null ? [] : [member.classic]));
  const isCommon = (name: string) =>
    classic.every((member) => member.protocols.some((protocol) => protocol.name === name));
  return protocols.some(({ name }) => isCommon(name)) ? undefined : refused;
}

function isClassicBut(group: ConsumerGroup, memberId: string): boolean {
  for (const member of group.members()) {
    if ((member.classic === null) !== (member.memberId === memberId)) return false;
  }
  return true;
}

function findMember(
  group: ConsumerGroup,
  { groupInstanceId, memberId: given }: JoinGroupCommand,
  memberId: string,
): Omit<MemberChange, 'after'> | Fault {
  if (groupInstanceId === null || given === '') {
    return { before: group.member(memberId) ?? newConsumerMember(memberId), replaced: undefined };
  }
  const member = staticMember(group, groupInstanceId, memberId);
  return isFault(member) ? member : { before: member, replaced: undefined };
}

function updated(
  member: ConsumerMember,
  command: JoinGroupCommand,
  subscription: ConsumerSubscription,
): ConsumerMember {
  const { rebalanceTimeoutMs, sessionTimeoutMs } = command;
  return {
    ...member,
    instanceId: command.groupInstanceId ?? member.instanceId,
    rackId: subscription.rackId ?? member.rackId,
    rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
    topicNames: [...new Set(subscription.topics)].sort(),
    topicRegex: '',
    clientId: command.clientId,
    clientHost: command.clientHost,
    classic: { sessionTimeoutMs, protocols: ownedProtocols(command.protocols) },
  };
}

function ownedBy(subscription: ConsumerSubscription, topics: TopicsView): readonly TopicPartitions[] {
  return subscription.owned.flatMap(({ topic, partitions }) => {
    const topicId = topics.topic(topic)?.id;
    return topicId === undefined ? [] : [{ topicId, partitions }];
  });
}

export function syncConsumerGroup(decision: ConsumerDecision, command: SyncGroupCommand): SyncGroupResponse {
  const { group, now, topics } = decision;
  const member = classicMember(group, command.memberId, command.groupInstanceId, command.generationId);
  if (isFault(member)) return failedSync(member.errorCode);
  const [preferred] = member.classic.protocols;
  const { protocolType, protocolName } = command;
  const consistent =
    (protocolType === null || protocolType === CONSUMER_PROTOCOL_TYPE) &&
    (protocolName === null || protocolName === preferred?.name);
  if (!consistent) return failedSync(ErrorCode.InconsistentGroupProtocol);
  // One that has to give something up learns by this answer what that is, and stays behind until it has.
  if (isBehind(decision, member) && member.state !== MemberState.UnrevokedPartitions) {
    group.timers.joinBy(member.memberId, now.mono + member.rebalanceTimeoutMs);
    return failedSync(ErrorCode.RebalanceInProgress);
  }
  group.timers.synced(member.memberId);
  group.timers.keepAlive(member.memberId, now.mono + member.classic.sessionTimeoutMs);
  return {
    errorCode: ErrorCode.None,
    protocolType: CONSUMER_PROTOCOL_TYPE,
    protocolName: preferred?.name ?? '',
    assignment: classicAssignment(member.assigned, preferred?.metadata ?? new Uint8Array(0), topics),
  };
}

/** Tells the member to join again when it has to give something up, or can get more. */
export function heartbeatInConsumerGroup(decision: AssignmentTiming, command: HeartbeatCommand): ErrorCode {
  const { group, now } = decision;
  const member = classicMember(group, command.memberId, command.groupInstanceId, command.generationId);
  if (isFault(member)) return member.errorCode;
  group.timers.keepAlive(member.memberId, now.mono + member.classic.sessionTimeoutMs);
  const rejoins =
    isBehind(decision, member) ||
    member.state === MemberState.UnrevokedPartitions ||
    (member.state === MemberState.UnreleasedPartitions && !group.waitsForOthers(member));
  if (!rejoins) return ErrorCode.None;
  group.timers.joinBy(member.memberId, now.mono + member.rebalanceTimeoutMs);
  return ErrorCode.RebalanceInProgress;
}

/**
 * Whether there is another target for it, or will be when it joins. While the group may not assign yet, a member that was
 * told to join again would do so at once, and be told again, as fast as it can ask.
 */
function isBehind(decision: AssignmentTiming, { memberEpoch }: ConsumerMember): boolean {
  const { group } = decision;
  return memberEpoch < group.assignmentEpoch || (memberEpoch < group.groupEpoch && mayAssign(decision));
}

type ClassicMember = ConsumerMember & { readonly classic: NonNullable<ConsumerMember['classic']> };

function classicMember(
  group: ConsumerGroup,
  memberId: string,
  instanceId: string | null,
  generationId: number,
): ClassicMember | Fault {
  const member =
    instanceId === null
      ? (group.member(memberId) ?? unknownMember(memberId, group))
      : staticMember(group, instanceId, memberId);
  if (isFault(member)) return member;
  const { classic } = member;
  if (classic === null) return unknownMember(memberId, group);
  if (member.memberEpoch === generationId) return { ...member, classic };
  return fault(ErrorCode.IllegalGeneration, `The generation of ${memberId} is ${member.memberEpoch}.`);
}
