/** One step of a member from what it has towards its target (KIP-848, "Reconciliation"; Kafka's CurrentAssignmentBuilder). */
import { unreachable } from '#base/assert';
import type { Uuid } from '#model/ids';
import { type ConsumerMember, MemberState } from './consumer-member.ts';
import {
  type Assignment,
  contains,
  type DatedAssignment,
  NO_PARTITIONS,
  overlaps,
  samePartitions,
  type TopicPartitions,
} from './partition-sets.ts';

export interface ReconciliationStep {
  readonly target: Assignment;
  /** Of the target. */
  readonly targetEpoch: number;
  /** What the member says it has; null if it does not say. */
  readonly owned: readonly TopicPartitions[] | null;
  /** The member subscribes to something else than before. */
  readonly resubscribed: boolean;
  isSubscribed(topicId: Uuid): boolean;
  /** Who has a partition or has still to give it up. */
  owner(topicId: Uuid, partition: number): string | undefined;
}

/**
 * The member after the step, or the same one. The order is what keeps a partition from having two owners: a member
 * first gives up what is not its own any more, and stays in its epoch until it has said so; only then does it come to
 * the target's epoch, and gets what nobody else has.
 */
export function reconcile(member: ConsumerMember, step: ReconciliationStep): ConsumerMember {
  switch (member.state) {
    case MemberState.Stable:
      if (member.memberEpoch !== step.targetEpoch) return towardsTarget(member, step);
      return step.resubscribed ? withoutUnsubscribed(member, step) : member;
    case MemberState.UnrevokedPartitions:
      if (!stillOwns(step, member.revoking)) return towardsTarget(member, step);
      return step.resubscribed ? withoutUnsubscribed(member, step) : member;
    case MemberState.UnreleasedPartitions:
    case MemberState.Unknown:
      return towardsTarget(member, step);
    default:
      return unreachable(member.state);
  }
}

/** A member that does not say what it has may have all of it. */
function stillOwns({ owned }: ReconciliationStep, partitions: DatedAssignment): boolean {
  return owned === null ? partitions.size > 0 : overlaps(owned, partitions);
}

function towardsTarget(member: ConsumerMember, step: ReconciliationStep): ConsumerMember {
  const kept = new Map<Uuid, Map<number, number>>();
  const dropped = new Map<Uuid, Map<number, number>>();
  for (const [topicId, partitions] of member.assigned) {
    const wanted = step.isSubscribed(topicId) ? step.target.get(topicId) : undefined;
    for (const [partition, epoch] of partitions) {
      put(wanted?.has(partition) === true ? kept : dropped, topicId, partition, epoch);
    }
  }
  if (dropped.size > 0 && stillOwns(step, dropped)) {
    return changed(member, {
      state: MemberState.UnrevokedPartitions,
      memberEpoch: member.memberEpoch,
      assigned: kept,
      revoking: dropped,
    });
  }
  let unreleased = false;
  for (const [topicId, partitions] of step.target) {
    if (!step.isSubscribed(topicId)) continue;
    for (const partition of partitions) {
      if (contains(kept, topicId, partition)) continue;
      const owner = step.owner(topicId, partition);
      if (owner === undefined || owner === member.memberId) put(kept, topicId, partition, step.targetEpoch);
      else unreleased = true;
    }
  }
  return changed(member, {
    state: unreleased ? MemberState.UnreleasedPartitions : MemberState.Stable,
    memberEpoch: step.targetEpoch,
    assigned: kept,
    revoking: NO_PARTITIONS,
  });
}

/** What it has unsubscribed from goes at once, before there is a new target. */
function withoutUnsubscribed(member: ConsumerMember, step: ReconciliationStep): ConsumerMember {
  const kept = new Map<Uuid, ReadonlyMap<number, number>>();
  const revoking = new Map<Uuid, Map<number, number>>();
  for (const [topicId, partitions] of member.revoking) revoking.set(topicId, new Map(partitions));
  for (const [topicId, partitions] of member.assigned) {
    if (step.isSubscribed(topicId)) kept.set(topicId, partitions);
    else for (const [partition, epoch] of partitions) put(revoking, topicId, partition, epoch);
  }
  if (kept.size === member.assigned.size) return member;
  const waits = stillOwns(step, revoking);
  return changed(member, {
    state: waits ? MemberState.UnrevokedPartitions : member.state,
    memberEpoch: member.memberEpoch,
    assigned: kept,
    revoking: waits ? revoking : member.revoking,
  });
}

type Progress = Pick<ConsumerMember, 'state' | 'memberEpoch' | 'assigned' | 'revoking'>;

function changed(member: ConsumerMember, next: Progress): ConsumerMember {
  const same =
    member.state === next.state &&
    member.memberEpoch === next.memberEpoch &&
    samePartitions(member.assigned, next.assigned) &&
    samePartitions(member.revoking, next.revoking);
  return same ? member : { ...member, ...next, previousMemberEpoch: member.memberEpoch };
}

function put(into: Map<Uuid, Map<number, number>>, topicId: Uuid, partition: number, epoch: number): void {
  const partitions = into.get(topicId);
  if (partitions === undefined) into.set(topicId, new Map([[partition, epoch]]));
  else partitions.set(partition, epoch);
}
