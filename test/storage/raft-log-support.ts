import type { File, IoError } from '#base/ports';
import { FaultDisk, type FaultDiskOptions } from '#faults/fault-disk';
import type { Uuid } from '#model/ids';
import { uuid } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import type { MemoryDisk } from '#sim/ports/memory-disk';
import { SimWorld } from '#sim/ports/sim-world';
import { RaftLog, type RecoveredRaftLog } from '#storage/raft-log';
import { readWhole, writeAll } from '#storage/raft-log-files';
import type { RaftEntry } from '#storage/raft-log-format';
import type { RaftLogOptions } from '#storage/raft-log-recovery';

export const codecs = createCodecs();
export const crc32c = codecs.crc32c.bind(codecs);
export const DIRECTORY: Uuid = uuid('BwcHBwcHBwcHBwcHBwcHBw');
export const FOLDER = 'metadata';

export function payload(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text));
}

/** One log on a disk that survives crashes. */
export class LogWorld {
  readonly world: SimWorld;
  readonly inner: MemoryDisk;
  disk: FaultDisk;
  readonly #options: FaultDiskOptions;

  constructor(seed: number, options: Partial<FaultDiskOptions> = {}) {
    this.world = new SimWorld({ seed, codecs });
    this.inner = this.world.disk('disk');
    this.#options = { ignoreSync: false, ...options };
    this.disk = this.#newDisk();
  }

  #newDisk(): FaultDisk {
    return new FaultDisk(this.world.clock, this.inner, this.#options);
  }

  complete<T>(promise: Promise<T>): Promise<T> {
    return this.world.complete(promise);
  }

  open(options: Partial<RaftLogOptions> = {}): Promise<{ log: RaftLog; recovered: RecoveredRaftLog }> {
    return this.complete(RaftLog.open(this.disk, { crc32c, folder: FOLDER, directoryId: DIRECTORY, ...options }));
  }

  append(log: RaftLog, entries: readonly RaftEntry[]): Promise<IoError | undefined> {
    return this.complete(new Promise((resolve) => log.append(entries, resolve)));
  }

  async snapshot(log: RaftLog, index: number, epoch: number, chunks: readonly Uint8Array[]): Promise<void> {
    const writer = await this.complete(log.beginSnapshot(index, epoch));
    for (const chunk of chunks) await this.complete(writer.append(chunk));
    await this.complete(writer.finish());
    await this.complete(log.compact(writer));
  }

  /** The power goes; what was not synced is kept, lost or torn as the seed says. */
  async crash(): Promise<void> {
    await this.complete(this.disk.crash(this.world.random.fork('crash')));
    this.inner.kill();
    this.disk = this.#newDisk();
  }

  /** SIGKILL: what was written stays, synced or not. */
  async kill(): Promise<void> {
    await this.complete(this.disk.abandon());
  }

  names(): Promise<readonly string[]> {
    return this.complete(this.disk.list(FOLDER));
  }

  async bytes(name: string): Promise<Uint8Array> {
    return (await this.complete(readWhole(this.disk, `${FOLDER}/${name}`))) ?? new Uint8Array(0);
  }

  /** Makes the file what a fault has left of it. */
  async overwrite(name: string, bytes: Uint8Array): Promise<void> {
    const write = async () => {
      const file: File = await this.disk.open(`${FOLDER}/${name}`, 'write');
      await file.truncate(0);
      await writeAll(file, [bytes], 0);
      await file.close();
    };
    await this.complete(write());
  }
}

/** Entries with the texts as payloads, following `after`. */
export function entries(after: number, epoch: number, texts: readonly string[]): readonly RaftEntry[] {
  return texts.map((text, at) => ({ index: after + 1 + at, epoch, payload: payload(text) }));
}

export function texts(found: readonly RaftEntry[]): readonly string[] {
  return found.map((entry) => Buffer.from(entry.payload).toString());
}
