import type { Metrics } from '#base/ports';
import type { KafkaListener } from '#net/kafka-listener';
import { findApi } from '#protocol/headers';
import type { Broker } from '#runtime/broker';
import type { TopicTraffic } from '#runtime/traffic';
import { oneOf } from './one.ts';

/** Connections, requests, and what goes through them. The times of requests are observed by the dispatcher. */
export function trafficMetrics(metrics: Metrics, broker: Broker, listener: KafkaListener): void {
  const { traffic, fetchSessions, partitions } = broker;
  const { metricsPartitionLimit: topicLimit } = broker.config;
  const one = oneOf(metrics);
  const { stats, requestMemory, responseBudget } = listener;
  one(
    ['odradek_connections', 'kafka_server_socket_server_metrics_connection_count'],
    'Open client connections',
    'gauge',
    () => stats.connections,
  );
  one('odradek_connections_accepted_total', 'Client connections accepted', 'counter', () => stats.accepted);
  one(
    'odradek_connections_refused_total',
    'Client connections refused by a limit',
    'counter',
    () => stats.refusedConnections,
  );
  one(
    'odradek_requests_refused_total',
    'Requests that closed their connection',
    'counter',
    () => stats.refusedRequests,
  );
  one('odradek_request_memory_bytes', 'Memory of requests in flight', 'gauge', () => requestMemory.usedBytes);
  one('odradek_response_memory_bytes', 'Memory of answers in flight', 'gauge', () => responseBudget.usedBytes);
  one('odradek_fetch_sessions', 'Incremental fetch sessions', 'gauge', () => fetchSessions.count);
  metrics.series('odradek_requests_total', 'Requests by API', 'counter', function* () {
    for (const [key, count] of traffic.requests) yield [{ api: findApi(key)?.name ?? String(key) }, count];
  });

  const counter = (names: readonly string[], help: string, read: () => number): void =>
    one(names, help, 'counter', read);
  const ofTopics = (name: string): string => `kafka_server_brokertopicmetrics_${name}_total`;
  counter(
    ['odradek_replication_received_bytes_total', ofTopics('replicationbytesin')],
    'Bytes of record batches taken from leaders',
    () => traffic.replicationBytesIn,
  );
  counter(
    ['odradek_produce_bytes_total', ofTopics('bytesin')],
    'Bytes of record batches taken from producers',
    () => traffic.bytesIn,
  );
  counter(
    ['odradek_produce_records_total', ofTopics('messagesin')],
    'Records taken from producers',
    () => traffic.recordsIn,
  );
  counter(
    ['odradek_fetch_bytes_total', ofTopics('bytesout')],
    'Bytes of record batches sent to consumers',
    () => traffic.bytesOut,
  );
  counter(
    ['odradek_replication_sent_bytes_total', ofTopics('replicationbytesout')],
    'Bytes of record batches sent to followers',
    () => traffic.replicationBytesOut,
  );
  counter([ofTopics('totalproducerequests')], 'Produce requests', () => traffic.produceRequests);
  counter([ofTopics('totalfetchrequests')], 'Fetch requests', () => traffic.fetchRequests);
  counter(
    ['odradek_produce_refused_total', ofTopics('failedproducerequests')],
    'Partitions refused in Produce',
    () => traffic.failedProduceRequests,
  );
  counter(
    ['odradek_fetch_refused_total', ofTopics('failedfetchrequests')],
    'Partitions refused in Fetch',
    () => traffic.failedFetchRequests,
  );

  // Kafka's names stand for the node without a topic, and for a topic with one.
  const byTopic = (names: readonly string[], help: string, read: (traffic: TopicTraffic) => number): void => {
    for (const name of names)
      metrics.series(name, help, 'counter', function* () {
        let count = 0;
        for (const [topic, ofTopic] of partitions.traffic()) {
          if (count === topicLimit) return;
          count += 1;
          yield [{ topic }, read(ofTopic)];
        }
      });
  };
  byTopic(
    ['odradek_topic_produce_bytes_total', ofTopics('bytesin')],
    'Bytes of record batches taken from producers, by topic',
    ({ bytesIn }) => bytesIn,
  );
  byTopic(
    ['odradek_topic_produce_records_total', ofTopics('messagesin')],
    'Records taken from producers, by topic',
    ({ recordsIn }) => recordsIn,
  );
  byTopic(
    ['odradek_topic_fetch_bytes_total', ofTopics('bytesout')],
    'Bytes of record batches sent to consumers, by topic',
    ({ bytesOut }) => bytesOut,
  );
  one(
    'odradek_metrics_dropped_topics',
    'Topics with replicas here that have no series, by metrics.partition.limit',
    'gauge',
    () => Math.max(0, partitions.topicCount - topicLimit),
  );
}
