import { expect, test } from 'vitest';
import { Deadlines } from '#base/deadlines';
import { whenLed } from '#runtime/next-leader';
import type { Partition } from '#runtime/partition';
import type { Watcher } from '#runtime/partition-waiters';
import { FakeClock } from './fake-clock.ts';

/** As far as it is waited for. */
class Awaited {
  readonly watchers = new Set<Watcher>();
  leads = false;

  watch(watcher: Watcher): void {
    this.watchers.add(watcher);
  }

  unwatch(watcher: Watcher): void {
    this.watchers.delete(watcher);
  }

  lead(): void {
    this.leads = true;
    for (const watcher of [...this.watchers]) watcher.advanced();
  }

  get asPartition(): Partition {
    return this as unknown as Partition;
  }
}

test('who waits for partitions to be led goes on with the last of them, or after 50 ms, and leaves no watcher, also of one named twice', async () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const [first, second] = [new Awaited(), new Awaited()];
  const named = [first, second, first].map(({ asPartition }) => asPartition);
  let ends = 0;
  const wait = async (): Promise<void> => {
    await whenLed(named, deadlines);
    ends += 1;
  };

  void wait();
  first.lead();
  await Promise.resolve();
  expect(ends).toBe(0);
  second.lead();
  await Promise.resolve();
  expect([ends, first.watchers.size, second.watchers.size]).toEqual([1, 0, 0]);

  first.leads = false;
  void wait();
  clock.advance(50);
  await Promise.resolve();
  expect([ends, first.watchers.size, second.watchers.size]).toEqual([2, 0, 0]);
});
