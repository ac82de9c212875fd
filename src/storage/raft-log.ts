/**
 * The metadata log on disk, made for Raft: entries with index and epoch, a snapshot that takes the place of a prefix, and the hard state.
 * It knows nothing of elections or commits. One driver owns it and calls it in order.
 */
import { assert, at } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Disk, File, IoError } from '#base/ports';
import type { Uuid } from '#model/ids';
import { isTransient } from './files.ts';
import { INSTALL_SUFFIX, replaceFile, syncFile } from './raft-log-files.ts';
import {
  type Crc32c,
  encodeEntryHead,
  encodeSegmentHeader,
  entrySizeBytes,
  PAYLOAD_BYTES_MAX,
  parseSnapshotName,
  type RaftEntry,
  type RaftSnapshot,
  SEGMENT_HEADER_BYTES,
  segmentName,
  snapshotName,
} from './raft-log-format.ts';
import { finishInstall, type RaftLogOptions, recoverRaftLog } from './raft-log-recovery.ts';
import { RaftSnapshotReader, RaftSnapshotWriter } from './raft-log-snapshot.ts';
import { type HardState, writeQuorumState } from './raft-log-state.ts';

export interface RecoveredRaftLog {
  readonly hardState: HardState;
  readonly snapshot: RaftSnapshot | undefined;
  /** What follows the snapshot. They were on disk when the log was opened, whether or not they had been acknowledged. */
  readonly entries: readonly RaftEntry[];
}

const SEGMENT_BYTES = 8 * 1024 * 1024;

interface Segment {
  readonly firstIndex: number;
  readonly file: File;
  /** Where each entry begins, from `firstIndex` on, and its epoch. Compaction bounds the entries kept. */
  readonly positions: number[];
  readonly epochs: number[];
  sizeBytes: number;
}

interface Append {
  readonly entries: readonly RaftEntry[];
  readonly done: (failure: IoError | undefined) => void;
}

export class RaftLog {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #directoryId: Uuid;
  readonly #crc32c: Crc32c;
  readonly #segmentBytes: number;
  readonly #segments: Segment[];
  #snapshot: { readonly index: number; readonly epoch: number };
  #lastIndex: number;
  #lastEpoch: number;
  #durableIndex: number;
  /** Appends that wait for the write in flight; bounded by the driver's proposals. */
  readonly #waiting = new Fifo<Append>();
  #busy = false;
  #failure: IoError | undefined;
  #closed = false;
  #idle: (() => void) | undefined;

  private constructor(
    disk: Disk,
    options: RaftLogOptions,
    segments: Segment[],
    snapshot: { readonly index: number; readonly epoch: number },
    last: { readonly index: number; readonly epoch: number },
  ) {
    this.#disk = disk;
    this.#folder = options.folder;
    this.#directoryId = options.directoryId;
    this.#crc32c = options.crc32c;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#segments = segments;
    this.#snapshot = snapshot;
    this.#lastIndex = last.index;
    this.#lastEpoch = last.epoch;
    this.#durableIndex = last.index;
  }

  /**
   * Recovers the log, or makes a new one in an empty folder. A torn tail is cut. Rejects with RaftLogError when what is on disk cannot
   * be trusted, with IoError when it cannot be read.
   */
  static async open(disk: Disk, options: RaftLogOptions): Promise<{ log: RaftLog; recovered: RecoveredRaftLog }> {
    const { hardState, snapshot, segments: found, entries } = await recoverRaftLog(disk, options);
    const segments: Segment[] = [];
    for (const { cut, ...segment } of found)
      segments.push({ ...segment, file: await reopen(disk, options.folder, segment, cut) });
    // What a killed process had written it may not have synced: it counts as durable from now on.
    const last = segments.at(-1);
    if (last !== undefined) await syncFile(last.file);
    await disk.syncDir(options.folder);
    const base = snapshot ?? { index: 0, epoch: 0 };
    const log = new RaftLog(disk, options, segments, base, entries.at(-1) ?? base);
    if (segments.length === 0) await log.#addSegment(log.lastIndex + 1);
    return { log, recovered: { hardState, snapshot, entries } };
  }

  /** Of the last entry appended, durable or not; the snapshot's if there is none after it. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  get lastEpoch(): number {
    return this.#lastEpoch;
  }

  /** Every entry up to it is on disk. */
  get durableIndex(): number {
    return this.#durableIndex;
  }

  get snapshotIndex(): number {
    return this.#snapshot.index;
  }

  /** Of the entries on disk, those that a snapshot already covers included. */
  get sizeBytes(): number {
    return this.#segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /**
   * Appends entries that follow the last one, which the log borrows until `done`: they are durable; or, with ENOSPC or EMFILE, they and all
   * appended since are dropped and `lastIndex` is what it was; or the log has failed and takes nothing more. Appends that arrive during
   * a write go out together in the next one. Runs `done` in order, never within the call.
   */
  append(entries: readonly RaftEntry[], done: (failure: IoError | undefined) => void): void {
    assert(this.#failure === undefined && !this.#closed, 'append to a raft log that failed or is closed');
    for (const { index, epoch, payload } of entries) {
      assert(
        index === this.#lastIndex + 1 && epoch >= this.#lastEpoch,
        `entry ${index}/${epoch} after ${this.#lastIndex}/${this.#lastEpoch}`,
      );
      assert(payload.length <= PAYLOAD_BYTES_MAX, `an entry of ${payload.length} bytes`);
      this.#lastIndex = index;
      this.#lastEpoch = epoch;
    }
    this.#waiting.push({ entries, done });
    this.#writeNext();
  }

  /** Durable when it resolves. One at a time. */
  saveHardState(state: HardState): Promise<void> {
    return writeQuorumState(this.#disk, this.#folder, { ...state, directoryId: this.#directoryId }, this.#crc32c);
  }

  /**
   * Drops the entry at `index` and all after it, which a new leader has overruled; durable when it resolves. No append may be in
   * flight, and none may come before.
   */
  async truncateFrom(index: number): Promise<void> {
    assert(!this.#busy && index > this.#snapshot.index, `truncation from ${index}`);
    if (index > this.#lastIndex) return;
    let segment = this.#lastSegment();
    while (segment.firstIndex > index) {
      await this.#removeSegment(this.#segments.length - 1);
      segment = this.#lastSegment();
    }
    const kept = index - segment.firstIndex;
    const sizeBytes = at(segment.positions, kept);
    await segment.file.truncate(sizeBytes);
    await syncFile(segment.file);
    segment.positions.length = kept;
    segment.epochs.length = kept;
    segment.sizeBytes = sizeBytes;
    this.#lastIndex = index - 1;
    this.#lastEpoch = this.#epochAt(index - 1);
    this.#durableIndex = index - 1;
  }

  /** A snapshot of all entries up to `index`, written beside the appends. One at a time. */
  beginSnapshot(index: number, epoch: number): Promise<RaftSnapshotWriter> {
    assert(index > this.#snapshot.index && index <= this.#durableIndex, `snapshot at ${index}`);
    return RaftSnapshotWriter.open(this.#disk, this.#folder, { index, epoch }, this.#crc32c);
  }

  /** A snapshot that comes from the leader, for `install`. One at a time. */
  beginInstall(index: number, epoch: number): Promise<RaftSnapshotWriter> {
    assert(index > this.#snapshot.index, `snapshot at ${index}`);
    return RaftSnapshotWriter.open(this.#disk, this.#folder, { index, epoch }, this.#crc32c);
  }

  /** The log's snapshot, which there must be. */
  openSnapshot(): Promise<RaftSnapshotReader> {
    return RaftSnapshotReader.open(this.#disk, this.#folder, this.#snapshot, this.#crc32c);
  }

  /**
   * The finished snapshot takes the place of the whole log; durable when it resolves. No append may be in flight, and none may come before.
   * Rejects with ENOSPC for want of room: the log is not to be used any more but to call this again, which goes on where it stands.
   */
  async install(snapshot: RaftSnapshotWriter): Promise<void> {
    assert(!this.#busy && this.#waiting.length === 0, 'a snapshot is installed between appends');
    await snapshot.commit(INSTALL_SUFFIX);
    for (const { file } of this.#segments.splice(0)) await file.close();
    const { index, epoch } = snapshot.covers;
    await finishInstall(this.#disk, this.#folder, snapshot.covers, this.#crc32c);
    const firstIndex = index + 1;
    const file = await this.#disk.open(`${this.#folder}/${segmentName(firstIndex)}`, 'write');
    this.#segments.push({ firstIndex, file, positions: [], epochs: [], sizeBytes: SEGMENT_HEADER_BYTES });
    this.#snapshot = snapshot.covers;
    this.#lastIndex = index;
    this.#lastEpoch = epoch;
    this.#durableIndex = index;
  }

  /**
   * The finished snapshot becomes the log's base, and the segments and snapshots that it makes superfluous go, with the next one if not now.
   * Rejects with ENOSPC or EMFILE: nothing has changed.
   */
  async compact(snapshot: RaftSnapshotWriter): Promise<void> {
    await snapshot.commit('');
    this.#snapshot = snapshot.covers;
    await this.#removeSuperfluous().catch((failure) => {
      if (!isTransient(failure)) throw failure;
    });
  }

  /** Waits for the write in flight; what waits behind it is dropped without an answer, as by a crash. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#busy)
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    for (const { file } of this.#segments) await file.close();
  }

  #writeNext(): void {
    if (this.#busy || this.#waiting.length === 0 || this.#closed || this.#failure !== undefined) return;
    this.#busy = true;
    if (this.#lastSegment().sizeBytes < this.#segmentBytes) {
      this.#write();
      return;
    }
    const { index } = at(this.#waiting.peek()?.entries ?? [], 0);
    this.#addSegment(index).then(
      () => this.#write(),
      (failure: IoError) => (isTransient(failure) ? this.#undo([], failure) : this.#fail([], failure)),
    );
  }

  /** One write and one sync for everything that waits. */
  #write(): void {
    const appends = this.#waiting.drain();
    const segment = this.#lastSegment();
    const chunks: Uint8Array[] = [];
    const start = segment.sizeBytes;
    let last = this.#durableIndex;
    for (const { entries } of appends) {
      for (const entry of entries) {
        chunks.push(encodeEntryHead(entry, this.#durableIndex, this.#crc32c), entry.payload);
        segment.positions.push(segment.sizeBytes);
        segment.epochs.push(entry.epoch);
        segment.sizeBytes += entrySizeBytes(entry.payload.length);
        last = entry.index;
      }
    }
    segment.file.write(chunks, start, (writeFailure) => {
      if (writeFailure?.code === 'ENOSPC') return this.#undo(appends, writeFailure);
      if (writeFailure !== undefined) return this.#fail(appends, writeFailure);
      segment.file.sync((syncFailure) => {
        if (syncFailure !== undefined) return this.#fail(appends, syncFailure);
        this.#durableIndex = last;
        this.#finish(appends, undefined);
      });
    });
  }

  /** There was no room: the log is again what it was when the last sync ended, for whoever is told so. */
  #undo(appends: readonly Append[], failure: IoError): void {
    const segment = this.#lastSegment();
    const kept = this.#durableIndex + 1 - segment.firstIndex;
    segment.sizeBytes = segment.positions[kept] ?? segment.sizeBytes;
    segment.positions.length = kept;
    segment.epochs.length = kept;
    segment.file
      .truncate(segment.sizeBytes)
      .then(() => syncFile(segment.file))
      .then(
        () => {
          // Also what has come meanwhile, of which nobody knew yet that it would follow nothing.
          const dropped = [...appends, ...this.#waiting.drain()];
          this.#lastIndex = this.#durableIndex;
          this.#lastEpoch = this.#epochAt(this.#durableIndex);
          this.#finish(dropped, failure);
        },
        (worse: IoError) => this.#fail(appends, worse),
      );
  }

  #fail(appends: readonly Append[], failure: IoError): void {
    this.#failure = failure;
    this.#finish([...appends, ...this.#waiting.drain()], failure);
  }

  #finish(appends: readonly Append[], failure: IoError | undefined): void {
    this.#busy = false;
    for (const { done } of appends) done(failure);
    this.#idle?.();
    this.#writeNext();
  }

  /** Everything before it is durable: whatever is bad in a segment that is not the last is damage. */
  async #addSegment(firstIndex: number): Promise<void> {
    const name = segmentName(firstIndex);
    await replaceFile(this.#disk, this.#folder, name, [encodeSegmentHeader(firstIndex, this.#crc32c)]);
    const file = await this.#disk.open(`${this.#folder}/${name}`, 'write');
    this.#segments.push({ firstIndex, file, positions: [], epochs: [], sizeBytes: SEGMENT_HEADER_BYTES });
  }

  async #removeSegment(position: number): Promise<void> {
    const [segment] = this.#segments.splice(position, 1);
    if (segment === undefined) return;
    await segment.file.close();
    await this.#disk.remove(`${this.#folder}/${segmentName(segment.firstIndex)}`);
    await this.#disk.syncDir(this.#folder);
  }

  async #removeSuperfluous(): Promise<void> {
    while ((this.#segments[1]?.firstIndex ?? Number.POSITIVE_INFINITY) <= this.#snapshot.index + 1)
      await this.#removeSegment(0);
    const current = snapshotName(this.#snapshot.index, this.#snapshot.epoch);
    for (const name of await this.#disk.list(this.#folder)) {
      if (parseSnapshotName(name) !== undefined && name !== current) await this.#disk.remove(`${this.#folder}/${name}`);
    }
  }

  #lastSegment(): Segment {
    return at(this.#segments, this.#segments.length - 1);
  }

  #epochAt(index: number): number {
    if (index === this.#snapshot.index) return this.#snapshot.epoch;
    const segment = this.#segments.findLast(({ firstIndex }) => firstIndex <= index);
    assert(segment !== undefined, `no entry ${index}`);
    return at(segment.epochs, index - segment.firstIndex);
  }
}

/** Cuts what recovery found torn; nothing may be appended before that is durable. */
async function reopen(disk: Disk, folder: string, segment: Omit<Segment, 'file'>, cut: boolean): Promise<File> {
  const file = await disk.open(`${folder}/${segmentName(segment.firstIndex)}`, 'write');
  if (cut) await file.truncate(segment.sizeBytes);
  return file;
}
