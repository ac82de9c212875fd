import type { Metrics } from '#base/ports';
import type { NodeQuorum } from '../node-quorum.ts';
import { oneOf } from './one.ts';

/** The states of a replica as Kafka's raft-metrics name them. */
const QUORUM_STATES = ['leader', 'candidate', 'prospective', 'follower', 'observer'] as const;
/** Seconds. */
const COMMIT_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];

/** Of the node's replica of the metadata log, and of what it has with its peers. */
export function quorumMetrics(metrics: Metrics, { quorum, peers }: NodeQuorum): void {
  const { image } = quorum;
  const one = oneOf(metrics);
  one('odradek_metadata_index', 'The last entry of the metadata log', 'gauge', () => quorum.lastIndex);
  one('odradek_metadata_log_bytes', 'Size of the metadata log', 'gauge', () => quorum.logSizeBytes);
  one('odradek_topics', 'Topics of the cluster', 'gauge', () => image.topicCount);
  one('odradek_partitions', 'Partitions of the cluster', 'gauge', () => image.partitionCount);
  metrics.series('odradek_quorum_state', 'What this replica of the metadata log is: 1 for its state', 'gauge', () =>
    QUORUM_STATES.map((state) => [{ state }, Number(quorum.role === state)] as const),
  );
  metrics.series('kafka_server_raftmetrics_current_state', 'The state alone, as its label tells it', 'gauge', () => [
    [{ current_state: quorum.role }, 1],
  ]);
  one(
    ['odradek_quorum_leader', 'kafka_server_raftmetrics_current_leader'],
    'The leader of the quorum; -1: none is heard of',
    'gauge',
    () => quorum.heardLeaderId ?? -1,
  );
  one(
    ['odradek_quorum_epoch', 'kafka_server_raftmetrics_current_epoch'],
    'The epoch of the quorum',
    'gauge',
    () => quorum.epoch,
  );
  one(
    ['odradek_quorum_high_watermark', 'kafka_server_raftmetrics_high_watermark'],
    'The last committed entry',
    'gauge',
    () => quorum.commitIndex,
  );
  one('kafka_server_raftmetrics_log_end_offset', 'The last entry', 'gauge', () => quorum.lastIndex);
  one(
    ['odradek_quorum_applied_index', 'kafka_server_brokermetadatametrics_last_applied_record_offset'],
    'The last entry in effect here',
    'gauge',
    () => quorum.appliedIndex,
  );
  one('odradek_quorum_snapshot_index', 'The last entry that the snapshot covers', 'gauge', () => quorum.snapshotIndex);
  one('odradek_quorum_voters', 'Voters of the quorum', 'gauge', () => quorum.voters.length);
  one('odradek_elections_total', 'Elections that this node stood in', 'counter', () => quorum.electionCount);
  one(
    'odradek_stalls_total',
    'Times that this node stood still for longer than an election takes',
    'counter',
    () => quorum.stallCount,
  );
  const commit = metrics.histogram(
    'odradek_metadata_commit_seconds',
    'From the decision to its effect on the active controller',
    COMMIT_BUCKETS,
  );
  quorum.onCommit = (latencyMs) => commit.observe(latencyMs / 1000);
  one('odradek_peer_messages_sent_total', 'Messages to other nodes', 'counter', () => peers.stats.messagesSent);
  one(
    'odradek_peer_messages_dropped_total',
    'Messages that no node could be sent',
    'counter',
    () => peers.stats.messagesDropped,
  );
  one(
    'odradek_peer_requests_failed_total',
    'Requests to other nodes without an answer',
    'counter',
    () => peers.stats.requestsFailed,
  );
}
