/** Members of a consumer group leave, on their own or because their time is over. */
import { type Fault, isFault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import type { ConsumerDecision } from './consumer-decision.ts';
import { staticMember, unknownMember } from './consumer-heartbeat.ts';
import { type ConsumerMember, STATIC_LEAVE_EPOCH } from './consumer-member.ts';
import { groupEpochRecord, memberTombstones, progressRecord } from './consumer-records.ts';
import { becomeClassic, isClassicWithout } from './conversion.ts';
import type {
  ConsumerHeartbeatCommand,
  ConsumerHeartbeatResponse,
  LeaveGroupCommand,
  LeaveGroupResponse,
  LeavingMember,
} from './group-commands.ts';
import { NO_PARTITIONS } from './partition-sets.ts';
import { withoutMembers } from './regex-subscriptions.ts';

/** A heartbeat with -1; or with -2, by which a static member keeps what it has until its session ends. */
export function leaveConsumerGroup(
  decision: ConsumerDecision,
  { memberId, memberEpoch, instanceId }: ConsumerHeartbeatCommand,
): ConsumerHeartbeatResponse | Fault {
  const { group, out } = decision;
  const member =
    instanceId === null
      ? (group.member(memberId) ?? unknownMember(memberId, group))
      : staticMember(group, instanceId, memberId);
  if (isFault(member)) return member;
  if (instanceId !== null && memberEpoch === STATIC_LEAVE_EPOCH) {
    out.records.push(
      progressRecord(group.groupId, { ...member, memberEpoch: STATIC_LEAVE_EPOCH, revoking: NO_PARTITIONS }),
    );
  } else removeMembers(decision, [member]);
  return {
    errorCode: ErrorCode.None,
    errorMessage: null,
    memberId: member.memberId,
    memberEpoch,
    heartbeatIntervalMs: 0,
    assignment: null,
  };
}

/** LeaveGroup, of members that speak the classic protocol or of an administrator; one change of the epoch for all. */
export function leaveByClassicProtocol(decision: ConsumerDecision, command: LeaveGroupCommand): LeaveGroupResponse {
  const leaving = new Map<string, ConsumerMember>();
  const members = command.members.map((asked) => {
    const { memberId, groupInstanceId } = asked;
    const member = leavingMember(decision, asked);
    if (isFault(member)) return { memberId, groupInstanceId, errorCode: member.errorCode };
    leaving.set(member.memberId, member);
    return { memberId, groupInstanceId, errorCode: ErrorCode.None };
  });
  if (leaving.size > 0) removeMembers(decision, [...leaving.values()]);
  return { errorCode: ErrorCode.None, members };
}

function leavingMember({ group }: ConsumerDecision, { memberId, groupInstanceId }: LeavingMember) {
  if (groupInstanceId === null) return group.member(memberId) ?? unknownMember(memberId, group);
  // Administrators know the instance alone.
  const present = memberId === '' ? group.byInstance(groupInstanceId) : undefined;
  return present ?? staticMember(group, groupInstanceId, memberId);
}

/** The group goes on without them; as a classic group if only members of that protocol are left. */
export function removeMembers(decision: ConsumerDecision, members: readonly ConsumerMember[]): void {
  const { group, out } = decision;
  const leaving = new Set(members.map(({ memberId }) => memberId));
  if (isClassicWithout(decision, leaving)) {
    becomeClassic(decision, leaving);
    return;
  }
  for (const memberId of leaving) out.records.push(...memberTombstones(group.groupId, memberId));
  const hash = withoutMembers(decision, leaving);
  out.records.push(groupEpochRecord(group.groupId, group.groupEpoch + 1, hash));
}
