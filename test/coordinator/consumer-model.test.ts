import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CoordinatorRecord, Effects, Instant } from '#coordinator/effects';
import type { ConsumerHeartbeatResponse } from '#coordinator/group-commands';
import { GroupShard } from '#coordinator/group-shard';
import { ErrorCode } from '#model/errors';
import { countingRandom, TestTopics, testConfig, testGroupConfig, type topicId } from './fixtures.ts';

const GROUP = 'g';
const NAMES = ['a', 'b', 'ab'];
const SUBSCRIPTIONS: readonly Subscription[] = [
  { names: ['a'], regex: '' },
  { names: ['a', 'b'], regex: '' },
  { names: [], regex: 'a.*' },
  { names: ['b'], regex: 'ab?' },
];

interface Subscription {
  readonly names: readonly string[];
  readonly regex: string;
}

/** A consumer as far as the answers tell it. */
interface Client {
  readonly instanceId: string | null;
  memberId: string;
  /** 0: it is not in the group as far as it knows. */
  epoch: number;
  subscription: Subscription;
  /** To be told in full with the next heartbeat. */
  fresh: boolean;
  /** What it works on. */
  owned: Set<string>;
  /** What it has been told to work on; undefined once it has done so. */
  assigned: Set<string> | undefined;
}

const client = fc.nat(4);
const actions = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constantFrom('beat' as const, 'lost' as const), client }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('work' as const), client }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('leave' as const, 'pause' as const, 'crash' as const), client }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('subscribe' as const), client, to: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const), client, behind: fc.nat(2) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 900, 11_000, 31_000, 46_000) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('topic' as const), name: fc.nat(2), partitions: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'reload' as const }, { kind: 'refuse' as const }) },
);
type Action = typeof actions extends fc.Arbitrary<infer A> ? A : never;

/** Clients, a shard, its log and the topics, with the invariants checked after every step. */
class World {
  readonly #log: CoordinatorRecord[] = [];
  readonly #topics = new TestTopics({ a: 3, b: 2 });
  readonly #random = countingRandom();
  readonly #clients: Client[] = [null, null, null, 'i', 'j'].map((instanceId) => ({
    instanceId,
    memberId: '',
    epoch: 0,
    subscription: SUBSCRIPTIONS[1] as Subscription,
    fresh: true,
    owned: new Set<string>(),
    assigned: undefined,
  }));
  /** How often each name was made: a topic made anew is another. */
  readonly #made = new Map<string, number>();
  readonly #assignmentIntervalMs: number;
  #shard: GroupShard;
  #now = 1_000;
  #ids = 0;
  #refuseNext = false;

  constructor(assignmentIntervalMs: number) {
    this.#assignmentIntervalMs = assignmentIntervalMs;
    this.#shard = this.#newShard();
    this.#carryOut(this.#shard.loaded(this.#instant()));
  }

  act(step: Action): void {
    switch (step.kind) {
      case 'beat':
      case 'lost':
        this.#beat(this.#client(step.client), step.kind === 'lost');
        return;
      case 'work':
        this.#work(this.#client(step.client));
        return;
      case 'leave':
        this.#leave(this.#client(step.client), -1);
        return;
      case 'pause': {
        const who = this.#client(step.client);
        if (who.instanceId !== null) this.#leave(who, -2);
        return;
      }
      case 'crash':
        this.#forget(this.#client(step.client));
        return;
      case 'subscribe': {
        const who = this.#client(step.client);
        who.subscription = SUBSCRIPTIONS[step.to] as Subscription;
        who.fresh = true;
        return;
      }
      case 'commit':
        this.#commit(this.#client(step.client), step.behind);
        return;
      case 'wait':
        this.#wait(step.ms);
        return;
      case 'topic':
        this.#changeTopic(NAMES[step.name] as string, step.partitions);
        return;
      case 'reload':
        this.#shard = this.#reloaded();
        return;
      case 'refuse':
        this.#refuseNext = true;
    }
  }

  /** G1: of the members that the log knows, no two work on the same partition. */
  check(): void {
    const members = new Map(this.#described().members.map((member) => [member.memberId, member]));
    const owners = new Map<string, string>();
    for (const { memberId, owned } of this.#clients) {
      if (!members.has(memberId)) continue;
      for (const place of owned) {
        expect(owners.get(place), `${place} is ${memberId}'s`).toBeUndefined();
        owners.set(place, memberId);
      }
    }
    const fresh = this.#reloaded();
    expect(fresh.consumerGroupDescribe([GROUP])).toEqual(this.#shard.consumerGroupDescribe([GROUP]));
    const all = { statesFilter: [], typesFilter: [] };
    expect(fresh.listGroups(all)).toEqual(this.#shard.listGroups(all));
  }

  /** G5: left alone, all that is subscribed to is worked on, by those who subscribe to it. */
  settle(): void {
    this.#refuseNext = false;
    for (let round = 0; round < 20; round += 1) {
      for (const who of this.#clients) {
        this.#work(who);
        this.#beat(who, false);
        this.#work(who);
      }
      this.#wait(3_000);
      this.check();
    }
    const described = this.#described();
    expect(described.groupState).toBe('Stable');
    expect(described.members).toHaveLength(this.#clients.length);
    const worked = this.#clients.flatMap(({ owned }) => [...owned]).sort();
    const wanted = NAMES.flatMap((name) => {
      const topic = this.#topics.topic(name);
      const subscribed = this.#clients.some(
        ({ subscription: { names, regex } }) =>
          names.includes(name) || (regex !== '' && new RegExp(`^(?:${regex})$`).test(name)),
      );
      return topic === undefined || !subscribed ? [] : topic.partitions.map((_, index) => `${topic.id}/${index}`);
    });
    expect(worked).toEqual(wanted.sort());
  }

  #beat(who: Client, lost: boolean): void {
    if (who.memberId === '') {
      this.#ids += 1;
      who.memberId = `m${this.#ids}`;
    }
    const joins = who.epoch === 0;
    const full = joins || who.fresh;
    const outcome = this.#shard.consumerHeartbeat(
      {
        groupId: GROUP,
        memberId: who.memberId,
        memberEpoch: who.epoch,
        instanceId: who.instanceId,
        rackId: null,
        rebalanceTimeoutMs: full ? 30_000 : -1,
        subscribedTopicNames: full ? who.subscription.names : null,
        subscribedTopicRegex: full ? who.subscription.regex : null,
        serverAssignor: null,
        // While it is changing over it does not say what it has, unless it says everything. Then it names what it is about to
        // take, too: the protocol (KIP-848, in Kafka as here) takes what a member does not name for given up, and gives it away.
        topicPartitions:
          full || who.assigned === undefined ? topicPartitions(new Set([...who.owned, ...(who.assigned ?? [])])) : null,
        clientId: 'c',
        clientHost: '/127.0.0.1',
        memberIdRequired: true,
      },
      this.#instant(),
    );
    if (!this.#carryOut(outcome) || lost) {
      who.fresh = true;
      return;
    }
    this.#answered(who, outcome.response);
  }

  #answered(who: Client, { errorCode, memberEpoch, assignment }: ConsumerHeartbeatResponse): void {
    switch (errorCode) {
      case ErrorCode.None:
        who.epoch = memberEpoch;
        who.fresh = false;
        if (assignment !== null) {
          who.assigned = new Set(
            assignment.topicPartitions.flatMap((each) =>
              each.partitions.map((partition) => `${each.topicId}/${partition}`),
            ),
          );
        }
        return;
      case ErrorCode.FencedMemberEpoch:
      case ErrorCode.UnknownMemberId:
      case ErrorCode.GroupIdNotFound:
        // It abandons all it has, and joins again as who it is.
        Object.assign(who, { epoch: 0, owned: new Set(), assigned: undefined, fresh: true });
        return;
      case ErrorCode.FencedInstanceId:
      case ErrorCode.UnreleasedInstanceId: {
        const present = this.#described().members.find(({ instanceId }) => instanceId === who.instanceId);
        expect(present?.memberId, 'nobody is hindered by its own membership').not.toBe(who.memberId);
        return;
      }
      default:
        throw new Error(`heartbeat: ${errorCode}`);
    }
  }

  #work(who: Client): void {
    if (who.assigned === undefined) return;
    who.owned = who.assigned;
    who.assigned = undefined;
  }

  #leave(who: Client, epoch: -1 | -2): void {
    if (who.memberId === '' || who.epoch === 0) return;
    const outcome = this.#shard.consumerHeartbeat(
      {
        groupId: GROUP,
        memberId: who.memberId,
        memberEpoch: epoch,
        instanceId: who.instanceId,
        rackId: null,
        rebalanceTimeoutMs: -1,
        subscribedTopicNames: null,
        subscribedTopicRegex: null,
        serverAssignor: null,
        topicPartitions: null,
        clientId: 'c',
        clientHost: '/127.0.0.1',
        memberIdRequired: true,
      },
      this.#instant(),
    );
    this.#forget(who);
    this.#carryOut(outcome);
  }

  /** The process ends; the next one has another member id. */
  #forget(who: Client): void {
    Object.assign(who, { memberId: '', epoch: 0, owned: new Set(), assigned: undefined, fresh: true });
  }

  /** G2, G4: accepted from a member alone, not ahead of its epoch, and behind it for what it has kept since. */
  #commit(who: Client, behind: number): void {
    const [place] = who.owned;
    if (place === undefined) return;
    const epoch = who.epoch - behind;
    const [id, partition] = place.split('/') as [string, string];
    const outcome = this.#shard.offsetCommit(
      {
        groupId: GROUP,
        generationIdOrMemberEpoch: epoch,
        memberId: who.memberId,
        groupInstanceId: who.instanceId,
        retentionTimeMs: -1,
        staleEpochKnown: true,
        topics: [
          {
            name: id.replace(/_.*/, ''),
            topicId: id as never,
            partitions: [
              {
                partitionIndex: Number(partition),
                committedOffset: 1,
                committedLeaderEpoch: -1,
                committedMetadata: null,
              },
            ],
          },
        ],
      },
      this.#instant(),
    );
    const error = outcome.response.topics[0]?.partitions[0]?.errorCode;
    const member = this.#described().members.find(({ memberId }) => memberId === who.memberId);
    // An epoch below 0 is nobody's: it may commit while the group is empty.
    if (epoch < 0 && this.#described().members.length === 0) expect(error).toBe(ErrorCode.None);
    else if (error === ErrorCode.None) {
      expect(member).toBeDefined();
      expect(epoch).toBeLessThanOrEqual(member?.memberEpoch ?? -1);
      for (const other of this.#clients) {
        const isMember = this.#described().members.some(({ memberId }) => memberId === other.memberId);
        if (other !== who && isMember) expect(other.owned).not.toContain(place);
      }
    } else if (member === undefined) expect(error).not.toBe(ErrorCode.None);
    this.#carryOut(outcome);
  }

  #wait(ms: number): void {
    const until = this.#now + ms;
    for (let ticks = 0; this.#shard.nextDeadline() <= until; ticks += 1) {
      expect(ticks).toBeLessThan(1_000);
      this.#now = Math.max(this.#now + 1, this.#shard.nextDeadline());
      this.#carryOut(this.#shard.tick(this.#instant()));
    }
    this.#now = Math.max(this.#now, until);
  }

  /** 0 partitions: it is deleted; another time it is made anew. Otherwise it can only grow. */
  #changeTopic(name: string, partitions: number): void {
    const topic = this.#topics.topic(name);
    const made = this.#made.get(name) ?? 1;
    if (topic !== undefined && partitions === 0) {
      this.#topics.remove(name);
      this.#made.set(name, Math.min(9, made + 1));
      for (const { owned } of this.#clients)
        for (const place of owned) if (place.startsWith(topic.id)) owned.delete(place);
      this.#carryOut(this.#shard.topicsDeleted([{ name, id: topic.id }]));
    } else if (topic === undefined) {
      this.#topics.set(name, partitions + 1, made);
      this.#shard.topicsChanged([name], [name]);
    } else if (partitions > topic.partitions.length) {
      this.#topics.set(name, partitions, made);
      this.#shard.topicsChanged([], [name]);
    }
  }

  #described() {
    const [described] = this.#shard.consumerGroupDescribe([GROUP]);
    if (described === undefined) throw new Error('no answer');
    return described;
  }

  #reloaded(): GroupShard {
    const shard = this.#newShard();
    for (const record of this.#log) shard.replay(record, 0);
    expect(shard.loaded(this.#instant())).toEqual({ records: [], replies: [] });
    return shard;
  }

  #newShard(): GroupShard {
    return new GroupShard({
      config: testConfig(),
      random: this.#random,
      topics: this.#topics,
      configOf: () => testGroupConfig({ assignmentIntervalMs: this.#assignmentIntervalMs }),
    });
  }

  /** Whether the records were taken. */
  #carryOut(effects: Effects): boolean {
    if (effects.records.length > 0 && this.#refuseNext) {
      this.#refuseNext = false;
      this.#carryOut(this.#shard.refused(effects, ErrorCode.NotEnoughReplicas, this.#instant()));
      return false;
    }
    for (const record of effects.records) {
      this.#log.push(record);
      this.#shard.replay(record, 0);
    }
    return true;
  }

  #client(index: number): Client {
    return this.#clients[index] as Client;
  }

  #instant(): Instant {
    return { mono: this.#now, wall: 1_700_000_000_000 + this.#now };
  }
}

function topicPartitions(places: ReadonlySet<string>) {
  const byTopic = Map.groupBy(places, (place) => place.slice(0, place.lastIndexOf('/')));
  return [...byTopic].map(([id, of]) => ({
    topicId: id as ReturnType<typeof topicId>,
    partitions: of.map((place) => Number(place.slice(place.lastIndexOf('/') + 1))),
  }));
}

test('G1, G2, G4, G5: one owner at a time, no commits from outside, all is worked on in the end, and the log gives the same', () => {
  fc.assert(
    fc.property(fc.array(actions, { minLength: 10, maxLength: 60 }), fc.constantFrom(0, 1_000), (steps, intervalMs) => {
      const world = new World(intervalMs);
      for (const step of steps) {
        world.act(step);
        world.check();
      }
      world.settle();
    }),
    { numRuns: 60 },
  );
}, 30_000);
