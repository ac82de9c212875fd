import { ErrorCode } from '#model/errors';
import { between } from '../../ports/sim-random.ts';
import type { Client } from '../client.ts';
import { HEARTBEAT, JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP } from './group-calls.ts';
import type { Member, Membership } from './member.ts';

const SESSION_TIMEOUT_MS = 6000;
const REBALANCE_TIMEOUT_MS = 3000;
const PROTOCOL = { protocolType: 'simulated', protocolName: 'in-turn' } as const;

/** A member of a classic group: joins, is given partitions by the group's leader, commits, leaves, falls asleep. */
export class ClassicMember {
  readonly client: Client;
  readonly #member: Member;
  #memberId = '';

  constructor(member: Member) {
    this.client = member.client;
    this.#member = member;
  }

  /** See Member. */
  get committedAt(): number {
    return this.#member.committedAt;
  }

  /** The partitions that it believes to own. */
  get owned(): Iterable<number> {
    return this.#member.positions.keys();
  }

  async work(): Promise<void> {
    const member = this.#member;
    member.subscribe();
    while (!this.client.isStopped) {
      await this.client.pause(between(this.client.random, 100, 500));
      if (!member.topic.exists) continue;
      const generation = await this.#join();
      if (generation === undefined) continue;
      this.client.say(`is ${this.#memberId} in generation ${generation}, with ${[...this.owned].join() || 'nothing'}`);
      await this.#belong({ memberId: this.#memberId, generation, protocol: 'classic' });
    }
  }

  /** Until another generation is due, or it is no member any more. */
  async #belong(membership: Membership): Promise<void> {
    const member = this.#member;
    const identity = { groupId: member.group, memberId: membership.memberId, generationId: membership.generation };
    while (!this.client.isStopped) {
      await this.client.pause(between(this.client.random, 200, 600));
      const response = await member.ask(HEARTBEAT, identity);
      const errorCode = response?.errorCode;
      if (errorCode === ErrorCode.RebalanceInProgress) {
        await member.commit(membership);
        break;
      }
      if (member.verdict(errorCode) === 'over') {
        if (errorCode !== ErrorCode.IllegalGeneration) this.#memberId = '';
        break;
      }
      const verdict = await member.commit(membership);
      if (verdict === 'over') break;
      if (member.chance(40)) {
        const leaving = { groupId: member.group, members: [{ memberId: this.#memberId }] };
        await member.ask(LEAVE_GROUP, leaving);
        this.#memberId = '';
        break;
      }
      // It goes on as if nothing had happened.
      if (member.chance(40)) await this.client.pause(SESSION_TIMEOUT_MS + between(this.client.random, 0, 4000));
    }
    member.giveUp([...this.owned], membership.generation);
  }

  /** The generation that it is a member of, with its partitions taken over. */
  async #join(): Promise<number | undefined> {
    const member = this.#member;
    const { protocolType, protocolName } = PROTOCOL;
    const request = {
      groupId: member.group,
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
      rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
      memberId: this.#memberId,
      protocolType,
      protocols: [{ name: protocolName, metadata: Buffer.from(this.client.name) }],
    };
    const joined = await member.ask(JOIN_GROUP, request, 2 * REBALANCE_TIMEOUT_MS);
    if (joined?.errorCode === ErrorCode.MemberIdRequired) this.#memberId = joined.memberId;
    if (joined?.errorCode === ErrorCode.UnknownMemberId) this.#memberId = '';
    if (member.verdict(joined?.errorCode) !== 'done' || joined === undefined) return undefined;
    const { generationId, memberId, leader, members } = joined;
    this.#memberId = memberId;
    const assignments = leader === memberId ? this.#share(members.map((one) => one.memberId)) : [];
    const identity = { groupId: member.group, generationId, memberId, protocolType, protocolName };
    const synced = await member.ask(SYNC_GROUP, { ...identity, assignments }, 2 * REBALANCE_TIMEOUT_MS);
    if (member.verdict(synced?.errorCode) !== 'done' || synced === undefined) return undefined;
    const partitions = [...synced.assignment];
    const membership = { memberId, generation: generationId, protocol: 'classic' } as const;
    return (await member.takeOver(partitions, membership)) ? generationId : undefined;
  }

  /** One byte for each partition. */
  #share(memberIds: readonly string[]): { memberId: string; assignment: Uint8Array }[] {
    const partitions = Array.from({ length: this.#member.topic.partitionCount }, (_, partition) => partition);
    return memberIds.map((memberId, place) => {
      const own = partitions.filter((partition) => partition % memberIds.length === place);
      return { memberId, assignment: Uint8Array.from(own) };
    });
  }
}
