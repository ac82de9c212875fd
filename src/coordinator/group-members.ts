import { assert } from '#base/assert';
import type { Mono } from '#base/ports';
import { copyOf } from './bytes.ts';
import type { RequestToken } from './effects.ts';
import type { MemberProtocol } from './group-commands.ts';

export interface Member {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  rebalanceTimeoutMs: number;
  sessionTimeoutMs: number;
  /** In the member's order of preference, names unique; owned. */
  protocols: readonly MemberProtocol[];
  /** Owned. */
  assignment: Uint8Array;
  /** A parked JoinGroup. */
  readonly awaitingJoin: RequestToken | undefined;
  /** A parked SyncGroup. */
  awaitingSync: RequestToken | undefined;
  /** Its first JoinGroup has not been answered. */
  isNew: boolean;
  /** When its session ends; Infinity while a rebalance keeps it waiting. */
  sessionEndsAt: Mono;
}

/** The members of one classic group with the indexes that its rules need. Their number is bounded by group.max.size. */
export class GroupMembers {
  /** Member ids handed out that have not joined yet, and when each lapses; bounded by PENDING_MEMBERS_MAX. */
  readonly pendingJoin = new Map<string, Mono>();
  /** Members of this generation that have not asked for their assignment yet. */
  readonly pendingSync = new Set<string>();
  readonly #members = new Map<string, Member>();
  readonly #byInstance = new Map<string, Member>();
  /** How many members support each protocol. */
  readonly #supporters = new Map<string, number>();
  #awaitingJoinCount = 0;
  #leaderId: string | null = null;

  get size(): number {
    return this.#members.size;
  }

  get awaitingJoinCount(): number {
    return this.#awaitingJoinCount;
  }

  get leaderId(): string | null {
    return this.#leaderId;
  }

  /** Every member, and nobody is still expected. */
  get allJoined(): boolean {
    return this.#awaitingJoinCount === this.#members.size && this.pendingJoin.size === 0;
  }

  /** The longest of the members'. */
  get rebalanceTimeoutMs(): number {
    let longest = 0;
    for (const member of this.#members.values()) longest = Math.max(longest, member.rebalanceTimeoutMs);
    return longest;
  }

  get(memberId: string): Member | undefined {
    return this.#members.get(memberId);
  }

  byInstance(groupInstanceId: string): Member | undefined {
    return this.#byInstance.get(groupInstanceId);
  }

  /** In order of arrival; members may be removed while this runs. */
  all(): IterableIterator<Member> {
    return this.#members.values();
  }

  /** The first member of a group without a leader becomes it. */
  add(member: Member): void {
    assert(!this.#members.has(member.memberId), `member ${member.memberId} is there already`);
    if (member.groupInstanceId !== null) {
      assert(!this.#byInstance.has(member.groupInstanceId), `instance ${member.groupInstanceId} is there already`);
      this.#byInstance.set(member.groupInstanceId, member);
    }
    this.#members.set(member.memberId, member);
    this.#count(member.protocols, 1);
    if (member.awaitingJoin !== undefined) this.#awaitingJoinCount += 1;
    this.pendingJoin.delete(member.memberId);
    this.#leaderId ??= member.memberId;
  }

  /** Nothing may be parked for it. If it led, the member that has been here longest leads. */
  remove(member: Member): void {
    assert(member.awaitingJoin === undefined && member.awaitingSync === undefined, 'removed while a request is parked');
    if (!this.#members.delete(member.memberId)) return;
    if (member.groupInstanceId !== null) this.#byInstance.delete(member.groupInstanceId);
    this.#count(member.protocols, -1);
    this.pendingSync.delete(member.memberId);
    if (this.#leaderId === member.memberId) this.#leaderId = this.#members.keys().next().value ?? null;
  }

  setProtocols(member: Member, protocols: readonly MemberProtocol[]): void {
    this.#count(member.protocols, -1);
    member.protocols = protocols;
    this.#count(protocols, 1);
  }

  /** Parks a JoinGroup, or with undefined takes the parked one; gives the one that was parked before. */
  setAwaitingJoin(member: Member, token: RequestToken | undefined): RequestToken | undefined {
    const before = member.awaitingJoin;
    (member as { awaitingJoin: RequestToken | undefined }).awaitingJoin = token;
    this.#awaitingJoinCount += (token === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
    return before;
  }

  /** The same static member in a new process; nothing may be parked for the old one. */
  replaceStatic(old: Member, identity: Pick<Member, 'memberId' | 'clientId' | 'clientHost'>): Member {
    const { memberId, clientId, clientHost } = identity;
    const member: Member = { ...old, memberId, clientId, clientHost, isNew: false };
    const led = this.#leaderId === old.memberId;
    const syncPending = this.pendingSync.has(old.memberId);
    this.remove(old);
    this.add(member);
    if (led) this.#leaderId = memberId;
    if (syncPending) this.pendingSync.add(memberId);
    return member;
  }

  /** Gives the lead to a member that has joined, if the leader has not; false if nobody has. */
  electJoinedLeader(): boolean {
    if (this.#leaderId === null) return false;
    if (this.#members.get(this.#leaderId)?.awaitingJoin !== undefined) return true;
    for (const member of this.#members.values()) {
      if (member.awaitingJoin === undefined) continue;
      this.#leaderId = member.memberId;
      return true;
    }
    return false;
  }

  /** As the log says. */
  restoreLeader(leaderId: string | null): void {
    this.#leaderId = leaderId;
  }

  /** Whether every member supports one of these. */
  supportAny(protocols: readonly MemberProtocol[]): boolean {
    return protocols.some(({ name }) => this.#supportedByAll(name));
  }

  /** Every member votes for the protocol it prefers among those that all support; the most votes win. */
  selectProtocol(): string {
    const votes = new Map<string, number>();
    for (const { protocols } of this.#members.values()) {
      const vote = protocols.find(({ name }) => this.#supportedByAll(name));
      assert(vote !== undefined, 'the members have no protocol in common');
      votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1);
    }
    let selected: string | undefined;
    let most = 0;
    for (const [name, count] of votes) {
      if (count <= most) continue;
      selected = name;
      most = count;
    }
    assert(selected !== undefined, 'a group without members selects no protocol');
    return selected;
  }

  #supportedByAll(name: string): boolean {
    return (this.#supporters.get(name) ?? 0) === this.#members.size;
  }

  #count(protocols: readonly MemberProtocol[], change: 1 | -1): void {
    for (const { name } of protocols) {
      const count = (this.#supporters.get(name) ?? 0) + change;
      if (count === 0) this.#supporters.delete(name);
      else this.#supporters.set(name, count);
    }
  }
}

export function protocolMetadata(member: Member, protocolName: string): Uint8Array {
  const protocol = member.protocols.find(({ name }) => name === protocolName);
  assert(protocol !== undefined, `member ${member.memberId} does not know protocol ${protocolName}`);
  return protocol.metadata;
}

/** A copy that the group may keep; of two protocols of one name the first counts. */
export function ownedProtocols(protocols: readonly MemberProtocol[]): readonly MemberProtocol[] {
  const owned = new Map<string, MemberProtocol>();
  for (const { name, metadata } of protocols)
    if (!owned.has(name)) owned.set(name, { name, metadata: copyOf(metadata) });
  return [...owned.values()];
}

export function sameProtocols(a: readonly MemberProtocol[], b: readonly MemberProtocol[]): boolean {
  return (
    a.length === b.length &&
    a.every((protocol, index) => {
      const other = b[index];
      return (
        other !== undefined && protocol.name === other.name && Buffer.compare(protocol.metadata, other.metadata) === 0
      );
    })
  );
}
