/** The quorum's voters: what records say of them, and how they change, one replica at a time (KIP-853; thesis §4). */
import { assert } from '#base/assert';
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import { isSameReplica, type ReplicaKey, type Voter } from '#model/voter';
import { type ControllerState, type Decision, type Fault, fault, OK, type Outcome } from './decision.ts';
import type { Cluster } from './image.ts';
import type { MetadataRecord } from './records.ts';

/** What the records of one entry make of the voters, who count as soon as it is in a log, committed or not. Undefined: they change nothing. */
export function votersIn(records: readonly MetadataRecord[]): readonly Voter[] | undefined {
  const record = records.findLast((each) => each.kind === 'bootstrap' || each.kind === 'voters');
  return record?.voters;
}

/** Of the first entry of a log. */
export function bootstrapIn(
  records: readonly MetadataRecord[],
): { readonly clusterId: Uuid; readonly voters: readonly Voter[] } | undefined {
  const [first] = records;
  return first?.kind === 'bootstrap' ? { clusterId: first.clusterId, voters: first.voters } : undefined;
}

export interface AddVoterCommand {
  /** Of the cluster that is meant; null: of this one. */
  readonly clusterId: string | null;
  /** It has caught up as an observer: one that has not would hold up every commit. */
  readonly voter: Voter;
}

export interface RemoveVoterCommand {
  readonly clusterId: string | null;
  readonly voter: ReplicaKey;
}

export interface UpdateVoterCommand {
  readonly clusterId: string | null;
  /** With its new address. */
  readonly voter: Voter;
}

export interface ReplaceVoterCommand {
  /** Those that have caught up and want a vote, as the leader sees them. */
  readonly observers: readonly Voter[];
}

export function addVoter(state: ControllerState, { clusterId, voter }: AddVoterCommand): Decision<Outcome> {
  const cluster = clusterOf(state);
  const refusal = refuseCluster(cluster, clusterId) ?? refuseAddress(voter);
  if (refusal !== undefined) return { records: [], response: refusal };
  const known = cluster.voters.find(({ id }) => id === voter.id);
  if (known === undefined) return change(cluster, [...cluster.voters, voter]);
  const message = `The voter id for ${nameOf(voter)} is already part of the set of voters, as ${nameOf(known)}.`;
  return { records: [], response: fault(ErrorCode.DuplicateVoter, message) };
}

/** Also ends the wait for a replica that was to take its own former place. */
export function removeVoter(state: ControllerState, { clusterId, voter }: RemoveVoterCommand): Decision<Outcome> {
  const cluster = clusterOf(state);
  const { voters, joining } = cluster;
  const refusal = refuseCluster(cluster, clusterId);
  if (refusal !== undefined) return { records: [], response: refusal };
  const left = voters.filter((other) => !isSameReplica(other, voter));
  if (left.length === voters.length) {
    if (joining !== null && isSameReplica(joining, voter)) return change(cluster, voters, null);
    const message = `Cannot remove voter ${nameOf(voter)} from the set of voters: it is not one of them.`;
    return { records: [], response: fault(ErrorCode.VoterNotFound, message) };
  }
  if (left.length > 0) return change(cluster, left);
  const message = `Cannot remove voter ${nameOf(voter)}: it is the last one.`;
  return { records: [], response: fault(ErrorCode.InvalidRequest, message) };
}

/** The voter is reached at another address. Repeatable. */
export function updateVoter(state: ControllerState, { clusterId, voter }: UpdateVoterCommand): Decision<Outcome> {
  const cluster = clusterOf(state);
  const refusal = refuseCluster(cluster, clusterId) ?? refuseAddress(voter);
  if (refusal !== undefined) return { records: [], response: refusal };
  const former = cluster.voters.find((other) => isSameReplica(other, voter));
  if (former === undefined) {
    const message = `Cannot update voter ${nameOf(voter)}: it is not in the set of voters.`;
    return { records: [], response: fault(ErrorCode.VoterNotFound, message) };
  }
  if (former.host === voter.host && former.port === voter.port) return { records: [], response: OK };
  return change(
    cluster,
    cluster.voters.map((other) => (other === former ? voter : other)),
  );
}

/**
 * A voter that has come back with another disk takes its own place: first its old self is taken out, then, under whatever leader, the new
 * one is added. At most one change; nothing when none is due. Repeatable.
 */
export function replaceVoter(state: ControllerState, { observers }: ReplaceVoterCommand): Decision<Outcome> {
  const cluster = clusterOf(state);
  const { voters, joining } = cluster;
  const isVoter = ({ id }: Voter): boolean => voters.some((voter) => voter.id === id);
  if (joining !== null) {
    // Its disk may have been lost once more: whoever has its id now is meant.
    const returned = observers.find((observer) => observer.id === joining.id && !isVoter(observer));
    return returned === undefined ? { records: [], response: OK } : change(cluster, [...voters, returned]);
  }
  const returned = observers.find(
    (observer) => isVoter(observer) && !voters.some((voter) => isSameReplica(voter, observer)),
  );
  if (returned === undefined || voters.length === 1) return { records: [], response: OK };
  const { id, directoryId } = returned;
  return change(
    cluster,
    voters.filter((voter) => voter.id !== id),
    { id, directoryId },
  );
}

/** Whoever has been added is not waited for any more. */
function change(
  { joining }: Cluster,
  voters: readonly Voter[],
  waitFor: ReplicaKey | null = joining !== null && voters.some(({ id }) => id === joining.id) ? null : joining,
): Decision<Outcome> {
  return { records: [{ kind: 'voters', voters, joining: waitFor }], response: OK };
}

function clusterOf({ image }: ControllerState): Cluster {
  assert(image.cluster !== undefined, 'a cluster has voters before it has a controller');
  return image.cluster;
}

function refuseCluster({ id }: Cluster, asked: string | null): Fault | undefined {
  if (asked === null || asked === id) return undefined;
  return fault(ErrorCode.InconsistentClusterId, `Expected cluster ID ${id}, but got cluster ID ${asked}`);
}

const HOST_CHARS_MAX = 255;

function refuseAddress({ host, port }: Voter): Fault | undefined {
  const isPort = Number.isInteger(port) && port > 0 && port <= 0xffff;
  if (isPort && host.length > 0 && host.length <= HOST_CHARS_MAX) return undefined;
  return fault(ErrorCode.InvalidRequest, `A voter cannot be reached at ${host}:${port}.`);
}

function nameOf({ id, directoryId }: ReplicaKey): string {
  return `${id} (directory ${directoryId})`;
}
