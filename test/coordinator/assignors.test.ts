import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AssignableMember, type AssignableTopics, type Assignor, assignorOf } from '#coordinator/assignors';
import type { Assignment } from '#coordinator/partition-sets';
import type { Uuid } from '#model/ids';
import { topicId } from './fixtures.ts';

const NAMES = ['a', 'b', 'c', 'd'];
const NO_RACKS: ReadonlySet<string> = new Set();

type Counts = Readonly<Record<string, number>>;

function assignor(name: string): Assignor {
  return assignorOf(name) as Assignor;
}

function topics(counts: Counts, racks: AssignableTopics['racks'] = () => NO_RACKS): AssignableTopics {
  const byId = new Map(Object.entries(counts).map(([name, count]) => [topicId(name), count]));
  return { partitionCount: (id) => byId.get(id) ?? 0, racks };
}

function member(
  memberId: string,
  names: readonly string[],
  before: Assignment = new Map(),
  rackId: string | null = null,
): AssignableMember {
  return { memberId, rackId, topicIds: new Set(names.map((name) => topicId(name))), before };
}

function places(assigned: Assignment | undefined): string[] {
  return [...(assigned ?? [])].flatMap(([id, partitions]) => [...partitions].map((partition) => `${id}/${partition}`));
}

function moved(before: ReadonlyMap<string, Assignment>, after: ReadonlyMap<string, Assignment>): number {
  let count = 0;
  for (const [memberId, assigned] of after) {
    const had = new Set(places(before.get(memberId)));
    count += places(assigned).filter((place) => !had.has(place)).length;
  }
  return count;
}

/** Every partition of a topic that somebody subscribes to, at one of those, once; of others none. */
function checkComplete(
  members: readonly AssignableMember[],
  counts: Counts,
  assigned: ReadonlyMap<string, Assignment>,
) {
  const all = [...assigned.values()].flatMap(places);
  expect(new Set(all).size).toBe(all.length);
  const wanted = Object.entries(counts).flatMap(([name, count]) =>
    members.some(({ topicIds }) => topicIds.has(topicId(name)))
      ? Array.from({ length: count }, (_, partition) => `${topicId(name)}/${partition}`)
      : [],
  );
  expect(all.sort()).toEqual(wanted.sort());
  for (const { memberId, topicIds } of members) {
    for (const id of assigned.get(memberId)?.keys() ?? []) expect(topicIds.has(id)).toBe(true);
  }
}

const counts = fc.record(Object.fromEntries(NAMES.map((name) => [name, fc.integer({ min: 1, max: 12 })])));
const memberCount = fc.integer({ min: 1, max: 8 });
const subscriptions = fc.array(fc.subarray(NAMES, { minLength: 1 }), { minLength: 1, maxLength: 8 });

function ids(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `m${index}`);
}

describe.each(['uniform', 'range'])('%s', (name) => {
  test('gives every partition to exactly one subscriber, whatever members had and subscribe to', () => {
    fc.assert(
      fc.property(counts, counts, subscriptions, subscriptions, (first, second, then, now) => {
        const early = then.map((names, index) => member(`m${index}`, names));
        const before = assignor(name)(early, topics(first));
        checkComplete(early, first, before);
        // Other members, subscriptions and partitions, with what the members that are still there had.
        const late = now.map((names, index) => member(`m${index + 1}`, names, before.get(`m${index + 1}`)));
        checkComplete(late, second, assignor(name)(late, topics(second)));
      }),
    );
  });

  test('makes good what members had wrongly: partitions of another, or that do not exist', () => {
    const places = fc.record(
      Object.fromEntries(NAMES.map((each) => [each, fc.uniqueArray(fc.integer({ min: -1, max: 12 }))])),
    );
    fc.assert(
      fc.property(
        counts,
        fc.array(fc.tuple(fc.subarray(NAMES, { minLength: 1 }), places), { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        (of, had, alike) => {
          const members = had.map(([names, before], index) =>
            member(
              `m${index}`,
              alike ? NAMES : names,
              new Map(NAMES.map((each) => [topicId(each), new Set(before[each])])),
            ),
          );
          checkComplete(members, of, assignor(name)(members, topics(of)));
        },
      ),
    );
  });

  test('moves nothing when nothing has changed', () => {
    fc.assert(
      fc.property(counts, subscriptions, (of, names) => {
        const members = names.map((each, index) => member(`m${index}`, each));
        const before = assignor(name)(members, topics(of));
        const again = members.map((each) => ({ ...each, before: before.get(each.memberId) ?? new Map() }));
        expect(moved(before, assignor(name)(again, topics(of)))).toBe(0);
      }),
    );
  });

  test('takes 100 members with 1,000 partitions, of like and of different subscriptions, in less than a second of CPU', () => {
    const of = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`t${index}`, 50]));
    const all = Object.keys(of);
    const started = process.cpuUsage();
    for (const differ of [false, true]) {
      const members = ids(100).map((id, index) =>
        member(id, differ ? all.filter((_, topic) => (topic + index) % 3 > 0) : all),
      );
      const before = assignor(name)(members, topics(of));
      const fewer = members.slice(1).map((each) => ({ ...each, before: before.get(each.memberId) ?? new Map() }));
      checkComplete(fewer, of, assignor(name)(fewer, topics(of)));
    }
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1_000).toBeLessThan(1_000);
  });
});

describe('uniform', () => {
  const uniform = assignor('uniform');

  test('members that subscribe to the same differ by one partition at most, and a change moves no more than it must', () => {
    fc.assert(
      fc.property(counts, memberCount, memberCount, (of, earlier, later) => {
        const before = uniform(
          ids(earlier).map((id) => member(id, NAMES)),
          topics(of),
        );
        const after = uniform(
          ids(later).map((id) => member(id, NAMES, before.get(id))),
          topics(of),
        );
        const sizes = [...after.values()].map((each) => places(each).length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        const total = Object.values(of).reduce((sum, count) => sum + count, 0);
        const gone = ids(earlier)
          .slice(later)
          .reduce((sum, id) => sum + places(before.get(id)).length, 0);
        const share = Math.ceil(total / later);
        const newcomers = Math.max(0, later - earlier) * share;
        expect(moved(before, after)).toBeLessThanOrEqual(Math.max(gone, newcomers));
      }),
    );
  });

  test('evens out what members can share though they subscribe to different topics', () => {
    const of = { a: 6, b: 2 };
    const members = [member('m0', ['a']), member('m1', ['a', 'b']), member('m2', ['b'])];
    const sizes = [...uniform(members, topics(of)).values()].map((each) => places(each).length);
    expect(sizes).toEqual([3, 3, 2]);
  });

  test('takes from a loaded member what another subscriber can have, and leaves the rest where it was', () => {
    const of = { a: 4, b: 1 };
    const before = uniform([member('m0', ['a', 'b'])], topics(of)).get('m0');
    const after = uniform([member('m0', ['a', 'b'], before), member('m1', ['a'])], topics(of));
    expect(places(after.get('m1'))).toHaveLength(2);
    expect(places(after.get('m0')).every((place) => places(before).includes(place))).toBe(true);
  });

  test('a free partition goes to a member in the rack of a replica, if it may have more', () => {
    const racks = (_: Uuid, partition: number) => new Set([partition % 2 === 0 ? 'east' : 'west']);
    const members = [member('m0', ['a'], new Map(), 'west'), member('m1', ['a'], new Map(), 'east')];
    const assigned = uniform(members, topics({ a: 4 }, racks));
    expect(places(assigned.get('m0'))).toEqual([`${topicId('a')}/1`, `${topicId('a')}/3`]);
    expect(places(assigned.get('m1'))).toEqual([`${topicId('a')}/0`, `${topicId('a')}/2`]);
  });
});

describe('range', () => {
  const range = assignor('range');

  test('of topics with equally many partitions a member has the same numbers, also after others came', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), memberCount, memberCount, (count, earlier, more) => {
        const of = { a: count, b: count, c: count };
        const names = Object.keys(of);
        let assigned: ReadonlyMap<string, Assignment> = new Map();
        for (const size of [earlier, earlier + more]) {
          assigned = range(
            ids(size).map((id) => member(id, names, assigned.get(id))),
            topics(of),
          );
          for (const each of assigned.values()) {
            const numbers = names.map((name) => [...(each.get(topicId(name)) ?? [])].sort().join());
            expect(new Set(numbers).size).toBe(1);
          }
        }
      }),
    );
  });

  test('of each topic members have as many partitions as others, or one more', () => {
    fc.assert(
      fc.property(counts, memberCount, (of, size) => {
        const assigned = range(
          ids(size).map((id) => member(id, NAMES)),
          topics(of),
        );
        for (const name of NAMES) {
          const sizes = ids(size).map((id) => assigned.get(id)?.get(topicId(name))?.size ?? 0);
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        }
      }),
    );
  });
});
