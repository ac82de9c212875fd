import { assert } from '#base/assert';
import type { Codecs, Disk } from '#base/ports';
import { metaPropertiesText, type MetaProperties, parseMetaProperties, parseOffsetCheckpoint } from '#log/checkpoint-files';
import {
  CLEAN_SHUTDOWN_MARKER,
  LOG_START_CHECKPOINT,
  META_PROPERTIES,
  parseLogDirName,
  RECOVERY_POINT_CHECKPOINT,
  segmentFileName,
} from '#log/file-names';
import { type NodeId, type Offset, offset, partitionName, type Uuid, uuidFromBytes } from '#model/ids';
import { codeOf, eachOf, joinPath, openToRead, readText, replaceFile, syncFile, writeAt, writeNew } from './files.ts';
import { replayJournal, restartJournal } from './journal-recovery.ts';
import type { StoragePorts } from './log-directory.ts';
import { type FoundLog, identifyLog, type LoadPoint, type Unidentified } from './log-loader.ts';

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
  /** Folders of deleted topics, to be removed. */
  readonly doomed: readonly string[];
  pointOf(topic: string, partition: number): LoadPoint;
  readonly journalGeneration: number;
}

const IDENTIFY_PARALLEL = 16;
const SYNC_PARALLEL = 4;

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
  if (parsed.error !== undefined) throw new DirectoryError('damaged', `${disk.path}: ${META_PROPERTIES}: ${parsed.error}`);
  if (parsed.value.nodeId !== nodeId) {
    throw new DirectoryError('foreign', `${disk.path} belongs to node ${parsed.value.nodeId}, not ${nodeId}`);
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
  if (isClean) {
    await disk.remove(CLEAN_SHUTDOWN_MARKER);
    await disk.syncDir('');
  }
  const logs: FoundLog[] = [];
  const unidentified: Unidentified[] = [];
  await eachOf(names, IDENTIFY_PARALLEL, async (name) => {
    const found = await identifyLog(disk, name);
    if (found === undefined) return;
    if (found.topicId === undefined) unidentified.push(found);
    else logs.push(found);
  });
  // Their order came from the disk's timing.
  logs.sort((a, b) => (a.folder < b.folder ? -1 : 1));
  const generation = await recoverJournal(disk, codecs, logs, (records) => {
    logger.info({ directory: disk.path, records }, 'the commit journal was replayed');
  });
  const recoveryPoints = await readOffsets(disk, RECOVERY_POINT_CHECKPOINT);
  const logStarts = await readOffsets(disk, LOG_START_CHECKPOINT);
  return {
    logs,
    unidentified,
    doomed: names.filter((name) => parseLogDirName(name)?.suffix === '-delete'),
    pointOf(topic, partition) {
      const name = partitionName(topic, partition);
      return { recoveryPoint: recoveryPoints.get(name) ?? offset(0), logStartOffset: logStarts.get(name) ?? offset(0) };
    },
    journalGeneration: generation,
  };
}

/** The next start may trust that nothing was being written. */
export async function markClean(disk: Disk): Promise<void> {
  await writeNew(disk, CLEAN_SHUTDOWN_MARKER, '{"version":0,"brokerEpoch":-1}', true);
  await disk.syncDir('');
}

/** Recovery points that are missing are 0; damaged ones leave no way to tell a torn tail from a loss, so nothing is recovered. */
async function readOffsets(disk: Disk, name: string): Promise<ReadonlyMap<string, Offset>> {
  const text = await readText(disk, name);
  if (text === undefined) return new Map();
  const parsed = parseOffsetCheckpoint(text);
  if (parsed.error !== undefined) {
    throw new DirectoryError('damaged', `${disk.path}: ${name}: ${parsed.error}; without the file, all logs are scanned`);
  }
  return new Map(parsed.value.map((entry) => [partitionName(entry.topic, entry.partition), entry.offset]));
}

/** Records of logs and segments that are gone are of no use; the others are the same bytes that the segments have or lack. */
async function recoverJournal(
  disk: Disk,
  codecs: Codecs,
  logs: readonly FoundLog[],
  replayed: (records: number) => void,
): Promise<number> {
  const folders = new Map(logs.map(({ topicId, partition, folder }) => [`${topicId}-${partition}`, folder]));
  const isThere = new Map<string, boolean>();
  const replay = await replayJournal(disk, codecs, async (entry) => {
    const folder = folders.get(`${entry.topicId}-${entry.partition}`);
    if (folder === undefined) return;
    const path = joinPath(folder, segmentFileName(entry.segmentBase as Offset, '.log'));
    let there = isThere.get(path);
    if (there === undefined) {
      const file = await openToRead(disk, path);
      await file?.close();
      there = file !== undefined;
      isThere.set(path, there);
    }
    if (!there) return;
    const file = await disk.open(path, 'write');
    try {
      await writeAt(file, [entry.bytes], entry.position);
    } finally {
      await file.close();
    }
  }).catch((failure) => {
    if (codeOf(failure) !== undefined) throw failure;
    throw new DirectoryError('damaged', `${disk.path}: ${(failure as Error).message}`);
  });
  if (replay.recordCount === 0) return replay.generation;
  const touched = [...isThere].flatMap(([path, there]) => (there ? [path] : []));
  await eachOf(touched, SYNC_PARALLEL, async (path) => {
    const file = await disk.open(path, 'write');
    try {
      await syncFile(file);
    } finally {
      await file.close();
    }
  });
  replayed(replay.recordCount);
  return await restartJournal(disk, codecs, replay.generation);
}

function newUuid(random: StoragePorts['random']): Uuid {
  const bytes = new Uint8Array(16);
  random.secret(bytes);
  assert(bytes.length === 16, 'a uuid has 16 bytes');
  return uuidFromBytes(bytes);
}
