import { at } from '#base/assert';
import type { Disk } from '#base/ports';
import { parsePartitionMetadata, partitionMetadataText } from '#log/checkpoint-files';
import {
  LEADER_EPOCH_CHECKPOINT,
  PARTITION_METADATA,
  parseLogDirName,
  parseSegmentFileName,
  segmentFileName,
} from '#log/file-names';
import { LeaderEpochCache } from '#log/leader-epoch-cache';
import { ProducerStates } from '#log/producer-state';
import { TransactionIndex } from '#log/transaction-index';
import { type Offset, offset, type Uuid } from '#model/ids';
import { joinPath, readText, readWhole, syncFile, writeNew } from './files.ts';
import type { LogConfig } from './log-config.ts';
import type { LogDirectory } from './log-directory.ts';
import { recoverLog } from './log-recovery.ts';
import type { LogParts } from './log-state.ts';
import { PartitionLog } from './partition-log.ts';
import { INDEXED_BYTES_MIN, Segment } from './segment.ts';
import { recoverSwaps } from './segment-swap.ts';

/** What the store gives to each of its logs. */
export type SharedParts = Pick<LogParts, 'cache' | 'jitter' | 'doom'>;

/** As shared parts, for logs whose topics' configs are not known yet. */
export type LoadedParts = SharedParts & Pick<LogParts, 'config' | 'isConfigKnown'>;

/** A log's folder, as a look at its name and its partition.metadata tells of it. */
export interface FoundLog {
  readonly folder: string;
  readonly topic: string;
  readonly partition: number;
  readonly topicId: Uuid;
}

/** A folder that should be a log's, and why one cannot tell whose. */
export interface Unidentified {
  readonly folder: string;
  readonly topic: string;
  readonly partition: number;
  readonly topicId: undefined;
  readonly reason: string;
}

/** A log that is there and not served, and why. Nothing in its folder is changed. */
export type Quarantined = (FoundLog | Unidentified) & { readonly directory: LogDirectory; readonly reason: string };

/** Where the last run left a log, by its directory's checkpoints. */
export interface LoadPoint {
  readonly recoveryPoint: Offset;
  /** The directory was shut down cleanly. */
  readonly isClean: boolean;
  readonly logStartOffset: Offset;
  /** Up to where the log was compacted. */
  readonly cleanedOffset: Offset;
  /** Segments, by path, that this start has synced already. */
  readonly synced: ReadonlySet<string>;
}

/** Beyond it a partition forgets the producer that wrote least recently: about 10 MB per partition at most. */
const PRODUCERS_MAX = 10_000;

/** Undefined if the folder is not of the kind that the suffix tells, or one's that was being made when the node died. */
export async function identifyLog(
  disk: Disk,
  folder: string,
  suffix: '' | '-future' = '',
): Promise<FoundLog | Unidentified | undefined> {
  const name = parseLogDirName(folder);
  if (name === undefined || name.suffix !== suffix) return undefined;
  const { topic, partition } = name;
  const text = await readText(disk, joinPath(folder, PARTITION_METADATA));
  const parsed = text === undefined ? { error: 'missing' } : parsePartitionMetadata(text);
  if (parsed.error === undefined) return { folder, topic, partition, topicId: parsed.value };
  // It is durable before anything is written to the log.
  if (await isEmpty(disk, folder)) return undefined;
  return { folder, topic, partition, topicId: undefined, reason: `${PARTITION_METADATA}: ${parsed.error}` };
}

/** Recovers the log; rejects with IoError. */
export async function loadLog(
  directory: LogDirectory,
  found: FoundLog,
  point: LoadPoint,
  shared: LoadedParts,
): Promise<PartitionLog | Quarantined> {
  const { folder } = found;
  const { config, isConfigKnown } = shared;
  const unfinished = await recoverSwaps(directory, folder);
  if (unfinished !== undefined) return { ...found, directory, reason: unfinished };
  const { segments, snapshots, hasEpochs } = await listFiles(directory, folder);
  await dropBelow(directory, segments, point.logStartOffset);
  if (segments.length === 0) {
    if (point.recoveryPoint > point.logStartOffset) {
      const reason = `no segment is there, but everything below ${point.recoveryPoint} was synced`;
      return { ...found, directory, reason };
    }
    segments.push(await makeSegment(directory, folder, point.logStartOffset, config));
  }
  for (const segment of segments) await measure(directory, segment);
  const first = at(segments, 0).baseOffset;
  const isSmall = first === 0 && segments.length === 1 && at(segments, 0).sizeBytes < INDEXED_BYTES_MIN;
  const saved = hasEpochs && !isSmall ? await readEpochs(directory, folder) : undefined;
  const epochs = saved ?? new LeaderEpochCache();
  const savedText = saved?.toText();
  const producers = newProducers(directory);
  const recovered = await recoverLog({
    directory,
    folder,
    config,
    segments,
    snapshots,
    epochs,
    epochsLost: saved === undefined,
    producers,
    recoveryPoint: Math.max(point.recoveryPoint, first) as Offset,
    isSmall,
  });
  if ('quarantine' in recovered) return { ...found, directory, reason: recovered.quarantine };
  await syncFound(directory, segments, point);
  const isAsClosed = point.isClean && point.recoveryPoint === recovered.end && snapshots.at(-1) === recovered.end;
  // Whoever died may have left a small log's file behind its batches; once the log has grown, the file is believed.
  const epochsSaved = isSmall && (isAsClosed || !hasEpochs) ? 'unread' : epochs.toText() === savedText;
  const logStartOffset = Math.max(first, Math.min(point.logStartOffset, recovered.end)) as Offset;
  epochs.truncateFromStart(logStartOffset);
  return new PartitionLog({
    ...shared,
    ...found,
    directory,
    config,
    isConfigKnown,
    segments,
    snapshots,
    replayedBytes: recovered.replayedBytes,
    producers,
    epochs,
    epochsSaved,
    // Whoever died before the log's first sync has left names that may yet vanish.
    isNamed: recovered.end > 0,
    isAsClosed,
    logStartOffset,
    // The segments below may come back with a power cut, if nobody has synced that they went.
    savedStartOffset: point.logStartOffset,
    recoveryPoint: Math.max(point.recoveryPoint, first) as Offset,
    // Beyond the end it speaks of what was lost.
    cleanedOffset: point.cleanedOffset > recovered.end ? logStartOffset : point.cleanedOffset,
  });
}

/**
 * A process that was killed has left writes that the machine has and the disk may not have: before they count as durable they are
 * synced. Those that a power cut has left are on disk, and their sync costs little.
 */
async function syncFound(
  { writers }: LogDirectory,
  segments: readonly Segment[],
  { recoveryPoint, synced }: LoadPoint,
): Promise<void> {
  for (const segment of segments) {
    const path = segment.path('.log');
    if (segment.endOffset <= recoveryPoint || segment.sizeBytes === 0 || synced.has(path)) continue;
    const open = await writers.usePromised(path);
    try {
      await syncFile(open.file);
    } finally {
      writers.release(open);
    }
  }
}

/**
 * A new log's folder and first segment; durable with its first batches, but at once if it starts above 0: should it vanish with the power, the
 * replica would begin again at 0, and, if it was in sync, give offsets out a second time.
 */
export async function createLog(
  directory: LogDirectory,
  found: FoundLog,
  config: LogConfig,
  startOffset: Offset,
  shared: SharedParts,
): Promise<PartitionLog> {
  const { folder, topicId } = found;
  await directory.disk.makeDir(folder);
  const segment = await makeSegment(directory, folder, startOffset, config);
  // Last: without it the next start takes the folder for nothing, and the log may have been made elsewhere.
  const isNamed = startOffset > 0;
  await writeNew(directory.disk, joinPath(folder, PARTITION_METADATA), partitionMetadataText(topicId), isNamed);
  if (isNamed) {
    await directory.disk.syncDir(folder);
    await directory.syncNames();
  }
  return new PartitionLog({
    ...shared,
    ...found,
    directory,
    config,
    isConfigKnown: true,
    segments: [segment],
    snapshots: [],
    replayedBytes: 0,
    producers: newProducers(directory),
    epochs: new LeaderEpochCache(),
    epochsSaved: true,
    isNamed,
    isAsClosed: false,
    logStartOffset: startOffset,
    savedStartOffset: startOffset,
    recoveryPoint: startOffset,
    cleanedOffset: offset(0),
  });
}

function newProducers({ codecs }: LogDirectory): ProducerStates {
  return new ProducerStates((bytes, seed) => codecs.crc32c(bytes, seed), { maxProducers: PRODUCERS_MAX });
}

async function isEmpty(disk: Disk, folder: string): Promise<boolean> {
  for (const name of await disk.list(folder)) {
    const parsed = parseSegmentFileName(name);
    if (parsed === undefined) continue;
    // Offsets below were given out once. A log of which no segment has a file has a snapshot there.
    if (parsed.baseOffset > 0) return false;
    if (parsed.extension !== '.log') continue;
    const file = await disk.open(joinPath(folder, name), 'read');
    const sizeBytes = await file.sizeBytes();
    await file.close();
    if (sizeBytes > 0) return false;
  }
  return true;
}

interface LogFiles {
  readonly segments: Segment[];
  readonly snapshots: Offset[];
  readonly hasEpochs: boolean;
}

/** The log's files by name; those that the last run was about to remove, or had not finished, go. */
async function listFiles(directory: LogDirectory, folder: string): Promise<LogFiles> {
  const names = await directory.disk.list(folder);
  const bases = new Set(
    names
      .map(parseSegmentFileName)
      .flatMap((file) => (file?.extension === '.log' && !file.suffix ? [file.baseOffset] : [])),
  );
  const segments: Segment[] = [];
  const snapshots: Offset[] = [];
  for (const name of names) {
    const file = parseSegmentFileName(name);
    const isUnfinished =
      file === undefined ? name.endsWith('.tmp') : file.suffix === '.deleted' || file.suffix === '.cleaned';
    if (isUnfinished) await directory.disk.remove(joinPath(folder, name));
    else if (file?.extension === '.log') segments.push(newSegment(directory, folder, file.baseOffset));
    else if (file?.extension === '.snapshot') snapshots.push(file.baseOffset);
    else if (file !== undefined && !bases.has(file.baseOffset)) await directory.disk.remove(joinPath(folder, name));
  }
  const hasTransactions = new Set(names.filter((name) => name.endsWith('.txnindex')));
  for (const segment of segments) {
    if (!hasTransactions.has(segmentFileName(segment.baseOffset, '.txnindex'))) continue;
    if (await readTransactions(directory, segment)) continue;
    // No snapshot behind the segment's start may spare the replay that rebuilds it.
    const useless = snapshots.findIndex((each) => each > segment.baseOffset);
    if (useless >= 0) snapshots.splice(useless);
  }
  return { segments, snapshots, hasEpochs: names.includes(LEADER_EPOCH_CHECKPOINT) };
}

function newSegment({ clock }: LogDirectory, folder: string, baseOffset: Offset): Segment {
  const segment = new Segment({ folder, baseOffset, createdAt: clock.wall(), jitterMs: 0 });
  return segment;
}

async function readTransactions({ disk, logger }: LogDirectory, segment: Segment): Promise<boolean> {
  const path = segment.path('.txnindex');
  const parsed = TransactionIndex.from(segment.baseOffset, (await readWhole(disk, path)) ?? new Uint8Array(0));
  if (parsed.error === undefined) segment.loadedTransactions(parsed.value);
  else logger.warn({ path, reason: parsed.error }, 'a transaction index is damaged: rebuilt');
  return parsed.error === undefined;
}

/** Segments that lie wholly below the log's start were about to be deleted. */
async function dropBelow(directory: LogDirectory, segments: Segment[], logStart: Offset): Promise<void> {
  while (segments[1] !== undefined && segments[1].baseOffset <= logStart) {
    const segment = segments.shift() as Segment;
    for (const extension of ['.log', '.index', '.timeindex', '.txnindex'] as const) {
      await directory.disk.remove(segment.path(extension));
    }
  }
}

async function measure(directory: LogDirectory, segment: Segment): Promise<void> {
  const open = await directory.readers.usePromised(segment.path('.log'));
  try {
    segment.sizeBytes = await open.file.sizeBytes();
    segment.writtenBytes = segment.sizeBytes;
    // An empty one was made by someone who may have died before its name was durable.
    segment.isNamed = segment.sizeBytes > 0;
  } finally {
    directory.readers.release(open);
  }
}

async function makeSegment(
  directory: LogDirectory,
  folder: string,
  baseOffset: Offset,
  { segmentIndexBytes }: LogConfig,
): Promise<Segment> {
  const facts = { folder, baseOffset, createdAt: directory.clock.wall(), jitterMs: 0 };
  const segment = Segment.active(facts, segmentIndexBytes);
  const file = await directory.disk.open(segment.path('.log'), 'write');
  await file.close();
  return segment;
}

async function readEpochs({ disk, logger }: LogDirectory, folder: string): Promise<LeaderEpochCache | undefined> {
  const path = joinPath(folder, LEADER_EPOCH_CHECKPOINT);
  const parsed = LeaderEpochCache.parse((await readText(disk, path)) ?? '');
  if (parsed.error === undefined) return parsed.value;
  logger.warn({ path, reason: parsed.error }, 'the leader epochs are read from the log instead');
  return undefined;
}
