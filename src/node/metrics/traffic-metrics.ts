import type { Metrics } from '#base/ports';
import type { KafkaListener } from '#net/kafka-listener';
import { findApi } from '#protocol/headers';
import type { Broker } from '#runtime/broker';
import { oneOf } from './one.ts';

/** Connections, requests, and what goes through them. The times of requests are observed by the dispatcher. */
export function trafficMetrics(metrics: Metrics, { traffic, fetchSessions }: Broker, listener: KafkaListener): void {
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
}
