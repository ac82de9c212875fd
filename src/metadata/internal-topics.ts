/** Topics that the cluster keeps for itself get more replicas when the cluster grows: nobody else would think of it. */
import type { NodeId } from '#model/ids';
import { OFFSETS_TOPIC, TRANSACTIONS_TOPIC } from '#model/internal-topics';
import { type ControllerState, clusterDefaults, type Decision, isFault, OK, type Outcome } from './decision.ts';
import type { MetadataImage } from './image.ts';
import { changePartition } from './partition-change.ts';
import { isReassigning } from './reassignments.ts';
import type { Partition, PartitionChangeRecord } from './records.ts';
import { DecisionRules } from './topic-rules.ts';

export interface GrowInternalTopicsCommand {
  /** At most so many partitions are on their way at a time, those left out that wait for a broker which does not live. */
  readonly movesMax: number;
}

export interface GrownInternalTopics extends Outcome {
  readonly changed: number;
  /** Partitions that are on their way, and will come to an end: all that they wait for live. */
  readonly moving: number;
}

/**
 * Partitions of internal topics with fewer replicas than the cluster's size asks for are reassigned to more brokers, which catch up behind;
 * whoever leads stays the preferred leader. Waits until as many brokers live. Repeatable.
 */
export function growInternalTopics(
  state: ControllerState,
  command: GrowInternalTopicsCommand,
): Decision<GrownInternalTopics> {
  const { image } = state;
  const records: PartitionChangeRecord[] = [];
  let moving = 0;
  const answer = (): Decision<GrownInternalTopics> => {
    return { records, response: { ...OK, changed: records.length, moving } };
  };
  const defaults = clusterDefaults(state);
  if (isFault(defaults)) return answer();
  const { offsetsTopicReplicationFactor, transactionStateLogReplicationFactor } = defaults.config;
  const topics = [
    { topic: image.topic(OFFSETS_TOPIC), wanted: offsetsTopicReplicationFactor },
    { topic: image.topic(TRANSACTIONS_TOPIC), wanted: transactionStateLogReplicationFactor },
  ];
  const rules = new DecisionRules(state);
  const living = [...image.brokers.keys()].filter((id) => rules.electorate.isActive(id)).sort((a, b) => a - b);
  const isOnItsWay = (partition: Partition): boolean =>
    isReassigning(partition) &&
    partition.replicas.every((id) => partition.removing.includes(id) || rules.electorate.isActive(id));
  for (const { topic } of topics) moving += topic?.partitions.filter(isOnItsWay).length ?? 0;
  for (const { topic, wanted } of topics) {
    if (topic === undefined || living.length < wanted) continue;
    for (const partition of topic.partitions) {
      if (moving >= command.movesMax) break;
      if (partition.replicas.length >= wanted || isReassigning(partition)) continue;
      const adding = chooseMore(image, living, partition, wanted);
      const replicas = [...partition.replicas, ...adding];
      const change = changePartition(
        topic.id,
        partition,
        { replicas, adding, removing: [] },
        rules.ofPartition(topic.name),
      );
      if (change === undefined) continue;
      records.push(change);
      moving += 1;
    }
  }
  return answer();
}

/** From racks that have none first; partitions begin at different brokers, so that the load is spread. */
function chooseMore(
  { brokers }: MetadataImage,
  living: readonly NodeId[],
  { partition, replicas }: Partition,
  wanted: number,
): NodeId[] {
  const rackOf = (id: NodeId): string => brokers.get(id)?.rack ?? `broker ${id}`;
  const start = partition % living.length;
  const left = [...living.slice(start), ...living.slice(0, start)].filter((id) => !replicas.includes(id));
  const racks = new Set(replicas.map(rackOf));
  const chosen: NodeId[] = [];
  while (replicas.length + chosen.length < wanted) {
    const next = left.find((id) => !racks.has(rackOf(id))) ?? left[0];
    if (next === undefined) break;
    left.splice(left.indexOf(next), 1);
    racks.add(rackOf(next));
    chosen.push(next);
  }
  return chosen;
}
