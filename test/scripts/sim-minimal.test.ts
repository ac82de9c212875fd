import { expect, test } from 'vitest';
import { isAlike } from '../../scripts/sim-minimal.ts';

test('fewer faults have brought about the same if the same rule is broken; a crash and a history must also say the same', () => {
  const alike = (rule: string, found: string, wanted: string): boolean =>
    isAlike({ rule, message: found }, { rule, message: wanted });
  expect(alike('R1', 'n1#1 leads epoch 3', 'n2#7 leads epoch 9')).toBe(true);
  expect(isAlike({ rule: 'R1', message: 'one' }, { rule: 'R2', message: 'one' })).toBe(false);
  expect(alike('crash', 'n1 called fatal: 7 of 9 are there', 'n3 called fatal: 12 of 13 are there')).toBe(true);
  expect(alike('crash', 'n1 called fatal: a log has a hole', 'n1 called fatal: 7 of 9 are there')).toBe(false);
  expect(alike('history', 'the history shows duplicate', 'the history shows duplicate')).toBe(true);
  expect(alike('history', 'the history shows duplicate', 'the history shows lost-write')).toBe(false);
});
