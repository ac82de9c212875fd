import { describe, expect, test } from 'vitest';
import type { Introduction } from '#raft/messages';
import { entriesOf, Founding, INTRODUCTION_MS, stages } from './founding.ts';
import { entryOf, keyOf, voterOf } from './support.ts';

const IDS = [1, 2, 3];

function started(ids: readonly number[] = IDS, lists?: ReadonlyMap<number, readonly number[]>): Founding {
  const founding = new Founding(ids, lists);
  for (const node of founding.nodes) founding.start(node);
  return founding;
}

describe('the first quorum', () => {
  test.each([[1], [2], [3], [5]])('of %i empty nodes makes one cluster that names the disks of all', (count) => {
    const founding = started(Array.from({ length: count }, (_, index) => index + 1));
    founding.calm(500);
    const names = founding.nodes.map(({ id }) => id).join(',');
    expect(entriesOf(founding)).toEqual(founding.nodes.map(() => `1 ${names}`));
    expect(new Set(stages(founding))).toEqual(new Set(['member']));
  });

  test('a node that is alone in its list founds a cluster at once, and says nothing to anyone', () => {
    const founding = started([7]);
    expect([stages(founding), founding.flying]).toEqual([['founding'], []]);
  });

  test('nothing is founded before every voter of the list has said to this very disk that its own is empty', () => {
    const founding = started([1, 2, 3]);
    founding.crash(founding.node(3));
    founding.flying = founding.flying.filter(({ from }) => from !== 3);
    founding.calm(2000);
    expect([stages(founding), entriesOf(founding)]).toEqual([
      ['waiting', 'waiting', 'down'],
      [undefined, undefined, undefined],
    ]);
    expect(founding.node(1).notices.at(-1)).toBe(
      'waits for voter 3 (n3:9093): its disk must be seen empty before a new cluster is made',
    );
  });

  test('an introduction that was meant for an earlier disk of this node does not count', () => {
    const founding = new Founding([1, 2]);
    const one = founding.node(1);
    one.wiped = 1;
    founding.start(one);
    const introduction = (to: Introduction['to']): void =>
      founding.deliver({
        from: 2,
        to: 1,
        message: {
          kind: 'introduction',
          key: keyOf(2),
          to,
          voters: [voterOf(1), voterOf(2)],
          state: 'empty',
          clusterId: undefined,
        },
      });
    introduction(undefined);
    introduction(keyOf(1));
    expect(one.process?.stage).toBe('waiting');
    introduction(keyOf(1, 1));
    expect(one.process?.stage).toBe('founding');
  });

  test('only the lowest id founds; the others wait for it, and say so', () => {
    const founding = started();
    for (let count = 0; count < 10; count += 1)
      for (const flight of founding.flying.splice(0)) founding.deliver(flight);
    expect(stages(founding)).toEqual(['founding', 'waiting', 'waiting']);
    expect(founding.node(2).notices.at(-1)).toContain('waits for voter 1, the lowest id');
  });

  test('nobody hears of a cluster before its first entry is on the founder’s disk', () => {
    const founding = started();
    for (let count = 0; count < 10; count += 1)
      for (const flight of founding.flying.splice(0)) founding.deliver(flight);
    expect(founding.flying).toEqual([]);
    founding.write(founding.node(1));
    expect(founding.flying.map(({ to, message }) => [to, message.kind])).toEqual([
      [2, 'bootstrap'],
      [3, 'bootstrap'],
    ]);
  });

  test('a founder that dies before that founds another one, and that is the only one', () => {
    const founding = started();
    for (let count = 0; count < 10; count += 1)
      for (const flight of founding.flying.splice(0)) founding.deliver(flight);
    founding.crash(founding.node(1));
    founding.start(founding.node(1));
    founding.calm(500);
    expect(entriesOf(founding)).toEqual(['2 1,2,3', '2 1,2,3', '2 1,2,3']);
  });

  test('a founder whose disk has no room has told nobody, and founds it when there is room', () => {
    const founding = started();
    for (let count = 0; count < 10; count += 1)
      for (const flight of founding.flying.splice(0)) founding.deliver(flight);
    const one = founding.node(1);
    one.writing = undefined;
    one.process?.dropped(founding.now);
    expect([one.process?.stage, founding.flying]).toEqual(['waiting', []]);
    founding.calm(500);
    expect(entriesOf(founding)).toEqual(['2 1,2,3', '2 1,2,3', '2 1,2,3']);
  });

  test('a voter that died before it had the entry gets it from any other that has it', () => {
    const founding = started();
    founding.crash(founding.node(3));
    founding.start(founding.node(3));
    for (let count = 0; count < 10; count += 1)
      for (const flight of founding.flying.splice(0)) founding.deliver(flight);
    founding.write(founding.node(1));
    for (const flight of founding.flying.splice(0)) if (flight.to === 2) founding.deliver(flight);
    founding.write(founding.node(2));
    founding.crash(founding.node(1));
    founding.calm(500);
    expect([stages(founding), entriesOf(founding)[2]]).toEqual([['down', 'member', 'member'], '1 1,2,3']);
  });

  test('lists that differ are refused with both of them in a sentence', () => {
    const founding = started(IDS, new Map([[2, [2, 3]]]));
    founding.calm(1000);
    expect(entriesOf(founding)).toEqual([undefined, undefined, undefined]);
    expect(founding.node(1).notices.at(-1)).toBe(
      'voter 2 (n2:9093) was given the voters 2@n2:9093,3@n3:9093, this node 1@n1:9093,2@n2:9093,3@n3:9093: ' +
        'no cluster is made before the lists are the same',
    );
  });

  test('the order of a list means nothing', () => {
    const founding = started(IDS, new Map([[2, [3, 2, 1]]]));
    founding.calm(500);
    expect(stages(founding)).toEqual(['member', 'member', 'member']);
  });

  test('two nodes with one id are told', () => {
    const founding = started();
    const message: Introduction = {
      kind: 'introduction',
      key: keyOf(1, 5),
      to: undefined,
      voters: [],
      state: 'empty',
      clusterId: undefined,
    };
    founding.deliver({ from: 1, to: 1, message });
    expect(founding.node(1).notices.at(-1)).toContain('claims the id of this node');
  });

  test('who is not in its list takes no part', () => {
    const founding = started(
      [1, 2, 3],
      new Map([
        [3, [1, 2]],
        [1, [1, 2]],
        [2, [1, 2]],
      ]),
    );
    founding.calm(500);
    expect(stages(founding)).toEqual(['member', 'member', 'observer']);
    expect(founding.node(3).process?.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test('an entry that does not name this disk is refused, and so is one that is not the first', () => {
    const founding = started();
    const two = founding.node(2);
    for (const entry of [
      entryOf(1, 0, '9 1,2b,3'),
      entryOf(2, 0, '9 1,2,3'),
      entryOf(1, 4, '9 1,2,3'),
      entryOf(1, 0, 'nonsense'),
    ])
      founding.deliver({ from: 1, to: 2, message: { kind: 'bootstrap', entry } });
    expect([two.process?.stage, two.writing, two.notices.at(-1)]).toEqual([
      'waiting',
      undefined,
      'refuses the cluster that node 1 (n1:9093) founded: it does not name this disk',
    ]);
  });

  test('an empty node goes on introducing itself, and a member does not', () => {
    const founding = started([1, 2]);
    const [one] = founding.nodes;
    if (one === undefined) throw new Error('no node');
    founding.flying = [];
    founding.now = one.process?.deadline ?? 0;
    expect(founding.now).toBeLessThanOrEqual(1.5 * INTRODUCTION_MS);
    founding.tick(one);
    expect(founding.flying).toMatchObject([{ to: 2, message: { kind: 'introduction', state: 'empty' } }]);
    founding.calm(500);
    expect(one.process?.deadline).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a disk that was wiped', () => {
  test('one of three: it learns that there is a cluster, and joins it as an observer', () => {
    const founding = started();
    founding.calm(500);
    founding.wipe(founding.node(1));
    founding.start(founding.node(1));
    founding.calm(500);
    expect(stages(founding)).toEqual(['observer', 'member', 'member']);
    expect(founding.node(1).notices.at(-1)).toMatch(
      /^voter \d \(n\d:9093\) belongs to the cluster .*, of which this empty disk is no voter yet: it joins as an observer, and does not vote/,
    );
  });

  test('also when the others’ first entries are gone into a snapshot', () => {
    const founding = started();
    founding.calm(500);
    for (const node of founding.nodes) node.isCompacted = true;
    for (const node of founding.nodes) {
      founding.crash(node);
      founding.start(node);
    }
    founding.wipe(founding.node(1));
    founding.start(founding.node(1));
    founding.calm(500);
    expect(stages(founding)).toEqual(['observer', 'member', 'member']);
  });

  test('one of three while another is down: the one that is left has no majority, and the empty one says why it founds nothing', () => {
    const founding = started();
    founding.calm(500);
    founding.crash(founding.node(3));
    founding.crash(founding.node(2));
    founding.wipe(founding.node(1));
    founding.start(founding.node(1));
    founding.calm(1000);
    expect(founding.node(1).notices.at(-1)).toContain(
      'waits for voter 2 (n2:9093), 3 (n3:9093): their disks must be seen empty',
    );
    founding.start(founding.node(2));
    founding.calm(1000);
    expect(stages(founding)).toEqual(['observer', 'member', 'down']);
    expect(entriesOf(founding)[0]).toBeUndefined();
  });

  test('what it said before a cluster was founded does not let a later disk found another one', () => {
    const founding = started();
    for (let count = 0; count < 10; count += 1)
      for (const flight of founding.flying.splice(0)) founding.deliver(flight);
    founding.tick(founding.node(2));
    founding.tick(founding.node(3));
    founding.now += 2 * INTRODUCTION_MS;
    for (const id of [2, 3]) founding.tick(founding.node(id));
    const late = founding.flying.splice(0).filter(({ to }) => to === 1);
    expect(late.length).toBeGreaterThan(0);
    founding.write(founding.node(1));
    for (const flight of founding.flying.splice(0)) if (flight.to === 2) founding.deliver(flight);
    founding.write(founding.node(2));
    founding.wipe(founding.node(1));
    founding.crash(founding.node(2));
    founding.flying = [];
    founding.start(founding.node(1));
    for (const flight of late) founding.deliver(flight);
    founding.calm(1000);
    expect([founding.node(1).process?.stage, entriesOf(founding)]).toEqual([
      'waiting',
      [undefined, '1 1,2,3', undefined],
    ]);
  });
});
