/** What the checkers see of a node: read only, and cheap enough to be looked at after every event. */
import type { Ports } from '#base/ports';
import type { EpochStart } from '#log/leader-epoch-cache';
import type { MetadataImage } from '#metadata/image';
import type { Uuid } from '#model/ids';
import type { ParsedBrokerConfig } from '#model/parse-broker-config';
import type { PlantedBugs } from '#model/planted-bugs';
import type { ReplicaKey, Voter } from '#model/voter';

export type ViewRole = 'observer' | 'follower' | 'prospective' | 'candidate' | 'leader';

export interface ViewHardState {
  readonly epoch: number;
  readonly votedFor: ReplicaKey | null;
}

/**
 * The metadata quorum as one process of a node has it in memory. One object per process, asked again and again: its members give the
 * present state. `node.view()` gives undefined until there is a quorum to speak of; such a node is not checked.
 */
export interface NodeView {
  /** Rises with every change of anything below: while it stands still, the checkers look no further. */
  readonly version: number;
  readonly self: ReplicaKey;
  readonly role: ViewRole;
  readonly epoch: number;
  readonly leaderId: number | undefined;
  /** It leads, and the first entry of its own epoch is committed and applied: it may decide. */
  readonly isActive: boolean;
  /** As last given out to be saved; what is on disk the checkers read there. */
  readonly hardState: ViewHardState;
  /** Of the latest change in the log, committed or not; the same array until it changes. */
  readonly voters: readonly Voter[];
  /** The entry that made them so; that of the snapshot or 0 if it is not in the log any more. */
  readonly votersIndex: number;
  /** The snapshot takes the place of everything up to there; (0, 0) without one. */
  readonly snapshotIndex: number;
  readonly snapshotEpoch: number;
  /** Of the last entry, durable or not. */
  readonly lastIndex: number;
  readonly durableIndex: number;
  readonly commitIndex: number;
  /** The last entry replayed into the image. */
  readonly appliedIndex: number;
  readonly image: MetadataImage;
  /** Of an entry in memory, or the snapshot's own; undefined where it is not known any more. */
  epochAt(index: number): number | undefined;
  /** Of an entry in memory; borrowed. */
  payloadAt(index: number): Uint8Array | undefined;
}

/** One replica of a partition as its node has it in memory; see `Partition`. */
export interface ReplicaView {
  readonly topic: string;
  readonly topicId: Uuid;
  readonly index: number;
  readonly leaderEpoch: number;
  readonly leads: boolean;
  /** What is committed may be read here. */
  readonly isReady: boolean;
  readonly isBeingCut: boolean;
  readonly highWatermark: number;
  /** Undefined while it is offline. */
  readonly log: ReplicaLogView | undefined;
}

export interface ReplicaLogView {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly durableOffset: number;
  readonly epochs: { readonly entries: readonly EpochStart[] };
}

/** A whole node as the simulator runs it. `Node` is one; tests of the simulator have their own. */
export interface SimNode {
  start(): Promise<void>;
  stop(): Promise<void>;
  readonly ready: boolean;
  view?(): NodeView | undefined;
  replicas?(): Iterable<ReplicaView>;
}

/** How the simulator comes by its nodes. */
export type MakeNode = (ports: Ports, config: ParsedBrokerConfig, planted: PlantedBugs) => SimNode;
