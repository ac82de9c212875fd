import { describe, expect, test } from 'vitest';
import { type Blow, blowOf, forgivenessOf, healingOf, problemOf } from '#chaos/blow';
import { type Fault, faultLabel, type NodeTarget, parseNodeTarget, resolved } from '#chaos/fault';

const nodes = [
  { id: 1, rack: 'a' },
  { id: 2, rack: 'b' },
  { id: 3, rack: 'c' },
  { id: 4, rack: 'a' },
];

function blow(fault: Fault<number>): Blow {
  const made = blowOf(fault, nodes);
  if (made.error !== undefined) throw new Error(made.error);
  return made.value;
}

/** `node>line: what`, sorted. */
function lines(fault: Fault<number>): readonly string[] {
  return [...blow(fault).orders]
    .flatMap(([id, orders]) =>
      [...orders.lines].map(([name, line]) => {
        const detail = line?.kind === 'cut' ? line.way : line?.kind === 'delay' ? line.ms : '';
        return `${id}>${name}: ${line?.kind} ${detail}`.trim();
      }),
    )
    .sort();
}

const partition = (between: Extract<Fault<number>, { kind: 'partition' }>['between'], how = {}): Fault<number> => ({
  kind: 'partition',
  between,
  oneWay: false,
  refuses: false,
  ...how,
});

describe('a blow', () => {
  test('that kills or pauses is a signal', () => {
    expect([...blow({ kind: 'kill', node: 2 }).signals]).toEqual([[2, 'SIGKILL']]);
    expect([...blow({ kind: 'pause', node: 2 }).signals]).toEqual([[2, 'SIGSTOP']]);
    expect(blow({ kind: 'kill', node: 2 }).orders.size).toBe(0);
  });

  test('that cuts a node off is set at both ends of each of its lines, and on its clients', () => {
    expect(lines(partition({ kind: 'node', node: 1, others: 'all' }))).toEqual([
      '1>2: cut both',
      '1>3: cut both',
      '1>4: cut both',
      '1>clients: cut both',
      '2>1: cut both',
      '3>1: cut both',
      '4>1: cut both',
    ]);
  });

  test('of one way keeps what the node sends from the others, whichever of them has dialled', () => {
    const between = { kind: 'node', node: 2, others: 'all' } as const;
    expect(lines(partition(between, { oneWay: true }))).toEqual([
      '1>2: cut received',
      '2>1: cut sent',
      '2>3: cut sent',
      '2>4: cut sent',
      '2>clients: cut sent',
      '3>2: cut received',
      '4>2: cut received',
    ]);
  });

  test.each([
    ['nodes', ['1>2: cut both', '1>3: cut both', '1>4: cut both', '2>1: cut both', '3>1: cut both', '4>1: cut both']],
    ['clients', ['1>clients: cut both']],
  ] as const)('that cuts it off from %s only leaves the rest', (others, expected) => {
    expect(lines(partition({ kind: 'node', node: 1, others }))).toEqual(expected);
  });

  test('between two nodes is on their line only', () => {
    const between = { kind: 'two nodes', first: 3, second: 1 } as const;
    expect(lines(partition(between))).toEqual(['1>3: cut both', '3>1: cut both']);
    expect(lines(partition(between, { oneWay: true }))).toEqual(['1>3: cut received', '3>1: cut sent']);
    expect(lines(partition(between, { refuses: true }))).toEqual(['1>3: refuse', '3>1: refuse']);
  });

  test('on a rack leaves the lines within it and within the rest', () => {
    const cut = [
      '1>2: cut both',
      '1>3: cut both',
      '1>clients: cut both',
      '2>1: cut both',
      '2>4: cut both',
      '3>1: cut both',
      '3>4: cut both',
      '4>2: cut both',
      '4>3: cut both',
      '4>clients: cut both',
    ];
    expect(lines(partition({ kind: 'rack', rack: 'a', others: 'all' }))).toEqual(cut);
    expect(lines({ kind: 'lose-rack', rack: 'a', how: 'cut' })).toEqual(cut);
    expect([...blow({ kind: 'lose-rack', rack: 'a', how: 'kill' }).signals.keys()]).toEqual([1, 4]);
    expect([...blow({ kind: 'lose-rack', rack: 'a', how: 'pause' }).signals.values()]).toEqual(['SIGSTOP', 'SIGSTOP']);
  });

  test('that delays a node delays all of its lines', () => {
    expect(lines({ kind: 'delay', node: 4, ms: 50 })).toEqual([
      '1>4: delay 50',
      '2>4: delay 50',
      '3>4: delay 50',
      '4>1: delay 50',
      '4>2: delay 50',
      '4>3: delay 50',
      '4>clients: delay 50',
    ]);
  });

  test('that fills a disk is healed with all lines as they are', () => {
    const full = blow({ kind: 'disk-full', node: 3 });
    expect([...full.orders]).toEqual([[3, { lines: new Map(), diskFull: true }]]);
    expect([...healingOf(full)]).toEqual([[3, { lines: new Map(), diskFull: false }]]);
  });

  test('is healed line by line, and a disk that it did not fill is left as it is', () => {
    const cut = blow(partition({ kind: 'two nodes', first: 1, second: 2 }));
    expect([...healingOf(cut)]).toEqual([
      [1, { lines: new Map([[2, undefined]]), diskFull: undefined }],
      [2, { lines: new Map([[1, undefined]]), diskFull: undefined }],
    ]);
  });

  test('forgives a node at all others', () => {
    expect([...forgivenessOf(2, nodes).keys()]).toEqual([1, 3, 4]);
    expect([...(forgivenessOf(2, nodes).get(4)?.lines ?? [])]).toEqual([[2, undefined]]);
  });

  test.each<readonly [Fault<number>, string]>([
    [{ kind: 'kill', node: 5 }, 'there is no node 5: there are 1, 2, 3, 4'],
    [{ kind: 'lose-rack', rack: 'z', how: 'cut' }, 'there is no rack z: there are a, b, c'],
    [partition({ kind: 'rack', rack: 'z', others: 'all' }), 'there is no rack z: there are a, b, c'],
    [partition({ kind: 'two nodes', first: 1, second: 9 }), 'there is no node 9: there are 1, 2, 3, 4'],
    [partition({ kind: 'two nodes', first: 1, second: 1 }), 'node 1 is not cut off from itself'],
  ])('%j is none', (fault, sentence) => {
    expect(blowOf(fault, nodes)).toEqual({ error: sentence });
    expect(problemOf(fault, nodes)).toBe(sentence);
  });

  test('on racks is none where no node has one', () => {
    expect(blowOf({ kind: 'lose-rack', rack: 'a', how: 'kill' }, [{ id: 1 }])).toEqual({
      error: 'there is no rack a: none of the nodes has one',
    });
  });

  test('on who controls or leads is judged when that is known', () => {
    const fault: Fault = {
      kind: 'partition',
      between: { kind: 'two nodes', first: target('controller'), second: target('1') },
      oneWay: false,
      refuses: false,
    };
    expect(problemOf(fault, nodes)).toBeUndefined();
  });
});

function target(text: string): NodeTarget {
  const parsed = parseNodeTarget(text);
  if (parsed.error !== undefined) throw new Error(parsed.error);
  return parsed.value;
}

describe('a target', () => {
  test.each<readonly [string, NodeTarget]>([
    ['12', { kind: 'node', id: 12 }],
    ['controller', { kind: 'controller' }],
    ['leader', { kind: 'leader', topic: undefined }],
    ['leader-of orders-3', { kind: 'leader', topic: 'orders-3' }],
    ['leader-of:orders', { kind: 'leader', topic: 'orders' }],
  ])('%s is read', (text, expected) => expect(target(text)).toEqual(expected));

  test.each(['', 'one', '-1', 'leader-of', 'leader of orders', 'null'])('"%s" is none', (text) => {
    expect(parseNodeTarget(text).error).toContain(`"${text}" is no node`);
  });

  test('is found when the fault is done, each for itself', async () => {
    const find = async (one: NodeTarget): Promise<number> =>
      one.kind === 'node' ? one.id : one.kind === 'leader' ? 2 : 3;
    const cut: Fault = {
      kind: 'partition',
      between: { kind: 'two nodes', first: target('leader'), second: target('controller') },
      oneWay: true,
      refuses: false,
    };
    expect(faultLabel(cut)).toBe('partition a leader from the controller, one way');
    expect(faultLabel(await resolved(cut, find))).toBe('partition node 2 from node 3, one way');
    expect(faultLabel(await resolved({ kind: 'delay', node: target('leader-of t'), ms: 5 }, find))).toBe(
      'delay node 2 by 5 ms',
    );
    const rack: Fault = { kind: 'lose-rack', rack: 'a', how: 'cut' };
    expect(faultLabel(await resolved(rack, find))).toBe('lose-rack a (cut)');
  });
});
