import type { Metrics } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import type { KafkaListener } from '#net/kafka-listener';
import { findApi } from '#protocol/headers';
import type { Broker } from '#runtime/broker';
import type { NodeQuorum } from './node-quorum.ts';

type One = (name: string, help: string, type: 'counter' | 'gauge', read: () => number) => void;

function oneOf(metrics: Metrics): One {
  return (name, help, type, read) => metrics.series(name, help, type, () => [[{}, read()]]);
}

/**
 * A broker's metrics: `odradek_…` in seconds and bytes, and beside them the names that dashboards for Kafka query (Strimzi's rules for
 * its JMX metrics). Everything is read when asked; the hot paths only add to numbers.
 */
export function registerBrokerMetrics(metrics: Metrics, broker: Broker, listener: KafkaListener): void {
  const { traffic, partitions } = broker;
  const one = oneOf(metrics);

  one('odradek_connections', 'Open client connections', 'gauge', () => listener.stats.connections);
  one('odradek_connections_accepted_total', 'Client connections accepted', 'counter', () => listener.stats.accepted);
  one(
    'odradek_connections_refused_total',
    'Client connections refused by a limit',
    'counter',
    () => listener.stats.refusedConnections,
  );
  one(
    'odradek_requests_refused_total',
    'Requests that closed their connection',
    'counter',
    () => listener.stats.refusedRequests,
  );
  one(
    'odradek_request_memory_bytes',
    'Memory held by requests in flight',
    'gauge',
    () => listener.requestBudget.usedBytes,
  );
  one(
    'odradek_response_memory_bytes',
    'Memory held by answers in flight',
    'gauge',
    () => listener.responseBudget.usedBytes,
  );
  one('odradek_produce_bytes_total', 'Bytes of record batches taken from producers', 'counter', () => traffic.bytesIn);
  one('odradek_produce_records_total', 'Records taken from producers', 'counter', () => traffic.recordsIn);
  one('odradek_fetch_bytes_total', 'Bytes of record batches sent to consumers', 'counter', () => traffic.bytesOut);
  one('odradek_fetch_sessions', 'Incremental fetch sessions', 'gauge', () => broker.fetchSessions.count);
  metrics.series('odradek_requests_total', 'Requests by API', 'counter', function* () {
    for (const [key, count] of traffic.requests) yield [{ api: findApi(key)?.name ?? String(key) }, count];
  });
  metrics.series('odradek_partition_log_bytes', 'Size of the log of each partition', 'gauge', function* () {
    for (const { topic, index, log } of partitions.partitions())
      if (log !== undefined) yield [labels(topic, index), log.sizeBytes];
  });
  metrics.series('odradek_partition_log_start_offset', 'First offset of each partition', 'gauge', function* () {
    for (const { topic, index, log } of partitions.partitions())
      if (log !== undefined) yield [labels(topic, index), log.logStartOffset];
  });
  metrics.series('odradek_partition_high_watermark', 'High watermark of each partition', 'gauge', function* () {
    for (const { topic, index, highWatermark } of partitions.partitions()) yield [labels(topic, index), highWatermark];
  });

  one('kafka_server_replicamanager_partitioncount', 'Partitions on this broker', 'gauge', () =>
    count(partitions.partitions()),
  );
  one('kafka_server_replicamanager_leadercount', 'Partitions that this broker leads', 'gauge', () =>
    count(partitions.partitions()),
  );
  one('kafka_server_replicamanager_offlinereplicacount', 'Replicas here that are offline', 'gauge', () =>
    offline(broker),
  );
  one('kafka_server_brokertopicmetrics_bytesin_total', 'Bytes taken from producers', 'counter', () => traffic.bytesIn);
  one('kafka_server_brokertopicmetrics_bytesout_total', 'Bytes sent to consumers', 'counter', () => traffic.bytesOut);
  one(
    'kafka_server_brokertopicmetrics_messagesin_total',
    'Records taken from producers',
    'counter',
    () => traffic.recordsIn,
  );
  one(
    'kafka_server_brokertopicmetrics_totalproducerequests_total',
    'Produce requests',
    'counter',
    () => traffic.produceRequests,
  );
  one(
    'kafka_server_brokertopicmetrics_totalfetchrequests_total',
    'Fetch requests',
    'counter',
    () => traffic.fetchRequests,
  );
  one(
    'kafka_server_brokertopicmetrics_failedproducerequests_total',
    'Partitions refused in Produce',
    'counter',
    () => traffic.failedProduceRequests,
  );
  one(
    'kafka_server_brokertopicmetrics_failedfetchrequests_total',
    'Partitions refused in Fetch',
    'counter',
    () => traffic.failedFetchRequests,
  );
  one(
    'kafka_log_logmanager_offlinelogdirectorycount',
    'Data directories that are offline',
    'gauge',
    () => broker.store.offlineDirectoryCount,
  );
}

/** The states of a replica as Kafka's raft-metrics name them. */
const QUORUM_STATES = ['leader', 'candidate', 'prospective', 'follower', 'observer'] as const;
/** Seconds. */
const COMMIT_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];

/** Of the node's replica of the metadata log, and of the controller while it is that. */
export function registerQuorumMetrics(metrics: Metrics, { quorum, sessions, peers }: NodeQuorum): void {
  const { image } = quorum;
  const one = oneOf(metrics);
  one('odradek_metadata_index', 'The last entry of the metadata log', 'gauge', () => quorum.lastIndex);
  one('odradek_metadata_log_bytes', 'Size of the metadata log', 'gauge', () => quorum.logSizeBytes);
  one('odradek_topics', 'Topics of the cluster', 'gauge', () => image.topicCount);
  one('odradek_partitions', 'Partitions of the cluster', 'gauge', () => image.partitionCount);
  metrics.series('odradek_quorum_state', 'What this replica of the metadata log is: 1 for its state', 'gauge', () =>
    QUORUM_STATES.map((state) => [{ state }, Number(quorum.role === state)] as const),
  );
  one('odradek_quorum_leader', 'The leader of the quorum; -1: none is known', 'gauge', () => quorum.leaderId ?? -1);
  one('odradek_quorum_epoch', 'The epoch of the quorum', 'gauge', () => quorum.epoch);
  one('odradek_quorum_high_watermark', 'The last committed entry', 'gauge', () => quorum.commitIndex);
  one('odradek_quorum_applied_index', 'The last entry in effect here', 'gauge', () => quorum.appliedIndex);
  one('odradek_quorum_snapshot_index', 'The last entry that the snapshot covers', 'gauge', () => quorum.snapshotIndex);
  one('odradek_quorum_voters', 'Voters of the quorum', 'gauge', () => quorum.voters.length);
  one('odradek_elections_total', 'Elections that this node stood in', 'counter', () => quorum.electionCount);
  one('odradek_stalls_total', 'Times that this node stood still for longer than an election takes', 'counter', () => {
    return quorum.stallCount;
  });
  one('odradek_active_controller', 'Whether this node is the active controller', 'gauge', () =>
    Number(quorum.isActive),
  );
  one('odradek_broker_sessions', 'Brokers that the active controller hears of', 'gauge', () => sessions.sessionCount);
  one('odradek_fenced_brokers', 'Registered brokers that are fenced', 'gauge', () => fenced(quorum.image.brokers));
  one('odradek_active_brokers', 'Registered brokers that serve', 'gauge', () => {
    return image.brokers.size - fenced(image.brokers);
  });
  const commit = metrics.histogram(
    'odradek_metadata_commit_seconds',
    'From the decision to its effect on the active controller',
    COMMIT_BUCKETS,
  );
  quorum.onCommit = (latencyMs) => commit.observe(latencyMs / 1000);
  one('odradek_peer_messages_sent_total', 'Messages to other nodes', 'counter', () => peers.stats.messagesSent);
  one('odradek_peer_messages_dropped_total', 'Messages that no node could be sent', 'counter', () => {
    return peers.stats.messagesDropped;
  });
  one('odradek_peer_requests_failed_total', 'Requests to other nodes without an answer', 'counter', () => {
    return peers.stats.requestsFailed;
  });

  one('kafka_controller_kafkacontroller_activecontrollercount', 'Whether this is the active controller', 'gauge', () =>
    Number(quorum.isActive),
  );
  one('kafka_controller_kafkacontroller_activebrokercount', 'Brokers that serve', 'gauge', () => {
    return image.brokers.size - fenced(image.brokers);
  });
  one('kafka_controller_kafkacontroller_fencedbrokercount', 'Brokers that are fenced', 'gauge', () =>
    fenced(image.brokers),
  );
  one('kafka_server_raftmetrics_current_leader', 'The leader of the quorum', 'gauge', () => quorum.leaderId ?? -1);
  one('kafka_server_raftmetrics_current_epoch', 'The epoch of the quorum', 'gauge', () => quorum.epoch);
  one('kafka_server_raftmetrics_high_watermark', 'The high watermark of the quorum', 'gauge', () => quorum.commitIndex);
}

function fenced(brokers: MetadataImage['brokers']): number {
  let total = 0;
  for (const broker of brokers.values()) if (broker.fenced) total += 1;
  return total;
}

function labels(topic: string, partition: number) {
  return { topic, partition: String(partition) };
}

function count(items: Iterable<unknown>): number {
  let total = 0;
  for (const _ of items) total += 1;
  return total;
}

function offline(broker: Broker): number {
  let total = 0;
  for (const { log } of broker.partitions.partitions()) if (log === undefined) total += 1;
  return total;
}
