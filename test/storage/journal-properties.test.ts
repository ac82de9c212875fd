import fc from 'fast-check';
import { expect, test } from 'vitest';
import { offset } from '#model/ids';
import type { PartitionLog } from '#storage/partition-log';
import { LogModel } from './log-model.ts';
import { append, batch, Harness } from './support.ts';

const LOGS = 24;
const SEGMENT_BYTES = 6000;

type Step =
  | { readonly kind: 'burst'; readonly first: number; readonly count: number; readonly valueBytes: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'truncate' | 'replace'; readonly log: number; readonly share: number }
  | { readonly kind: 'crash' | 'kill' | 'restart' };

const place = fc.integer({ min: 0, max: LOGS - 1 });
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('burst' as const),
      first: place,
      count: fc.integer({ min: 1, max: LOGS }),
      valueBytes: fc.integer({ min: 0, max: 2000 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0.1, 0.5, 2, 20, 6000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('truncate' as const, 'replace' as const),
      log: place,
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('crash' as const, 'kill' as const, 'restart' as const) }) },
);

/** Logs whose bursts are more than are synced one by one, over a journal that is full after some of them. */
class Run {
  readonly harness: Harness;
  readonly models = Array.from({ length: LOGS }, () => new LogModel());
  readonly #cutting = new Set<number>();
  #fill = 0;

  constructor(seed: number) {
    this.harness = new Harness({ seed, journalFileBytes: 30_000 });
  }

  async open(): Promise<void> {
    await this.harness.start();
    for (let index = 0; index < LOGS; index += 1) await this.#create(index);
  }

  async take(step: Step): Promise<void> {
    const { harness } = this;
    switch (step.kind) {
      case 'burst':
        for (let index = step.first; index < step.first + step.count; index += 1)
          this.#append(index % LOGS, step.valueBytes);
        break;
      case 'wait':
        await harness.settle(step.ms);
        break;
      case 'truncate':
        this.#truncate(step.log, step.share);
        break;
      case 'replace':
        this.#cutting.delete(step.log);
        await harness.world.complete(harness.store.delete(this.#log(step.log)));
        this.models[step.log] = new LogModel();
        await this.#create(step.log);
        break;
      case 'crash':
      case 'kill':
        await (step.kind === 'kill' ? harness.kill() : harness.crash());
        await this.#reopened((model) => model.durableEnd);
        break;
      case 'restart':
        await harness.settle(100);
        await harness.restart();
        await this.#reopened((model) => model.end);
        break;
    }
  }

  #log(index: number): PartitionLog {
    const log = this.harness.store.get('t', index);
    if (log === undefined) throw new Error(JSON.stringify(this.harness.store.quarantined.map(({ reason }) => reason)));
    return log;
  }

  /** Under the same topic id, as when a replica is dropped and comes back: the journal must not know the old one. */
  async #create(index: number): Promise<void> {
    this.#attach(index, await this.harness.create('t', index, { segmentBytes: SEGMENT_BYTES }));
  }

  #attach(index: number, log: PartitionLog): void {
    const model = this.models[index] as LogModel;
    log.updateConfig({ ...log.config, segmentBytes: SEGMENT_BYTES });
    log.listener = {
      written: () => {},
      durable: (end) => {
        if (!this.#cutting.has(index)) model.durableEnd = end;
      },
      rejected: () => expect.unreachable('there is room'),
      startSaved: () => {},
      rewound: () => {},
      failed: () => expect.unreachable('the disk is sound'),
    };
  }

  #append(index: number, valueBytes: number): void {
    this.#fill = (this.#fill + 1) % 251;
    const bytes = batch({ valueBytes, timestamp: this.#fill }, this.#fill);
    if (typeof append(this.#log(index), bytes) !== 'string') this.models[index]?.append(bytes);
  }

  #truncate(index: number, share: number): void {
    if (this.#cutting.has(index)) return;
    const log = this.#log(index);
    const model = this.models[index] as LogModel;
    const target = offset(Math.floor(log.logEndOffset * share));
    model.durableEnd = Math.min(model.durableEnd, target);
    this.#cutting.add(index);
    log.truncateTo(target, () => {
      this.#cutting.delete(index);
      model.cut(target);
    });
  }

  async #reopened(endMin: (model: LogModel) => number): Promise<void> {
    this.#cutting.clear();
    for (const [index, model] of this.models.entries()) {
      // A log without a durable record may vanish as a whole; its owner makes it again.
      if (endMin(model) === 0 && this.harness.store.get('t', index) === undefined) await this.#create(index);
      const log = this.#log(index);
      expect(log.logEndOffset).toBeGreaterThanOrEqual(endMin(model));
      expect(log.logEndOffset).toBeLessThanOrEqual(model.end);
      model.cut(log.logEndOffset);
      model.durableEnd = log.logEndOffset;
      expect(Buffer.compare(await this.harness.contents(log), model.bytesFrom(0))).toBe(0);
      this.#attach(index, log);
    }
  }
}

const RUNS = Number(process.env.STORAGE_RUNS ?? 40);
/** They take two seconds on a machine that has nothing else to do. */
const TIMEOUT_MS = 30_000 + RUNS * 300;

test(
  'many logs that share the journal lose nothing durable and get back nothing that was cut, whatever the crashes',
  async () => {
    let replays = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }),
        fc.integer({ min: 1, max: 2 ** 31 }),
        async (steps, seed) => {
          const run = new Run(seed);
          await run.open();
          for (const each of steps) await run.take(each);
          await run.take({ kind: 'crash' });
          replays += run.harness.lines.filter(({ message }) => message.includes('journal was replayed')).length;
        },
      ),
      { numRuns: RUNS },
    );
    expect(replays).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
