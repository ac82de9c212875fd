import type { Mono } from '#base/ports';
import type { Offset } from '#model/ids';

/** One Fetch of a follower, as its leader takes it in. */
export interface FollowerFetch {
  /** The process that fetches; another one starts anew. */
  readonly brokerEpoch: number;
  /** The follower's log ends there. */
  readonly fetchOffset: Offset;
  /** The follower has everything below on its disk, by the topic's flush policy. */
  readonly durableOffset: Offset;
  /** What lies below is gone there for good. */
  readonly logStartOffset: number;
  /** It has no room for more, and asks for nothing until it has. Left out: it has some. */
  readonly isFull?: boolean;
}

/**
 * How far one follower is, in the eyes of its leader. It was last caught up at the latest moment of which it is known that it now has
 * all that the leader had then: moments are remembered one at a time, so that a follower under steady load, always a few
 * milliseconds behind, counts as caught up a few milliseconds ago.
 */
export class FollowerProgress {
  #brokerEpoch = -1;
  #durableOffset = -1;
  #fetchOffset = -1;
  #logStartOffset = -1;
  #isFull = false;
  #caughtUpAt: Mono;
  #mark: { at: Mono; readonly end: Offset } | undefined;

  /** `now`: its leader begins to lead, and gives it the time that anybody has. */
  constructor(now: Mono) {
    this.#caughtUpAt = now;
  }

  /** -1 before its first fetch. */
  get brokerEpoch(): number {
    return this.#brokerEpoch;
  }

  /** -1 before its first fetch. */
  get durableOffset(): number {
    return this.#durableOffset;
  }

  /** -1 before its first fetch. */
  get fetchOffset(): number {
    return this.#fetchOffset;
  }

  get logStartOffset(): number {
    return this.#logStartOffset;
  }

  /** As it has told with its last fetch. */
  get isFull(): boolean {
    return this.#isFull;
  }

  get caughtUpAt(): Mono {
    return this.#caughtUpAt;
  }

  /** Nothing could be heard of it for so long, up to `now`. */
  excused(deafMs: number, now: Mono): void {
    this.#caughtUpAt = Math.min(now, this.#caughtUpAt + deafMs);
    if (this.#mark !== undefined) this.#mark.at = Math.min(now, this.#mark.at + deafMs);
  }

  fetched(fetch: FollowerFetch, leaderEnd: Offset, now: Mono): void {
    if (fetch.brokerEpoch !== this.#brokerEpoch) {
      this.#brokerEpoch = fetch.brokerEpoch;
      this.#mark = undefined;
    }
    this.#fetchOffset = fetch.fetchOffset;
    this.#durableOffset = Math.min(fetch.durableOffset, fetch.fetchOffset);
    this.#logStartOffset = fetch.logStartOffset;
    this.#isFull = fetch.isFull === true;
    if (this.#durableOffset >= leaderEnd) {
      this.#caughtUpAt = now;
      this.#mark = undefined;
      return;
    }
    if (this.#mark !== undefined && this.#durableOffset >= this.#mark.end) {
      this.#caughtUpAt = this.#mark.at;
      this.#mark = undefined;
    }
    this.#mark ??= { at: now, end: leaderEnd };
  }
}
