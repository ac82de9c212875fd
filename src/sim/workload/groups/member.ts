import type { Key } from '#history/format';
import { ErrorCode, errorName } from '#model/errors';
import type { Call } from '#protocol/calls';
import { between } from '../../ports/sim-random.ts';
import type { Client } from '../client.ts';
import { committedPart, type HistoryClient } from '../client-history.ts';
import type { DataTopic } from '../data-topics.ts';
import type { Answer } from '../kafka-client.ts';
import { Coordinators } from '../transactions/coordinators.ts';
import { OFFSET_COMMIT, OFFSET_FETCH } from './group-calls.ts';
import type { GroupModel } from './group-model.ts';

const REQUEST_TIMEOUT_MS = 1500;

/** Whose commits and fetches: a generation and member of the classic protocol, or an epoch and member of KIP-848's. */
export interface Membership {
  readonly memberId: string;
  readonly generation: number;
  readonly protocol: 'classic' | 'consumer';
}

/** Errors with which nothing was committed: the member is none, or not in that generation. */
const NOT_COMMITTED: ReadonlySet<number> = new Set([
  ErrorCode.IllegalGeneration,
  ErrorCode.UnknownMemberId,
  ErrorCode.RebalanceInProgress,
  ErrorCode.FencedMemberEpoch,
  ErrorCode.StaleMemberEpoch,
]);

/** 'again': asked again, it may be done. 'over': the member is none any more, or not in that generation. */
export type Verdict = 'done' | 'again' | 'over';

/** What members of both protocols have in common: how they find their coordinator, and what they commit. */
export class Member {
  readonly client: Client;
  /** Named after its protocol. */
  readonly group: Membership['protocol'];
  readonly topic: DataTopic;
  /** Where it has got to, in each partition that it owns. */
  readonly positions = new Map<number, number>();
  /** When the last of its commits was sent that was acknowledged; −1 before. */
  committedAt = -1;
  readonly #model: GroupModel;
  readonly #coordinators: Coordinators;
  readonly #history: HistoryClient;

  constructor(client: Client, group: Membership['protocol'], topic: DataTopic, model: GroupModel) {
    this.client = client;
    this.group = group;
    this.topic = topic;
    this.#model = model;
    this.#coordinators = new Coordinators(client);
    this.#history = client.observed({ group, protocol: group });
  }

  subscribe(): void {
    this.#history.did('subscribe', [['subscribe', this.topic.name]]);
  }

  /** Asks the group's coordinator; undefined if it is not known, or gave no answer. */
  async ask<Q, R>(call: Call<Q, R>, request: Q, timeoutMs: number = REQUEST_TIMEOUT_MS): Promise<R | undefined> {
    return (await this.#ask(call, request, timeoutMs)).response;
  }

  async #ask<Q, R>(call: Call<Q, R>, request: Q, timeoutMs: number = REQUEST_TIMEOUT_MS): Promise<Answer<R>> {
    const node = await this.#coordinators.of('group', this.group);
    if (node === undefined) return { failure: 'refused' };
    const answer: Answer<R> = await this.client.ask(node, call, request, timeoutMs);
    if (answer.response === undefined) this.#coordinators.forget('group', this.group);
    return answer;
  }

  verdict(errorCode: number | undefined): Verdict {
    switch (errorCode) {
      case ErrorCode.None:
        return 'done';
      case undefined:
      case ErrorCode.NotCoordinator:
      case ErrorCode.CoordinatorNotAvailable:
        this.#coordinators.forget('group', this.group);
        return 'again';
      case ErrorCode.CoordinatorLoadInProgress:
      case ErrorCode.RequestTimedOut:
      case ErrorCode.UnstableOffsetCommit:
        return 'again';
      default:
        return 'over';
    }
  }

  /**
   * Takes over the partitions where their committed offsets say; false: it is no member any more, or has no patience left, and has none of
   * them.
   */
  async takeOver(partitions: readonly number[], membership: Membership): Promise<boolean> {
    const { generation } = membership;
    const assigned = Object.fromEntries(partitions.map((partition) => [this.#key(partition), null]));
    this.#history.rebalanced({ generation, assigned });
    if (await this.#findPositions(partitions, membership)) return true;
    this.giveUp(partitions, generation);
    return false;
  }

  /** They are not its own any more, as it has learned in that generation. */
  giveUp(partitions: Iterable<number>, generation: number): void {
    const revoked = [...partitions];
    for (const partition of revoked) this.positions.delete(partition);
    if (revoked.length > 0)
      this.#history.rebalanced({ generation, revoked: revoked.map((partition) => this.#key(partition)) });
  }

  #key(partition: number): Key {
    return `${this.topic.name}-${partition}`;
  }

  async #findPositions(
    partitions: readonly number[],
    { memberId, generation, protocol }: Membership,
  ): Promise<boolean> {
    for (const partition of partitions) {
      this.#model.owns(this.client.name, this.group, partition, generation);
      this.positions.delete(partition);
    }
    const missing = (): number[] => partitions.filter((partition) => !this.positions.has(partition));
    while (missing().length > 0) {
      if (this.client.isStopped) return false;
      const floors = missing().map((partition) => this.#model.floorOf(this.group, partition));
      const topics = [{ name: this.topic.name, partitionIndexes: missing() }];
      const member = protocol === 'consumer' ? { memberId, memberEpoch: generation } : {};
      const groups = [{ groupId: this.group, ...member, topics }];
      const asked = missing();
      this.#history.begin(
        'committed',
        asked.map((partition) => ['committed', this.#key(partition)]),
      );
      const response = await this.ask(OFFSET_FETCH, { groups, requireStable: true });
      const group = response?.groups[0];
      const answered = (group?.topics[0]?.partitions ?? []).filter(({ errorCode }) => errorCode === ErrorCode.None);
      if (answered.length === 0) this.#history.fail('not told');
      else
        this.#history.ok(
          answered.map(({ partitionIndex, committedOffset }) =>
            committedPart(this.#key(partitionIndex), committedOffset),
          ),
        );
      if (this.verdict(group?.errorCode) === 'over') return false;
      for (const { partitionIndex, committedOffset } of answered) {
        const floor = floors[asked.indexOf(partitionIndex)] ?? -1;
        this.#model.fetched(this.client.name, this.group, partitionIndex, committedOffset, floor);
        this.positions.set(partitionIndex, Math.max(0, committedOffset));
      }
      if (missing().length > 0) await this.client.pause(between(this.client.random, 20, 150));
    }
    return true;
  }

  /** Goes on in what it owns, and commits it. */
  async commit({ memberId, generation }: Membership): Promise<Verdict> {
    if (this.positions.size === 0) return 'done';
    for (const [partition, position] of this.positions)
      this.positions.set(partition, position + 1 + (this.client.random.uint32() % 5));
    const partitions = [...this.positions].map(([partitionIndex, committedOffset]) => {
      return { partitionIndex, committedOffset, committedMetadata: '' };
    });
    this.#history.begin(
      'commit',
      partitions.map(({ partitionIndex, committedOffset }) => ['commit', this.#key(partitionIndex), committedOffset]),
      generation,
    );
    const sentAt = this.client.ports.clock.now();
    const { response, failure } = await this.#ask(OFFSET_COMMIT, {
      groupId: this.group,
      memberId,
      generationIdOrMemberEpoch: generation,
      topics: [{ name: this.topic.name, partitions }],
    });
    if (failure === 'refused') this.#history.fail('not sent');
    else this.#tellCommit(response?.topics[0]?.partitions.map(({ errorCode }) => errorCode) ?? []);
    if (response === undefined) {
      for (const { partitionIndex, committedOffset } of partitions)
        this.#model.lost(this.client.name, this.group, partitionIndex, generation, committedOffset);
      return 'again';
    }
    let verdict: Verdict = 'done';
    for (const { partitionIndex, errorCode } of response.topics[0]?.partitions ?? []) {
      const { committedOffset = -1 } = partitions.find((sent) => sent.partitionIndex === partitionIndex) ?? {};
      const of = this.verdict(errorCode);
      if (of === 'done') {
        this.#model.committed(this.client.name, this.group, partitionIndex, generation, committedOffset);
        this.committedAt = sentAt;
        this.client.workload.sometimes('group offset committed');
      } else if (of === 'over') {
        this.client.workload.sometimes('commit of a former member refused');
        verdict = 'over';
      } else if (verdict === 'done') verdict = 'again';
    }
    return verdict;
  }

  /** The offsets of a commit are written together. No error codes: no answer came. */
  #tellCommit(errorCodes: readonly number[]): void {
    const failed = errorCodes.find((errorCode) => errorCode !== ErrorCode.None);
    if (errorCodes.length === 0) this.#history.info('no answer');
    else if (failed === undefined) this.#history.ok();
    else if (errorCodes.every((errorCode) => NOT_COMMITTED.has(errorCode)))
      this.#history.fail(errorName(failed as ErrorCode));
    else this.#history.info(errorName(failed as ErrorCode));
  }

  /** One in so many, while faults strike. */
  chance(of: number): boolean {
    return this.client.random.uint32() % of === 0 && this.client.workload.isRough();
  }
}
