import type { Mono } from '#base/ports';

/** With more, every second of the older half goes: what was long ago is known less exactly, and the beginning stays. */
const SAMPLES_MAX = 32;

/** Where a partition has ended, and when: by that it is known since when a record is there. */
export class EndHistory {
  #times: Mono[] = [];
  /** Of the same places; they never fall. */
  #ends: number[] = [];

  note(end: number, now: Mono): void {
    // It was cut, or another partition has its name.
    while ((this.#ends.at(-1) ?? 0) > end) {
      this.#ends.pop();
      this.#times.pop();
    }
    // Of a time in which nothing came the first and the last moment are enough.
    if (this.#ends.at(-1) === end && this.#ends.at(-2) === end) {
      this.#times.pop();
      this.#times.push(now);
      return;
    }
    this.#ends.push(end);
    this.#times.push(now);
    if (this.#ends.length <= SAMPLES_MAX) return;
    const stays = (_: unknown, place: number): boolean => place % 2 === 0 || place >= SAMPLES_MAX / 2;
    this.#times = this.#times.filter(stays);
    this.#ends = this.#ends.filter(stays);
  }

  /**
   * When the record at `offset` came, as if records came evenly between two looks; if it was there before the first look, that one.
   * Undefined if it had not come by the last.
   */
  cameAt(offset: number): Mono | undefined {
    const place = this.#ends.findIndex((end) => end > offset);
    const [end, at] = [this.#ends[place], this.#times[place]];
    const [endBefore, before] = [this.#ends[place - 1], this.#times[place - 1]];
    if (end === undefined || at === undefined || endBefore === undefined || before === undefined) return at;
    return before + ((at - before) * (offset - endBefore)) / (end - endBefore);
  }
}
