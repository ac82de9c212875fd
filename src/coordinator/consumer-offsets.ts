/** Who may commit and read offsets in a consumer group. */
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import type { ConsumerGroup } from './consumer-group.ts';
import type { ConsumerMember } from './consumer-member.ts';
import type { OffsetCommitCommand, OffsetFetchCommand } from './group-commands.ts';

/** An error for the whole commit, or what each partition is told. */
export type CommitRight = ErrorCode | ((topicId: Uuid, partition: number) => ErrorCode);

/**
 * A member may in its epoch, and in an older one for what it has had since then: it has not heard of the new epoch yet,
 * and nobody else has had the partition meanwhile (KIP-1251). While nobody is in the group anybody may.
 */
export function consumerCommitRight(group: ConsumerGroup, command: OffsetCommitCommand): CommitRight {
  const { generationIdOrMemberEpoch: epoch, memberId } = command;
  if (epoch < 0 && group.memberCount === 0) return ErrorCode.None;
  const member = group.member(memberId);
  if (member === undefined) return ErrorCode.UnknownMemberId;
  if (member.classic !== null) return epoch === member.memberEpoch ? ErrorCode.None : ErrorCode.IllegalGeneration;
  if (!command.staleEpochKnown) return ErrorCode.UnsupportedVersion;
  if (epoch === member.memberEpoch) return ErrorCode.None;
  if (epoch > member.memberEpoch || epoch < 0) return ErrorCode.StaleMemberEpoch;
  return (topicId, partition) => {
    const since = ownedSince(member, topicId, partition);
    return since !== undefined && epoch >= since ? ErrorCode.None : ErrorCode.StaleMemberEpoch;
  };
}

/**
 * Within a transaction: whose request tells nothing of a membership is let through, as KIP-447 has it, and the epoch is a generation in
 * the words of that API.
 */
export function consumerTxnCommitRight(group: ConsumerGroup, command: OffsetCommitCommand): CommitRight {
  const { generationIdOrMemberEpoch: epoch, memberId, groupInstanceId } = command;
  if (epoch < 0 && memberId === '' && groupInstanceId === null) return ErrorCode.None;
  const right = consumerCommitRight(group, command);
  return typeof right === 'function'
    ? (topicId, partition) => inGenerations(right(topicId, partition))
    : inGenerations(right);
}

function inGenerations(error: ErrorCode): ErrorCode {
  return error === ErrorCode.StaleMemberEpoch ? ErrorCode.IllegalGeneration : error;
}

function ownedSince({ assigned, revoking }: ConsumerMember, topicId: Uuid, partition: number): number | undefined {
  return assigned.get(topicId)?.get(partition) ?? revoking.get(topicId)?.get(partition);
}

export function consumerFetchError(group: ConsumerGroup, { memberId, memberEpoch }: OffsetFetchCommand): ErrorCode {
  if (memberId === null && memberEpoch < 0) return ErrorCode.None;
  const member = group.member(memberId ?? '');
  if (member === undefined) return ErrorCode.UnknownMemberId;
  if (memberEpoch === member.memberEpoch) return ErrorCode.None;
  return member.classic === null ? ErrorCode.StaleMemberEpoch : ErrorCode.IllegalGeneration;
}
