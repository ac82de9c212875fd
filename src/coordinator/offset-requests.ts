/** What groups commit, and what is asked of it: who may, and what is written. */
import { ErrorCode } from '#model/errors';
import type { ClassicGroup } from './classic-group.ts';
import { offsetCommitError, txnOffsetCommitError } from './classic-requests.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import {
  type CommitRight,
  consumerCommitRight,
  consumerFetchError,
  consumerTxnCommitRight,
} from './consumer-offsets.ts';
import { type Instant, type Outcome, outcome, output } from './effects.ts';
import { failedOffsetCommit } from './failures.ts';
import {
  GroupType,
  type OffsetCommitCommand,
  type OffsetCommitResponse,
  type OffsetDeleteCommand,
  type OffsetDeleteResponse,
  type OffsetFetchCommand,
  type OffsetFetchResponse,
} from './group-commands.ts';
import type { GroupConfig } from './group-config.ts';
import { fitsRecord, groupIdError } from './group-records.ts';
import type { GroupTable } from './group-table.ts';
import { deleteOffsets } from './offset-deletion.ts';
import { commitOffsets, fetchOffsets } from './offsets.ts';

/** A commit to an unknown group by somebody outside of any generation makes a group without members. */
export function offsetCommit(
  table: GroupTable,
  config: GroupConfig,
  command: OffsetCommitCommand,
  now: Instant,
): Outcome<OffsetCommitResponse> {
  const entry = table.get(command.groupId);
  const right =
    entry === undefined
      ? strangersCommitError(table, command, ErrorCode.GroupIdNotFound)
      : commitRight(entry.group, command, now);
  if (entry !== undefined) table.touched(entry);
  return commit(config, command, right, now);
}

/** Within a transaction: what is committed counts from its marker on. A member is fenced by what it knows of its group (KIP-447). */
export function txnOffsetCommit(
  table: GroupTable,
  config: GroupConfig,
  command: OffsetCommitCommand,
  now: Instant,
): Outcome<OffsetCommitResponse> {
  const entry = table.get(command.groupId);
  const right =
    entry === undefined
      ? strangersCommitError(table, command, ErrorCode.IllegalGeneration)
      : txnCommitRight(entry.group, command);
  return commit(config, command, right, now);
}

/** An unknown group has no offsets, which is no error. */
export function offsetFetch(table: GroupTable, command: OffsetFetchCommand): OffsetFetchResponse {
  const { groupId, topics, requireStable } = command;
  const entry = table.get(groupId);
  const errorCode =
    entry?.group.kind === GroupType.Consumer ? consumerFetchError(entry.group, command) : ErrorCode.None;
  if (errorCode !== ErrorCode.None) return { groupId, errorCode, topics: [] };
  const isUnstable = (topic: string, partition: number) =>
    requireStable && table.pending.isPending(groupId, topic, partition);
  return { groupId, errorCode, topics: fetchOffsets(entry?.offsets, topics, isUnstable) };
}

export function offsetDelete(table: GroupTable, command: OffsetDeleteCommand): Outcome<OffsetDeleteResponse> {
  const out = output();
  const entry = table.named(command.groupId);
  if (entry === undefined) {
    const errorCode = groupIdError(command.groupId) ?? ErrorCode.GroupIdNotFound;
    return outcome(out, { errorCode, topics: [] });
  }
  return outcome(out, deleteOffsets(entry.group, entry.offsets, table.pending, command, out));
}

/** A commit to a group that nobody knows: by somebody outside of any generation. */
function strangersCommitError(
  table: GroupTable,
  { groupId, generationIdOrMemberEpoch }: OffsetCommitCommand,
  inGeneration: ErrorCode,
): ErrorCode {
  if (!fitsRecord(groupId)) return ErrorCode.InvalidGroupId;
  if (generationIdOrMemberEpoch >= 0) return inGeneration;
  return table.isFull ? ErrorCode.CoordinatorNotAvailable : ErrorCode.None;
}

function commit(
  config: GroupConfig,
  command: OffsetCommitCommand,
  right: CommitRight,
  now: Instant,
): Outcome<OffsetCommitResponse> {
  const out = output();
  if (typeof right !== 'function' && right !== ErrorCode.None) return outcome(out, failedOffsetCommit(command, right));
  const ofPartition = typeof right === 'function' ? right : () => ErrorCode.None;
  return outcome(out, commitOffsets(command, config, ofPartition, now.wall, out));
}

function txnCommitRight(group: ClassicGroup | ConsumerGroup, command: OffsetCommitCommand): CommitRight {
  return group.kind === GroupType.Consumer
    ? consumerTxnCommitRight(group, command)
    : txnOffsetCommitError(group, command);
}

function commitRight(group: ClassicGroup | ConsumerGroup, command: OffsetCommitCommand, now: Instant): CommitRight {
  return group.kind === GroupType.Consumer
    ? consumerCommitRight(group, command)
    : offsetCommitError(group, command, now);
}
