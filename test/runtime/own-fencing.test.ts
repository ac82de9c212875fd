import { expect, test } from 'vitest';
import { nodeId } from '#model/ids';
import { OwnFencing } from '#runtime/own-fencing';

const [me, other] = [nodeId(1), nodeId(2)];

test('a broker has been fenced since it served: not as it registers, nor as others are, and also if it serves again by the same delta', () => {
  let isFenced: boolean | undefined = true;
  const own = new OwnFencing(me, () => isFenced);
  const seen = (brokers: (typeof me)[], fenced: (typeof me)[], now: boolean | undefined): boolean => {
    isFenced = now;
    return own.happened({ brokers, fenced });
  };
  expect(seen([me], [], true)).toBe(false);
  expect(seen([me], [], false)).toBe(false);
  expect(seen([other], [other], false)).toBe(false);
  // It drains, or has lost a directory.
  expect(seen([me], [], false)).toBe(false);
  expect(seen([me], [me], true)).toBe(true);
  expect(seen([me], [], false)).toBe(false);
  expect(seen([me], [me], false)).toBe(true);
  expect(seen([me], [me], undefined)).toBe(false);
  expect(seen([me], [], false)).toBe(false);
  // By a snapshot.
  expect(seen([me, other], [], true)).toBe(true);
});
