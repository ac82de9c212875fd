/** The configs of a topic: Kafka 4.3.1's 33 and `flush.policy`; which broker configs give their defaults. */
import {
  boolean,
  type ConfigDef,
  double,
  fieldOf,
  int,
  invalidValue,
  list,
  long,
  string,
  type Typed,
} from './config-type.ts';

const LONG_MAX = '9223372036854775807';
const THROTTLED = /^\d+:\d+$/;

function throttledReplicas(value: readonly string[]): string | undefined {
  if (value.length === 1 && (value[0] === '*' || value[0] === 'none')) return undefined;
  if (value.every((part) => THROTTLED.test(part))) return undefined;
  return 'Must be the literal "*" or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...';
}

/** fsync: acknowledged after fsync on each in-sync replica. os: after the write, as Kafka does. */
export type FlushPolicy = 'fsync' | 'os';
export const FLUSH_POLICIES: readonly FlushPolicy[] = ['fsync', 'os'];

export const TOPIC_CONFIGS = {
  'cleanup.policy': list({
    default: 'delete',
    oneOf: ['compact', 'delete'],
    doc: 'What happens to old segments: "delete" drops them by time or size, "compact" keeps the latest value of each key; an empty list keeps everything.',
  }),
  'compression.gzip.level': int({
    default: '-1',
    min: -1,
    max: 9,
    refused: 0,
    doc: 'The gzip level (-1: the default of the codec) where the topic compresses.',
  }),
  'compression.lz4.level': int({
    default: '9',
    min: 1,
    max: 17,
    doc: 'The lz4 level where the topic compresses.',
  }),
  'compression.type': string<'uncompressed' | 'zstd' | 'lz4' | 'snappy' | 'gzip' | 'producer', 'producer'>({
    default: 'producer',
    oneOf: ['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'],
    doc: 'The final codec of the topic; "producer" keeps what the producer chose.',
  }),
  'compression.zstd.level': int({
    default: '3',
    min: -131072,
    max: 22,
    doc: 'The zstd level where the topic compresses.',
  }),
  'delete.retention.ms': long({
    default: '86400000',
    min: 0,
    doc: 'How long a compacted topic keeps tombstones.',
  }),
  'file.delete.delay.ms': long({
    default: '60000',
    min: 0,
    doc: 'How long a removed segment stays on disk before its file is deleted.',
  }),
  'flush.messages': long({
    default: LONG_MAX,
    min: 1,
    doc: 'Sync at the latest after so many records; flush.policy decides what an acknowledgement waits for.',
  }),
  'flush.ms': long({
    default: LONG_MAX,
    min: 0,
    doc: 'Sync at the latest after this time; flush.policy decides what an acknowledgement waits for.',
  }),
  'flush.policy': string<FlushPolicy, 'fsync'>({
    default: 'fsync',
    oneOf: FLUSH_POLICIES,
    importance: 'HIGH',
    doc: 'What an acknowledged write means: "fsync" that it is on disk on each in-sync replica, "os" that the operating system has it.',
  }),
  'follower.replication.throttled.replicas': list({
    default: '',
    check: throttledReplicas,
    doc: 'Replicas whose replication is throttled on the follower: [partition]:[broker],… or *.',
  }),
  'index.interval.bytes': int({
    default: '4096',
    min: 0,
    doc: 'How many bytes of records lie between two entries of the offset index.',
  }),
  'leader.replication.throttled.replicas': list({
    default: '',
    check: throttledReplicas,
    doc: 'Replicas whose replication is throttled on the leader: [partition]:[broker],… or *.',
  }),
  'local.retention.bytes': long({
    default: '-2',
    min: -2,
    doc: 'Local size of a tiered partition (-2: retention.bytes).',
  }),
  'local.retention.ms': long({
    default: '-2',
    min: -2,
    doc: 'Local age of a tiered partition (-2: retention.ms).',
  }),
  'max.compaction.lag.ms': long({
    default: LONG_MAX,
    min: 1,
    doc: 'The longest time that a record may stay uncompacted.',
  }),
  'max.message.bytes': int({
    default: '1048588',
    min: 0,
    doc: 'The largest record batch that the topic takes, in bytes after compression.',
  }),
  'message.timestamp.after.max.ms': long({
    default: '3600000',
    min: 0,
    doc: "How far a record's timestamp may lie ahead of the broker's clock.",
  }),
  'message.timestamp.before.max.ms': long({
    default: LONG_MAX,
    min: 0,
    doc: "How far a record's timestamp may lie behind the broker's clock.",
  }),
  'message.timestamp.type': string<'CreateTime' | 'LogAppendTime', 'CreateTime'>({
    default: 'CreateTime',
    oneOf: ['CreateTime', 'LogAppendTime'],
    doc: "Whether records carry the producer's time or the time of the append.",
  }),
  'min.cleanable.dirty.ratio': double({
    default: '0.5',
    min: 0,
    max: 1,
    doc: 'The share of uncompacted bytes from which on a log is compacted.',
  }),
  'min.compaction.lag.ms': long({
    default: '0',
    min: 0,
    doc: 'The least time that a record stays uncompacted.',
  }),
  'min.insync.replicas': int({
    default: '1',
    min: 1,
    doc: 'How many in-sync replicas an acks=all write needs; never more than the replication factor counts. Unless set it is 2 where cluster.target.size is 3 or more.',
  }),
  preallocate: boolean({
    default: 'false',
    doc: 'Whether the file of a new segment is allocated in full.',
  }),
  'remote.log.copy.disable': boolean({
    default: 'false',
    doc: 'Whether a tiered topic stops copying.',
  }),
  'remote.log.delete.on.disable': boolean({
    default: 'false',
    doc: 'Whether tiered data goes when tiering is turned off.',
  }),
  'remote.storage.enable': boolean({
    default: 'false',
    doc: 'Whether the topic is tiered.',
  }),
  'retention.bytes': long({
    default: '-1',
    doc: 'The size of a partition beyond which its oldest segments are deleted (-1: no limit).',
  }),
  'retention.ms': long({
    default: '604800000',
    min: -1,
    doc: 'The age at which segments are deleted (-1: never).',
  }),
  'segment.bytes': int({
    default: '1073741824',
    min: 1048576,
    doc: 'The size of a segment file, the unit of deletion and compaction.',
  }),
  'segment.index.bytes': int({
    default: '10485760',
    min: 4,
    doc: "The largest size of a segment's offset index.",
  }),
  'segment.jitter.ms': long({
    default: '0',
    min: 0,
    doc: 'The largest random time by which segment.ms is shortened, so that logs do not all roll at once.',
  }),
  'segment.ms': long({
    default: '604800000',
    min: 1,
    doc: 'The age at which a segment is closed even if it is not full.',
  }),
  'unclean.leader.election.enable': boolean({
    default: 'false',
    doc: 'Whether a replica that is not in sync may become leader as a last resort, which loses data.',
  }),
} as const satisfies Readonly<Record<string, ConfigDef>>;

export type TopicConfigName = keyof typeof TOPIC_CONFIGS;

type Fields = Typed<typeof TOPIC_CONFIGS>;
export type CleanupPolicy = 'delete' | 'compact' | 'compact,delete';

/**
 * A topic's effective configs. An empty `cleanup.policy` shows as 'delete' with both retentions unlimited (-1), which is what it
 * means (KIP-1161), so that no user of the object needs a fourth case.
 */
export type TopicConfig = Omit<Fields, 'cleanupPolicy'> & { readonly cleanupPolicy: CleanupPolicy };

/** A broker config that gives a topic config its default; its unit is `unitMs` milliseconds where it is coarser. */
export interface BrokerSynonym {
  readonly name: string;
  readonly unitMs: number;
}

const HOUR_MS = 3_600_000;

/** Where the broker's name is not `log.` + the topic's. Earlier synonyms win (Kafka's ServerTopicConfigSynonyms). */
const SYNONYMS: Readonly<Partial<Record<TopicConfigName, readonly BrokerSynonym[]>>> = {
  'compression.gzip.level': same('compression.gzip.level'),
  'compression.lz4.level': same('compression.lz4.level'),
  'compression.type': same('compression.type'),
  'compression.zstd.level': same('compression.zstd.level'),
  'delete.retention.ms': same('log.cleaner.delete.retention.ms'),
  'file.delete.delay.ms': same('log.segment.delete.delay.ms'),
  'flush.messages': same('log.flush.interval.messages'),
  'flush.ms': [
    { name: 'log.flush.interval.ms', unitMs: 1 },
    { name: 'log.flush.scheduler.interval.ms', unitMs: 1 },
  ],
  'flush.policy': same('flush.policy'),
  'follower.replication.throttled.replicas': [],
  'leader.replication.throttled.replicas': [],
  'max.compaction.lag.ms': same('log.cleaner.max.compaction.lag.ms'),
  'max.message.bytes': same('message.max.bytes'),
  'min.cleanable.dirty.ratio': same('log.cleaner.min.cleanable.ratio'),
  'min.compaction.lag.ms': same('log.cleaner.min.compaction.lag.ms'),
  'min.insync.replicas': same('min.insync.replicas'),
  'remote.log.copy.disable': [],
  'remote.log.delete.on.disable': [],
  'remote.storage.enable': [],
  'retention.ms': [
    { name: 'log.retention.ms', unitMs: 1 },
    { name: 'log.retention.minutes', unitMs: 60_000 },
    { name: 'log.retention.hours', unitMs: HOUR_MS },
  ],
  'segment.index.bytes': same('log.index.size.max.bytes'),
  'segment.jitter.ms': [
    { name: 'log.roll.jitter.ms', unitMs: 1 },
    { name: 'log.roll.jitter.hours', unitMs: HOUR_MS },
  ],
  'segment.ms': [
    { name: 'log.roll.ms', unitMs: 1 },
    { name: 'log.roll.hours', unitMs: HOUR_MS },
  ],
  'unclean.leader.election.enable': same('unclean.leader.election.enable'),
};

function same(name: string): readonly BrokerSynonym[] {
  return [{ name, unitMs: 1 }];
}

export const TOPIC_CONFIG_NAMES = Object.keys(TOPIC_CONFIGS).sort() as readonly TopicConfigName[];

export function isTopicConfig(name: string): name is TopicConfigName {
  return Object.hasOwn(TOPIC_CONFIGS, name);
}

export function topicConfigDef(name: TopicConfigName): ConfigDef {
  return TOPIC_CONFIGS[name];
}

/** The broker configs that give `name` its default, the strongest first. */
export function brokerSynonyms(name: TopicConfigName): readonly BrokerSynonym[] {
  return SYNONYMS[name] ?? same(`log.${name}`);
}

/** Why a topic may not have this config (for INVALID_CONFIG), or undefined. Null is what an old AlterConfigs can carry. */
export function validateTopicConfig(name: string, text: string | null): string | undefined {
  if (!isTopicConfig(name)) return `Unknown topic config name: ${name}`;
  if (text === null) return `Null value not supported for topic configs: ${name}`;
  const read = topicConfigDef(name).read(text);
  if ('problem' in read) return invalidValue(name, text, read.problem);
  if (name === 'remote.storage.enable' && read.value === true) {
    return 'Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.';
  }
  return undefined;
}

/** The overrides of one topic together: each by itself, then those that limit each other. */
export function validateTopicConfigs(
  overrides: ReadonlyMap<string, string | null>,
  defaults: ReadonlyMap<string, string>,
): string | undefined {
  const texts = new Map<string, string>();
  for (const [name, text] of overrides) {
    const problem = validateTopicConfig(name, text);
    if (problem !== undefined) return problem;
    if (text !== null) texts.set(name, text);
  }
  const { minCompactionLagMs, maxCompactionLagMs } = parseTopicConfig(texts, defaults);
  if (minCompactionLagMs > maxCompactionLagMs) {
    return `conflict topic config setting min.compaction.lag.ms (${minCompactionLagMs}) > max.compaction.lag.ms (${maxCompactionLagMs})`;
  }
  return undefined;
}

/**
 * The effective configs. Overrides come before `defaults` (see `topicDefaults`), which come before the built-in ones; both maps go
 * from a topic config's name to its text. A text that is not valid, which an older version may have stored, counts as absent.
 */
export function parseTopicConfig(
  overrides: ReadonlyMap<string, string>,
  defaults: ReadonlyMap<string, string>,
): TopicConfig {
  const fields: Record<string, unknown> = {};
  for (const name of TOPIC_CONFIG_NAMES) {
    const def = topicConfigDef(name);
    for (const text of [overrides.get(name), defaults.get(name), def.default]) {
      const read = typeof text === 'string' ? def.read(text) : undefined;
      if (read === undefined || 'problem' in read) continue;
      fields[fieldOf(name)] = read.value;
      break;
    }
  }
  const typed = fields as Fields;
  const { cleanupPolicy: policy } = typed;
  if (policy.length === 0) return { ...typed, cleanupPolicy: 'delete', retentionMs: -1, retentionBytes: -1 };
  return {
    ...typed,
    cleanupPolicy: policy.length === 2 ? 'compact,delete' : policy[0] === 'compact' ? 'compact' : 'delete',
  };
}
