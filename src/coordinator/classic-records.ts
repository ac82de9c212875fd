/** Between a classic group and the metadata that the log keeps of it. */

import { assert } from '#base/assert';
import type { Timestamp } from '#base/ports';
import type { GroupMetadataValue, MemberMetadata } from '#protocol/generated/group-metadata-value';
import { copyOf } from './bytes.ts';
import type { ClassicGroup } from './classic-group.ts';
import type { CoordinatorRecord } from './effects.ts';
import { type Member, protocolMetadata } from './group-members.ts';
import { groupRecord } from './group-records.ts';

/** The group's generation with what `assignmentOf` gives each member. */
export function generationRecord(
  group: ClassicGroup,
  assignmentOf: (member: Member) => Uint8Array,
  at: Timestamp,
): CoordinatorRecord {
  const protocol = group.protocolName;
  assert(protocol !== null, 'a generation has a protocol');
  return groupRecord(group.groupId, {
    protocolType: group.protocolType ?? '',
    generation: group.generationId,
    protocol,
    leader: group.members.leaderId,
    currentStateTimestamp: at,
    members: [...group.members.all()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: protocolMetadata(member, protocol),
      assignment: assignmentOf(member),
    })),
  });
}

/** The generation after the group's present one, with nobody in it. */
export function emptyRecord(group: ClassicGroup, at: Timestamp): CoordinatorRecord {
  return groupRecord(group.groupId, {
    protocolType: group.protocolType ?? '',
    generation: group.generationId + 1,
    protocol: null,
    leader: null,
    currentStateTimestamp: at,
    members: [],
  });
}

/** A member as the log has it: it waits for nothing, and its session has not begun. */
export function restoredMember(value: MemberMetadata, group: GroupMetadataValue): Member {
  return {
    memberId: value.memberId,
    groupInstanceId: value.groupInstanceId,
    clientId: value.clientId,
    clientHost: value.clientHost,
    rebalanceTimeoutMs: value.rebalanceTimeout === -1 ? value.sessionTimeout : value.rebalanceTimeout,
    sessionTimeoutMs: value.sessionTimeout,
    protocols: [{ name: group.protocol ?? '', metadata: copyOf(value.subscription) }],
    assignment: copyOf(value.assignment),
    awaitingJoin: undefined,
    awaitingSync: undefined,
    isNew: false,
    sessionEndsAt: Number.POSITIVE_INFINITY,
  };
}
