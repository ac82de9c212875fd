/** Writes docs/configs.md from the definitions of the configs. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BROKER_ALIASES, BROKER_CONFIG_NAMES, brokerConfigDef, type UpdateMode } from '#model/broker-config';
import type { ConfigDef } from '#model/config-type';
import { GROUP_CONFIG_NAMES, groupConfigDef } from '#model/group-config';
import { INERT_BROKER_CONFIGS, LISTENER_CONFIGS, MISSING_GUARDS } from '#model/inert-config';
import { brokerSynonyms, TOPIC_CONFIG_NAMES, topicConfigDef } from '#model/topic-config';

const UPDATES: Readonly<Record<UpdateMode, string>> = {
  'read-only': '',
  'per-broker': 'a broker',
  'cluster-wide': 'a broker, all',
  'cluster-only': 'all',
};

const row = (...cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

function shown({ default: text }: ConfigDef): string {
  if (text === null) return '';
  return text === '' ? 'empty' : `\`${text}\``;
}

function brokerRows(): readonly string[] {
  return BROKER_CONFIG_NAMES.flatMap((name) => {
    const known = brokerConfigDef(name);
    if (known === undefined) return [];
    const aliases = [...BROKER_ALIASES].filter(([, meant]) => meant === name).map(([alias]) => `\`${alias}\``);
    const names = [`\`${name}\``, ...aliases].join(', ');
    return [row(names, shown(known.def), UPDATES[known.update], known.def.doc)];
  });
}

function topicRows(): readonly string[] {
  return TOPIC_CONFIG_NAMES.map((name) => {
    const def = topicConfigDef(name);
    const synonyms = brokerSynonyms(name).map((synonym) => `\`${synonym.name}\``);
    return row(`\`${name}\``, shown(def), synonyms.join(', '), def.doc);
  });
}

function groupRows(): readonly string[] {
  return GROUP_CONFIG_NAMES.flatMap((name) => {
    const def = groupConfigDef(name);
    return def === undefined ? [] : [row(`\`${name}\``, shown(def), `\`group.${name}\``, def.doc)];
  });
}

function named(names: Iterable<string>): string {
  return [...names].map((name) => `\`${name}\``).join(', ');
}

/** The whole page. */
export function configReference(): string {
  return `# Configs

Written by \`node scripts/config-reference.ts\`. Sizes are bytes, times milliseconds, unless a name says otherwise. Names that Kafka has too
mean what they mean there; defaults may differ. A key may stand in the file, after \`--set\`, or in the environment
(\`ODRADEK_LOG_RETENTION_HOURS\`); flags of \`odradek start\` are short for some. "At run time" says by what IncrementalAlterConfigs
(\`kafka-configs.sh\`) changes it: for one broker, for all, or, if nothing stands there, not at all.

## Of a node

| key | default | at run time | |
| --- | --- | --- | --- |
${brokerRows().join('\n')}

These of Kafka's keys are taken, have no effect, and are warned of: ${named(INERT_BROKER_CONFIGS)}.
${named(LISTENER_CONFIGS)} are read for what they say of \`listeners\`: which one is the controller's, here \`peer.listener\`; TLS and SASL are refused.
So are, unless they are empty, ${named(MISSING_GUARDS.keys())}, also as KAFKA_ variables; others of these that name no key here are left alone.

## Of a topic

A topic that has none of its own takes that of the brokers, by the key in the third column.

| key | default | of brokers | |
| --- | --- | --- | --- |
${topicRows().join('\n')}

## Of a consumer group (KIP-848)

| key | default | of brokers | |
| --- | --- | --- | --- |
${groupRows().join('\n')}
`;
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, '../docs/configs.md'), configReference());
