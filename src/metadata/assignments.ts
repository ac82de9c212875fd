/** From a list of replicas to the first state of a partition, and what a manual assignment may say. */
import { ErrorCode } from '#model/errors';
import { leaderEpoch, type NodeId, nodeId } from '#model/ids';
import { type Fault, fault } from './decision.ts';
import { Electorate } from './electorate.ts';
import type { MetadataImage } from './image.ts';
import type { Partition } from './records.ts';

/** A new partition is in sync on every replica whose broker lives and stays; the first of them leads. */
export function newPartition(image: MetadataImage, partition: number, replicas: readonly NodeId[]): Partition | Fault {
  const electorate = new Electorate(image);
  const isr = replicas.filter((id) => electorate.isActive(id));
  const [leader] = isr;
  if (leader === undefined) {
    const message = `All brokers specified in the manual partition assignment for partition ${partition} are fenced or in controlled shutdown.`;
    return fault(ErrorCode.InvalidReplicaAssignment, message);
  }
  return {
    partition,
    replicas,
    isr,
    elr: [],
    removing: [],
    adding: [],
    leader,
    leaderEpoch: leaderEpoch(0),
    partitionEpoch: 0,
    directories: replicas.map((id) => electorate.directoryFor(id)),
  };
}

/** The replicas of one manual assignment; `factor` is what the partitions before it have. */
export function checkAssignment(
  image: MetadataImage,
  replicas: readonly number[],
  factor: number | undefined,
): readonly NodeId[] | Fault {
  const refuse = (message: string) => fault(ErrorCode.InvalidReplicaAssignment, message);
  if (replicas.length === 0) return refuse('The manual partition assignment includes an empty replica list.');
  const seen = new Set<number>();
  for (const id of replicas.toSorted((a, b) => a - b)) {
    if (seen.has(id)) return refuse(`The manual partition assignment includes the broker ${id} more than once.`);
    if (id < 0 || !image.brokers.has(id as NodeId)) {
      return refuse(`The manual partition assignment includes broker ${id}, but no such broker is registered.`);
    }
    seen.add(id);
  }
  if (factor !== undefined && replicas.length !== factor) {
    return refuse(
      `The manual partition assignment includes a partition with ${replicas.length} replica(s), but this is not consistent with previous partitions, which have ${factor} replica(s).`,
    );
  }
  return replicas.map(nodeId);
}
