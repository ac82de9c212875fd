/** The target of a consumer group: what each member shall have, in the group's present epoch. */
import { assert } from '#base/assert';
import type { Uuid } from '#model/ids';
import { type AssignableMember, assignorOf } from './assignors.ts';
import { type ConsumerDecision, type MemberChange, membersAfter, topicIdsOfMember } from './consumer-decision.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import type { ConsumerMember } from './consumer-member.ts';
import { assignmentEpochRecord, targetRecord } from './consumer-records.ts';
import { type Assignment, NO_PARTITIONS, samePartitions } from './partition-sets.ts';
import { assignableTopics } from './topics-view.ts';

export interface Target {
  readonly epoch: number;
  /** Of the member that changes. */
  readonly assignment: Assignment;
}

/**
 * The target after the change. It is computed anew when the group is ahead of it, but not sooner after the last than
 * the group's assignment interval: members that come one after another then cost one rebalance, not one each.
 */
export function targetAfter(decision: ConsumerDecision, change: MemberChange, groupEpoch: number): Target {
  const { group } = decision;
  const { memberId } = change.after;
  if (groupEpoch > group.assignmentEpoch && mayAssign(decision)) {
    return { epoch: groupEpoch, assignment: assign(decision, change, groupEpoch).get(memberId) ?? NO_PARTITIONS };
  }
  return { epoch: group.assignmentEpoch, assignment: group.target(change.replaced ?? memberId) };
}

/** What it takes to know whether a target may be computed. */
export type AssignmentTiming = Pick<ConsumerDecision, 'group' | 'groupConfig' | 'now'>;

export function mayAssign({ group, groupConfig, now }: AssignmentTiming): boolean {
  const sinceMs = now.wall - group.assignedAt;
  // A clock that was set back must not keep members waiting.
  return group.assignedAt === 0 || sinceMs < 0 || sinceMs >= groupConfig.assignmentIntervalMs;
}

function assign(decision: ConsumerDecision, change: MemberChange, groupEpoch: number): Map<string, Assignment> {
  const { group, topics, config, now, out } = decision;
  const members = [...membersAfter(group, change)].sort(byIdentity);
  const assignor = assignorOf(preferredAssignor(members) ?? config.consumerAssignors[0] ?? '');
  assert(assignor !== undefined, 'assignors are validated with the config and with the request');
  const assigned = assignor(assignableMembers(members, change, decision), assignableTopics(topics));
  for (const { memberId } of members) {
    const before = group.target(memberId === change.after.memberId ? (change.replaced ?? memberId) : memberId);
    const after = assigned.get(memberId) ?? NO_PARTITIONS;
    if (!samePartitions(before, after)) out.records.push(targetRecord(group.groupId, memberId, after));
  }
  out.records.push(assignmentEpochRecord(group.groupId, groupEpoch, now.wall));
  return assigned;
}

/** Static members first and by their instances, so that they keep their places when their processes change. */
function byIdentity(a: ConsumerMember, b: ConsumerMember): number {
  if ((a.instanceId === null) !== (b.instanceId === null)) return a.instanceId === null ? 1 : -1;
  const [left, right] = [a.instanceId ?? a.memberId, b.instanceId ?? b.memberId];
  return left < right ? -1 : left > right ? 1 : 0;
}

function assignableMembers(
  members: readonly ConsumerMember[],
  change: MemberChange,
  { group, topics }: ConsumerDecision,
): readonly AssignableMember[] {
  // Members mostly subscribe to the same.
  const bySubscription = new Map<string, ReadonlySet<Uuid>>();
  return members.map((member) => {
    const subscription = JSON.stringify([member.topicNames, member.topicRegex]);
    const topicIds = bySubscription.get(subscription) ?? topicIdsOfMember(member, group, topics);
    bySubscription.set(subscription, topicIds);
    const { memberId, rackId } = member;
    const before = group.target(memberId === change.after.memberId ? (change.replaced ?? memberId) : memberId);
    return { memberId, rackId, topicIds, before };
  });
}

/** What most members ask for. */
export function preferredAssignor(members: Iterable<ConsumerMember>): string | undefined {
  const votes = new Map<string, number>();
  for (const { serverAssignor } of members) {
    if (serverAssignor !== null) votes.set(serverAssignor, (votes.get(serverAssignor) ?? 0) + 1);
  }
  let preferred: string | undefined;
  let most = 0;
  for (const [name, count] of votes) {
    if (count <= most) continue;
    preferred = name;
    most = count;
  }
  return preferred;
}

export function assignorNameOf(group: ConsumerGroup, defaultName: string): string {
  return preferredAssignor(group.members()) ?? defaultName;
}
