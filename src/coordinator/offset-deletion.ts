/** Tombstones: for offsets that a client deletes, for deleted topics, and for whole groups. */
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import type { ClassicGroup } from './classic-group.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { CONSUMER_PROTOCOL_TYPE } from './consumer-protocol.ts';
import { consumerTombstones } from './conversion.ts';
import type { Output } from './effects.ts';
import { failedOffsetDelete } from './failures.ts';
import { GroupState, GroupType, type OffsetDeleteCommand, type OffsetDeleteResponse } from './group-commands.ts';
import { groupRecord, offsetRecord } from './group-records.ts';
import { type GroupOffsets, sameTopic } from './offsets.ts';
import type { TransactionalOffsets } from './transactional-offsets.ts';

/**
 * Offsets of topics that nobody is subscribed to (KIP-496), those of open transactions too; only consumers'
 * subscriptions are known, other groups must be empty.
 */
export function deleteOffsets(
  group: ClassicGroup | ConsumerGroup,
  offsets: GroupOffsets,
  pending: TransactionalOffsets,
  command: OffsetDeleteCommand,
  out: Output,
): OffsetDeleteResponse {
  if (group.state !== GroupState.Empty && group.protocolType !== CONSUMER_PROTOCOL_TYPE) {
    return failedOffsetDelete(ErrorCode.NonEmptyGroup);
  }
  const topics = command.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex }) => {
      if (group.isSubscribedTo(name)) return { partitionIndex, errorCode: ErrorCode.GroupSubscribedToTopic };
      const isCommitted = offsets.get(name, partitionIndex) !== undefined;
      if (isCommitted || pending.isPending(command.groupId, name, partitionIndex)) {
        out.records.push(offsetRecord(command.groupId, name, partitionIndex, null));
      }
      return { partitionIndex, errorCode: ErrorCode.None };
    }),
  }));
  return { errorCode: ErrorCode.None, topics };
}

/** Only a group without members can be deleted; its offsets, if given, go first, those of open transactions too. */
export function deleteGroup(
  group: ClassicGroup | ConsumerGroup,
  offsets: GroupOffsets | undefined,
  pending: TransactionalOffsets,
  out: Output,
): ErrorCode {
  if (group.state !== GroupState.Empty) return ErrorCode.NonEmptyGroup;
  for (const [topic, partitions] of offsets?.topics() ?? []) {
    for (const partition of partitions.keys()) out.records.push(offsetRecord(group.groupId, topic, partition, null));
  }
  for (const { topic, partition } of pending.of(group.groupId))
    if (offsets?.get(topic, partition) === undefined)
      out.records.push(offsetRecord(group.groupId, topic, partition, null));
  if (group.kind === GroupType.Consumer) out.records.push(...consumerTombstones(group));
  else out.records.push(groupRecord(group.groupId, null));
  return ErrorCode.None;
}

/** A topic made anew under the same name keeps what was committed to it by its id. */
export function deleteTopicOffsets(
  groupId: string,
  offsets: GroupOffsets,
  pending: TransactionalOffsets,
  topics: readonly { readonly name: string; readonly id: Uuid }[],
  out: Output,
): void {
  for (const { name, id } of topics) {
    const gone = new Set<number>();
    for (const [partition, value] of offsets.partitions(name) ?? [])
      if (sameTopic(value.topicId, id)) gone.add(partition);
    for (const { topic, partition, value } of pending.of(groupId))
      if (topic === name && sameTopic(value.topicId, id)) gone.add(partition);
    for (const partition of gone) out.records.push(offsetRecord(groupId, name, partition, null));
  }
}
