import { assert } from '#base/assert';
import type { Mono, Random } from '#base/ports';
import type { NodeId, Uuid } from '#model/ids';
import { isSameReplica, type ReplicaKey, type Voter } from '#model/voter';
import type { FirstQuorumMessage, Introduction, PeerAddress, RaftEntry } from './messages.ts';

/** The cluster that a disk belongs to. */
export interface ClusterMembership {
  readonly clusterId: Uuid;
  /** The log's first entry, while it is there: undefined once a snapshot has taken its place. */
  readonly bootstrap: RaftEntry | undefined;
}

export interface FirstQuorumOptions {
  /** Its directory id must be on disk before this begins: what it says of itself is believed for ever. */
  readonly self: Voter;
  /** As configured, this node included if it is one of them; with itself alone it founds a cluster at once. */
  readonly voters: readonly PeerAddress[];
  readonly random: Random;
  /** An empty node introduces itself to the voters so often, or up to half more. */
  readonly introductionMs: number;
  /** What a bootstrap entry says; undefined for anything else. */
  readonly bootstrapIn: (
    payload: Uint8Array,
  ) => { readonly clusterId: Uuid; readonly voters: readonly Voter[] } | undefined;
  /** As the disk says; undefined: there is no entry on it, and no snapshot. */
  readonly member: ClusterMembership | undefined;
}

export interface FirstQuorumOutput {
  readonly messages: readonly { readonly to: PeerAddress; readonly message: FirstQuorumMessage }[];
  /** Make the bootstrap record of a new cluster with these voters, hand it to `Raft.bootstrap`, and call `joined` when it is on disk. */
  readonly propose: readonly Voter[] | undefined;
  /** Hand it to `Raft.bootstrap`, and call `joined` when it is on disk. */
  readonly accept: RaftEntry | undefined;
  /** A sentence for the log, if it has changed: what it waits for, or what is wrong. */
  readonly notice: string | undefined;
}

/**
 * 'waiting': for the other voters. 'founding': the first entry is on its way to the disk. 'member': the disk belongs to a cluster.
 * 'observer': it is no voter of the list, or met a cluster that is there already: it joins by Raft's JoinRequest.
 */
export type FirstQuorumStage = 'waiting' | 'founding' | 'member' | 'observer';

/**
 * How empty nodes become the first quorum without a format step. Each tells all others that its disk is empty; only when every voter
 * of the list has said so does the one with the lowest id found the cluster, by an entry that names their disks. A disk that was
 * wiped comes back under another directory id: it is named nowhere, and so never makes up a majority.
 */
export class FirstQuorum {
  readonly #options: FirstQuorumOptions;
  readonly #key: ReplicaKey;
  /** The last that each other voter of the list has said of itself; it counts if it was said to this very disk. */
  readonly #heard = new Map<NodeId, Introduction>();
  #stage: FirstQuorumStage;
  #member: ClusterMembership | undefined;
  #deadline: Mono;
  #messages: { readonly to: PeerAddress; readonly message: FirstQuorumMessage }[] = [];
  #propose: readonly Voter[] | undefined;
  #accept: RaftEntry | undefined;
  #notice: string | undefined;
  #lastNotice: string | undefined;

  constructor(options: FirstQuorumOptions, now: Mono) {
    const { member, self, voters } = options;
    this.#options = options;
    this.#key = { id: self.id, directoryId: self.directoryId };
    this.#member = member;
    this.#deadline = Number.POSITIVE_INFINITY;
    const isListed = voters.some(({ id }) => id === self.id);
    this.#stage = member !== undefined ? 'member' : isListed ? 'waiting' : 'observer';
    if (this.#stage !== 'waiting') return;
    this.#introduce(now);
    this.#consider();
  }

  get stage(): FirstQuorumStage {
    return this.#stage;
  }

  /** When `tick` is to be called next; infinite when nothing is due any more. */
  get deadline(): Mono {
    return this.#deadline;
  }

  tick(now: Mono): void {
    if (now < this.#deadline) return;
    this.#introduce(now);
    this.#consider();
  }

  /** A connection to the node stands, by which it can be told at once. */
  connected(id: NodeId): void {
    const peer = this.#others().find((voter) => voter.id === id);
    if (peer !== undefined && this.#isOpen()) this.#tell(peer, this.#heard.get(id)?.key);
  }

  received(message: FirstQuorumMessage, from: PeerAddress): void {
    if (message.kind === 'bootstrap') this.#offered(message.entry, from);
    else this.#introduced(message, from);
  }

  /** The log's first entry is on disk, or a snapshot, however it came there. Whoever is named in it is told. */
  joined(member: ClusterMembership): void {
    this.#member = member;
    this.#stage = 'member';
    this.#deadline = Number.POSITIVE_INFINITY;
    for (const introduction of this.#heard.values()) {
      const to = this.#others().find(({ id }) => id === introduction.key.id);
      if (to !== undefined) this.#answer(introduction, to);
    }
    this.#heard.clear();
  }

  /** The first entry found no room on the disk, so that nobody was told of it: it waits, and tries again. */
  dropped(now: Mono): void {
    if (this.#stage !== 'founding') return;
    this.#stage = 'waiting';
    this.#deadline = now + this.#options.introductionMs;
  }

  takeOutput(): FirstQuorumOutput {
    const output = {
      messages: this.#messages,
      propose: this.#propose,
      accept: this.#accept,
      notice: this.#notice,
    };
    this.#messages = [];
    this.#propose = undefined;
    this.#accept = undefined;
    this.#notice = undefined;
    return output;
  }

  /** Whether it is empty and may still take a part in the first quorum. */
  #isOpen(): boolean {
    return this.#stage === 'waiting' || (this.#stage === 'observer' && this.#isListed());
  }

  #isListed(): boolean {
    return this.#options.voters.some(({ id }) => id === this.#key.id);
  }

  #others(): readonly PeerAddress[] {
    return this.#options.voters.filter(({ id }) => id !== this.#key.id);
  }

  #tell(to: PeerAddress, receiver: ReplicaKey | undefined): void {
    const { voters } = this.#options;
    const state = this.#member === undefined ? 'empty' : 'member';
    const clusterId = this.#member?.clusterId;
    this.#messages.push({
      to,
      message: { kind: 'introduction', key: this.#key, to: receiver, voters, state, clusterId },
    });
  }

  /** To the addresses of the list only: whoever else claims an id of the list learns nothing by which he could found a cluster. */
  #introduce(now: Mono): void {
    const { introductionMs, random } = this.#options;
    this.#deadline = this.#isOpen() ? now + introductionMs * (1 + random.uint32() / 2 ** 33) : Number.POSITIVE_INFINITY;
    if (!this.#isOpen()) return;
    for (const to of this.#others()) this.#tell(to, this.#heard.get(to.id)?.key);
  }

  #introduced(introduction: Introduction, from: PeerAddress): void {
    if (this.#stage === 'member') return this.#answer(introduction, from);
    const { id } = introduction.key;
    if (id === this.#key.id) return this.#say(`node ${nameOf(from)} claims the id of this node: each needs its own`);
    if (!this.#isOpen()) return;
    // It shall see that the lists differ; with them it founds nothing.
    if (!this.#others().some((voter) => voter.id === id)) return this.#tell(from, introduction.key);
    const isNews = !this.#isSaidToThisDisk(this.#heard.get(id));
    this.#heard.set(id, introduction);
    // It learns this disk's name, or that its own has been heard.
    if (isNews || !this.#isSaidToThisDisk(introduction)) this.connected(id);
    this.#consider();
  }

  /** To an empty disk: the first entry, if that names it; else that there is a cluster. */
  #answer({ key, state }: Introduction, to: PeerAddress): void {
    if (state === 'member') return;
    const { bootstrap } = this.#member ?? {};
    const named = bootstrap === undefined ? undefined : this.#options.bootstrapIn(bootstrap.payload);
    const isNamed = named?.voters.some((voter) => isSameReplica(voter, key)) ?? false;
    if (bootstrap !== undefined && isNamed)
      this.#messages.push({ to, message: { kind: 'bootstrap', entry: bootstrap } });
    else this.#tell(to, key);
  }

  #offered(entry: RaftEntry, from: PeerAddress): void {
    if (!this.#isOpen()) return;
    const bootstrap = this.#options.bootstrapIn(entry.payload);
    const isFirst = entry.index === 1 && entry.epoch === 0;
    if (!isFirst || bootstrap === undefined || !bootstrap.voters.some((voter) => isSameReplica(voter, this.#key))) {
      return this.#say(`refuses the cluster that node ${nameOf(from)} founded: it does not name this disk`);
    }
    this.#accept = entry;
    this.#stage = 'founding';
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#say(`is a voter of the new cluster ${bootstrap.clusterId}, as voter ${nameOf(from)} says`);
  }

  /** What follows from all that was said so far. */
  #consider(): void {
    // Once it has met a cluster, it founds none, whatever becomes of that one.
    if (this.#stage === 'observer') return;
    const others = this.#others();
    const said = others.map((voter) => ({ voter, introduction: this.#heard.get(voter.id) }));
    const member = said.find(({ introduction }) => introduction?.state === 'member');
    if (member !== undefined) {
      this.#stage = 'observer';
      const cluster = member.introduction?.clusterId ?? 'unknown';
      return this.#say(
        `voter ${nameOf(member.voter)} belongs to the cluster ${cluster}, of which this empty disk is no voter yet: ` +
          'it joins as an observer, and does not vote before the leader has made it a voter',
      );
    }
    const strange = said.find(
      ({ introduction }) => introduction !== undefined && !this.#isSameList(introduction.voters),
    );
    if (strange?.introduction !== undefined) {
      return this.#say(
        `voter ${nameOf(strange.voter)} was given the voters ${listOf(strange.introduction.voters)}, this node ` +
          `${listOf(this.#options.voters)}: no cluster is made before the lists are the same`,
      );
    }
    const silent = said.filter(({ introduction }) => !this.#isSaidToThisDisk(introduction));
    const missing = silent.map(({ voter }) => nameOf(voter));
    if (missing.length > 0) {
      const disks = missing.length === 1 ? 'its disk' : 'their disks';
      return this.#say(
        `waits for voter ${missing.join(', ')}: ${disks} must be seen empty before a new cluster is made`,
      );
    }
    const founder = Math.min(...this.#options.voters.map(({ id }) => id));
    if (founder !== this.#key.id) {
      return this.#say(`waits for voter ${founder}, the lowest id, to found the cluster: all disks are empty`);
    }
    this.#propose = this.#options.voters.map((voter) => ({ ...voter, directoryId: this.#directoryOf(voter.id) }));
    this.#stage = 'founding';
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#say('founds a new cluster: the disks of all voters are empty');
  }

  /** What was said before this disk came to be may be of a time before a cluster that an earlier disk of this node founded. */
  #isSaidToThisDisk(introduction: Introduction | undefined): boolean {
    return introduction?.to !== undefined && isSameReplica(introduction.to, this.#key);
  }

  #directoryOf(id: NodeId): Uuid {
    const directoryId = id === this.#key.id ? this.#key.directoryId : this.#heard.get(id)?.key.directoryId;
    assert(directoryId !== undefined, `voter ${id} has not introduced itself`);
    return directoryId;
  }

  #isSameList(voters: readonly PeerAddress[]): boolean {
    return listOf(voters) === listOf(this.#options.voters);
  }

  #say(notice: string): void {
    if (notice === this.#lastNotice) return;
    this.#notice = notice;
    this.#lastNotice = notice;
  }
}

function nameOf({ id, host, port }: PeerAddress): string {
  return `${id} (${host}:${port})`;
}

function listOf(voters: readonly PeerAddress[]): string {
  if (voters.length === 0) return 'none';
  const sorted = [...voters].sort((a, b) => a.id - b.id);
  return sorted.map(({ id, host, port }) => `${id}@${host}:${port}`).join(',');
}
