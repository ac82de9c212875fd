import type { Ports } from '#base/ports';
import type { RegisteredBroker } from '#metadata/records';
import type { NodeId } from '#model/ids';
import type { NodeQuorum } from '../node-quorum.ts';
import { ClusterCensus, type ClusterCounts, type RackLoss } from './cluster-census.ts';
import { ElectionCounts } from './election-counts.ts';
import { oneOf } from './one.ts';

/**
 * The cluster as the controller sees it. What is counted of its partitions is told by the active controller alone, and is 0 elsewhere:
 * a sum over the nodes is the cluster's.
 */
export function controllerMetrics(
  { metrics, clock, logger }: Ports,
  { quorum, sessions }: NodeQuorum,
  given: ReadonlyMap<string, string>,
): void {
  const { image } = quorum;
  const one = oneOf(metrics);
  one(
    ['odradek_active_controller', 'kafka_controller_kafkacontroller_activecontrollercount'],
    'Whether this node is the active controller',
    'gauge',
    () => Number(quorum.isActive),
  );
  one('odradek_broker_sessions', 'Brokers that the active controller hears of', 'gauge', () => sessions.sessionCount);
  one(
    ['odradek_fenced_brokers', 'kafka_controller_kafkacontroller_fencedbrokercount'],
    'Registered brokers that are fenced',
    'gauge',
    () => fenced(image.brokers),
  );
  one(
    ['odradek_active_brokers', 'kafka_controller_kafkacontroller_activebrokercount'],
    'Registered brokers that serve',
    'gauge',
    () => image.brokers.size - fenced(image.brokers),
  );

  // The alert tells how many, and only this tells which.
  const elections = new ElectionCounts((topic, partitions) =>
    logger.warn(
      { topic, partitions },
      'unclean elections: these partitions have leaders that may lack acknowledged records',
    ),
  );
  quorum.publisher.subscribe((delta) => {
    if (quorum.isActive) elections.observe(delta);
  });
  one(
    ['odradek_unclean_elections_total', 'kafka_controller_controllerstats_uncleanleaderelections_total'],
    'Elections of leaders that may lack acknowledged records, while this node was the active controller',
    'counter',
    () => elections.unclean,
  );
  one(
    ['odradek_eligible_elections_total', 'kafka_controller_controllerstats_electionfromeligibleleaderreplicas_total'],
    'Elections of eligible leader replicas, while this node was the active controller',
    'counter',
    () => elections.eligible,
  );

  const census = new ClusterCensus(clock, image, given);
  const counted = (names: readonly string[], help: string, read: (counts: ClusterCounts) => number): void => {
    for (const name of names)
      metrics.series(name, `${help}; 0 unless this node is the active controller`, 'gauge', function* () {
        if (quorum.isActive) yield* census.take();
        yield [{}, quorum.isActive ? read(census.counts) : 0];
      });
  };
  const byRack = (name: string, help: string, read: (loss: RackLoss) => number): void =>
    metrics.series(name, `${help}; from the active controller`, 'gauge', function* () {
      if (!quorum.isActive) return;
      yield* census.take();
      for (const loss of census.counts.racks) yield [{ rack: loss.rack }, read(loss)];
    });
  counted(
    ['odradek_cluster_offline_partitions', 'kafka_controller_kafkacontroller_offlinepartitionscount'],
    'Partitions without a leader',
    ({ offline }) => offline,
  );
  counted(
    ['odradek_cluster_under_replicated_partitions'],
    'Partitions with fewer replicas in sync than replicas',
    ({ underReplicated }) => underReplicated,
  );
  counted(
    ['odradek_cluster_under_min_isr_partitions'],
    'Partitions with fewer replicas in sync than min.insync.replicas',
    ({ underMinIsr }) => underMinIsr,
  );
  counted(
    ['odradek_cluster_not_preferred_leaders', 'kafka_controller_kafkacontroller_preferredreplicaimbalancecount'],
    'Partitions that another than their first replica leads',
    ({ notPreferred }) => notPreferred,
  );
  const ofTopics = () => (quorum.isActive ? image.topicCount : 0);
  const ofPartitions = () => (quorum.isActive ? image.partitionCount : 0);
  one('kafka_controller_kafkacontroller_globaltopiccount', 'Topics, on the active controller', 'gauge', ofTopics);
  one('kafka_controller_kafkacontroller_globalpartitioncount', 'Partitions, as before', 'gauge', ofPartitions);
  byRack(
    'odradek_rack_loss_leaderless_partitions',
    'Partitions that nobody in sync would be left of if this rack were lost',
    ({ leaderless }) => leaderless,
  );
  byRack(
    'odradek_rack_loss_unwritable_partitions',
    'Partitions that would refuse acks=all if this rack were lost',
    ({ unwritable }) => unwritable,
  );

  // kafka_exporter's, from one node as from one exporter.
  metrics.series('kafka_brokers', 'Brokers that serve, on the active controller', 'gauge', () =>
    quorum.isActive ? [[{}, image.brokers.size - fenced(image.brokers)]] : [],
  );
  metrics.series('kafka_broker_info', 'Registered brokers, on the active controller', 'gauge', () =>
    quorum.isActive
      ? [...image.brokers.values()].map((broker) => [{ id: String(broker.id), address: address(broker) }, 1])
      : [],
  );
  metrics.series('kafka_topic_partitions', 'Partitions of each topic, on the active controller', 'gauge', function* () {
    if (quorum.isActive) for (const { name, partitions } of image.topics()) yield [{ topic: name }, partitions.length];
  });
}

function fenced(brokers: ReadonlyMap<NodeId, RegisteredBroker>): number {
  let total = 0;
  for (const broker of brokers.values()) if (broker.fenced) total += 1;
  return total;
}

function address({ listeners }: RegisteredBroker): string {
  const [first] = listeners;
  return first === undefined ? '' : `${first.host}:${first.port}`;
}
