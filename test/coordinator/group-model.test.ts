import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CoordinatorRecord, Effects, Instant, RequestToken } from '#coordinator/effects';
import type { JoinGroupResponse, SyncGroupResponse } from '#coordinator/group-commands';
import { readGroupRecord } from '#coordinator/group-records';
import { GroupShard } from '#coordinator/group-shard';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { countingRandom, subscription, testConfig, testParts } from './fixtures.ts';

const GROUP = 'g';
const TOPIC = 'orders';
const PARTITIONS = 3;
const ANYBODY = { statesFilter: [], typesFilter: [] };
const TOPICS = [[TOPIC], [TOPIC, 'payments']];

/** A client as far as its answers tell it; the fourth is restarted under one instance id. */
interface Client {
  readonly groupInstanceId: string | null;
  memberId: string;
  generationId: number;
  /** What it would assign, once its JoinGroup made it the leader. */
  led: JoinGroupResponse | undefined;
}

type Action =
  | { readonly kind: 'join'; readonly client: number; readonly topics: number; readonly old: boolean }
  | { readonly kind: 'sync' | 'beat' | 'leave' | 'restart'; readonly client: number }
  | { readonly kind: 'commit'; readonly client: number; readonly partition: number; readonly stale: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'crash' }
  | { readonly kind: 'refuse' };

const client = fc.nat(3);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('join' as const), client, topics: fc.nat(1), old: fc.boolean() }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('sync' as const), client }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('beat' as const, 'leave' as const, 'restart' as const), client }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      client,
      partition: fc.nat(PARTITIONS - 1),
      stale: fc.nat(2),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(10, 3_000, 7_000, 40_000) }),
  },
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'crash' as const }, { kind: 'refuse' as const }) },
);

/** Clients, a shard and its log, with the invariants checked at every answer. */
class World {
  readonly log: CoordinatorRecord[] = [];
  readonly clients: Client[] = [null, null, null, 'i'].map((groupInstanceId) => ({
    groupInstanceId,
    memberId: '',
    generationId: -1,
    led: undefined,
  }));
  readonly #random = countingRandom();
  readonly #config = testConfig({ initialRebalanceDelayMs: 50 });
  readonly #parked = new Map<RequestToken, Client>();
  /** generation/partition → who got it: G1. A static member's successor is the same owner. */
  readonly #owners = new Map<string, string>();
  readonly #committed = new Map<number, number>();
  /** Member ids that left, or whose instance has a new id. */
  readonly #gone = new Set<string>();
  #shard = new GroupShard({ ...testParts(), config: this.#config, random: this.#random });
  #now = 1_000;
  #token = 0;
  #offset = 0;
  #generationId = 0;
  #refuseNext = false;

  constructor() {
    this.#carryOut(this.#shard.loaded(this.#instant()));
  }

  act(step: Action): void {
    switch (step.kind) {
      case 'join':
        this.#join(this.#client(step.client), step.topics, step.old);
        return;
      case 'sync':
        this.#sync(this.#client(step.client));
        return;
      case 'beat': {
        const { memberId, generationId, groupInstanceId } = this.#client(step.client);
        this.#shard.heartbeat({ groupId: GROUP, memberId, generationId, groupInstanceId }, this.#instant());
        return;
      }
      case 'leave': {
        const { memberId, groupInstanceId } = this.#client(step.client);
        const outcome = this.#shard.leaveGroup(
          { groupId: GROUP, members: [{ memberId, groupInstanceId }] },
          this.#instant(),
        );
        if (memberId !== '' && outcome.response.members[0]?.errorCode === ErrorCode.None) this.#gone.add(memberId);
        this.#carryOut(outcome);
        return;
      }
      case 'restart':
        Object.assign(this.#client(step.client), { memberId: '', generationId: -1, led: undefined });
        return;
      case 'commit':
        this.#commit(this.#client(step.client), step.partition, step.stale);
        return;
      case 'wait':
        this.#wait(step.ms);
        return;
      case 'crash':
        this.#crash();
        return;
      case 'refuse':
        this.#refuseNext = true;
    }
  }

  /** The log alone gives the same offsets, and the same group while no rebalance is under way. */
  checkReplay(): void {
    const fresh = this.#reloaded();
    const everything = { groupId: GROUP, topics: null, memberId: null, memberEpoch: -1, requireStable: false };
    const offsets = this.#shard.offsetFetch(everything);
    expect(fresh.offsetFetch(everything)).toEqual(offsets);
    const fetched = offsets.topics.flatMap(({ partitions }) =>
      partitions.map((each) => [each.partitionIndex, each.committedOffset]),
    );
    expect(new Map(fetched as [number, number][])).toEqual(this.#committed);
    const isWritten = this.log.some((record) => readGroupRecord(record).kind === 'group');
    const [live] = this.#shard.describeGroups([GROUP]);
    if (isWritten && (live?.groupState === 'Stable' || live?.groupState === 'Empty')) {
      expect(fresh.describeGroups([GROUP])).toEqual([live]);
      expect(fresh.listGroups(ANYBODY)).toEqual(this.#shard.listGroups(ANYBODY));
    }
  }

  /** No request is left without its one answer. */
  end(): void {
    for (const { token } of this.#shard.resign(ErrorCode.NotCoordinator)) this.#answered(token);
    expect(this.#parked.size).toBe(0);
  }

  #join(who: Client, topics: number, old: boolean): void {
    const command = {
      groupId: GROUP,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 20_000,
      memberId: who.memberId,
      groupInstanceId: who.groupInstanceId,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription(TOPICS[topics] ?? []) }],
      clientId: 'c',
      clientHost: '/127.0.0.1',
      memberIdRequired: !old,
      skipAssignmentKnown: !old,
    };
    const token = this.#park(who);
    this.#carryOut(this.#shard.joinGroup(command, token, this.#instant()));
  }

  #sync(who: Client): void {
    const { memberId, generationId, groupInstanceId, led } = who;
    const members = led?.generationId === generationId ? led.members : [];
    const assignments = members.map((member, index) => {
      const owned = [0, 1, 2].filter((partition) => partition % members.length === index);
      return { memberId: member.memberId, assignment: Buffer.from(owned) };
    });
    const command = {
      groupId: GROUP,
      generationId,
      memberId,
      groupInstanceId,
      protocolType: null,
      protocolName: null,
      assignments,
    };
    const token = this.#park(who);
    this.#carryOut(this.#shard.syncGroup(command, token, this.#instant()));
  }

  /** G2: accepted only in the present generation, from a member that has neither left nor been replaced. */
  #commit(who: Client, partition: number, stale: number): void {
    const generationId = who.generationId - stale;
    this.#offset += 1;
    const outcome = this.#shard.offsetCommit(
      {
        groupId: GROUP,
        generationIdOrMemberEpoch: generationId,
        memberId: who.memberId,
        groupInstanceId: who.groupInstanceId,
        retentionTimeMs: -1,
        staleEpochKnown: true,
        topics: [
          {
            name: TOPIC,
            topicId: ZERO_UUID,
            partitions: [
              {
                partitionIndex: partition,
                committedOffset: this.#offset,
                committedLeaderEpoch: -1,
                committedMetadata: null,
              },
            ],
          },
        ],
      },
      this.#instant(),
    );
    const [described] = this.#shard.describeGroups([GROUP]);
    const accepted = outcome.response.topics[0]?.partitions[0]?.errorCode === ErrorCode.None;
    if (accepted && generationId >= 0) {
      expect(generationId).toBe(this.#generationId);
      expect(this.#gone).not.toContain(who.memberId);
      expect(described?.members.map(({ memberId }) => memberId)).toContain(who.memberId);
    } else if (accepted) {
      expect(described?.members).toEqual([]);
    }
    if (this.#carryOut(outcome) && accepted) this.#committed.set(partition, this.#offset);
  }

  #wait(ms: number): void {
    const until = this.#now + ms;
    for (let ticks = 0; this.#shard.nextDeadline() <= until; ticks += 1) {
      expect(ticks).toBeLessThan(1_000);
      this.#now = Math.max(this.#now, this.#shard.nextDeadline());
      this.#carryOut(this.#shard.tick(this.#instant()));
    }
    this.#now = until;
  }

  /** What was parked gets no answer; generation and members are the log's, which learns of a departure with the next. */
  #crash(): void {
    this.#parked.clear();
    this.#generationId = 0;
    let members: readonly string[] = [];
    for (const record of this.log) {
      const read = readGroupRecord(record);
      if (read.kind !== 'group') continue;
      this.#generationId = read.value?.generation ?? 0;
      members = read.value?.members.map(({ memberId }) => memberId) ?? [];
    }
    for (const memberId of members) this.#gone.delete(memberId);
    this.#shard = this.#reloaded();
  }

  #reloaded(): GroupShard {
    const shard = new GroupShard({ ...testParts(), config: this.#config, random: this.#random });
    for (const record of this.log) shard.replay(record, 0);
    expect(shard.loaded(this.#instant())).toEqual({ records: [], replies: [] });
    return shard;
  }

  /** Whether the records were taken. */
  #carryOut(effects: Effects): boolean {
    const taken = effects.records.length === 0 || !this.#refuseNext;
    if (effects.records.length > 0) this.#refuseNext = false;
    if (!taken) {
      this.#carryOut(this.#shard.refused(effects, ErrorCode.NotEnoughReplicas, this.#instant()));
      return false;
    }
    for (const record of effects.records) {
      this.log.push(record);
      this.#shard.replay(record, 0);
      const read = readGroupRecord(record);
      if (read.kind === 'group') this.#generationId = read.value?.generation ?? 0;
    }
    for (const reply of effects.replies) {
      const who = this.#answered(reply.token);
      if (reply.kind === 'join') this.#joined(who, reply.response);
      else this.#synced(who, reply.response);
    }
    return true;
  }

  #joined(who: Client, response: JoinGroupResponse): void {
    if (response.errorCode === ErrorCode.MemberIdRequired) who.memberId = response.memberId;
    else if (response.errorCode === ErrorCode.UnknownMemberId) who.memberId = '';
    if (response.errorCode !== ErrorCode.None) return;
    if (who.groupInstanceId !== null && who.memberId !== '' && who.memberId !== response.memberId)
      this.#gone.add(who.memberId);
    who.memberId = response.memberId;
    who.generationId = response.generationId;
    who.led = response.leader === response.memberId ? response : undefined;
    this.#generationId = response.generationId;
  }

  #synced(who: Client, response: SyncGroupResponse): void {
    if (response.errorCode !== ErrorCode.None) return;
    for (const partition of response.assignment) {
      const place = `${this.#generationId}/${partition}`;
      const owner = who.groupInstanceId ?? who.memberId;
      expect(this.#owners.get(place) ?? owner).toBe(owner);
      this.#owners.set(place, owner);
    }
  }

  #park(who: Client): RequestToken {
    this.#token += 1;
    this.#parked.set(this.#token, who);
    return this.#token;
  }

  #answered(token: RequestToken): Client {
    const who = this.#parked.get(token);
    expect(who, `one answer to request ${token}`).toBeDefined();
    this.#parked.delete(token);
    return who as Client;
  }

  #client(index: number): Client {
    return this.clients[index] as Client;
  }

  #instant(): Instant {
    return { mono: this.#now, wall: 1_700_000_000_000 + this.#now };
  }
}

test('G1, G2: one owner per generation, no commits from the past, one answer per request, and the log gives the same', () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 10, maxLength: 80 }), (steps) => {
      const world = new World();
      for (const step of steps) {
        world.act(step);
        world.checkReplay();
      }
      world.end();
    }),
    { numRuns: 400 },
  );
});
