/** One machine among voters that a test plays itself, message by message. */
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import type { AppendRequest, RaftEntry, RaftMessage, SnapshotChunk, VoteRequest } from '#raft/messages';
import { Raft } from '#raft/raft';
import type { HardState, RaftOutput, SnapshotBase } from '#raft/raft-types';
import {
  bytesOf,
  ELECTION_TIMEOUT_MS,
  entryOf,
  HEARTBEAT_MS,
  keyOf,
  LEADER_PAYLOAD,
  seededRandom,
  voterOf,
  votersIn,
  votersPayload,
} from './support.ts';

export interface LoneOptions {
  readonly id?: number;
  readonly voters?: readonly number[];
  readonly hardState?: HardState;
  readonly snapshot?: SnapshotBase;
  /** Epochs of the entries behind the first, which names the voters, or behind the snapshot. */
  readonly epochs?: readonly number[];
  /** Nothing of the hard state, or of the log, is on disk before the test says so. */
  readonly slow?: boolean;
}

export class Lone {
  now = 0;
  readonly raft: Raft;
  readonly id: number;
  readonly #slow: boolean;
  /** All that came out and was not yet looked at. */
  #sent: { readonly to: number; readonly message: RaftMessage }[] = [];
  outputs: RaftOutput[] = [];

  constructor({ id = 1, voters = [1, 2, 3], hardState, snapshot, epochs = [], slow = false }: LoneOptions = {}) {
    this.id = id;
    this.#slow = slow;
    const first = entryOf(1, 0, votersPayload(voters.map((voter) => voterOf(voter))));
    const base = snapshot?.index ?? 1;
    const entries = epochs.map((epoch, position) => entryOf(base + 1 + position, epoch, `entry of ${epoch}`));
    this.raft = new Raft(
      {
        self: voterOf(id),
        random: seededRandom(id),
        electionTimeoutMs: ELECTION_TIMEOUT_MS,
        heartbeatMs: HEARTBEAT_MS,
        votersIn,
        leaderPayload: bytesOf(LEADER_PAYLOAD),
        wantsVote: true,
        contacts: [],
        planted: NO_PLANTED_BUGS,
      },
      {
        hardState: hardState ?? { epoch: epochs.at(-1) ?? 0, votedFor: null },
        snapshot,
        entries: snapshot === undefined ? [first, ...entries] : entries,
      },
      this.now,
    );
    this.settle();
  }

  receive(from: number, message: RaftMessage): void {
    this.raft.received(message, voterOf(from), this.now);
    this.settle();
  }

  /** Its timer fires in time. */
  expire(): void {
    this.now = Math.max(this.now, this.raft.deadline);
    this.raft.tick(this.now, 0);
    this.settle();
  }

  settle(): void {
    for (;;) {
      const output = this.raft.takeOutput(this.now);
      this.outputs.push(output);
      for (const { to, message } of output.messages) this.#sent.push({ to: to.id, message });
      if (this.#slow || (output.hardState === undefined && output.append.length === 0)) return;
      if (output.hardState !== undefined) this.raft.hardStateSaved(output.hardState, this.now);
      const last = output.append.at(-1);
      if (last !== undefined) this.raft.persisted(last.index, output.generation, this.now);
    }
  }

  /** What it has sent of that kind since the last question for it. */
  sent<K extends RaftMessage['kind']>(
    kind: K,
  ): readonly (Extract<RaftMessage, { kind: K }> & { readonly at: number })[] {
    const found = this.#sent.filter(({ message }) => message.kind === kind);
    this.#sent = this.#sent.filter(({ message }) => message.kind !== kind);
    return found.map(({ to, message }) => ({ ...(message as Extract<RaftMessage, { kind: K }>), at: to }));
  }

  /** Through pre-vote and vote, by the voice of `by`. */
  elect(by = 2): void {
    this.expire();
    const [asked] = this.sent('voteRequest');
    const epoch = asked?.epoch ?? 0;
    for (const pre of [true, false])
      this.receive(by, { kind: 'voteResponse', epoch, pre, voter: keyOf(by), granted: true });
  }

  /** The follower has everything up to there, on disk up to `durableIndex`. */
  answer(from: number, lastIndex: number, options: { durableIndex?: number; round?: number } = {}): void {
    const { durableIndex = lastIndex, round = 1 } = options;
    this.receive(from, {
      kind: 'appendResponse',
      epoch: this.raft.epoch,
      from: keyOf(from),
      round,
      prevIndex: lastIndex,
      success: true,
      lastIndex,
      lastEpoch: this.raft.epochAt(lastIndex) ?? 0,
      durableIndex,
    });
  }

  append(from: number, epoch: number, rest: Partial<AppendRequest> = {}): void {
    this.receive(from, {
      kind: 'append',
      epoch,
      leader: keyOf(from),
      to: keyOf(this.id),
      prevIndex: 1,
      prevEpoch: 0,
      entries: [],
      commitIndex: 0,
      round: 1,
      ...rest,
    });
  }

  chunk(from: number, epoch: number, rest: Partial<SnapshotChunk>): void {
    this.receive(from, {
      kind: 'snapshotChunk',
      epoch,
      leader: keyOf(from),
      to: keyOf(this.id),
      index: 10,
      indexEpoch: 1,
      position: 0,
      payload: bytesOf('piece'),
      last: false,
      round: 1,
      ...rest,
    });
  }

  /** `lastIndex` and `lastEpoch`: by default those of a log like its own. */
  vote(from: number, epoch: number, rest: Partial<VoteRequest> = {}): void {
    this.receive(from, {
      kind: 'voteRequest',
      epoch,
      pre: false,
      candidate: keyOf(from),
      voter: keyOf(this.id),
      lastIndex: this.raft.lastIndex,
      lastEpoch: this.raft.epochAt(this.raft.lastIndex) ?? 0,
      transfer: false,
      ...rest,
    });
  }

  /** index/epoch of all that is in memory. */
  get log(): string {
    const found: string[] = [];
    for (let index = this.raft.lastIndex; this.raft.entry(index) !== undefined; index -= 1)
      found.unshift(`${index}/${this.raft.epochAt(index)}`);
    return found.join(' ');
  }
}

export function entriesOf(first: number, ...epochs: readonly number[]): readonly RaftEntry[] {
  return epochs.map((epoch, position) => entryOf(first + position, epoch, `entry of ${epoch}`));
}
