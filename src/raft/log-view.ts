import { assert, at } from '#base/assert';
import type { RaftEntry } from './messages.ts';
import type { LogPosition } from './raft-types.ts';

/** Kept behind a snapshot for slow followers, so that they need not take the snapshot. */
const TAIL_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The log in memory: the entries since the latest snapshot, which its owner takes often enough to bound them, and a bounded tail before
 * that. Written entries count at once; `durableIndex` says how far they are on disk.
 */
export class LogView {
  /** What precedes the first entry in memory. */
  #base: LogPosition;
  #snapshot: LogPosition;
  readonly #entries: RaftEntry[];
  #durableIndex: number;
  #generation = 0;

  constructor(snapshot: LogPosition, entries: readonly RaftEntry[]) {
    this.#base = { index: snapshot.index, epoch: snapshot.epoch };
    this.#snapshot = this.#base;
    this.#entries = [];
    for (const entry of entries) this.append(entry);
    this.#durableIndex = this.lastIndex;
  }

  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }

  get lastEpoch(): number {
    return this.#entries.at(-1)?.epoch ?? this.#base.epoch;
  }

  /** Of the entry before the first in memory. */
  get baseIndex(): number {
    return this.#base.index;
  }

  get snapshot(): LogPosition {
    return this.#snapshot;
  }

  get durableIndex(): number {
    return this.#durableIndex;
  }

  /** Counts the truncations and installed snapshots. */
  get generation(): number {
    return this.#generation;
  }

  /** undefined: the entry is not in memory, or not there yet. */
  epochAt(index: number): number | undefined {
    return index === this.#base.index ? this.#base.epoch : this.#entries[index - this.#base.index - 1]?.epoch;
  }

  has({ index, epoch }: LogPosition): boolean {
    return this.epochAt(index) === epoch;
  }

  /** Entries from `index` on, of together at most so many bytes of payload, but at least one if there is one. */
  slice(index: number, bytesMax: number): readonly RaftEntry[] {
    const found: RaftEntry[] = [];
    let bytes = 0;
    for (let position = index - this.#base.index - 1; position < this.#entries.length; position += 1) {
      const entry = at(this.#entries, position);
      bytes += entry.payload.length;
      if (found.length > 0 && bytes > bytesMax) break;
      found.push(entry);
    }
    return found;
  }

  /** The last index up to `index` whose epoch is at most `epoch`; the base's if none in memory is. Epochs never fall along a log. */
  lastIndexWithin(index: number, epoch: number): number {
    let low = this.#base.index;
    let high = Math.max(low, Math.min(index, this.lastIndex));
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.epochAt(middle) ?? 0) <= epoch) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Whether a log that ends there holds everything that this one does, as far as a vote can know (§5.4.1). */
  isWithin({ index, epoch }: LogPosition): boolean {
    return epoch > this.lastEpoch || (epoch === this.lastEpoch && index >= this.lastIndex);
  }

  append(entry: RaftEntry): void {
    assert(
      entry.index === this.lastIndex + 1 && entry.epoch >= this.lastEpoch,
      `entry ${entry.index}/${entry.epoch} after ${this.lastIndex}/${this.lastEpoch}`,
    );
    this.#entries.push(entry);
  }

  truncateFrom(index: number): void {
    assert(index > this.#snapshot.index && index <= this.lastIndex, `truncation from ${index}`);
    this.#entries.length = index - this.#base.index - 1;
    this.#durableIndex = Math.min(this.#durableIndex, index - 1);
    this.#generation += 1;
  }

  persisted(index: number): void {
    assert(index <= this.lastIndex, `entry ${index} on disk, but not in memory`);
    this.#durableIndex = Math.max(this.#durableIndex, index);
  }

  /** A snapshot covers up to `snapshot`: what lies before the tail goes. */
  compacted(snapshot: LogPosition): void {
    assert(this.has(snapshot) && snapshot.index > this.#snapshot.index, `snapshot at ${snapshot.index}`);
    this.#snapshot = { index: snapshot.index, epoch: snapshot.epoch };
    let first = snapshot.index - this.#base.index;
    let bytes = 0;
    while (first > 0) {
      bytes += at(this.#entries, first - 1).payload.length;
      if (bytes > TAIL_BYTES_MAX) break;
      first -= 1;
    }
    if (first === 0) return;
    const { index, epoch } = at(this.#entries, first - 1);
    this.#entries.splice(0, first);
    this.#base = { index, epoch };
  }

  /** The leader's snapshot takes the place of everything. */
  install(snapshot: LogPosition): void {
    this.#base = { index: snapshot.index, epoch: snapshot.epoch };
    this.#snapshot = this.#base;
    this.#entries.length = 0;
    this.#durableIndex = snapshot.index;
    this.#generation += 1;
  }
}
