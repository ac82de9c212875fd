/** From the text of a file, the environment and flags to a node's typed configs, or everything that is wrong with the text. */
import {
  BROKER_ALIASES,
  BROKER_CONFIG_NAMES,
  BROKER_CONFIGS,
  type BrokerConfig,
  brokerConfigDef,
} from './broker-config.ts';
import { fieldOf, invalidValue, splitList } from './config-type.ts';
import { INERT_BROKER_CONFIGS, LISTENER_CONFIGS, MISSING_GUARDS } from './inert-config.ts';
import { parseListener } from './listener.ts';
import { nearestName } from './nearest-name.ts';

export interface ParsedBrokerConfig {
  readonly config: BrokerConfig;
  /** What was given, under the configs' own names: the static layer of `config-layers`. */
  readonly given: ReadonlyMap<string, string>;
  /** Kafka's names that have no effect here: for one warning each. */
  readonly inert: readonly string[];
}

const SECURE = new Set(['SSL', 'SASL_PLAINTEXT', 'SASL_SSL']);

/** Two may be gone and nothing is lost; more is asked for, not given. */
const REPLICAS_MAX = 3;

/**
 * Replication defaults by the size that the cluster is meant to have (design.md): they hold unless the config is given.
 * min.insync.replicas is clamped to a topic's replication factor where it is used.
 */
export function sizedDefaults(targetSize: number): ReadonlyMap<string, string> {
  const factor = Math.min(REPLICAS_MAX, targetSize);
  return new Map([
    ['default.replication.factor', String(factor)],
    ['min.insync.replicas', factor >= 3 ? '2' : '1'],
    ['offsets.topic.replication.factor', String(factor)],
    ['transaction.state.log.replication.factor', String(factor)],
  ]);
}

/**
 * The typed configs of a node. `targetSize` is what the cluster's metadata say once they are known; before that it is
 * cluster.target.size, else the number of voters given, else 1. Errors are sentences for the user, one per wrong entry.
 */
export function parseBrokerConfig(
  entries: ReadonlyMap<string, string>,
  targetSize?: number,
): ParsedBrokerConfig | { readonly errors: readonly string[] } {
  const { given, inert, errors } = knownEntries(entries);
  errors.push(...insecureListeners(entries));
  if (errors.length > 0) return { errors };
  separatePeerListener(given, splitList(entries.get('controller.listener.names') ?? ''));

  const voters = splitList(given.get('controller.quorum.voters') ?? '').length;
  const size = targetSize ?? Number(given.get('cluster.target.size') ?? Math.max(1, voters));
  const sized = sizedDefaults(size);
  const fields: Record<string, unknown> = {};
  for (const [name, def] of Object.entries(BROKER_CONFIGS)) {
    const text = given.get(name) ?? sized.get(name) ?? def.default;
    const read = text === null ? undefined : def.read(text);
    fields[fieldOf(name)] = read !== undefined && 'value' in read ? read.value : undefined;
  }
  return { config: fields as BrokerConfig, given, inert };
}

/** The name that a user probably meant, if there is one near: for "unknown config … did you mean …". */
export function nearestConfig(name: string): string | undefined {
  return nearestName(name, [...BROKER_CONFIG_NAMES, ...BROKER_ALIASES.keys()]);
}

function knownEntries(entries: ReadonlyMap<string, string>) {
  const given = new Map<string, string>();
  const inert: string[] = [];
  const errors: string[] = [];
  for (const [key, text] of entries) {
    const name = BROKER_ALIASES.get(key) ?? key;
    const known = brokerConfigDef(name);
    if (known === undefined) {
      const refusal = refusalOf(name, text);
      if (refusal !== undefined) errors.push(refusal);
      else if (INERT_BROKER_CONFIGS.has(name)) inert.push(name);
      continue;
    }
    const read = known.def.read(text);
    if ('problem' in read) errors.push(invalidValue(key, text, read.problem));
    else if (name !== key && entries.has(name) && entries.get(name) !== text) {
      errors.push(`${key} and ${name} are the same config and have different values`);
    } else given.set(name, text);
  }
  return { given, inert, errors };
}

/** Why what is no config of ours may not stand there; undefined: it may. */
function refusalOf(name: string, text: string): string | undefined {
  if (INERT_BROKER_CONFIGS.has(name) || LISTENER_CONFIGS.has(name)) return undefined;
  const guard = MISSING_GUARDS.get(name);
  if (guard === undefined) return unknownConfig(name);
  return text.trim() === '' ? undefined : `${name}: ${text} asks for ${guard}, which this version does not have`;
}

function unknownConfig(name: string): string {
  const near = nearestConfig(name);
  return `Unknown config: ${name}${near === undefined ? '' : ` (did you mean ${near}?)`}`;
}

/** A listener that asks for TLS or SASL must never come up in the clear. */
function insecureListeners(entries: ReadonlyMap<string, string>): readonly string[] {
  const protocols = new Map<string, string>();
  for (const pair of splitList(entries.get('listener.security.protocol.map') ?? '')) {
    const [name = '', protocol = ''] = pair.split(':');
    protocols.set(name.trim().toUpperCase(), protocol.trim().toUpperCase());
  }
  const errors: string[] = [];
  for (const part of splitList(entries.get('listeners') ?? '')) {
    const name = parseListener(part)?.name ?? '';
    const protocol = protocols.get(name) ?? name;
    if (SECURE.has(protocol)) errors.push(`listeners: ${part} asks for ${protocol}, which this version does not serve`);
  }
  return errors;
}

/** Kafka's files list the controller's listener among `listeners`: it is our peer listener. */
function separatePeerListener(given: Map<string, string>, controllerNames: readonly string[]): void {
  const peers = new Set(controllerNames.map((name) => name.toUpperCase()));
  if (peers.size === 0) return;
  const isPeer = (part: string) => peers.has(parseListener(part)?.name ?? '');
  for (const name of ['listeners', 'advertised.listeners'] as const) {
    const parts = splitList(given.get(name) ?? '');
    if (parts.length === 0) continue;
    const peer = parts.find(isPeer);
    const others = parts.filter((part) => !isPeer(part));
    if (others.length > 0) given.set(name, others.join(','));
    else given.delete(name);
    if (name === 'listeners' && peer !== undefined && !given.has('peer.listener')) {
      given.set('peer.listener', peer.slice(peer.indexOf('://') + 3));
    }
  }
}

/** Why a broker config may not be changed at run time to this text; read-only ones are told apart for INVALID_REQUEST. */
export function validateDynamicConfig(
  name: string,
  text: string,
  scope: 'per-broker' | 'cluster-wide',
): { readonly kind: 'read-only' | 'invalid'; readonly problem: string } | undefined {
  const known = brokerConfigDef(name);
  if (known === undefined) {
    const isTaken = INERT_BROKER_CONFIGS.has(name) || LISTENER_CONFIGS.has(name);
    if (!isTaken) return { kind: 'invalid', problem: `Unknown broker config name: ${name}` };
    return { kind: 'read-only', problem: `Cannot update these configs dynamically: Set(${name})` };
  }
  if (known.update === 'read-only') {
    return { kind: 'read-only', problem: `Cannot update these configs dynamically: Set(${name})` };
  }
  if (known.update === 'per-broker' && scope === 'cluster-wide') {
    const problem = `Cannot update these configs at default cluster level, broker id must be specified: Set(${name})`;
    return { kind: 'read-only', problem };
  }
  if (known.update === 'cluster-only' && scope === 'per-broker') {
    const problem = `${name} cannot be set for one broker: leaders and the controller must go by one value. Set it for the cluster or for the topic.`;
    return { kind: 'invalid', problem };
  }
  const read = known.def.read(text);
  return 'problem' in read ? { kind: 'invalid', problem: invalidValue(name, text, read.problem) } : undefined;
}

/** Only a LIST takes APPEND and SUBTRACT. */
export function isBrokerList(name: string): boolean {
  return brokerConfigDef(name)?.def.type === 'LIST';
}
