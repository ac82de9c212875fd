/** What groups commit, and what is asked of it: who may, and what is written. */
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
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
import type { TopicsView } from './topics-view.ts';

/** Who may commit: two APIs ask, and differ in nothing else. */
export interface CommitRules {
  /** What somebody is told who names a generation of a group that nobody knows. */
  readonly unknownGeneration: ErrorCode;
  readonly ofClassic: (group: ClassicGroup, command: OffsetCommitCommand, now: Instant) => ErrorCode;
  readonly ofConsumer: (group: ConsumerGroup, command: OffsetCommitCommand) => CommitRight;
}

export const COMMIT: CommitRules = {
  unknownGeneration: ErrorCode.GroupIdNotFound,
  ofClassic: offsetCommitError,
  ofConsumer: consumerCommitRight,
};

/** What is committed counts from its transaction's marker on. A member is fenced by what it knows of its group (KIP-447). */
export const TRANSACTIONAL_COMMIT: CommitRules = {
  unknownGeneration: ErrorCode.IllegalGeneration,
  ofClassic: txnOffsetCommitError,
  ofConsumer: consumerTxnCommitRight,
};

/** A commit to an unknown group by somebody outside of any generation makes a group without members. */
export function offsetCommit(
  table: GroupTable,
  config: GroupConfig,
  rules: CommitRules,
  command: OffsetCommitCommand,
  now: Instant,
): Outcome<OffsetCommitResponse> {
  const out = output();
  const entry = table.get(command.groupId);
  const right =
    entry === undefined ? strangersRight(table, rules, command) : membersRight(entry.group, rules, command, now);
  if (entry !== undefined) table.touched(entry);
  if (typeof right !== 'function' && right !== ErrorCode.None) return outcome(out, failedOffsetCommit(command, right));
  const ofPartition = typeof right === 'function' ? right : () => ErrorCode.None;
  return outcome(out, commitOffsets(command, config, ofPartition, now.wall, out));
}

function strangersRight(
  table: GroupTable,
  { unknownGeneration }: CommitRules,
  { groupId, generationIdOrMemberEpoch }: OffsetCommitCommand,
): ErrorCode {
  if (!fitsRecord(groupId)) return ErrorCode.InvalidGroupId;
  if (generationIdOrMemberEpoch >= 0) return unknownGeneration;
  return table.isFull ? ErrorCode.CoordinatorNotAvailable : ErrorCode.None;
}

function membersRight(
  group: ClassicGroup | ConsumerGroup,
  { ofClassic, ofConsumer }: CommitRules,
  command: OffsetCommitCommand,
  now: Instant,
): CommitRight {
  return group.kind === GroupType.Consumer ? ofConsumer(group, command) : ofClassic(group, command, now);
}

/** An unknown group has no offsets, which is no error. */
export function offsetFetch(
  table: GroupTable,
  known: Pick<TopicsView, 'topic'>,
  command: OffsetFetchCommand,
): OffsetFetchResponse {
  const { groupId, topics, requireStable } = command;
  const entry = table.get(groupId);
  const errorCode =
    entry?.group.kind === GroupType.Consumer ? consumerFetchError(entry.group, command) : ErrorCode.None;
  if (errorCode !== ErrorCode.None) return { groupId, errorCode, topics: [] };
  const isUnstable = (topic: string, partition: number) =>
    requireStable && table.pending.isPending(groupId, topic, partition);
  const idOf = (topic: string) => known.topic(topic)?.id ?? ZERO_UUID;
  return { groupId, errorCode, topics: fetchOffsets(entry?.offsets, topics, idOf, isUnstable) };
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
