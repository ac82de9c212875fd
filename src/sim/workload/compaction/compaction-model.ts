/** What may be read of a topic of which compaction leaves the last value of each key. */
import { check } from '../../checkers/violation.ts';
import { RecordModel, type WriterModel } from '../record-model.ts';

/** One value in so many is the only one of its key. */
const ALONE_EVERY = 5;
/** The others share so many keys. */
const KEYS = 7;

/** Of the values that a workload's producer counts, `q1.17`: most follow others of their key. */
export function keyOfValue(value: string): string {
  const count = Number(value.slice(value.lastIndexOf('.') + 1));
  return count % ALONE_EVERY === 0 ? value : `key ${count % KEYS}`;
}

/**
 * One producer writes unique values, one batch after the other, to one partition; so what is sent later of a key lies behind it. Whatever
 * stands at an offset stands there for everybody, until a later value of its key makes it superfluous: then it may be gone.
 */
export class CompactionModel implements WriterModel {
  readonly #records = new RecordModel();
  /** By key: the last value that was sent. */
  readonly #last = new Map<string, string>();

  sent(value: string): void {
    this.#records.sent(value);
    this.#last.set(keyOfValue(value), value);
  }

  acked(who: string, partition: string, baseOffset: number, values: readonly string[]): void {
    this.#records.acked(who, partition, baseOffset, values);
  }

  lossCount(partition: string): number {
    return this.#records.lossCount(partition);
  }

  isDisowned(partition: string, epoch: number): boolean {
    return this.#records.isDisowned(partition, epoch);
  }

  read(who: string, partition: string, offset: number, key: string | null, value: string): void {
    this.#records.read(who, partition, offset, value);
    check(
      key === keyOfValue(value),
      'compaction',
      () => `${value} at ${offset} of ${partition} was sent with the key ${keyOfValue(value)}, and has ${key}`,
    );
  }

  /** A reader that was at `from` is at `next`, and was given nothing else between them. Says whether it was spared anything. */
  passed(who: string, partition: string, from: number, next: number, given: ReadonlySet<number>): boolean {
    let isSpared = false;
    for (const [offset, value] of this.#records.standing(partition)) {
      if (offset < from || offset >= next || given.has(offset)) continue;
      isSpared = true;
      check(
        this.#last.get(keyOfValue(value)) !== value,
        'compaction',
        () => `${who} was not given ${value} at ${offset} of ${partition}, the last of its key`,
      );
    }
    return isSpared;
  }

  /** `log`: the whole partition, as it is read in the end. */
  checkFinal(partition: string, log: ReadonlyMap<number, string>): void {
    const last = new Map<string, number>();
    for (const [offset, value] of log) last.set(keyOfValue(value), Math.max(offset, last.get(keyOfValue(value)) ?? -1));
    for (const [offset, value] of this.#records.standing(partition)) {
      if (log.get(offset) === value) continue;
      check(
        (last.get(keyOfValue(value)) ?? -1) > offset,
        'compaction',
        () => `${value} at ${offset} of ${partition} is gone in the end, and no later value of its key is there`,
      );
    }
  }
}
