import type { Deadlines } from '#base/deadlines';
import type { Partition } from './partition.ts';
import type { WatchedEnd, Watcher } from './partition-waiters.ts';

/** A node whose metadata are further behind than this is no good leader for now. */
const BEHIND_MS = 50;
/** A follower that takes longer for what is appended already is not waited for. */
const SETTLING_MS = 100;

/**
 * Resolves when all of them are led here, or after 50 ms. Whoever was told of a new leader by another node may ask it before it knows
 * itself, for a moment. Refused a second time, a Java producer waits for 200 ms, and every client asks for metadata once more.
 */
export function whenLed(partitions: Iterable<Partition>, deadlines: Deadlines): Promise<void> {
  return whenEach(partitions, ({ leads }) => leads, 'led', BEHIND_MS, deadlines);
}

/** Resolves when each of them has committed all that it holds, or after 100 ms. */
export function whenSettled(partitions: Iterable<Partition>, deadlines: Deadlines): Promise<void> {
  const isSettled = ({ log, highWatermark }: Partition): boolean =>
    log === undefined || highWatermark >= log.logEndOffset;
  return whenEach(partitions, isSettled, 'committed', SETTLING_MS, deadlines);
}

/** Resolves when `holds` has been true of each of them, as looked at now and when `end` moves, or after `patienceMs`. */
function whenEach(
  partitions: Iterable<Partition>,
  holds: (partition: Partition) => boolean,
  end: WatchedEnd,
  patienceMs: number,
  deadlines: Deadlines,
): Promise<void> {
  return new Promise((resolve) => {
    const watched = new Map<Partition, Watcher>();
    const forget = (partition: Partition, watcher: Watcher): void => {
      partition.unwatch(watcher, end);
      watched.delete(partition);
    };
    for (const partition of partitions) {
      // A request may name one twice.
      if (watched.has(partition) || holds(partition)) continue;
      const watcher: Watcher = {
        advanced: () => {
          if (!holds(partition)) return;
          forget(partition, watcher);
          if (watched.size > 0) return;
          deadlines.cancel(deadline);
          resolve();
        },
      };
      watched.set(partition, watcher);
      partition.watch(watcher, end);
    }
    if (watched.size === 0) return resolve();
    const deadline = deadlines.after(patienceMs, () => {
      for (const [partition, watcher] of [...watched]) forget(partition, watcher);
      resolve();
    });
  });
}
