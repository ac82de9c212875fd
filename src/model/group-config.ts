/** The configs of a consumer group (ConfigResource GROUP): each has a broker config of the same name behind `group.`, and bounds. */
import { type BrokerConfig, brokerConfigDef } from './broker-config.ts';
import { type ConfigDef, invalidValue } from './config-type.ts';

/** In milliseconds; each within what the brokers allow. */
export interface ConsumerGroupSettings {
  readonly assignmentIntervalMs: number;
  readonly heartbeatIntervalMs: number;
  readonly sessionTimeoutMs: number;
}

interface GroupConfigRule {
  readonly field: keyof ConsumerGroupSettings;
  /** The broker configs of its bounds. */
  readonly minName: string;
  readonly maxName: string;
  readonly bounds: (config: BrokerConfig) => { readonly min: number; readonly max: number; readonly otherwise: number };
}

const RULES: Readonly<Record<string, GroupConfigRule>> = {
  'consumer.assignment.interval.ms': {
    field: 'assignmentIntervalMs',
    minName: 'group.consumer.min.assignment.interval.ms',
    maxName: 'group.consumer.max.assignment.interval.ms',
    bounds: (config) => ({
      min: config.groupConsumerMinAssignmentIntervalMs,
      max: config.groupConsumerMaxAssignmentIntervalMs,
      otherwise: config.groupConsumerAssignmentIntervalMs,
    }),
  },
  'consumer.heartbeat.interval.ms': {
    field: 'heartbeatIntervalMs',
    minName: 'group.consumer.min.heartbeat.interval.ms',
    maxName: 'group.consumer.max.heartbeat.interval.ms',
    bounds: (config) => ({
      min: config.groupConsumerMinHeartbeatIntervalMs,
      max: config.groupConsumerMaxHeartbeatIntervalMs,
      otherwise: config.groupConsumerHeartbeatIntervalMs,
    }),
  },
  'consumer.session.timeout.ms': {
    field: 'sessionTimeoutMs',
    minName: 'group.consumer.min.session.timeout.ms',
    maxName: 'group.consumer.max.session.timeout.ms',
    bounds: (config) => ({
      min: config.groupConsumerMinSessionTimeoutMs,
      max: config.groupConsumerMaxSessionTimeoutMs,
      otherwise: config.groupConsumerSessionTimeoutMs,
    }),
  },
};

export const GROUP_CONFIG_NAMES: readonly string[] = Object.keys(RULES);

export function isGroupConfig(name: string): boolean {
  return Object.hasOwn(RULES, name);
}

/** The broker config that gives it its default. */
export function groupConfigSynonym(name: string): string {
  return `group.${name}`;
}

/** Undefined if there is no such config. */
export function groupConfigDef(name: string): ConfigDef | undefined {
  return isGroupConfig(name) ? brokerConfigDef(groupConfigSynonym(name))?.def : undefined;
}

/** Why a group may not have these configs, all of them together (for INVALID_CONFIG), or undefined. */
export function validateGroupConfigs(
  wanted: ReadonlyMap<string, string | null>,
  config: BrokerConfig,
): string | undefined {
  const texts = new Map<string, string>();
  for (const [name, text] of wanted) {
    const def = groupConfigDef(name);
    const rule = RULES[name];
    if (def === undefined || rule === undefined) return `Unknown group config name: ${name}`;
    if (text === null) return `Null value not supported for group configs: ${name}`;
    const read = def.read(text);
    if ('problem' in read) return invalidValue(name, text, read.problem);
    const { min, max } = rule.bounds(config);
    if (Number(read.value) < min) return `${name} must be greater than or equal to ${rule.minName}`;
    if (Number(read.value) > max) return `${name} must be less than or equal to ${rule.maxName}`;
    texts.set(name, text);
  }
  const { sessionTimeoutMs, heartbeatIntervalMs } = consumerGroupSettings(texts, config);
  if (sessionTimeoutMs > heartbeatIntervalMs) return undefined;
  return 'consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms';
}

/** What holds for a group. What was stored under other bounds is brought within those that hold now. */
export function consumerGroupSettings(
  overrides: ReadonlyMap<string, string>,
  config: BrokerConfig,
): ConsumerGroupSettings {
  const settings: Record<keyof ConsumerGroupSettings, number> = {
    assignmentIntervalMs: 0,
    heartbeatIntervalMs: 0,
    sessionTimeoutMs: 0,
  };
  for (const [name, { field, bounds }] of Object.entries(RULES)) {
    const { min, max, otherwise } = bounds(config);
    const text = overrides.get(name);
    const read = text === undefined ? undefined : groupConfigDef(name)?.read(text);
    const value = read !== undefined && 'value' in read ? Number(read.value) : otherwise;
    settings[field] = Math.min(max, Math.max(min, value));
  }
  return settings;
}
