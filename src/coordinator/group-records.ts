/**
 * The records of __consumer_offsets, byte for byte as Kafka 4.3 writes them. A key begins with its record type (int16),
 * a value with its version (int16).
 */
import type { Timestamp } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { type Uuid, ZERO_UUID } from '#model/ids';
import { readGroupMetadataKey, writeGroupMetadataKey } from '#protocol/generated/group-metadata-key';
import {
  type GroupMetadataValue,
  readGroupMetadataValue,
  writeGroupMetadataValue,
} from '#protocol/generated/group-metadata-value';
import { readOffsetCommitKey, writeOffsetCommitKey } from '#protocol/generated/offset-commit-key';
import { readOffsetCommitValue, writeOffsetCommitValue } from '#protocol/generated/offset-commit-value';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';
import { joined } from './bytes.ts';
import { type ConsumerChange, readConsumerRecord } from './consumer-records.ts';
import type { CoordinatorRecord } from './effects.ts';

const RecordType = { OffsetCommitLegacy: 0, OffsetCommit: 1, GroupMetadata: 2 } as const;
const KEY_VERSION = 0;
const OFFSET_VALUE_VERSION = 4;
/** The one version that has an expiry of its own (OffsetCommit v2 to v4 may ask for it). */
const OFFSET_VALUE_VERSION_WITH_EXPIRY = 1;
const GROUP_VALUE_VERSION = 3;
/** A string on the wire. */
const STRING_BYTES_MAX = 0x7fff;
const UTF8_BYTES_PER_UNIT_MAX = 3;

export interface CommittedOffset {
  readonly offset: number;
  /** -1 if the consumer knew none. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly committedAt: Timestamp;
  /** -1: the broker's retention decides. */
  readonly expiresAt: Timestamp;
  /** ZERO_UUID for commits by topic name alone. */
  readonly topicId: Uuid;
}

/** What a record says; `value` is undefined in a tombstone. Bytes are views into the record. */
export type GroupRecord =
  | {
      readonly kind: 'offset';
      readonly groupId: string;
      readonly topic: string;
      readonly partition: number;
      readonly value: CommittedOffset | undefined;
    }
  | { readonly kind: 'group'; readonly groupId: string; readonly value: GroupMetadataValue | undefined }
  | { readonly kind: 'consumer'; readonly groupId: string; readonly change: ConsumerChange }
  /**
   * Of a later Kafka, or of a feature that is not served here: kept in the log and otherwise ignored, as Kafka does.
   */
  | { readonly kind: 'unknown'; readonly type: number };

/** Whether a record can hold the text: invalid bytes of a request grow when they become U+FFFD. */
export function fitsRecord(text: string): boolean {
  return text.length * UTF8_BYTES_PER_UNIT_MAX <= STRING_BYTES_MAX || Buffer.byteLength(text) <= STRING_BYTES_MAX;
}

/** Kafka allows the empty group id for commits only. */
export function groupIdError(groupId: string): ErrorCode | undefined {
  return groupId === '' || !fitsRecord(groupId) ? ErrorCode.InvalidGroupId : undefined;
}

export function offsetRecord(
  groupId: string,
  topic: string,
  partition: number,
  commit: CommittedOffset | null,
): CoordinatorRecord {
  const key = new Writer();
  key.int16(RecordType.OffsetCommit);
  writeOffsetCommitKey(key, { group: groupId, topic, partition }, KEY_VERSION);
  if (commit === null) return { key: joined(key), value: null };
  const value = new Writer();
  const version = commit.expiresAt === -1 ? OFFSET_VALUE_VERSION : OFFSET_VALUE_VERSION_WITH_EXPIRY;
  value.int16(version);
  writeOffsetCommitValue(
    value,
    {
      offset: commit.offset,
      leaderEpoch: commit.leaderEpoch,
      metadata: commit.metadata,
      commitTimestamp: commit.committedAt,
      expireTimestamp: commit.expiresAt,
      topicId: commit.topicId,
    },
    version,
  );
  return { key: joined(key), value: joined(value) };
}

export function groupRecord(groupId: string, group: GroupMetadataValue | null): CoordinatorRecord {
  const key = new Writer();
  key.int16(RecordType.GroupMetadata);
  writeGroupMetadataKey(key, { group: groupId }, KEY_VERSION);
  if (group === null) return { key: joined(key), value: null };
  const value = new Writer();
  value.int16(GROUP_VALUE_VERSION);
  writeGroupMetadataValue(value, group, GROUP_VALUE_VERSION);
  return { key: joined(key), value: joined(value) };
}

/** Reads every version of the types known here; throws ProtocolError on bytes that no Kafka wrote. */
export function readGroupRecord(record: CoordinatorRecord): GroupRecord {
  const key = new Reader(record.key);
  const type = key.int16();
  switch (type) {
    case RecordType.OffsetCommitLegacy:
    case RecordType.OffsetCommit: {
      const { group, topic, partition } = readOffsetCommitKey(key, KEY_VERSION);
      return { kind: 'offset', groupId: group, topic, partition, value: readOffsetValue(record.value) };
    }
    case RecordType.GroupMetadata: {
      const { group } = readGroupMetadataKey(key, KEY_VERSION);
      if (record.value === null) return { kind: 'group', groupId: group, value: undefined };
      const reader = new Reader(record.value);
      return { kind: 'group', groupId: group, value: readGroupMetadataValue(reader, reader.int16()) };
    }
    default: {
      const consumer = readConsumerRecord(type, key, record.value);
      return consumer === undefined ? { kind: 'unknown', type } : { kind: 'consumer', ...consumer };
    }
  }
}

function readOffsetValue(bytes: Uint8Array | null): CommittedOffset | undefined {
  if (bytes === null) return undefined;
  const reader = new Reader(bytes);
  const value = readOffsetCommitValue(reader, reader.int16());
  return {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    committedAt: value.commitTimestamp,
    expiresAt: value.expireTimestamp,
    topicId: value.topicId ?? ZERO_UUID,
  };
}
