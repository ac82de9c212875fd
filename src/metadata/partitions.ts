/** CreatePartitions: a topic can only grow, and those of the coordinators not at all. */
import { ErrorCode } from '#model/errors';
import type { NodeId } from '#model/ids';
import { isInternalTopic } from '#model/internal-topics';
import { checkAssignment, newPartition } from './assignments.ts';
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
import { placeReplicas } from './placement.ts';
import type { MetadataRecord } from './records.ts';

export interface GrownTopic {
  readonly name: string;
  /** The new number of partitions. */
  readonly partitionCount: number;
  /** The replicas of each new partition; null: placement is ours. */
  readonly assignments: readonly (readonly number[])[] | null;
}

export interface CreatePartitionsCommand {
  readonly topics: readonly GrownTopic[];
  readonly validateOnly: boolean;
}

export interface CreatedPartitions extends Outcome {
  readonly name: string;
}

/** One result per name, in the order of first mention. */
export function createPartitions(
  state: ControllerState,
  command: CreatePartitionsCommand,
): Decision<readonly CreatedPartitions[]> {
  const records: MetadataRecord[] = [];
  const response: CreatedPartitions[] = [];
  for (const [name, [topic, ...more]] of Map.groupBy(command.topics, (mention) => mention.name)) {
    if (topic === undefined) continue;
    const made =
      more.length > 0
        ? fault(ErrorCode.InvalidRequest, 'Duplicate topic name.')
        : grow(state, topic, RECORDS_PER_REQUEST_MAX - records.length);
    if (isFault(made)) response.push({ name, ...made });
    else {
      records.push(...made);
      response.push({ name, ...OK });
    }
  }
  return { records: command.validateOnly ? [] : records, response };
}

function grow(state: ControllerState, grown: GrownTopic, recordsMax: number): readonly MetadataRecord[] | Fault {
  const { image } = state;
  const topic = image.topic(grown.name);
  if (topic === undefined) {
    return fault(ErrorCode.UnknownTopicOrPartition, 'This server does not host this topic-partition.');
  }
  if (isInternalTopic(grown.name)) {
    // Kafka lets them grow, and every group and transaction is then looked for where it is not.
    const message = `The topic ${grown.name} is internal: what its keys are in depends on the number of its partitions.`;
    return fault(ErrorCode.InvalidTopicException, message);
  }
  const before = topic.partitions.length;
  const added = grown.partitionCount - before;
  if (added === 0) return fault(ErrorCode.InvalidPartitions, `Topic already has ${before} partition(s).`);
  if (added < 0) {
    const message = `The topic ${grown.name} currently has ${before} partition(s); ${grown.partitionCount} would not be an increase.`;
    return fault(ErrorCode.InvalidPartitions, message);
  }
  if (added > recordsMax) {
    return fault(ErrorCode.PolicyViolation, 'Excessively large number of partitions per request.');
  }
  const placed = replicasOf(state, grown, added, factorOf(topic));
  if (isFault(placed)) return placed;
  const records: MetadataRecord[] = [];
  for (const [index, replicas] of placed.entries()) {
    const made = newPartition(image, before + index, replicas);
    if (isFault(made)) return made;
    records.push({ kind: 'partition', topicId: topic.id, state: made });
  }
  return records;
}

/** Of its first partition, without the replicas that a reassignment is about to take away. */
function factorOf({ partitions: [first] }: Topic): number {
  return first?.replicas.filter((id) => !first.removing.includes(id)).length ?? 1;
}

function replicasOf(
  { image, random }: ControllerState,
  { assignments }: GrownTopic,
  added: number,
  factor: number,
): readonly (readonly NodeId[])[] | Fault {
  if (assignments === null) {
    const brokers = image.brokers.values();
    return placeReplicas({ brokers, partitionCount: added, replicationFactor: factor }, random);
  }
  if (assignments.length !== added) {
    const message = `Attempted to add ${added} additional partition(s), but only ${assignments.length} assignment(s) were specified.`;
    return fault(ErrorCode.InvalidReplicaAssignment, message);
  }
  const checked: (readonly NodeId[])[] = [];
  for (const assignment of assignments) {
    const replicas = checkAssignment(image, assignment, factor);
    if (isFault(replicas)) return replicas;
    checked.push(replicas);
  }
  return checked;
}
