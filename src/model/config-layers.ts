/** Where the value of a config comes from: the layers of broker configs below a topic's own, and what DescribeConfigs shows of them. */
import { BROKER_CONFIG_NAMES, brokerConfigDef } from './broker-config.ts';
import type { ConfigType } from './config-type.ts';
import { GROUP_CONFIG_NAMES, groupConfigDef, groupConfigSynonym } from './group-config.ts';
import { sizedDefaults } from './parse-broker-config.ts';
import { brokerSynonyms, TOPIC_CONFIG_NAMES, type TopicConfigName, topicConfigDef } from './topic-config.ts';

/** The wire's numbers (KIP-226). */
export const ConfigSource = {
  Topic: 1,
  DynamicBroker: 2,
  DynamicDefaultBroker: 3,
  StaticBroker: 4,
  Default: 5,
  Group: 8,
} as const;
export type ConfigSource = (typeof ConfigSource)[keyof typeof ConfigSource];

/** The wire's numbers of config types (KIP-569). */
export const CONFIG_TYPE_CODES = {
  BOOLEAN: 1,
  STRING: 2,
  INT: 3,
  LONG: 5,
  DOUBLE: 6,
  LIST: 7,
} as const satisfies Readonly<Record<ConfigType, number>>;

/** One broker's configs as text, the strongest layer first. */
export interface BrokerLayers {
  /** Set at run time for this broker; without effect on what is `cluster-only`. */
  readonly perBroker: ReadonlyMap<string, string>;
  /** Set at run time for all brokers. */
  readonly clusterWide: ReadonlyMap<string, string>;
  /** Given at start (`ParsedBrokerConfig.given`). */
  readonly given: ReadonlyMap<string, string>;
  readonly targetSize: number;
}

export interface ConfigSynonym {
  readonly name: string;
  readonly value: string | null;
  readonly source: ConfigSource;
}

export interface ConfigEntry extends ConfigSynonym {
  readonly type: ConfigType;
  readonly doc: string;
  readonly readOnly: boolean;
  /** Every value set for it, the one that counts first (KIP-226). */
  readonly synonyms: readonly ConfigSynonym[];
}

/** The texts that topics without an own value take, by the topic config's name: the `defaults` of `parseTopicConfig`. */
export function topicDefaults(layers: BrokerLayers): ReadonlyMap<string, string> {
  const sized = sizedDefaults(layers.targetSize);
  const texts = new Map<string, string>();
  for (const name of TOPIC_CONFIG_NAMES) {
    const text = firstText(name, layers, sized);
    if (text !== undefined) texts.set(name, text);
  }
  return texts;
}

/** Every topic config with its value, by name. */
export function describeTopicConfigs(
  overrides: ReadonlyMap<string, string>,
  layers: BrokerLayers,
): readonly ConfigEntry[] {
  const defaults = topicDefaults(layers);
  return TOPIC_CONFIG_NAMES.map((name) => {
    const def = topicConfigDef(name);
    const override = overrides.get(name);
    const synonyms: ConfigSynonym[] = [];
    if (override !== undefined) synonyms.push({ name, value: override, source: ConfigSource.Topic });
    for (const synonym of brokerSynonyms(name)) synonyms.push(...brokerValues(synonym.name, layers));
    const strongest = synonyms[0];
    const source = strongest?.source ?? ConfigSource.Default;
    const value = override ?? defaults.get(name) ?? def.default;
    return { name, value, source, type: def.type, doc: def.doc, readOnly: false, synonyms };
  });
}

/** Every config of a consumer group with its value, by name. */
export function describeGroupConfigs(
  overrides: ReadonlyMap<string, string>,
  layers: BrokerLayers,
): readonly ConfigEntry[] {
  return GROUP_CONFIG_NAMES.flatMap((name) => {
    const def = groupConfigDef(name);
    if (def === undefined) return [];
    const override = overrides.get(name);
    const synonyms: ConfigSynonym[] = [];
    if (override !== undefined) synonyms.push({ name, value: override, source: ConfigSource.Group });
    synonyms.push(...brokerValues(groupConfigSynonym(name), layers));
    const { value, source } = synonyms[0] ?? { value: def.default, source: ConfigSource.Default };
    return [{ name, value, source, type: def.type, doc: def.doc, readOnly: false, synonyms }];
  });
}

/** Every broker config with its value, by name. */
export function describeBrokerConfigs(layers: BrokerLayers): readonly ConfigEntry[] {
  return BROKER_CONFIG_NAMES.flatMap((name) => {
    const known = brokerConfigDef(name);
    if (known === undefined) return [];
    const synonyms = brokerValues(name, layers);
    const { value, source } = synonyms[0] ?? { value: null, source: ConfigSource.Default };
    const { type, doc } = known.def;
    return [{ name, value, source, type, doc, readOnly: known.update === 'read-only', synonyms }];
  });
}

function brokerValues(name: string, layers: BrokerLayers): readonly ConfigSynonym[] {
  const values: ConfigSynonym[] = [];
  const add = (value: string | null | undefined, source: ConfigSource) => {
    if (value !== undefined && value !== null) values.push({ name, value, source });
  };
  add(ownValue(name, layers), ConfigSource.DynamicBroker);
  add(layers.clusterWide.get(name), ConfigSource.DynamicDefaultBroker);
  add(layers.given.get(name), ConfigSource.StaticBroker);
  add(sizedDefaults(layers.targetSize).get(name) ?? brokerConfigDef(name)?.def.default, ConfigSource.Default);
  return values;
}

function ownValue(name: string, { perBroker }: BrokerLayers): string | undefined {
  return brokerConfigDef(name)?.update === 'cluster-only' ? undefined : perBroker.get(name);
}

function firstText(
  name: TopicConfigName,
  layers: BrokerLayers,
  sized: ReadonlyMap<string, string>,
): string | undefined {
  for (const { name: broker, unitMs } of brokerSynonyms(name)) {
    const text =
      ownValue(broker, layers) ??
      layers.clusterWide.get(broker) ??
      layers.given.get(broker) ??
      sized.get(broker) ??
      brokerConfigDef(broker)?.def.default;
    if (text === undefined || text === null) continue;
    // A negative count of hours means "no limit", as -1 ms does.
    return unitMs === 1 ? text : String(Math.max(-1, Number(text) * unitMs));
  }
  return undefined;
}
