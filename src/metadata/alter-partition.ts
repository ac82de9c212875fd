/** AlterPartition (KIP-497, KIP-903): a leader says who is in sync with it. */
import { ErrorCode } from '#model/errors';
import type { NodeId, Uuid } from '#model/ids';
import { type BrokerCommand, currentBroker } from './broker-states.ts';
import { type ControllerState, type Decision, type Fault, fault, isFault, OK, type Outcome } from './decision.ts';
import type { Topic } from './image.ts';
import { applyChange, changePartition } from './partition-change.ts';
import type { Partition, PartitionChangeRecord } from './records.ts';
import { DecisionRules } from './topic-rules.ts';

export interface IsrMember {
  readonly id: number;
  /** The process that the leader took for in sync; -1: not known to it. */
  readonly brokerEpoch: number;
}

export interface AlteredIsr {
  readonly topicId: Uuid;
  readonly partition: number;
  /** The state that the leader goes by. */
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly isr: readonly IsrMember[];
}

/** `id` and `brokerEpoch` are the leader's. */
export interface AlterPartitionCommand extends BrokerCommand {
  readonly partitions: readonly AlteredIsr[];
}

export interface AlteredPartition extends Outcome {
  readonly topicId: Uuid;
  readonly partition: number;
  /** From now on; null with an error. */
  readonly state: Partition | null;
}

export interface AlteredPartitions extends Outcome {
  /** Empty with an error. */
  readonly partitions: readonly AlteredPartition[];
}

/**
 * One result for each partition, in their order; a partition comes once. An ISR that is already what is asked for is answered as altered,
 * with the present state: repeatable. A change by which another one leads (the end of a reassignment) is made, and answered with
 * NEW_LEADER_ELECTED.
 */
export function alterPartition(state: ControllerState, command: AlterPartitionCommand): Decision<AlteredPartitions> {
  const broker = currentBroker(state, command);
  if (isFault(broker)) return { records: [], response: { ...broker, partitions: [] } };
  const rules = new DecisionRules(state);
  const records: PartitionChangeRecord[] = [];
  const seen = new Set<string>();
  const partitions = command.partitions.map((altered): AlteredPartition => {
    const { topicId, partition } = altered;
    const topic = state.image.topicById(topicId);
    const name = `${topicId}-${partition}`;
    const made = seen.has(name)
      ? fault(ErrorCode.InvalidRequest, 'The partition is in the request twice.')
      : alterIsr(state, rules, topic, broker.id, altered);
    seen.add(name);
    if (isFault(made)) return { topicId, partition, ...made, state: null };
    if (made.change !== undefined) records.push(made.change);
    if (made.after.leader === broker.id) return { topicId, partition, ...OK, state: made.after };
    return { topicId, partition, ...fault(ErrorCode.NewLeaderElected, 'Another replica leads now.'), state: null };
  });
  return { records, response: { ...OK, partitions } };
}

interface MadeChange {
  readonly change: PartitionChangeRecord | undefined;
  readonly after: Partition;
}

function alterIsr(
  { image, planted }: ControllerState,
  rules: DecisionRules,
  topic: Topic | undefined,
  leader: NodeId,
  altered: AlteredIsr,
): MadeChange | Fault {
  if (topic === undefined) return fault(ErrorCode.UnknownTopicId, `No topic has the id ${altered.topicId}.`);
  const state = topic.partitions[altered.partition];
  if (state === undefined) {
    return fault(ErrorCode.UnknownTopicOrPartition, `No such partition as ${topic.name}-${altered.partition}.`);
  }
  const stale = refuseEpochs(state, leader, altered);
  if (stale !== undefined) return stale;
  const wanted = altered.isr.map(({ id }) => state.replicas.find((replica) => replica === id));
  const isr = wanted.filter((id) => id !== undefined);
  if (isr.length < wanted.length || new Set(isr).size < isr.length || !isr.includes(leader)) {
    return fault(ErrorCode.InvalidRequest, 'An ISR holds replicas of the partition, each once, and its leader.');
  }
  if (isr.length === state.isr.length && isr.every((id) => state.isr.includes(id))) {
    return { change: undefined, after: state };
  }
  if (altered.partitionEpoch < state.partitionEpoch) {
    const message = `Expected partition epoch ${state.partitionEpoch}, but found ${altered.partitionEpoch}`;
    return fault(ErrorCode.InvalidUpdateVersion, message);
  }
  for (const { id, brokerEpoch } of altered.isr) {
    const broker = image.brokers.get(id as NodeId);
    const isSameProcess =
      brokerEpoch === -1 ||
      broker?.brokerEpoch === brokerEpoch ||
      // PLANTED BUG alter-partition-of-old-process: whatever an earlier process had, the present one has.
      planted.has('alter-partition-of-old-process');
    // A member that drains, or a leader, stays for a while; it is no newcomer.
    const isEligible = state.isr.includes(id as NodeId) || rules.electorate.isActive(id as NodeId);
    // One that begins anew in another directory comes in when the metadata say which: until then it could not lead (KIP-858).
    const isHeld = rules.electorate.hasReplica(id as NodeId, state);
    if (!isEligible || !isSameProcess || !isHeld) {
      const why = !isSameProcess
        ? 'has another broker epoch'
        : isEligible
          ? 'has lost its directory'
          : 'is fenced or in controlled shutdown';
      return fault(ErrorCode.IneligibleReplica, `Broker ${id} cannot be in sync: it ${why}.`);
    }
  }
  const change = changePartition(topic.id, state, { isr }, rules.ofPartition(topic.name));
  return { change, after: change === undefined ? state : applyChange(state, change) };
}

function refuseEpochs(state: Partition, leader: NodeId, altered: AlteredIsr): Fault | undefined {
  // It has seen what this node has not: another controller is active.
  if (altered.leaderEpoch > state.leaderEpoch || altered.partitionEpoch > state.partitionEpoch) {
    return fault(ErrorCode.NotController, 'The partition has a later epoch than this controller knows of.');
  }
  if (altered.leaderEpoch < state.leaderEpoch) {
    const message = `Expected leader epoch ${state.leaderEpoch}, but found ${altered.leaderEpoch}`;
    return fault(ErrorCode.FencedLeaderEpoch, message);
  }
  if (state.leader === leader) return undefined;
  return fault(ErrorCode.InvalidRequest, `Broker ${leader} does not lead the partition.`);
}
