/**
 * JoinGroup for classic groups: who may join, as whom, and whether that begins a rebalance (Kafka 4.3; KIP-345,
 * KIP-394, KIP-814).
 */

import { ErrorCode } from '#model/errors';
import { NO_BYTES } from './bytes.ts';
import type { ClassicGroup } from './classic-group.ts';
import { generationRecord } from './classic-records.ts';
import { memberTopics } from './classic-subscriptions.ts';
import type { Instant, Output, RequestToken } from './effects.ts';
import { failedJoin, failedSync } from './failures.ts';
import { GroupState, type JoinGroupCommand } from './group-commands.ts';
import { type GroupConfig, NEW_MEMBER_JOIN_TIMEOUT_MS, PENDING_MEMBERS_MAX } from './group-config.ts';
import { type Member, ownedProtocols, sameProtocols } from './group-members.ts';
import { fitsRecord } from './group-records.ts';

/** A JoinGroup with what it takes to answer it. */
export interface Joining {
  readonly command: JoinGroupCommand;
  readonly token: RequestToken;
  readonly config: GroupConfig;
  /** A member id that nobody has. */
  readonly newMemberId: () => string;
  readonly now: Instant;
  readonly out: Output;
}

/** What is wrong with the request itself, whatever the group. */
export function joinRequestError(command: JoinGroupCommand, config: GroupConfig): ErrorCode {
  const { groupId, sessionTimeoutMs, memberId, groupInstanceId, clientId, clientHost, protocolType } = command;
  if (groupId === '' || !fitsRecord(groupId)) return ErrorCode.InvalidGroupId;
  if (sessionTimeoutMs < config.sessionTimeoutMsMin || sessionTimeoutMs > config.sessionTimeoutMsMax) {
    return ErrorCode.InvalidSessionTimeout;
  }
  const names = command.protocols.map(({ name }) => name);
  const recorded = [memberId, groupInstanceId ?? '', clientId, clientHost, protocolType, ...names];
  return recorded.every(fitsRecord) ? ErrorCode.None : ErrorCode.InvalidRequest;
}

export function joinClassicGroup(group: ClassicGroup, joining: Joining): void {
  const { command, now, out } = joining;
  const { memberId, groupInstanceId } = command;
  const returns = memberId === '' && groupInstanceId !== null;
  const member = returns ? group.members.byInstance(groupInstanceId) : group.members.get(memberId);
  if (!hasRoomFor(group, member, joining.config)) {
    // It may be a member that rejoins into a group whose bound was lowered: the last to come are turned away.
    refuse(joining, '', ErrorCode.GroupMaxSizeReached);
    if (member !== undefined) {
      group.remove(member, out);
      group.afterDeparture(now, out);
    } else if (group.members.pendingJoin.delete(memberId)) group.afterLapse(now, out);
  } else if (!group.supports(command.protocolType, command.protocols)) {
    refuse(joining, memberId, ErrorCode.InconsistentGroupProtocol);
  } else if (memberId === '') {
    joinUnknown(group, joining);
  } else {
    joinKnown(group, joining);
  }
}

/**
 * While a rebalance gathers members, those who are waiting count; a member that waits already is in, and so is a static
 * one that comes back.
 */
function hasRoomFor(group: ClassicGroup, member: Member | undefined, config: GroupConfig): boolean {
  switch (group.state) {
    case GroupState.Empty:
      return true;
    case GroupState.PreparingRebalance:
      return member?.awaitingJoin !== undefined || group.members.awaitingJoinCount < config.groupSizeMax;
    default:
      return member !== undefined || group.members.size < config.groupSizeMax;
  }
}

function joinUnknown(group: ClassicGroup, joining: Joining): void {
  const { command, now } = joining;
  if (command.groupInstanceId !== null) {
    const present = group.members.byInstance(command.groupInstanceId);
    if (present !== undefined) rejoinStatic(group, present, joining);
    else addMember(group, joining.newMemberId(), joining);
  } else if (!command.memberIdRequired) {
    addMember(group, joining.newMemberId(), joining);
  } else if (group.members.pendingJoin.size >= PENDING_MEMBERS_MAX) {
    refuse(joining, '', ErrorCode.CoordinatorNotAvailable);
  } else {
    const memberId = joining.newMemberId();
    group.expect(memberId, command.sessionTimeoutMs, now);
    refuse(joining, memberId, ErrorCode.MemberIdRequired);
  }
}

function joinKnown(group: ClassicGroup, joining: Joining): void {
  const { command, token, now, out } = joining;
  const { memberId } = command;
  if (group.members.pendingJoin.has(memberId) && command.groupInstanceId === null) {
    addMember(group, memberId, joining);
    return;
  }
  const member = group.members.get(memberId);
  const error = memberError(group, memberId, command.groupInstanceId);
  if (error !== ErrorCode.None || member === undefined) {
    refuse(joining, memberId, error);
    return;
  }
  // A member that comes back unchanged has missed an answer, or heartbeats told it to: it gets the present generation.
  // A leader that comes back in a stable group wants to assign anew (its topics may have grown).
  const unchanged = sameProtocols(member.protocols, command.protocols);
  const isLeader = group.members.leaderId === memberId;
  if (
    (group.state === GroupState.CompletingRebalance && unchanged) ||
    (group.state === GroupState.Stable && unchanged && !isLeader)
  ) {
    out.replies.push({ kind: 'join', token, response: group.joined(member) });
    return;
  }
  update(group, member, joining);
  group.afterArrival(now, out);
}

function addMember(group: ClassicGroup, memberId: string, joining: Joining): void {
  const { command, token, now, out } = joining;
  const member: Member = {
    memberId,
    groupInstanceId: command.groupInstanceId,
    clientId: command.clientId,
    clientHost: command.clientHost,
    rebalanceTimeoutMs: rebalanceTimeoutMs(command),
    sessionTimeoutMs: command.sessionTimeoutMs,
    protocols: ownedProtocols(command.protocols),
    assignment: NO_BYTES,
    awaitingJoin: token,
    awaitingSync: undefined,
    isNew: true,
    sessionEndsAt: Number.POSITIVE_INFINITY,
  };
  group.add(member, command.protocolType);
  group.keepAlive(member, now, NEW_MEMBER_JOIN_TIMEOUT_MS);
  group.afterArrival(now, out);
}

function update(group: ClassicGroup, member: Member, joining: Joining): void {
  const { command, token, out } = joining;
  group.members.setProtocols(member, ownedProtocols(command.protocols));
  member.rebalanceTimeoutMs = rebalanceTimeoutMs(command);
  member.sessionTimeoutMs = command.sessionTimeoutMs;
  group.parkJoin(member, token, out);
}

/**
 * A static member came back without its member id: it gets a new one, and whoever used the old one is fenced. In a
 * stable group it takes over its assignment without a rebalance, unless the protocol or the topics that it subscribes
 * to have changed.
 */
function rejoinStatic(group: ClassicGroup, old: Member, joining: Joining): void {
  const { command, token, now, out } = joining;
  const leaderBefore = group.members.leaderId ?? '';
  const subscribed = topicsOf(group, old);
  group.answerJoin(old, failedJoin(old.memberId, ErrorCode.FencedInstanceId), out);
  if (old.awaitingSync !== undefined) {
    out.replies.push({ kind: 'sync', token: old.awaitingSync, response: failedSync(ErrorCode.FencedInstanceId) });
    old.awaitingSync = undefined;
  }
  const { clientId, clientHost } = command;
  const member = group.members.replaceStatic(old, { memberId: joining.newMemberId(), clientId, clientHost });
  update(group, member, joining);
  group.keepAlive(member, now);
  const goesOn =
    group.state === GroupState.Stable &&
    group.members.selectProtocol() === group.protocolName &&
    topicsOf(group, member) === subscribed;
  if (!goesOn) {
    group.afterArrival(now, out);
    return;
  }
  group.members.setAwaitingJoin(member, undefined);
  out.records.push(generationRecord(group, ({ assignment }) => assignment, now.wall));
  const joined = group.joined(member);
  const leads = joined.leader === member.memberId;
  // A leader that cannot be told to skip the assignment is told that it follows, so that it does not assign in mid-
  // generation.
  const response = command.skipAssignmentKnown
    ? { ...joined, skipAssignment: leads }
    : { ...joined, leader: leaderBefore, members: [] };
  out.replies.push({ kind: 'join', token, response });
}

/** FENCED_INSTANCE_ID if another process has taken the instance over; UNKNOWN_MEMBER_ID if neither is here. */
export function memberError(group: ClassicGroup, memberId: string, groupInstanceId: string | null): ErrorCode {
  if (groupInstanceId !== null) {
    const present = group.members.byInstance(groupInstanceId);
    if (present === undefined) return ErrorCode.UnknownMemberId;
    if (present.memberId !== memberId) return ErrorCode.FencedInstanceId;
  }
  return group.members.get(memberId) === undefined ? ErrorCode.UnknownMemberId : ErrorCode.None;
}

/** To compare; the rest of a consumer's metadata may differ at every start. */
function topicsOf(group: ClassicGroup, member: Member): string {
  return JSON.stringify(memberTopics(group, member)?.toSorted() ?? []);
}

function rebalanceTimeoutMs(command: JoinGroupCommand): number {
  return command.rebalanceTimeoutMs < 0 ? command.sessionTimeoutMs : command.rebalanceTimeoutMs;
}

function refuse({ token, out }: Joining, memberId: string, errorCode: ErrorCode): void {
  out.replies.push({ kind: 'join', token, response: failedJoin(memberId, errorCode) });
}
