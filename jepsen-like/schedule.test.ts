import { expect, test } from 'vitest';
import { SimRandom } from '#sim/ports/sim-random';
import type { Fault } from './faults/fault.ts';
import { longRound } from './schedule.ts';

const named = (...names: readonly string[]): readonly Fault[] => names.map((name) => ({ name }) as Fault);
const drawn = (seed: string, ...names: readonly string[]): readonly string[] =>
  longRound(named(...names), new SimRandom(seed)).map(({ name }) => name);

test('a long round has every fault once, in an order that the seed draws, and the mix after every four and in the end', () => {
  const all = ['a', 'b', 'c', 'd', 'e', 'f', 'mix'];
  const one = drawn('1', ...all);
  expect(one.flatMap((name, index) => (name === 'mix' ? [index] : []))).toEqual([4, 7]);
  expect(one.filter((name) => name !== 'mix').toSorted()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  expect(drawn('1', ...all)).toEqual(one);
  expect(['2', '3', '4'].map((seed) => drawn(seed, ...all))).not.toEqual([one, one, one]);
});

test('it has no mix that was not asked for, and may be nothing else', () => {
  expect(drawn('1', 'a', 'b').toSorted()).toEqual(['a', 'b']);
  expect(drawn('1', 'mix')).toEqual(['mix']);
});
