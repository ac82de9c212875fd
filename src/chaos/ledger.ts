/** What the load was promised and saw, against what the topic holds in the end. */

/** Of one partition, whose writer numbers its records from 0. */
interface Page {
  /** By number: where it was acknowledged; undefined if it was not. */
  readonly acknowledged: (number | undefined)[];
  /** By offset: the number that a reader found there. */
  readonly read: (number | undefined)[];
  /** Milliseconds, ascending. */
  readonly acknowledgedAt: number[];
  /** The first numbers of batches. */
  readonly refused: number[];
}

export interface Account {
  readonly acknowledged: number;
  readonly read: number;
  /** Acknowledged, and nowhere in the end. */
  readonly lost: number;
  /** At more than one offset in the end. */
  readonly duplicated: number;
  /** Behind one in the end that was written later. */
  readonly disordered: number;
  /** At an offset where it was acknowledged or read, something else stands in the end, or nothing. */
  readonly changed: number;
  /** There in the end, and not given to the reader, who was given what lies before and behind it. */
  readonly skipped: number;
  /** Batches that were refused as though one before them were missing: a producer that keeps order would have to give them up. */
  readonly refused: number;
  /** A few sentences about what is wrong. */
  readonly examples: readonly string[];
}

/** From when on, until when. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

const EXAMPLES_MAX = 5;

/** Grows with the run, by about 24 bytes a record. */
export class Ledger {
  readonly #pages: readonly Page[];
  readonly #startedAt: number;

  constructor(partitions: number, startedAt: number) {
    this.#startedAt = startedAt;
    this.#pages = Array.from({ length: partitions }, () => ({
      acknowledged: [],
      read: [],
      acknowledgedAt: [],
      refused: [],
    }));
  }

  acknowledge(partition: number, first: number, count: number, baseOffset: number, now: number): void {
    const page = this.#page(partition);
    for (let index = 0; index < count; index += 1) page.acknowledged[first + index] = baseOffset + index;
    page.acknowledgedAt.push(now);
  }

  /** The batch that begins with this number was refused for a gap before it. */
  refuse(partition: number, first: number): void {
    this.#page(partition).refused.push(first);
  }

  read(partition: number, offset: number, number: number): void {
    this.#page(partition).read[offset] ??= number;
  }

  /** Whether every partition has had an acknowledgement since. */
  isServed(since: number): boolean {
    return this.#pages.every(({ acknowledgedAt }) => (acknowledgedAt.at(-1) ?? -1) >= since);
  }

  /** Where a reader must have come to. */
  acknowledgedEnd(partition: number): number {
    const offsets = this.#page(partition).acknowledged;
    return offsets.reduce<number>((end, offset) => Math.max(end, (offset ?? -1) + 1), 0);
  }

  /** The longest time in which some partition acknowledged nothing, as far as it lies in the window. */
  longestSilenceMs({ from, to }: Window, endedAt: number): number {
    let longest = 0;
    for (const { acknowledgedAt } of this.#pages) {
      let before = this.#startedAt;
      for (const now of [...acknowledgedAt, endedAt]) {
        longest = Math.max(longest, Math.min(now, to) - Math.max(before, from));
        before = now;
      }
    }
    return longest;
  }

  /** `logs`: of each partition, the number at each offset. */
  settle(logs: readonly (readonly (number | undefined)[])[]): Account {
    const account = {
      acknowledged: 0,
      read: 0,
      lost: 0,
      duplicated: 0,
      disordered: 0,
      changed: 0,
      skipped: 0,
      refused: 0,
    };
    const examples: string[] = [];
    const note = (sentence: string): void => {
      if (examples.length < EXAMPLES_MAX) examples.push(sentence);
    };
    for (const [partition, page] of this.#pages.entries()) {
      const log = logs[partition] ?? [];
      const places = placesIn(log);
      for (const [number, offset] of page.acknowledged.entries()) {
        if (offset === undefined) continue;
        account.acknowledged += 1;
        const found = places.get(number);
        if (found === undefined) {
          account.lost += 1;
          note(`record ${number} of partition ${partition} was acknowledged at offset ${offset} and is gone`);
        } else if (log[offset] !== number) {
          account.changed += 1;
          note(`record ${number} of partition ${partition} was acknowledged at offset ${offset} and is at ${found[0]}`);
        }
      }
      for (const [offset, number] of page.read.entries()) {
        if (number === undefined) continue;
        account.read += 1;
        if (log[offset] === number || page.acknowledged[number] === offset) continue;
        account.changed += 1;
        note(
          `at offset ${offset} of partition ${partition} ${number} was read, and ${log[offset] ?? 'nothing'} is there`,
        );
      }
      for (const offset of holesIn(page.read)) {
        if (log[offset] === undefined) continue;
        account.skipped += 1;
        note(`record ${log[offset]} of partition ${partition} at offset ${offset} was passed by`);
      }
      for (const [number, offsets] of places) {
        if (offsets.length < 2) continue;
        account.duplicated += 1;
        note(`record ${number} of partition ${partition} is at offsets ${offsets.join(' and ')}`);
      }
      account.disordered += descents(log);
      account.refused += page.refused.length;
      for (const first of page.refused)
        note(`the batch of record ${first} of partition ${partition} was refused as though one before it were missing`);
    }
    return { ...account, examples };
  }

  #page(partition: number): Page {
    const page = this.#pages[partition];
    if (page === undefined) throw new Error(`the load has no partition ${partition}`);
    return page;
  }
}

function placesIn(log: readonly (number | undefined)[]): ReadonlyMap<number, readonly number[]> {
  const places = new Map<number, number[]>();
  for (const [offset, number] of log.entries()) {
    if (number === undefined) continue;
    const known = places.get(number);
    if (known === undefined) places.set(number, [offset]);
    else known.push(offset);
  }
  return places;
}

/** Where nothing was read, between what was. */
function holesIn(read: readonly (number | undefined)[]): readonly number[] {
  const first = read.findIndex((number) => number !== undefined);
  const offsets = first < 0 ? [] : Array.from({ length: read.length - first }, (_, index) => first + index);
  return offsets.filter((offset) => read[offset] === undefined);
}

/** Records that come for the first time, and behind a later one. */
function descents(log: readonly (number | undefined)[]): number {
  const seen = new Set<number>();
  let latest = -1;
  let count = 0;
  for (const number of log) {
    if (number === undefined || seen.has(number)) continue;
    seen.add(number);
    if (number < latest) count += 1;
    latest = Math.max(latest, number);
  }
  return count;
}
