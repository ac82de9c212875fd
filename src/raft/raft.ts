/**
 * The consensus machine of the metadata log: Raft as in Ongaro's paper and thesis, with pre-vote, check-quorum, leadership transfer and
 * observers. It is pure: no clock, no disk, no network. Its driver calls one method for each thing that happens, with the time, then
 * takes the output and does what it says.
 *
 * Reading order: replica.ts (what any replica has), election.ts, following.ts, leadership.ts with progress.ts.
 */
import { assert, unreachable } from '#base/assert';
import type { Mono } from '#base/ports';
import type { NodeId } from '#model/ids';
import type { ReplicaKey, Voter } from '#model/voter';
import { Election } from './election.ts';
import { Following } from './following.ts';
import { LeaderSearch } from './leader-search.ts';
import { Leadership } from './leadership.ts';
import type {
  AppendRequest,
  JoinRequest,
  PeerAddress,
  RaftEntry,
  RaftMessage,
  SnapshotChunk,
  TakeOver,
  VoteRequest,
  VoteResponse,
} from './messages.ts';
import type {
  HardState,
  LogPosition,
  RaftOptions,
  RaftOutput,
  RaftRole,
  RaftStart,
  ReplicaProgress,
  SnapshotBase,
  SnapshotChunkRead,
} from './raft-types.ts';
import { Replica } from './replica.ts';

/** Every call may change `deadline`, and what `takeOutput` says. */
export class Raft {
  readonly #replica: Replica;
  readonly #election: Election;
  readonly #following: Following;
  readonly #search: LeaderSearch;
  #leadership: Leadership | undefined;
  #tickets = 0;

  /** A replica that is the only voter stands for election within this call. */
  constructor(options: RaftOptions, start: RaftStart, now: Mono) {
    this.#replica = new Replica(options, start);
    this.#election = new Election(this.#replica, now);
    this.#following = new Following(this.#replica);
    this.#search = new LeaderSearch(this.#replica);
    if (!this.#replica.isVoter) this.#election.postponeTo(now);
    this.#standIfAlone(now);
  }

  get role(): RaftRole {
    if (this.#leadership !== undefined) return 'leader';
    const { stage } = this.#election;
    return stage === 'follower' && !this.#replica.isVoter ? 'observer' : stage;
  }

  get epoch(): number {
    return this.#replica.epoch;
  }

  /** With its address; itself when it leads; undefined when it knows of none. */
  get leader(): Voter | undefined {
    return this.#leadership === undefined ? this.#following.leader : this.#replica.self;
  }

  /** When a leader, other than itself, was last heard of, or when it began to listen. */
  leaderHeardAt(now: Mono): Mono {
    return now - this.#election.silenceMs(now);
  }

  /** Never beyond `durableIndex`. */
  get commitIndex(): number {
    return this.#replica.commitIndex;
  }

  get lastIndex(): number {
    return this.#replica.log.lastIndex;
  }

  get durableIndex(): number {
    return this.#replica.log.durableIndex;
  }

  /** As last given out to be saved. */
  get hardState(): HardState {
    return { epoch: this.#replica.epoch, votedFor: this.#replica.votedFor };
  }

  /** What the latest snapshot on this disk covers. */
  get snapshot(): LogPosition {
    return this.#replica.log.snapshot;
  }

  /** undefined: it is not in memory, or not there yet. */
  entry(index: number): RaftEntry | undefined {
    const { log } = this.#replica;
    return index > log.baseIndex ? log.slice(index, 0)[0] : undefined;
  }

  /** Of an entry in memory, or of what precedes the first. */
  epochAt(index: number): number | undefined {
    return this.#replica.log.epochAt(index);
  }

  /** Of the entry that made the voters what they are. */
  get votersIndex(): number {
    return this.#replica.membership.index;
  }

  /** By the latest change in the log, committed or not; none in an empty log. */
  get voters(): readonly Voter[] {
    return this.#replica.membership.voters;
  }

  /** It leads, and the first entry of its own epoch is committed: it knows all that was committed before. */
  get isActive(): boolean {
    return this.#leadership?.isActive ?? false;
  }

  /** It is active, hands over to nobody, and the last change of voters is committed. */
  get mayChangeVoters(): boolean {
    return this.#leadership?.mayChangeVoters ?? false;
  }

  /** When `tick` is to be called next. */
  get deadline(): Mono {
    return this.#leadership?.deadline ?? this.#election.deadline;
  }

  /**
   * `lateMs`: by how much the driver's timer ran late. Others are given that much more time, for it was this node that did not listen;
   * its own leadership is not.
   */
  tick(now: Mono, lateMs: number): void {
    const leadership = this.#leadership;
    if (leadership !== undefined) {
      if (leadership.hasQuorum(now)) leadership.tick(now);
      else this.#stepDown(now);
      return;
    }
    if (!this.#election.isDue(now, lateMs)) return;
    if (this.#mayStand(now)) {
      // In vain so far: perhaps it is no voter any more, and the leader does not know that it lives.
      if (this.#isLosingPatience(now, 2)) this.#search.askAll();
      this.#campaign(now);
    } else this.#lookForLeader(now);
  }

  /** `from`: the sender, and where its peer listener is, as the connection's hello says. Keeps the payloads of entries and chunks. */
  received(message: RaftMessage, from: PeerAddress, now: Mono): void {
    // Said to the replica that this node was before its disk was wiped.
    if ('to' in message && !this.#replica.isSelf(message.to)) return;
    switch (message.kind) {
      case 'voteRequest':
        return this.#voteRequested(message, from, now);
      case 'voteResponse':
        return this.#voteAnswered(message, now);
      case 'append':
        return this.#appendReceived(message, from, now);
      case 'appendResponse':
        if (this.#isOfThisEpoch(message.epoch, now)) this.#asLeader(now, (leading) => leading.appendAnswered(message));
        return;
      case 'snapshotChunk':
        return this.#chunkReceived(message, from, now);
      case 'snapshotResponse':
        if (this.#isOfThisEpoch(message.epoch, now))
          this.#asLeader(now, (leading) => leading.snapshotAnswered(message));
        return;
      case 'takeOver':
        return this.#takeOver(message, from, now);
      case 'join':
        return this.#joinRequested(message, from, now);
      case 'joinResponse':
        if (this.leader === undefined) this.#search.answered(message);
        return;
      default:
        return unreachable(message);
    }
  }

  /** A connection with the node has been closed or reset by it: if it led, that counts as the end of everyone's patience. */
  disconnected(id: NodeId, now: Mono): void {
    this.#leadership?.disconnected(id);
    if (this.#leadership === undefined && this.#following.leader?.id === id) this.#election.leaderSuspected(now);
  }

  /** The leader that it follows says that it leads no more: all others are asked who does. */
  doubtLeader(): void {
    if (this.#leadership === undefined) this.#search.askAll();
  }

  /** Stands for election at once, if it is a voter that knows of no leader; after a first start, so that nobody waits for a timeout. */
  campaign(now: Mono): void {
    if (this.leader === undefined && this.#replica.isVoter && !this.#following.isInstalling) this.#campaign(now);
  }

  /** The first entry of the log, index 1 in epoch 0. False: the log is not empty any more, and nothing was done. */
  bootstrap(entry: RaftEntry, now: Mono): boolean {
    if (!this.#replica.isEmpty || this.#following.isInstalling) return false;
    assert(entry.index === 1 && entry.epoch === 0, 'the first entry');
    this.#replica.append(entry);
    this.#standIfAlone(now);
    return true;
  }

  /**
   * Appends the payload, which it owns from then on, as an entry, and gives its index. undefined: this replica does not lead, or hands
   * over; or the payload changes the voters, and `mayChangeVoters` is false. At most one voter comes or goes at once.
   */
  propose(payload: Uint8Array, now: Mono): number | undefined {
    return this.#leadership?.propose(payload, now);
  }

  /** The entries given out with that generation are on disk up to `index`. */
  persisted(index: number, generation: number, now: Mono): void {
    if (generation !== this.#replica.log.generation) return;
    this.#replica.log.persisted(index);
    if (this.#leadership === undefined) this.#following.persisted();
    else this.#asLeader(now, (leading) => leading.persisted());
  }

  /**
   * The disk has no room. Whatever had been given out for the log, pieces of a snapshot included, and is not written by now has been
   * dropped by the driver: the log ends where it is durable, as after a crash. A leader steps down. One that was active asks another voter to
   * take over; one that was not may have been asked by another without room, and so on.
   */
  diskFull(now: Mono): void {
    if (this.isActive) this.#leadership?.abdicate(now);
    if (this.#leadership !== undefined) this.#stepDown(now);
    const { durableIndex, lastIndex } = this.#replica.log;
    if (lastIndex > durableIndex) {
      this.#replica.truncateFrom(durableIndex + 1);
      this.#election.logShortened();
    }
    this.#following.writesLost();
  }

  /** `state`: the very value that was given out. */
  hardStateSaved(state: HardState, now: Mono): void {
    this.#replica.outbox.hardStateSaved(state);
    if (this.#election.isElected() && this.#leadership === undefined) this.#lead(now);
  }

  /** A snapshot of this replica's own covers everything up to there, which is committed. */
  compacted({ index, epoch }: LogPosition): void {
    assert(index <= this.#replica.commitIndex, `a snapshot of what is not committed: ${index}`);
    if (index <= this.#replica.log.snapshot.index) return;
    this.#replica.log.compacted({ index, epoch });
    this.#replica.membership.compacted(index);
  }

  /** A piece of the leader's snapshot, not the last, is written. */
  snapshotStored(position: number): void {
    this.#following.snapshotStored(position);
  }

  /** The leader's snapshot is on disk in place of the log. */
  snapshotInstalled(snapshot: SnapshotBase): void {
    this.#following.snapshotInstalled(snapshot);
  }

  /** The leader's snapshot could not be taken; what was written of it is dropped. The leader will begin again. */
  snapshotFailed(): void {
    this.#following.snapshotFailed();
  }

  /** Answers `sendSnapshot`. undefined: it could not be read; it is asked for again a while later, from its beginning. */
  snapshotRead(to: ReplicaKey, chunk: SnapshotChunkRead | undefined, now: Mono): void {
    this.#leadership?.snapshotRead(to, chunk, now);
  }

  /** A linearizable read (thesis §6.4): the ticket comes up in `reads` or `refusedReads` of the output. */
  read(): number {
    this.#tickets += 1;
    if (this.#leadership === undefined) this.#replica.outbox.refusedReads.push(this.#tickets);
    else this.#leadership.read(this.#tickets);
    return this.#tickets;
  }

  /**
   * Hands the leadership over to that voter, or to the one with the longest log (thesis §3.10); for an election timeout at most nothing
   * is proposed. False: it does not lead, or has not heard of such a voter lately.
   */
  transfer(to: NodeId | undefined, now: Mono): boolean {
    return this.#leadership?.transfer(to, now) ?? false;
  }

  /** The leader's view of all replicas, itself first; empty elsewhere. */
  progress(now: Mono): readonly ReplicaProgress[] {
    return this.#leadership?.progress(now) ?? [];
  }

  /** What has come up since the last call. To be taken after each turn's inputs: those of one turn share messages and syncs. */
  takeOutput(now: Mono): RaftOutput {
    this.#leadership?.flush(now);
    return this.#replica.outbox.take(this.#replica.commitIndex, this.#replica.log.generation);
  }

  #campaign(now: Mono): void {
    this.#following.unfollow();
    if (this.#election.begin(now)) this.#lead(now);
  }

  #mayStand(now: Mono): boolean {
    const { isVoter, isElectable } = this.#replica;
    if (this.#following.isInstalling) return false;
    return isVoter || (isElectable && this.#isLosingPatience(now, 4));
  }

  #isLosingPatience(now: Mono, timeouts: number): boolean {
    return this.#election.silenceMs(now) >= timeouts * this.#replica.options.electionTimeoutMs;
  }

  /** The only voter has nobody to wait for. */
  #standIfAlone(now: Mono): void {
    if (this.#replica.isVoter && this.#replica.membership.voters.length === 1) this.#campaign(now);
  }

  #lead(now: Mono): void {
    this.#following.unfollow();
    this.#leadership = new Leadership(this.#replica, now);
  }

  #stepDown(now: Mono): void {
    this.#leadership?.end();
    this.#leadership = undefined;
    this.#election.leadershipLost(now);
  }

  /** `votedFor` nobody yet. */
  #enterEpoch(epoch: number, now: Mono): void {
    if (this.#leadership === undefined) this.#election.epochEntered();
    else this.#stepDown(now);
    this.#following.unfollow();
    this.#replica.enterEpoch(epoch, null);
  }

  /** An answer: one of a later epoch ends this one, one of an earlier is worth nothing. */
  #isOfThisEpoch(epoch: number, now: Mono): boolean {
    if (epoch > this.#replica.epoch) this.#enterEpoch(epoch, now);
    else if (epoch === this.#replica.epoch) return true;
    return false;
  }

  /** A commit may be the end of a leader that is no voter any more. Its successor need not wait for a timeout. */
  #asLeader(now: Mono, act: (leadership: Leadership) => void): void {
    const leadership = this.#leadership;
    if (leadership === undefined) return;
    act(leadership);
    if (!leadership.isRemoved) return;
    leadership.transfer(undefined, now);
    leadership.flush(now);
    this.#stepDown(now);
  }

  #lookForLeader(now: Mono): void {
    this.#following.unfollow();
    this.#search.ask();
    const { heartbeatMs } = this.#replica.options;
    this.#election.postponeTo(now + this.#replica.uniform(1, 2) * heartbeatMs);
  }

  #voteRequested(request: VoteRequest, from: PeerAddress, now: Mono): void {
    if (!this.#election.isAddressed(request)) return;
    const granted = this.#judge(request, now);
    const { outbox, epoch } = this.#replica;
    outbox.send(from, {
      kind: 'voteResponse',
      epoch: granted ? request.epoch : epoch,
      pre: request.pre,
      voter: request.voter,
      granted,
    });
  }

  #judge(request: VoteRequest, now: Mono): boolean {
    if (request.epoch < this.#replica.epoch) return false;
    if (!this.#election.yieldsTo(request, this.#leadership !== undefined, now)) return false;
    if (request.pre) return this.#election.preVote(request, now);
    if (request.epoch > this.#replica.epoch) this.#enterEpoch(request.epoch, now);
    return this.#leadership === undefined && this.#election.vote(request, now);
  }

  #voteAnswered(response: VoteResponse, now: Mono): void {
    // A pre-vote that is granted names the epoch that would come.
    if (!(response.pre && response.granted) && !this.#isOfThisEpoch(response.epoch, now)) return;
    if (this.#leadership !== undefined) return;
    const follows = this.#election.answered(response, now);
    if (follows === 'lead' || (follows === 'stand' && this.#election.stand(now, false))) this.#lead(now);
  }

  /** Whether it comes from the leader of this epoch, which it may begin; undefined if it is of an epoch that is over. */
  #fromLeader(epoch: number, key: ReplicaKey, from: PeerAddress, now: Mono): Voter | undefined {
    if (epoch < this.#replica.epoch) return undefined;
    if (epoch > this.#replica.epoch) this.#enterEpoch(epoch, now);
    assert(this.#leadership === undefined, `two leaders in epoch ${epoch}: ${this.#replica.self.id} and ${key.id}`);
    const leader = { id: key.id, directoryId: key.directoryId, host: from.host, port: from.port };
    this.#following.follow(leader);
    this.#election.leaderHeard(now);
    return leader;
  }

  #appendReceived(request: AppendRequest, from: PeerAddress, now: Mono): void {
    const leader = this.#fromLeader(request.epoch, request.leader, from, now);
    if (leader !== undefined) this.#following.append(request, leader);
    else this.#following.refuseAppend({ ...request.leader, host: from.host, port: from.port }, request);
  }

  #chunkReceived(chunk: SnapshotChunk, from: PeerAddress, now: Mono): void {
    const leader = this.#fromLeader(chunk.epoch, chunk.leader, from, now);
    if (leader !== undefined) this.#following.snapshotChunk(chunk, leader);
    else this.#following.refuseChunk({ ...chunk.leader, host: from.host, port: from.port }, chunk);
  }

  #takeOver(message: TakeOver, from: PeerAddress, now: Mono): void {
    if (this.#fromLeader(message.epoch, message.leader, from, now) === undefined) return;
    if (!this.#replica.isVoter || this.#following.isInstalling) return;
    this.#following.unfollow();
    if (this.#election.stand(now, true)) this.#lead(now);
  }

  #joinRequested(request: JoinRequest, from: PeerAddress, now: Mono): void {
    if (this.#leadership !== undefined) return this.#leadership.joins(request, now);
    this.#replica.outbox.send(from, { kind: 'joinResponse', epoch: this.#replica.epoch, leader: this.leader });
  }
}
