import { segmentFileName } from '#log/file-names';
import type { Offset } from '#model/ids';
import { joinPath, replaceFile } from './files.ts';
import type { LogState } from './log-state.ts';

/** At most so much is replayed for the producer state after a crash, above what the recovery point asks for. */
const SNAPSHOT_BYTES = 1024 * 1024;
/** Of those that no segment begins with; the newest may tell of more than the recovery point covers. */
const INTERIM_SNAPSHOTS = 2;

/** The snapshots of one log's producer states: one where each segment begins, and the newest ones between. */
export class ProducerSnapshots {
  /** Ascending. Recovery takes away those that prove useless. */
  readonly offsets: Offset[];
  readonly #log: LogState;
  /** What the newest one covers, where the log's `appendedBytes` begins: less than 0 if recovery has replayed what is older. */
  #writtenAtBytes: number;

  constructor(log: LogState, offsets: Offset[], replayedBytes: number) {
    this.#log = log;
    this.offsets = offsets;
    this.#writtenAtBytes = log.appendedBytes - replayedBytes;
  }

  /** Recovery had to replay so much: whoever dies again and again before anything is due would replay more each time. */
  replayed(bytes: number): void {
    this.#writtenAtBytes = this.#log.appendedBytes - bytes;
  }

  get isDue(): boolean {
    return this.lacksRoll || this.#log.appendedBytes - this.#writtenAtBytes >= SNAPSHOT_BYTES;
  }

  /** That of the last roll has found no room, and nothing was appended since: without it the segments before it stay. */
  get lacksRoll(): boolean {
    const { active, segments } = this.#log;
    return segments.length > 1 && active.sizeBytes === 0 && !this.offsets.includes(active.baseOffset);
  }

  /**
   * `bytes` is the producer state as of `offset`; what it has forgotten of transactions is durable before it. Those of rolls are
   * synced: once the segments before them are deleted, nothing else tells of their producers.
   */
  async write(offset: Offset, bytes: Uint8Array, sync: boolean): Promise<void> {
    const { segments, folder, directory, appendedBytes } = this.#log;
    this.#writtenAtBytes = appendedBytes;
    const { disk } = directory;
    for (const segment of segments) await segment.flushTransactions(disk);
    const newest = this.offsets.at(-1) ?? -1;
    // One that is there may not be there for good.
    if (newest > offset || (newest === offset && !sync)) return;
    // Whoever finds the name where a segment begins lets the segments before it go, and does not look into the file: it stands for one that
    // was synced, or for none.
    if (newest === offset) await this.#drop(offset);
    await replaceFile(disk, folder, segmentFileName(offset, '.snapshot'), bytes, sync);
    this.offsets.push(offset);
    await this.dropUseless();
  }

  async dropUseless(): Promise<void> {
    const bases = new Set(this.#log.segments.map(({ baseOffset }) => baseOffset));
    const interim = this.offsets.filter((offset) => !bases.has(offset));
    for (const offset of interim.slice(0, Math.max(0, interim.length - INTERIM_SNAPSHOTS))) await this.#drop(offset);
  }

  async #drop(offset: Offset): Promise<void> {
    const { folder, directory } = this.#log;
    this.offsets.splice(this.offsets.indexOf(offset), 1);
    await directory.disk.remove(joinPath(folder, segmentFileName(offset, '.snapshot')));
  }
}
