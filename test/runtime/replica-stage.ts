import { leaderEpoch, nodeId, type Uuid, ZERO_UUID } from '#model/ids';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import type { PartitionView } from '#replication/leader-state';
import { Partition, type PartitionEvents, type PartitionHome } from '#runtime/partition';
import type { PartitionLog } from '#storage/partition-log';

export const ME = nodeId(1);

/** A node's partitions, at a time that stands still. */
export function homeOf(events: Partial<PartitionEvents> = {}, now: () => number = () => 0): PartitionHome {
  const nothing = () => {};
  return {
    self: ME,
    planted: NO_PLANTED_BUGS,
    events: { ready: nothing, failing: nothing, isrDue: nothing, synced: nothing, lost: nothing, ...events },
    now,
    restart: () => Promise.resolve(undefined),
  };
}

/** A state in which this node leads; alone, unless the test says otherwise. */
export function viewOf(epoch: number, given: Partial<PartitionView> = {}): PartitionView {
  return { leaderEpoch: leaderEpoch(epoch), partitionEpoch: 0, replicas: [ME], isr: [ME], ...given };
}

/** A partition that this node leads alone. */
export function ledPartition(
  log: PartitionLog,
  epoch = 0,
  topicId: Uuid = ZERO_UUID,
  events: Partial<PartitionEvents> = {},
): Partition {
  const partition = new Partition(homeOf(events), log.topic, topicId, log.partition, log);
  partition.lead(viewOf(epoch), 1);
  return partition;
}
