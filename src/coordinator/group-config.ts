/** What operators may set for groups; Kafka's key in each comment. */
export interface GroupConfig {
  /** group.min.session.timeout.ms */
  readonly sessionTimeoutMsMin: number;
  /** group.max.session.timeout.ms */
  readonly sessionTimeoutMsMax: number;
  /** group.max.size: members of one group. */
  readonly groupSizeMax: number;
  /** group.initial.rebalance.delay.ms: how long a new group waits for more members; 0 waits for none. */
  readonly initialRebalanceDelayMs: number;
  /** offset.metadata.max.bytes; like Kafka it counts UTF-16 units. */
  readonly offsetMetadataSizeMax: number;
  /** offsets.retention.minutes, in milliseconds. */
  readonly offsetsRetentionMs: number;
  /** offsets.retention.check.interval.ms */
  readonly offsetsRetentionCheckIntervalMs: number;
  /** group.consumer.max.size */
  readonly consumerGroupSizeMax: number;
  /** group.consumer.assignors: those that members may ask for; the first is for those who do not. */
  readonly consumerAssignors: readonly string[];
  /** group.consumer.migration.policy: whether a consumer's first JoinGroup or ConsumerGroupHeartbeat changes the group's kind. */
  readonly migrationPolicy: MigrationPolicy;
}

export type MigrationPolicy = 'disabled' | 'upgrade' | 'downgrade' | 'bidirectional';

/** What may be set for one consumer group (ConfigResource GROUP), within the brokers' bounds. */
export interface ConsumerGroupConfig {
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** How long a target holds at least, so that members that come one after another share the next. */
  readonly assignmentIntervalMs: number;
}

/**
 * A member whose first JoinGroup is parked cannot heartbeat, so its session is this long (as in Kafka): then it must
 * retry.
 */
export const NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000;
/** Member ids handed out by MEMBER_ID_REQUIRED and not used yet, per group; one more is told to come back later. */
export const PENDING_MEMBERS_MAX = 10_000;
/** Groups of one shard; a request that would make one more is told to come back later. */
export const GROUPS_MAX = 1_000_000;
/** Groups whose timers are served by one tick. */
export const GROUPS_PER_TICK = 200;
/** Committed offsets, and groups, that one tick looks at for retention. */
export const RETENTION_STEPS_PER_TICK = 2_000;
/**
 * A tick this late may have left heartbeats unread in the sockets: members get as much again before they are judged.
 */
export const STALL_MS = 100;
/** Of a subscription; its program grows with it. In UTF-16 units. */
export const REGEX_LENGTH_MAX = 4_096;
/** Names that one tick matches: a few milliseconds. */
export const REGEX_MATCHES_PER_TICK = 2_000;
/** The regexes of a group are resolved again no sooner than this; as in Kafka. */
export const REGEX_REFRESH_MIN_MS = 10_000;
/** And no later, though no topic has come that might match. */
export const REGEX_REFRESH_MAX_MS = 600_000;
