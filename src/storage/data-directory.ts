import type { Codecs, Disk } from '#base/ports';
import {
  type MetaProperties,
  metaPropertiesText,
  parseMetaProperties,
  parseOffsetCheckpoint,
} from '#log/checkpoint-files';
import {
  CLEAN_SHUTDOWN_MARKER,
  CLEANER_CHECKPOINT,
  LOG_START_CHECKPOINT,
  META_PROPERTIES,
  parseLogDirName,
  RECOVERY_POINT_CHECKPOINT,
  segmentFileName,
} from '#log/file-names';
import { type NodeId, type Offset, offset, partitionName } from '#model/ids';
import { newUuid } from '#model/uuids';
import { codeOf, eachOf, joinPath, readText, replaceFile, writeNew } from './files.ts';
import { type JournalReplay, replayJournal, restartJournal } from './journal-recovery.ts';
import type { StoragePorts } from './log-directory.ts';
import { type FoundLog, identifyLog, type LoadPoint, type Unidentified } from './log-loader.ts';
import { ReplayWriter } from './replay-writer.ts';

/** A data directory cannot be used: it belongs to someone else, or what stands in it cannot be trusted. */
export class DirectoryError extends Error {
  override readonly name = 'DirectoryError';
  readonly code: 'foreign' | 'damaged';

  constructor(code: DirectoryError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** What a data directory holds, before its logs are loaded. */
export interface DirectoryContent {
  readonly logs: readonly FoundLog[];
  readonly unidentified: readonly Unidentified[];
  /** Copies of logs that stand in other directories, as far as they had grown. The topics' names may be cut. */
  readonly futures: readonly FoundLog[];
  /** Folders of deleted topics, and copies of which nobody can tell what they are, to be removed. */
  readonly doomed: readonly string[];
  /** Logs that the offset checkpoints speak of, whether or not they are there. */
  readonly savedNames: ReadonlySet<string>;
  /** The cleaner's checkpoint speaks of some. */
  readonly wasCompacted: boolean;
  pointOf(topic: string, partition: number): LoadPoint;
  readonly journalGeneration: number;
  /** See LogStore. */
  readonly cleanBrokerEpoch: number | undefined;
}

const IDENTIFY_PARALLEL = 64;

/**
 * Locks the directory and says whose it is; a new one gets its id. Rejects with IoError (ELOCKED: another process has it) or
 * DirectoryError.
 */
export async function claimDirectory({ random }: StoragePorts, disk: Disk, nodeId: NodeId): Promise<MetaProperties> {
  await disk.makeDir('');
  await disk.lock();
  const text = await readText(disk, META_PROPERTIES);
  if (text === undefined) {
    const made = { clusterId: undefined, directoryId: newUuid(random), nodeId };
    await writeMeta(disk, made);
    return made;
  }
  const parsed = parseMetaProperties(text);
  if (parsed.error !== undefined)
    throw new DirectoryError('damaged', `${disk.path}: ${META_PROPERTIES}: ${parsed.error}`);
  if (parsed.value.nodeId !== nodeId) {
    throw new DirectoryError(
      'foreign',
      `${disk.path} belongs to node ${parsed.value.nodeId}, not ${nodeId}: each node has a data directory (log.dirs) and an id (node.id) of its own`,
    );
  }
  return parsed.value;
}

export function writeMeta(disk: Disk, meta: MetaProperties): Promise<void> {
  return replaceFile(disk, '', META_PROPERTIES, metaPropertiesText(meta));
}

/** Looks at what is there and brings the journal's records to their places. Rejects with IoError or DirectoryError. */
export async function openDirectory({ codecs, logger }: StoragePorts, disk: Disk): Promise<DirectoryContent> {
  const names = await disk.list('');
  const isClean = names.includes(CLEAN_SHUTDOWN_MARKER);
  let cleanBrokerEpoch: number | undefined;
  if (isClean) {
    cleanBrokerEpoch = brokerEpochIn(await readText(disk, CLEAN_SHUTDOWN_MARKER));
    await disk.remove(CLEAN_SHUTDOWN_MARKER);
  }
  // A process that was killed may have left names that are not on the disk yet: what is read here counts as saved.
  await disk.syncDir('');
  const logs: FoundLog[] = [];
  const unidentified: Unidentified[] = [];
  const futures: FoundLog[] = [];
  await eachOf(names, IDENTIFY_PARALLEL, async (name) => {
    const found = await identifyLog(disk, name);
    if (found === undefined) {
      const future = await identifyLog(disk, name, '-future');
      if (future?.topicId !== undefined) futures.push(future);
      return;
    }
    if (found.topicId === undefined) unidentified.push(found);
    else logs.push(found);
  });
  // Their order came from the disk's timing.
  for (const each of [logs, futures]) each.sort((a, b) => (a.folder < b.folder ? -1 : 1));
  const isFuture = new Set(futures.map(({ folder }) => folder));
  const { generation, synced } = await recoverJournal(disk, codecs, logs, (records) => {
    logger.info({ directory: disk.path, records }, 'the commit journal was replayed');
  });
  const recoveryPoints = await readOffsets(disk, RECOVERY_POINT_CHECKPOINT);
  const logStarts = await readOffsets(disk, LOG_START_CHECKPOINT);
  const cleaned = await readOffsets(disk, CLEANER_CHECKPOINT).catch((failure) => {
    if (!(failure instanceof DirectoryError)) throw failure;
    logger.warn({ directory: disk.path, reason: failure.message }, 'compaction begins anew');
    return new Map<string, Offset>();
  });
  return {
    logs,
    unidentified,
    futures,
    doomed: names.filter((name) => {
      const suffix = parseLogDirName(name)?.suffix;
      return suffix === '-delete' || (suffix === '-future' && !isFuture.has(name));
    }),
    savedNames: new Set([...recoveryPoints.keys(), ...logStarts.keys(), ...cleaned.keys()]),
    wasCompacted: cleaned.size > 0,
    pointOf(topic, partition) {
      const name = partitionName(topic, partition);
      const recoveryPoint = recoveryPoints.get(name) ?? offset(0);
      const logStartOffset = logStarts.get(name) ?? offset(0);
      return { recoveryPoint, logStartOffset, cleanedOffset: cleaned.get(name) ?? offset(0), isClean, synced };
    },
    journalGeneration: generation,
    cleanBrokerEpoch,
  };
}

/** Undefined if the node was no registered broker when it was stopped. */
function brokerEpochIn(text: string | undefined): number | undefined {
  const epoch = Number(/"brokerEpoch":(\d+)/.exec(text ?? '')?.[1]);
  return Number.isSafeInteger(epoch) ? epoch : undefined;
}

/** The next start may trust that nothing was being written, and that all was synced, by the process with that broker epoch; -1: none. */
export async function markClean(disk: Disk, brokerEpoch: number): Promise<void> {
  await writeNew(disk, CLEAN_SHUTDOWN_MARKER, `{"version":0,"brokerEpoch":${brokerEpoch}}`, true);
  await disk.syncDir('');
}

/** Recovery points that are missing are 0; damaged ones leave no way to tell a torn tail from a loss, so nothing is recovered. */
async function readOffsets(disk: Disk, name: string): Promise<ReadonlyMap<string, Offset>> {
  const text = await readText(disk, name);
  if (text === undefined) return new Map();
  const parsed = parseOffsetCheckpoint(text);
  if (parsed.error !== undefined) {
    throw new DirectoryError(
      'damaged',
      `${disk.path}: ${name}: ${parsed.error}; without the file, all logs are scanned`,
    );
  }
  return new Map(parsed.value.map((entry) => [partitionName(entry.topic, entry.partition), entry.offset]));
}

interface RecoveredJournal {
  /** The highest that was used. */
  readonly generation: number;
  /** Segments that records were brought to. */
  readonly synced: ReadonlySet<string>;
}

/** Records of logs and segments that are gone are of no use; the others are the same bytes that the segments have or lack. */
async function recoverJournal(
  disk: Disk,
  codecs: Codecs,
  logs: readonly FoundLog[],
  replayed: (records: number) => void,
): Promise<RecoveredJournal> {
  const folders = new Map(logs.map(({ topicId, partition, folder }) => [`${topicId}-${partition}`, folder]));
  const writer = new ReplayWriter(disk);
  let replay: JournalReplay;
  let synced: ReadonlySet<string>;
  try {
    replay = await replayJournal(disk, codecs, async ({ topicId, partition, segmentBase, position, bytes }) => {
      const folder = folders.get(`${topicId}-${partition}`);
      if (folder === undefined) return;
      await writer.write(joinPath(folder, segmentFileName(segmentBase as Offset, '.log')), bytes, position);
    });
  } catch (failure) {
    if (codeOf(failure) !== undefined) throw failure;
    throw new DirectoryError('damaged', `${disk.path}: ${(failure as Error).message}`);
  } finally {
    synced = new Set(await writer.finish());
  }
  if (replay.recordCount === 0) return { generation: replay.generation, synced };
  replayed(replay.recordCount);
  return { generation: await restartJournal(disk, codecs, replay.generation), synced };
}
