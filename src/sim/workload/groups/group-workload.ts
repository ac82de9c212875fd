import type { Ports } from '#base/ports';
import { Client, startAll, stopAll, type Workload } from '../client.ts';
import { type DataTopic, DataTopicMaker, SHARED_TOPIC, strongTopic } from '../data-topics.ts';
import { ClassicMember } from './classic-member.ts';
import { ConsumerMember } from './consumer-member.ts';
import { GroupModel } from './group-model.ts';
import { Member } from './member.ts';

/** Two groups, one of each protocol. */
const MEMBERS = { classic: ['g1', 'g2', 'g3'], consumer: ['k1', 'k2', 'k3'] } as const;
/** Hosts of the members. */
export const GROUP_CLIENTS: readonly string[] = [...MEMBERS.classic, ...MEMBERS.consumer, 'group-maker'];

/** Members that come and go share the partitions of a topic, and commit how far they have got. */
export class GroupWorkload {
  readonly model = new GroupModel();
  readonly #topic: DataTopic;
  readonly #maker: DataTopicMaker;
  readonly #groups: readonly (readonly (ClassicMember | ConsumerMember)[])[];

  constructor(portsOf: (host: string) => Ports, workload: Workload) {
    const topic = strongTopic(SHARED_TOPIC, 4);
    this.#topic = topic;
    const client = (host: string): Client => new Client(host, portsOf(host), workload);
    this.#maker = new DataTopicMaker(client('group-maker'), [topic]);
    const member = (host: string, group: 'classic' | 'consumer'): Member =>
      new Member(client(host), group, topic, this.model);
    this.#groups = [
      MEMBERS.classic.map((host) => new ClassicMember(member(host, 'classic'))),
      MEMBERS.consumer.map((host) => new ConsumerMember(member(host, 'consumer'))),
    ];
  }

  start(fail: (error: Error) => void): void {
    startAll([this.#maker, ...this.#groups.flat()], fail);
  }

  /** G5: whether every partition has an owner in each group, in the eyes of the members. */
  get isAssigned(): boolean {
    if (!this.#topic.exists) return true;
    return this.#groups.every((members) => {
      const owned = members.flatMap((one) => [...one.owned]);
      return owned.length === this.#topic.partitionCount && new Set(owned).size === owned.length;
    });
  }

  /** Whether a member of each group has committed something since then. */
  hasCommitted(since: number): boolean {
    return !this.#topic.exists || this.#groups.every((members) => members.some((one) => one.committedAt > since));
  }

  async stop(): Promise<void> {
    await stopAll([this.#maker, ...this.#groups.flat()]);
  }
}
