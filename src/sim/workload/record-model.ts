/** What may be read of every partition, as the clients that write and read it know. */
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
}

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

  partitions(): Iterable<string> {
    return this.#partitions.keys();
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
    check(
      elsewhere === undefined || elsewhere === offset,
      'written once',
      () => `${value}, ${how} at ${offset} of ${partition}, stands at ${elsewhere} too`,
    );
    model.values.set(offset, value);
    model.offsets.set(value, offset);
  }

  #model(partition: string): PartitionModel {
    let model = this.#partitions.get(partition);
    if (model === undefined) {
      model = { values: new Map(), offsets: new Map(), acked: new Map(), lossCount: 0, lostEpoch: -1 };
      this.#partitions.set(partition, model);
    }
    return model;
  }
}
