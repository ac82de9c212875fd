import { Fifo } from '#base/fifo';
import type { PlantedBugs } from '#model/planted-bugs';
import type { ReplicaKey } from '#model/voter';
import type { PeerAddress, RaftEntry, RaftMessage } from './messages.ts';
import type { HardState, RaftEnvelope, RaftOutput, SnapshotPiece, SnapshotWanted } from './raft-types.ts';

/** Held while the hard state is on its way to the disk; beyond it the oldest are lost, as any message may be. */
const HELD_MAX = 1000;

/** Collects what the machine has to say until it is taken, and holds back what depends on a hard state that is not on disk. */
export class Outbox {
  readonly #planted: PlantedBugs;
  #hardState: HardState | undefined;
  /** Raised with every change of the hard state; both are equal when it is on disk. */
  #stateVersion = 0;
  #savedVersion = 0;
  readonly #givenOut = new Map<HardState, number>();
  readonly #held = new Fifo<RaftEnvelope>();
  #messages: RaftEnvelope[] = [];
  #truncateFrom: number | undefined;
  #append: RaftEntry[] = [];
  /** Up to it the driver has the log, or will have. */
  #handedOver: number;
  readonly storeSnapshot: SnapshotPiece[] = [];
  readonly sendSnapshot: SnapshotWanted[] = [];
  readonly releaseSnapshot: ReplicaKey[] = [];
  readonly reads: { readonly ticket: number; readonly index: number }[] = [];
  readonly refusedReads: number[] = [];

  constructor(planted: PlantedBugs, lastIndex: number) {
    this.#planted = planted;
    this.#handedOver = lastIndex;
  }

  /** Whether everything that this replica has promised is on disk. */
  get isHardStateSaved(): boolean {
    // PLANTED BUG vote-without-fsync: a vote leaves, and counts, before it is on disk.
    if (this.#planted.has('vote-without-fsync')) return true;
    return this.#savedVersion === this.#stateVersion;
  }

  saveHardState(state: HardState): void {
    this.#hardState = state;
    this.#stateVersion += 1;
    this.#givenOut.set(state, this.#stateVersion);
  }

  /** A later one covers those before it. */
  hardStateSaved(state: HardState): void {
    const version = this.#givenOut.get(state);
    if (version === undefined) return;
    for (const [earlier, its] of this.#givenOut) if (its <= version) this.#givenOut.delete(earlier);
    this.#savedVersion = version;
    if (this.isHardStateSaved) this.#messages.push(...this.#held.drain());
  }

  send(to: PeerAddress, message: RaftMessage): void {
    if (this.isHardStateSaved) {
      this.#messages.push({ to, message });
      return;
    }
    this.#held.push({ to, message });
    if (this.#held.length > HELD_MAX) this.#held.shift();
  }

  append(entry: RaftEntry): void {
    this.#append.push(entry);
  }

  truncateFrom(index: number): void {
    this.#append = this.#append.filter((entry) => entry.index < index);
    if (index > this.#handedOver) return;
    this.#truncateFrom = Math.min(this.#truncateFrom ?? index, index);
    this.#handedOver = index - 1;
  }

  /** The log on disk already ends there. */
  logEndsAt(index: number): void {
    this.#append = [];
    this.#truncateFrom = undefined;
    this.#handedOver = index;
  }

  take(commitIndex: number, generation: number): RaftOutput {
    const output: RaftOutput = {
      hardState: this.#hardState,
      truncateFrom: this.#truncateFrom,
      append: this.#append,
      generation,
      messages: this.#messages,
      commitIndex,
      storeSnapshot: this.storeSnapshot.splice(0),
      sendSnapshot: this.sendSnapshot.splice(0),
      releaseSnapshot: this.releaseSnapshot.splice(0),
      reads: this.reads.splice(0),
      refusedReads: this.refusedReads.splice(0),
    };
    this.#handedOver = this.#append.at(-1)?.index ?? this.#handedOver;
    this.#hardState = undefined;
    this.#truncateFrom = undefined;
    this.#append = [];
    this.#messages = [];
    return output;
  }
}
