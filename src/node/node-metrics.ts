/**
 * A node's metrics: `odradek_…` in seconds and bytes, and beside them the names that dashboards for Kafka query (Strimzi's rules for
 * its JMX metrics, kafka_exporter's). Everything is read when asked; the hot paths only add to numbers. docs/metrics.md lists them.
 */
import type { Ports } from '#base/ports';
import { controllerMetrics } from './metrics/controller-metrics.ts';
import { groupMetrics } from './metrics/group-metrics.ts';
import { quorumMetrics } from './metrics/quorum-metrics.ts';
import { replicaMetrics } from './metrics/replica-metrics.ts';
import { storageMetrics } from './metrics/storage-metrics.ts';
import { trafficMetrics } from './metrics/traffic-metrics.ts';
import { transactionMetrics } from './metrics/transaction-metrics.ts';
import type { NodeBroker } from './node-broker.ts';
import type { NodeQuorum } from './node-quorum.ts';

/** Of the node's replica of the metadata log, and of the controller while it is that. `given`: its configs at start. */
export function registerQuorumMetrics(ports: Ports, part: NodeQuorum, given: ReadonlyMap<string, string>): void {
  quorumMetrics(ports.metrics, part);
  controllerMetrics(ports, part, given);
}

/** Of the node as a broker. */
export function registerBrokerMetrics({ metrics }: Ports, { broker, listener, isr, endOffsets }: NodeBroker): void {
  const { nodeId: self, partitions, config } = broker;
  const { metricsPartitionLimit: limit } = config;
  trafficMetrics(metrics, broker, listener);
  replicaMetrics(metrics, { self, partitions, isr, partitionLimit: limit });
  storageMetrics(metrics, broker.store);
  groupMetrics(metrics, broker.groups, endOffsets, limit);
  transactionMetrics(metrics, broker.transactions);
}
