/** The cluster's first record, and the registration of brokers; their further life is in broker-states.ts. */
import { assert } from '#base/assert';
import { ErrorCode } from '#model/errors';
import { SUPPORTED_FEATURES } from '#model/features';
import type { Uuid } from '#model/ids';
import { newUuid } from '#model/uuids';
import type { Voter } from '#model/voter';
import { type ControllerState, type Decision, fault, OK, type Outcome } from './decision.ts';
import { changesOnReplacement } from './elections.ts';
import type { MetadataImage } from './image.ts';
import type { Broker, FeatureLevelRecord, MetadataRecord, PartitionChangeRecord } from './records.ts';

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
  /**
   * The broker epoch in which this process knows its id to be registered, -1 for none. Another one, and it is refused: a command may be
   * overtaken by that of a later process, which it must not replace. Absent: not checked.
   */
  readonly replaces?: number;
  /** The broker epoch in which this disk was last left in order (KIP-966); absent or another one: its process or machine crashed. */
  readonly cleanBrokerEpoch?: number;
}

const TEXT_CHARS_MAX = 0x7fff;

/**
 * A broker's new process. Another incarnation with one of the same directories replaces the old one at once; with other directories it
 * is a second machine under the same id and waits until the first is fenced. The broker is fenced until `unfenceBroker`; its epoch,
 * the index of this entry, stands in the image once the records are committed. Repeatable: an incarnation registers once.
 */
export function registerBroker(state: ControllerState, command: RegisterBrokerCommand): Decision<Outcome> {
  const { image } = state;
  const { broker } = command;
  const former = image.brokers.get(broker.id);
  const refusal = refuseRegistration(image, command, former);
  if (refusal !== undefined) return { records: [], response: refusal };
  if (former?.incarnation === broker.incarnation) return { records: [], response: OK };
  const next: Broker = { ...broker, brokerEpoch: 0, fenced: true };
  const records: MetadataRecord[] = [];
  const { id } = next;
  if (former?.fenced === false) records.push({ kind: 'fenceBroker', id, brokerEpoch: former.brokerEpoch });
  const isClean = former !== undefined && command.cleanBrokerEpoch === former.brokerEpoch;
  const changes = changesOnReplacement(state, former, next, isClean);
  // PLANTED BUG resume-same-epoch: what an earlier process led its successor leads on, as if nothing had been.
  const isLed = ({ topicId, partition }: PartitionChangeRecord): boolean =>
    image.topicById(topicId)?.partitions[partition]?.leader === id;
  records.push(...(state.planted.has('resume-same-epoch') ? changes.filter((change) => !isLed(change)) : changes));
  records.push({ kind: 'registerBroker', broker: next });
  return { records, response: OK };
}

function refuseRegistration(
  image: MetadataImage,
  command: RegisterBrokerCommand,
  former: Broker | undefined,
): Outcome | undefined {
  const { clusterId, broker } = command;
  const { cluster } = image;
  assert(cluster !== undefined, 'no broker registers before the cluster has its id');
  if (clusterId !== cluster.id) {
    const message = `Expected cluster ID ${cluster.id}, but got cluster ID ${clusterId}`;
    return fault(ErrorCode.InconsistentClusterId, message);
  }
  const formerEpoch = former?.brokerEpoch ?? -1;
  if (former?.incarnation !== broker.incarnation && (command.replaces ?? formerEpoch) !== formerEpoch) {
    const message = `Broker ${broker.id} is registered in epoch ${formerEpoch}, which the process that asks has not seen.`;
    return fault(ErrorCode.StaleBrokerEpoch, message);
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
