import fc from 'fast-check';
import { expect, test } from 'vitest';
import { leaderEpoch, offset } from '#model/ids';
import { defaultLogConfig, type LogConfig } from '#storage/log-config';
import type { PartitionLog } from '#storage/partition-log';
import { epochTextFrom, indexFiles, LogModel } from './log-model.ts';
import { append, type BatchSpec, batch, Harness, headersOf } from './support.ts';

const CONFIG: LogConfig = {
  ...defaultLogConfig(),
  segmentBytes: 20_000,
  retentionBytes: 30_000,
  retentionMs: -1,
  fileDeleteDelayMs: 1000,
};

type Step =
  | { readonly kind: 'append'; readonly batches: readonly { count: number; valueBytes: number; producer: number }[] }
  | { readonly kind: 'end'; readonly producer: number; readonly how: 'abort' | 'commit' }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'roll' | 'retention' | 'crash' | 'kill' | 'restart' | 'shutdown' | 'epoch' | 'full' }
  | { readonly kind: 'truncate' | 'delete' | 'read'; readonly share: number; readonly waits: boolean };

/** Producers from the one to the other write in transactions. */
const TRANSACTIONAL_MIN = 2;
const TRANSACTIONAL_MAX = 4;

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      batches: fc.array(
        fc.record({
          count: fc.integer({ min: 1, max: 4 }),
          valueBytes: fc.integer({ min: 0, max: 2500 }),
          producer: fc.integer({ min: -1, max: TRANSACTIONAL_MAX }),
        }),
        { minLength: 1, maxLength: 5 },
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      producer: fc.integer({ min: TRANSACTIONAL_MIN, max: TRANSACTIONAL_MAX }),
      how: fc.constantFrom('abort' as const, 'commit' as const),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0.05, 0.2, 1, 50, 6000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('roll', 'retention', 'crash', 'kill', 'restart', 'shutdown', 'epoch', 'full'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('truncate', 'delete', 'read'),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      waits: fc.boolean(),
    }),
  },
) as fc.Arbitrary<Step>;

/** One log, what it should be, and the steps that both take. */
class Run {
  readonly harness: Harness;
  readonly model = new LogModel();
  readonly #config: LogConfig;
  /** How many times larger values are than the steps say. */
  readonly #scale: number;
  readonly #sequences = new Map<number, number>();
  log!: PartitionLog;
  #isCutting = false;
  #isFull = false;
  #wasFull = false;
  #epoch = 0;
  #time = 1000;

  constructor(harness: Harness, config: LogConfig, scale: number) {
    this.harness = harness;
    this.#config = config;
    this.#scale = scale;
  }

  async open(): Promise<void> {
    await this.harness.start();
    this.#attach(await this.harness.create('t', 0, this.#config));
  }

  async take(step: Step): Promise<void> {
    const { harness, log, model } = this;
    switch (step.kind) {
      case 'append':
        this.#append(step.batches.map((spec) => this.#spec(spec)));
        break;
      case 'end':
        this.#append([{ producerId: step.producer, marker: step.how, timestamp: this.#time }]);
        break;
      case 'wait':
        await harness.settle(step.ms);
        break;
      case 'roll':
        log.roll();
        break;
      case 'full':
        this.#fillOrFree();
        break;
      case 'epoch':
        this.#epoch += 1;
        break;
      case 'retention':
        log.enforceRetention(0);
        await harness.settle(50);
        break;
      case 'delete':
        log.deleteRecordsBefore(offset(Math.floor(log.durableOffset * step.share)));
        break;
      case 'truncate':
        await this.#truncate(step.share, step.waits);
        break;
      case 'read':
        await this.#read(step.share);
        break;
      case 'restart':
        await this.free();
        await harness.settle(100);
        await harness.restart();
        await this.#reopened(model.end);
        await this.check();
        break;
      case 'shutdown':
        await this.free();
        await harness.settle(100);
        await harness.stop();
        await harness.start();
        await this.#reopened(model.end);
        await this.check();
        break;
      case 'crash':
      case 'kill':
        this.#isFull = false;
        await (step.kind === 'kill' ? harness.kill() : harness.crash());
        await this.#reopened(model.durableEnd);
        // What was told to be deleted for good does not come back.
        expect(this.log.logStartOffset).toBeGreaterThanOrEqual(Math.min(log.savedStartOffset, model.durableEnd));
        await this.check();
        break;
    }
    model.start = Math.max(model.start, this.log.logStartOffset);
  }

  /** The log holds what the model says, and remembers of it what one would who had seen every append. */
  async check(): Promise<void> {
    const { harness, log, model } = this;
    const contents = await harness.contents(log);
    expect(Buffer.compare(contents, model.bytesFrom(log.logStartOffset))).toBe(0);
    expect(Buffer.from(log.producers.takeSnapshot()).toString('hex')).toBe(
      Buffer.from(model.producerSnapshot()).toString('hex'),
    );
    this.#checkAborted(log.logStartOffset, log.logEndOffset);
    expect(epochTextFrom(log, model.start)).toBe(model.epochText());
    const { base: middle = 0 } = model.batches[model.batches.length >> 1] ?? {};
    for (const upTo of [log.logEndOffset, offset(middle)]) {
      const latest = await harness.world.complete(new Promise((resolve) => log.maxTimestamp(upTo, resolve)));
      expect(latest).toEqual(model.latestRecord(log.logStartOffset, upTo));
    }
  }

  /** T6: the index of aborted transactions says what the markers do. */
  #checkAborted(from: number, upTo: number): void {
    const said = this.log
      .abortedTransactions(offset(from), offset(upTo))
      .map(({ producerId, firstOffset, lastOffset }) => ({
        producerId,
        firstOffset,
        lastOffset,
      }));
    expect(said).toEqual(this.model.abortedTransactions(from, upTo));
  }

  #attach(log: PartitionLog): void {
    this.log = log;
    log.updateConfig(this.#config);
    log.listener = {
      written: () => {},
      durable: (end) => {
        if (!this.#isCutting) this.model.durableEnd = end;
      },
      rejected: (from) => {
        if (!this.#isFull && !this.#wasFull) throw new Error('there is room');
        this.model.cut(from);
        this.#sequences.clear();
      },
      rewound: () => {},
      startSaved: () => {},
      failed: () => {
        throw new Error('the disk is sound');
      },
    };
  }

  async #reopened(endMin: number): Promise<void> {
    // A log without a durable record may vanish as a whole; its owner makes it again.
    const [quarantined] = this.harness.store.quarantined;
    if (quarantined !== undefined) throw new Error(quarantined.reason);
    if (endMin === 0 && this.harness.store.get('t', 0) === undefined) await this.harness.create('t', 0, this.#config);
    const log = this.harness.store.get('t', 0);
    if (log === undefined) throw new Error(JSON.stringify(this.harness.store.quarantined.map(({ reason }) => reason)));
    expect(log.logEndOffset).toBeGreaterThanOrEqual(endMin);
    expect(log.logEndOffset).toBeLessThanOrEqual(this.model.end);
    expect(log.logStartOffset).toBeLessThanOrEqual(this.model.start);
    this.model.cut(log.logEndOffset);
    this.model.durableEnd = log.logEndOffset;
    this.#isCutting = false;
    this.#attach(log);
  }

  /** Now no write finds room, now every one does. */
  #fillOrFree(): void {
    this.#isFull = !this.#isFull;
    this.#wasFull = true;
    this.harness.strike = (operation) => (this.#isFull && operation === 'write' ? { fail: 'ENOSPC' } : undefined);
  }

  /** There is room again, and the log has noticed. */
  async free(): Promise<void> {
    if (!this.#wasFull) return;
    this.#isFull = false;
    await this.harness.settle(12_000);
    this.#wasFull = false;
  }

  #append(specs: readonly BatchSpec[]): void {
    const bytes = Buffer.concat(specs.map((spec) => batch(spec, this.#time % 251)));
    if (typeof append(this.log, bytes, leaderEpoch(this.#epoch)) === 'string') return;
    this.model.append(bytes);
  }

  /** Timestamps now rise, now fall. */
  #spec({ count, valueBytes: unscaled, producer }: { count: number; valueBytes: number; producer: number }): BatchSpec {
    const valueBytes = unscaled * this.#scale;
    this.#time += 17;
    const timestamp = this.#time % 3 === 0 ? this.#time : this.#time + 40;
    if (producer < 0) return { count, valueBytes, timestamp };
    const baseSequence = this.#sequences.get(producer) ?? 0;
    this.#sequences.set(producer, baseSequence + count);
    const transactional = producer >= TRANSACTIONAL_MIN;
    return { count, valueBytes, timestamp, producerId: producer, baseSequence, transactional };
  }

  /** Without waiting, the next steps meet a log that is being cut. */
  async #truncate(share: number, waits: boolean): Promise<void> {
    const { log, model, harness } = this;
    if (this.#isCutting) return;
    const target = offset(log.logStartOffset + Math.floor((log.logEndOffset - log.logStartOffset) * share));
    // The batch that holds the target goes as a whole.
    const from = model.batches.find(({ next }) => next > target)?.base ?? target;
    model.durableEnd = Math.min(model.durableEnd, from);
    this.#isCutting = true;
    log.truncateTo(target, () => {
      this.#isCutting = false;
      expect(log.logEndOffset).toBeLessThanOrEqual(target);
      model.cut(log.logEndOffset);
      // What a client gave sequences to is gone.
      this.#sequences.clear();
    });
    if (waits) await harness.settle(50);
  }

  async #read(share: number): Promise<void> {
    const { harness, log, model } = this;
    const from = log.logStartOffset + Math.floor((log.logEndOffset - log.logStartOffset) * share);
    const end = log.logEndOffset;
    const wanted = model.bytesFrom(from);
    const wasCutting = this.#isCutting;
    const result = await harness.read(log, from, end, 3000 * this.#scale);
    if (typeof result === 'string') throw new Error(result);
    const read = Buffer.concat(result.chunks);
    expect(Buffer.compare(read, wanted.subarray(0, read.length))).toBe(0);
    // Nothing that began below it is open: what a read_committed consumer asks for.
    const stable = Math.min(end, log.producers.firstUnstableOffset ?? end);
    if (!wasCutting && !this.#isCutting && !this.#wasFull && from < stable) this.#checkAborted(from, stable);
    // What is being cut may be gone or not.
    if (!wasCutting) expect(read.length > 0).toBe(from < end);
    expect(read.length <= 3000 * this.#scale || headersOf(read).length === 1).toBe(true);
  }
}

async function history(
  steps: readonly Step[],
  seed: number,
  tailCacheBytes: number,
  { scale = 1, ignoreSync = false }: { scale?: number; ignoreSync?: boolean } = {},
): Promise<void> {
  const harness = new Harness({ seed, tailCacheBytes, fault: { ignoreSync } });
  const { segmentBytes, retentionBytes } = CONFIG;
  const config = { ...CONFIG, segmentBytes: segmentBytes * scale, retentionBytes: retentionBytes * scale };
  const run = new Run(harness, config, scale);
  await run.open();
  for (const step of steps) await run.take(step);
  await run.free();
  await harness.settle(100);
  await run.check();
  await harness.stop(async (disk) => {
    // A power cut right after the shutdown may take index files with it; they are made anew when they are needed.
    if (steps.some(({ kind }) => kind === 'shutdown')) return;
    const files = await indexFiles(disk, 't-0', CONFIG);
    expect(files.found).toEqual(files.expected);
  });
}

const RUNS = Number(process.env.STORAGE_RUNS ?? 150);
/** They take two seconds on a machine that has nothing else to do. */
const TIMEOUT_MS = 30_000 + RUNS * 100;
const histories = [
  fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }),
  fc.integer({ min: 1, max: 2 ** 31 }),
  fc.constantFrom(0, 20_000, 2 ** 20),
] as const;

test('a crash while a log is cut within a batch leaves at least what lies before the batch', async () => {
  const steps: readonly Step[] = [
    { kind: 'append', batches: [{ count: 2, valueBytes: 0, producer: 0 }] },
    { kind: 'retention' },
    { kind: 'truncate', share: 0.5, waits: false },
    { kind: 'wait', ms: 2 },
    { kind: 'crash' },
  ];
  await history(steps, 295041399, 0);
});

test("a log that rolls before its first write finds room is nobody's after a kill", async () => {
  const steps: readonly Step[] = [
    { kind: 'full' },
    { kind: 'append', batches: [{ count: 18, valueBytes: 1000, producer: 0 }] },
    { kind: 'append', batches: [{ count: 14, valueBytes: 1300, producer: 0 }] },
    { kind: 'wait', ms: 0.05 },
    { kind: 'kill' },
  ];
  for (let seed = 1; seed <= 20; seed += 1) await history(steps, seed, 0);
});

test('a snapshot that found no room lets no segment go after a restart', async () => {
  const steps: readonly Step[] = [
    { kind: 'end', producer: 2, how: 'abort' },
    { kind: 'wait', ms: 50 },
    { kind: 'append', batches: [{ count: 15, valueBytes: 1400, producer: 0 }] },
    { kind: 'full' },
    { kind: 'end', producer: 2, how: 'abort' },
    { kind: 'wait', ms: 0.05 },
    { kind: 'append', batches: [{ count: 8, valueBytes: 1300, producer: 0 }] },
    { kind: 'restart' },
    { kind: 'retention' },
    { kind: 'truncate', share: 0, waits: false },
  ];
  for (let seed = 1; seed <= 20; seed += 1) await history(steps, seed, 0);
});

test('a roll for which there was no room takes no aborted transaction with it', async () => {
  const steps: readonly Step[] = [
    {
      kind: 'append',
      batches: [
        { count: 1, valueBytes: 0, producer: 3 },
        { count: 1, valueBytes: 0, producer: 0 },
      ],
    },
    { kind: 'end', producer: 3, how: 'abort' },
    // The index is read, and told again by the batches.
    { kind: 'restart' },
    { kind: 'roll' },
    { kind: 'full' },
    { kind: 'append', batches: [{ count: 1, valueBytes: 0, producer: 0 }] },
    { kind: 'wait', ms: 1 },
    { kind: 'kill' },
  ];
  for (let seed = 1; seed <= 20; seed += 1) await history(steps, seed, 0);
});

test(
  'after any history of appends, cuts, crashes, restarts and full disks a log is what a list of batches would be, down to its index files',
  async () => {
    await fc.assert(
      fc.asyncProperty(...histories, (steps, seed, cacheBytes) => history(steps, seed, cacheBytes)),
      { numRuns: RUNS },
    );
  },
  TIMEOUT_MS,
);

test(
  'the same holds for batches and segments of a hundred times the size, whose indexes recovery uses',
  async () => {
    await fc.assert(
      fc.asyncProperty(...histories, (steps, seed, cacheBytes) => history(steps, seed, cacheBytes, { scale: 100 })),
      { numRuns: Math.ceil(RUNS / 5) },
    );
  },
  TIMEOUT_MS,
);

test(
  'the same histories find a disk whose syncs do nothing',
  async () => {
    const unsafe = fc.asyncProperty(...histories, (steps, seed, cacheBytes) =>
      history(steps, seed, cacheBytes, { ignoreSync: true }),
    );
    expect((await fc.check(unsafe, { numRuns: 100, endOnFailure: true })).failed).toBe(true);
  },
  TIMEOUT_MS,
);
