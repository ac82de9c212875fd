import fc from 'fast-check';
import { expect, test } from 'vitest';
import { minimise } from '../../scripts/delta-debugging.ts';

const numbers = fc.uniqueArray(fc.nat(1000), { maxLength: 40 });

test('what is left fails, and without any one of its members it does not', async () => {
  const given = numbers.chain((all) =>
    fc.record({
      all: fc.constant(all),
      // It fails with all the members of one of these.
      causes: fc.array(fc.subarray(all), { minLength: 1, maxLength: 3 }),
      width: fc.integer({ min: 1, max: 4 }),
    }),
  );
  await fc.assert(
    fc.asyncProperty(given, async ({ all, causes, width }) => {
      const fails = (part: readonly number[]): boolean =>
        causes.some((cause) => cause.every((one) => part.includes(one)));
      let asked = 0;
      const left = await minimise(all, width, async (candidates) => {
        asked += candidates.length;
        expect(candidates.length).toBeLessThanOrEqual(width);
        return candidates.map(fails);
      });
      expect(fails(left)).toBe(true);
      for (const one of left) expect(fails(left.filter((other) => other !== one))).toBe(false);
      expect(all.filter((one) => left.includes(one))).toEqual(left);
      expect(asked).toBeLessThanOrEqual((all.length + 4) * (all.length + 4));
    }),
    { numRuns: 500 },
  );
});

test('one that needs nothing of it to fail is found at once', async () => {
  const sizes: number[] = [];
  const all = Array.from({ length: 60 }, (_, index) => index);
  const left = await minimise(all, 2, async (candidates) => {
    sizes.push(...candidates.map(({ length }) => length));
    return candidates.map(() => true);
  });
  expect([left, sizes]).toEqual([[], [0]]);
});
