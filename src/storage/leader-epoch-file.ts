import type { Disk } from '#base/ports';
import { LEADER_EPOCH_CHECKPOINT } from '#log/file-names';
import type { LeaderEpochCache } from '#log/leader-epoch-cache';
import type { LeaderEpoch, Offset } from '#model/ids';
import { replaceFile } from './files.ts';

/** Whether the file says what the epochs do; 'unread' while nobody needs it: the log is small, and its file is not older. */
export type EpochsSaved = boolean | 'unread';

/** The leader epochs of one log, and whether its leader-epoch-checkpoint has them. */
export class LeaderEpochFile {
  readonly cache: LeaderEpochCache;
  #isChanged: boolean;
  #isUnread: boolean;

  constructor(cache: LeaderEpochCache, saved: EpochsSaved) {
    this.cache = cache;
    this.#isChanged = saved === false;
    this.#isUnread = saved === 'unread';
  }

  /** The epoch begins at `startOffset`, also before there is a batch of it. */
  assign(epoch: LeaderEpoch, startOffset: Offset): void {
    if (this.cache.assign(epoch, startOffset)) this.#isChanged = true;
  }

  /** A batch of that epoch is appended to the log, which ends at `logEnd`: its file is needed from now on. */
  appended(epoch: LeaderEpoch, baseOffset: Offset, logEnd: Offset): void {
    const last = this.cache.latest();
    // This replica led in it and wrote nothing. The next batch need not lie there: compaction may have taken those before it.
    if (last !== undefined && last.startOffset >= logEnd && last.epoch !== epoch) this.cache.truncateFromEnd(logEnd);
    if (this.cache.assign(epoch, baseOffset) || this.#isUnread) this.#isChanged = true;
    this.#isUnread = false;
  }

  truncateFromStart(logStartOffset: Offset): void {
    if (this.cache.truncateFromStart(logStartOffset)) this.#isChanged = true;
  }

  /** Recovery has made the cache agree with the log. */
  rebuilt(): void {
    this.#isChanged = true;
  }

  /** Durable when it resolves; rejects with IoError. */
  async save(disk: Disk, folder: string): Promise<void> {
    if (!this.#isChanged) return;
    this.#isChanged = false;
    try {
      await replaceFile(disk, folder, LEADER_EPOCH_CHECKPOINT, this.cache.toText());
    } catch (failure) {
      this.#isChanged = true;
      throw failure;
    }
  }
}
