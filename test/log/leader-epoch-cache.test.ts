import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LeaderEpochCache } from '#log/leader-epoch-cache';
import { type LeaderEpoch, leaderEpoch } from '#model/ids';
import { at, kafkaFile } from './support.ts';

const epoch = (value: number): LeaderEpoch => leaderEpoch(value);

function cacheOf(...entries: readonly (readonly [number, number])[]): LeaderEpochCache {
  const cache = new LeaderEpochCache();
  for (const [of, start] of entries) cache.assign(epoch(of), at(start));
  return cache;
}

function listOf(cache: LeaderEpochCache): [number, number][] {
  return cache.entries.map((entry) => [entry.epoch, entry.startOffset]);
}

describe('KIP-101: OffsetForLeaderEpoch', () => {
  const cache = cacheOf([2, 10], [4, 20], [7, 50]);
  const end = (of: number) => cache.endOffsetFor(epoch(of), at(80));

  test("the current epoch ends at the log's end", () => {
    expect(end(7)).toEqual({ epoch: 7, endOffset: 80 });
  });

  test('a past epoch ends where the next one starts', () => {
    expect(end(4)).toEqual({ epoch: 4, endOffset: 50 });
  });

  test('KIP-279: an epoch that wrote nothing here is answered with the largest one below it', () => {
    expect(end(6)).toEqual({ epoch: 4, endOffset: 50 });
    expect(end(3)).toEqual({ epoch: 2, endOffset: 20 });
  });

  test('an epoch below all known ones ends where the first known one starts', () => {
    expect(end(1)).toEqual({ epoch: 1, endOffset: 10 });
  });

  test('an epoch above all known ones is unknown, as is any in an empty log', () => {
    expect(end(8)).toBeUndefined();
    expect(new LeaderEpochCache().endOffsetFor(epoch(0), at(0))).toBeUndefined();
  });
});

describe('assign', () => {
  test('says whether the checkpoint has to be written', () => {
    const cache = new LeaderEpochCache();
    expect(cache.assign(epoch(1), at(0))).toBe(true);
    expect(cache.assign(epoch(1), at(5))).toBe(false);
    expect(cache.assign(epoch(2), at(9))).toBe(true);
    expect(listOf(cache)).toEqual([
      [1, 0],
      [2, 9],
    ]);
  });

  test('drops entries that contradict it: of a later epoch, or from a later offset', () => {
    const cache = cacheOf([1, 0], [2, 10], [3, 20], [5, 30]);
    cache.assign(epoch(3), at(25));
    expect(listOf(cache)).toEqual([
      [1, 0],
      [2, 10],
      [3, 20],
    ]);
    cache.assign(epoch(6), at(5));
    expect(listOf(cache)).toEqual([
      [1, 0],
      [6, 5],
    ]);
    cache.assign(epoch(6), at(3));
    expect(listOf(cache)).toEqual([
      [1, 0],
      [6, 3],
    ]);
  });
});

test('an epoch that was led here without a record goes when more of the one before it comes, which keeps its start', () => {
  const cache = cacheOf([6, 68], [7, 69], [8, 109]);
  expect(cache.assign(epoch(7), at(109))).toBe(true);
  expect(listOf(cache)).toEqual([
    [6, 68],
    [7, 69],
  ]);
  expect(cache.assign(epoch(7), at(111))).toBe(false);
});

describe('truncation', () => {
  test('from the end drops the epochs that start at or after it', () => {
    const cache = cacheOf([1, 0], [2, 10], [3, 20]);
    expect(cache.truncateFromEnd(at(21))).toBe(false);
    expect(cache.truncateFromEnd(at(20))).toBe(true);
    expect(listOf(cache)).toEqual([
      [1, 0],
      [2, 10],
    ]);
  });

  test('from the start keeps the epoch that holds there, and moves its start', () => {
    const cache = cacheOf([1, 0], [2, 10], [3, 20]);
    expect(cache.truncateFromStart(at(15))).toBe(true);
    expect(listOf(cache)).toEqual([
      [2, 15],
      [3, 20],
    ]);
    expect(cache.truncateFromStart(at(15))).toBe(false);
    expect(cache.truncateFromStart(at(20))).toBe(true);
    expect(listOf(cache)).toEqual([[3, 20]]);
    expect(cacheOf([4, 9]).truncateFromStart(at(3))).toBe(false);
  });
});

describe('leader-epoch-checkpoint', () => {
  test('as Kafka 4.3.1 wrote it is read, and written the same', () => {
    const text = kafkaFile('leader-epoch-checkpoint').toString();
    const parsed = LeaderEpochCache.parse(text);
    if (parsed.error !== undefined) throw new Error(parsed.error);
    expect(listOf(parsed.value)).toEqual([
      [0, 0],
      [3, 120],
      [7, 5_000_000_000],
    ]);
    expect(parsed.value.toText()).toBe(text);
  });

  test.each([
    ['nothing', ''],
    ['another version', '1\n0\n'],
    ['no count', '0\n'],
    ['a count that does not fit', '0\n2\n0 0\n'],
    ['a line more than counted', '0\n1\n0 0\n1 5\n'],
    ['half a line', '0\n1\n0\n'],
    ['three words', '0\n1\n0 0 0\n'],
    ['a negative offset', '0\n1\n0 -1\n'],
    ['an epoch beyond int32', '0\n1\n2147483648 0\n'],
    ['epochs that do not rise', '0\n2\n1 0\n1 5\n'],
    ['offsets that do not rise', '0\n2\n1 5\n2 5\n'],
    ['no numbers', '0\n1\nx y\n'],
  ])('with %s is an error, never an exception', (_, text) => {
    expect(LeaderEpochCache.parse(text)).toHaveProperty('error');
  });
});

test('the cache agrees with a list of who wrote each offset, through appends and truncations', () => {
  const command = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('append' as const),
        rise: fc.nat(2),
        count: fc.integer({ min: 1, max: 4 }),
      }),
    },
    fc.record({ kind: fc.constant('end' as const), by: fc.nat(6) }),
    fc.record({ kind: fc.constant('start' as const), by: fc.nat(6) }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      const cache = new LeaderEpochCache();
      /** The epoch of each offset from `start` on. */
      let start = 0;
      let writers: number[] = [];
      for (const command of commands) {
        const end = start + writers.length;
        if (command.kind === 'append') {
          const of = (writers.at(-1) ?? cache.latest()?.epoch ?? 0) + command.rise;
          cache.assign(epoch(of), at(end));
          writers.push(...new Array(command.count).fill(of));
        } else if (command.kind === 'end') {
          writers = writers.slice(0, Math.max(0, writers.length - command.by));
          cache.truncateFromEnd(at(start + writers.length));
        } else {
          const by = Math.min(command.by, writers.length);
          writers = writers.slice(by);
          start += by;
          cache.truncateFromStart(at(start));
        }
        const logEnd = start + writers.length;
        for (const [index, writer] of writers.entries()) expect(cache.epochAt(at(start + index))).toBe(writer);
        for (const of of new Set(writers)) {
          expect(cache.endOffsetFor(epoch(of), at(logEnd))).toEqual({
            epoch: of,
            endOffset: start + writers.lastIndexOf(of) + 1,
          });
        }
        const starts = listOf(cache);
        expect(starts).toEqual([...starts].sort(([a], [b]) => a - b));
        const read = LeaderEpochCache.parse(cache.toText());
        expect(read.error ?? listOf(read.value)).toEqual(starts);
      }
    }),
  );
});
