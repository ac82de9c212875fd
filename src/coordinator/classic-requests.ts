/**
 * What members of a classic group ask once they have joined: SyncGroup, Heartbeat, LeaveGroup, and whether they may
 * commit.
 */

import { ErrorCode } from '#model/errors';
import { copyOf, NO_BYTES } from './bytes.ts';
import type { ClassicGroup } from './classic-group.ts';
import { memberError } from './classic-join.ts';
import { generationRecord } from './classic-records.ts';
import type { Instant, Output, RequestToken } from './effects.ts';
import { failedSync } from './failures.ts';
import {
  GroupState,
  type HeartbeatCommand,
  type LeaveGroupCommand,
  type LeaveGroupResponse,
  type LeavingMember,
  type OffsetCommitCommand,
  type SyncGroupCommand,
} from './group-commands.ts';

export function syncClassicGroup(
  group: ClassicGroup,
  command: SyncGroupCommand,
  token: RequestToken,
  now: Instant,
  out: Output,
): void {
  const member = group.members.get(command.memberId);
  const error = syncError(group, command);
  if (error !== ErrorCode.None || member === undefined) {
    out.replies.push({ kind: 'sync', token, response: failedSync(error) });
    return;
  }
  // A second request of the same member: its client has given the first one up.
  group.answerSync(member, ErrorCode.RebalanceInProgress, NO_BYTES, out);
  member.awaitingSync = token;
  group.synced(member);
  if (group.state === GroupState.Stable) group.answerSync(member, ErrorCode.None, member.assignment, out);
  else if (group.members.leaderId === member.memberId) completeGeneration(group, command, now, out);
}

function syncError(group: ClassicGroup, command: SyncGroupCommand): ErrorCode {
  if (group.state === GroupState.Empty) return ErrorCode.UnknownMemberId;
  const error = memberError(group, command.memberId, command.groupInstanceId);
  if (error !== ErrorCode.None) return error;
  if (command.generationId !== group.generationId) return ErrorCode.IllegalGeneration;
  const { protocolType, protocolName } = command;
  if (protocolType !== null && protocolType !== group.protocolType) return ErrorCode.InconsistentGroupProtocol;
  if (protocolName !== null && protocolName !== group.protocolName) return ErrorCode.InconsistentGroupProtocol;
  return group.state === GroupState.PreparingRebalance ? ErrorCode.RebalanceInProgress : ErrorCode.None;
}

/** The leader's assignment makes the generation: it is written, and all who wait get theirs when it is durable. */
function completeGeneration(group: ClassicGroup, command: SyncGroupCommand, now: Instant, out: Output): void {
  const assignments = new Map<string, Uint8Array>();
  for (const { memberId, assignment } of command.assignments) assignments.set(memberId, copyOf(assignment));
  out.records.push(generationRecord(group, ({ memberId }) => assignments.get(memberId) ?? NO_BYTES, now.wall));
  for (const member of group.members.all()) {
    // While it waited its session stood still.
    const assignment = assignments.get(member.memberId) ?? NO_BYTES;
    if (group.answerSync(member, ErrorCode.None, assignment, out)) group.keepAlive(member, now);
  }
}

export function heartbeatClassicGroup(group: ClassicGroup, command: HeartbeatCommand, now: Instant): ErrorCode {
  const error = memberError(group, command.memberId, command.groupInstanceId);
  const member = group.members.get(command.memberId);
  if (error !== ErrorCode.None || member === undefined) return error;
  if (command.generationId !== group.generationId) return ErrorCode.IllegalGeneration;
  group.keepAlive(member, now);
  return group.state === GroupState.PreparingRebalance ? ErrorCode.RebalanceInProgress : ErrorCode.None;
}

/** Each member on its own (KIP-345: batches); one rebalance for all. */
export function leaveClassicGroup(
  group: ClassicGroup,
  command: LeaveGroupCommand,
  now: Instant,
  out: Output,
): LeaveGroupResponse {
  let departed = false;
  const members = command.members.map((leaving) => {
    const { memberId, groupInstanceId } = leaving;
    if (group.members.pendingJoin.delete(memberId)) return { memberId, groupInstanceId, errorCode: ErrorCode.None };
    const error = leavingError(group, leaving);
    const member = memberId === '' ? group.members.byInstance(groupInstanceId ?? '') : group.members.get(memberId);
    if (error !== ErrorCode.None || member === undefined) return { memberId, groupInstanceId, errorCode: error };
    group.remove(member, out);
    departed = true;
    return { memberId, groupInstanceId, errorCode: ErrorCode.None };
  });
  if (departed) group.afterDeparture(now, out);
  else group.afterLapse(now, out);
  return { errorCode: ErrorCode.None, members };
}

/** Admin tools remove static members by instance id alone. */
function leavingError(group: ClassicGroup, { memberId, groupInstanceId }: LeavingMember): ErrorCode {
  if (memberId !== '') return memberError(group, memberId, groupInstanceId);
  const present = groupInstanceId === null ? undefined : group.members.byInstance(groupInstanceId);
  return present === undefined ? ErrorCode.UnknownMemberId : ErrorCode.None;
}

/**
 * Whether the offsets may be committed. A generation of -1 comes from simple consumers and admin tools: they may while
 * nobody is in the group. A member may in the generation that it was told; then the commit is a sign of life.
 */
export function offsetCommitError(group: ClassicGroup, command: OffsetCommitCommand, now: Instant): ErrorCode {
  const error = commitError(group, command, ErrorCode.UnknownMemberId);
  if (error !== ErrorCode.None) return error;
  // Its members know the generation from their JoinGroup, but not yet what is assigned to them.
  if (group.state === GroupState.CompletingRebalance) return ErrorCode.RebalanceInProgress;
  const member = group.members.get(command.memberId);
  if (member !== undefined) group.keepAlive(member, now);
  return ErrorCode.None;
}

/** Within a transaction (KIP-447): a producer that names no member is never fenced, and no rebalance hinders it. */
export function txnOffsetCommitError(group: ClassicGroup, command: OffsetCommitCommand): ErrorCode {
  return commitError(group, command, ErrorCode.None);
}

/** `strangers`: what they are told, while the group is not empty, who name neither member nor generation. */
function commitError(group: ClassicGroup, command: OffsetCommitCommand, strangers: ErrorCode): ErrorCode {
  const { generationIdOrMemberEpoch: generationId, memberId, groupInstanceId } = command;
  if (generationId < 0 && group.state === GroupState.Empty) return ErrorCode.None;
  if (generationId < 0 && memberId === '' && groupInstanceId === null) return strangers;
  const error = memberError(group, memberId, groupInstanceId);
  if (error !== ErrorCode.None) return error;
  return generationId === group.generationId ? ErrorCode.None : ErrorCode.IllegalGeneration;
}
