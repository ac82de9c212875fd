/** Replicas whose logs were found damaged: their brokers fetch them anew from who is in sync. */
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import { type BrokerCommand, currentBroker } from './broker-states.ts';
import { type ControllerState, type Decision, type Fault, fault, isFault, OK, type Outcome } from './decision.ts';
import { applyChange, changePartition } from './partition-change.ts';
import type { PartitionChangeRecord, RegisteredBroker } from './records.ts';
import { DecisionRules } from './topic-rules.ts';

export interface LostReplica {
  readonly topicId: Uuid;
  readonly partition: number;
}

export interface LoseReplicasCommand extends BrokerCommand {
  readonly replicas: readonly LostReplica[];
}

export interface LostOutcome extends Outcome, LostReplica {}

export interface LostReplicas extends Outcome {
  /** In the order of the request; empty with an error. NONE: nothing is asked of that replica any more, it can begin anew. */
  readonly replicas: readonly LostOutcome[];
}

/**
 * The broker's replicas do not have what they acknowledged: they are neither in sync nor eligible, nor do they lead. The last one that had
 * everything stays what it is (ELIGIBLE_LEADERS_NOT_AVAILABLE): what its log still holds is all that there is. Repeatable.
 */
export function loseReplicas(state: ControllerState, command: LoseReplicasCommand): Decision<LostReplicas> {
  const broker = currentBroker(state, command);
  if (isFault(broker)) return { records: [], response: { ...broker, replicas: [] } };
  const rules = new DecisionRules(state);
  const records: PartitionChangeRecord[] = [];
  const seen = new Set<string>();
  const replicas = command.replicas.map((replica): LostOutcome => {
    const name = `${replica.topicId}-${replica.partition}`;
    const made = seen.has(name)
      ? fault(ErrorCode.InvalidRequest, 'The partition is in the request twice.')
      : lose(state, broker, replica, rules);
    seen.add(name);
    if (isFault(made)) return { ...replica, ...made };
    if (made.change !== undefined) records.push(made.change);
    return { ...replica, ...OK };
  });
  return { records, response: { ...OK, replicas } };
}

function lose(
  { image }: ControllerState,
  { id }: RegisteredBroker,
  { topicId, partition }: LostReplica,
  rules: DecisionRules,
): { readonly change: PartitionChangeRecord | undefined } | Fault {
  const topic = image.topicById(topicId);
  if (topic === undefined) return fault(ErrorCode.UnknownTopicId, `No topic has the id ${topicId}.`);
  const state = topic.partitions[partition];
  const name = `${topic.name}-${partition}`;
  if (state === undefined) return fault(ErrorCode.UnknownTopicOrPartition, `No such partition as ${name}.`);
  if (!state.replicas.includes(id))
    return fault(ErrorCode.NotLeaderOrFollower, `Broker ${id} has no replica of ${name}.`);
  if (!state.isr.includes(id) && !state.elr.includes(id)) return { change: undefined };
  const wanted = { isr: state.isr.filter((member) => member !== id), lost: id };
  const change = changePartition(topicId, state, wanted, rules.ofPartition(topic.name));
  const { isr, elr } = change === undefined ? state : applyChange(state, change);
  if (!isr.includes(id) && !elr.includes(id)) return { change };
  return fault(ErrorCode.EligibleLeadersNotAvailable, `Nobody but broker ${id} has all of ${name}.`);
}
