import { expect, test } from 'vitest';
import { offset } from '#model/ids';
import { LastRecords } from '#runtime/last-records';

test('a key rests on its last record, and on none once that is known to be committed', () => {
  const last = new LastRecords(undefined);
  last.written(['a', 'b'], offset(1), offset(0));
  last.written(['a', undefined, 'a'], offset(4), offset(0));
  expect([last.of(['a']), last.of(['b']), last.of(['b', 'a']), last.of(['c'])]).toEqual([4, 1, 4, undefined]);
  last.written(['c'], offset(5), offset(4));
  expect([last.of(['a']), last.of(['b']), last.of(['c'])]).toEqual([4, undefined, 5]);
  last.written([], offset(6), offset(6));
  expect(last.of(['a', 'b', 'c'])).toBeUndefined();
});

test('every key rests on what was loaded', () => {
  const last = new LastRecords(offset(7));
  last.written(['a'], offset(8), offset(0));
  expect([last.of(['a']), last.of(['b'])]).toEqual([8, 7]);
});
