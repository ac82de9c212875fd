/** The configs of a node: what it honours of Kafka 4.3.1's broker configs, and its own. Defaults that differ are design.md's. */
import { boolean, type ConfigDef, double, int, list, long, string, type Typed } from './config-type.ts';
import { checkListeners, parseEndpoint } from './listener.ts';
import { brokerSynonyms, TOPIC_CONFIG_NAMES, topicConfigDef } from './topic-config.ts';

/** How a broker config can change: with the file and a restart only, for one broker at run time, also for all at once, or only for all. */
export type UpdateMode = 'read-only' | 'per-broker' | 'cluster-wide' | 'cluster-only';

function endpoint(text: string): string | undefined {
  return parseEndpoint(text) === undefined ? 'Must be of the form host:port, the port at most 65535' : undefined;
}

const LISTENER_FORM = 'NAME://host:port,…';
const MAX_INT = 0x7fff_ffff;

/** Typed, keyed by name; `parseBrokerConfig` makes the object of it. Sizes are bytes, times milliseconds unless the name says otherwise. */
export const BROKER_CONFIGS = {
  'add.partitions.to.txn.retry.backoff.max.ms': int({
    default: '100',
    min: 0,
    importance: 'HIGH',
    doc: 'How long a produce request waits at most for the transaction before its own to be over.',
  }),
  'add.partitions.to.txn.retry.backoff.ms': int({
    default: '20',
    min: 1,
    importance: 'HIGH',
    doc: 'The pause after which a partition is added again to a transaction whose predecessor is not over.',
  }),
  'advertised.listeners': list({
    default: null,
    importance: 'HIGH',
    check: checkListeners,
    doc: `The addresses that clients are told, if they differ from listeners: ${LISTENER_FORM}.`,
  }),
  'auto.create.topics.enable': boolean({
    default: 'true',
    importance: 'HIGH',
    doc: 'Whether a topic is made when a client asks for its metadata.',
  }),
  'auto.leader.rebalance.enable': boolean({
    default: 'true',
    importance: 'HIGH',
    doc: 'Whether leaders return to the preferred replicas on their own.',
  }),
  'broker.heartbeat.interval.ms': int({
    default: '200',
    min: 1,
    doc: 'The time between heartbeats of a broker to the controller.',
  }),
  'broker.rack': string<string, null>({
    default: null,
    doc: 'The rack, zone or host whose fate this broker shares; replicas are spread over racks.',
  }),
  'broker.session.timeout.ms': int({
    default: '2000',
    min: 1,
    doc: 'The silence after which the controller fences a broker.',
  }),
  'cluster.target.size': int({
    default: null,
    min: 1,
    max: 1000,
    doc: 'How many brokers the cluster is meant to have; recorded at first start, decides the replication defaults.',
  }),
  'connections.max.idle.ms': long({
    default: '600000',
    doc: 'A connection without a request for so long is closed (negative: never).',
  }),
  'controlled.shutdown.enable': boolean({
    default: 'true',
    doc: 'Whether a stopping broker hands its leaderships over first.',
  }),
  'controller.quorum.bootstrap.servers': list({
    default: '',
    importance: 'HIGH',
    doc: 'Peer listeners at which a node that is not a voter finds the quorum: host:port,….',
  }),
  'controller.quorum.voters': list({
    default: '',
    importance: 'HIGH',
    doc: 'The voters of the metadata quorum: id@host:port,… of their peer listeners.',
  }),
  'default.replication.factor': int({
    default: '1',
    min: 1,
    max: 0x7fff,
    doc: 'The replication factor of a topic that names none; min(3, cluster.target.size) unless set.',
  }),
  'delete.topic.enable': boolean({
    default: 'true',
    importance: 'HIGH',
    doc: 'Whether topics can be deleted.',
  }),
  'fetch.max.bytes': int({
    default: '57671680',
    min: 1024,
    doc: 'The most bytes that one fetch answers with.',
  }),
  'group.consumer.assignment.interval.ms': int({
    default: '1000',
    min: 0,
    doc: 'How long a target assignment of a consumer group holds at least before the next is computed.',
  }),
  'group.consumer.assignors': list({
    default: 'uniform,range',
    oneOf: ['uniform', 'range'],
    check: (names) => (names.length === 0 ? 'At least one assignor must be named' : undefined),
    doc: 'The assignors that members of consumer groups may ask for; the first is the default.',
  }),
  'group.consumer.heartbeat.interval.ms': int({
    default: '5000',
    min: 1,
    doc: 'How often members of consumer groups are told to send heartbeats.',
  }),
  'group.consumer.max.assignment.interval.ms': int({
    default: '15000',
    min: 0,
    doc: 'The longest assignment interval that a consumer group may be given.',
  }),
  'group.consumer.max.heartbeat.interval.ms': int({
    default: '15000',
    min: 1,
    doc: 'The longest heartbeat interval that a consumer group may be given.',
  }),
  'group.consumer.max.session.timeout.ms': int({
    default: '60000',
    min: 1,
    doc: 'The longest session timeout that a consumer group may be given.',
  }),
  'group.consumer.max.size': int({
    default: '2147483647',
    min: 1,
    doc: 'The most members of one consumer group.',
  }),
  'group.consumer.migration.policy': string<string, 'bidirectional'>({
    default: 'bidirectional',
    check: (text) =>
      ['disabled', 'downgrade', 'upgrade', 'bidirectional'].includes(text.toLowerCase())
        ? undefined
        : 'String must be one of (case insensitive): DISABLED, DOWNGRADE, UPGRADE, BIDIRECTIONAL',
    doc: 'Whether groups with members change between the classic and the consumer protocol: upgrade, downgrade, bidirectional or disabled.',
  }),
  'group.consumer.min.assignment.interval.ms': int({
    default: '0',
    min: 0,
    doc: 'The shortest assignment interval that a consumer group may be given.',
  }),
  'group.consumer.min.heartbeat.interval.ms': int({
    default: '5000',
    min: 1,
    doc: 'The shortest heartbeat interval that a consumer group may be given.',
  }),
  'group.consumer.min.session.timeout.ms': int({
    default: '45000',
    min: 1,
    doc: 'The shortest session timeout that a consumer group may be given.',
  }),
  'group.consumer.session.timeout.ms': int({
    default: '45000',
    min: 1,
    doc: 'The silence after which a member of a consumer group is removed.',
  }),
  'group.coordinator.rebalance.protocols': list({
    default: 'classic,consumer,streams',
    oneOf: ['classic', 'consumer', 'share', 'streams'],
    check: (names) =>
      names.includes('classic') ? undefined : 'Disabling the classic rebalance protocol is not supported',
    doc: 'The protocols of groups that are served; share and streams groups are not served yet whatever it says.',
  }),
  'group.initial.rebalance.delay.ms': int({
    default: '3000',
    min: 0,
    doc: 'How long a new group waits for more members before its first rebalance.',
  }),
  'group.max.session.timeout.ms': int({
    default: '1800000',
    min: 0,
    doc: 'The longest session timeout that a member may ask for.',
  }),
  'group.max.size': int({
    default: '2147483647',
    min: 1,
    doc: 'The most members of one group.',
  }),
  'group.min.session.timeout.ms': int({
    default: '6000',
    min: 0,
    doc: 'The shortest session timeout that a member may ask for.',
  }),
  'http.listener': string<string, '127.0.0.1:9094'>({
    default: '127.0.0.1:9094',
    check: endpoint,
    doc: 'Where metrics and health are served: host:port.',
  }),
  'inter.broker.listener.name': string<string, null>({
    default: null,
    doc: 'The listener that followers fetch from; the first one unless set.',
  }),
  listeners: list({
    default: 'PLAINTEXT://127.0.0.1:9092',
    importance: 'HIGH',
    check: checkListeners,
    doc: `Where the Kafka protocol is served: ${LISTENER_FORM}.`,
  }),
  'leader.imbalance.check.interval.seconds': long({
    default: '300',
    min: 1,
    importance: 'HIGH',
    doc: 'How often leaders that are not the preferred ones are looked for, beside a little after each change.',
  }),
  'log.cleaner.backoff.ms': long({
    default: '15000',
    min: 0,
    doc: 'How long the compaction of logs rests when no log needs it.',
  }),
  'log.cleaner.dedupe.buffer.size': long({
    default: '134217728',
    doc: 'The most memory for keys of logs that are being compacted, all together; a log with more is compacted in several turns.',
  }),
  'log.cleaner.enable': boolean({
    default: 'true',
    doc: 'Whether logs with cleanup.policy=compact are compacted here.',
  }),
  'log.cleaner.io.max.bytes.per.second': double({
    default: '1.7976931348623157E308',
    doc: 'What compaction reads and writes at most, in bytes a second.',
  }),
  'log.cleaner.threads': int({
    default: '1',
    min: 0,
    doc: 'How many logs are compacted at a time.',
  }),
  'log.dir.min.free.bytes': long({
    default: '67108864',
    min: 0,
    doc: 'A data directory with less room refuses writes and goes on serving reads.',
  }),
  'log.dirs': list({
    default: './odradek-data',
    importance: 'HIGH',
    doc: 'The data directories; the first also holds the metadata log.',
  }),
  'log.retention.check.interval.ms': long({
    default: '300000',
    min: 1,
    doc: 'The time between looks for segments to delete.',
  }),
  'log.tail.cache.bytes': long({
    default: '67108864',
    min: 0,
    doc: 'Memory for the newest record batches of all logs, from which consumers at the end read without the disk.',
  }),
  'max.connections': int({
    default: '2147483647',
    min: 0,
    doc: 'The most connections to this broker at a time.',
  }),
  'max.connections.per.ip': int({
    default: '2147483647',
    min: 0,
    doc: 'The most connections of one address at a time.',
  }),
  'max.incremental.fetch.session.cache.slots': int({
    default: '1000',
    min: 0,
    doc: 'How many incremental fetch sessions are kept (KIP-227).',
  }),
  'metadata.log.max.record.bytes.between.snapshots': long({
    default: '20971520',
    min: 1,
    importance: 'HIGH',
    doc: 'The metadata log is compacted into a snapshot after so many bytes of records.',
  }),
  'metadata.log.max.snapshot.interval.ms': long({
    default: '3600000',
    min: 0,
    importance: 'HIGH',
    doc: 'The metadata log is compacted into a snapshot after this time if it has new records (0: by size only).',
  }),
  'metrics.partition.limit': int({
    default: '5000',
    min: 0,
    doc: 'Of more partitions than this that a node leads, and more offsets of groups that it coordinates, /metrics has no series.',
  }),
  'node.id': int({
    default: '1',
    min: 0,
    importance: 'HIGH',
    doc: 'The id of this node in the cluster.',
  }),
  'num.partitions': int({
    default: '1',
    min: 1,
    doc: 'The partition count of a topic that names none.',
  }),
  'offset.metadata.max.bytes': int({
    default: '4096',
    min: 0,
    importance: 'HIGH',
    doc: 'The longest metadata text of a committed offset.',
  }),
  'offsets.commit.timeout.ms': int({
    default: '5000',
    min: 1,
    importance: 'HIGH',
    doc: 'How long an offset commit waits for its replicas.',
  }),
  'offsets.retention.check.interval.ms': long({
    default: '600000',
    min: 1,
    importance: 'HIGH',
    doc: 'The time between looks for expired offsets.',
  }),
  'offsets.retention.minutes': int({
    default: '10080',
    min: 1,
    importance: 'HIGH',
    doc: 'How long the offsets of an empty group are kept.',
  }),
  'offsets.topic.num.partitions': int({
    default: '50',
    min: 1,
    importance: 'HIGH',
    doc: 'The partition count of __consumer_offsets.',
  }),
  'offsets.topic.replication.factor': int({
    default: '1',
    min: 1,
    max: 0x7fff,
    importance: 'HIGH',
    doc: 'The replication factor of __consumer_offsets; min(3, cluster.target.size) unless set.',
  }),
  'offsets.topic.segment.bytes': int({
    default: '104857600',
    min: 1048576,
    importance: 'HIGH',
    doc: 'The segment size of __consumer_offsets.',
  }),
  'peer.listener': string<string, '127.0.0.1:9093'>({
    default: '127.0.0.1:9093',
    check: endpoint,
    doc: 'Where other nodes reach this one (Raft, controller): host:port.',
  }),
  'process.roles': list({
    default: 'broker,controller',
    importance: 'HIGH',
    oneOf: ['broker', 'controller'],
    doc: 'What this node does.',
  }),
  'producer.id.expiration.ms': int({
    default: '86400000',
    min: 1,
    importance: 'LOW',
    doc: 'How long the sequence numbers of an idle idempotent producer are remembered.',
  }),
  'replica.fetch.max.bytes': int({
    default: '1048576',
    min: 0,
    importance: 'MEDIUM',
    doc: 'What a follower asks for of one partition at a time; the first batch comes whole.',
  }),
  'replica.fetch.min.bytes': int({
    default: '1',
    importance: 'HIGH',
    doc: 'A leader answers a follower when it has so much for it.',
  }),
  'replica.fetch.response.max.bytes': int({
    default: '10485760',
    min: 0,
    importance: 'MEDIUM',
    doc: 'What a follower asks for of all partitions together.',
  }),
  'replica.fetch.wait.max.ms': int({
    default: '500',
    importance: 'HIGH',
    doc: 'A leader answers a follower after so long, also if it has nothing for it.',
  }),
  'leader.replication.throttled.rate': long({
    default: '9223372036854775807',
    min: 0,
    doc: 'Bytes in a second that leaders here send to followers out of sync, of the replicas in leader.replication.throttled.replicas.',
  }),
  'follower.replication.throttled.rate': long({
    default: '9223372036854775807',
    min: 0,
    doc: 'Bytes in a second that followers here, out of sync, fetch of the replicas in follower.replication.throttled.replicas.',
  }),
  'replica.alter.log.dirs.io.max.bytes.per.second': long({
    default: '9223372036854775807',
    min: 0,
    doc: 'Bytes in a second that replicas which move between data directories of a node copy.',
  }),
  'replica.lag.time.max.ms': long({
    default: '5000',
    min: 1,
    importance: 'HIGH',
    doc: 'A follower that has not caught up for so long leaves the in-sync replicas.',
  }),
  'replica.selector.class': string<string, null>({
    default: null,
    importance: 'MEDIUM',
    doc: 'Where consumers read: LeaderSelector (unless set), or RackAwareReplicaSelector: a replica in sync on their own rack.',
  }),
  'request.memory.bytes': long({
    default: '67108864',
    min: 1048576,
    doc: 'Memory for the requests being read and worked on; beyond it connections wait. One large Produce request and one other may be above it.',
  }),
  'request.timeout.ms': int({
    default: '30000',
    min: 1,
    importance: 'HIGH',
    doc: 'How long a request between nodes may take.',
  }),
  'socket.request.max.bytes': int({
    default: '104857600',
    min: 1,
    max: MAX_INT,
    importance: 'HIGH',
    doc: 'The largest request; a larger one closes its connection.',
  }),
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': int({
    default: '10000',
    min: 1,
    importance: 'LOW',
    doc: 'After transactions were aborted because their time was up, the next ones wait so long.',
  }),
  'transaction.max.timeout.ms': int({
    default: '900000',
    min: 1,
    importance: 'HIGH',
    doc: 'The longest transaction timeout that a producer may ask for.',
  }),
  'transaction.partition.verification.enable': boolean({
    default: 'true',
    importance: 'LOW',
    doc: 'Whether a broker asks the coordinator before it appends the first batch of a transaction to a partition (KIP-890).',
  }),
  'transaction.remove.expired.transaction.cleanup.interval.ms': int({
    default: '3600000',
    min: 1,
    importance: 'LOW',
    doc: 'The time between looks for expired transactional ids.',
  }),
  'transaction.state.log.min.isr': int({
    default: null,
    min: 1,
    importance: 'HIGH',
    doc: 'The min.insync.replicas that __transaction_state is made with; that of other topics unless set.',
  }),
  'transaction.state.log.num.partitions': int({
    default: '50',
    min: 1,
    importance: 'HIGH',
    doc: 'The partition count of __transaction_state.',
  }),
  'transaction.state.log.replication.factor': int({
    default: '1',
    min: 1,
    max: 0x7fff,
    importance: 'HIGH',
    doc: 'The replication factor of __transaction_state; min(3, cluster.target.size) unless set.',
  }),
  'transaction.state.log.segment.bytes': int({
    default: '104857600',
    min: 1048576,
    importance: 'HIGH',
    doc: 'The segment size of __transaction_state.',
  }),
  'transactional.id.expiration.ms': int({
    default: '604800000',
    min: 1,
    importance: 'HIGH',
    doc: 'How long a transactional id is remembered that nobody uses.',
  }),
} as const satisfies Readonly<Record<string, ConfigDef>>;

export type BrokerConfigName = keyof typeof BROKER_CONFIGS;
/** A node's own configs in typed form. Those that only give topics their defaults are read through `parseTopicConfig`. */
export type BrokerConfig = Typed<typeof BROKER_CONFIGS>;

/** Other names of the same config. */
export const BROKER_ALIASES: ReadonlyMap<string, BrokerConfigName> = new Map([
  ['broker.id', 'node.id'],
  ['data-dir', 'log.dirs'],
  ['data.dir', 'log.dirs'],
  ['log.dir', 'log.dirs'],
  ['queued.max.request.bytes', 'request.memory.bytes'],
]);

/** Beyond those that give topics their defaults. */
const DYNAMIC: ReadonlyMap<string, UpdateMode> = new Map([
  ['follower.replication.throttled.rate', 'cluster-wide'],
  ['leader.replication.throttled.rate', 'cluster-wide'],
  ['log.cleaner.backoff.ms', 'cluster-wide'],
  ['log.cleaner.dedupe.buffer.size', 'cluster-wide'],
  ['log.cleaner.io.max.bytes.per.second', 'cluster-wide'],
  ['log.cleaner.threads', 'cluster-wide'],
  ['max.connections', 'cluster-wide'],
  ['max.connections.per.ip', 'cluster-wide'],
  ['producer.id.expiration.ms', 'cluster-wide'],
  ['replica.alter.log.dirs.io.max.bytes.per.second', 'cluster-wide'],
  ['transaction.partition.verification.enable', 'cluster-wide'],
]);

export interface BrokerConfigDef {
  readonly def: ConfigDef;
  readonly update: UpdateMode;
}

/** The definition of a broker config by its own name (not an alias), those that give topics their defaults included. */
export function brokerConfigDef(name: string): BrokerConfigDef | undefined {
  if (isBrokerConfig(name)) return { def: BROKER_CONFIGS[name], update: DYNAMIC.get(name) ?? 'read-only' };
  return TOPIC_DEFAULTS.get(name);
}

export function isBrokerConfig(name: string): name is BrokerConfigName {
  return Object.hasOwn(BROKER_CONFIGS, name);
}

const COARSE: ReadonlyMap<string, ConfigDef> = new Map<string, ConfigDef>([
  [
    'log.retention.hours',
    int({ default: '168', importance: 'HIGH', doc: 'log.retention.ms in hours, if no finer one is set.' }),
  ],
  ['log.retention.minutes', int({ default: null, importance: 'HIGH', doc: 'log.retention.ms in minutes.' })],
  [
    'log.roll.hours',
    int({ default: '168', min: 1, importance: 'HIGH', doc: 'log.roll.ms in hours, if it is not set.' }),
  ],
  [
    'log.roll.jitter.hours',
    int({ default: '0', min: 0, importance: 'HIGH', doc: 'log.roll.jitter.ms in hours, if it is not set.' }),
  ],
]);

/** A leader acknowledges by these, and the controller elects by them: with a value of one broker's own it would elect who lacks records. */
export const CLUSTER_ONLY: ReadonlySet<string> = new Set(['flush.policy', 'min.insync.replicas']);

/** The broker configs that give topics their defaults: the topic's definition under the broker's name. */
const TOPIC_DEFAULTS: ReadonlyMap<string, BrokerConfigDef> = new Map(
  TOPIC_CONFIG_NAMES.flatMap((topicName) => {
    const synonyms = brokerSynonyms(topicName);
    const def = topicConfigDef(topicName);
    return synonyms.map(({ name }, rank): [string, BrokerConfigDef] => {
      const coarse = COARSE.get(name);
      if (coarse !== undefined) return [name, { def: coarse, update: 'read-only' }];
      // With a coarser synonym, whose default counts, the finer one is absent unless set.
      const shown: ConfigDef =
        synonyms.length > 1 && name.endsWith('.ms') && rank === 0 ? { ...def, default: null } : def;
      const dynamic = CLUSTER_ONLY.has(name) ? 'cluster-only' : 'cluster-wide';
      return [name, { def: shown, update: rank === 0 ? dynamic : 'read-only' }];
    });
  }),
);

export const BROKER_CONFIG_NAMES: readonly string[] = [...Object.keys(BROKER_CONFIGS), ...TOPIC_DEFAULTS.keys()].sort();
