import { describe, expect, test } from 'vitest';
import { judge, type Outcome } from './verdict.ts';

const source = [
  ['a.0', 'b.0', 'a.2'],
  ['a.1', 'b.1'],
];
const clean: Outcome = {
  acknowledged: new Set(['a.0', 'a.1', 'b.0']),
  source,
  sink: source,
  groups: new Map([
    [
      'classic',
      [
        [0, 0, 1],
        [1, 0, 1],
        [0, 1, 2],
      ],
    ],
  ]),
};
const faultsOf = (change: Partial<Outcome>): readonly string[] => judge({ ...clean, ...change });

describe('the verdict on clients whose brokers die', () => {
  test('more written than acknowledged, and seen again by a group, is clean', () => {
    expect(judge(clean)).toEqual([]);
  });

  test('an acknowledged record that is nowhere is lost', () => {
    expect(faultsOf({ acknowledged: new Set(['a.0', 'a.4']) })).toEqual(['acknowledged and lost: 1, first a.4']);
  });

  test('a record that an idempotent producer wrote twice is found, also in two partitions', () => {
    const twice = [
      ['a.0', 'a.1'],
      ['a.1', 'b.0'],
    ];
    expect(faultsOf({ source: twice, sink: twice, groups: new Map() })).toEqual(['twice in the source: 1, first a.1']);
  });

  test('a record behind a later one of its producer is out of order', () => {
    const turned = [['a.1', 'a.0', 'b.0'], []];
    expect(faultsOf({ source: turned, sink: turned, groups: new Map() })).toEqual([
      'behind a later one in the source: 1, first a.0',
    ]);
  });

  test('a copy that lacks a record, has one twice, or has them in another order, is not exactly once', () => {
    const copies = (first: readonly string[]) => faultsOf({ sink: [first, source[1] ?? []] });
    expect(copies(['a.0', 'a.2'])).toEqual(['not copied in partition 0: 1, first b.0']);
    expect(copies(['a.0', 'b.0', 'b.0', 'a.2'])).toEqual(['1 copied twice in partition 0']);
    expect(copies(['b.0', 'a.0', 'a.2'])).toEqual(['partition 0 differs from its copy at 0: a.0 and b.0']);
    expect(copies(['a.0', 'b.0', 'a.2', 'x.9'])).toEqual([
      'partition 0 differs from its copy at -1: undefined and undefined',
    ]);
  });

  test('a record that passed a group by is found, at the end, between and at the beginning', () => {
    const seen = (...runs: readonly (readonly [number, number, number])[]) =>
      faultsOf({ groups: new Map([['KIP-848', [[1, 0, 1], ...runs]]]) });
    expect(seen([0, 0, 1])).toEqual(['never seen by the KIP-848 group in partition 0: 1, first a.2']);
    expect(seen([0, 2, 2], [0, 0, 0])).toEqual(['never seen by the KIP-848 group in partition 0: 1, first b.0']);
    expect(seen([0, 1, 2])).toEqual(['never seen by the KIP-848 group in partition 0: 1, first a.0']);
  });
});
