import { ErrorCode } from '#model/errors';
import { type Uuid, ZERO_UUID } from '#model/ids';
import { newUuid } from '#model/uuids';
import { between } from '../../ports/sim-random.ts';
import type { Client } from '../client.ts';
import { CONSUMER_GROUP_HEARTBEAT } from './group-calls.ts';
import type { Member, Membership } from './member.ts';

/** Of these groups, as `simulated` nodes are configured. */
export const CONSUMER_SESSION_TIMEOUT_MS = 6000;
const REBALANCE_TIMEOUT_MS = 4000;
const JOINING = 0;
const LEAVING = -1;

/** A member of a group by KIP-848: what it is given and what it gives back goes by heartbeats, whose answers may be lost. */
export class ConsumerMember {
  readonly client: Client;
  readonly #member: Member;
  readonly #memberId: string;
  #epoch = JOINING;
  #topicId: Uuid = ZERO_UUID;
  /** The next heartbeat says everything: it joins, or an answer was lost. */
  #isFull = true;

  constructor(member: Member) {
    this.client = member.client;
    this.#member = member;
    this.#memberId = newUuid(member.client.random);
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
      await this.#heartbeat();
      if (this.#epoch > JOINING && (await member.commit(this.#membership)) === 'over') this.#isFull = true;
      if (member.chance(40)) await this.#leave();
      // It goes on as if nothing had happened.
      if (member.chance(40))
        await this.client.pause(CONSUMER_SESSION_TIMEOUT_MS + between(this.client.random, 0, 4000));
    }
  }

  get #membership(): Membership {
    return { memberId: this.#memberId, generation: this.#epoch, protocol: 'consumer' };
  }

  async #heartbeat(): Promise<void> {
    const member = this.#member;
    const owned = [...this.owned];
    const topicPartitions = owned.length === 0 ? [] : [{ topicId: this.#topicId, partitions: owned }];
    const everything = {
      rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
      subscribedTopicNames: [member.topic.name],
      topicPartitions,
    };
    const response = await member.ask(CONSUMER_GROUP_HEARTBEAT, {
      groupId: member.group,
      memberId: this.#memberId,
      memberEpoch: this.#epoch,
      ...(this.#isFull ? everything : {}),
    });
    const errorCode = response?.errorCode;
    if (errorCode === ErrorCode.FencedMemberEpoch || errorCode === ErrorCode.UnknownMemberId) {
      this.client.workload.sometimes('member fenced');
      return this.#beginAnew();
    }
    this.#isFull = response === undefined || member.verdict(errorCode) !== 'done';
    if (response === undefined || this.#isFull) return;
    if (response.memberEpoch !== this.#epoch) this.client.say(`is in epoch ${response.memberEpoch} of ${member.group}`);
    this.#epoch = response.memberEpoch;
    if (response.assignment !== null) await this.#reconcile(response.assignment.topicPartitions);
  }

  /** Gives back what is not its own any more, and takes over what is new; both are told with the next heartbeat. */
  async #reconcile(
    assigned: readonly { readonly topicId: Uuid; readonly partitions: readonly number[] }[],
  ): Promise<void> {
    const member = this.#member;
    const target = assigned.flatMap(({ partitions }) => partitions);
    this.#topicId = assigned[0]?.topicId ?? this.#topicId;
    member.giveUp(
      [...this.owned].filter((partition) => !target.includes(partition)),
      this.#epoch,
    );
    const added = target.filter((partition) => !member.positions.has(partition));
    this.#isFull = true;
    if (added.length > 0) await member.takeOver(added, this.#membership);
  }

  async #leave(): Promise<void> {
    const { group } = this.#member;
    const request = { groupId: group, memberId: this.#memberId, memberEpoch: LEAVING };
    await this.#member.ask(CONSUMER_GROUP_HEARTBEAT, request);
    this.#beginAnew();
  }

  #beginAnew(): void {
    this.#member.giveUp([...this.owned], this.#epoch);
    this.#epoch = JOINING;
    this.#isFull = true;
  }
}
