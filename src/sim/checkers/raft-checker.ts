/** The invariants of the metadata log (R1 to R10), looked at after every event on the node to which it happened. */
import { isSameReplica, type ReplicaKey, type Voter } from '#model/voter';
import type { CoveragePoint } from '../coverage.ts';
import type { NodeView, ViewHardState } from '../node-view.ts';
import { RaftHistory } from './raft-history.ts';
import { check } from './violation.ts';

/** What is on a disk for good. */
export interface DurableLog {
  readonly hardState: ViewHardState | undefined;
  readonly lastIndex: number;
  /** Whether what was committed as (index, epoch) would be there after a crash. */
  holds(index: number, epoch: number): boolean;
}

/** One process of a node, as the checkers follow it. */
export interface Witness {
  /** Unique to the process, for messages: n1#3. */
  readonly name: string;
  readonly view: NodeView;
  readonly disk: DurableLog;
}

export interface RaftCheckerHost {
  readonly crc32c: (bytes: Uint8Array) => number;
  /** The disk that the replica lies on now; undefined if that disk was wiped, or there is no such machine. */
  diskOf(key: ReplicaKey): DurableLog | undefined;
  /** The same of a disk that was replaced, as it was then. */
  formerDiskOf(key: ReplicaKey): DurableLog | undefined;
  /** Everybody alive, to be looked at when something was committed. */
  witnesses(): Iterable<Witness>;
  sometimes(point: CoveragePoint): void;
  /** The leader took something into its log. */
  proposed(witness: Witness, index: number, payload: Uint8Array): void;
  /** For the first time anybody says so; in order. `payload` is undefined if the entry is not in memory any more. */
  committed(witness: Witness, index: number, payload: Uint8Array | undefined): void;
}

/** What the checker has seen of a process so far. */
interface Seen {
  version: number;
  role: NodeView['role'];
  epoch: number;
  lastIndex: number;
  /** Epochs of the entries seen, by index; those never seen are missing. */
  readonly epochs: number[];
  commitIndex: number;
  snapshotIndex: number;
  voters: readonly Voter[];
  votersIndex: number;
}

export class RaftChecker {
  readonly history = new RaftHistory();
  readonly #host: RaftCheckerHost;
  readonly #seen = new WeakMap<NodeView, Seen>();
  /** Who led each epoch. */
  readonly #leaders = new Map<number, string>();
  /** When the last commit was told: those who vote. */
  #voters: readonly Voter[] = [];

  constructor(host: RaftCheckerHost) {
    this.#host = host;
  }

  get leaderCount(): number {
    return this.#leaders.size;
  }

  /** Something may have changed on the node. */
  look(witness: Witness): void {
    const { view } = witness;
    const known = this.#seen.get(view);
    if (known?.version === view.version) return;
    const seen = known ?? emptySeen();
    if (known === undefined) this.#seen.set(view, seen);
    this.#checkEpoch(witness, seen);
    this.#checkSnapshot(witness, seen);
    this.#checkEntries(witness, seen);
    this.#checkVoters(witness, seen);
    if (view.role === 'leader' && (seen.role !== 'leader' || seen.epoch !== view.epoch)) this.#checkNewLeader(witness);
    this.#checkCommit(witness, seen);
    check(
      view.durableIndex <= witness.disk.lastIndex,
      'R6',
      () =>
        `${witness.name} takes its log up to ${view.durableIndex} for durable, but its disk ends at ${witness.disk.lastIndex}`,
    );
    if (seen.role === 'candidate' && view.role !== 'candidate' && view.role !== 'leader')
      this.#host.sometimes('candidate lost');
    if (seen.role === 'leader' && view.role !== 'leader') this.#host.sometimes('leader deposed while alive');
    seen.role = view.role;
    seen.epoch = view.epoch;
    seen.version = view.version;
  }

  /** R4: whatever majority of replicas with an intact disk comes together, one of them holds everything committed. */
  checkSurvival(): void {
    const index = this.history.committedIndex;
    const epoch = this.history.committedEpoch(index) ?? 0;
    const intact = this.#voters.flatMap((voter) => this.#host.diskOf(voter) ?? []);
    const lacking = intact.filter((disk) => !disk.holds(index, epoch)).length;
    check(
      lacking < majorityOf(this.#voters) || index === 0,
      'R4',
      () =>
        `${lacking} of ${this.#voters.length} voters have intact disks without the committed entry ${index}/${epoch}: they could elect a leader`,
    );
  }

  #checkEpoch({ name, view }: Witness, seen: Seen): void {
    check(view.epoch >= seen.epoch, 'R7', () => `${name} went back from epoch ${seen.epoch} to ${view.epoch}`);
  }

  #checkSnapshot({ name, view }: Witness, seen: Seen): void {
    const { snapshotIndex, snapshotEpoch } = view;
    if (snapshotIndex === seen.snapshotIndex) return;
    check(snapshotIndex > seen.snapshotIndex, 'R9', () => `${name} goes back to a snapshot at ${snapshotIndex}`);
    check(
      snapshotIndex <= view.commitIndex,
      'R9',
      () => `${name} has a snapshot up to ${snapshotIndex}, committed is ${view.commitIndex}`,
    );
    check(
      this.history.committedEpoch(snapshotIndex) === snapshotEpoch,
      'R9',
      () => `${name} has a snapshot up to ${snapshotIndex}/${snapshotEpoch}, which nobody committed`,
    );
    if (seen.version === -1) this.#host.sometimes('restart from a snapshot');
    else if (snapshotIndex > seen.lastIndex) {
      check(view.role !== 'leader', 'R9', () => `${name} leads and loads a snapshot`);
      this.#host.sometimes('snapshot installed from the leader');
    } else this.#host.sometimes('snapshot made');
    seen.snapshotIndex = snapshotIndex;
  }

  #checkEntries(witness: Witness, seen: Seen): void {
    const { name, view } = witness;
    const lastIndex = knownLastIndex(view);
    let same = Math.min(seen.lastIndex, lastIndex);
    while (same > view.snapshotIndex && seen.epochs[same] !== view.epochAt(same)) same -= 1;
    if (same < seen.lastIndex && same >= view.snapshotIndex) {
      check(
        same >= seen.commitIndex,
        'R3',
        () => `${name} drops its log behind ${same}, but ${seen.commitIndex} was committed`,
      );
      check(
        view.role !== 'leader' || seen.role !== 'leader',
        'R5',
        () => `${name} leads and drops its log behind ${same}`,
      );
      this.#host.sometimes('log truncated');
    }
    for (let index = Math.max(same, view.snapshotIndex) + 1; index <= lastIndex; index += 1) {
      const epoch = view.epochAt(index);
      const payload = view.payloadAt(index);
      check(epoch !== undefined && payload !== undefined, 'R2', () => `${name} does not know its own entry ${index}`);
      check(epoch <= view.epoch, 'R2', () => `${name} is in epoch ${view.epoch} and holds entry ${index} of ${epoch}`);
      this.history.seen(name, index, epoch, this.#host.crc32c(payload), view.epochAt(index - 1));
      seen.epochs[index] = epoch;
      if (view.role === 'leader' && epoch === view.epoch) this.#host.proposed(witness, index, payload);
    }
    seen.lastIndex = lastIndex;
  }

  /** R10: one replica comes or goes at a time, and the next only when that is committed. */
  #checkVoters({ name, view }: Witness, seen: Seen): void {
    const before = seen.voters;
    if (view.voters === before) return;
    const leads = view.role === 'leader' && seen.role === 'leader' && seen.epoch === view.epoch;
    if (leads && before.length > 0) {
      const gone = before.filter((voter) => !includes(view.voters, voter)).length;
      const come = view.voters.filter((voter) => !includes(before, voter)).length;
      check(gone + come <= 1, 'R10', () => `${name} changes ${gone + come} voters at once`);
      check(
        seen.votersIndex <= view.commitIndex,
        'R10',
        () =>
          `${name} changes the voters at ${view.votersIndex} before their change at ${seen.votersIndex} is committed`,
      );
      if (come === 1) this.#host.sometimes('observer became voter');
    }
    seen.voters = view.voters;
    seen.votersIndex = view.votersIndex;
  }

  #checkNewLeader({ name, view }: Witness): void {
    const former = this.#leaders.get(view.epoch);
    check(
      former === undefined || former === name,
      'R1',
      () => `${name} leads epoch ${view.epoch}, which ${former} led`,
    );
    if (former === undefined)
      this.#host.sometimes(this.#leaders.size === 0 ? 'leader elected' : 'leader elected after another');
    this.#leaders.set(view.epoch, name);
    this.#checkComplete(name, view);
    const votes = view.voters.filter((voter) => hasVotedFor(this.#host.diskOf(voter), view)).length;
    check(
      votes >= majorityOf(view.voters),
      'R7',
      () =>
        `${name} leads epoch ${view.epoch}, but on only ${votes} of ${view.voters.length} voters' disks stands a vote for it`,
    );
  }

  /** R5: a leader holds everything that was committed in the epochs before its own. */
  #checkComplete(name: string, view: NodeView): void {
    const index = this.history.committedIndex;
    const epoch = this.history.committedEpoch(index) ?? 0;
    if (index === 0 || epoch >= view.epoch || index <= view.snapshotIndex) return;
    check(
      view.epochAt(index) === epoch,
      'R5',
      () => `${name} leads epoch ${view.epoch} without the committed entry ${index}/${epoch}`,
    );
  }

  #checkCommit(witness: Witness, seen: Seen): void {
    const { name, view, disk } = witness;
    check(
      view.commitIndex >= seen.commitIndex,
      'R7',
      () => `${name} went back from commit ${seen.commitIndex} to ${view.commitIndex}`,
    );
    if (view.commitIndex === seen.commitIndex) return;
    check(
      view.commitIndex <= view.lastIndex,
      'R6',
      () => `${name} takes ${view.commitIndex} for committed, its log ends at ${view.lastIndex}`,
    );
    check(
      view.commitIndex <= disk.lastIndex,
      'R6',
      () => `${name} takes ${view.commitIndex} for committed, but its disk ends at ${disk.lastIndex}`,
    );
    const leads = view.role === 'leader' && seen.role === 'leader' && seen.epoch === view.epoch;
    if (leads) {
      const epoch = view.epochAt(view.commitIndex);
      check(
        epoch === view.epoch,
        'R5',
        () =>
          `${name} leads epoch ${view.epoch} and commits entry ${view.commitIndex} of epoch ${epoch} by count (paper, 5.4.2)`,
      );
      if ((view.epochAt(seen.commitIndex + 1) ?? view.epoch) < view.epoch)
        this.#host.sometimes('entry of an older epoch committed with a newer one');
    }
    this.#tellCommits(witness, seen);
    seen.commitIndex = view.commitIndex;
  }

  #tellCommits(witness: Witness, seen: Seen): void {
    const { name, view } = witness;
    let isNews = false;
    for (let index = Math.max(seen.commitIndex, view.snapshotIndex) + 1; index <= view.commitIndex; index += 1) {
      const epoch = view.epochAt(index) ?? 0;
      if (!this.history.committed(name, index, epoch)) continue;
      isNews = true;
      this.#host.committed(witness, index, view.payloadAt(index));
    }
    if (!isNews) return;
    if (view.role === 'leader' || this.#voters.length === 0) this.#voters = view.voters;
    this.#checkMajority(name, view, seen.voters);
    for (const other of this.#host.witnesses())
      if (other.view.role === 'leader') this.#checkComplete(other.name, other.view);
  }

  /**
   * R8: what is committed is on the disks of a majority, or was on those of them that have been replaced since: of those who vote now,
   * or did before the leader went on to its next entry.
   */
  #checkMajority(name: string, view: NodeView, before: readonly Voter[]): void {
    if (view.role !== 'leader') return;
    const index = view.commitIndex;
    const epoch = view.epochAt(index) ?? 0;
    const held = (voters: readonly Voter[]): number =>
      voters.filter((voter) => (this.#host.diskOf(voter) ?? this.#host.formerDiskOf(voter))?.holds(index, epoch))
        .length;
    check(
      held(view.voters) >= majorityOf(view.voters) || held(before) >= majorityOf(before),
      'R8',
      () =>
        `${name} commits ${index}/${epoch}, which is on the disks of ${held(view.voters)} of ${view.voters.length} voters`,
    );
  }
}

function emptySeen(): Seen {
  return {
    version: -1,
    role: 'observer',
    epoch: 0,
    lastIndex: 0,
    epochs: [],
    commitIndex: 0,
    snapshotIndex: 0,
    voters: [],
    votersIndex: 0,
  };
}

/** The first entry of a cluster leaves its founder when it is on disk: before that it may be made anew. */
function knownLastIndex(view: NodeView): number {
  const { lastIndex, durableIndex } = view;
  return lastIndex === 1 && durableIndex === 0 && view.epochAt(1) === 0 ? 0 : lastIndex;
}

export function majorityOf(voters: readonly unknown[]): number {
  return Math.floor(voters.length / 2) + 1;
}

function includes(voters: readonly Voter[], voter: Voter): boolean {
  return voters.some((other) => isSameReplica(other, voter));
}

/** It has, as far as its disk knows: or it has gone on to a later epoch since. */
function hasVotedFor(disk: DurableLog | undefined, { self, epoch }: NodeView): boolean {
  const state = disk?.hardState;
  if (state === undefined || state.epoch < epoch) return false;
  return state.epoch > epoch || (state.votedFor !== null && isSameReplica(state.votedFor, self));
}
