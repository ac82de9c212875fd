import type { Mono } from '#base/ports';
import type { Uuid } from '#model/ids';

/** A directory that is full for less is not left: its room may be back at once, and its followers may not have caught up. */
const FULL_FOR_MS = 2_000;
/** Whoever has not told for so long that it is full has become full anew if it tells again. */
const GAP_MS = 1_500;
/** So long after it was last full a directory gets no leaders back: what is freed is soon filled again. */
const REST_MS = 60_000;

interface Told {
  since: Mono;
  last: Mono;
}

/**
 * Which log directories have no room, by what their brokers tell with their heartbeats. Known to the active controller alone, and in
 * memory: the next one hears of it within two seconds, and until then nothing is lost but the choice of a leader.
 */
export class FullDirectories {
  /** Bounded by the directories with which brokers are registered: others are not noted. */
  readonly #told = new Map<Uuid, Told>();

  /** Says whether one of them has become one to leave. */
  note(directories: readonly Uuid[], now: Mono): boolean {
    let isNews = false;
    for (const id of directories) {
      const told = this.#told.get(id);
      if (told === undefined || now - told.last > REST_MS) {
        this.#told.set(id, { since: now, last: now });
        continue;
      }
      const wasLong = told.last - told.since >= FULL_FOR_MS;
      if (now - told.last > GAP_MS && !wasLong) told.since = now;
      told.last = now;
      if (!wasLong && now - told.since >= FULL_FOR_MS) isNews = true;
    }
    return isNews;
  }

  /** Those that leaders leave, and do not come back to. */
  current(now: Mono): readonly Uuid[] {
    const full: Uuid[] = [];
    for (const [id, { since, last }] of this.#told) {
      if (now - last > REST_MS) this.#told.delete(id);
      else if (last - since >= FULL_FOR_MS) full.push(id);
    }
    return full;
  }

  clear(): void {
    this.#told.clear();
  }
}
