/** What may be read of every partition, as the clients that write and read it know. */
import type { Random } from '#base/ports';
import { check } from '../checkers/violation.ts';

interface PartitionModel {
  /** What stands at an offset for good: somebody has read it, or it was acknowledged by all in sync. */
  readonly values: Map<number, string>;
  readonly offsets: Map<string, number>;
  /** Acknowledged by all in sync: whatever happens, they are read in the end. */
  readonly acked: Map<number, string>;
  lossCount: number;
  /** Of the last loss; -1 without one. */
  lostEpoch: number;
  /** What is below may be gone: its deletion was asked for. */
  mayBeGoneBelow: number;
  /** Those that were acknowledged. */
  readonly deletions: { readonly before: number; readonly epoch: number }[];
}

/** What producers tell of. */
export type WriterModel = Pick<RecordModel, 'sent' | 'acked' | 'lossCount' | 'isDisowned'>;

/**
 * Values are unique, and written once: by an idempotent producer, which sends them again until it has an answer, or by one that sends
 * them once. So whatever was read at an offset, or acknowledged there, stands there for everybody and for ever, and nowhere else.
 */
export class RecordModel {
  readonly #sent = new Set<string>();
  readonly #partitions = new Map<string, PartitionModel>();
  ackedCount = 0;
  readCount = 0;

  sent(value: string): void {
    this.#sent.add(value);
  }

  /** By all in sync: the values stand from `baseOffset` on. */
  acked(who: string, partition: string, baseOffset: number, values: readonly string[]): void {
    const model = this.#model(partition);
    for (const [index, value] of values.entries()) {
      this.#stands(model, `acknowledged to ${who}`, partition, baseOffset + index, value);
      model.acked.set(baseOffset + index, value);
    }
    this.ackedCount += values.length;
  }

  read(who: string, partition: string, offset: number, value: string): void {
    this.readCount += 1;
    this.#stands(this.#model(partition), `read by ${who}`, partition, offset, value);
  }

  /**
   * With flush.policy=os: every replica in sync has lost its power, and what they had not all synced, from `offset` on, in the epochs up to
   * `epoch`. What stands there in the end is known when it is acknowledged, or read, in a later one.
   */
  lost(partition: string, offset: number, epoch: number): void {
    const model = this.#model(partition);
    model.lossCount += 1;
    model.lostEpoch = epoch;
    for (const [at, value] of model.values) {
      if (at < offset) continue;
      model.values.delete(at);
      model.acked.delete(at);
      model.offsets.delete(value);
    }
  }

  /** An offset below which everything is known to be committed, above all of which the deletion was asked for; undefined if there is none. */
  deletable(partition: string, random: Random): number | undefined {
    const { values, mayBeGoneBelow } = this.#model(partition);
    const known = [...values.keys()].filter((offset) => offset >= mayBeGoneBelow);
    const last = known[random.uint32() % Math.max(1, known.length)];
    return last === undefined ? undefined : last + 1;
  }

  deletionAsked(partition: string, before: number): void {
    const model = this.#model(partition);
    model.mayBeGoneBelow = Math.max(model.mayBeGoneBelow, before);
  }

  /** Acknowledged by who led in `epoch` at the latest. */
  deleted(partition: string, before: number, epoch: number): void {
    this.#model(partition).deletions.push({ before, epoch });
  }

  mayBeGoneBelow(partition: string): number {
    return this.#partitions.get(partition)?.mayBeGoneBelow ?? 0;
  }

  /** Where the partition begins, at the least, for whoever asks from now on who leads in that epoch. */
  startIn(partition: string, epoch: number): number {
    const deletions = this.#partitions.get(partition)?.deletions ?? [];
    return Math.max(0, ...deletions.filter((one) => one.epoch <= epoch).map(({ before }) => before));
  }

  /** Records from `offset` on were given out; `start`: the beginning, as `startIn` knew it when they were asked for. */
  served(who: string, partition: string, offset: number, start: number): void {
    check(
      offset >= start,
      'deleted records',
      () => `${who} was given ${partition} from ${offset} on, of which everything below ${start} had been deleted`,
    );
  }

  /** Whoever asked before another loss has no use for the answer. */
  lossCount(partition: string): number {
    return this.#partitions.get(partition)?.lossCount ?? 0;
  }

  /** Whether what a leader of that epoch says is of before the last loss. */
  isDisowned(partition: string, epoch: number): boolean {
    return epoch <= (this.#partitions.get(partition)?.lostEpoch ?? -1);
  }

  /** `log`: the whole partition, as it is read in the end. */
  checkFinal(partition: string, log: ReadonlyMap<number, string>): void {
    const model = this.#model(partition);
    for (const [offset, value] of model.values) {
      if (offset < model.mayBeGoneBelow) continue;
      const found = log.get(offset);
      const how = model.acked.has(offset) ? 'acknowledged' : 'read';
      const shown = found ?? 'nothing';
      check(
        found === value,
        'lost',
        () => `${value} was ${how} at ${offset} of ${partition}, where ${shown} is in the end`,
      );
    }
  }

  /** What was acknowledged, or read, by offsets. */
  standing(partition: string): ReadonlyMap<number, string> {
    return this.#model(partition).values;
  }

  #stands(model: PartitionModel, how: string, partition: string, offset: number, value: string): void {
    check(this.#sent.has(value), 'phantom', () => `${value} at ${offset} of ${partition}, ${how}, was never sent`);
    const before = model.values.get(offset);
    check(
      before === undefined || before === value,
      'one value at an offset',
      () => `at ${offset} of ${partition} ${value} was ${how}, and ${before} earlier`,
    );
    const elsewhere = model.offsets.get(value);
    // A replica that begins behind what was deleted does not know what producers have written there.
    check(
      elsewhere === undefined || elsewhere === offset || elsewhere < model.mayBeGoneBelow,
      'written once',
      () => `${value}, ${how} at ${offset} of ${partition}, stands at ${elsewhere} too`,
    );
    model.values.set(offset, value);
    model.offsets.set(value, offset);
  }

  #model(partition: string): PartitionModel {
    let model = this.#partitions.get(partition);
    if (model === undefined) {
      const known = { values: new Map(), offsets: new Map(), acked: new Map() };
      model = { ...known, lossCount: 0, lostEpoch: -1, mayBeGoneBelow: 0, deletions: [] };
      this.#partitions.set(partition, model);
    }
    return model;
  }
}
