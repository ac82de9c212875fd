/**
 * How a cleaned segment takes the place of those that it was made of, so that a crash at any point leaves the log as it was or as it
 * will be. The commit point is the name `.log.swap`: before it a restart throws the new files away, behind it the restart finishes.
 *
 * 1. `.cleaned`: log and indexes, synced. Thrown away.
 * 2. The indexes become `.swap`; thrown away as long as there is no `.log.swap`.
 * 3. The log becomes `.log.swap`: committed.
 * 4. The segments that it covers, but for the one of its own base, go.
 * 5. The indexes take their names, then the log does. Until then what is at those names is of no use to anybody.
 */
import type { Disk } from '#base/ports';
import { parseSegmentFileName, type SegmentExtension, type SegmentSuffix, segmentFileName } from '#log/file-names';
import type { Offset } from '#model/ids';
import { joinPath } from './files.ts';
import type { LogDirectory } from './log-directory.ts';
import { scanFile } from './scan-file.ts';

const INDEXES = ['.index', '.timeindex', '.txnindex'] as const;

/**
 * For good with the next sync of the folder. Rejects with IoError: nothing has happened, or, if `onCommit` was called and it is not for want
 * of room or handles, nobody knows.
 */
export async function commitSwap(disk: Disk, folder: string, base: Offset, onCommit: () => void): Promise<void> {
  const rename = await renamer(disk, folder, base, '.cleaned', '.swap');
  for (const extension of INDEXES) await rename(extension);
  await disk.syncDir(folder);
  onCommit();
  await rename('.log');
}

/** After a commit that is for good, when the segments that it covers are gone; may be done again. */
export async function completeSwap(disk: Disk, folder: string, base: Offset): Promise<void> {
  const rename = await renamer(disk, folder, base, '.swap', '');
  // Whatever was removed before is gone for good with this.
  for (const extension of INDEXES) await rename(extension);
  await disk.syncDir(folder);
  await rename('.log');
  await disk.syncDir(folder);
}

/** Of a swap that was not committed. */
export async function undoSwap(disk: Disk, folder: string, base: Offset): Promise<void> {
  for (const extension of ['.log', ...INDEXES] as const) {
    for (const suffix of ['.cleaned', '.swap'] as const)
      await disk.remove(joinPath(folder, segmentFileName(base, extension, suffix)));
  }
}

/**
 * At the log's opening, before anything else looks at its files: finishes the swaps that were committed, forgets the others. Returns
 * what is wrong with a swapped segment, whose sources may be gone: then nothing more is touched. Rejects with IoError.
 */
export async function recoverSwaps(directory: LogDirectory, folder: string): Promise<string | undefined> {
  const { disk, logger } = directory;
  const files = (await disk.list(folder)).flatMap((name) => parseSegmentFileName(name) ?? []);
  const committed = files.filter(({ extension, suffix }) => extension === '.log' && suffix === '.swap');
  for (const { baseOffset } of committed) {
    const end = await endOf(directory, folder, baseOffset);
    if (typeof end === 'string') return end;
    logger.info({ log: folder, baseOffset, endOffset: end }, 'the swap of a compacted segment is finished');
    for (const file of files) {
      const isCovered = file.baseOffset > baseOffset && file.baseOffset < end;
      if (isCovered && file.suffix === '' && file.extension !== '.snapshot')
        await disk.remove(joinPath(folder, segmentFileName(file.baseOffset, file.extension)));
    }
    await disk.syncDir(folder);
    await completeSwap(disk, folder, baseOffset);
  }
  const done = new Set(committed.map(({ baseOffset }) => baseOffset));
  for (const { baseOffset, suffix, extension } of files) {
    if (suffix === '.swap' && !done.has(baseOffset))
      await disk.remove(joinPath(folder, segmentFileName(baseOffset, extension, suffix)));
  }
  return undefined;
}

/** A cleaned segment ends where the last of its sources did: what it covers is in it. */
async function endOf(
  { disk, codecs, scanChunks }: LogDirectory,
  folder: string,
  baseOffset: Offset,
): Promise<Offset | string> {
  const path = joinPath(folder, segmentFileName(baseOffset, '.log', '.swap'));
  const file = await disk.open(path, 'read');
  try {
    const sizeBytes = await file.sizeBytes();
    const options = { baseOffset, sizeBytes, position: 0, lastOffset: undefined };
    const scan = await scanFile(file, codecs, scanChunks, options, () => {});
    return scan.ending === 'end' ? scan.endOffset : `${path}: ${scan.reason} at ${scan.validBytes}`;
  } finally {
    await file.close();
  }
}

async function renamer(
  disk: Disk,
  folder: string,
  base: Offset,
  from: SegmentSuffix,
  to: SegmentSuffix,
): Promise<(extension: SegmentExtension) => Promise<void>> {
  const there = new Set(await disk.list(folder));
  return async (extension) => {
    const name = segmentFileName(base, extension, from);
    if (there.has(name))
      await disk.rename(joinPath(folder, name), joinPath(folder, segmentFileName(base, extension, to)));
  };
}
