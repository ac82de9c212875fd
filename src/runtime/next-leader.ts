import type { Deadlines } from '#base/deadlines';
import type { Partition } from './partition.ts';
import type { Watcher } from './partition-waiters.ts';

/** A node whose metadata are further behind than this is no good leader for now. */
const BEHIND_MS = 50;

/**
 * Resolves when all of them are led here, or after 50 ms. Whoever was told of a new leader by another node may ask it before it knows
 * itself, for a moment. Refused a second time, a Java producer waits for 200 ms, and every client asks for metadata once more.
 */
export function whenLed(partitions: readonly Partition[], deadlines: Deadlines): Promise<void> {
  return new Promise((resolve) => {
    const watcher: Watcher = {
      advanced: () => {
        if (!partitions.every(({ leads }) => leads)) return;
        deadlines.cancel(deadline);
        end();
      },
    };
    const end = (): void => {
      for (const partition of partitions) partition.unwatch(watcher, 'led');
      resolve();
    };
    const deadline = deadlines.after(BEHIND_MS, end);
    for (const partition of partitions) partition.watch(watcher, 'led');
  });
}
