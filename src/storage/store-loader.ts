import type { Disk, Logger } from '#base/ports';
import { partitionName } from '#model/ids';
import type { DataDirectories } from './data-directories.ts';
import type { DirectoryContent } from './data-directory.ts';
import { eachOf } from './files.ts';
import { defaultLogConfig } from './log-config.ts';
import type { LogDirectory } from './log-directory.ts';
import { loadLog, type SharedParts } from './log-loader.ts';
import type { LogQuarantine } from './log-quarantine.ts';
import type { LogRemovals } from './log-removals.ts';
import { PartitionLog } from './partition-log.ts';
import type { FoundFuture, ReplicaFutures } from './replica-futures.ts';

/** A store before its start, with where the logs go that are found. */
export interface LoadedStore {
  readonly logger: Logger;
  readonly directories: DataDirectories;
  readonly logs: Map<string, PartitionLog>;
  readonly quarantine: LogQuarantine;
  readonly removals: LogRemovals;
  readonly futures: ReplicaFutures;
  shared(directory: LogDirectory): SharedParts;
}

const LOAD_PARALLEL = 16;

/** Recovers every log in the data directories; rejects as LogStore.open does. */
export async function loadStore(disks: readonly Disk[], store: LoadedStore): Promise<void> {
  const futures: FoundFuture[] = [];
  for (const [place, disk] of disks.entries()) {
    await store.directories.open(disk, place === 0, async (directory, content) => {
      await loadDirectory(store, directory, content);
      for (const found of content.futures)
        futures.push({ directory, found, point: content.pointOf(found.topic, found.partition) });
    });
  }
  // What they are copies of may be in a directory that could not be read: then they are left as they are.
  if (!store.directories.isPartial) for (const future of futures) await adopt(store, future);
}

async function loadDirectory(store: LoadedStore, directory: LogDirectory, content: DirectoryContent): Promise<void> {
  const { removals, quarantine } = store;
  for (const path of content.doomed) removals.doom(directory, path, 0);
  for (const each of content.unidentified)
    quarantine.add({ ...each, directory }, content.pointOf(each.topic, each.partition));
  const shared = { ...store.shared(directory), config: defaultLogConfig(), isConfigKnown: false };
  await eachOf(content.logs, LOAD_PARALLEL, async (found) => {
    const point = content.pointOf(found.topic, found.partition);
    const loaded = await loadLog(directory, found, point, shared);
    if (!(loaded instanceof PartitionLog)) quarantine.add(loaded, point);
    else if (!(await take(store, loaded)))
      quarantine.add({ ...found, directory, reason: 'another data directory holds the partition, too' }, point);
  });
}

async function adopt({ logs, futures }: LoadedStore, future: FoundFuture): Promise<void> {
  const { topicId, partition } = future.found;
  const log = [...logs.values()].find((known) => known.topicId === topicId && known.partition === partition);
  await futures.adopt(future, log);
}

/**
 * False: another directory holds a log of that name, of another topic. One of the same topic was left by a move that a crash has cut
 * short: the one that went on is kept.
 */
async function take({ logger, logs, removals }: LoadedStore, log: PartitionLog): Promise<boolean> {
  const name = partitionName(log.topic, log.partition);
  const held = logs.get(name);
  if (held !== undefined && held.topicId !== log.topicId) {
    await log.abandon();
    return false;
  }
  const kept = held === undefined || isAhead(log, held) ? log : held;
  const other = kept === log ? held : log;
  if (other !== undefined) {
    logger.warn({ log: name, directory: other.directory.disk.path }, 'a log that has moved is set aside');
    logs.delete(name);
    await removals.remove(other, undefined);
  }
  logs.set(name, kept);
  return true;
}

function isAhead(log: PartitionLog, other: PartitionLog): boolean {
  const epochs = (log.epochs.latest()?.epoch ?? -1) - (other.epochs.latest()?.epoch ?? -1);
  return epochs === 0 ? log.logEndOffset > other.logEndOffset : epochs > 0;
}
