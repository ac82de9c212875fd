/** JoinGroup, SyncGroup and Heartbeat of members that speak the classic protocol, in a consumer group (KIP-848). */
import { type Fault, fault, isFault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import { type ConsumerDecision, groupEpochAfter, type MemberChange, sameMetadata } from './consumer-decision.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { advance, fullError, replaceStatic, staticMember, unknownMember } from './consumer-heartbeat.ts';
import { type ConsumerMember, MemberState, newConsumerMember, sameStrings } from './consumer-member.ts';
import { CONSUMER_PROTOCOL_TYPE, type ConsumerSubscription, readSubscription } from './consumer-protocol.ts';
import { memberRecord } from './consumer-records.ts';
import { becomeClassic, classicAssignment, mayDowngrade } from './conversion.ts';
import { output, type RequestToken } from './effects.ts';
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
import { targetAfter } from './target-assignment.ts';
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
  const { group, config } = decision;
  const memberId = command.memberId === '' ? newMemberId() : command.memberId;
  const error = fullError(group, memberId, config.consumerGroupSizeMax) ?? protocolError(group, command);
  if (error !== undefined) return failedJoin(command.memberId, error.errorCode);
  const [preferred] = command.protocols;
  const subscription = preferred === undefined ? undefined : readSubscription(preferred.metadata);
  if (preferred === undefined || subscription === undefined) {
    return failedJoin(command.memberId, ErrorCode.InconsistentGroupProtocol);
  }
  if (command.memberId === '' && command.groupInstanceId === null && command.memberIdRequired) {
    return failedJoin(memberId, ErrorCode.MemberIdRequired);
  }
  const present = command.groupInstanceId === null ? undefined : group.byInstance(command.groupInstanceId);
  const replaces = present !== undefined && command.memberId === '';
  const downgrades =
    present !== undefined && isClassicBut(group, present.memberId) && mayDowngrade(config, group.memberCount);
  const aside = downgrades ? { ...decision, out: output() } : decision;
  const found = replaces ? replaceStatic(aside, present, memberId) : findMember(group, command, memberId);
  if (isFault(found)) return failedJoin(command.memberId, found.errorCode);
  const change = { ...found, after: updated(found.before, command, subscription) };
  const joined = enter(decision, aside, change, ownedBy(subscription, decision.topics), downgrades);
  if (isFault(joined)) return failedJoin(command.memberId, joined.errorCode);
  decision.group.timers.joined(memberId, decision.now.mono + change.after.rebalanceTimeoutMs);
  decision.group.timers.keepAlive(memberId, decision.now.mono + command.sessionTimeoutMs);
  return {
    errorCode: ErrorCode.None,
    generationId: joined.memberEpoch,
    protocolType: CONSUMER_PROTOCOL_TYPE,
    protocolName: preferred.name,
    leader: '',
    skipAssignment: false,
    memberId,
    members: [],
  };
}

/**
 * As a heartbeat does. If the last member of the new protocol has come back with the old one the group becomes classic:
 * of what would have been written (`aside`) nothing is, but the classic group as it then is.
 */
function enter(
  decision: ConsumerDecision,
  aside: ConsumerDecision,
  change: MemberChange,
  owned: readonly TopicPartitions[],
  downgrades: boolean,
): ConsumerMember | Fault {
  const { group } = decision;
  const { before, after } = change;
  if (!sameMetadata(before, after)) aside.out.records.push(memberRecord(group.groupId, after));
  const regex = changeRegex(aside, change);
  if (typeof regex !== 'string') return regex;
  const resubscribed = !sameStrings(before.topicNames, after.topicNames) || regex !== 'same';
  const groupEpoch = groupEpochAfter(aside, change, resubscribed);
  if (!downgrades) return advance(aside, change, targetAfter(aside, change, groupEpoch), owned, resubscribed);
  const target = { epoch: group.assignmentEpoch, assignment: group.target(change.replaced ?? after.memberId) };
  const reconciled = resubscribed ? after : advance(aside, change, target, owned, false);
  becomeClassic(decision, new Set(), { change: { ...change, after: reconciled }, groupEpoch, quietly: !resubscribed });
  return reconciled;
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
  if (member.memberEpoch < group.groupEpoch && member.state !== MemberState.UnrevokedPartitions) {
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
export function heartbeatInConsumerGroup(
  { group, now }: Pick<ConsumerDecision, 'group' | 'now'>,
  command: HeartbeatCommand,
): ErrorCode {
  const member = classicMember(group, command.memberId, command.groupInstanceId, command.generationId);
  if (isFault(member)) return member.errorCode;
  group.timers.keepAlive(member.memberId, now.mono + member.classic.sessionTimeoutMs);
  const rejoins =
    member.memberEpoch < group.groupEpoch ||
    member.state === MemberState.UnrevokedPartitions ||
    (member.state === MemberState.UnreleasedPartitions && !group.waitsForOthers(member));
  if (!rejoins) return ErrorCode.None;
  group.timers.joinBy(member.memberId, now.mono + member.rebalanceTimeoutMs);
  return ErrorCode.RebalanceInProgress;
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
