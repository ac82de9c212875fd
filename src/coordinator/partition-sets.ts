/** Partitions of several topics, by topic id: what members are given, own and must give up. Values; never changed. */
import type { Uuid } from '#model/ids';

export type Assignment = ReadonlyMap<Uuid, ReadonlySet<number>>;
/** With the epoch in which each partition came to its member (KIP-1251): an older commit for it is refused. */
export type DatedAssignment = ReadonlyMap<Uuid, ReadonlyMap<number, number>>;
/** Either. */
export type PartitionSets = ReadonlyMap<
  Uuid,
  { has(partition: number): boolean; keys(): Iterable<number>; readonly size: number }
>;

/** As requests and records carry them. */
export interface TopicPartitions {
  readonly topicId: Uuid;
  readonly partitions: readonly number[];
}

export const NO_PARTITIONS: ReadonlyMap<Uuid, never> = new Map<Uuid, never>();

export function contains(sets: PartitionSets, topicId: Uuid, partition: number): boolean {
  return sets.get(topicId)?.has(partition) === true;
}

export function assignmentOf(topics: readonly TopicPartitions[]): Assignment {
  const assignment = new Map<Uuid, Set<number>>();
  for (const { topicId, partitions } of topics) {
    const before = assignment.get(topicId);
    if (before === undefined) assignment.set(topicId, new Set(partitions));
    else for (const partition of partitions) before.add(partition);
  }
  return assignment;
}

/** Topics and partitions in ascending order, so that equal sets are written alike. */
export function topicPartitionsOf(sets: PartitionSets): TopicPartitions[] {
  return [...sets.keys()].sort().map((topicId) => ({
    topicId,
    partitions: [...(sets.get(topicId)?.keys() ?? [])].sort((a, b) => a - b),
  }));
}

export function samePartitions(a: PartitionSets, b: PartitionSets): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [topicId, partitions] of a) {
    const others = b.get(topicId);
    if (others === undefined || others.size !== partitions.size) return false;
    for (const partition of partitions.keys()) if (!others.has(partition)) return false;
  }
  return true;
}

export function isSubset<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  if (a.size > b.size) return false;
  for (const each of a) if (!b.has(each)) return false;
  return true;
}

/** Whether all of `owned` is in `sets`. */
export function isWithin(owned: readonly TopicPartitions[], sets: PartitionSets): boolean {
  return owned.every(({ topicId, partitions }) => partitions.every((partition) => contains(sets, topicId, partition)));
}

/** Whether any of `owned` is in `sets`. */
export function overlaps(owned: readonly TopicPartitions[], sets: PartitionSets): boolean {
  return owned.some(({ topicId, partitions }) => partitions.some((partition) => contains(sets, topicId, partition)));
}
