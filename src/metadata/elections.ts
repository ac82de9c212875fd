/** What the coming and going of brokers makes of their partitions: the partition changes of one atomic batch. */
import type { NodeId } from '#model/ids';
import { DIRECTORY_UNASSIGNED } from '#model/uuids';
import type { ControllerState } from './decision.ts';
import type { MetadataImage, TopicPartition } from './image.ts';
import { changePartition, type Wanted } from './partition-change.ts';
import type { Broker, Partition, PartitionChangeRecord, RegisteredBroker } from './records.ts';
import { DecisionRules } from './topic-rules.ts';

/**
 * They leave every leadership and every ISR of which they are not the last members. A partition that one of them led gets a new leader
 * epoch in any case, also at replication factor 1, so that its next incarnation never leads an epoch of this one.
 */
export function changesOnFence(state: ControllerState, gone: ReadonlySet<NodeId>): readonly PartitionChangeRecord[] {
  const rules = new DecisionRules(state, { leaving: gone });
  const isFirst = ({ replicas }: Partition, id: NodeId) => replicas.find((replica) => gone.has(replica)) === id;
  return [...gone].flatMap((id) =>
    changesOf(state.image, id, rules, (partition) => {
      if (!isFirst(partition, id) || !partition.isr.some((member) => gone.has(member))) return undefined;
      return { isr: partition.isr.filter((member) => !gone.has(member)) };
    }),
  );
}

/** `arriving`, from now on unfenced, leads what has no leader and where it has everything. */
export function changesOnUnfence(state: ControllerState, arriving: NodeId): readonly PartitionChangeRecord[] {
  const rules = new DecisionRules(state, { arriving });
  return changesOf(state.image, arriving, rules, ({ leader }) => (leader === null ? {} : undefined));
}

/** `draining` hands over what others in sync can lead, and leaves those ISRs. */
export function changesOnDrain(state: ControllerState, draining: NodeId): readonly PartitionChangeRecord[] {
  const rules = new DecisionRules(state);
  const { electorate } = rules;
  return changesOf(state.image, draining, rules, (partition) => {
    const { isr, leader } = partition;
    if (leader === null || !isr.includes(draining)) return undefined;
    const others = isr.filter((id) => id !== draining);
    const canLead = (id: NodeId): boolean => electorate.isActive(id) && electorate.hasReplica(id, partition);
    return others.some(canLead) ? { isr: others } : undefined;
  });
}

/**
 * `next` takes the place of `former`, and is fenced. Whoever comes back without the directory of a replica, or after a crash to one that
 * need not survive it, may have lost what it acknowledged: it is no longer in sync nor eligible, unless it is the last. So it is with
 * directories that have changed where nobody was told in which of them a replica was. Undefined: it was unregistered, fenced before, and
 * how it ended is not known.
 */
export function changesOnReplacement(
  state: ControllerState,
  former: RegisteredBroker | undefined,
  next: Broker,
  isClean: boolean,
): readonly PartitionChangeRecord[] {
  const { id } = next;
  const rules = new DecisionRules(state, { leaving: new Set([id]), replaced: next });
  const isSameHome = former !== undefined && isSameSet(former.directories, next.directories);
  return changesOf(state.image, id, rules, (partition, topic) => {
    const { isr, elr } = partition;
    if (!isr.includes(id) && !elr.includes(id)) return undefined;
    const survives = isClean || rules.ofTopic(topic).survivesCrash;
    const isThere = rules.electorate.hasReplica(id, partition) && (isSameHome || isAssigned(id, partition));
    const isLost = !survives || !isThere;
    if (former?.fenced !== false && !isLost) return undefined;
    const left = { isr: isr.filter((member) => member !== id) };
    return isLost ? { ...left, lost: id } : left;
  });
}

function isSameSet<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((each) => b.includes(each));
}

function isAssigned(id: NodeId, { replicas, directories }: Partition): boolean {
  return directories[replicas.indexOf(id)] !== DIRECTORY_UNASSIGNED;
}

/**
 * The broker has these directories only: it leaves the ISRs and leaderships of replicas that are in others. One of which it has not told
 * where it is may be there too, and should the broker crash now nobody would ever know: it is not eligible, and comes back in sync if it can.
 */
export function changesOnDirectories(state: ControllerState, broker: Broker): readonly PartitionChangeRecord[] {
  const { id } = broker;
  const rules = new DecisionRules(state, { replaced: broker });
  return changesOf(state.image, id, rules, (partition) => {
    const { isr, elr } = partition;
    const left = { isr: isr.filter((member) => member !== id) };
    if (!isAssigned(id, partition)) return isr.includes(id) || elr.includes(id) ? { ...left, lost: id } : undefined;
    return isr.includes(id) && !rules.electorate.hasReplica(id, partition) ? left : undefined;
  });
}

/** What changes by the rules alone, as `rules` has them: for topics of which the least number in sync is another. */
export function changesByRules(
  partitions: Iterable<TopicPartition>,
  rules: DecisionRules,
): readonly PartitionChangeRecord[] {
  return changesFor(partitions, rules, ({ elr }) => (elr.length === 0 ? undefined : {}));
}

type Want = (state: Partition, topic: string) => Wanted | undefined;

function changesOf(image: MetadataImage, id: NodeId, rules: DecisionRules, want: Want): PartitionChangeRecord[] {
  return changesFor(image.partitionsOf(id), rules, want);
}

function changesFor(partitions: Iterable<TopicPartition>, rules: DecisionRules, want: Want): PartitionChangeRecord[] {
  const records: PartitionChangeRecord[] = [];
  for (const { topic, state } of partitions) {
    const wanted = want(state, topic.name);
    if (wanted === undefined) continue;
    const change = changePartition(topic.id, state, wanted, rules.ofPartition(topic.name));
    if (change !== undefined) records.push(change);
  }
  return records;
}
