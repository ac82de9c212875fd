import type { Ports, Random } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { between } from '../../ports/sim-random.ts';
import type { Workload } from '../admin-client.ts';
import { Connections } from '../connections.ts';
import type { DataTopic } from '../data-topics.ts';
import type { Answer, Call } from '../kafka-client.ts';
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

/** 'again': asked again, it may be done. 'over': the member is none any more, or not in that generation. */
export type Verdict = 'done' | 'again' | 'over';

/** What members of both protocols have in common: how they find their coordinator, and what they commit. */
export class Member {
  readonly name: string;
  readonly group: string;
  readonly topic: DataTopic;
  readonly random: Random;
  readonly workload: Workload;
  stopped = false;
  /** Where it has got to, in each partition that it owns. */
  readonly positions = new Map<number, number>();
  readonly #ports: Ports;
  readonly #model: GroupModel;
  readonly #connections: Connections;
  readonly #coordinators: Coordinators;

  constructor(name: string, group: string, ports: Ports, workload: Workload, topic: DataTopic, model: GroupModel) {
    this.name = name;
    this.group = group;
    this.topic = topic;
    this.random = ports.random;
    this.workload = workload;
    this.#ports = ports;
    this.#model = model;
    this.#connections = new Connections(ports);
    this.#coordinators = new Coordinators(this.#connections, workload.nodes, ports.random);
  }

  close(): void {
    this.#connections.close();
  }

  /** Asks the group's coordinator; undefined if it is not known, or gave no answer. */
  async ask<Q, R>(call: Call<Q, R>, request: Q, timeoutMs: number = REQUEST_TIMEOUT_MS): Promise<R | undefined> {
    const node = await this.#coordinators.of('group', this.group);
    if (node === undefined) return undefined;
    const answer: Answer<R> = await this.#connections.ask(node, call, request, timeoutMs);
    if (answer.response === undefined) this.#coordinators.forget('group', this.group);
    return answer.response;
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

  /** Takes over the partitions where their committed offsets say; false: it is no member any more, or has no patience left. */
  async takeOver(partitions: readonly number[], { memberId, generation, protocol }: Membership): Promise<boolean> {
    for (const partition of partitions) {
      this.#model.owns(this.name, this.group, partition, generation);
      this.positions.delete(partition);
    }
    const missing = (): number[] => partitions.filter((partition) => !this.positions.has(partition));
    while (missing().length > 0) {
      if (this.stopped) return false;
      const floors = missing().map((partition) => this.#model.floorOf(this.group, partition));
      const topics = [{ name: this.topic.name, partitionIndexes: missing() }];
      const member = protocol === 'consumer' ? { memberId, memberEpoch: generation } : {};
      const groups = [{ groupId: this.group, ...member, topics }];
      const response = await this.ask(OFFSET_FETCH, { groups, requireStable: true });
      const group = response?.groups[0];
      if (this.verdict(group?.errorCode) === 'over') return false;
      const asked = missing();
      for (const { partitionIndex, committedOffset, errorCode } of group?.topics[0]?.partitions ?? []) {
        if (errorCode !== ErrorCode.None) continue;
        const floor = floors[asked.indexOf(partitionIndex)] ?? -1;
        this.#model.fetched(this.name, this.group, partitionIndex, committedOffset, floor);
        this.positions.set(partitionIndex, Math.max(0, committedOffset));
      }
      if (missing().length > 0) await this.pause(between(this.random, 20, 150));
    }
    return true;
  }

  /** Goes on in what it owns, and commits it. */
  async commit({ memberId, generation }: Membership): Promise<Verdict> {
    if (this.positions.size === 0) return 'done';
    for (const [partition, position] of this.positions)
      this.positions.set(partition, position + 1 + (this.random.uint32() % 5));
    const partitions = [...this.positions].map(([partitionIndex, committedOffset]) => {
      return { partitionIndex, committedOffset, committedMetadata: '' };
    });
    const response = await this.ask(OFFSET_COMMIT, {
      groupId: this.group,
      memberId,
      generationIdOrMemberEpoch: generation,
      topics: [{ name: this.topic.name, partitions }],
    });
    if (response === undefined) {
      for (const { partitionIndex, committedOffset } of partitions)
        this.#model.lost(this.name, this.group, partitionIndex, generation, committedOffset);
      return 'again';
    }
    let verdict: Verdict = 'done';
    for (const { partitionIndex, errorCode } of response.topics[0]?.partitions ?? []) {
      const { committedOffset = -1 } = partitions.find((sent) => sent.partitionIndex === partitionIndex) ?? {};
      const of = this.verdict(errorCode);
      if (of === 'done') {
        this.#model.committed(this.name, this.group, partitionIndex, generation, committedOffset);
        this.workload.sometimes('group offset committed');
      } else if (of === 'over') {
        this.workload.sometimes('commit of a former member refused');
        verdict = 'over';
      } else if (verdict === 'done') verdict = 'again';
    }
    return verdict;
  }

  /** One in so many, while faults strike. */
  chance(of: number): boolean {
    return this.random.uint32() % of === 0 && this.workload.isRough();
  }

  say(what: string): void {
    this.workload.say(this.name, what);
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#ports.clock.timer(() => resolve()).arm(ms);
    });
  }
}
