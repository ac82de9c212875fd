/** R1 to R11 of Raft as far as machines without a network show them; each throws with its name. */
import { isSameReplica, type ReplicaKey } from '#model/voter';
import type { RaftEntry } from '#raft/messages';
import type { Raft } from '#raft/raft';
import type { HardState, RaftOutput } from '#raft/raft-types';
import type { Cluster, Disk, Flight, Machine, Watch } from './cluster.ts';
import { nameOf, textOf, votersIn } from './support.ts';

interface Committed {
  readonly entry: RaftEntry;
  /** In which it was committed first. */
  readonly epoch: number;
}

/** Of one life of a machine. */
interface Seen {
  raft: Raft | undefined;
  epoch: number;
  commitIndex: number;
  wasLeader: boolean;
  /** Who granted it a pre-vote for which epoch, and whether a leader let it go without. */
  preVotes: { readonly epoch: number; readonly voter: ReplicaKey }[];
  toldToTakeOver: number | undefined;
}

export class Invariants implements Watch {
  /** Entry 1 is the first. */
  readonly committed: Committed[] = [];
  /** What has been seen, so that a run shows what it covered. */
  readonly coverage = new Set<string>();
  readonly #cluster: Cluster;
  readonly #leaders = new Map<number, ReplicaKey>();
  readonly #votes = new Map<string, ReplicaKey>();
  readonly #entries = new Map<string, { readonly payload: string; readonly previousEpoch: number }>();
  readonly #seen = new Map<number, Seen>();
  readonly #readsFrom = new Map<string, number>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** A read has been asked for: it must see everything committed by now. */
  readBegins(machine: Machine, ticket: number): void {
    this.#readsFrom.set(`${machine.id}/${machine.starts}/${ticket}`, this.committed.length);
  }

  /** The state after applying everything up to `index`. */
  stateAt(index: number): string {
    let hash = 17;
    for (const { entry } of this.committed.slice(0, index))
      for (const byte of entry.payload) hash = (Math.imul(hash, 31) + byte) >>> 0;
    return `${index}:${hash}`;
  }

  delivered({ message, to }: Flight): void {
    const seen = this.#seen.get(to);
    if (seen === undefined) return;
    if (message.kind === 'voteResponse' && message.pre && message.granted)
      seen.preVotes.push({ epoch: message.epoch, voter: message.voter });
    if (message.kind === 'takeOver') seen.toldToTakeOver = message.epoch;
  }

  saved(machine: Machine, before: HardState, after: HardState): void {
    check(after.epoch >= before.epoch, `R7: n${machine.id} goes back from epoch ${before.epoch} to ${after.epoch}`);
    if (after.epoch !== before.epoch || before.votedFor === null) return;
    const isSame = after.votedFor !== null && isSameReplica(before.votedFor, after.votedFor);
    check(isSame, `R7: n${machine.id} takes back its vote in epoch ${after.epoch}`);
  }

  output(machine: Machine, raft: Raft, output: RaftOutput): void {
    for (const { to, message } of output.messages) {
      if (message.kind === 'voteResponse' && !message.pre && message.granted)
        this.#noteVote(message.voter, message.epoch, this.#cluster.machine(to.id).self);
    }
    this.#checkEntries(machine, output);
    this.#checkCommits(machine, raft, output);
    for (const { ticket, index } of output.reads) {
      const from = this.#readsFrom.get(`${machine.id}/${machine.starts}/${ticket}`) ?? 0;
      check(index >= from, `a read of n${machine.id} misses what was committed: ${index} of ${from}`);
      this.coverage.add('a read');
    }
  }

  snapshotInstalled(machine: Machine, raft: Raft, { index, chunks }: NonNullable<Disk['snapshot']>): void {
    check(index <= this.committed.length, `R9: a snapshot at ${index} beyond the commit index`);
    check(chunks[1] === this.stateAt(index), `R11: n${machine.id} got another state at ${index}`);
    check(raft.role !== 'leader', `R9: the leader n${machine.id} loads a snapshot`);
    const seen = this.#seen.get(machine.id);
    if (seen !== undefined) seen.commitIndex = index;
    this.coverage.add('a snapshot installed');
  }

  stepped(machine: Machine, raft: Raft): void {
    const seen = this.#seenOf(machine, raft);
    check(raft.epoch >= seen.epoch, `R7: n${machine.id} goes back to epoch ${raft.epoch}`);
    check(raft.commitIndex <= raft.durableIndex, `R6: n${machine.id} commits what is not on its disk`);
    if (raft.role === 'candidate' && raft.epoch > seen.epoch) this.#checkCandidacy(machine, raft, seen);
    seen.epoch = raft.epoch;
    const isLeader = raft.role === 'leader';
    if (isLeader) {
      if (!seen.wasLeader) this.#elected(machine, raft);
      const pending = machine.log.filter(({ index, payload }) => index > raft.commitIndex && votersIn(payload));
      check(
        !raft.isActive || pending.length <= 1,
        `R10: n${machine.id} has ${pending.length} changes of voters pending`,
      );
    }
    seen.wasLeader = isLeader;
  }

  #elected(machine: Machine, raft: Raft): void {
    const key = { id: machine.self.id, directoryId: machine.self.directoryId };
    const other = this.#leaders.get(raft.epoch);
    const isOnly = other === undefined || isSameReplica(other, key);
    check(isOnly, `R1: n${other && nameOf(other)} and n${nameOf(key)} both lead in epoch ${raft.epoch}`);
    this.#leaders.set(raft.epoch, key);
    this.coverage.add('a leader');
    if (this.#leaders.size > 2) this.coverage.add('three leaders');
    const before = this.committed.filter(({ epoch }) => epoch < raft.epoch);
    const log = wholeLog(machine);
    for (const { entry } of before) {
      const here = entry.index <= log.snapshotIndex || log.epochs.get(entry.index) === entry.epoch;
      check(here, `R5: n${machine.id} leads in epoch ${raft.epoch} without the committed entry ${entry.index}`);
    }
  }

  /** No epoch is raised by whoever has no majority: pre-vote, or the leader's own wish. */
  #checkCandidacy(machine: Machine, raft: Raft, seen: Seen): void {
    if (seen.toldToTakeOver === raft.epoch - 1) {
      this.coverage.add('a transfer');
      return;
    }
    const granted = raft.voters.filter(
      (voter) =>
        isSameReplica(voter, machine.self) ||
        seen.preVotes.some((vote) => vote.epoch === raft.epoch && isSameReplica(vote.voter, voter)),
    );
    const isMajority = granted.length * 2 > raft.voters.length;
    check(isMajority, `n${machine.id} raised the epoch to ${raft.epoch} without a majority of pre-votes`);
  }

  #noteVote(voter: ReplicaKey, epoch: number, candidate: ReplicaKey): void {
    const name = `${nameOf(voter)}/${epoch}`;
    const earlier = this.#votes.get(name);
    const isSame = earlier === undefined || earlier.id === candidate.id;
    check(isSame, `n${nameOf(voter)} votes for n${earlier?.id} and n${candidate.id} in epoch ${epoch}`);
    this.#votes.set(name, candidate);
  }

  /** R2 by induction: an entry is the same everywhere, and so is the one before it. */
  #checkEntries(machine: Machine, { append }: RaftOutput): void {
    for (const { index, epoch, payload } of append) {
      const previous = machine.log.find((entry) => entry.index === index - 1);
      const snapshot = machine.disk.snapshot;
      const previousEpoch = previous?.epoch ?? (snapshot?.index === index - 1 ? snapshot.epoch : index === 1 ? 0 : -1);
      check(previousEpoch >= 0, `R2: n${machine.id} appends ${index} behind nothing`);
      const name = `${index}/${epoch}`;
      const known = this.#entries.get(name);
      const text = textOf(payload);
      if (known === undefined) this.#entries.set(name, { payload: text, previousEpoch });
      else {
        const isSame = known.payload === text && known.previousEpoch === previousEpoch;
        check(isSame, `R2: n${machine.id} has another entry ${name}`);
      }
    }
  }

  #checkCommits(machine: Machine, raft: Raft, { commitIndex }: RaftOutput): void {
    const seen = this.#seenOf(machine, raft);
    check(commitIndex >= seen.commitIndex, `R7: n${machine.id} takes back its commit index`);
    for (let index = seen.commitIndex + 1; index <= commitIndex; index += 1) {
      const entry = machine.log.find((candidate) => candidate.index === index);
      if (entry === undefined) continue;
      const known = this.committed[index - 1];
      if (known === undefined) {
        check(index === this.committed.length + 1, `R3: n${machine.id} commits ${index} with a gap before it`);
        this.#checkMajority(raft, entry);
        this.committed.push({ entry, epoch: raft.epoch });
      } else {
        const isSame = known.entry.epoch === entry.epoch && textOf(known.entry.payload) === textOf(entry.payload);
        check(isSame, `R3: n${machine.id} commits another entry ${index} of epoch ${entry.epoch}`);
      }
    }
    seen.commitIndex = commitIndex;
  }

  /** R4 and R8: what is committed is on the disks of a majority, so that every quorum has it. */
  #checkMajority({ voters }: Raft, { index, epoch }: RaftEntry): void {
    const holders = voters.filter((voter) => {
      const machine = this.#cluster.machine(voter.id);
      if (!isSameReplica(machine.self, voter)) return false;
      const { disk } = machine;
      if (disk.snapshot !== undefined && disk.snapshot.index >= index) return true;
      return disk.entries.some((entry) => entry.index === index && entry.epoch === epoch);
    });
    // A disk that has been wiped since it said so did have it: what a crash cannot take, a wipe can.
    const wiped = voters.filter((voter) => !isSameReplica(this.#cluster.machine(voter.id).self, voter));
    const isMajority = (holders.length + wiped.length) * 2 > voters.length;
    check(isMajority, `R8: entry ${index} is committed on ${holders.length} of ${voters.length} disks`);
  }

  #seenOf(machine: Machine, raft: Raft): Seen {
    const known = this.#seen.get(machine.id);
    if (known?.raft === raft) return known;
    const { hardState, snapshot } = machine.disk;
    const seen: Seen = {
      raft,
      epoch: hardState.epoch,
      commitIndex: snapshot?.index ?? 0,
      wasLeader: false,
      preVotes: [],
      toldToTakeOver: undefined,
    };
    this.#seen.set(machine.id, seen);
    for (const entry of machine.log) {
      const name = `${entry.index}/${entry.epoch}`;
      if (!this.#entries.has(name)) this.#entries.set(name, { payload: textOf(entry.payload), previousEpoch: 0 });
    }
    return seen;
  }
}

function wholeLog(machine: Machine): { readonly snapshotIndex: number; readonly epochs: ReadonlyMap<number, number> } {
  return {
    snapshotIndex: machine.disk.snapshot?.index ?? 0,
    epochs: new Map(machine.log.map(({ index, epoch }) => [index, epoch])),
  };
}

function check(holds: boolean, claim: string): void {
  if (!holds) throw new Error(claim);
}
