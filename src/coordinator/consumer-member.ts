/** A member of a consumer group (KIP-848) as the log has it: a value, replaced as a whole. */
import type { MemberProtocol } from './group-commands.ts';
import { type DatedAssignment, NO_PARTITIONS } from './partition-sets.ts';

/** How far a member has come towards its target; the numbers of the log. */
export const MemberState = { Unknown: 127, Stable: 0, UnrevokedPartitions: 1, UnreleasedPartitions: 2 } as const;
export type MemberState = (typeof MemberState)[keyof typeof MemberState];

/** The epochs that a heartbeat leaves with. */
export const LEAVE_EPOCH = -1;
/** A static member that goes for a while keeps its partitions until its session ends. */
export const STATIC_LEAVE_EPOCH = -2;

export interface ConsumerMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** Ascending, unique. */
  readonly topicNames: readonly string[];
  /** '' for none. */
  readonly topicRegex: string;
  readonly rebalanceTimeoutMs: number;
  readonly serverAssignor: string | null;
  /** Of one that joins with JoinGroup; null for one that speaks ConsumerGroupHeartbeat. */
  readonly classic: ClassicProtocolMember | null;
  readonly state: MemberState;
  readonly memberEpoch: number;
  readonly previousMemberEpoch: number;
  readonly assigned: DatedAssignment;
  /** Given up, but the member has not said so yet: no one else may have them. */
  readonly revoking: DatedAssignment;
}

export interface ClassicProtocolMember {
  readonly sessionTimeoutMs: number;
  /** In the member's order of preference. */
  readonly protocols: readonly MemberProtocol[];
}

export function newConsumerMember(memberId: string): ConsumerMember {
  return {
    memberId,
    instanceId: null,
    rackId: null,
    clientId: '',
    clientHost: '',
    topicNames: [],
    topicRegex: '',
    rebalanceTimeoutMs: -1,
    serverAssignor: null,
    classic: null,
    state: MemberState.Stable,
    memberEpoch: 0,
    previousMemberEpoch: -1,
    assigned: NO_PARTITIONS,
    revoking: NO_PARTITIONS,
  };
}

export function isReconciledTo(member: ConsumerMember, assignmentEpoch: number): boolean {
  return member.state === MemberState.Stable && member.memberEpoch === assignmentEpoch;
}

export function regexOf({ topicRegex }: ConsumerMember): string | undefined {
  return topicRegex === '' ? undefined : topicRegex;
}

export function sameStrings(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index]);
}
