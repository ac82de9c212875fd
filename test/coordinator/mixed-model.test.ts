import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readAssignment, type TopicNumbers, writeAssignment } from '#coordinator/consumer-protocol';
import type { CoordinatorRecord, Effects, Instant, RequestToken } from '#coordinator/effects';
import type { DescribedConsumerGroup, DescribedConsumerMember } from '#coordinator/group-commands';
import { GroupShard } from '#coordinator/group-shard';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { countingRandom, subscription, TestTopics, testConfig, testGroupConfig, type topicId } from './fixtures.ts';

const GROUP = 'g';
/** Of four members, at most, that all have a turn in each. */
const ROUNDS_TO_SETTLE = 12;
const ALL = { statesFilter: [], typesFilter: [] };

/** Whose turn it is: some speak one protocol, some the other, the last two both under one instance. */
const who = fc.nat(5);
/** What a classic leader makes of `orders`, by client: also a partition twice, or one that does not exist. */
const gives = fc.array(fc.uniqueArray(fc.integer({ min: -1, max: 3 }), { maxLength: 3 }), {
  minLength: 6,
  maxLength: 6,
});
const actions = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('join' as const),
      who,
      topics: fc.nat(1),
      old: fc.boolean(),
      says: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('sync' as const), who, gives }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('generation' as const), size: fc.integer({ min: 2, max: 4 }), gives }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('hb' as const),
      who,
      joins: fc.boolean(),
      owns: fc.boolean(),
      regex: fc.constantFrom(null, null, '', 'o.*', '('),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('beat' as const, 'leave' as const, 'go' as const, 'commit' as const),
      who,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 60, 3_000, 12_000, 50_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ kind: 'delete' as const }, { kind: 'reload' as const }, { kind: 'refuse' as const }),
  },
);
type Action = typeof actions extends fc.Arbitrary<infer A> ? A : never;

interface Client {
  readonly instanceId: string | null;
  memberId: string;
  epoch: number;
  owned: readonly { readonly topicId: ReturnType<typeof topicId>; readonly partitions: readonly number[] }[];
  /** What it was given by SyncGroup. */
  held: readonly TopicNumbers[];
}

/** Requests of both protocols in any order, some of them senseless, at one group. */
class World {
  readonly #log: CoordinatorRecord[] = [];
  readonly #topics = new TestTopics({ orders: 3, payments: 2 });
  readonly #random = countingRandom();
  readonly #waiting = new Map<RequestToken, Client>();
  readonly #clients: Client[] = [null, null, null, null, 'i', 'i'].map((instanceId) => ({
    instanceId,
    memberId: '',
    epoch: 0,
    owned: [],
    held: [],
  }));
  #shard = this.#newShard();
  #now = 1_000;
  #token = 0;
  #ids = 0;
  #refuseNext = false;

  constructor() {
    this.#carryOut(this.#shard.loaded(this.#instant()));
  }

  act(step: Action): void {
    switch (step.kind) {
      case 'join': {
        const client = this.#client(step.who);
        const topics = step.topics === 0 ? ['orders'] : ['orders', 'payments'];
        this.#join(client, subscription(topics, step.says ? client.held : undefined), step.old);
        return;
      }
      case 'sync':
        this.#sync(this.#client(step.who), step.gives);
        return;
      case 'generation': {
        const clients = this.#clients.slice(0, step.size);
        for (const client of clients) this.#join(client, subscription(['orders'], client.held), true);
        this.#wait(200);
        for (const client of clients) this.#sync(client, step.gives);
        return;
      }
      case 'hb':
        this.#heartbeat(this.#client(step.who), step.joins, step.owns, step.regex);
        return;
      case 'beat': {
        const { memberId, epoch: generationId, instanceId: groupInstanceId } = this.#client(step.who);
        this.#shard.heartbeat({ groupId: GROUP, generationId, memberId, groupInstanceId }, this.#instant());
        return;
      }
      case 'leave': {
        const { memberId, instanceId: groupInstanceId } = this.#client(step.who);
        this.#carryOut(
          this.#shard.leaveGroup({ groupId: GROUP, members: [{ memberId, groupInstanceId }] }, this.#instant()),
        );
        return;
      }
      case 'go': {
        const client = this.#client(step.who);
        const epoch = client.instanceId === null ? -1 : -2;
        this.#carryOut(this.#shard.consumerHeartbeat(this.#beat(client, epoch, true, null), this.#instant()));
        Object.assign(client, { memberId: '', epoch: 0, owned: [], held: [] });
        return;
      }
      case 'commit': {
        const { memberId, epoch, instanceId: groupInstanceId } = this.#client(step.who);
        const partitions = [
          { partitionIndex: 0, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata: null },
        ];
        const command = {
          groupId: GROUP,
          generationIdOrMemberEpoch: epoch,
          memberId,
          groupInstanceId,
          retentionTimeMs: -1,
          staleEpochKnown: true,
          topics: [{ name: 'orders', topicId: ZERO_UUID, partitions }],
        };
        this.#carryOut(this.#shard.offsetCommit(command, this.#instant()));
        return;
      }
      case 'delete':
        this.#carryOut(this.#shard.deleteGroups([GROUP]));
        return;
      case 'wait':
        this.#wait(step.ms);
        return;
      case 'reload':
        this.#waiting.clear();
        this.#shard = this.#reloaded();
        return;
      case 'refuse':
        this.#refuseNext = true;
    }
  }

  /**
   * G1, as far as the coordinator assigns. And the log alone gives the same, as far as the group is not classic and in
   * the middle of a rebalance.
   */
  check(): void {
    const fresh = this.#reloaded();
    const [listed] = this.#shard.listGroups(ALL);
    if (listed?.groupType === 'Consumer') {
      const given = this.#members().flatMap(({ assignment }) =>
        assignment.topicPartitions.flatMap((each) => each.partitions.map((number) => `${each.topicName}-${number}`)),
      );
      expect(new Set(given).size, `one owner each: ${given}`).toBe(given.length);
      expect(fresh.listGroups(ALL)).toEqual([listed]);
      expect(fresh.consumerGroupDescribe([GROUP])).toEqual(this.#shard.consumerGroupDescribe([GROUP]));
    }
    const everything = { groupId: GROUP, memberId: null, memberEpoch: -1, topics: null, requireStable: false };
    expect(fresh.offsetFetch(everything)).toEqual(this.#shard.offsetFetch(everything));
  }

  /** Left to themselves the members of a consumer group come to have what they shall, whatever they speak. */
  settle(): void {
    this.#refuseNext = false;
    const clients = new Map<string, Client>();
    for (let round = 0; round < ROUNDS_TO_SETTLE && !this.#isSettled(); round += 1) {
      for (const member of this.#members()) {
        const { memberId, instanceId, memberEpoch: epoch, assignment } = member;
        const owned = assignment.topicPartitions;
        const client = clients.get(memberId) ?? { memberId, instanceId, epoch, owned, held: heldOf(member) };
        clients.set(memberId, client);
        if (member.memberType === 1) this.#heartbeat(client, client.epoch < 0, true, null);
        else this.#goOn(client, member.subscribedTopicNames);
      }
      this.check();
      this.#wait(150);
    }
    expect(this.#isSettled(), JSON.stringify(this.#described(), undefined, 1)).toBe(true);
  }

  /** No request is left without its one answer. */
  end(): void {
    for (const { token } of this.#shard.resign(ErrorCode.NotCoordinator)) this.#answered(token);
    expect(this.#waiting.size).toBe(0);
  }

  /** As a cooperative consumer does: it goes on with what it has, and joins again when it is told to. */
  #goOn(client: Client, topics: readonly string[]): void {
    const { memberId, epoch: generationId, instanceId: groupInstanceId } = client;
    const beat = { groupId: GROUP, generationId, memberId, groupInstanceId };
    const { errorCode } = this.#shard.heartbeat(beat, this.#instant());
    if (errorCode !== ErrorCode.RebalanceInProgress) return;
    this.#join(client, subscription(topics, client.held), false);
    this.#sync(client, []);
  }

  #join(client: Client, metadata: Uint8Array, old: boolean): void {
    const command = {
      groupId: GROUP,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 20_000,
      memberId: client.memberId,
      groupInstanceId: client.instanceId,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata }],
      clientId: 'c',
      clientHost: '/127.0.0.1',
      memberIdRequired: !old,
      skipAssignmentKnown: true,
    };
    this.#carryOut(this.#shard.joinGroup(command, this.#park(client), this.#instant()));
  }

  #sync(client: Client, given: readonly (readonly number[])[]): void {
    const { memberId, epoch: generationId, instanceId: groupInstanceId } = client;
    const assignments = given.map((partitions, index) => ({
      memberId: this.#client(index).memberId,
      assignment: writeAssignment([{ topic: 'orders', partitions }], 0),
    }));
    const names = { protocolType: null, protocolName: null };
    const command = { groupId: GROUP, generationId, memberId, groupInstanceId, ...names, assignments };
    this.#carryOut(this.#shard.syncGroup(command, this.#park(client), this.#instant()));
  }

  #heartbeat(client: Client, joins: boolean, owns: boolean, regex: string | null): void {
    if (client.memberId === '') {
      this.#ids += 1;
      client.memberId = `m${this.#ids}`;
    }
    const command = this.#beat(client, joins ? 0 : client.epoch, owns, regex);
    const outcome = this.#shard.consumerHeartbeat(command, this.#instant());
    if (!this.#carryOut(outcome)) return;
    const { errorCode, memberEpoch, assignment } = outcome.response;
    if (errorCode !== ErrorCode.None) return;
    client.epoch = memberEpoch;
    if (assignment !== null) client.owned = assignment.topicPartitions;
  }

  #beat(client: Client, memberEpoch: number, owns: boolean, regex: string | null) {
    const joins = memberEpoch === 0;
    return {
      groupId: GROUP,
      memberId: client.memberId,
      memberEpoch,
      instanceId: client.instanceId,
      rackId: null,
      rebalanceTimeoutMs: joins ? 20_000 : -1,
      subscribedTopicNames: joins ? ['orders'] : null,
      subscribedTopicRegex: regex,
      serverAssignor: null,
      topicPartitions: joins ? [] : owns ? client.owned : null,
      clientId: 'c',
      clientHost: '/127.0.0.1',
      memberIdRequired: true,
    };
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

  #reloaded(): GroupShard {
    const shard = this.#newShard();
    for (const record of this.#log) shard.replay(record, 0);
    shard.loaded(this.#instant());
    return shard;
  }

  #newShard(): GroupShard {
    return new GroupShard({
      config: testConfig({ initialRebalanceDelayMs: 50, groupSizeMax: 4, consumerGroupSizeMax: 4 }),
      random: this.#random,
      topics: this.#topics,
      configOf: () => testGroupConfig({ assignmentIntervalMs: 100 }),
    });
  }

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
    for (const reply of effects.replies) {
      const client = this.#answered(reply.token);
      if (reply.kind === 'sync') {
        const { errorCode, assignment } = reply.response;
        if (errorCode === ErrorCode.None) client.held = readAssignment(assignment) ?? [];
        continue;
      }
      const { errorCode, memberId, generationId } = reply.response;
      if (errorCode === ErrorCode.MemberIdRequired) client.memberId = memberId;
      else if (errorCode === ErrorCode.UnknownMemberId) client.memberId = '';
      else if (errorCode === ErrorCode.None) Object.assign(client, { memberId, epoch: generationId });
    }
    return true;
  }

  #park(client: Client): RequestToken {
    this.#token += 1;
    this.#waiting.set(this.#token, client);
    return this.#token;
  }

  #answered(token: RequestToken): Client {
    const client = this.#waiting.get(token);
    expect(client, `one answer to request ${token}`).toBeDefined();
    this.#waiting.delete(token);
    return client as Client;
  }

  #described(): DescribedConsumerGroup {
    const [described] = this.#shard.consumerGroupDescribe([GROUP]);
    return described as DescribedConsumerGroup;
  }

  /** Or it is no consumer group. */
  #isSettled(): boolean {
    return ['Stable', 'Empty', 'Dead'].includes(this.#described().groupState);
  }

  /** None of a classic group. */
  #members(): readonly DescribedConsumerMember[] {
    return this.#described().members;
  }

  #client(index: number): Client {
    return this.#clients[index] as Client;
  }

  #instant(): Instant {
    return { mono: this.#now, wall: 1_700_000_000_000 + this.#now };
  }
}

function heldOf({ assignment }: DescribedConsumerMember): readonly TopicNumbers[] {
  return assignment.topicPartitions.map(({ topicName: topic, partitions }) => ({ topic, partitions }));
}

test('both protocols in one group: whatever is asked, each request has one answer, a partition one owner, the log gives the same group, and its members come to what they shall have', () => {
  fc.assert(
    fc.property(fc.array(actions, { minLength: 10, maxLength: 80 }), (steps) => {
      const world = new World();
      for (const step of steps) {
        world.act(step);
        world.check();
      }
      world.settle();
      world.end();
    }),
    { numRuns: 100 },
  );
}, 30_000);
