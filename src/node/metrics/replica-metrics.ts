import type { Labels, Metrics } from '#base/ports';
import type { NodeId } from '#model/ids';
import type { LeaderState } from '#replication/leader-state';
import type { IsrUpdates } from '#runtime/isr-updates';
import type { Partition } from '#runtime/partition';
import type { PartitionTable } from '#runtime/partition-table';
import type { PartitionLog } from '#storage/partition-log';
import { oneOf } from './one.ts';

export interface ReplicaMetricsParts {
  readonly self: NodeId;
  readonly partitions: PartitionTable;
  readonly isr: IsrUpdates;
  /** metrics.partition.limit: partitions beyond it have no series of their own. */
  readonly partitionLimit: number;
}

/** A partition that this node leads. */
interface Led {
  readonly partition: Partition;
  readonly leader: LeaderState;
  readonly log: PartitionLog;
}

/** The replicas of this node. What there is of each partition comes from its leader: once in the cluster. */
export function replicaMetrics(metrics: Metrics, parts: ReplicaMetricsParts): void {
  const { partitions, isr } = parts;
  const one = oneOf(metrics);
  const countOf = (names: readonly string[], help: string, counts: (partition: Partition) => boolean): void =>
    one(names, help, 'gauge', () => {
      let total = 0;
      for (const partition of partitions.partitions()) if (counts(partition)) total += 1;
      return total;
    });
  countOf(['odradek_replicas', ofManager('partitioncount')], 'Replicas here', () => true);
  countOf(['odradek_leaders', ofManager('leadercount')], 'Partitions that this node leads', ({ leads }) => leads);
  countOf(
    ['odradek_under_replicated_partitions', ofManager('underreplicatedpartitions')],
    'Partitions led here with fewer replicas in sync than replicas',
    ({ leadership }) => leadership?.isUnderReplicated === true,
  );
  countOf(
    ['odradek_under_min_isr_partitions', ofManager('underminisrpartitioncount')],
    'Partitions led here with fewer replicas in sync than min.insync.replicas',
    ({ leadership }) => leadership?.isUnderMinIsr === true,
  );
  countOf(
    ['odradek_at_min_isr_partitions', ofManager('atminisrpartitioncount')],
    'Partitions led here with as many replicas in sync as min.insync.replicas',
    (partition) => isAtMinIsr(partitions, partition),
  );
  countOf(
    ['odradek_offline_replicas', ofManager('offlinereplicacount')],
    'Replicas here whose log is not served: its directory has failed, or it is damaged',
    ({ log }) => log === undefined,
  );
  one(
    ['odradek_isr_shrinks_total', ofManager('isrshrinks_total')],
    'Times that this node took replicas out of the in-sync ones of a partition',
    'counter',
    () => isr.shrinkCount,
  );
  one(
    ['odradek_isr_expands_total', ofManager('isrexpands_total')],
    'Times that this node took replicas into the in-sync ones of a partition',
    'counter',
    () => isr.expandCount,
  );
  one(
    ['odradek_isr_updates_failed_total', ofManager('failedisrupdates_total')],
    'Changes of in-sync replicas that this node asked for and the controller refused',
    'counter',
    () => isr.failedCount,
  );
  one(
    ['odradek_producer_ids', ofManager('produceridcount')],
    'Idempotent producers that the replicas here remember, one for each partition that it writes',
    'gauge',
    () => {
      let total = 0;
      for (const { log } of partitions.partitions()) total += log?.producers.size ?? 0;
      return total;
    },
  );
  one(
    ['odradek_follower_lag_max_records', 'kafka_server_replicafetchermanager_maxlag'],
    'How far the follower here that is behind most is behind what its leader has committed',
    'gauge',
    () => {
      let most = 0;
      for (const { offsetLag } of partitions.partitions()) most = Math.max(most, offsetLag);
      return most;
    },
  );
  one(
    'odradek_metrics_dropped_partitions',
    'Partitions led here that have no series, by metrics.partition.limit',
    'gauge',
    () => {
      let total = 0;
      for (const { leads } of partitions.partitions()) if (leads) total += 1;
      return Math.max(0, total - parts.partitionLimit);
    },
  );
  perPartitionMetrics(metrics, parts);
}

function perPartitionMetrics(metrics: Metrics, { self, partitions, partitionLimit }: ReplicaMetricsParts): void {
  const each = (names: readonly string[], help: string, read: (led: Led) => number): void => {
    for (const name of names)
      metrics.series(name, `${help}; from its leader`, 'gauge', function* () {
        for (const led of ledHere(partitions, partitionLimit)) yield [labelsOf(led.partition), read(led)];
      });
  };
  each(['odradek_partition_log_bytes', 'kafka_log_log_size'], 'Size of the log of a partition', ({ log }) => {
    return log.sizeBytes;
  });
  each(
    ['odradek_partition_log_start_offset', 'kafka_topic_partition_oldest_offset'],
    'First offset of a partition',
    ({ log }) => log.logStartOffset,
  );
  each(
    ['odradek_partition_high_watermark', 'kafka_topic_partition_current_offset'],
    'High watermark of a partition',
    ({ partition }) => partition.highWatermark,
  );
  each(['odradek_partition_leader_epoch'], 'Leader epoch of a partition', ({ partition }) => partition.leaderEpoch);
  each(
    ['odradek_partition_replicas', 'kafka_topic_partition_replicas'],
    'Replicas of a partition',
    ({ leader }) => leader.view.replicas.length,
  );
  each(
    ['odradek_partition_in_sync_replicas', 'kafka_topic_partition_in_sync_replica'],
    'Replicas of a partition that are in sync',
    ({ leader }) => leader.view.isr.length,
  );
  each(
    ['kafka_topic_partition_under_replicated_partition'],
    'Whether fewer replicas are in sync than there are',
    ({ leader }) => Number(leader.isUnderReplicated),
  );
  each(['kafka_topic_partition_leader'], 'The leader of a partition', () => self);
  each(
    ['kafka_topic_partition_leader_is_preferred'],
    'Whether the first replica of a partition leads it',
    ({ leader }) => Number(leader.view.replicas[0] === self),
  );
  each(
    ['kafka_cluster_partition_underminisr'],
    'Whether fewer replicas are in sync than min.insync.replicas',
    ({ leader }) => Number(leader.isUnderMinIsr),
  );
  each(['kafka_cluster_partition_atminisr'], 'Whether as many replicas are in sync as min.insync.replicas', (led) =>
    Number(isAtMinIsr(partitions, led.partition)),
  );
  metrics.series(
    'odradek_replica_lag_records',
    'How far the log of a follower is behind the end of its leader’s, which tells it; since its last fetch',
    'gauge',
    function* () {
      for (const { partition, leader, log } of ledHere(partitions, partitionLimit)) {
        const labels = labelsOf(partition);
        for (const id of leader.view.replicas) {
          const follower = leader.follower(id);
          if (follower === undefined) continue;
          const lag = log.logEndOffset - Math.max(follower.fetchOffset, log.logStartOffset);
          yield [{ ...labels, replica: String(id) }, Math.max(0, lag)];
        }
      }
    },
  );
}

/** The first of them up to `limit`. Read in slices: what is led is looked at when its turn comes. */
function* ledHere(partitions: PartitionTable, limit: number): IterableIterator<Led> {
  let count = 0;
  for (const partition of partitions.partitions()) {
    const { leadership: leader, log } = partition;
    if (leader === undefined || log === undefined) continue;
    if (count === limit) return;
    count += 1;
    yield { partition, leader, log };
  }
}

function isAtMinIsr(partitions: PartitionTable, partition: Partition): boolean {
  const view = partition.leadership?.view;
  if (view === undefined) return false;
  return view.isr.length === Math.min(partitions.configOf(partition).minInsyncReplicas, view.replicas.length);
}

function labelsOf({ topic, index }: Partition): Labels {
  return { topic, partition: String(index) };
}

function ofManager(name: string): string {
  return `kafka_server_replicamanager_${name}`;
}
