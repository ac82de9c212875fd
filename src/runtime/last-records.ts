import type { Offset } from '#model/ids';

/**
 * Where the last records of each key (a group, a transactional id) are in the log, as far as they may not be committed yet: what is told
 * of a key rests on them. Bounded by the keys with records that were on their way at the latest write.
 */
export class LastRecords {
  readonly #loaded: Offset | undefined;
  /** Ascending by offset. */
  readonly #ofKeys = new Map<string, Offset>();

  /** `loaded`: the last that a log had when it was loaded, whosever that is; it may not be committed either. */
  constructor(loaded: Offset | undefined) {
    this.#loaded = loaded;
  }

  /** Keys have records in a write that ends at `last`; what is below `highWatermark` is committed. */
  written(keys: readonly (string | undefined)[], last: Offset, highWatermark: Offset): void {
    for (const [key, at] of this.#ofKeys) {
      if (at >= highWatermark) break;
      this.#ofKeys.delete(key);
    }
    for (const key of keys) {
      if (key === undefined || this.#ofKeys.get(key) === last) continue;
      // A map keeps the order in which keys were added.
      this.#ofKeys.delete(key);
      this.#ofKeys.set(key, last);
    }
  }

  /** The last of all these; undefined if all that there is of them is committed. */
  of(keys: readonly string[]): Offset | undefined {
    let last = this.#loaded;
    for (const key of keys) {
      const at = this.#ofKeys.get(key);
      if (at !== undefined && (last === undefined || at > last)) last = at;
    }
    return last;
  }
}
