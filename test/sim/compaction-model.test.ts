import { describe, expect, it } from 'vitest';
import { CompactionModel, keyOfValue } from '#sim/workload/compaction/compaction-model';

const T = 't-0';

/** 1 and 8 are of one key, 2 of another; 5 is alone. They stand at 0 to 3, the last of them read, and not acknowledged. */
function model(): CompactionModel {
  const known = new CompactionModel();
  for (const value of ['q.1', 'q.2', 'q.5', 'q.8']) known.sent(value);
  known.acked('q', T, 0, ['q.1', 'q.2', 'q.5']);
  known.read('r', T, 3, keyOfValue('q.8'), 'q.8');
  return known;
}

const last = new Map([
  [1, 'q.2'],
  [2, 'q.5'],
  [3, 'q.8'],
]);

describe('a compacted partition', () => {
  it('has values that follow others of their key, and values that are alone', () => {
    expect(keyOfValue('q.1')).toBe(keyOfValue('q.8'));
    expect(keyOfValue('q.1')).not.toBe(keyOfValue('q.2'));
    expect(keyOfValue('q.5')).not.toBe(keyOfValue('q.12'));
    expect(keyOfValue('q.5')).not.toBe(keyOfValue('q.40'));
  });

  it('may lack what a later value of its key has made superfluous, for readers as in the end', () => {
    const known = model();
    expect(known.passed('r', T, 0, 4, new Set([1, 2, 3]))).toBe(true);
    expect(known.passed('r', T, 0, 4, new Set([0, 1, 2, 3]))).toBe(false);
    expect(known.passed('r', T, 3, 4, new Set([3]))).toBe(false);
    known.checkFinal(T, last);
    known.checkFinal(T, new Map([[0, 'q.1'], ...last]));
  });

  it.each<readonly [string, (known: CompactionModel) => void]>([
    ['the last value of a key', (known) => known.passed('r', T, 0, 4, new Set([2, 3]))],
    ['one that was only read', (known) => known.passed('r', T, 0, 4, new Set([1, 2]))],
  ])('may not lack for a reader %s', (_what, read) => {
    expect(() => read(model())).toThrow(/compaction/);
  });

  it.each<readonly [string, ReadonlyMap<number, string>]>([
    ['the last value of a key', new Map([...last].filter(([offset]) => offset !== 1))],
    ['the only value of a key', new Map([...last].filter(([offset]) => offset !== 2))],
    [
      'the last value, though an earlier one is there',
      new Map([
        [0, 'q.1'],
        [1, 'q.2'],
        [2, 'q.5'],
      ]),
    ],
    [
      'a value that stands elsewhere now',
      new Map([
        [1, 'q.2'],
        [3, 'q.8'],
        [0, 'q.5'],
      ]),
    ],
  ])('may not lack in the end %s', (_what, log) => {
    expect(() => model().checkFinal(T, log)).toThrow(/compaction/);
  });

  it('has at an offset what was there before, once, with its key, and nothing that was not sent', () => {
    expect(() => model().read('r', T, 0, keyOfValue('q.2'), 'q.2')).toThrow(/one value at an offset/);
    expect(() => model().read('r', T, 9, keyOfValue('q.2'), 'q.2')).toThrow(/written once/);
    expect(() => model().read('r', T, 1, 'another', 'q.2')).toThrow(/compaction/);
    expect(() => model().read('r', T, 4, null, 'q.99')).toThrow(/phantom/);
  });
});
