import { at } from '#base/assert';
import type { Parsed } from '#base/parsed';
import type { LeaderEpoch, Offset } from '#model/ids';
import { checkpointText, parseCheckpointLines, parseCount } from './checkpoint-lines.ts';

const LEADER_EPOCH_MAX = 0x7fff_ffff;

/** The first offset written under a leader epoch. */
export interface EpochStart {
  readonly epoch: LeaderEpoch;
  readonly startOffset: Offset;
}

/** Where a leader epoch ends: the first offset that is not of `epoch` or an earlier one. */
export interface EpochEnd {
  readonly epoch: LeaderEpoch;
  readonly endOffset: Offset;
}

/**
 * Which leader epoch wrote which offsets of one partition (KIP-101), kept in `leader-epoch-checkpoint`. Epochs and start
 * offsets both ascend. One entry per leader change in the retained log: retention and truncation are what bound it.
 */
export class LeaderEpochCache {
  #entries: EpochStart[] = [];

  /** A checkpoint's entries; an error means: rebuild them from the batches' headers. */
  static parse(text: string): Parsed<LeaderEpochCache> {
    const lines = parseCheckpointLines(text, 2);
    if (lines.error !== undefined) return lines;
    const cache = new LeaderEpochCache();
    for (const [epochText, startText] of lines.value) {
      const epoch = parseCount(epochText);
      const startOffset = parseCount(startText);
      const last = cache.latest();
      if (epoch === undefined || epoch > LEADER_EPOCH_MAX) return { error: `not a leader epoch: ${epochText}` };
      if (startOffset === undefined) return { error: `not an offset: ${startText}` };
      if (last !== undefined && (epoch <= last.epoch || startOffset <= last.startOffset)) {
        return {
          error: `epoch ${epoch} at ${startOffset} does not come after epoch ${last.epoch} at ${last.startOffset}`,
        };
      }
      cache.#entries.push({ epoch: epoch as LeaderEpoch, startOffset: startOffset as Offset });
    }
    return { value: cache };
  }

  toText(): string {
    return checkpointText(this.#entries.map(({ epoch, startOffset }) => `${epoch} ${startOffset}`));
  }

  get entries(): readonly EpochStart[] {
    return this.#entries;
  }

  latest(): EpochStart | undefined {
    return this.#entries[this.#entries.length - 1];
  }

  earliest(): EpochStart | undefined {
    return this.#entries[0];
  }

  /**
   * From `startOffset` on, `epoch` writes. Entries that contradict it (of a later epoch, or from there on) go,
   * as in Kafka: the log tells the truth. Returns whether anything changed, so that the checkpoint is to be written.
   */
  assign(epoch: LeaderEpoch, startOffset: Offset): boolean {
    const before = this.latest();
    if (before !== undefined && before.epoch === epoch && before.startOffset <= startOffset) return false;
    // Also an epoch that this replica led, and wrote nothing in, before it was given more of an earlier one.
    this.#dropFromEnd((entry) => entry.epoch > epoch || entry.startOffset >= startOffset);
    const last = this.latest();
    if (last === undefined || last.epoch < epoch) this.#entries.push({ epoch, startOffset });
    return true;
  }

  /**
   * Answers OffsetForLeaderEpoch (KIP-101, KIP-279, KIP-320): the largest known epoch not above the asked one, and its end.
   * An epoch below all known ones is answered with itself and the start of the first known; one above them is unknown.
   */
  endOffsetFor(epoch: LeaderEpoch, logEndOffset: Offset): EpochEnd | undefined {
    const last = this.latest();
    if (last === undefined || epoch > last.epoch) return undefined;
    if (epoch === last.epoch) return { epoch, endOffset: logEndOffset };
    const higher = this.#firstWhere((entry) => entry.epoch > epoch);
    const floor = this.#entries[higher - 1];
    return { epoch: floor?.epoch ?? epoch, endOffset: at(this.#entries, higher).startOffset };
  }

  /** The epoch under which `offset` was, or would now be, written; undefined below the first known start. */
  epochAt(offset: Offset): LeaderEpoch | undefined {
    return this.#entries[this.#firstWhere((entry) => entry.startOffset > offset) - 1]?.epoch;
  }

  /** The log now ends at `endOffset`. Returns whether anything changed. */
  truncateFromEnd(endOffset: Offset): boolean {
    return this.#dropFromEnd((entry) => entry.startOffset >= endOffset);
  }

  /** The log now starts at `startOffset`: the epoch that holds there starts there. Returns whether anything changed. */
  truncateFromStart(startOffset: Offset): boolean {
    const kept = this.#firstWhere((entry) => entry.startOffset > startOffset);
    if (kept === 0) return false;
    const { epoch, startOffset: before } = at(this.#entries, kept - 1);
    if (kept === 1 && before === startOffset) return false;
    this.#entries.splice(0, kept, { epoch, startOffset });
    return true;
  }

  clear(): void {
    this.#entries = [];
  }

  #dropFromEnd(drop: (entry: EpochStart) => boolean): boolean {
    let kept = this.#entries.length;
    while (kept > 0 && drop(at(this.#entries, kept - 1))) kept -= 1;
    const changed = kept < this.#entries.length;
    this.#entries.length = kept;
    return changed;
  }

  /** The first entry for which `holds`, which is false for all before it and true for all after; else the count. */
  #firstWhere(holds: (entry: EpochStart) => boolean): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(at(this.#entries, middle))) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
