import { assert } from '#base/assert';

/**
 * The partition of __consumer_offsets that holds a group: Java's String.hashCode without its sign, modulo the count;
 * so a cluster's group keeps its place whoever serves it.
 */
export function coordinatorPartition(groupId: string, partitionCount: number): number {
  assert(Number.isInteger(partitionCount) && partitionCount > 0, `not a partition count: ${partitionCount}`);
  let hash = 0;
  for (let index = 0; index < groupId.length; index += 1) hash = (Math.imul(hash, 31) + groupId.charCodeAt(index)) | 0;
  return (hash & 0x7fff_ffff) % partitionCount;
}
