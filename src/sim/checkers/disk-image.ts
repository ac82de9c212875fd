import { parseMetaProperties } from '#log/checkpoint-files';
import { META_PROPERTIES } from '#log/file-names';
import type { Uuid } from '#model/ids';
import { METADATA_FOLDER } from '#runtime/metadata-quorum';
import { INSTALL_SUFFIX } from '#storage/raft-log-files';
import {
  type Crc32c,
  decodeEntry,
  parseSegmentName,
  parseSnapshotName,
  SEGMENT_HEADER_BYTES,
} from '#storage/raft-log-format';
import { parseQuorumState, QUORUM_STATE_FILE, type QuorumState } from '#storage/raft-log-state';
import type { MemoryDisk } from '../ports/memory-disk.ts';
import type { DurableLog } from './raft-checker.ts';

interface LogEntry {
  readonly epoch: number;
  readonly payloadCrc: number;
}

/** What a machine would remember of the metadata log if its power went now: read from the disk itself, never from the node's memory. */
export class DiskImage {
  readonly #disk: MemoryDisk;
  readonly #crc32c: Crc32c;
  #changeCount = -1;
  #names = '';
  #segments: readonly string[] = [];
  #snapshot = { index: 0, epoch: 0 };
  #stateBytes: Uint8Array | undefined;
  #state: QuorumState | undefined;
  #propertiesBytes: Uint8Array | undefined;
  #directoryId: Uuid | undefined;
  /** Of the last segment: how far it has been read. */
  #readTo = 0;
  /** From `#firstIndex` on. */
  #entries: LogEntry[] = [];
  #firstIndex = 1;

  constructor(disk: MemoryDisk, crc32c: Crc32c) {
    this.#disk = disk;
    this.#crc32c = crc32c;
  }

  /** What the disk is called, as the last `refresh` found it; undefined if it is empty. */
  get directoryId(): Uuid | undefined {
    return this.#directoryId;
  }

  /** As the last `refresh` found it; undefined if there is none, or it is damaged. */
  get hardState(): QuorumState | undefined {
    return this.#state;
  }

  get snapshotIndex(): number {
    return this.#snapshot.index;
  }

  get lastIndex(): number {
    return Math.max(this.#firstIndex + this.#entries.length - 1, this.#snapshot.index);
  }

  /** As the last `refresh` found it, whatever becomes of the disk. */
  copy(): DurableLog {
    const { hardState, lastIndex } = this;
    const { index: snapshotIndex } = this.#snapshot;
    const [first, epochs] = [this.#firstIndex, this.#entries.map(({ epoch }) => epoch)];
    const holds = (index: number, epoch: number): boolean => index <= snapshotIndex || epochs[index - first] === epoch;
    return { hardState, lastIndex, holds };
  }

  entryAt(index: number): LogEntry | undefined {
    return this.#entries[index - this.#firstIndex];
  }

  /** Whether what was committed as (index, epoch) would be there after a crash. */
  holds(index: number, epoch: number): boolean {
    return index <= this.#snapshot.index || this.entryAt(index)?.epoch === epoch;
  }

  /** Looks again, if the disk has changed. False: nothing is new. */
  refresh(): boolean {
    if (this.#changeCount === this.#disk.changeCount) return false;
    this.#changeCount = this.#disk.changeCount;
    this.#refreshName();
    const stateChanged = this.#refreshState();
    const names = this.#disk.peekNames(METADATA_FOLDER);
    const joined = names.join();
    if (joined !== this.#names) {
      this.#names = joined;
      this.#segments = names.filter((name) => parseSegmentName(name) !== undefined).sort();
      this.#refreshSnapshot(names);
      this.#readAll();
      return true;
    }
    return this.#readOn() || stateChanged;
  }

  #refreshName(): void {
    const bytes = this.#disk.peek(META_PROPERTIES);
    if (bytes === undefined ? this.#propertiesBytes === undefined : isSame(bytes, this.#propertiesBytes)) return;
    this.#propertiesBytes = bytes?.slice();
    const parsed = bytes && parseMetaProperties(Buffer.from(bytes).toString('utf8'));
    this.#directoryId = parsed?.error === undefined ? parsed?.value.directoryId : undefined;
  }

  #refreshState(): boolean {
    const bytes = this.#disk.peek(`${METADATA_FOLDER}/${QUORUM_STATE_FILE}`);
    if (bytes === undefined ? this.#stateBytes === undefined : isSame(bytes, this.#stateBytes)) return false;
    this.#stateBytes = bytes?.slice();
    this.#state = bytes && parseQuorumState(Buffer.from(bytes).toString('latin1'), this.#crc32c);
    return true;
  }

  #refreshSnapshot(names: readonly string[]): void {
    this.#snapshot = { index: 0, epoch: 0 };
    for (const name of names) {
      const covers = parseSnapshotName(name.replace(INSTALL_SUFFIX, ''));
      if (covers === undefined || covers.index <= this.#snapshot.index) continue;
      this.#snapshot = covers;
      // A leader's snapshot is on its way into the place of the log: whatever happens now, the next process goes on with that.
      if (name.endsWith(INSTALL_SUFFIX)) this.#segments = [];
    }
  }

  #readAll(): void {
    this.#entries = [];
    this.#firstIndex = parseSegmentName(this.#segments[0] ?? '') ?? this.#snapshot.index + 1;
    for (const name of this.#segments) {
      this.#readTo = SEGMENT_HEADER_BYTES;
      // A gap: what follows it is not part of the log.
      if (parseSegmentName(name) !== this.#firstIndex + this.#entries.length) return;
      this.#readSegment(name);
    }
  }

  #readOn(): boolean {
    const name = this.#segments.at(-1);
    if (name === undefined) return false;
    const sizeBytes = this.#disk.peek(`${METADATA_FOLDER}/${name}`)?.length ?? 0;
    if (sizeBytes === this.#readTo) return false;
    if (sizeBytes < this.#readTo) this.#readAll();
    else this.#readSegment(name);
    return true;
  }

  #readSegment(name: string): void {
    const bytes = this.#disk.peek(`${METADATA_FOLDER}/${name}`) ?? new Uint8Array(0);
    for (;;) {
      const decoded = decodeEntry(bytes, this.#readTo, this.#crc32c);
      if (decoded === undefined || decoded.entry.index !== this.#firstIndex + this.#entries.length) return;
      this.#entries.push({ epoch: decoded.entry.epoch, payloadCrc: this.#crc32c(decoded.entry.payload) });
      this.#readTo += decoded.sizeBytes;
    }
  }
}

function isSame(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && a.length === b.length && Buffer.compare(a, b) === 0;
}
