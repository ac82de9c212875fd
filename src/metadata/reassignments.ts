/** AlterPartitionReassignments (KIP-455): replicas move while the partition goes on; `changePartition` ends what has caught up. */
import { ErrorCode } from '#model/errors';
import { type NodeId, partitionName } from '#model/ids';
import { checkAssignment } from './assignments.ts';
import {
  type ControllerState,
  type Decision,
  type Fault,
  fault,
  isFault,
  OK,
  type Outcome,
  RECORDS_PER_REQUEST_MAX,
} from './decision.ts';
import type { Topic } from './image.ts';
import { applyChange, changePartition } from './partition-change.ts';
import type { Partition, PartitionChangeRecord } from './records.ts';
import { DecisionRules } from './topic-rules.ts';

export interface ReassignedPartition {
  readonly topic: string;
  readonly partition: number;
  /** The preferred leader first; null: back to what was before. */
  readonly replicas: readonly number[] | null;
}

export interface AlterReassignmentsCommand {
  readonly allowReplicationFactorChange: boolean;
  readonly partitions: readonly ReassignedPartition[];
}

export interface AlteredReassignment extends Outcome {
  readonly topic: string;
  readonly partition: number;
}

/** One result for each partition, in their order. A target is repeatable; a cancellation is so until a new target is set. */
export function alterPartitionReassignments(
  state: ControllerState,
  command: AlterReassignmentsCommand,
): Decision<readonly AlteredReassignment[]> {
  const rules = new DecisionRules(state);
  const records: PartitionChangeRecord[] = [];
  const seen = new Set<string>();
  const response = command.partitions.map(({ topic, partition, replicas }): AlteredReassignment => {
    const name = partitionName(topic, partition);
    const made = seen.has(name)
      ? fault(ErrorCode.InvalidRequest, 'The partition is in the request twice.')
      : records.length === RECORDS_PER_REQUEST_MAX
        ? fault(ErrorCode.PolicyViolation, 'Excessively large number of partitions per request.')
        : reassign(state, rules, { topic, partition, replicas }, command.allowReplicationFactorChange);
    seen.add(name);
    if (isFault(made)) return { topic, partition, ...made };
    records.push(...made.records);
    return { topic, partition, ...OK };
  });
  return { records, response };
}

export function isReassigning({ adding, removing }: Partition): boolean {
  return adding.length > 0 || removing.length > 0;
}

interface Made {
  readonly records: readonly PartitionChangeRecord[];
}

function reassign(
  { image }: ControllerState,
  rules: DecisionRules,
  { topic: name, partition, replicas }: ReassignedPartition,
  allowReplicationFactorChange: boolean,
): Made | Fault {
  const topic = image.topic(name);
  if (topic === undefined) return fault(ErrorCode.UnknownTopicOrPartition, `Unable to find a topic named ${name}.`);
  const state = topic.partitions[partition];
  if (state === undefined) {
    return fault(ErrorCode.UnknownTopicOrPartition, `Unable to find partition ${name}:${partition}.`);
  }
  if (replicas === null) {
    if (isReassigning(state)) return cancel(topic, state, rules);
    return fault(ErrorCode.NoReassignmentInProgress, 'No partition reassignment is in progress.');
  }
  const target = checkAssignment(image, replicas, undefined);
  if (isFault(target)) return target;
  const before = originalReplicas(state);
  if (!allowReplicationFactorChange && target.length !== before.length) {
    const message = `The replication factor is changed from ${before.length} to ${target.length}`;
    return fault(ErrorCode.InvalidReplicationFactor, message);
  }
  // What an earlier reassignment was adding, and this one is not, never becomes a replica.
  const removing = before.filter((id) => !target.includes(id));
  const isr = state.isr.filter((id) => target.includes(id) || removing.includes(id));
  if (isr.length === 0 && state.isr.length > 0) {
    return fault(ErrorCode.InvalidReplicaAssignment, 'No replica that would be left is in sync.');
  }
  const adding = target.filter((id) => !before.includes(id));
  const change = changePartition(
    topic.id,
    state,
    { isr, replicas: [...target, ...removing], removing, adding },
    rules.ofPartition(name),
  );
  // Where nobody is in sync, what was acknowledged may be with an eligible newcomer alone.
  if (!hasMembers(state, change)) {
    return fault(ErrorCode.InvalidReplicaAssignment, 'No replica that would be left has what was acknowledged.');
  }
  return { records: change === undefined ? [] : [change] };
}

/** Back to the replicas that are no newcomers; uncleanly, if the topic allows it, when only newcomers are in sync. */
function cancel({ id, name }: Topic, state: Partition, rules: DecisionRules): Made | Fault {
  const replicas = originalReplicas(state);
  const isr = state.isr.filter((member) => replicas.includes(member));
  const change = changePartition(id, state, { isr, replicas, removing: [], adding: [] }, rules.ofPartition(name));
  if (hasMembers(state, change)) return { records: change === undefined ? [] : [change] };
  const message = `Unable to revert partition assignment for ${name}:${state.partition} because it would require an unclean leader election.`;
  return fault(ErrorCode.InvalidReplicaAssignment, message);
}

/** Whether somebody has all that was acknowledged, in sync or eligible, once the change is made. */
function hasMembers(state: Partition, change: PartitionChangeRecord | undefined): boolean {
  const { isr, elr } = change === undefined ? state : applyChange(state, change);
  return isr.length > 0 || elr.length > 0;
}

function originalReplicas({ replicas, adding }: Partition): readonly NodeId[] {
  return replicas.filter((id) => !adding.includes(id));
}
