import { assert } from '#base/assert';
import { isSameReplica, type ReplicaKey, type Voter } from '#model/voter';
import { LogView } from './log-view.ts';
import { Membership } from './membership.ts';
import type { RaftEntry } from './messages.ts';
import { Outbox } from './outbox.ts';
import type { RaftOptions, RaftStart, SnapshotBase } from './raft-types.ts';

/** What a replica is whatever its role: hard state, log, voters and commit index; every change of them goes out to the disk from here. */
export class Replica {
  readonly options: RaftOptions;
  readonly self: Voter;
  readonly key: ReplicaKey;
  readonly log: LogView;
  readonly membership: Membership;
  readonly outbox: Outbox;
  #epoch: number;
  #votedFor: ReplicaKey | null;
  #commitIndex: number;

  constructor(options: RaftOptions, { hardState, snapshot, entries }: RaftStart) {
    this.options = options;
    this.self = options.self;
    this.key = { id: options.self.id, directoryId: options.self.directoryId };
    this.log = new LogView(snapshot ?? { index: 0, epoch: 0 }, entries);
    this.membership = new Membership(snapshot?.index ?? 0, snapshot?.voters ?? []);
    for (const entry of entries) this.#noteVoters(entry);
    this.outbox = new Outbox(options.planted, this.log.lastIndex);
    this.#epoch = hardState.epoch;
    this.#votedFor = hardState.votedFor;
    this.#commitIndex = snapshot?.index ?? 0;
    // An entry may reach the disk before the epoch in which it came; nothing was said in that epoch then, nor any vote given.
    if (this.log.lastEpoch > this.#epoch) this.enterEpoch(this.log.lastEpoch, null);
  }

  get epoch(): number {
    return this.#epoch;
  }

  get votedFor(): ReplicaKey | null {
    return this.#votedFor;
  }

  get commitIndex(): number {
    return this.#commitIndex;
  }

  get isVoter(): boolean {
    return this.membership.has(this.key);
  }

  /**
   * Whether it may stand for election. So may one whose removal is not committed as far as it knows: it may be the only one that has the
   * entry, and then nobody with a shorter log is elected in its place (thesis §4.2.2).
   */
  get isElectable(): boolean {
    return this.membership.mayHave(this.key, this.#commitIndex);
  }

  /** Nothing of any log is on its disk. */
  get isEmpty(): boolean {
    return this.log.lastIndex === 0;
  }

  isSelf(key: ReplicaKey): boolean {
    return isSameReplica(this.key, key);
  }

  enterEpoch(epoch: number, votedFor: ReplicaKey | null): void {
    assert(epoch > this.#epoch, `epoch ${epoch} after ${this.#epoch}`);
    this.#epoch = epoch;
    this.#votedFor = votedFor;
    this.outbox.saveHardState({ epoch, votedFor });
  }

  vote(candidate: ReplicaKey): void {
    if (this.#votedFor !== null) return assert(isSameReplica(this.#votedFor, candidate), 'a second vote in an epoch');
    this.#votedFor = candidate;
    this.outbox.saveHardState({ epoch: this.#epoch, votedFor: candidate });
  }

  append(entry: RaftEntry): void {
    assert(entry.epoch <= this.#epoch, `an entry of epoch ${entry.epoch} in ${this.#epoch}`);
    this.log.append(entry);
    this.#noteVoters(entry);
    this.outbox.append(entry);
  }

  truncateFrom(index: number): void {
    assert(index > this.#commitIndex, `truncation of the committed entry ${index}`);
    this.log.truncateFrom(index);
    this.membership.truncateFrom(index);
    this.outbox.truncateFrom(index);
  }

  install({ index, epoch, voters }: SnapshotBase): void {
    assert(index > this.#commitIndex, `a snapshot at ${index} behind ${this.#commitIndex}`);
    this.log.install({ index, epoch });
    this.membership.install(index, voters);
    this.outbox.logEndsAt(index);
    this.#commitIndex = index;
  }

  /** Never beyond what is on this disk. */
  commitTo(index: number): void {
    assert(index <= this.log.durableIndex, `commit of ${index}, but only ${this.log.durableIndex} is on disk`);
    this.#commitIndex = Math.max(this.#commitIndex, index);
  }

  /** At random in [from, to). */
  uniform(from: number, to: number): number {
    return from + ((to - from) * this.options.random.uint32()) / 2 ** 32;
  }

  #noteVoters(entry: RaftEntry): void {
    const voters = this.options.votersIn(entry.payload);
    if (voters !== undefined) this.membership.changed(entry.index, voters);
  }
}
