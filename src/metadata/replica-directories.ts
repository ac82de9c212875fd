/** AssignReplicasToDirs (KIP-858): a broker with several log directories says where it keeps its replicas. */
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import { type BrokerCommand, currentBroker } from './broker-states.ts';
import { type ControllerState, type Decision, type Fault, fault, isFault, OK, type Outcome } from './decision.ts';
import type { Topic } from './image.ts';
import { changePartition, type Wanted } from './partition-change.ts';
import type { PartitionChangeRecord, RegisteredBroker } from './records.ts';
import { DecisionRules } from './topic-rules.ts';

export interface AssignedReplica {
  readonly directory: Uuid;
  readonly topicId: Uuid;
  readonly partition: number;
}

export interface AssignReplicasCommand extends BrokerCommand {
  readonly replicas: readonly AssignedReplica[];
}

export interface AssignedOutcome extends Outcome {
  readonly topicId: Uuid;
  readonly partition: number;
}

export interface AssignedReplicas extends Outcome {
  /** In the order of the request; empty with an error. */
  readonly replicas: readonly AssignedOutcome[];
}

/**
 * A replica that moves between directories that are online takes its data along. One whose directory is gone begins anew: it leaves the
 * ISR, and is refused where it is the last that had everything, since it would lead with nothing. One in a directory that is offline
 * leaves the ISR too. Repeatable.
 */
export function assignReplicas(state: ControllerState, command: AssignReplicasCommand): Decision<AssignedReplicas> {
  const broker = currentBroker(state, command);
  if (isFault(broker)) return { records: [], response: { ...broker, replicas: [] } };
  const rules = new DecisionRules(state);
  const records: PartitionChangeRecord[] = [];
  const seen = new Set<string>();
  const replicas = command.replicas.map((replica): AssignedOutcome => {
    const { topicId, partition } = replica;
    const name = `${topicId}-${partition}`;
    const made = seen.has(name)
      ? fault(ErrorCode.InvalidRequest, 'The partition is in the request twice.')
      : assign(state.image.topicById(topicId), broker, replica, rules);
    seen.add(name);
    if (isFault(made)) return { topicId, partition, ...made };
    records.push(...made.records);
    return { topicId, partition, ...OK };
  });
  return { records, response: { ...OK, replicas } };
}

function assign(
  topic: Topic | undefined,
  { id }: RegisteredBroker,
  { topicId, partition, directory }: AssignedReplica,
  rules: DecisionRules,
): { readonly records: readonly PartitionChangeRecord[] } | Fault {
  if (topic === undefined) return fault(ErrorCode.UnknownTopicId, `No topic has the id ${topicId}.`);
  const state = topic.partitions[partition];
  if (state === undefined) {
    return fault(ErrorCode.UnknownTopicOrPartition, `No such partition as ${topic.name}-${partition}.`);
  }
  const former = state.directories[state.replicas.indexOf(id)];
  if (former === undefined) {
    return fault(ErrorCode.NotLeaderOrFollower, `Broker ${id} has no replica of ${topic.name}-${partition}.`);
  }
  if (former === directory) return { records: [] };
  const { electorate } = rules;
  const directories = new Map([[id, directory]]);
  const isr = state.isr.filter((member) => member !== id);
  let wanted: Wanted = { directories };
  if (!electorate.holds(id, former)) {
    const others = [...isr, ...state.elr.filter((member) => member !== id)];
    if (others.length === 0) {
      return fault(ErrorCode.IneligibleReplica, `Only the directory ${former} has what was acknowledged.`);
    }
    wanted = { directories, isr, lost: id };
  } else if (!electorate.holds(id, directory)) wanted = { directories, isr };
  const change = changePartition(topic.id, state, wanted, rules.ofPartition(topic.name));
  return { records: change === undefined ? [] : [change] };
}
