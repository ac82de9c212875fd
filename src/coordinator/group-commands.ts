/**
 * Requests and responses of groups as plain values: the fields of Kafka's messages, under their names. What
 * depends on an API's version is said where it matters; the api layer maps. Byte fields of commands are borrowed until
 * the call returns; those of responses are never changed afterwards.
 */
import type { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import type { TopicPartitions } from './partition-sets.ts';

/** Names as ListGroups prints them; consumer groups are KIP-848's. */
export const GroupType = { Classic: 'Classic', Consumer: 'Consumer' } as const;
export type GroupType = (typeof GroupType)[keyof typeof GroupType];

/**
 * Names as ListGroups and DescribeGroups print them; Dead is only ever an answer. Consumer groups are Empty, Assigning,
 * Reconciling or Stable.
 */
export const GroupState = {
  Empty: 'Empty',
  PreparingRebalance: 'PreparingRebalance',
  CompletingRebalance: 'CompletingRebalance',
  Assigning: 'Assigning',
  Reconciling: 'Reconciling',
  Stable: 'Stable',
  Dead: 'Dead',
} as const;
export type GroupState = (typeof GroupState)[keyof typeof GroupState];
export type ClassicGroupState = Exclude<GroupState, 'Assigning' | 'Reconciling'>;

/** How a client supports one of its assignors ("protocols"); the metadata is opaque to the broker. */
export interface MemberProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

export interface JoinGroupCommand {
  readonly groupId: string;
  readonly sessionTimeoutMs: number;
  /** -1 (JoinGroup v0): the session timeout. */
  readonly rebalanceTimeoutMs: number;
  /** '' for a member that has none yet. */
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly protocolType: string;
  readonly protocols: readonly MemberProtocol[];
  readonly clientId: string;
  /** As Kafka prints it: `/127.0.0.1`. */
  readonly clientHost: string;
  /** JoinGroup v4 and later: a dynamic member is first given an id to come back with (KIP-394). */
  readonly memberIdRequired: boolean;
  /** JoinGroup v9 and later: a static leader that rejoins may be told to assign nothing (KIP-814). */
  readonly skipAssignmentKnown: boolean;
}

export interface JoinGroupResponse {
  readonly errorCode: ErrorCode;
  readonly generationId: number;
  readonly protocolType: string | null;
  /** Null only in errors; below v7 the api layer writes ''. */
  readonly protocolName: string | null;
  readonly leader: string;
  readonly skipAssignment: boolean;
  readonly memberId: string;
  /** For the leader; others get none. */
  readonly members: readonly JoinedMember[];
}

export interface JoinedMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly metadata: Uint8Array;
}

export interface SyncGroupCommand {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  /** Null below v5, as is protocolName: then it is not checked. */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[];
}

export interface SyncGroupResponse {
  readonly errorCode: ErrorCode;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Uint8Array;
}

export interface HeartbeatCommand {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

export interface HeartbeatResponse {
  readonly errorCode: ErrorCode;
}

export interface LeaveGroupCommand {
  readonly groupId: string;
  /** Below v3 the one member of the request; its error is then the response's. */
  readonly members: readonly LeavingMember[];
}

export interface LeavingMember {
  /** '' removes by instance id alone, as admin tools do. */
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

export interface LeaveGroupResponse {
  readonly errorCode: ErrorCode;
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    readonly errorCode: ErrorCode;
  }[];
}

/** Topics come with name and id: which of them was on the wire is the api layer's matter. */
export interface OffsetCommitCommand {
  readonly groupId: string;
  readonly generationIdOrMemberEpoch: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  /** v2 to v4; -1 for the broker's retention. */
  readonly retentionTimeMs: number;
  /** OffsetCommit v9 and later: members of consumer groups must be able to understand STALE_MEMBER_EPOCH. */
  readonly staleEpochKnown: boolean;
  readonly topics: readonly {
    readonly name: string;
    /** ZERO_UUID if the topic has none or is not known. */
    readonly topicId: Uuid;
    readonly partitions: readonly {
      readonly partitionIndex: number;
      readonly committedOffset: number;
      readonly committedLeaderEpoch: number;
      readonly committedMetadata: string | null;
    }[];
  }[];
}

/** GROUP_ID_NOT_FOUND is ILLEGAL_GENERATION below OffsetCommit v9. */
export interface OffsetCommitResponse {
  readonly topics: readonly {
    readonly name: string;
    readonly topicId: Uuid;
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: ErrorCode }[];
  }[];
}

/** One group of an OffsetFetch. `requireStable`: no offset that an open transaction may change. */
export interface OffsetFetchCommand {
  readonly groupId: string;
  /** Null (or a request below v9): somebody outside of the group asks, with an epoch of -1. */
  readonly memberId: string | null;
  readonly memberEpoch: number;
  /** Null for all topics. */
  readonly topics:
    | readonly { readonly name: string; readonly topicId: Uuid; readonly partitionIndexes: readonly number[] }[]
    | null;
  readonly requireStable: boolean;
}

export interface OffsetFetchResponse {
  readonly groupId: string;
  readonly errorCode: ErrorCode;
  readonly topics: readonly OffsetFetchTopic[];
}

export interface OffsetFetchTopic {
  readonly name: string;
  readonly topicId: Uuid;
  readonly partitions: readonly OffsetFetchPartition[];
}

export interface OffsetFetchPartition {
  readonly partitionIndex: number;
  /** -1 where nothing was committed. */
  readonly committedOffset: number;
  readonly committedLeaderEpoch: number;
  readonly metadata: string;
  readonly errorCode: ErrorCode;
}

export interface OffsetDeleteCommand {
  readonly groupId: string;
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly { readonly partitionIndex: number }[];
  }[];
}

export interface OffsetDeleteResponse {
  readonly errorCode: ErrorCode;
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: ErrorCode }[];
  }[];
}

/** Both filters ignore case; an empty one lets everything pass. */
export interface ListGroupsCommand {
  readonly statesFilter: readonly string[];
  readonly typesFilter: readonly string[];
}

export interface ListedGroup {
  readonly groupId: string;
  readonly protocolType: string;
  readonly groupState: GroupState;
  readonly groupType: GroupType;
}

/** An unknown group is Dead with GROUP_ID_NOT_FOUND; below DescribeGroups v6 Dead without an error. */
export interface DescribedGroup {
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
  readonly groupId: string;
  readonly groupState: GroupState;
  readonly protocolType: string;
  readonly protocolData: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    readonly clientId: string;
    readonly clientHost: string;
    readonly memberMetadata: Uint8Array;
    readonly memberAssignment: Uint8Array;
  }[];
}

export interface DeletedGroup {
  readonly groupId: string;
  readonly errorCode: ErrorCode;
}

/** ConsumerGroupHeartbeat (KIP-848). A null says that nothing has changed; an empty list or text says that there is none. */
export interface ConsumerHeartbeatCommand {
  readonly groupId: string;
  /** v0 may leave it to the coordinator: ''. */
  readonly memberId: string;
  /** 0 to join; -1 to leave, -2 for a static member that comes back. */
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  /** -1 if it has not changed. */
  readonly rebalanceTimeoutMs: number;
  readonly subscribedTopicNames: readonly string[] | null;
  readonly subscribedTopicRegex: string | null;
  readonly serverAssignor: string | null;
  /** What it has. */
  readonly topicPartitions: readonly TopicPartitions[] | null;
  readonly clientId: string;
  /** As Kafka prints it: `/127.0.0.1`. */
  readonly clientHost: string;
  /** v1 and later: the client makes its member id. */
  readonly memberIdRequired: boolean;
}

export interface ConsumerHeartbeatResponse {
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
  readonly memberId: string | null;
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  /** All that the member has; null if that has not changed. */
  readonly assignment: { readonly topicPartitions: readonly TopicPartitions[] } | null;
}

/** ConsumerGroupDescribe; errors as in DescribedGroup. */
export interface DescribedConsumerGroup {
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
  readonly groupId: string;
  readonly groupState: string;
  readonly groupEpoch: number;
  readonly assignmentEpoch: number;
  readonly assignorName: string;
  readonly members: readonly DescribedConsumerMember[];
}

export interface DescribedConsumerMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly memberEpoch: number;
  readonly clientId: string;
  readonly clientHost: string;
  readonly subscribedTopicNames: readonly string[];
  readonly subscribedTopicRegex: string | null;
  readonly assignment: { readonly topicPartitions: readonly NamedTopicPartitions[] };
  readonly targetAssignment: { readonly topicPartitions: readonly NamedTopicPartitions[] };
  /** 0: it speaks the classic protocol; 1: the new one. */
  readonly memberType: number;
}

export interface NamedTopicPartitions extends TopicPartitions {
  readonly topicName: string;
}
