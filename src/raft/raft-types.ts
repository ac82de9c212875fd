/** What goes into the consensus machine and what comes out: values only. */
import type { Mono, Random } from '#base/ports';
import type { PlantedBugs } from '#model/planted-bugs';
import type { ReplicaKey, Voter } from '#model/voter';
import type { PeerAddress, RaftEntry, RaftMessage } from './messages.ts';

/** What a replica must never forget: on disk before any message that depends on it. */
export interface HardState {
  readonly epoch: number;
  /** In that epoch. */
  readonly votedFor: ReplicaKey | null;
}

/** Where a log stands. (0, 0) is before its first entry. */
export interface LogPosition {
  readonly index: number;
  readonly epoch: number;
}

/** A snapshot takes the place of everything up to (index, epoch); `voters` are those of the log at that index. */
export interface SnapshotBase extends LogPosition {
  readonly voters: readonly Voter[];
}

export interface RaftOptions {
  /** This replica, with its own peer address. */
  readonly self: Voter;
  readonly random: Random;
  /** A timeout is drawn from [1, 2) times it; the least silence after which a leader counts as gone. */
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** What an entry that changes the voters makes of them; undefined for any other. */
  readonly votersIn: (payload: Uint8Array) => readonly Voter[] | undefined;
  /** Of the entry with which a leader begins its epoch. */
  readonly leaderPayload: Uint8Array;
  /** Whether this replica was started as a voter: the leader hears of it when it joins as an observer. */
  readonly wantsVote: boolean;
  /** Whom a replica whose log names no voters asks for the leader. */
  readonly contacts: readonly PeerAddress[];
  readonly planted: PlantedBugs;
}

/** As recovered from disk, where all of it is durable. */
export interface RaftStart {
  readonly hardState: HardState;
  readonly snapshot: SnapshotBase | undefined;
  /** Those behind the snapshot, without gaps. */
  readonly entries: readonly RaftEntry[];
}

/**
 * 'observer': no voter by its own log. 'prospective': asks whether it would be elected (pre-vote). A 'leader' may be one that is no voter
 * any more, until that is committed.
 */
export type RaftRole = 'observer' | 'follower' | 'prospective' | 'candidate' | 'leader';

export interface RaftEnvelope {
  readonly to: PeerAddress;
  readonly message: RaftMessage;
}

/** A piece of the leader's snapshot, to be written. Position 0 begins a new one; what was unfinished before it is dropped. */
export interface SnapshotPiece extends LogPosition {
  readonly position: number;
  readonly payload: Uint8Array;
  /** Nothing follows: it takes the place of the whole log. No entry is given out until `snapshotInstalled`. */
  readonly last: boolean;
}

/** What the leader reads of its snapshot for one replica: `snapshotRead` answers. */
export interface SnapshotWanted {
  readonly to: ReplicaKey;
  /** 0: from the latest snapshot. Later ones: from the same as the one at 0. It goes back, but never ahead by more than one. */
  readonly position: number;
}

export interface SnapshotChunkRead extends LogPosition {
  readonly position: number;
  /** The machine owns it. */
  readonly payload: Uint8Array;
  readonly last: boolean;
}

/**
 * What has come up since the last output. On disk in this order: `truncateFrom`, `append`, `storeSnapshot`; `hardState` beside them.
 * `messages` may leave at once: the machine holds back those that depend on a hard state that is not saved.
 */
export interface RaftOutput {
  /** To be saved and synced; then `hardStateSaved(thisVeryValue)`. */
  readonly hardState: HardState | undefined;
  /** Drop the entries from there on. */
  readonly truncateFrom: number | undefined;
  /** Write and sync; then `persisted(index of the last, generation)`. */
  readonly append: readonly RaftEntry[];
  /** Counts what the log lost: `persisted` hands it back, so that it never speaks for entries truncated since. */
  readonly generation: number;
  readonly messages: readonly RaftEnvelope[];
  /** Everything up to it may be applied: it is on this disk and on those of a majority. */
  readonly commitIndex: number;
  /** Each is answered with `snapshotStored`, the last with `snapshotInstalled`. */
  readonly storeSnapshot: readonly SnapshotPiece[];
  readonly sendSnapshot: readonly SnapshotWanted[];
  /** Nothing more of the snapshot is read for them, for now. */
  readonly releaseSnapshot: readonly ReplicaKey[];
  /** May be answered when everything up to `index` has been applied. */
  readonly reads: readonly { readonly ticket: number; readonly index: number }[];
  /** This replica does not lead, or leads no more. */
  readonly refusedReads: readonly number[];
}

/** What a leader knows of a replica, itself included. */
export interface ReplicaProgress {
  readonly key: ReplicaKey;
  readonly address: PeerAddress;
  /** On its disk. */
  readonly matchIndex: number;
  /** When the leader's last message that it answered was sent. */
  readonly lastContactAt: Mono;
  /** When it last had all that the leader had; undefined: not yet under this leader. */
  readonly lastCaughtUpAt: Mono | undefined;
  readonly isVoter: boolean;
  readonly wantsVote: boolean;
  /** It would not hold up the commits of a quorum that it belonged to: it has caught up within the last election timeout. */
  readonly isCaughtUp: boolean;
}
