/** Who leads when a broker goes or comes: the partition changes of one atomic batch. */
import type { NodeId, Uuid } from '#model/ids';
import { DIRECTORY_MIGRATING, DIRECTORY_UNASSIGNED } from '#model/uuids';
import type { MetadataImage } from './image.ts';
import type { Broker, Partition, PartitionChangeRecord } from './records.ts';

/**
 * The broker leaves every leadership and every ISR of which it is not the last member. A partition that it led gets a new leader epoch
 * in any case, also at replication factor 1, so that its next incarnation never leads an epoch of this one.
 */
export function changesOnFence(image: MetadataImage, id: NodeId): readonly PartitionChangeRecord[] {
  return changes(image, (state) => {
    if (!state.isr.includes(id)) return undefined;
    const others = state.isr.filter((member) => member !== id);
    const isr = others.length === 0 ? null : others;
    if (state.leader !== id) return isr === null ? undefined : { isr, leader: null };
    return { isr, leader: electable(image, state, others) ?? 'none' };
  });
}

/** `broker`, from now on unfenced, leads what has no leader and where it is in sync. */
export function changesOnUnfence(image: MetadataImage, broker: Broker): readonly PartitionChangeRecord[] {
  return changes(image, (state) => {
    if (state.leader !== null || !state.isr.includes(broker.id) || !hasReplica(broker, state)) return undefined;
    return { isr: null, leader: broker.id };
  });
}

/** The first of `members`, in the order of preference, that can lead. */
function electable(image: MetadataImage, state: Partition, members: readonly NodeId[]): NodeId | undefined {
  return state.replicas.find((id) => {
    const broker = image.brokers.get(id);
    return members.includes(id) && broker !== undefined && !broker.fenced && hasReplica(broker, state);
  });
}

/** A broker that came back without the directory of its replica has nothing to lead with. */
function hasReplica(broker: Broker, state: Partition): boolean {
  const directory: Uuid | undefined = state.directories[state.replicas.indexOf(broker.id)];
  if (directory === undefined) return false;
  if (directory === DIRECTORY_UNASSIGNED || directory === DIRECTORY_MIGRATING) return true;
  return broker.directories.includes(directory);
}

type Change = Pick<PartitionChangeRecord, 'leader' | 'isr'>;

function changes(image: MetadataImage, decide: (state: Partition) => Change | undefined): PartitionChangeRecord[] {
  const records: PartitionChangeRecord[] = [];
  for (const topic of image.topics()) {
    for (const state of topic.partitions) {
      const change = decide(state);
      if (change !== undefined) records.push(partitionChange(topic.id, state.partition, change));
    }
  }
  return records;
}

function partitionChange(topicId: Uuid, partition: number, change: Change): PartitionChangeRecord {
  return {
    kind: 'partitionChange',
    topicId,
    partition,
    leader: change.leader,
    isr: change.isr,
    elr: null,
    replicas: null,
    removing: null,
    adding: null,
    directories: null,
  };
}
