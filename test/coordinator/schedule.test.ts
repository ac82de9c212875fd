import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Schedule, type Scheduled } from '#coordinator/schedule';

const ITEMS = 12;

test('items are taken in the order of their last due times, each at most once, whatever was set before', () => {
  const settings = fc.array(fc.tuple(fc.nat(ITEMS - 1), fc.oneof(fc.nat(50), fc.constant(Number.POSITIVE_INFINITY))), {
    maxLength: 80,
  });
  fc.assert(
    fc.property(settings, fc.nat(60), (sets, now) => {
      const schedule = new Schedule<Scheduled>();
      const items = Array.from({ length: ITEMS }, () => ({ dueAt: Number.POSITIVE_INFINITY, place: -1 }));
      const due = new Map<Scheduled, number>();
      for (const [index, dueAt] of sets) {
        const item = items[index] as Scheduled;
        schedule.set(item, dueAt);
        if (dueAt === Number.POSITIVE_INFINITY) due.delete(item);
        else due.set(item, dueAt);
      }
      expect(schedule.nextDueAt).toBe(Math.min(Number.POSITIVE_INFINITY, ...due.values()));
      const taken: number[] = [];
      for (let item = schedule.take(now); item !== undefined; item = schedule.take(now)) {
        taken.push(due.get(item) as number);
        due.delete(item);
      }
      expect(taken).toEqual(taken.toSorted((a, b) => a - b));
      expect([...due.values()].every((dueAt) => dueAt > now)).toBe(true);
      expect(schedule.nextDueAt).toBe(Math.min(Number.POSITIVE_INFINITY, ...due.values()));
    }),
  );
});
