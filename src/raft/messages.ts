/**
 * What the replicas of the metadata log say to each other, one way each: any message may be lost, repeated or late. The driver puts
 * them on the peers' connections; decoding checks shapes, the machine checks sense.
 */
import type { NodeId, Uuid } from '#model/ids';
import type { ReplicaKey, Voter } from '#model/voter';

/** Where a node's peer listener is. A `Voter` is one as well. */
export interface PeerAddress {
  readonly id: NodeId;
  readonly host: string;
  readonly port: number;
}

/** One atomic batch of records; the payload is never changed. */
export interface RaftEntry {
  /** From 1 on, without gaps. */
  readonly index: number;
  readonly epoch: number;
  readonly payload: Uint8Array;
}

/** `pre`: would you? Nothing is promised and no epoch is raised (the paper's thesis §9.6, KIP-996). */
export interface VoteRequest {
  readonly kind: 'voteRequest';
  /** The epoch that the candidate is in, or would be in. */
  readonly epoch: number;
  readonly pre: boolean;
  readonly candidate: ReplicaKey;
  /** Whom it takes the receiver for: a wiped disk does not answer for the voter that it was. */
  readonly voter: ReplicaKey;
  readonly lastIndex: number;
  readonly lastEpoch: number;
  /** The leader itself has asked the candidate to take over: a lease does not stand against it. */
  readonly transfer: boolean;
}

export interface VoteResponse {
  readonly kind: 'voteResponse';
  /** Of the voter; for a granted pre-vote, the epoch that was asked about. */
  readonly epoch: number;
  readonly pre: boolean;
  readonly voter: ReplicaKey;
  readonly granted: boolean;
}

/** Also the leader's heartbeat, without entries. */
export interface AppendRequest {
  readonly kind: 'append';
  readonly epoch: number;
  readonly leader: ReplicaKey;
  /** Whom the leader takes the receiver for: a wiped disk does not follow in place of the replica that the node was. */
  readonly to: ReplicaKey;
  readonly prevIndex: number;
  readonly prevEpoch: number;
  readonly entries: readonly RaftEntry[];
  readonly commitIndex: number;
  /** Counts the leader's rounds of heartbeats: a majority's answers to one prove that it led when the round began. */
  readonly round: number;
}

export interface AppendResponse {
  readonly kind: 'appendResponse';
  readonly epoch: number;
  readonly from: ReplicaKey;
  readonly round: number;
  /** Of the request that it answers. */
  readonly prevIndex: number;
  /**
   * The entries fit behind `prevIndex`, or none are taken before a snapshot is installed; else `lastIndex` and `lastEpoch` are a hint where
   * the logs may part (the paper's §5.3).
   */
  readonly success: boolean;
  /** On success: everything up to it equals the leader's log, and is on the follower's disk up to `durableIndex`. */
  readonly lastIndex: number;
  /** Of the follower's entry at `lastIndex`. */
  readonly lastEpoch: number;
  readonly durableIndex: number;
}

/** A piece of a snapshot for a replica whose next entry the leader no longer has; answered piece by piece. */
export interface SnapshotChunk {
  readonly kind: 'snapshotChunk';
  readonly epoch: number;
  readonly leader: ReplicaKey;
  readonly to: ReplicaKey;
  /** The last entry that the snapshot covers. */
  readonly index: number;
  readonly indexEpoch: number;
  /** Counts the chunks from 0. */
  readonly position: number;
  readonly payload: Uint8Array;
  readonly last: boolean;
  readonly round: number;
}

export interface SnapshotResponse {
  readonly kind: 'snapshotResponse';
  readonly epoch: number;
  readonly from: ReplicaKey;
  readonly index: number;
  /** The chunk that it waits for; after the last one the snapshot is installed, and durable. */
  readonly nextPosition: number;
  readonly installed: boolean;
  readonly round: number;
}

/** The leader steps down for you: stand for election at once (thesis §3.10). */
export interface TakeOver {
  readonly kind: 'takeOver';
  readonly epoch: number;
  readonly leader: ReplicaKey;
  readonly to: ReplicaKey;
}

/** From a replica that hears of no leader although it is no candidate: send me the log. Whoever does not lead says who does. */
export interface JoinRequest {
  readonly kind: 'join';
  readonly epoch: number;
  /** With the address at which it can be reached. */
  readonly observer: Voter;
  readonly lastIndex: number;
  readonly lastEpoch: number;
  /** It was started as a voter, and shall become one once it has caught up. */
  readonly wantsVote: boolean;
}

export interface JoinResponse {
  readonly kind: 'joinResponse';
  readonly epoch: number;
  readonly leader: Voter | undefined;
}

export type RaftMessage =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | SnapshotChunk
  | SnapshotResponse
  | TakeOver
  | JoinRequest
  | JoinResponse;

/** Of a node that was given a list of voters, before it belongs to a cluster, and the answer to it (see FirstQuorum). */
export interface Introduction {
  readonly kind: 'introduction';
  readonly key: ReplicaKey;
  /** The receiver, once it has introduced itself: what was said to an earlier disk of a node says nothing to a later one. */
  readonly to: ReplicaKey | undefined;
  /** As its configuration lists them; empty if it was given none. */
  readonly voters: readonly PeerAddress[];
  /** 'empty': there is no entry of the metadata log on its disk. */
  readonly state: 'empty' | 'member';
  /** Of a member. */
  readonly clusterId: Uuid | undefined;
}

/** The first entry of the log, for a voter that it names and whose disk is still empty. */
export interface Bootstrap {
  readonly kind: 'bootstrap';
  readonly entry: RaftEntry;
}

export type FirstQuorumMessage = Introduction | Bootstrap;

/** All that replicas say to each other one way. */
export type ReplicaMessage = RaftMessage | FirstQuorumMessage;
