import { type Offset, offset } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import type { PartitionLog } from '#storage/partition-log';

/**
 * How far one replica's log is committed, and how far its transactions are decided: what its clients may be told, whoever leads. The log
 * itself goes by it, too.
 */
export class Watermarks {
  readonly #planted: PlantedBugs;
  /** Undefined while the replica has none. */
  #log: PartitionLog | undefined;
  #high: Offset = offset(0);
  /** As it was when the log last knew it. */
  #stable: Offset = offset(0);
  /** It was seen at least once since this leader's epoch began. */
  #isStableKnown = false;
  /** As a follower's leader has told it. */
  #leaderHigh: Offset = offset(0);

  constructor(log: PartitionLog | undefined, planted: PlantedBugs) {
    this.#planted = planted;
    if (log !== undefined) this.begin(log, log.logStartOffset);
  }

  /** Everything below is committed. */
  get high(): Offset {
    return this.#high;
  }

  /** Below it no transaction is open, of what the log still has; what read_committed consumers may read. */
  get stable(): Offset {
    const log = this.#log;
    if (log === undefined) return this.#high;
    // PLANTED BUG read-beyond-stable-offset: whoever reads what is committed is given whatever all in sync have.
    if (this.#planted.has('read-beyond-stable-offset')) return this.#high;
    this.#lookForStable();
    return Math.max(Math.min(this.#stable, this.#high), log.logStartOffset) as Offset;
  }

  /** Whether a leader knows the stable offset in its epoch: not while its log is taken back to its last write, if it never did before. */
  get isStableKnown(): boolean {
    return this.#isStableKnown || this.#lookForStable();
  }

  /** What the leader has committed beyond the end of a follower's log, in records. */
  get missing(): number {
    return this.#log === undefined ? 0 : Math.max(0, this.#leaderHigh - this.#log.logEndOffset);
  }

  /** Goes on with another log, or with none; committed up to `high`, as its leader has if it has one. */
  begin(log: PartitionLog | undefined, high: Offset): void {
    this.#log = log;
    this.#high = high;
    if (log !== undefined) log.highWatermark = high;
  }

  /** The log is gone; what was told stays true. */
  end(): void {
    this.#log = undefined;
  }

  /** The replica begins to lead. What an earlier leader has told says nothing of what this one appends, should it follow again. */
  lead(): void {
    this.#isStableKnown = false;
    this.#leaderHigh = offset(0);
  }

  advanceTo(end: Offset): void {
    this.#high = end;
    if (this.#log === undefined) return;
    this.#log.highWatermark = end;
    this.#log.producers.highWatermarkAdvanced(end);
    this.#lookForStable();
  }

  /**
   * Below the high watermark a log is cut only where what was committed is lost (an unclean election, flush.policy=os): what comes above
   * `end` next is another history.
   */
  lowerTo(end: Offset): void {
    this.#leaderHigh = Math.min(this.#leaderHigh, end) as Offset;
    if (this.#high <= end) return;
    this.#high = end;
    if (this.#log !== undefined) this.#log.highWatermark = end;
  }

  leaderIsAt(high: Offset): void {
    this.#leaderHigh = high;
  }

  /** A follower's moves with what its leader has told and its own disk has. Says whether it has moved. */
  follow(): boolean {
    const log = this.#log;
    if (log === undefined) return false;
    // PLANTED BUG follow-high-watermark-unsynced: what its leader says is true also of what is not on its disk.
    const own = this.#planted.has('follow-high-watermark-unsynced') ? log.logEndOffset : log.durableOffset;
    const end = Math.min(this.#leaderHigh, own) as Offset;
    if (end <= this.#high) return false;
    this.advanceTo(end);
    return true;
  }

  /** False while the log is rebuilt, and does not know which transactions are open. */
  #lookForStable(): boolean {
    const log = this.#log;
    if (log === undefined || log.isBeingRewound) return false;
    this.#stable = log.producers.lastStableOffset(this.#high);
    this.#isStableKnown = true;
    return true;
  }
}
