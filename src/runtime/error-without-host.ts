import { coordinatorPartition } from '#coordinator/coordinator-partition';
import type { Topic } from '#metadata/image';
import { ErrorCode, type FailureCode } from '#model/errors';
import type { NodeId } from '#model/ids';

/**
 * What a request is told whose key belongs to a partition of a coordinator's topic that nothing here serves. The metadata is ahead of its
 * effects: who leads by it, and has not begun to serve, is loading. NOT_COORDINATOR would send clients away, and back at once.
 */
export function errorWithoutHost(topic: Topic | undefined, key: string, self: NodeId): FailureCode {
  const leader = topic?.partitions[coordinatorPartition(key, topic.partitions.length)]?.leader;
  return leader === self ? ErrorCode.CoordinatorLoadInProgress : ErrorCode.NotCoordinator;
}
