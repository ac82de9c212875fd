import { assert } from '#base/assert';

const INT32_MIN = -(2 ** 31);

/**
 * The partition of __consumer_offsets that holds a group, the same as Kafka's: the absolute value of Java's
 * String.hashCode (0 for the one that has none), modulo the count.
 */
export function coordinatorPartition(groupId: string, partitionCount: number): number {
  assert(Number.isInteger(partitionCount) && partitionCount > 0, `not a partition count: ${partitionCount}`);
  let hash = 0;
  for (let index = 0; index < groupId.length; index += 1) hash = (Math.imul(hash, 31) + groupId.charCodeAt(index)) | 0;
  return hash === INT32_MIN ? 0 : Math.abs(hash) % partitionCount;
}
