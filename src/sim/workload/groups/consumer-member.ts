import { ErrorCode } from '#model/errors';
import { type Uuid, ZERO_UUID } from '#model/ids';
import { newUuid } from '#model/uuids';
import { between } from '../../ports/sim-random.ts';
import { CONSUMER_GROUP_HEARTBEAT } from './group-calls.ts';
import type { Member, Membership } from './member.ts';

/** Of these groups, as `simulated` nodes are configured. */
export const CONSUMER_SESSION_TIMEOUT_MS = 6000;
const REBALANCE_TIMEOUT_MS = 4000;
const JOINING = 0;
const LEAVING = -1;

/** A member of a group by KIP-848: what it is given and what it gives back goes by heartbeats, whose answers may be lost. */
export class ConsumerMember {
  readonly #member: Member;
  readonly #memberId: string;
  #epoch = JOINING;
  #topicId: Uuid = ZERO_UUID;
  /** The next heartbeat says everything: it joins, or an answer was lost. */
  #isFull = true;
  #idle: Promise<void> = Promise.resolve();

  constructor(member: Member) {
    this.#member = member;
    this.#memberId = newUuid(member.random);
  }

  /** The partitions that it believes to own. */
  get owned(): Iterable<number> {
    return this.#member.positions.keys();
  }

  start(fail: (error: Error) => void): void {
    this.#idle = this.#work().catch(fail);
  }

  async stop(): Promise<void> {
    this.#member.stopped = true;
    await this.#idle;
    this.#member.close();
  }

  async #work(): Promise<void> {
    const member = this.#member;
    while (!member.stopped) {
      await member.pause(between(member.random, 100, 500));
      if (!member.topic.exists) continue;
      await this.#heartbeat();
      if (this.#epoch > JOINING && (await member.commit(this.#membership)) === 'over') this.#isFull = true;
      if (member.chance(40)) await this.#leave();
      // It goes on as if nothing had happened.
      if (member.chance(40)) await member.pause(CONSUMER_SESSION_TIMEOUT_MS + between(member.random, 0, 4000));
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
      member.workload.sometimes('member fenced');
      return this.#beginAnew();
    }
    this.#isFull = response === undefined || member.verdict(errorCode) !== 'done';
    if (response === undefined || this.#isFull) return;
    if (response.memberEpoch !== this.#epoch) member.say(`is in epoch ${response.memberEpoch} of ${member.group}`);
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
    for (const partition of [...this.owned]) if (!target.includes(partition)) member.positions.delete(partition);
    const added = target.filter((partition) => !member.positions.has(partition));
    this.#isFull = true;
    if (!(await member.takeOver(added, this.#membership)))
      for (const partition of added) member.positions.delete(partition);
  }

  async #leave(): Promise<void> {
    const { group } = this.#member;
    const request = { groupId: group, memberId: this.#memberId, memberEpoch: LEAVING };
    await this.#member.ask(CONSUMER_GROUP_HEARTBEAT, request);
    this.#beginAnew();
  }

  #beginAnew(): void {
    this.#member.positions.clear();
    this.#epoch = JOINING;
    this.#isFull = true;
  }
}
