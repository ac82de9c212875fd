/** Where a node's configs come from: flag before environment before file before default. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { parseJavaProperties } from '#base/java-properties';
import { BROKER_ALIASES, BROKER_CONFIG_NAMES } from '#model/broker-config';
import { INERT_BROKER_CONFIGS, LISTENER_CONFIGS, MISSING_GUARDS } from '#model/inert-config';
import { nearestName } from '#model/nearest-name';
import { type ParsedBrokerConfig, parseBrokerConfig } from '#model/parse-broker-config';
import { clusterProblems, ownVoterAddress } from './cluster-config.ts';

/** The command was called wrongly: the message says how to do better. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Sources {
  /** Configs that flags set, by name. */
  readonly flags: ReadonlyMap<string, string>;
  /** `KEY=VALUE` of each --set. */
  readonly set: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** YAML, or Java properties if its name ends so. */
  readonly file: string | undefined;
  /** What holds where nothing else says otherwise. */
  readonly defaults: ReadonlyMap<string, string>;
}

const OWN_PREFIX = 'ODRADEK_';
/** Compose files for Kafka set these; what is no config among them (KAFKA_HEAP_OPTS) is not ours to judge. */
const KAFKA_PREFIX = 'KAFKA_';
/** What Kubernetes tells every pod of a Service called odradek, or odradek-…, as NAME=value behind the prefix: addresses, and no configs. */
const SERVICE_LINK =
  /^(?:\w+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)=|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?=|PORT=(?:tcp|udp|sctp):)/;
/** Read by the command line itself. */
const OWN_SETTINGS: ReadonlySet<string> = new Set(['ODRADEK_LOG_LEVEL', 'ODRADEK_CONFIG']);

/** Throws UsageError with all that is wrong. */
export function resolveConfig(sources: Sources): ParsedBrokerConfig {
  const entries = new Map(sources.defaults);
  if (sources.file !== undefined) assign(entries, fileEntries(sources.file));
  assign(entries, environmentEntries(sources.environment));
  assign(entries, sources.flags);
  assign(entries, setEntries(sources.set));
  const parsed = parsedEntries(entries);
  const ownAddress = ownVoterAddress(parsed);
  const asListed = ownAddress !== undefined && !parsed.given.has('peer.listener');
  const resolved = asListed ? parsedEntries(entries.set('peer.listener', ownAddress)) : parsed;
  const problems = [...folderProblems(resolved.config.logDirs), ...clusterProblems(resolved)];
  if (problems.length > 0) throw usageError(problems);
  return resolved;
}

function folderProblems(folders: readonly string[]): readonly string[] {
  if (folders.length === 0) return ['log.dirs (--data-dir) names no folder: a node keeps its data somewhere'];
  const paths = folders.map((folder) => resolve(folder));
  const twice = folders.filter((_, index) => paths.indexOf(paths[index] ?? '') < index);
  return twice.map((folder) => `log.dirs (--data-dir) names the folder ${folder} twice`);
}

function parsedEntries(entries: ReadonlyMap<string, string>): ParsedBrokerConfig {
  const parsed = parseBrokerConfig(entries);
  if ('errors' in parsed) throw usageError(parsed.errors);
  return parsed;
}

/** One for all sentences. */
export function usageError(sentences: readonly string[]): UsageError {
  return new UsageError(sentences.join('\n         '));
}

/** Two names of one config (log.dirs, data-dir) are one entry between sources; within one they must agree. */
function assign(entries: Map<string, string>, stronger: ReadonlyMap<string, string>): void {
  const overridden = new Set([...stronger.keys()].map(canonicalName));
  for (const name of [...entries.keys()]) if (overridden.has(canonicalName(name))) entries.delete(name);
  for (const [name, value] of stronger) entries.set(name, value);
}

function canonicalName(config: string): string {
  return BROKER_ALIASES.get(config) ?? config;
}

function setEntries(texts: readonly string[]): Map<string, string> {
  const entries = new Map<string, string>();
  for (const text of texts) {
    const [, key, value] = /^\s*([^=\s]+)\s*=(.*)$/s.exec(text) ?? [];
    if (key === undefined || value === undefined) throw new UsageError(`--set takes KEY=VALUE, not "${text}"`);
    entries.set(key, value.trim());
  }
  return entries;
}

export function environmentEntries(environment: Readonly<Record<string, string | undefined>>): Map<string, string> {
  // Those of Kafka too: what asks for TLS on a listener, or for an authorizer, must be seen wherever it stands.
  const theirs = [...INERT_BROKER_CONFIGS, ...LISTENER_CONFIGS, ...MISSING_GUARDS.keys()];
  const names = new Map(
    [...theirs, ...BROKER_CONFIG_NAMES, ...BROKER_ALIASES.keys()].map((name) => [environmentName(name), name]),
  );
  const kafka = new Map<string, string>();
  const own = new Map<string, string>();
  for (const [variable, value] of Object.entries(environment)) {
    if (value === undefined || OWN_SETTINGS.has(variable)) continue;
    if (variable.startsWith(OWN_PREFIX)) {
      const unprefixed = variable.slice(OWN_PREFIX.length);
      const name = names.get(unprefixed);
      if (name !== undefined) own.set(name, value);
      else if (!SERVICE_LINK.test(`${unprefixed}=${value}`))
        throw new UsageError(unknownVariable(variable, names.keys()));
    } else if (variable.startsWith(KAFKA_PREFIX)) {
      const name = names.get(variable.slice(KAFKA_PREFIX.length));
      if (name !== undefined) kafka.set(name, value);
    }
  }
  assign(kafka, own);
  return kafka;
}

function environmentName(config: string): string {
  return config.toUpperCase().replaceAll(/[.-]/g, '_');
}

function unknownVariable(variable: string, known: Iterable<string>): string {
  const nearest = nearestName(variable.slice(OWN_PREFIX.length), known);
  const hint = nearest === undefined ? '' : `; did you mean ${OWN_PREFIX}${nearest}?`;
  return `the environment variable ${variable} names no config${hint}`;
}

export function fileEntries(path: string): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UsageError(`the config file cannot be read: ${code === 'EISDIR' ? `${path} is a folder` : message}`);
  }
  return path.endsWith('.properties') ? propertiesEntries(path, text) : yamlEntries(path, text);
}

function propertiesEntries(path: string, text: string): Map<string, string> {
  const parsed = parseJavaProperties(text);
  if ('error' in parsed) throw new UsageError(`${path}: ${parsed.error}`);
  return new Map(parsed.value);
}

/** Flat keys (`log.dirs: x`) and nested ones (`log: {dirs: x}`) mean the same; lists become Kafka's commas. */
function yamlEntries(path: string, text: string): Map<string, string> {
  // Loaded when a file asks for it: a node without one starts sooner.
  const { parse: parseYaml } = createRequire(import.meta.url)('yaml') as typeof import('yaml');
  let root: unknown;
  try {
    root = parseYaml(text);
  } catch (error) {
    throw new UsageError(`${path} is not YAML: ${(error as Error).message}`);
  }
  if (root === null || root === undefined) return new Map();
  if (typeof root !== 'object' || Array.isArray(root)) throw new UsageError(`${path}: keys and values are expected`);
  const entries = new Map<string, string>();
  flatten(root, '', entries);
  return entries;
}

function flatten(value: object, prefix: string, into: Map<string, string>): void {
  for (const [key, inner] of Object.entries(value)) {
    const name = `${prefix}${key}`;
    if (inner === null) into.set(name, '');
    else if (Array.isArray(inner)) into.set(name, inner.map(String).join(','));
    else if (typeof inner === 'object') flatten(inner, `${name}.`, into);
    else into.set(name, String(inner));
  }
}
