import { at } from '#base/assert';
import type { File } from '#base/ports';
import { readEndMarker } from '#log/end-marker';
import { segmentFileName } from '#log/file-names';
import type { LeaderEpochCache } from '#log/leader-epoch-cache';
import type { ProducerStates } from '#log/producer-state';
import { recoveryDecision } from '#log/recovery';
import { SegmentIndexes, timestampToIndex } from '#log/segment-indexes';
import type { BatchVisitor, ScanResult } from '#log/segment-scan';
import { type LeaderEpoch, leaderEpoch, type Offset } from '#model/ids';
import { BATCH_HEADER_BYTES, isControl, lastOffset } from '#protocol/record-batch';
import { batchBaseOffset, batchMaxTimestamp, batchRecordCount } from './batch-walk.ts';
import { joinPath, readAt, readWhole, replaceFile, syncFile } from './files.ts';
import { readIndexes } from './index-cache.ts';
import type { LogConfig } from './log-config.ts';
import type { LogDirectory } from './log-directory.ts';
import { type FileScanOptions, scanFile } from './scan-file.ts';
import { INDEXED_BYTES_MIN, type Segment } from './segment.ts';

/** A log's files as they were found, and its state, which recovery makes agree with them. */
export interface RecoverableLog {
  readonly directory: LogDirectory;
  readonly folder: string;
  readonly config: LogConfig;
  /** At least one, ascending; the sizes are those of the files. Those that do not continue the log are taken away. */
  readonly segments: Segment[];
  /** Ascending; those that prove useless are taken away. */
  readonly snapshots: Offset[];
  readonly epochs: LeaderEpochCache;
  /** The epochs are not known: all batches tell of them. */
  readonly epochsLost: boolean;
  readonly producers: ProducerStates;
  /** Everything below is whole. */
  readonly recoveryPoint: Offset;
  /** All batches that ever were are here, and few: they are read, and nothing else needs to be. */
  readonly isSmall: boolean;
}

/** `replayedBytes`: of the batches above the newest producer snapshot, which the next recovery would replay again. */
export type Recovered = { readonly end: Offset; readonly replayedBytes: number } | { readonly quarantine: string };

const POSITION_MAX = 0x7fff_ffff;

/**
 * Scans what lies above the recovery point, or above the producer snapshot below it: cuts a torn tail, rebuilds indexes, producer
 * state and epochs from there on. Damage below the recovery point leaves everything as it is and is returned as quarantine.
 * Rejects with IoError.
 */
export async function recoverLog(log: RecoverableLog): Promise<Recovered> {
  const { segments, producers, recoveryPoint, directory, epochs } = log;
  producers.clear();
  const snapshot = log.isSmall ? undefined : await loadSnapshot(log, recoveryPoint);
  const logStart = at(segments, 0).baseOffset;
  // What was saved of higher offsets may be of batches that were cut since.
  if ((log.snapshots.at(-1) ?? 0) > recoveryPoint) await dropSnapshotsAbove(log, recoveryPoint);
  epochs.truncateFromEnd(recoveryPoint);
  const replayFrom =
    log.epochsLost || log.isSmall ? logStart : (Math.min(recoveryPoint, snapshot ?? logStart) as Offset);
  let replayedBytes = 0;
  const follow = (index: number): BatchVisitor => {
    const segment = at(segments, index);
    return (header, _position, bytes) => {
      if (header.partitionLeaderEpoch >= 0)
        assignEpoch(epochs, header.partitionLeaderEpoch, header.baseOffset as Offset);
      const last = lastOffset(header) as Offset;
      if (last < (snapshot ?? 0)) return;
      replayedBytes += header.sizeBytes;
      const marker = isControl(header) ? readEndMarker(bytes, header) : undefined;
      const ended = producers.append(header, header.baseOffset as Offset, last, header.maxTimestamp, marker);
      if (ended?.aborted) segment.abort(ended);
    };
  };
  // A segment that ends right there may not have been sealed any more.
  let index = Math.max(
    0,
    segments.findLastIndex(({ baseOffset }) => baseOffset < replayFrom),
  );
  for (const [place, segment] of segments.entries()) {
    if (place < index) {
      segment.sealed = true;
      segment.endOffset = at(segments, place + 1).baseOffset;
      continue;
    }
    segment.reopen();
    cutTransactions(segment, snapshot ?? logStart);
  }
  for (; index < segments.length; index += 1) {
    const segment = at(segments, index);
    const next = segments[index + 1];
    const scan = await scanFrom(
      log,
      segment,
      replayFrom,
      next === undefined ? recoveryPoint : undefined,
      follow(index),
    );
    const sizeBytes = segment.sizeBytes;
    const facts = { scan, sizeBytes, recoveryPoint, nextBaseOffset: next?.baseOffset };
    const decision = recoveryDecision(facts);
    if (decision.kind === 'quarantine') return { quarantine: `${segment.path('.log')}: ${decision.reason}` };
    if (decision.kind === 'truncate') {
      directory.logger.warn(
        {
          segment: segment.path('.log'),
          at: decision.toBytes,
          dropped: sizeBytes - decision.toBytes,
          reason: decision.reason,
        },
        'the tail of a log is cut after its last whole batch',
      );
      if (decision.toBytes < sizeBytes) await cutFile(log, segment, decision.toBytes);
      if (decision.dropLater) await dropSegments(log, index + 1);
    }
    segment.endOffset = scan.endOffset;
    if (index < segments.length - 1) {
      await sealRebuilt(log, segment);
      if (segment.endOffset < (snapshot ?? 0)) continue;
      await takeSnapshot(log, segment.endOffset);
      replayedBytes = 0;
    }
  }
  const active = at(segments, segments.length - 1);
  epochs.truncateFromEnd(active.endOffset);
  return { end: active.endOffset, replayedBytes };
}

/** Removes the segments from `from` on, the last one first: what remains is the log's beginning, whenever a crash comes. */
export async function dropSegments(
  { directory, segments, folder }: Pick<RecoverableLog, 'directory' | 'segments' | 'folder'>,
  from: number,
): Promise<void> {
  while (segments.length > from) {
    const segment = segments.pop() as Segment;
    directory.readers.forget(segment.path('.log'));
    directory.writers.forget(segment.path('.log'));
    directory.indexes.forget(segment);
    for (const extension of ['.log', '.index', '.timeindex', '.txnindex'] as const) {
      await directory.disk.remove(segment.path(extension));
    }
    await directory.disk.syncDir(folder);
  }
}

/** For good, as are earlier removals: a snapshot that came back would be taken for one of what is appended next. */
export async function dropSnapshotsAbove(
  { directory, snapshots, folder }: Pick<RecoverableLog, 'directory' | 'snapshots' | 'folder'>,
  end: Offset,
): Promise<void> {
  while ((snapshots.at(-1) ?? 0) > end) {
    await directory.disk.remove(joinPath(folder, segmentFileName(snapshots.pop() as Offset, '.snapshot')));
  }
  await directory.disk.syncDir(folder);
}

export async function cutFile(
  { directory }: Pick<RecoverableLog, 'directory'>,
  segment: Segment,
  toBytes: number,
): Promise<void> {
  directory.readers.forget(segment.path('.log'));
  const open = await directory.writers.usePromised(segment.path('.log'));
  try {
    await open.file.truncate(toBytes);
    await syncFile(open.file);
  } finally {
    directory.writers.release(open);
  }
  segment.sizeBytes = toBytes;
  segment.writtenBytes = toBytes;
}

/** The newest snapshot that tells of nothing above `limit`; undefined: the log is replayed from its start. */
async function loadSnapshot(log: RecoverableLog, limit: Offset): Promise<Offset | undefined> {
  const { directory, folder, snapshots, producers } = log;
  for (const offset of snapshots.filter((each) => each <= limit).reverse()) {
    const path = joinPath(folder, segmentFileName(offset, '.snapshot'));
    const bytes = await readWhole(directory.disk, path);
    const loaded = bytes && producers.loadSnapshot(bytes);
    if (loaded !== undefined && loaded.error === undefined) return offset;
    directory.logger.warn({ path, reason: loaded?.error ?? 'missing' }, 'a producer snapshot is not used');
    // Its name alone would let the segments before it go.
    snapshots.splice(snapshots.indexOf(offset), 1);
    await directory.disk.remove(path);
  }
  return undefined;
}

/** Where a segment begins, because those before it may be deleted. */
async function takeSnapshot(
  { directory, folder, snapshots, producers }: RecoverableLog,
  offset: Offset,
): Promise<void> {
  // One that is there may not be there for good.
  await replaceFile(directory.disk, folder, segmentFileName(offset, '.snapshot'), producers.takeSnapshot());
  if (!snapshots.includes(offset)) snapshots.splice(snapshots.findLastIndex((each) => each < offset) + 1, 0, offset);
}

/** Aborts whose markers are replayed are told again. */
function cutTransactions(segment: Segment, replayFrom: Offset): void {
  if (segment.transactions === undefined) return;
  const before = segment.transactions.entryCount;
  segment.transactions.truncateTo(replayFrom);
  if (segment.transactions.entryCount < before) segment.transactionsCut();
}

function assignEpoch(epochs: LeaderEpochCache, epoch: number, start: Offset): void {
  const latest = epochs.latest();
  if (latest === undefined || epoch > latest.epoch) epochs.assign(leaderEpoch(epoch) as LeaderEpoch, start);
}

/**
 * Scans the segment from the last indexed batch below `replayFrom`, feeding its indexes; the whole of it if they are of no use.
 * `onceEnded` as in SegmentScanOptions: compaction may have taken the batch that ended there from any segment but the last.
 */
async function scanFrom(
  { directory, config }: RecoverableLog,
  segment: Segment,
  replayFrom: Offset,
  onceEnded: Offset | undefined,
  follow: BatchVisitor,
): Promise<ScanResult> {
  const { baseOffset, sizeBytes } = segment;
  const open = await directory.readers.usePromised(segment.path('.log'));
  try {
    // What lies above the scan's start is dropped from them: it may point anywhere.
    const isWorthwhile = sizeBytes >= INDEXED_BYTES_MIN && replayFrom > baseOffset;
    const stored =
      segment.indexes ?? (isWorthwhile ? await readIndexes(directory.disk, segment, POSITION_MAX) : undefined);
    if (stored !== undefined) {
      const before = stored.offsets.entryCount + stored.times.entryCount;
      // PLANTED BUG stale-index: what an index says is believed, also of what was cut since.
      const isStale = directory.planted.has('stale-index');
      const position = isStale ? (stored.offsets.last?.position ?? 0) : stored.truncateTo(replayFrom);
      const last = stored.offsets.last;
      const cut = stored.offsets.entryCount + stored.times.entryCount < before;
      if (last !== undefined && (isStale || (await agree(open.file, stored, position, last.offset)))) {
        if (cut) segment.rebuilt(stored);
        else if (segment.indexes !== stored) segment.loaded(stored);
        segment.firstTimestamp = await firstTimestamp(open.file);
        const from = { position, lastOffset: last.offset, onceEnded };
        const scan = await scanInto(open.file, directory, segment, stored, config, from, follow);
        if (scan.validBytes > position || scan.ending === 'end') return scan;
      }
    }
    const indexes = SegmentIndexes.empty(baseOffset, config.segmentIndexBytes);
    segment.rebuilt(indexes);
    const from = { position: 0, lastOffset: undefined, onceEnded };
    return await scanInto(open.file, directory, segment, indexes, config, from, (header, position, bytes) => {
      if (position === 0) segment.firstTimestamp = header.maxTimestamp;
      follow(header, position, bytes);
    });
  } finally {
    directory.readers.release(open);
  }
}

function scanInto(
  file: File,
  { codecs, scanChunks }: LogDirectory,
  { baseOffset, sizeBytes }: Segment,
  indexes: SegmentIndexes,
  { indexIntervalBytes }: LogConfig,
  from: Pick<FileScanOptions, 'position' | 'lastOffset' | 'onceEnded'>,
  follow: BatchVisitor,
): Promise<ScanResult> {
  return scanFile(file, codecs, scanChunks, { baseOffset, sizeBytes, ...from }, (header, batchAt, bytes) => {
    indexes.add(lastOffset(header) as Offset, timestampToIndex(header), batchAt, header.sizeBytes, indexIntervalBytes);
    follow(header, batchAt, bytes);
  });
}

async function firstTimestamp(file: File): Promise<number> {
  const header = await headerAt(file, 0);
  return header === undefined ? -1 : batchMaxTimestamp(header, 0);
}

/** The last indexed batch is where it should be, and the time index is no shorter than the offset index. */
async function agree(file: File, { times }: SegmentIndexes, position: number, last: Offset): Promise<boolean> {
  const header = await headerAt(file, position);
  if (header === undefined || batchBaseOffset(header, 0) > last) return false;
  return batchRecordCount(header, 0) === 0 || batchMaxTimestamp(header, 0) <= (times.last?.timestamp ?? -1);
}

async function headerAt(file: File, position: number): Promise<Uint8Array | undefined> {
  const header = new Uint8Array(BATCH_HEADER_BYTES);
  return (await readAt(file, header, position)) < header.length ? undefined : header;
}

/** A segment that is not the last one: its indexes go to their files, for good. */
async function sealRebuilt({ directory }: RecoverableLog, segment: Segment): Promise<void> {
  segment.seal();
  await segment.flushIndexes(directory.disk, 'synced');
  await segment.flushTransactions(directory.disk);
  segment.forgetIndexes();
}
