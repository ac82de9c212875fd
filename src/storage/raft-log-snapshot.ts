import { assert } from '#base/assert';
import type { Disk, File } from '#base/ports';
import { ASIDE_SUFFIX, type INSTALL_SUFFIX, readAt, syncFile, writeAll } from './raft-log-files.ts';
import {
  CHUNK_HEAD_BYTES,
  type Crc32c,
  chunkSizeBytes,
  decodeChunk,
  encodeChunkHead,
  encodeSnapshotEnd,
  encodeSnapshotHeader,
  SNAPSHOT_HEADER_BYTES,
  snapshotName,
} from './raft-log-format.ts';

/** Writes a snapshot chunk by chunk beside the log; it counts once `RaftLog.compact` has put it in its place. */
export class RaftSnapshotWriter {
  readonly covers: { readonly index: number; readonly epoch: number };
  readonly #disk: Disk;
  readonly #folder: string;
  /** Where it lies until it is complete. */
  readonly #path: string;
  readonly #crc32c: Crc32c;
  readonly #file: File;
  #sizeBytes = 0;
  #chunks = 0;
  #isFinished = false;
  #isRenamed = false;

  private constructor(
    disk: Disk,
    folder: string,
    covers: { readonly index: number; readonly epoch: number },
    crc32c: Crc32c,
    file: File,
  ) {
    this.#disk = disk;
    this.#folder = folder;
    this.#path = asidePath(folder, covers);
    this.covers = covers;
    this.#crc32c = crc32c;
    this.#file = file;
  }

  static async open(
    disk: Disk,
    folder: string,
    covers: { readonly index: number; readonly epoch: number },
    crc32c: Crc32c,
  ): Promise<RaftSnapshotWriter> {
    const path = asidePath(folder, covers);
    await disk.remove(path);
    const writer = new RaftSnapshotWriter(disk, folder, covers, crc32c, await disk.open(path, 'write'));
    try {
      await writer.#write([encodeSnapshotHeader(covers.index, covers.epoch, crc32c)]);
    } catch (failure) {
      // Tried every second for as long as there is no room: no file stays open.
      await writer.abandon();
      throw failure;
    }
    return writer;
  }

  /** Borrows the bytes, which are not empty, until it resolves. */
  async append(payload: Uint8Array): Promise<void> {
    this.#chunks += 1;
    await this.#write([encodeChunkHead(payload, this.#crc32c), payload]);
  }

  /** Nothing more comes. The snapshot is complete and on disk when it resolves, beside the log still: its place needs no more room. */
  async finish(): Promise<void> {
    await this.#write([encodeSnapshotEnd(this.#chunks, this.#crc32c)]);
    await syncFile(this.#file);
    await this.#file.close();
    this.#isFinished = true;
  }

  /**
   * Called by the log, of a finished snapshot: it is durable under its name, with this suffix, when it resolves. Goes on where an earlier
   * call has found no room.
   */
  async commit(suffix: '' | typeof INSTALL_SUFFIX): Promise<void> {
    assert(this.#isFinished, 'a snapshot is complete before it takes its place');
    if (!this.#isRenamed) await this.#disk.rename(this.#path, `${this.#path.slice(0, -ASIDE_SUFFIX.length)}${suffix}`);
    this.#isRenamed = true;
    await this.#disk.syncDir(this.#folder);
  }

  /** Gives up before `commit` was called. */
  async abandon(): Promise<void> {
    if (!this.#isFinished) await this.#file.close();
    await this.#disk.remove(this.#path);
  }

  async #write(chunks: readonly Uint8Array[]): Promise<void> {
    const at = this.#sizeBytes;
    this.#sizeBytes += chunks.reduce((sum, { length }) => sum + length, 0);
    await writeAll(this.#file, chunks, at);
  }
}

/** Reads the log's snapshot chunk by chunk, for a replica that needs it; what was opened stays readable when a newer one takes its place. */
export class RaftSnapshotReader {
  readonly covers: { readonly index: number; readonly epoch: number };
  readonly #file: File;
  readonly #crc32c: Crc32c;
  /** Where each chunk begins, as far as is known. */
  readonly #positions: number[] = [SNAPSHOT_HEADER_BYTES];

  private constructor(covers: { readonly index: number; readonly epoch: number }, file: File, crc32c: Crc32c) {
    this.covers = covers;
    this.#file = file;
    this.#crc32c = crc32c;
  }

  static async open(
    disk: Disk,
    folder: string,
    covers: { readonly index: number; readonly epoch: number },
    crc32c: Crc32c,
  ): Promise<RaftSnapshotReader> {
    const file = await disk.open(`${folder}/${snapshotName(covers.index, covers.epoch)}`, 'read');
    return new RaftSnapshotReader(covers, file, crc32c);
  }

  /**
   * Chunk `position`, counted from 0, which is at most one behind those read before; `last`: none follows. 'damaged': the file is not
   * what was written.
   */
  async read(position: number): Promise<{ readonly payload: Uint8Array; readonly last: boolean } | 'damaged'> {
    const at = this.#positions[position];
    assert(at !== undefined, 'a snapshot is read from its beginning on');
    const chunk = await this.#readChunk(at);
    if (chunk === undefined || chunk.payload.length === 0) return 'damaged';
    this.#positions[position + 1] = at + chunk.sizeBytes;
    const next = await this.#readChunk(at + chunk.sizeBytes);
    if (next === undefined) return 'damaged';
    return { payload: chunk.payload, last: next.payload.length === 0 };
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #readChunk(at: number): Promise<{ payload: Uint8Array; sizeBytes: number } | undefined> {
    const head = await readAt(this.#file, at, CHUNK_HEAD_BYTES);
    const sizeBytes = chunkSizeBytes(head);
    return sizeBytes === undefined ? undefined : decodeChunk(await readAt(this.#file, at, sizeBytes), this.#crc32c);
  }
}

function asidePath(folder: string, covers: { readonly index: number; readonly epoch: number }): string {
  return `${folder}/${snapshotName(covers.index, covers.epoch)}${ASIDE_SUFFIX}`;
}
