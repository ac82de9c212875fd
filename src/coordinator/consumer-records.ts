/** The records of consumer groups (KIP-848) in __consumer_offsets, byte for byte as Kafka 4.3 writes them. */
import {
  readConsumerGroupCurrentMemberAssignmentKey,
  writeConsumerGroupCurrentMemberAssignmentKey,
} from '#protocol/generated/consumer-group-current-member-assignment-key';
import {
  type TopicPartitions as DatedPartitions,
  readConsumerGroupCurrentMemberAssignmentValue,
  writeConsumerGroupCurrentMemberAssignmentValue,
} from '#protocol/generated/consumer-group-current-member-assignment-value';
import {
  readConsumerGroupMemberMetadataKey,
  writeConsumerGroupMemberMetadataKey,
} from '#protocol/generated/consumer-group-member-metadata-key';
import {
  readConsumerGroupMemberMetadataValue,
  writeConsumerGroupMemberMetadataValue,
} from '#protocol/generated/consumer-group-member-metadata-value';
import {
  readConsumerGroupMetadataKey,
  writeConsumerGroupMetadataKey,
} from '#protocol/generated/consumer-group-metadata-key';
import {
  readConsumerGroupMetadataValue,
  writeConsumerGroupMetadataValue,
} from '#protocol/generated/consumer-group-metadata-value';
import { readConsumerGroupPartitionMetadataKey } from '#protocol/generated/consumer-group-partition-metadata-key';
import {
  readConsumerGroupRegularExpressionKey,
  writeConsumerGroupRegularExpressionKey,
} from '#protocol/generated/consumer-group-regular-expression-key';
import {
  readConsumerGroupRegularExpressionValue,
  writeConsumerGroupRegularExpressionValue,
} from '#protocol/generated/consumer-group-regular-expression-value';
import {
  readConsumerGroupTargetAssignmentMemberKey,
  writeConsumerGroupTargetAssignmentMemberKey,
} from '#protocol/generated/consumer-group-target-assignment-member-key';
import {
  readConsumerGroupTargetAssignmentMemberValue,
  writeConsumerGroupTargetAssignmentMemberValue,
} from '#protocol/generated/consumer-group-target-assignment-member-value';
import {
  readConsumerGroupTargetAssignmentMetadataKey,
  writeConsumerGroupTargetAssignmentMetadataKey,
} from '#protocol/generated/consumer-group-target-assignment-metadata-key';
import {
  readConsumerGroupTargetAssignmentMetadataValue,
  writeConsumerGroupTargetAssignmentMetadataValue,
} from '#protocol/generated/consumer-group-target-assignment-metadata-value';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';
import { copyOf, joined } from './bytes.ts';
import { type ConsumerMember, MemberState } from './consumer-member.ts';
import type { CoordinatorRecord } from './effects.ts';
import { type Assignment, assignmentOf, type DatedAssignment, topicPartitionsOf } from './partition-sets.ts';

/** As they stand at the begin of keys. */
export const ConsumerRecordType = {
  GroupMetadata: 3,
  PartitionMetadata: 4,
  MemberMetadata: 5,
  TargetMetadata: 6,
  TargetMember: 7,
  CurrentMember: 8,
  RegularExpression: 16,
} as const;
export type ConsumerRecordType = (typeof ConsumerRecordType)[keyof typeof ConsumerRecordType];

const VERSION = 0;

export type MemberMetadata = Omit<ConsumerMember, 'memberId' | keyof MemberProgress>;
export type MemberProgress = Pick<
  ConsumerMember,
  'state' | 'memberEpoch' | 'previousMemberEpoch' | 'assigned' | 'revoking'
>;

/** The topics that a regex matched, in the metadata image of that index, at that time. */
export interface ResolvedRegex {
  readonly topics: ReadonlySet<string>;
  readonly version: number;
  readonly resolvedAt: number;
}

/** What a record says; an undefined value is a tombstone. */
export type ConsumerChange =
  | { readonly of: 'group'; readonly value: { readonly epoch: number; readonly metadataHash: number } | undefined }
  /** Kafka before 4.1 kept the topics' metadata; a hash has replaced it. */
  | { readonly of: 'topics' }
  | { readonly of: 'member'; readonly memberId: string; readonly value: MemberMetadata | undefined }
  | { readonly of: 'progress'; readonly memberId: string; readonly value: MemberProgress | undefined }
  | { readonly of: 'target'; readonly memberId: string; readonly value: Assignment | undefined }
  | { readonly of: 'assignment'; readonly value: { readonly epoch: number; readonly at: number } | undefined }
  | { readonly of: 'regex'; readonly regex: string; readonly value: ResolvedRegex | undefined };

export interface ConsumerRecord {
  readonly groupId: string;
  readonly change: ConsumerChange;
}

export function groupEpochRecord(groupId: string, epoch: number, metadataHash: number): CoordinatorRecord {
  return record(
    ConsumerRecordType.GroupMetadata,
    (key) => writeConsumerGroupMetadataKey(key, { groupId }, VERSION),
    (value) => writeConsumerGroupMetadataValue(value, { epoch, metadataHash }, VERSION),
  );
}

export function memberRecord(groupId: string, member: ConsumerMember): CoordinatorRecord {
  const { classic } = member;
  return record(
    ConsumerRecordType.MemberMetadata,
    (key) => writeConsumerGroupMemberMetadataKey(key, { groupId, memberId: member.memberId }, VERSION),
    (value) =>
      writeConsumerGroupMemberMetadataValue(
        value,
        {
          instanceId: member.instanceId,
          rackId: member.rackId,
          clientId: member.clientId,
          clientHost: member.clientHost,
          subscribedTopicNames: member.topicNames,
          subscribedTopicRegex: member.topicRegex,
          rebalanceTimeoutMs: member.rebalanceTimeoutMs,
          serverAssignor: member.serverAssignor,
          classicMemberMetadata:
            classic === null
              ? null
              : { sessionTimeoutMs: classic.sessionTimeoutMs, supportedProtocols: classic.protocols },
        },
        VERSION,
      ),
  );
}

export function progressRecord(groupId: string, member: ConsumerMember): CoordinatorRecord {
  return record(
    ConsumerRecordType.CurrentMember,
    (key) => writeConsumerGroupCurrentMemberAssignmentKey(key, { groupId, memberId: member.memberId }, VERSION),
    (value) =>
      writeConsumerGroupCurrentMemberAssignmentValue(
        value,
        {
          memberEpoch: member.memberEpoch,
          previousMemberEpoch: member.previousMemberEpoch,
          state: member.state,
          assignedPartitions: datedPartitions(member.assigned),
          partitionsPendingRevocation: datedPartitions(member.revoking),
        },
        VERSION,
      ),
  );
}

export function targetRecord(groupId: string, memberId: string, target: Assignment): CoordinatorRecord {
  return record(
    ConsumerRecordType.TargetMember,
    (key) => writeConsumerGroupTargetAssignmentMemberKey(key, { groupId, memberId }, VERSION),
    (value) =>
      writeConsumerGroupTargetAssignmentMemberValue(value, { topicPartitions: topicPartitionsOf(target) }, VERSION),
  );
}

export function assignmentEpochRecord(groupId: string, assignmentEpoch: number, at: number): CoordinatorRecord {
  return record(
    ConsumerRecordType.TargetMetadata,
    (key) => writeConsumerGroupTargetAssignmentMetadataKey(key, { groupId }, VERSION),
    (value) =>
      writeConsumerGroupTargetAssignmentMetadataValue(value, { assignmentEpoch, assignmentTimestamp: at }, VERSION),
  );
}

export function regexRecord(groupId: string, regularExpression: string, resolved: ResolvedRegex): CoordinatorRecord {
  const { topics, version, resolvedAt } = resolved;
  return record(
    ConsumerRecordType.RegularExpression,
    (key) => writeConsumerGroupRegularExpressionKey(key, { groupId, regularExpression }, VERSION),
    (value) =>
      writeConsumerGroupRegularExpressionValue(
        value,
        { topics: [...topics].sort(), version, timestamp: resolvedAt },
        VERSION,
      ),
  );
}

export function regexTombstone(groupId: string, regularExpression: string): CoordinatorRecord {
  return record(ConsumerRecordType.RegularExpression, (key) =>
    writeConsumerGroupRegularExpressionKey(key, { groupId, regularExpression }, VERSION),
  );
}

/** Frees the partitions first, then the target, then the member itself. */
export function memberTombstones(groupId: string, memberId: string): CoordinatorRecord[] {
  return [
    record(ConsumerRecordType.CurrentMember, (key) =>
      writeConsumerGroupCurrentMemberAssignmentKey(key, { groupId, memberId }, VERSION),
    ),
    record(ConsumerRecordType.TargetMember, (key) =>
      writeConsumerGroupTargetAssignmentMemberKey(key, { groupId, memberId }, VERSION),
    ),
    record(ConsumerRecordType.MemberMetadata, (key) =>
      writeConsumerGroupMemberMetadataKey(key, { groupId, memberId }, VERSION),
    ),
  ];
}

/** Of a group whose members and regexes are gone already. */
export function groupTombstones(groupId: string): CoordinatorRecord[] {
  return [
    record(ConsumerRecordType.TargetMetadata, (key) =>
      writeConsumerGroupTargetAssignmentMetadataKey(key, { groupId }, VERSION),
    ),
    record(ConsumerRecordType.GroupMetadata, (key) => writeConsumerGroupMetadataKey(key, { groupId }, VERSION)),
  ];
}

/** Undefined for types that are not a consumer group's; throws ProtocolError on bytes that no Kafka wrote. */
export function readConsumerRecord(type: number, key: Reader, bytes: Uint8Array | null): ConsumerRecord | undefined {
  switch (type) {
    case ConsumerRecordType.GroupMetadata: {
      const { groupId } = readConsumerGroupMetadataKey(key, VERSION);
      return { groupId, change: { of: 'group', value: read(bytes, readConsumerGroupMetadataValue) } };
    }
    case ConsumerRecordType.PartitionMetadata: {
      const { groupId } = readConsumerGroupPartitionMetadataKey(key, VERSION);
      return { groupId, change: { of: 'topics' } };
    }
    case ConsumerRecordType.MemberMetadata: {
      const { groupId, memberId } = readConsumerGroupMemberMetadataKey(key, VERSION);
      return { groupId, change: { of: 'member', memberId, value: readMember(bytes) } };
    }
    case ConsumerRecordType.TargetMetadata: {
      const { groupId } = readConsumerGroupTargetAssignmentMetadataKey(key, VERSION);
      const value = read(bytes, readConsumerGroupTargetAssignmentMetadataValue);
      const assignment = value && { epoch: value.assignmentEpoch, at: value.assignmentTimestamp };
      return { groupId, change: { of: 'assignment', value: assignment } };
    }
    case ConsumerRecordType.TargetMember: {
      const { groupId, memberId } = readConsumerGroupTargetAssignmentMemberKey(key, VERSION);
      const value = read(bytes, readConsumerGroupTargetAssignmentMemberValue);
      return { groupId, change: { of: 'target', memberId, value: value && assignmentOf(value.topicPartitions) } };
    }
    case ConsumerRecordType.CurrentMember: {
      const { groupId, memberId } = readConsumerGroupCurrentMemberAssignmentKey(key, VERSION);
      return { groupId, change: { of: 'progress', memberId, value: readProgress(bytes) } };
    }
    case ConsumerRecordType.RegularExpression: {
      const { groupId, regularExpression: regex } = readConsumerGroupRegularExpressionKey(key, VERSION);
      const value = read(bytes, readConsumerGroupRegularExpressionValue);
      const resolved = value && {
        topics: new Set(value.topics),
        version: value.version,
        resolvedAt: value.timestamp,
      };
      return { groupId, change: { of: 'regex', regex, value: resolved } };
    }
    default:
      return undefined;
  }
}

function readMember(bytes: Uint8Array | null): MemberMetadata | undefined {
  const value = read(bytes, readConsumerGroupMemberMetadataValue);
  if (value === undefined) return undefined;
  const { classicMemberMetadata: classic } = value;
  return {
    instanceId: value.instanceId,
    rackId: value.rackId,
    clientId: value.clientId,
    clientHost: value.clientHost,
    topicNames: [...value.subscribedTopicNames].sort(),
    topicRegex: value.subscribedTopicRegex ?? '',
    rebalanceTimeoutMs: value.rebalanceTimeoutMs,
    serverAssignor: value.serverAssignor,
    classic:
      classic === null
        ? null
        : {
            sessionTimeoutMs: classic.sessionTimeoutMs,
            protocols: classic.supportedProtocols.map(({ name, metadata }) => ({ name, metadata: copyOf(metadata) })),
          },
  };
}

function readProgress(bytes: Uint8Array | null): MemberProgress | undefined {
  const value = read(bytes, readConsumerGroupCurrentMemberAssignmentValue);
  if (value === undefined) return undefined;
  const state = Object.values(MemberState).find((known) => known === value.state) ?? MemberState.Unknown;
  const { memberEpoch, previousMemberEpoch } = value;
  return {
    state,
    memberEpoch,
    previousMemberEpoch,
    assigned: datedAssignment(value.assignedPartitions, memberEpoch),
    revoking: datedAssignment(value.partitionsPendingRevocation, memberEpoch),
  };
}

/** Kafka before 4.3 wrote no epochs: the member's own then stands for them, the strictest there is. */
function datedAssignment(topics: readonly DatedPartitions[], memberEpoch: number): DatedAssignment {
  return new Map(
    topics.map(({ topicId, partitions, assignmentEpochs }) => [
      topicId,
      new Map(partitions.map((partition, index) => [partition, assignmentEpochs?.[index] ?? memberEpoch])),
    ]),
  );
}

function datedPartitions(assignment: DatedAssignment) {
  return topicPartitionsOf(assignment).map(({ topicId, partitions }) => ({
    topicId,
    partitions,
    assignmentEpochs: partitions.map((partition) => assignment.get(topicId)?.get(partition) ?? 0),
  }));
}

function read<Value>(
  bytes: Uint8Array | null,
  readValue: (reader: Reader, version: number) => Value,
): Value | undefined {
  if (bytes === null) return undefined;
  const reader = new Reader(bytes);
  return readValue(reader, reader.int16());
}

function record(
  type: ConsumerRecordType,
  writeKey: (writer: Writer) => void,
  writeValue?: (writer: Writer) => void,
): CoordinatorRecord {
  const key = new Writer();
  key.int16(type);
  writeKey(key);
  if (writeValue === undefined) return { key: joined(key), value: null };
  const value = new Writer();
  value.int16(VERSION);
  writeValue(value);
  return { key: joined(key), value: joined(value) };
}
