/**
 * The quorum's voters (KIP-853): what the records of an entry make of them, and the decisions that change them, one voter at a time.
 * Whether a change may be made now is the quorum's own business.
 */
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import { isSameReplica, type ReplicaKey, type Voter } from '#model/voter';
import { type ControllerState, type Decision, type Fault, fault, OK, type Outcome } from './decision.ts';
import type { MetadataRecord } from './records.ts';

/** Undefined: they change nothing. */
export function votersIn(records: readonly MetadataRecord[]): readonly Voter[] | undefined {
  let voters: readonly Voter[] | undefined;
  for (const record of records) if (record.kind === 'bootstrap' || record.kind === 'voters') voters = record.voters;
  return voters;
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
  /** It has caught up as an observer. */
  readonly voter: Voter;
}

export interface RemoveVoterCommand {
  readonly clusterId: string | null;
  readonly voter: ReplicaKey;
}

export interface ReplaceVoterCommand {
  /** Observers that have caught up and were started as voters. */
  readonly observers: readonly Voter[];
}

export function addVoter({ image }: ControllerState, command: AddVoterCommand): Decision<Outcome> {
  const { voter } = command;
  const voters = image.cluster?.voters ?? [];
  const refusal = refuseCluster(image.cluster?.id, command.clusterId);
  if (refusal !== undefined) return { records: [], response: refusal };
  const known = voters.find(({ id }) => id === voter.id);
  if (known !== undefined) {
    const message = `The voter id for ${nameOf(voter)} is already part of the set of voters, as ${nameOf(known)}.`;
    return { records: [], response: fault(ErrorCode.DuplicateVoter, message) };
  }
  return { records: [{ kind: 'voters', voters: [...voters, voter], joining: null }], response: OK };
}

export function removeVoter({ image }: ControllerState, command: RemoveVoterCommand): Decision<Outcome> {
  const { voter } = command;
  const voters = image.cluster?.voters ?? [];
  const refusal = refuseCluster(image.cluster?.id, command.clusterId);
  if (refusal !== undefined) return { records: [], response: refusal };
  const left = voters.filter((other) => !isSameReplica(other, voter));
  if (left.length === voters.length) {
    const message = `Cannot remove voter ${nameOf(voter)} from the set of voters: it is not one of them.`;
    return { records: [], response: fault(ErrorCode.VoterNotFound, message) };
  }
  if (left.length === 0) {
    const message = `Cannot remove voter ${nameOf(voter)}: it is the last one.`;
    return { records: [], response: fault(ErrorCode.InvalidRequest, message) };
  }
  return { records: [{ kind: 'voters', voters: left, joining: null }], response: OK };
}

/**
 * A voter whose disk was wiped comes back as an observer under the same id: first its former self is removed, then it is added. No
 * majority can be made up of what it has forgotten, for it has caught up by then. Without records: nobody is to be replaced.
 */
export function replaceVoter({ image }: ControllerState, { observers }: ReplaceVoterCommand): Decision<Outcome> {
  const { voters = [], joining = null } = image.cluster ?? {};
  const next = joining === null ? undefined : observers.find((observer) => isSameReplica(observer, joining));
  if (next !== undefined && !voters.some(({ id }) => id === next.id)) {
    return { records: [{ kind: 'voters', voters: [...voters, next], joining: null }], response: OK };
  }
  const wiped = observers.find((observer) => voters.some(({ id }) => id === observer.id));
  if (wiped === undefined || voters.length === 1) return { records: [], response: OK };
  const left = voters.filter(({ id }) => id !== wiped.id);
  const key = { id: wiped.id, directoryId: wiped.directoryId };
  return { records: [{ kind: 'voters', voters: left, joining: key }], response: OK };
}

function refuseCluster(own: Uuid | undefined, asked: string | null): Fault | undefined {
  if (asked === null || asked === own) return undefined;
  return fault(ErrorCode.InconsistentClusterId, `Expected cluster ID ${own}, but got cluster ID ${asked}`);
}

function nameOf({ id, directoryId }: ReplicaKey): string {
  return `${id} (directory ${directoryId})`;
}
