/**
 * AlterConfigs and IncrementalAlterConfigs (KIP-339). Each resource of a request succeeds or fails by itself. Repeatable as long as
 * nobody else alters the same configs: they say what shall be, and appending twice appends once.
 */
import { brokerConfigDef } from '#model/broker-config';
import { splitList } from '#model/config-type';
import { ErrorCode } from '#model/errors';
import { validateGroupConfigs } from '#model/group-config';
import type { NodeId } from '#model/ids';
import { isBrokerList, validateDynamicConfig } from '#model/parse-broker-config';
import { isTopicConfig, topicConfigDef, validateTopicConfigs } from '#model/topic-config';
import {
  type ClusterDefaults,
  type ControllerState,
  clusterDefaults,
  type Decision,
  type Fault,
  fault,
  isFault,
  OK,
  type Outcome,
  RECORDS_PER_REQUEST_MAX,
} from './decision.ts';
import { changesByRules } from './elections.ts';
import type { MetadataImage, Topic } from './image.ts';
import { type MetadataRecord, ResourceType } from './records.ts';
import { DecisionRules } from './topic-rules.ts';

/** The wire's numbers. */
export const AlterOperation = { Set: 0, Delete: 1, Append: 2, Subtract: 3 } as const;

export interface ConfigChange {
  readonly key: string;
  /** One of AlterOperation; anything else is refused. */
  readonly operation: number;
  readonly value: string | null;
}

export interface AlteredResource<Change> {
  /** A number of the wire: a ResourceType, or refused. */
  readonly type: number;
  readonly name: string;
  readonly changes: readonly Change[];
}

export interface IncrementalAlterConfigsCommand {
  readonly resources: readonly AlteredResource<ConfigChange>[];
  readonly validateOnly: boolean;
}

export interface AlterConfigsCommand {
  /** All configs that the resource shall have. */
  readonly resources: readonly AlteredResource<{ readonly key: string; readonly value: string | null }>[];
  readonly validateOnly: boolean;
}

export interface AlteredConfigs extends Outcome {
  readonly type: number;
  readonly name: string;
}

export function incrementalAlterConfigs(
  state: ControllerState,
  command: IncrementalAlterConfigsCommand,
): Decision<readonly AlteredConfigs[]> {
  return alterEach(state, command, ({ type, name, changes }, defaults) => {
    const current = state.image.configs(type, name);
    const wanted = new Map<string, string | null>(current);
    for (const change of changes) {
      const before = (): string => current.get(change.key) ?? defaultText(state, defaults, type, change.key);
      const value = applyChange(type, change, before);
      if (isFault(value)) return value;
      if (value.text === null) wanted.delete(change.key);
      else wanted.set(change.key, value.text);
    }
    return wanted;
  });
}

/** Takes away what the request does not name. */
export function alterConfigs(
  state: ControllerState,
  command: AlterConfigsCommand,
): Decision<readonly AlteredConfigs[]> {
  return alterEach(state, command, ({ changes }) => new Map(changes.map(({ key, value }) => [key, value])));
}

type Resource<Change> = AlteredResource<Change> & { readonly type: ResourceType };
type Defaults = ClusterDefaults | Fault;
type WantedConfigs<Change> = (
  resource: Resource<Change>,
  defaults: Defaults,
) => ReadonlyMap<string, string | null> | Fault;

function alterEach<Change extends { readonly key: string }>(
  state: ControllerState,
  command: { readonly resources: readonly AlteredResource<Change>[]; readonly validateOnly: boolean },
  wantedConfigs: WantedConfigs<Change>,
): Decision<readonly AlteredConfigs[]> {
  // Once for all: a request may alter thousands of topics, in one turn.
  const defaults = clusterDefaults(state);
  const mentions = Map.groupBy(command.resources, ({ type, name }) => `${type}/${name}`);
  const records: MetadataRecord[] = [];
  const response: AlteredConfigs[] = [];
  for (const [resource, ...more] of mentions.values()) {
    if (resource === undefined) continue;
    const { type, name } = resource;
    const altered =
      more.length > 0
        ? fault(ErrorCode.InvalidRequest, 'Each resource must appear at most once.')
        : alter(state, defaults, resource, wantedConfigs);
    if (isFault(altered)) response.push({ type, name, ...altered });
    else if (records.length + altered.length > RECORDS_PER_REQUEST_MAX) {
      response.push({
        type,
        name,
        ...fault(ErrorCode.PolicyViolation, 'Excessively large number of configs per request.'),
      });
    } else {
      records.push(...altered);
      response.push({ type, name, ...OK });
    }
  }
  return { records: command.validateOnly ? [] : [...records, ...eligibleChanges(state, records)], response };
}

const MIN_ISR = 'min.insync.replicas';

/** With fewer replicas asked for, an ISR may be full that was not: whoever is outside it then misses what is acknowledged next (KIP-966). */
function eligibleChanges(state: ControllerState, records: readonly MetadataRecord[]): readonly MetadataRecord[] {
  const { image } = state;
  const topics = new Set<Topic>();
  for (const record of records) {
    if (record.kind !== 'config' || record.key !== MIN_ISR) continue;
    const topic = record.resourceType === ResourceType.Topic ? image.topic(record.resourceName) : undefined;
    for (const each of topic === undefined ? image.topics() : [topic]) topics.add(each);
  }
  if (topics.size === 0) return [];
  const partitions = [...topics].flatMap((topic) => topic.partitions.map((partition) => ({ topic, state: partition })));
  return changesByRules(partitions, new DecisionRules(state, {}, records));
}

function alter<Change extends { readonly key: string }>(
  state: ControllerState,
  defaults: Defaults,
  resource: AlteredResource<Change>,
  wantedConfigs: WantedConfigs<Change>,
): readonly MetadataRecord[] | Fault {
  const { name, changes } = resource;
  const type = alterableType(state.image, resource);
  if (typeof type !== 'number') return type;
  const twice = repeatedKeys(changes);
  if (twice.length > 0) {
    return fault(ErrorCode.InvalidRequest, `Error due to duplicate config keys: ${twice.join(',')}`);
  }
  const wanted = wantedConfigs({ ...resource, type }, defaults);
  if (isFault(wanted)) return wanted;
  const current = state.image.configs(type, name);
  const refusal = refuseConfigs(defaults, type, name, wanted, current);
  if (refusal !== undefined) return refusal;

  const records: MetadataRecord[] = [];
  const put = (key: string, value: string | null) =>
    records.push({ kind: 'config', resourceType: type, resourceName: name, key, value });
  for (const [key, value] of wanted) if (value !== current.get(key)) put(key, value);
  for (const key of current.keys()) if (!wanted.has(key)) put(key, null);
  return records;
}

function repeatedKeys(changes: readonly { readonly key: string }[]): readonly string[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { key } of changes) (seen.has(key) ? twice : seen).add(key);
  return [...twice];
}

/** The resource's type, if configs of it can be altered and it exists. */
function alterableType(image: MetadataImage, { type, name }: { type: number; name: string }): ResourceType | Fault {
  if (type === ResourceType.Topic) {
    if (image.topic(name) !== undefined) return type;
    return fault(ErrorCode.UnknownTopicOrPartition, `The topic '${name}' does not exist.`);
  }
  if (type === ResourceType.Group) {
    return name === '' ? fault(ErrorCode.InvalidRequest, 'Default group resources are not allowed.') : type;
  }
  if (type !== ResourceType.Broker) {
    return fault(ErrorCode.InvalidRequest, `Configs of resource type ${type} cannot be altered.`);
  }
  if (name === '') return type;
  if (!/^\d{1,9}$/.test(name) || String(Number(name)) !== name) {
    const message = `Node id must be an integer or empty for cluster defaults, but it is: ${name}`;
    return fault(ErrorCode.InvalidRequest, message);
  }
  if (image.brokers.has(Number(name) as NodeId)) return type;
  return fault(ErrorCode.BrokerIdNotRegistered, `No broker with id ${name} found.`);
}

const VALUE_CHARS_MAX = 0x7fff;

/** Only what changes is checked by itself, so that a value of an older version does not block others. */
function refuseConfigs(
  defaults: Defaults,
  type: ResourceType,
  name: string,
  wanted: ReadonlyMap<string, string | null>,
  current: ReadonlyMap<string, string>,
): Fault | undefined {
  const changed = [...wanted].filter(([key, value]) => current.get(key) !== value);
  for (const [key, value] of changed) {
    if (value !== null && value.length > VALUE_CHARS_MAX) {
      const message = `The configuration value of ${key} cannot be added because it exceeds the maximum value size of ${VALUE_CHARS_MAX} bytes.`;
      return fault(ErrorCode.InvalidConfig, message);
    }
  }
  if (type === ResourceType.Topic) {
    if (isFault(defaults)) return defaults;
    const problem = validateTopicConfigs(wanted, defaults.topic);
    return problem === undefined ? undefined : fault(ErrorCode.InvalidConfig, problem);
  }
  if (type === ResourceType.Group) {
    if (isFault(defaults)) return defaults;
    const problem = validateGroupConfigs(wanted, defaults.config);
    return problem === undefined ? undefined : fault(ErrorCode.InvalidConfig, problem);
  }
  const scope = name === '' ? 'cluster-wide' : 'per-broker';
  for (const [key, value] of changed) {
    if (value === null) return fault(ErrorCode.InvalidRequest, `Null value not supported for : ${key}`);
    const refused = validateDynamicConfig(key, value, scope);
    if (refused === undefined) continue;
    return fault(refused.kind === 'read-only' ? ErrorCode.InvalidRequest : ErrorCode.InvalidConfig, refused.problem);
  }
  return undefined;
}

/** The new text; null takes the config away. `before`: the present one, or the default. */
function applyChange(
  type: ResourceType,
  { key, operation, value }: ConfigChange,
  before: () => string,
): { readonly text: string | null } | Fault {
  if (operation === AlterOperation.Delete) return { text: null };
  if (value === null) return fault(ErrorCode.InvalidRequest, `Null value not supported for : ${key}`);
  if (operation === AlterOperation.Set) return { text: value };
  if (operation !== AlterOperation.Append && operation !== AlterOperation.Subtract) {
    return fault(ErrorCode.InvalidRequest, `Unknown config operation ${operation} for ${key}.`);
  }
  const word = operation === AlterOperation.Append ? 'APPEND' : 'SUBTRACT';
  if (!isList(type, key)) {
    return fault(ErrorCode.InvalidConfig, `Can't ${word} to key ${key} because its type is not LIST.`);
  }
  const present = splitList(before());
  const named = splitList(value);
  const kept = operation === AlterOperation.Append ? present : present.filter((part) => !named.includes(part));
  const added = operation === AlterOperation.Append ? named.filter((part) => !present.includes(part)) : [];
  return { text: [...kept, ...added].join(',') };
}

function isList(type: ResourceType, key: string): boolean {
  if (type === ResourceType.Broker) return isBrokerList(key);
  return isTopicConfig(key) && topicConfigDef(key).type === 'LIST';
}

function defaultText({ given }: ControllerState, defaults: Defaults, type: ResourceType, key: string): string {
  if (type === ResourceType.Broker) return given.get(key) ?? brokerConfigDef(key)?.def.default ?? '';
  return isFault(defaults) ? '' : (defaults.topic.get(key) ?? '');
}
