import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Codec } from '#base/ports';
import { offset } from '#model/ids';
import type { PartitionLog } from '#storage/partition-log';
import {
  batchesOf,
  COMPACT,
  clean,
  committedOf,
  committedRecords,
  committing,
  type FoundBatch,
  type FoundRecord,
  keyed,
} from './compaction-support.ts';
import { appended, batch, Harness } from './support.ts';

const RETENTION_MS = 20_000;
const CONFIG = { ...COMPACT, deleteRetentionMs: RETENTION_MS, indexIntervalBytes: 100 };
const CODECS = [Codec.None, Codec.None, Codec.Zstd, Codec.Gzip];

type Step =
  | {
      readonly kind: 'append';
      readonly entries: readonly { readonly key: number; readonly value: number | null }[];
      /** 0: none. */
      readonly producer: number;
      readonly transactional: boolean;
      readonly codec: number;
    }
  | {
      readonly kind: 'end';
      readonly producer: number;
      readonly marker: 'abort' | 'commit';
      /** As with transaction.version 2. */
      readonly raisesEpoch: boolean;
    }
  | { readonly kind: 'roll' | 'restart' | 'crash' | 'replay' }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'clean'; readonly dedupeBytes: number; readonly segmentBytes: number };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      entries: fc.array(fc.record({ key: fc.nat({ max: 6 }), value: fc.option(fc.nat({ max: 99 })) }), {
        minLength: 1,
        maxLength: 4,
      }),
      producer: fc.nat({ max: 3 }),
      transactional: fc.boolean(),
      codec: fc.nat({ max: 3 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      producer: fc.integer({ min: 1, max: 3 }),
      marker: fc.constantFrom('abort' as const, 'commit' as const),
      raisesEpoch: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('roll' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('restart' as const, 'crash' as const, 'replay' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(100, 9000, 21_000) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('clean' as const),
      // The smaller one takes a batch at a time.
      dedupeBytes: fc.constantFrom(1, 1 << 20),
      segmentBytes: fc.constantFrom(300, 100_000),
    }),
  },
);

interface Written extends FoundRecord {
  /** Of its transaction. */
  state: 'open' | 'committed' | 'aborted';
  /** When it was first cleaned; a tombstone may go so much later. */
  cleanedAt: number | undefined;
}

/** A log, and all that was ever written to it. */
class Run {
  readonly #harness: Harness;
  #log: PartitionLog;
  readonly #written: Written[] = [];
  readonly #sequences = new Map<number, number>();
  readonly #epochs = new Map<number, number>();
  /** Of producers with an open transaction: where their records are. */
  readonly #open = new Map<number, Written[]>();

  private constructor(harness: Harness, log: PartitionLog) {
    this.#harness = harness;
    this.#log = log;
    committing(log);
  }

  static async begin(): Promise<Run> {
    const harness = await Harness.open({ tailCacheBytes: 1 << 20 });
    return new Run(harness, await harness.create('t', 0, CONFIG));
  }

  async take(step: Step): Promise<void> {
    const { world } = this.#harness;
    switch (step.kind) {
      case 'append':
        return this.#append(step);
      case 'end': {
        const records = this.#open.get(step.producer);
        if (records === undefined) return;
        const { producer: producerId, marker } = step;
        const producerEpoch = (this.#epochs.get(producerId) ?? 0) + (step.raisesEpoch ? 1 : 0);
        appended(this.#log, batch({ producerId, producerEpoch, marker, timestamp: world.clock.wall() }));
        this.#epochs.set(producerId, producerEpoch);
        if (step.raisesEpoch) this.#sequences.set(producerId, 0);
        for (const record of records) record.state = step.marker === 'abort' ? 'aborted' : 'committed';
        this.#open.delete(step.producer);
        return;
      }
      case 'roll':
        return this.#log.roll();
      case 'wait':
        return this.#harness.settle(step.ms);
      case 'restart':
      case 'replay':
      case 'crash': {
        await this.#harness.settle(500);
        const { producers } = this.#log;
        const [before, unstable] = [producers.lastOfEach(), producers.firstUnstableOffset];
        if (step.kind === 'crash') await this.#harness.crash();
        else if (step.kind === 'restart') await this.#harness.restart();
        else await this.#restartFromBatches();
        expect(this.#harness.store.quarantined).toEqual([]);
        const log = this.#harness.store.get('t', 0);
        if (log === undefined) {
          // A log without a record may go with the power.
          expect(this.#written).toEqual([]);
          this.#log = await this.#harness.create('t', 0, CONFIG);
        } else {
          this.#log = log;
          expect(log.producers.lastOfEach()).toEqual(before);
        }
        this.#log.updateConfig({ ...this.#log.config, ...CONFIG });
        committing(this.#log);
        // No transaction comes back to life, or to its end.
        expect(this.#log.producers.firstUnstableOffset).toBe(unstable);
        return this.check();
      }
      case 'clean': {
        this.#log.updateConfig({ ...this.#log.config, segmentBytes: step.segmentBytes });
        const dirty = this.#log.compaction.cleanedOffset;
        this.#log.roll();
        await this.#harness.settle(6000);
        const nowMs = world.clock.wall();
        const unstable = this.#log.producers.firstUnstableOffset ?? this.#log.logEndOffset;
        const before = await batchesOf(this.#harness, this.#log, unstable);
        const result = await clean(this.#harness, this.#log, { dedupeBytes: step.dedupeBytes, nowMs });
        const cleanedTo = result?.cleanedTo ?? 0;
        if (result !== undefined) expect(cleanedTo).toBeGreaterThan(dirty);
        expect(cleanedTo).toBeLessThanOrEqual(unstable);
        for (const record of this.#written) if (record.offset < cleanedTo) record.cleanedAt ??= nowMs;
        expect(await batchesOf(this.#harness, this.#log, unstable)).toEqual(before);
        return this.check(nowMs);
      }
    }
  }

  /** What is left of the batches has to tell everything. */
  async #restartFromBatches(): Promise<void> {
    await this.#harness.settle(6000);
    await this.#harness.stop(async (disk) => {
      for (const name of await disk.list('t-0'))
        if (/\.(snapshot|txnindex|timeindex)$/.test(name)) await disk.remove(`t-0/${name}`);
      await disk.syncDir('t-0');
    });
    await this.#harness.start();
  }

  async check(nowMs = this.#harness.world.clock.wall()): Promise<void> {
    const batches = await batchesOf(this.#harness, this.#log);
    const found = batches.flatMap(({ records }) => records);
    // Only what was written, where it was written, in order, with its time.
    for (const [index, { base }] of batches.entries()) expect(base).toBeGreaterThan(batches[index - 1]?.last ?? -1);
    const written = new Map(this.#written.map((record) => [record.offset, record]));
    for (const { offset: at, key, value, timestamp } of found) {
      expect({ key, value, timestamp }).toEqual({
        key: written.get(at)?.key,
        value: written.get(at)?.value,
        timestamp: written.get(at)?.timestamp,
      });
    }
    const there = new Set(found.map(({ offset: at }) => at));
    const latest = new Map<string, Written>();
    for (const record of this.#written) if (record.state !== 'aborted') latest.set(record.key, record);
    for (const record of this.#written) {
      if (record.state === 'open') expect(there.has(record.offset)).toBe(true);
    }
    const decided = new Map<string, Written>();
    for (const record of this.#written) if (record.state === 'committed') decided.set(record.key, record);
    for (const record of decided.values()) {
      const mayGo = record.value === null && record.cleanedAt !== undefined && nowMs >= record.cleanedAt + RETENTION_MS;
      if (!mayGo) expect(there.has(record.offset), `${record.offset}:${record.key}`).toBe(true);
    }
    await this.#checkCommitted(decided);
    this.#checkRanges(batches);
  }

  /** Whoever reads some batches, read_committed, is told of all that was aborted in them, wherever it begins. */
  #checkRanges(batches: readonly FoundBatch[]): void {
    const end = this.#log.producers.firstUnstableOffset ?? this.#log.logEndOffset;
    const aborted = new Set(this.#written.flatMap(({ state, offset: at }) => (state === 'aborted' ? [at] : [])));
    const stable = batches.filter(({ last }) => last < end);
    for (const [from] of stable.entries()) {
      for (const count of [1, 2, 3, stable.length - from]) {
        const range = stable.slice(from, from + count);
        const seen = committedOf(range, this.#log).map(({ offset: at }) => at);
        const there = range.flatMap(({ records }) => records).map(({ offset: at }) => at);
        expect(seen).toEqual(there.filter((at) => !aborted.has(at)));
      }
    }
  }

  /** Whoever reads it all, read_committed, ends with the last committed value of each key, and sees nothing that was aborted. */
  async #checkCommitted(decided: ReadonlyMap<string, Written>): Promise<void> {
    const end = this.#log.producers.firstUnstableOffset ?? this.#log.logEndOffset;
    const aborted = new Set(this.#written.flatMap(({ state, offset: at }) => (state === 'aborted' ? [at] : [])));
    const values = new Map<string, string>();
    for (const { offset: at, key, value } of await committedRecords(this.#harness, this.#log, end)) {
      expect(aborted.has(at)).toBe(false);
      if (value === null) values.delete(key);
      else values.set(key, value);
    }
    const expected = new Map<string, string>();
    for (const record of this.#written) {
      if (record.state !== 'committed' || record.offset >= end) continue;
      if (record.value === null) expected.delete(record.key);
      else expected.set(record.key, record.value);
    }
    expect(new Map([...values].sort())).toEqual(new Map([...expected].sort()));
    if (end === this.#log.logEndOffset)
      expect([...expected.keys()].every((key) => decided.get(key)?.value !== null)).toBe(true);
  }

  #append(step: Step & { kind: 'append' }): void {
    const isOpen = this.#open.has(step.producer);
    const transactional = step.producer > 0 && (isOpen || step.transactional);
    const baseSequence = step.producer === 0 ? -1 : (this.#sequences.get(step.producer) ?? 0);
    const timestamp = this.#harness.world.clock.wall();
    const entries = step.entries.map(({ key, value }) => ({
      key: `k${key}`,
      value: value === null ? null : `${value}`,
    }));
    const bytes = keyed(entries, {
      producerId: step.producer === 0 ? -1 : step.producer,
      producerEpoch: step.producer === 0 ? -1 : (this.#epochs.get(step.producer) ?? 0),
      baseSequence,
      transactional,
      timestamp,
      codec: CODECS[step.codec] ?? Codec.None,
    });
    const base = appended(this.#log, bytes);
    this.#sequences.set(step.producer, baseSequence + entries.length);
    const records = entries.map(
      ({ key, value }, index): Written => ({
        offset: offset(base + index),
        key,
        value,
        timestamp: timestamp + index,
        state: transactional ? 'open' : 'committed',
        cleanedAt: undefined,
      }),
    );
    this.#written.push(...records);
    if (transactional) this.#open.set(step.producer, [...(this.#open.get(step.producer) ?? []), ...records]);
  }
}

test('after any history of records, transactions, rolls, cleanings, restarts and power cuts a reader finds the last value of each key', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 5, maxLength: 40 }), async (steps) => {
      const run = await Run.begin();
      for (const step of steps) await run.take(step);
      await run.check();
    }),
    { numRuns: 150 },
  );
}, 60_000);
