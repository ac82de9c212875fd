import type { Mono } from '#base/ports';
import { isSameReplica, type ReplicaKey } from '#model/voter';
import type { VoteRequest, VoteResponse } from './messages.ts';
import type { Replica } from './replica.ts';

/**
 * How a replica that does not lead waits for a leader and stands for election: pre-vote (thesis §9.6), then the vote (the paper's §5.2);
 * and how it answers those who stand.
 */
export class Election {
  readonly #replica: Replica;
  #stage: 'follower' | 'prospective' | 'candidate' = 'follower';
  #deadline: Mono;
  #stageSince: Mono;
  /** When a leader was last heard of that is not known to be gone. */
  #leaderHeardAt: Mono | undefined;
  /** When it last heard of any, or began to listen. */
  #silentSince: Mono;
  /** Others than itself, in this stage. */
  #granted: ReplicaKey[] = [];
  /** Someone has said no in this stage. */
  #isRefused = false;

  constructor(replica: Replica, now: Mono) {
    this.#replica = replica;
    this.#stageSince = now;
    this.#silentSince = now;
    this.#deadline = this.#drawDeadline(now);
  }

  get stage(): 'follower' | 'prospective' | 'candidate' {
    return this.#stage;
  }

  get deadline(): Mono {
    return this.#deadline;
  }

  /** Of an observer's search for the leader, which is no election. */
  postponeTo(deadline: Mono): void {
    this.#deadline = deadline;
  }

  /** Whether the leader's silence has lasted long enough, after this node's own deafness has been allowed for. */
  isDue(now: Mono, lateMs: number): boolean {
    if (now < this.#deadline) return false;
    const { heartbeatMs, electionTimeoutMs } = this.#replica.options;
    if (lateMs < heartbeatMs) return true;
    this.#deadline = now + Math.min(lateMs, electionTimeoutMs);
    return false;
  }

  /** For how long it has heard of no leader. */
  silenceMs(now: Mono): number {
    return now - this.#silentSince;
  }

  leaderHeard(now: Mono): void {
    this.#stage = 'follower';
    this.#leaderHeardAt = now;
    this.#silentSince = now;
    this.#deadline = this.#drawDeadline(now);
  }

  /** Follows no one yet, in a new epoch. The patience that it had with the last leader goes on, so that no candidate can silence it. */
  epochEntered(): void {
    this.#stage = 'follower';
    this.#leaderHeardAt = undefined;
  }

  /** The log has lost its end, with which votes were asked for: those that come in this epoch are for another log (§5.4.1). */
  logShortened(): void {
    this.#stage = 'follower';
  }

  leadershipLost(now: Mono): void {
    this.epochEntered();
    this.#deadline = this.#drawDeadline(now);
  }

  /** The leader's process is gone, by all appearances. A little later than others who saw it, or earlier, so that one goes first. */
  leaderSuspected(now: Mono): void {
    this.#leaderHeardAt = undefined;
    this.#deadline = Math.min(this.#deadline, now + this.#replica.uniform(0, this.#replica.options.heartbeatMs));
  }

  /** True: it has won already, being alone. */
  begin(now: Mono): boolean {
    this.#leaderHeardAt = undefined;
    // PLANTED BUG no-pre-vote: an epoch is raised without asking whether there is a majority to be had.
    if (this.#replica.options.planted.has('no-pre-vote')) return this.stand(now, false);
    this.#enter('prospective', now);
    if (this.#hasMajority()) return this.stand(now, false);
    this.#request(true, false);
    return false;
  }

  /** `transfer`: the leader has asked for it (thesis §3.10). True: it has won already. */
  stand(now: Mono, transfer: boolean): boolean {
    this.#leaderHeardAt = undefined;
    this.#enter('candidate', now);
    this.#replica.enterEpoch(this.#replica.epoch + 1, this.#replica.key);
    this.#request(false, transfer);
    return this.isElected();
  }

  /** Its own vote counts once it is on disk, as any other: nobody has been asked before that. */
  isElected(): boolean {
    return this.#stage === 'candidate' && this.#replica.outbox.isHardStateSaved && this.#hasMajority();
  }

  /** 'stand', 'lead': what follows from it. */
  answered(response: VoteResponse, now: Mono): 'stand' | 'lead' | undefined {
    const { epoch, options } = this.#replica;
    if (response.pre) {
      if (this.#stage !== 'prospective') return undefined;
      if (!response.granted) {
        // Perhaps by one that has not seen the leader's end yet, and will in a moment: to be asked again, and to go first if it likes.
        this.#isRefused = true;
        this.#deadline = Math.min(this.#deadline, now + this.#replica.uniform(1, 2) * options.heartbeatMs);
        return undefined;
      }
      if (response.epoch !== epoch + 1) return undefined;
      this.#note(response.voter);
      return this.#hasMajority() ? 'stand' : undefined;
    }
    if (this.#stage !== 'candidate' || response.epoch !== epoch) return undefined;
    if (!response.granted) {
      // Someone else stands in this epoch. If he does not win soon, nobody will: no need to wait for a whole timeout.
      this.#deadline = Math.min(this.#deadline, now + this.#replica.uniform(2, 4) * options.heartbeatMs);
      return undefined;
    }
    this.#note(response.voter);
    return this.isElected() ? 'lead' : undefined;
  }

  /** Whether this disk may answer at all: not for the voter that the node was before it was wiped, and not empty. */
  isAddressed(request: VoteRequest): boolean {
    // PLANTED BUG vote-after-wipe: whoever has the node's id answers, whatever his disk has forgotten.
    if (this.#replica.options.planted.has('vote-after-wipe')) return true;
    return this.#replica.isSelf(request.voter) && !this.#replica.isEmpty;
  }

  /** Whether whoever has heard of a leader lately lets that leader be disturbed by this (thesis §4.2.3). */
  yieldsTo(request: VoteRequest, isLeading: boolean, now: Mono): boolean {
    if (request.transfer) return true;
    const { electionTimeoutMs } = this.#replica.options;
    const hasLease = this.#leaderHeardAt !== undefined && now - this.#leaderHeardAt < electionTimeoutMs;
    return !isLeading && !hasLease;
  }

  /** Nothing is promised; but it stands back a little, for whoever goes first to win. */
  preVote(request: VoteRequest, now: Mono): boolean {
    const { epoch, log } = this.#replica;
    const couldVote = request.epoch > epoch || (request.epoch === epoch && this.#mayVoteFor(request.candidate));
    if (!couldVote || !log.isWithin({ index: request.lastIndex, epoch: request.lastEpoch })) return false;
    const { heartbeatMs } = this.#replica.options;
    const isFirst = this.#replica.self.id < request.candidate.id && log.lastIndex === request.lastIndex;
    const goesFirst = isFirst && !this.#isRefused && now - this.#stageSince < heartbeatMs;
    if (this.#stage === 'prospective' && goesFirst) return false;
    if (this.#stage === 'prospective') this.#stage = 'follower';
    this.#deadline = Math.max(this.#deadline, now + this.#replica.uniform(2, 4) * heartbeatMs);
    return true;
  }

  /** In the request's epoch, which this replica is in. */
  vote(request: VoteRequest, now: Mono): boolean {
    const { log } = this.#replica;
    if (this.#stage === 'candidate' || !this.#mayVoteFor(request.candidate)) return false;
    if (!log.isWithin({ index: request.lastIndex, epoch: request.lastEpoch })) return false;
    this.#replica.vote(request.candidate);
    this.#stage = 'follower';
    this.#deadline = this.#drawDeadline(now);
    return true;
  }

  #mayVoteFor(candidate: ReplicaKey): boolean {
    const { votedFor } = this.#replica;
    return votedFor === null || isSameReplica(votedFor, candidate);
  }

  #enter(stage: 'prospective' | 'candidate', now: Mono): void {
    this.#stage = stage;
    this.#stageSince = now;
    this.#granted = [];
    this.#isRefused = false;
    this.#deadline = this.#drawDeadline(now);
  }

  #request(pre: boolean, transfer: boolean): void {
    const { epoch, key, log, membership, outbox } = this.#replica;
    for (const voter of membership.voters) {
      if (this.#replica.isSelf(voter)) continue;
      outbox.send(voter, {
        kind: 'voteRequest',
        epoch: pre ? epoch + 1 : epoch,
        pre,
        candidate: key,
        voter: { id: voter.id, directoryId: voter.directoryId },
        lastIndex: log.lastIndex,
        lastEpoch: log.lastEpoch,
        transfer,
      });
    }
  }

  #note(voter: ReplicaKey): void {
    if (!this.#granted.some((other) => isSameReplica(other, voter))) this.#granted.push(voter);
  }

  #hasMajority(): boolean {
    const { isVoter, membership } = this.#replica;
    const others = this.#granted.filter((voter) => membership.has(voter)).length;
    return membership.isMajority(others + (isVoter ? 1 : 0));
  }

  #drawDeadline(now: Mono): Mono {
    return now + this.#replica.uniform(1, 2) * this.#replica.options.electionTimeoutMs;
  }
}
