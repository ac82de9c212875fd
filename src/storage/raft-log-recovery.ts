/** What the files of the metadata log say at start: which entries stand, which torn tail goes, and what must not be trusted. */
import { at } from '#base/assert';
import type { Disk } from '#base/ports';
import type { Uuid } from '#model/ids';
import { ASIDE_SUFFIX, INSTALL_SUFFIX, readWhole, replaceFile } from './raft-log-files.ts';
import {
  type Crc32c,
  decodeEntry,
  decodeSegmentHeader,
  decodeSnapshot,
  encodeSegmentHeader,
  parseSegmentName,
  parseSnapshotName,
  provesDurable,
  type RaftEntry,
  type RaftSnapshot,
  SEGMENT_HEADER_BYTES,
  segmentName,
  snapshotName,
} from './raft-log-format.ts';
import { type HardState, QUORUM_STATE_FILE, readQuorumState, writeQuorumState } from './raft-log-state.ts';

export interface RaftLogOptions {
  readonly crc32c: Crc32c;
  /** The folder within the disk; made if it is missing. Not of the form `name-number`, which is a partition's. */
  readonly folder: string;
  /** Of the data directory: a log that was made in another one is refused. */
  readonly directoryId: Uuid;
  /** A new segment begins beyond this size: the unit that compaction frees and recovery reads at once. */
  readonly segmentBytes?: number;
}

/** The metadata log cannot be trusted: the node must not vote or lead with it. */
export class RaftLogError extends Error {
  override readonly name = 'RaftLogError';
  readonly code: 'CORRUPT' | 'QUORUM_STATE_MISSING' | 'QUORUM_STATE_CORRUPT' | 'OTHER_DIRECTORY';

  constructor(code: RaftLogError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

export interface RecoveredSegment {
  readonly firstIndex: number;
  readonly positions: number[];
  readonly epochs: number[];
  /** Of what stands. */
  readonly sizeBytes: number;
  /** There is a torn tail behind it. */
  readonly cut: boolean;
}

export interface Recovered {
  readonly hardState: HardState;
  readonly snapshot: RaftSnapshot | undefined;
  readonly segments: readonly RecoveredSegment[];
  /** Behind the snapshot, without gaps. */
  readonly entries: readonly RaftEntry[];
}

/** Removes what a crash left half made; changes nothing else but an empty folder, which gets its `quorum-state`. */
export async function recoverRaftLog(disk: Disk, options: RaftLogOptions): Promise<Recovered> {
  const { folder, crc32c } = options;
  await disk.makeDir(folder);
  await disk.syncDir('.');
  const names = await withoutLeftovers(disk, folder, crc32c);
  const hardState = await recoverHardState(disk, options, names);
  const snapshot = await recoverSnapshot(disk, folder, names, crc32c);
  const firstIndexes = names.flatMap((name) => parseSegmentName(name) ?? []);
  if (firstIndexes.length === 0 && (snapshot !== undefined || hardState.epoch > 0)) {
    throw corrupt(folder, `there is no segment, but the quorum was in epoch ${hardState.epoch}`);
  }

  const segments: RecoveredSegment[] = [];
  const entries: RaftEntry[] = [];
  const base = snapshot ?? { index: 0, epoch: 0 };
  let next = at([...firstIndexes, 1], 0);
  if (next > base.index + 1) throw corrupt(folder, `the entries from ${base.index + 1} to ${next - 1} are missing`);
  for (const firstIndex of firstIndexes) {
    const name = `${folder}/${segmentName(firstIndex)}`;
    if (firstIndex !== next) throw corrupt(name, `the entries from ${next} to ${firstIndex - 1} are missing`);
    const bytes = (await readWhole(disk, name)) ?? new Uint8Array(0);
    const found = scanSegment(name, bytes, firstIndex, crc32c);
    segments.push(found.segment);
    entries.push(...found.entries.filter(({ index }) => index > base.index));
    next += found.segment.positions.length;
  }
  if (next <= base.index) throw corrupt(folder, `the log ends at ${next - 1}, before its snapshot at ${base.index}`);
  return { hardState, snapshot, segments, entries };
}

async function withoutLeftovers(disk: Disk, folder: string, crc32c: Crc32c): Promise<readonly string[]> {
  const found = await disk.list(folder);
  const installing = found.findLast((name) => name.endsWith(INSTALL_SUFFIX));
  const covers = installing === undefined ? undefined : parseSnapshotName(installing.slice(0, -INSTALL_SUFFIX.length));
  if (covers !== undefined) await finishInstall(disk, folder, covers, crc32c);
  const names = covers === undefined ? found : await disk.list(folder);
  const leftovers = names.filter((name) => name.endsWith(ASIDE_SUFFIX));
  for (const name of leftovers) await disk.remove(`${folder}/${name}`);
  return names.filter((name) => !leftovers.includes(name));
}

/**
 * From where a complete snapshot lies beside the log to where it is the log, with an empty segment behind it. Can be done again after a
 * crash, or where it has failed in between.
 */
export async function finishInstall(
  disk: Disk,
  folder: string,
  covers: { readonly index: number; readonly epoch: number },
  crc32c: Crc32c,
): Promise<void> {
  const snapshot = snapshotName(covers.index, covers.epoch);
  const names = await disk.list(folder);
  // Else it is the log already, and only that may not be durable.
  if (names.includes(`${snapshot}${INSTALL_SUFFIX}`)) {
    for (const name of names) {
      if (parseSegmentName(name) !== undefined || parseSnapshotName(name) !== undefined)
        await disk.remove(`${folder}/${name}`);
    }
    // Its directory sync also makes the removals durable, before the snapshot counts.
    const next = covers.index + 1;
    await replaceFile(disk, folder, segmentName(next), [encodeSegmentHeader(next, crc32c)]);
    await disk.rename(`${folder}/${snapshot}${INSTALL_SUFFIX}`, `${folder}/${snapshot}`);
  }
  await disk.syncDir(folder);
}

async function recoverHardState(disk: Disk, options: RaftLogOptions, names: readonly string[]): Promise<HardState> {
  const { folder, crc32c, directoryId } = options;
  const path = `${disk.path}/${folder}/${QUORUM_STATE_FILE}`;
  const state = await readQuorumState(disk, folder, crc32c);
  if (state === 'corrupt') {
    throw new RaftLogError('QUORUM_STATE_CORRUPT', `${path} is damaged: this node cannot know which votes it gave`);
  }
  if (state === undefined) {
    if (names.some((name) => parseSegmentName(name) !== undefined || parseSnapshotName(name) !== undefined)) {
      const message = `${path} is missing beside a metadata log: this node cannot know which votes it gave`;
      throw new RaftLogError('QUORUM_STATE_MISSING', message);
    }
    await writeQuorumState(disk, folder, { epoch: 0, votedFor: null, directoryId }, crc32c);
    return { epoch: 0, votedFor: null };
  }
  if (state.directoryId !== directoryId) {
    const message = `${path} was written in the directory ${state.directoryId}, not in ${directoryId}: is it a copy?`;
    throw new RaftLogError('OTHER_DIRECTORY', message);
  }
  return { epoch: state.epoch, votedFor: state.votedFor };
}

/** The newest one counts; those before it are what a crash left of a compaction. */
async function recoverSnapshot(
  disk: Disk,
  folder: string,
  names: readonly string[],
  crc32c: Crc32c,
): Promise<RaftSnapshot | undefined> {
  const snapshots = names.filter((name) => parseSnapshotName(name) !== undefined);
  const newest = snapshots.pop();
  if (newest === undefined) return undefined;
  const name = `${folder}/${newest}`;
  const snapshot = decodeSnapshot((await readWhole(disk, name)) ?? new Uint8Array(0), crc32c);
  if (typeof snapshot === 'string') throw corrupt(name, snapshot);
  const named = parseSnapshotName(newest);
  if (named?.index !== snapshot.index || named.epoch !== snapshot.epoch) throw corrupt(name, 'its name does not fit');
  for (const older of snapshots) await disk.remove(`${folder}/${older}`);
  return snapshot;
}

/** A torn tail of a segment that is not the last shows as a gap before the next one: a segment is durable before its successor is made. */
function scanSegment(
  name: string,
  bytes: Uint8Array,
  firstIndex: number,
  crc32c: Crc32c,
): { readonly segment: RecoveredSegment; readonly entries: readonly RaftEntry[] } {
  const header = decodeSegmentHeader(bytes, crc32c);
  if (typeof header === 'string') throw corrupt(name, header);
  if (header !== firstIndex) throw corrupt(name, `it begins with entry ${header}`);
  const positions: number[] = [];
  const epochs: number[] = [];
  const entries: RaftEntry[] = [];
  let position = SEGMENT_HEADER_BYTES;
  while (position < bytes.length) {
    const expected = firstIndex + entries.length;
    const decoded = decodeEntry(bytes, position, crc32c);
    if (decoded === undefined || decoded.entry.index !== expected || decoded.entry.epoch < (epochs.at(-1) ?? 0)) {
      if (!provesDurable(bytes, position, expected, crc32c)) break;
      throw corrupt(name, `entry ${expected} at byte ${position} is damaged, and it had been on disk`);
    }
    positions.push(position);
    epochs.push(decoded.entry.epoch);
    entries.push(decoded.entry);
    position += decoded.sizeBytes;
  }
  const segment = { firstIndex, positions, epochs, sizeBytes: position, cut: position < bytes.length };
  return { segment, entries };
}

function corrupt(path: string, what: string): RaftLogError {
  return new RaftLogError('CORRUPT', `the metadata log is damaged: ${path}: ${what}`);
}
