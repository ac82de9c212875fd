import { describe, expect, test } from 'vitest';
import { Ledger } from '#chaos/ledger';

const whole = { lost: 0, duplicated: 0, disordered: 0, changed: 0, skipped: 0, refused: 0, examples: [] };

/** Records 0 to 5 were acknowledged in two batches, with a gap between their offsets, and read as far as given. */
function ledger(read: readonly (readonly [offset: number, number: number])[] = []): Ledger {
  const made = new Ledger(1, 0);
  made.acknowledge(0, 0, 3, 0, 10);
  made.acknowledge(0, 3, 3, 4, 20);
  for (const [offset, number] of read) made.read(0, offset, number);
  return made;
}

describe('an account', () => {
  test('of all where it was acknowledged is whole, with what was written and not acknowledged behind it', () => {
    const log = [0, 1, 2, undefined, 3, 4, 5];
    expect(ledger([[0, 0]]).settle([log])).toEqual({ acknowledged: 6, read: 1, ...whole });
    expect(ledger([[7, 6]]).settle([[...log, 6, 7]])).toEqual({ acknowledged: 6, read: 1, ...whole });
  });

  test('counts as lost what was acknowledged and is nowhere', () => {
    const { lost, changed, examples } = ledger().settle([[0, 1, 2]]);
    expect([lost, changed]).toEqual([3, 0]);
    expect(examples[0]).toBe('record 3 of partition 0 was acknowledged at offset 4 and is gone');
  });

  test('counts a whole partition that cannot be read as lost', () => {
    expect(ledger().settle([]).lost).toBe(6);
  });

  test('counts as duplicated, once, what is there at several offsets', () => {
    const { duplicated, disordered, examples } = ledger().settle([[0, 1, 2, undefined, 3, 4, 5, 3, 3]]);
    expect([duplicated, disordered]).toEqual([1, 0]);
    expect(examples).toEqual(['record 3 of partition 0 is at offsets 4 and 7 and 8']);
  });

  test('counts as disordered what comes for the first time behind a later one', () => {
    expect(ledger().settle([[0, 2, 1, undefined, 3, 4, 5]])).toMatchObject({ disordered: 1, changed: 2, lost: 0 });
  });

  test('counts as changed what was read and is something else in the end, or gone', () => {
    const read = ledger([
      [6, 5],
      [7, 6],
      [8, 7],
    ]);
    const { changed, examples } = read.settle([[0, 1, 2, undefined, 3, 4, 5, 9]]);
    expect(changed).toBe(2);
    expect(examples).toEqual([
      'at offset 7 of partition 0 6 was read, and 9 is there',
      'at offset 8 of partition 0 7 was read, and nothing is there',
    ]);
  });

  test('counts as skipped what a reader was not given, between what it was given', () => {
    const log = [0, 1, 2, undefined, 3, 4, 5];
    const read = (...offsets: readonly number[]) => ledger(offsets.map((offset) => [offset, log[offset] ?? -1]));
    expect(read(1, 2, 4).settle([log])).toMatchObject({ read: 3, skipped: 0 });
    const { skipped, examples } = read(1, 4, 6).settle([log]);
    expect(skipped).toBe(2);
    expect(examples).toEqual([
      'record 2 of partition 0 at offset 2 was passed by',
      'record 4 of partition 0 at offset 5 was passed by',
    ]);
  });

  test('counts the batches that were refused for a gap, though nothing is missing', () => {
    const refused = new Ledger(1, 0);
    refused.acknowledge(0, 0, 2, 0, 1);
    refused.refuse(0, 2);
    expect(refused.settle([[0, 1]])).toEqual({
      acknowledged: 2,
      read: 0,
      ...whole,
      refused: 1,
      examples: ['the batch of record 2 of partition 0 was refused as though one before it were missing'],
    });
  });

  test('keeps the first that was read at an offset, and names a few faults only', () => {
    const twice = ledger([
      [0, 0],
      [0, 5],
    ]);
    expect(twice.settle([[0, 1, 2, undefined, 3, 4, 5]])).toEqual({ acknowledged: 6, read: 1, ...whole });
    const many = new Ledger(1, 0);
    many.acknowledge(0, 0, 100, 0, 1);
    expect(many.settle([[]]).examples).toHaveLength(5);
  });
});

describe('the longest silence', () => {
  function timed(): Ledger {
    const made = new Ledger(2, 0);
    for (const now of [10, 20, 70, 80, 90, 100]) made.acknowledge(0, now, 1, now, now);
    for (const now of [10, 20, 30, 40, 50, 60, 70, 80]) made.acknowledge(1, now, 1, now, now);
    return made;
  }

  test('is that of the partition which was silent longest', () => {
    expect(timed().longestSilenceMs({ from: 0, to: 100 }, 100)).toBe(50);
  });

  test('counts in a window as far as it lies there', () => {
    expect(timed().longestSilenceMs({ from: 30, to: 100 }, 100)).toBe(40);
    expect(timed().longestSilenceMs({ from: 0, to: 45 }, 100)).toBe(25);
    expect(timed().longestSilenceMs({ from: 70, to: 80 }, 100)).toBe(10);
  });

  test('goes on to the end of a partition that never spoke again', () => {
    expect(timed().longestSilenceMs({ from: 75, to: 200 }, 200)).toBe(120);
  });

  test('is no service of any partition since', () => {
    expect([70, 80, 81].map((since) => timed().isServed(since))).toEqual([true, true, false]);
    expect(timed().acknowledgedEnd(0)).toBe(101);
    expect(new Ledger(1, 0).acknowledgedEnd(0)).toBe(0);
  });
});
