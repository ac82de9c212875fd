/** The life of a registered broker: fenced and unfenced, draining, losing a directory, gone for good. */
import { ErrorCode } from '#model/errors';
import type { NodeId, Uuid } from '#model/ids';
import { type ControllerState, type Decision, type Fault, fault, isFault, OK, type Outcome } from './decision.ts';
import { changesOnDirectories, changesOnDrain, changesOnFence, changesOnUnfence } from './elections.ts';
import type { MetadataRecord, PartitionChangeRecord, RegisteredBroker } from './records.ts';

export interface BrokerCommand {
  readonly id: NodeId;
  readonly brokerEpoch: number;
}

/** The registration that a command speaks for; an earlier process of the same broker is refused. */
export function currentBroker(
  { image, planted }: ControllerState,
  { id, brokerEpoch }: BrokerCommand,
): RegisteredBroker | Fault {
  const broker = image.brokers.get(id);
  if (broker === undefined) return fault(ErrorCode.BrokerIdNotRegistered, `Broker id ${id} is not registered.`);
  if (broker.brokerEpoch === brokerEpoch) return broker;
  // PLANTED BUG accept-stale-broker-epoch: what an earlier process sent counts too.
  if (planted.has('accept-stale-broker-epoch')) return { ...broker, brokerEpoch };
  const message = `Expected broker epoch ${brokerEpoch}, but found broker epoch ${broker.brokerEpoch}`;
  return fault(ErrorCode.StaleBrokerEpoch, message);
}

/** The broker has caught up with the metadata and serves: it may lead. Repeatable. */
export function unfenceBroker(state: ControllerState, command: BrokerCommand): Decision<Outcome> {
  const broker = currentBroker(state, command);
  if (isFault(broker)) return { records: [], response: broker };
  const { id, brokerEpoch, fenced } = broker;
  if (!fenced) return { records: [], response: OK };
  return { records: [{ kind: 'unfenceBroker', id, brokerEpoch }, ...changesOnUnfence(state, id)], response: OK };
}

/** The broker is taken for dead, or stops: it leads nothing any more. Repeatable. */
export function fenceBroker(state: ControllerState, command: BrokerCommand): Decision<Outcome> {
  const { records, response } = fenceBrokers(state, { brokers: [command] });
  return { records, response: response[0] ?? OK };
}

export interface FenceBrokersCommand {
  readonly brokers: readonly BrokerCommand[];
}

/** All of them in one entry, so that none of them is elected in place of another. One outcome for each. Repeatable. */
export function fenceBrokers(state: ControllerState, command: FenceBrokersCommand): Decision<readonly Outcome[]> {
  const gone = new Set<NodeId>();
  const records: MetadataRecord[] = [];
  const response = command.brokers.map((each): Outcome => {
    const broker = currentBroker(state, each);
    if (isFault(broker)) return broker;
    const { id, brokerEpoch, fenced } = broker;
    if (!fenced && !gone.has(id)) {
      gone.add(id);
      records.push({ kind: 'fenceBroker', id, brokerEpoch });
    }
    return OK;
  });
  return { records: [...records, ...changesOnFence(state, gone)], response };
}

export interface UnregisterBrokerCommand {
  readonly id: NodeId;
}

/** It is forgotten, in whatever state it is; its replicas stay assigned to its id. A process that is still there registers again. */
export function unregisterBroker(state: ControllerState, { id }: UnregisterBrokerCommand): Decision<Outcome> {
  const broker = state.image.brokers.get(id);
  if (broker === undefined) {
    return {
      records: [],
      response: fault(ErrorCode.BrokerIdNotRegistered, `Broker ID ${id} is not currently registered`),
    };
  }
  const { brokerEpoch, fenced } = broker;
  const records: MetadataRecord[] = [];
  if (!fenced) records.push({ kind: 'fenceBroker', id, brokerEpoch }, ...changesOnFence(state, new Set([id])));
  records.push({ kind: 'unregisterBroker', id, brokerEpoch });
  return { records, response: OK };
}

export interface DrainedBroker extends Outcome {
  /** Partitions that it leads still, since nobody else can; they are without a leader when it stops. 0 with an error. */
  readonly leaderCount: number;
}

/**
 * Controlled shutdown: the broker hands its leaderships to other in-sync replicas, leaves those ISRs, and gets nothing new until it
 * registers again. What it still leads it leads until it is fenced. Asked again, it tries again, and says what is left.
 */
export function drainBroker(state: ControllerState, command: BrokerCommand): Decision<DrainedBroker> {
  const { image } = state;
  const broker = currentBroker(state, command);
  if (isFault(broker)) return { records: [], response: { ...broker, leaderCount: 0 } };
  const { id, brokerEpoch, draining } = broker;
  const changes = changesOnDrain(state, id);
  let leaderCount = 0;
  for (const { state: partition } of image.partitionsOf(id)) if (partition.leader === id) leaderCount += 1;
  leaderCount -= changes.filter((change) => hasNewLeader(change)).length;
  const records: MetadataRecord[] = [...changes];
  if (!draining) records.unshift({ kind: 'brokerChange', id, brokerEpoch, draining: true, directories: null });
  return { records, response: { ...OK, leaderCount } };

  function hasNewLeader({ topicId, partition, leader }: PartitionChangeRecord): boolean {
    return leader !== null && leader !== id && image.topicById(topicId)?.partitions[partition]?.leader === id;
  }
}

export interface FailDirectoriesCommand extends BrokerCommand {
  /** Those that are offline from now on; what the broker is not registered with is passed over. */
  readonly directories: readonly Uuid[];
}

/** Log directories of the broker have failed (KIP-858): what it has in them is neither in sync nor led any more. */
export function failDirectories(state: ControllerState, command: FailDirectoriesCommand): Decision<Outcome> {
  const broker = currentBroker(state, command);
  if (isFault(broker)) return { records: [], response: broker };
  const directories = broker.directories.filter((directory) => !command.directories.includes(directory));
  if (directories.length === broker.directories.length) return { records: [], response: OK };
  const { id, brokerEpoch } = broker;
  const changes = changesOnDirectories(state, { ...broker, directories });
  return {
    records: [{ kind: 'brokerChange', id, brokerEpoch, draining: null, directories }, ...changes],
    response: OK,
  };
}
