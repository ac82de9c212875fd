import { assert, at } from '#base/assert';
import { isSameReplica, type Voter } from '#model/voter';
import type { AppendRequest, AppendResponse, RaftEntry, SnapshotChunk } from './messages.ts';
import type { SnapshotBase } from './raft-types.ts';
import type { Replica } from './replica.ts';
import { SnapshotReceipt } from './snapshot-receipt.ts';

/** A replica's part under the leader of its epoch, voter or observer: it takes the leader's log (the paper's §5.3) or snapshot (§7). */
export class Following {
  readonly #replica: Replica;
  readonly #receipt: SnapshotReceipt;
  #leader: Voter | undefined;
  /** Up to it the log is known to be the leader's. */
  #matchedIndex = 0;
  #reportedDurableIndex = 0;
  #leaderCommitIndex = 0;
  /** The last of the leader's rounds heard of. */
  #round = 0;

  constructor(replica: Replica) {
    this.#replica = replica;
    this.#receipt = new SnapshotReceipt(replica);
  }

  get leader(): Voter | undefined {
    return this.#leader;
  }

  /** The log is being replaced on disk: it neither takes entries nor stands for election. */
  get isInstalling(): boolean {
    return this.#receipt.isInstalling;
  }

  follow(leader: Voter): void {
    const known = this.#leader;
    this.#leader = leader;
    if (known !== undefined && isSameReplica(known, leader)) return;
    assert(known === undefined, `two leaders in epoch ${this.#replica.epoch}: ${known?.id} and ${leader.id}`);
    // Every leader has what is committed (§5.4), and more is not known of this one.
    this.#matchedIndex = this.#replica.commitIndex;
    this.#reportedDurableIndex = 0;
    this.#leaderCommitIndex = 0;
    this.#round = 0;
  }

  unfollow(): void {
    this.#leader = undefined;
  }

  /** Also a heartbeat. */
  append(request: AppendRequest, leader: Voter): void {
    const { log } = this.#replica;
    this.#round = Math.max(this.#round, request.round);
    const { prevIndex, prevEpoch } = request;
    if (!isInSequence(request)) return;
    // It takes nothing. A refusal would be taken for a question, and the whole log be sent in search of what fits.
    if (this.isInstalling) return this.#confirm(leader, prevIndex);
    const fits = prevIndex <= this.#replica.commitIndex || log.epochAt(prevIndex) === prevEpoch;
    if (!fits) {
      const lastIndex = log.lastIndexWithin(Math.min(prevIndex, log.lastIndex), prevEpoch);
      this.#answer(leader, { success: false, prevIndex, lastIndex, lastEpoch: log.epochAt(lastIndex) ?? 0 });
      return;
    }
    this.#take(request.entries);
    this.#matchedIndex = Math.max(this.#matchedIndex, prevIndex + request.entries.length);
    this.#leaderCommitIndex = Math.max(this.#leaderCommitIndex, request.commitIndex);
    this.#commit();
    this.#confirm(leader, prevIndex);
  }

  /** More of the log is on disk. */
  persisted(): void {
    this.#commit();
    const leader = this.#leader;
    if (leader !== undefined && this.#durableMatch() > this.#reportedDurableIndex)
      this.#confirm(leader, this.#matchedIndex);
  }

  /** What was not on disk is gone, and what was to be written is not. */
  writesLost(): void {
    this.#matchedIndex = Math.min(this.#matchedIndex, this.#replica.log.lastIndex);
    this.#receipt.forget();
  }

  snapshotChunk(chunk: SnapshotChunk, leader: Voter): void {
    this.#round = Math.max(this.#round, chunk.round);
    // The last word on what is being installed is the disk's, whatever a late message or another leader says.
    if (this.isInstalling) return;
    const { commitIndex, log } = this.#replica;
    const isHere = chunk.index <= commitIndex || log.has({ index: chunk.index, epoch: chunk.indexEpoch });
    if (!isHere) {
      if (this.#receipt.received(chunk)) this.#answerSnapshot(leader, chunk.index, false);
      return;
    }
    this.#receipt.forget();
    this.#matchedIndex = Math.max(this.#matchedIndex, chunk.index);
    if (log.durableIndex >= chunk.index) this.#answerSnapshot(leader, chunk.index, true);
  }

  snapshotStored(position: number): void {
    const { covers } = this.#receipt;
    if (!this.#receipt.stored(position) || covers === undefined || this.#leader === undefined) return;
    this.#answerSnapshot(this.#leader, covers.index, false);
  }

  snapshotInstalled(snapshot: SnapshotBase): void {
    assert(this.isInstalling && this.#receipt.covers?.index === snapshot.index, 'a snapshot installed unasked');
    this.#receipt.forget();
    this.#replica.install(snapshot);
    this.#matchedIndex = snapshot.index;
    if (this.#leader !== undefined) this.#answerSnapshot(this.#leader, snapshot.index, true);
  }

  snapshotFailed(): void {
    this.#receipt.forget();
  }

  /** Of an epoch that is over, from one who does not know it yet. */
  refuseAppend(leader: Voter, { prevIndex }: AppendRequest): void {
    this.#answer(leader, { success: false, prevIndex, lastIndex: 0, lastEpoch: 0 });
  }

  refuseChunk(leader: Voter, { index }: SnapshotChunk): void {
    this.#answerSnapshot(leader, index, false);
  }

  /** The entries follow one that fits; those that are here already stay, so that a late message takes nothing back (§5.3). */
  #take(entries: readonly RaftEntry[]): void {
    const { log } = this.#replica;
    const fresh = entries.findIndex(({ index, epoch }) => index > log.baseIndex && log.epochAt(index) !== epoch);
    if (fresh < 0) return;
    const first = at(entries, fresh).index;
    if (first <= log.lastIndex) this.#replica.truncateFrom(first);
    for (const entry of entries.slice(fresh)) this.#replica.append(entry);
  }

  #commit(): void {
    this.#replica.commitTo(Math.min(this.#leaderCommitIndex, this.#durableMatch()));
  }

  #durableMatch(): number {
    return Math.min(this.#matchedIndex, this.#replica.log.durableIndex);
  }

  #confirm(leader: Voter, prevIndex: number): void {
    this.#reportedDurableIndex = this.#durableMatch();
    const lastIndex = this.#matchedIndex;
    this.#answer(leader, { success: true, prevIndex, lastIndex, lastEpoch: this.#replica.log.epochAt(lastIndex) ?? 0 });
  }

  #answer(leader: Voter, answer: Pick<AppendResponse, 'success' | 'prevIndex' | 'lastIndex' | 'lastEpoch'>): void {
    const { key, epoch, outbox } = this.#replica;
    // PLANTED BUG acknowledge-before-sync: an entry is acknowledged as soon as it is in memory.
    const reached = this.#replica.options.planted.has('acknowledge-before-sync')
      ? this.#matchedIndex
      : this.#durableMatch();
    const durableIndex = answer.success ? reached : 0;
    outbox.send(leader, { kind: 'appendResponse', epoch, from: key, round: this.#round, durableIndex, ...answer });
  }

  #answerSnapshot(leader: Voter, index: number, installed: boolean): void {
    const { key, epoch, outbox } = this.#replica;
    const nextPosition = this.#receipt.nextPosition;
    outbox.send(leader, {
      kind: 'snapshotResponse',
      epoch,
      from: key,
      index,
      nextPosition,
      installed,
      round: this.#round,
    });
  }
}

/** Entries that are no part of any log are not taken for one, whoever sends them. */
function isInSequence({ prevIndex, prevEpoch, epoch, entries }: AppendRequest): boolean {
  let last = prevEpoch;
  return entries.every((entry, position) => {
    const fits = entry.index === prevIndex + 1 + position && entry.epoch >= last && entry.epoch <= epoch;
    last = entry.epoch;
    return fits;
  });
}
