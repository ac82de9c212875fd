import type { Metrics } from '#base/ports';
import type { KafkaListener } from '#net/kafka-listener';
import { findApi } from '#protocol/headers';
import type { Broker } from '#runtime/broker';
import type { MetadataQuorum } from '#runtime/metadata-quorum';

/**
 * The node's metrics: `odradek_…` in seconds and bytes, and beside them the names that dashboards for Kafka query (Strimzi's rules for
 * its JMX metrics). Everything is read when asked; the hot paths only add to numbers.
 */
export function registerNodeMetrics(
  metrics: Metrics,
  broker: Broker,
  listener: KafkaListener,
  quorum: MetadataQuorum,
): void {
  const { traffic, partitions, image } = broker;
  const one = (name: string, help: string, type: 'counter' | 'gauge', read: () => number) =>
    metrics.series(name, help, type, () => [[{}, read()]]);

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
  one('odradek_metadata_index', 'The last entry of the metadata log', 'gauge', () => quorum.lastIndex);
  one('odradek_metadata_log_bytes', 'Size of the metadata log', 'gauge', () => quorum.logSizeBytes);
  one('odradek_topics', 'Topics of the cluster', 'gauge', () => image.topicCount);
  one('odradek_partitions', 'Partitions of the cluster', 'gauge', () => image.partitionCount);
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
    'kafka_controller_kafkacontroller_activecontrollercount',
    'Whether this node is the active controller',
    'gauge',
    () => 1,
  );
  one(
    'kafka_log_logmanager_offlinelogdirectorycount',
    'Data directories that are offline',
    'gauge',
    () => broker.store.offlineDirectoryCount,
  );
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
