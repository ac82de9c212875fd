/**
 * One partition's next state: what someone wants of it, and what follows from that: a reassignment that is complete, eligible leader
 * replicas (KIP-966), a leader.
 */
import { at } from '#base/assert';
import { leaderEpoch, type NodeId, type Uuid } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import type { Electorate } from './electorate.ts';
import type { Partition, PartitionChangeRecord } from './records.ts';

/** 'online': no leader that may miss acknowledged records; 'preferred': so, and the first replica if it can; 'unclean': rather any than none. */
export type Election = 'online' | 'preferred' | 'unclean';

export interface PartitionRules {
  readonly electorate: Electorate;
  /** Of the topic; never more than there are replicas is asked for. */
  readonly minIsr: number;
  /** Whether eligible leader replicas are kept (KIP-966). */
  readonly keepsEligible: boolean;
  readonly election: Election;
  readonly planted: PlantedBugs;
}

export interface Wanted {
  readonly isr?: readonly NodeId[];
  readonly replicas?: readonly NodeId[];
  readonly removing?: readonly NodeId[];
  readonly adding?: readonly NodeId[];
  /** Of replicas that are somewhere else from now on. */
  readonly directories?: ReadonlyMap<NodeId, Uuid>;
  /** It may have lost what it had acknowledged, and is not eligible. */
  readonly lost?: NodeId;
}

type Draft = Pick<Partition, 'replicas' | 'isr' | 'elr' | 'removing' | 'adding' | 'leader'>;

/**
 * Undefined if nothing changes. The last replicas in the ISR or eligible stay so, dead or not, since they alone have what was
 * acknowledged. `wanted.isr` is of `wanted.replicas`.
 */
export function changePartition(
  topicId: Uuid,
  state: Partition,
  wanted: Wanted,
  rules: PartitionRules,
): PartitionChangeRecord | undefined {
  const moved = movedReplicas(state, wanted, rules);
  const directories = directoriesOf(state, moved.replicas, wanted.directories, rules.electorate);
  const members = withEligible(state, moved, rules, wanted.lost);
  const after = withLeader(state, members, directories, rules);
  return difference(topicId, state, after, withNewHome(after, directories, rules.electorate));
}

/** The state that the record makes. */
export function applyChange(before: Partition, change: PartitionChangeRecord): Partition {
  const { leader } = change;
  return {
    partition: before.partition,
    replicas: change.replicas ?? before.replicas,
    isr: change.isr ?? before.isr,
    elr: change.elr ?? before.elr,
    removing: change.removing ?? before.removing,
    adding: change.adding ?? before.adding,
    leader: leader === null ? before.leader : leader === 'none' ? null : leader,
    leaderEpoch: leader === null ? before.leaderEpoch : leaderEpoch(before.leaderEpoch + 1),
    partitionEpoch: before.partitionEpoch + 1,
    directories: change.directories ?? before.directories,
  };
}

/** A reassignment is complete when every replica that stays is in sync. */
function movedReplicas(state: Partition, wanted: Wanted, { planted }: PartitionRules): Omit<Draft, 'elr' | 'leader'> {
  const { isr, replicas, removing, adding } = { ...state, ...wanted };
  const stays = (id: NodeId): boolean => !removing.includes(id);
  const staying = replicas.filter(stays);
  const isMoving = removing.length > 0 || adding.length > 0;
  // PLANTED BUG reassignment-ends-at-once: the old replicas go, whatever the new ones have by then.
  const isReached = planted.has('reassignment-ends-at-once') || staying.every((id) => isr.includes(id));
  const isComplete = isMoving && staying.length > 0 && isReached;
  if (!isComplete) return { isr, replicas, removing, adding };
  return { isr: isr.filter(stays), replicas: staying, removing: [], adding: [] };
}

/** Members that leave an ISR that is, or falls, below its minimum have all that was acknowledged until it is full again. */
function withEligible(
  state: Partition,
  moved: Omit<Draft, 'elr' | 'leader'>,
  { minIsr, keepsEligible }: PartitionRules,
  lost: NodeId | undefined,
): Omit<Draft, 'leader'> {
  const { isr, replicas } = moved;
  const isFull = isr.length >= Math.min(minIsr, replicas.length);
  const had = (id: NodeId): boolean => state.isr.includes(id) || state.elr.includes(id);
  const elr = keepsEligible && !isFull ? replicas.filter((id) => had(id) && !isr.includes(id) && id !== lost) : [];
  if (isr.length > 0 || elr.length > 0) return { ...moved, isr, elr };
  const last = state.isr.filter((id) => replicas.includes(id));
  return { ...moved, isr: last, elr: last.length > 0 ? [] : state.elr.filter((id) => replicas.includes(id)) };
}

function withLeader(
  state: Partition,
  members: Omit<Draft, 'leader'>,
  directories: readonly Uuid[],
  rules: PartitionRules,
): Draft {
  const { electorate, election, minIsr, keepsEligible } = rules;
  const { replicas, isr, elr } = members;
  const [preferred] = replicas;
  const holds = (id: NodeId): boolean => electorate.holds(id, at(directories, replicas.indexOf(id)));
  const canLead = (id: NodeId): boolean =>
    electorate.isActive(id) && holds(id) && !electorate.isFull(id, { replicas, directories });
  const inSync = (id: NodeId | null): id is NodeId => id !== null && isr.includes(id);
  const first = replicas.find((id) => inSync(id) && canLead(id));
  const stays = inSync(state.leader) && canLead(state.leader) ? state.leader : first;
  // One that drains, or is full, leads on where nobody else can.
  const remains =
    inSync(state.leader) && electorate.lives(state.leader) && holds(state.leader) ? state.leader : undefined;
  const leader = (election === 'preferred' && first === preferred ? first : stays) ?? remains;
  if (leader !== undefined) {
    if (leader === state.leader) return { ...members, leader };
    const living = isr.filter((id) => electorate.lives(id));
    return { ...members, isr: living, elr: stillEligible(living), leader };
  }
  const eligible = replicas.find((id) => elr.includes(id) && canLead(id));
  if (eligible !== undefined) return { ...members, isr: [eligible], elr: stillEligible([eligible]), leader: eligible };
  const any = election === 'unclean' ? replicas.find((id) => electorate.isActive(id)) : undefined;
  if (any !== undefined) return { ...members, isr: [any], elr: [], leader: any };
  return { ...members, leader: null };

  function stillEligible(now: readonly NodeId[]): readonly NodeId[] {
    if (!keepsEligible || now.length >= Math.min(minIsr, replicas.length)) return [];
    return replicas.filter((id) => (isr.includes(id) || elr.includes(id)) && !now.includes(id));
  }
}

function directoriesOf(
  state: Partition,
  replicas: readonly NodeId[],
  moved: ReadonlyMap<NodeId, Uuid> | undefined,
  electorate: Electorate,
): readonly Uuid[] {
  return replicas.map(
    (id) => moved?.get(id) ?? state.directories[state.replicas.indexOf(id)] ?? electorate.directoryFor(id),
  );
}

/** A leader by an unclean election begins anew if its directory is gone. */
function withNewHome(
  { leader, replicas }: Draft,
  directories: readonly Uuid[],
  electorate: Electorate,
): readonly Uuid[] {
  if (leader === null) return directories;
  const index = replicas.indexOf(leader);
  return electorate.holds(leader, at(directories, index))
    ? directories
    : directories.with(index, electorate.directoryFor(leader));
}

function difference(
  topicId: Uuid,
  before: Partition,
  after: Draft,
  directories: readonly Uuid[],
): PartitionChangeRecord | undefined {
  const ifChanged = <T>(was: readonly T[], is: readonly T[]) => (isSameList(was, is) ? null : is);
  const isReduced = before.replicas.some((id) => !after.replicas.includes(id));
  const isNewLeader = after.leader !== before.leader;
  // A replica that is taken away must not go on in this epoch.
  const isNewEpoch = isNewLeader || (isReduced && after.leader !== null);
  const changes = {
    leader: isNewEpoch ? (after.leader ?? 'none') : null,
    isr: ifChanged(before.isr, after.isr),
    elr: ifChanged(before.elr, after.elr),
    replicas: ifChanged(before.replicas, after.replicas),
    removing: ifChanged(before.removing, after.removing),
    adding: ifChanged(before.adding, after.adding),
    directories: ifChanged(before.directories, directories),
  } as const;
  if (Object.values(changes).every((change) => change === null)) return undefined;
  return { kind: 'partitionChange', topicId, partition: before.partition, ...changes };
}

function isSameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
