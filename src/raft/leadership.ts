import { assert } from '#base/assert';
import type { Mono } from '#base/ports';
import type { NodeId } from '#model/ids';
import { isSameReplica, type ReplicaKey, type Voter } from '#model/voter';
import { voterDifference } from './membership.ts';
import type { AppendResponse, JoinRequest, RaftEntry, SnapshotResponse } from './messages.ts';
import { Progress, partingIndex } from './progress.ts';
import type { LogPosition, ReplicaProgress, SnapshotChunkRead } from './raft-types.ts';
import { Reads } from './reads.ts';
import type { Replica } from './replica.ts';

/** More who ask to be let in hear nothing. */
const OBSERVERS_MAX = 1000;
/** An observer that has been silent for so many election timeouts is forgotten, until it asks again. */
const OBSERVER_PATIENCE = 10;
/** Observers hear every so many rounds of heartbeats: nothing depends on them. */
const OBSERVER_ROUNDS = 3;
/** Rounds of which the beginning is remembered; an answer to an earlier one is no sign of life any more. */
const ROUNDS_MAX = 128;

interface Transfer {
  readonly to: ReplicaKey;
  readonly deadline: Mono;
  told: boolean;
}

/** Where this leader's own disk stands while a majority's is ahead of it. */
interface Outrun {
  readonly durableIndex: number;
  readonly since: Mono;
}

/** One leader's reign: from its election to the end of its epoch, as far as it knows. */
export class Leadership {
  readonly #replica: Replica;
  /** Of its first entry, which commits all before it (§5.4.2, §8). */
  readonly #firstIndex: number;
  readonly #progress = new Map<string, Progress>();
  readonly #reads = new Reads();
  #round = 0;
  /** The last rounds, the latest at the end: when each began, and with how long a log. */
  readonly #rounds: { readonly beganAt: Mono; readonly lastIndex: number }[] = [];
  #heartbeatAt: Mono;
  #transfer: Transfer | undefined;
  #outrun: Outrun | undefined;

  constructor(replica: Replica, now: Mono) {
    this.#replica = replica;
    this.#heartbeatAt = now;
    this.#firstIndex = replica.log.lastIndex + 1;
    this.#trackVoters(now);
    this.#append(replica.options.leaderPayload);
    // The first entry leaves with `flush`, and is its first heartbeat.
    this.#beginRound(now);
  }

  /** It knows everything that its predecessors committed. */
  get isActive(): boolean {
    return this.#replica.commitIndex >= this.#firstIndex;
  }

  /** One change at a time, and none before the first entry of the epoch is committed (thesis §4.1 and its erratum). */
  get mayChangeVoters(): boolean {
    const { commitIndex, membership } = this.#replica;
    return this.isActive && this.#transfer === undefined && membership.index <= commitIndex;
  }

  /** No voter any more, and that for good: it has nothing left to lead. */
  get isRemoved(): boolean {
    const { isVoter, commitIndex, membership } = this.#replica;
    return !isVoter && membership.index <= commitIndex;
  }

  get deadline(): Mono {
    return this.#heartbeatAt;
  }

  /** Whether it has heard of a majority within an election timeout: else another one may lead by now (thesis §6.2). */
  hasQuorum(now: Mono): boolean {
    const { membership, options } = this.#replica;
    const contactAt = membership.majority((voter) => this.#byVoter(voter, now, ({ contactAt: at }) => at));
    return now - contactAt < options.electionTimeoutMs;
  }

  tick(now: Mono): void {
    if (this.#transfer !== undefined && now >= this.#transfer.deadline) this.#transfer = undefined;
    if (now < this.#heartbeatAt) return;
    const { electionTimeoutMs } = this.#replica.options;
    for (const progress of this.#progress.values()) {
      progress.retrySnapshot(now, electionTimeoutMs);
      const isSilent = now - progress.contactAt >= OBSERVER_PATIENCE * electionTimeoutMs;
      if (isSilent && !this.#replica.membership.has(progress.key)) this.#forget(progress);
    }
    if (this.#transfer !== undefined) this.#transfer.told = false;
    else if (this.#isHeldUp(now)) this.transfer(undefined, now);
    this.#heartbeat(now);
  }

  propose(payload: Uint8Array, now: Mono): number | undefined {
    if (this.#transfer !== undefined) return undefined;
    const { membership, options } = this.#replica;
    const voters = options.votersIn(payload);
    if (voters !== undefined) {
      if (!this.mayChangeVoters) return undefined;
      assert(voterDifference(membership.voters, voters) <= 1, 'more than one voter changes at once');
    }
    const index = this.#append(payload);
    if (voters !== undefined) this.#trackVoters(now);
    return index;
  }

  read(ticket: number): void {
    this.#reads.add(ticket, this.#replica.outbox);
  }

  /** What is durable here may be what a majority lacked. */
  persisted(): void {
    this.#advance();
  }

  appendAnswered(response: AppendResponse): void {
    const progress = this.#find(response.from);
    if (progress === undefined || !this.#isCredible(response)) return;
    this.#heard(progress, response.round);
    const round = this.#roundOf(response.round);
    if (response.success && round !== undefined && response.durableIndex >= round.lastIndex)
      progress.caughtUpAt = Math.max(progress.caughtUpAt ?? round.beganAt, round.beganAt);
    progress.answered(response, this.#replica.log);
    this.#advance();
  }

  snapshotAnswered(response: SnapshotResponse): void {
    const progress = this.#find(response.from);
    if (progress === undefined) return;
    this.#heard(progress, response.round);
    const wasSending = progress.sending !== undefined;
    progress.snapshotAnswered(response, this.#replica.log);
    if (wasSending && progress.sending === undefined) this.#replica.outbox.releaseSnapshot.push(progress.key);
    this.#advance();
  }

  snapshotRead(to: ReplicaKey, chunk: SnapshotChunkRead | undefined, now: Mono): void {
    const progress = this.#find(to);
    if (progress === undefined) return;
    const goesOut = progress.chunkRead(chunk, now);
    if (chunk === undefined || !goesOut) return;
    const { epoch, key, outbox } = this.#replica;
    outbox.send(progress.address, {
      kind: 'snapshotChunk',
      epoch,
      leader: key,
      to: progress.key,
      index: chunk.index,
      indexEpoch: chunk.epoch,
      position: chunk.position,
      payload: chunk.payload,
      last: chunk.last,
      round: this.#round,
    });
  }

  disconnected(id: NodeId): void {
    for (const progress of this.#progress.values()) if (progress.key.id === id) progress.disconnected();
  }

  joins({ observer, wantsVote, lastIndex, lastEpoch }: JoinRequest, now: Mono): void {
    const key = { id: observer.id, directoryId: observer.directoryId };
    const known = this.#find(key);
    if (known !== undefined) {
      known.wantsVote = wantsVote;
      known.address = this.#replica.membership.voters.find((voter) => isSameReplica(voter, key)) ?? observer;
      // It hears nothing of this leader: what was sent to it is lost.
      known.disconnected();
      return;
    }
    const observers = this.#progress.size - this.#replica.membership.voters.length;
    if (this.#replica.isSelf(key) || observers >= OBSERVERS_MAX) return;
    // Its node has another disk now, perhaps elsewhere: what is still said to the former one must not look for the node where it was.
    for (const other of this.#progress.values()) if (other.key.id === key.id) other.address = observer;
    const first = partingIndex(this.#replica.log, lastIndex, lastEpoch) + 1;
    const progress = new Progress(key, observer, first, now);
    progress.wantsVote = wantsVote;
    this.#progress.set(nameOf(key), progress);
  }

  /** False: there is no such voter, or none that was heard of lately. */
  transfer(to: NodeId | undefined, now: Mono): boolean {
    const best = this.#successor(to, now);
    if (best === undefined) return false;
    this.#transfer = { to: best.key, deadline: now + this.#replica.options.electionTimeoutMs, told: false };
    return true;
  }

  /** Tells the voter with the longest log to stand for election at once: this replica is about to lead no longer. */
  abdicate(now: Mono): void {
    const best = this.#successor(undefined, now);
    if (best !== undefined) this.#tellToTakeOver(best);
  }

  progress(now: Mono): readonly ReplicaProgress[] {
    const { isVoter, key, log, membership, options, self } = this.#replica;
    const own: ReplicaProgress = {
      key,
      address: self,
      matchIndex: log.durableIndex,
      lastContactAt: now,
      lastCaughtUpAt: now,
      isVoter,
      wantsVote: options.wantsVote,
      isCaughtUp: true,
    };
    const others = [...this.#progress.values()].map((progress) => ({
      key: progress.key,
      address: progress.address,
      matchIndex: progress.durable,
      lastContactAt: progress.contactAt,
      lastCaughtUpAt: progress.caughtUpAt,
      isVoter: membership.has(progress.key),
      wantsVote: progress.wantsVote,
      isCaughtUp: progress.caughtUpAt !== undefined && now - progress.caughtUpAt < options.electionTimeoutMs,
    }));
    return [own, ...others];
  }

  /** Sends what is due: what came in one turn leaves together. */
  flush(now: Mono): void {
    if (this.isActive && this.#reads.needRound()) this.#heartbeat(now);
    const { commitIndex, log, outbox } = this.#replica;
    for (const progress of this.#progress.values()) {
      for (;;) {
        const next = progress.nextAppend(log, commitIndex);
        if (next === undefined) break;
        this.#sendAppend(progress, next.after, next.entries);
        if (next.entries.length === 0) break;
      }
      const { sending } = progress;
      if (sending?.phase !== 'wanted') continue;
      sending.phase = 'reading';
      outbox.sendSnapshot.push({ to: progress.key, position: sending.position });
    }
    this.#tellSuccessor();
  }

  /** The epoch is over for it. */
  end(): void {
    this.#reads.refuse(this.#replica.outbox);
    for (const progress of this.#progress.values()) this.#forget(progress);
  }

  #append(payload: Uint8Array): number {
    const { epoch, log } = this.#replica;
    const index = log.lastIndex + 1;
    this.#replica.append({ index, epoch, payload });
    return index;
  }

  /** Whoever ceases to be a voter is still sent the entry that says so, as an observer. */
  #trackVoters(now: Mono): void {
    for (const voter of this.#replica.membership.voters) {
      const known = this.#find(voter);
      if (known !== undefined) known.address = voter;
      else if (!this.#replica.isSelf(voter)) {
        const key = { id: voter.id, directoryId: voter.directoryId };
        // Mostly a new leader's own first entry fits there.
        this.#progress.set(nameOf(key), new Progress(key, voter, this.#firstIndex, now));
      }
    }
  }

  #beginRound(now: Mono): void {
    const { commitIndex, log, options } = this.#replica;
    this.#round += 1;
    this.#rounds.push({ beganAt: now, lastIndex: log.lastIndex });
    if (this.#rounds.length > ROUNDS_MAX) this.#rounds.shift();
    this.#heartbeatAt = now + options.heartbeatMs;
    if (this.isActive) this.#reads.roundBegins(this.#round, commitIndex);
  }

  #heartbeat(now: Mono): void {
    this.#beginRound(now);
    const { commitIndex, log, membership } = this.#replica;
    for (const progress of this.#progress.values()) {
      if (!membership.has(progress.key) && this.#round % OBSERVER_ROUNDS !== 0) continue;
      this.#sendAppend(progress, progress.heartbeatAfter(log, commitIndex), []);
    }
    this.#confirmReads();
  }

  #sendAppend(progress: Progress, after: LogPosition, entries: readonly RaftEntry[]): void {
    const { commitIndex, epoch, key, outbox } = this.#replica;
    outbox.send(progress.address, {
      kind: 'append',
      epoch,
      leader: key,
      to: progress.key,
      prevIndex: after.index,
      prevEpoch: after.epoch,
      entries,
      commitIndex,
      round: this.#round,
    });
  }

  #tellSuccessor(): void {
    const transfer = this.#transfer;
    if (transfer === undefined || transfer.told) return;
    const progress = this.#find(transfer.to);
    if (progress === undefined || progress.match !== this.#replica.log.lastIndex) return;
    transfer.told = true;
    this.#tellToTakeOver(progress);
  }

  #tellToTakeOver({ address, key: to }: Progress): void {
    const { epoch, key, outbox } = this.#replica;
    outbox.send(address, { kind: 'takeOver', epoch, leader: key, to });
  }

  /** Of the voters that were heard of lately, or of that one alone, the one with the longest log. */
  #successor(to: NodeId | undefined, now: Mono): Progress | undefined {
    const { membership, options } = this.#replica;
    const [best] = [...this.#progress.values()]
      .filter(({ key }) => membership.has(key) && (to === undefined || key.id === to))
      .filter(({ contactAt }) => now - contactAt < options.electionTimeoutMs)
      .sort((a, b) => b.match - a.match || b.contactAt - a.contactAt);
    return best;
  }

  #heard(progress: Progress, round: number): void {
    if (round > this.#round) return;
    progress.ackedRound = Math.max(progress.ackedRound, round);
    progress.contactAt = Math.max(progress.contactAt, this.#roundOf(round)?.beganAt ?? progress.contactAt);
    this.#confirmReads();
  }

  /** undefined: none of this leader's, or too long ago. */
  #roundOf(round: number): { readonly beganAt: Mono; readonly lastIndex: number } | undefined {
    return round > 0 && round <= this.#round ? this.#rounds.at(round - this.#round - 1) : undefined;
  }

  #confirmReads(): void {
    const { membership, outbox } = this.#replica;
    const round = membership.majority((voter) => this.#byVoter(voter, this.#round, ({ ackedRound }) => ackedRound));
    this.#reads.confirmed(round, outbox);
  }

  /**
   * Whether its own disk has stood still for an election timeout, while a majority has more on theirs. A leader commits nothing that is not
   * on its own disk either: under another one things go on.
   */
  #isHeldUp(now: Mono): boolean {
    const { durableIndex } = this.#replica.log;
    if (this.#reached() <= durableIndex) this.#outrun = undefined;
    else if (this.#outrun?.durableIndex !== durableIndex) this.#outrun = { durableIndex, since: now };
    return this.#outrun !== undefined && now - this.#outrun.since >= this.#replica.options.electionTimeoutMs;
  }

  /** The last entry that is on the disks of a majority. */
  #reached(): number {
    const { log, membership } = this.#replica;
    return membership.majority((voter) => this.#byVoter(voter, log.durableIndex, ({ durable }) => durable));
  }

  /** An entry counts where it is on disk, and only one of the own epoch is committed by counting (§5.4.2, figure 8). */
  #advance(): void {
    const { commitIndex, epoch, log, options } = this.#replica;
    const index = Math.min(this.#reached(), log.durableIndex);
    if (index <= commitIndex) return;
    // PLANTED BUG commit-older-epoch-by-count: an entry of an earlier leader counts as committed once a majority has it.
    if (log.epochAt(index) !== epoch && !options.planted.has('commit-older-epoch-by-count')) return;
    this.#replica.commitTo(index);
  }

  /** What is so about a voter: about itself, as given; nothing (0) about one that it does not track. */
  #byVoter(voter: Voter, own: number, reached: (progress: Progress) => number): number {
    if (this.#replica.isSelf(voter)) return own;
    const progress = this.#find(voter);
    return progress === undefined ? 0 : reached(progress);
  }

  #isCredible({ lastIndex, durableIndex, success }: AppendResponse): boolean {
    return !success || (lastIndex <= this.#replica.log.lastIndex && durableIndex <= lastIndex);
  }

  #find(key: ReplicaKey): Progress | undefined {
    return this.#progress.get(nameOf(key));
  }

  #forget(progress: Progress): void {
    this.#progress.delete(nameOf(progress.key));
    if (progress.sending !== undefined) this.#replica.outbox.releaseSnapshot.push(progress.key);
  }
}

function nameOf({ id, directoryId }: ReplicaKey): string {
  return `${id}/${directoryId}`;
}
