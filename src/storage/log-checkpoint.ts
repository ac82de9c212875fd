import type { Offset } from '#model/ids';
import type { LogRewind } from './log-rewind.ts';
import type { LogState } from './log-state.ts';
import type { LogWriter } from './log-writer.ts';
import type { ProducerSnapshots } from './producer-snapshots.ts';

/**
 * What one log saves beside its batches, so that the next start has little to scan: leader epochs, producer snapshots, the indexes of
 * sealed segments, and the recovery point, which says what they cover.
 */
export class LogCheckpoint {
  readonly #log: LogState;
  readonly #snapshots: ProducerSnapshots;
  readonly #writer: LogWriter;
  readonly #rewind: LogRewind;

  constructor(log: LogState, snapshots: ProducerSnapshots, writer: LogWriter, rewind: LogRewind) {
    this.#log = log;
    this.#snapshots = snapshots;
    this.#writer = writer;
    this.#rewind = rewind;
  }

  /** Now and then. */
  async save(): Promise<void> {
    const { directory, folder, epochs, producers } = this.#log;
    if (this.#writer.owesSync) await new Promise((resolve) => this.#writer.sync(resolve));
    // The recovery point covers what this checkpoint saves, no later epoch or segment.
    const synced = this.#writer.syncedOffset;
    await epochs.save(directory.disk, folder);
    if (this.#snapshots.isDue && this.#log.isNamed && !this.#rewind.isPending) {
      const { active } = this.#log;
      await active.flushIndexes(directory.disk, 'synced');
      // Meanwhile a full disk may have taken back the log's end, and all that was known of producers with it; or a roll has to save them first.
      if (!this.#rewind.isPending && active === this.#log.active)
        await this.#snapshots.write(this.#log.endOffset, producers.takeSnapshot(), this.#snapshots.lacksRoll);
    }
    await this.#flushSealed();
    this.#log.reachRecoveryPoint(synced);
  }

  /** After the last append, when everything is written and synced: the next start scans nothing. */
  async saveWhole(): Promise<void> {
    const { directory, folder, epochs, producers, active } = this.#log;
    if (!this.#log.isAsClosed) {
      await this.#flushSealed();
      active.indexes?.seal();
      // What is new in them is not synced, as the snapshot: recovery finds out should the power go now.
      await active.flushIndexes(directory.disk, 'complete');
      await epochs.save(directory.disk, folder);
      await this.#snapshots.write(this.#log.endOffset, producers.takeSnapshot(), false);
    }
    this.#log.reachRecoveryPoint(this.#log.endOffset);
  }

  /** A segment has begun at `offset`, where the producers' states were `snapshot`. */
  async saveRoll(offset: Offset, snapshot: Uint8Array): Promise<void> {
    // Its first batches are still on their way.
    if (!this.#log.isNamed) await this.#writer.flush();
    // There was no room for them: none of it is on the disk, nor is to be.
    if (!this.#log.isNamed) return;
    // The log may have been cut since.
    if (offset <= this.#log.endOffset) await this.#snapshots.write(offset, snapshot, true);
    await this.#flushSealed();
  }

  /** A sealed segment keeps its indexes in memory until its files have them for good. */
  async #flushSealed(): Promise<void> {
    const { directory, folder, segments } = this.#log;
    const { disk } = directory;
    const unsaved = segments.filter(({ sealed, indexes }) => sealed && indexes !== undefined);
    if (unsaved.length === 0) return;
    for (const segment of unsaved) await segment.flushIndexes(disk, 'synced');
    await disk.syncDir(folder);
    for (const segment of unsaved) if (segment.sealed) segment.forgetIndexes();
  }
}
