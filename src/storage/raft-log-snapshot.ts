import type { Disk, File } from '#base/ports';
import { ASIDE_SUFFIX, syncFile, writeAll } from './raft-log-files.ts';
import {
  type Crc32c,
  encodeChunkHead,
  encodeSnapshotEnd,
  encodeSnapshotHeader,
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
    await writer.#write([encodeSnapshotHeader(covers.index, covers.epoch, crc32c)]);
    return writer;
  }

  /** Borrows the bytes, which are not empty, until it resolves. */
  async append(payload: Uint8Array): Promise<void> {
    this.#chunks += 1;
    await this.#write([encodeChunkHead(payload, this.#crc32c), payload]);
  }

  /** Called by the log. The snapshot is complete and durable under its name when it resolves. */
  async commit(): Promise<void> {
    await this.#write([encodeSnapshotEnd(this.#chunks, this.#crc32c)]);
    await syncFile(this.#file);
    await this.#file.close();
    await this.#disk.rename(this.#path, this.#path.slice(0, -ASIDE_SUFFIX.length));
    await this.#disk.syncDir(this.#folder);
  }

  /** Gives up before `commit` has succeeded. */
  async abandon(): Promise<void> {
    await this.#file.close();
    await this.#disk.remove(this.#path);
  }

  async #write(chunks: readonly Uint8Array[]): Promise<void> {
    const at = this.#sizeBytes;
    this.#sizeBytes += chunks.reduce((sum, { length }) => sum + length, 0);
    await writeAll(this.#file, chunks, at);
  }
}

function asidePath(folder: string, covers: { readonly index: number; readonly epoch: number }): string {
  return `${folder}/${snapshotName(covers.index, covers.epoch)}${ASIDE_SUFFIX}`;
}
