/** The cluster's first record, and the coming and going of brokers. */
import { assert } from '#base/assert';
import { ErrorCode } from '#model/errors';
import { SUPPORTED_FEATURES } from '#model/features';
import type { NodeId, Uuid } from '#model/ids';
import { newUuid } from '#model/uuids';
import type { Voter } from '#model/voter';
import { type ControllerState, type Decision, type Fault, fault, isFault, OK, type Outcome } from './decision.ts';
import { changesOnFence, changesOnUnfence } from './elections.ts';
import type { MetadataImage } from './image.ts';
import type { Broker, FeatureLevelRecord, MetadataRecord } from './records.ts';

export interface BootstrapCommand {
  readonly voters: readonly Voter[];
  readonly targetSize: number;
}

/** The first records of a new cluster; none if it exists. */
export function bootstrap({ image, random }: ControllerState, command: BootstrapCommand): Decision<Outcome> {
  if (image.cluster !== undefined) return { records: [], response: OK };
  const features = SUPPORTED_FEATURES.filter(({ initial }) => initial > 0).map(
    ({ name, initial }): FeatureLevelRecord => ({ kind: 'featureLevel', name, level: initial, epoch: 0 }),
  );
  const { voters, targetSize } = command;
  return {
    records: [{ kind: 'bootstrap', clusterId: newUuid(random), voters, targetSize }, ...features],
    response: OK,
  };
}

export interface RegisterBrokerCommand {
  readonly clusterId: Uuid;
  readonly broker: Omit<Broker, 'brokerEpoch' | 'fenced'>;
}

const TEXT_CHARS_MAX = 0x7fff;

/**
 * A broker's new process. Another incarnation with one of the same directories replaces the old one at once; with other directories it
 * is a second machine under the same id and waits until the first is fenced. The broker is fenced until `unfenceBroker`; its epoch,
 * the index of this entry, stands in the image once the records are committed.
 */
export function registerBroker({ image }: ControllerState, command: RegisterBrokerCommand): Decision<Outcome> {
  const { broker } = command;
  const former = image.brokers.get(broker.id);
  const refusal = refuseRegistration(image, command, former);
  if (refusal !== undefined) return { records: [], response: refusal };
  if (former?.incarnation === broker.incarnation) return { records: [], response: OK };
  const records: MetadataRecord[] = [];
  if (former !== undefined && !former.fenced) records.push(...fence(image, former));
  records.push({ kind: 'registerBroker', broker: { ...broker, brokerEpoch: 0, fenced: true } });
  return { records, response: OK };
}

function refuseRegistration(
  image: MetadataImage,
  { clusterId, broker }: RegisterBrokerCommand,
  former: Broker | undefined,
): Outcome | undefined {
  const { cluster } = image;
  assert(cluster !== undefined, 'no broker registers before the cluster has its id');
  if (clusterId !== cluster.id) {
    const message = `Expected cluster ID ${cluster.id}, but got cluster ID ${clusterId}`;
    return fault(ErrorCode.InconsistentClusterId, message);
  }
  const { directories, listeners } = broker;
  if (directories.length === 0 || new Set(directories).size < directories.length) {
    return fault(ErrorCode.InvalidRequest, 'A broker has at least one log directory, each with an id of its own.');
  }
  const texts = [broker.rack ?? '', ...listeners.flatMap(({ name, host }) => [name, host])];
  if (texts.some((text) => text.length > TEXT_CHARS_MAX)) {
    return fault(ErrorCode.InvalidRequest, `A name of the registration is longer than ${TEXT_CHARS_MAX} characters.`);
  }
  for (const { name, level } of image.features.values()) {
    const range = broker.features.find((feature) => feature.name === name) ?? { min: 0, max: 0 };
    if (level >= range.min && level <= range.max) continue;
    const message = `Unable to register because the broker does not support finalized version ${level} of feature ${name}. The broker wants a version between ${range.min} and ${range.max}, inclusive.`;
    return fault(ErrorCode.UnsupportedVersion, message);
  }
  for (const other of image.brokers.values()) {
    const shared = other.directories.find((directory) => directories.includes(directory));
    if (other.id === broker.id || shared === undefined) continue;
    return fault(ErrorCode.InvalidRegistration, `Broker ${other.id} is already registered with directory ${shared}`);
  }
  if (former === undefined || former.fenced || former.incarnation === broker.incarnation) return undefined;
  if (former.directories.some((directory) => directories.includes(directory))) return undefined;
  return fault(
    ErrorCode.DuplicateBrokerRegistration,
    `Another broker is registered with broker id ${broker.id}, and its session has not ended.`,
  );
}

export interface BrokerCommand {
  readonly id: NodeId;
  readonly brokerEpoch: number;
}

/** The broker has caught up with the metadata and serves: it may lead. */
export function unfenceBroker(state: ControllerState, command: BrokerCommand): Decision<Outcome> {
  const { image } = state;
  const broker = currentBroker(state, command);
  if (isFault(broker)) return { records: [], response: broker };
  if (!broker.fenced) return { records: [], response: OK };
  const unfence: MetadataRecord = { kind: 'unfenceBroker', id: broker.id, brokerEpoch: broker.brokerEpoch };
  return { records: [unfence, ...changesOnUnfence(image, broker)], response: OK };
}

/** The broker is taken for dead, or stops: it leads nothing any more. */
export function fenceBroker(state: ControllerState, command: BrokerCommand): Decision<Outcome> {
  const { image } = state;
  const broker = currentBroker(state, command);
  if (isFault(broker)) return { records: [], response: broker };
  return { records: broker.fenced ? [] : fence(image, broker), response: OK };
}

/** Its replicas stay where they are: whoever comes under this id has them. */
export function unregisterBroker({ image }: ControllerState, { id }: Pick<BrokerCommand, 'id'>): Decision<Outcome> {
  const broker = image.brokers.get(id);
  if (broker === undefined) {
    const message = `Broker ID ${id} is not currently registered.`;
    return { records: [], response: fault(ErrorCode.BrokerIdNotRegistered, message) };
  }
  const fencing = broker.fenced ? [] : fence(image, broker);
  return { records: [...fencing, { kind: 'unregisterBroker', id, brokerEpoch: broker.brokerEpoch }], response: OK };
}

function fence(image: MetadataImage, broker: Broker): readonly MetadataRecord[] {
  const record: MetadataRecord = { kind: 'fenceBroker', id: broker.id, brokerEpoch: broker.brokerEpoch };
  return [record, ...changesOnFence(image, broker.id)];
}

/** The registration that a command speaks for; an earlier process of the same broker is refused. */
export function currentBroker({ image, planted }: ControllerState, { id, brokerEpoch }: BrokerCommand): Broker | Fault {
  const broker = image.brokers.get(id);
  if (broker === undefined) return fault(ErrorCode.BrokerIdNotRegistered, `Broker id ${id} is not registered.`);
  // PLANTED BUG accept-stale-broker-epoch: an earlier process speaks for the present one.
  if (broker.brokerEpoch === brokerEpoch || planted.has('accept-stale-broker-epoch')) return broker;
  const message = `Expected broker epoch ${brokerEpoch}, but found broker epoch ${broker.brokerEpoch}`;
  return fault(ErrorCode.StaleBrokerEpoch, message);
}
