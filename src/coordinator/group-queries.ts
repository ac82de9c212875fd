/** How groups look from outside: ListGroups, DescribeGroups. */

import { ErrorCode } from '#model/errors';
import { NO_BYTES } from './bytes.ts';
import type { ClassicGroup } from './classic-group.ts';
import type { ConsumerGroup } from './consumer-group.ts';

import { type DescribedGroup, GroupState, type ListedGroup, type ListGroupsCommand } from './group-commands.ts';
import { protocolMetadata } from './group-members.ts';

export function listGroups(groups: Iterable<ClassicGroup | ConsumerGroup>, command: ListGroupsCommand): ListedGroup[] {
  const states = new Set(command.statesFilter.map((state) => state.toLowerCase()));
  const types = new Set(command.typesFilter.map((type) => type.toLowerCase()));
  const listed: ListedGroup[] = [];
  for (const group of groups) {
    if (states.size > 0 && !states.has(group.state.toLowerCase())) continue;
    if (types.size > 0 && !types.has(group.kind.toLowerCase())) continue;
    listed.push({
      groupId: group.groupId,
      protocolType: group.protocolType ?? '',
      groupState: group.state,
      groupType: group.kind,
    });
  }
  return listed;
}

/**
 * The protocol, and what the members said and got, are shown of stable groups only: in a rebalance they are in flux.
 */
export function describeClassicGroup(group: ClassicGroup): DescribedGroup {
  const protocolName = group.state === GroupState.Stable ? group.protocolName : null;
  return {
    errorCode: ErrorCode.None,
    errorMessage: null,
    groupId: group.groupId,
    groupState: group.state,
    protocolType: group.protocolType ?? '',
    protocolData: protocolName ?? '',
    members: [...group.members.all()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: protocolName === null ? NO_BYTES : protocolMetadata(member, protocolName),
      memberAssignment: protocolName === null ? NO_BYTES : member.assignment,
    })),
  };
}

/** A group of another kind is as unknown. */
export function describeUnknownGroup(groupId: string, isOther: boolean): DescribedGroup {
  return {
    errorCode: ErrorCode.GroupIdNotFound,
    errorMessage: isOther ? `Group ${groupId} is not a classic group.` : `Group ${groupId} not found.`,
    groupId,
    groupState: GroupState.Dead,
    protocolType: '',
    protocolData: '',
    members: [],
  };
}
