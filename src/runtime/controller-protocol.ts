/** What nodes ask the active controller over their peer connections, and what it answers. */
import type { OperationName } from '#metadata/controller';
import type { ErrorCode } from '#model/errors';
import type { NodeId, Uuid } from '#model/ids';
import type { Voter } from '#model/voter';
import type { Undecided } from './metadata-controller.ts';

export const DECIDE = 'decide';
export const HEARTBEAT = 'heartbeat';
export const DESCRIBE_QUORUM = 'describeQuorum';

/** A command for `decide`, as plain data. */
export interface DecideRequest {
  readonly operation: OperationName;
  readonly command: unknown;
}

export type DecideAnswer = { readonly index: number; readonly response: unknown } | { readonly undecided: Undecided };

/** Of a broker to the active controller. */
export interface Heartbeat {
  readonly id: NodeId;
  readonly brokerEpoch: number;
  readonly incarnation: Uuid;
  /** The broker's image holds everything up to there. */
  readonly appliedIndex: number;
  /** It has opened what it leads, and wants clients. */
  readonly wantsWork: boolean;
  /** Its log directories that have no room now; undefined: none. */
  readonly fullDirectories?: readonly Uuid[];
  /** What its file says of configs that must be the same everywhere; undefined: nothing. */
  readonly clusterConfigs?: Readonly<Record<string, string>>;
}

export interface HeartbeatAnswer {
  readonly errorCode: ErrorCode;
  /** As the controller has it. */
  readonly fenced?: boolean;
}

export interface QuorumReplica {
  readonly id: NodeId;
  readonly directoryId: Uuid;
  readonly endOffset: number;
  /** By the wall clock; -1 if never. */
  readonly lastFetchTimestamp: number;
  readonly lastCaughtUpTimestamp: number;
  /** It would not hold up the commits of a quorum that it belonged to. */
  readonly isCaughtUp: boolean;
}

/** The quorum as its leader sees it. */
export interface QuorumDescription {
  readonly leaderId: NodeId;
  readonly leaderEpoch: number;
  /** Behind the last committed entry. */
  readonly highWatermark: number;
  readonly voters: readonly QuorumReplica[];
  readonly observers: readonly QuorumReplica[];
  readonly addresses: readonly Voter[];
}

export type QuorumAnswer = QuorumDescription | { readonly errorCode: ErrorCode };
