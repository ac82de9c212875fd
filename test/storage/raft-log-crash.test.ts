import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RaftLog } from '#storage/raft-log';
import { type RaftEntry, SEGMENT_HEADER_BYTES, segmentName } from '#storage/raft-log-format';
import { RaftLogError } from '#storage/raft-log-recovery';
import { entries, LogWorld, payload, texts } from './raft-log-support.ts';

type Step =
  | { readonly do: 'append'; readonly sizes: readonly number[]; readonly wait: boolean }
  | { readonly do: 'truncate'; readonly choice: number }
  | { readonly do: 'snapshot'; readonly choice: number }
  | { readonly do: 'hardState' }
  | { readonly do: 'crash'; readonly afterMs: number }
  | { readonly do: 'reopen' };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      sizes: fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 4 }),
      wait: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate' as const), choice: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('snapshot' as const), choice: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hardState' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('crash' as const), afterMs: fc.double({ min: 0, max: 1.5, noNaN: true }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
);

/** What the log must hold: everything appended, how much of it was confirmed, and what snapshots cover. */
class Model {
  entries: RaftEntry[] = [];
  confirmed = 0;
  snapshot = 0;
  epoch = 0;
}

class Run {
  readonly model = new Model();
  readonly #world: LogWorld;
  #log: RaftLog;
  #count = 0;

  private constructor(world: LogWorld, log: RaftLog) {
    this.#world = world;
    this.#log = log;
  }

  static async begin(seed: number, ignoreSync: boolean): Promise<Run> {
    const world = new LogWorld(seed, { ignoreSync });
    return new Run(world, (await world.open({ segmentBytes: 2000 })).log);
  }

  async perform(step: Step): Promise<void> {
    const { model } = this;
    switch (step.do) {
      case 'append': {
        const appended = step.sizes.map((size) => {
          this.#count += 1;
          return `${this.#count}`.padEnd(size, '.');
        });
        const group = entries(model.entries.length, Math.max(1, model.epoch), appended);
        model.entries.push(...group);
        const end = model.entries.length;
        const done = new Promise<void>((resolve) => {
          this.#log.append(group, (failure) => {
            expect(failure).toBeUndefined();
            model.confirmed = Math.max(model.confirmed, end);
            resolve();
          });
        });
        if (step.wait) await this.#world.complete(done);
        break;
      }
      case 'truncate': {
        await this.#settle();
        if (model.entries.length === model.snapshot) break;
        const index = model.snapshot + 1 + (step.choice % (model.entries.length - model.snapshot));
        await this.#world.complete(this.#log.truncateFrom(index));
        model.entries.length = index - 1;
        model.confirmed = index - 1;
        break;
      }
      case 'snapshot': {
        await this.#settle();
        if (model.entries.length === model.snapshot) break;
        const index = model.snapshot + 1 + (step.choice % (model.entries.length - model.snapshot));
        await this.#world.snapshot(this.#log, index, model.entries[index - 1]?.epoch ?? 0, [payload(`to ${index}`)]);
        model.snapshot = index;
        break;
      }
      case 'hardState':
        await this.#world.complete(this.#log.saveHardState({ epoch: model.epoch + 1, votedFor: null }));
        model.epoch += 1;
        break;
      case 'crash':
        await this.#world.world.run(this.#world.world.clock.now() + step.afterMs);
        await this.#world.crash();
        await this.reopen();
        break;
      case 'reopen':
        await this.#settle();
        await this.#world.complete(this.#log.close());
        await this.reopen();
        expect(model.confirmed).toBe(model.entries.length);
        break;
    }
  }

  async reopen(): Promise<void> {
    const { model } = this;
    const { log, recovered } = await this.#world.open({ segmentBytes: 2000 });
    this.#log = log;
    expect(recovered.hardState.epoch).toBe(model.epoch);
    expect(recovered.snapshot?.index ?? 0).toBe(model.snapshot);
    const found = model.snapshot + recovered.entries.length;
    expect(found).toBeGreaterThanOrEqual(model.confirmed);
    expect(texts(recovered.entries)).toEqual(texts(model.entries.slice(model.snapshot, found)));
    expect(log.lastIndex).toBe(found);
    model.entries.length = found;
    model.confirmed = found;
  }

  async #settle(): Promise<void> {
    await this.#world.world.run(() => this.#log.durableIndex === this.model.entries.length);
    await this.#world.world.run(this.#world.world.clock.now() + 1);
  }
}

describe('after any sequence of appends, truncations, snapshots and power cuts', () => {
  function property(ignoreSync: boolean) {
    return fc.asyncProperty(fc.nat(), fc.array(anyStep, { maxLength: 30 }), async (seed, steps) => {
      const run = await Run.begin(seed, ignoreSync);
      for (const step of steps) await run.perform(step);
      await run.perform({ do: 'crash', afterMs: 0.1 });
    });
  }

  test('the log is a prefix of what was appended and holds everything that was confirmed (S1)', async () => {
    await fc.assert(property(false), { numRuns: 150 });
  }, 30_000);

  test('that would not be so without the syncs: the check can fail', async () => {
    expect((await fc.check(property(true), { numRuns: 150, seed: 1, endOnFailure: true })).failed).toBe(true);
  }, 30_000);
});

describe('any damage to a segment', () => {
  const groups = fc.array(fc.array(fc.string({ maxLength: 30 }), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 5,
  });

  async function writtenLog(written: readonly (readonly string[])[]): Promise<{ world: LogWorld; bytes: Uint8Array }> {
    const world = new LogWorld(1);
    const { log } = await world.open();
    for (const group of written) await world.append(log, entries(log.lastIndex, 1, group));
    await world.complete(log.close());
    return { world, bytes: Uint8Array.from(await world.bytes(segmentName(1))) };
  }

  test('by cutting leaves a prefix, or a clear refusal', async () => {
    await fc.assert(
      fc.asyncProperty(groups, fc.nat(), async (written, where) => {
        const { world, bytes } = await writtenLog(written);
        await world.overwrite(segmentName(1), bytes.subarray(0, where % bytes.length));
        const all = written.flat();
        const outcome = await world.open().catch((failure: unknown) => failure);
        if (outcome instanceof RaftLogError) {
          expect(where % bytes.length).toBeLessThan(SEGMENT_HEADER_BYTES);
          return;
        }
        const found = texts((outcome as Awaited<ReturnType<LogWorld['open']>>).recovered.entries);
        expect(found).toEqual(all.slice(0, found.length));
      }),
      { numRuns: 60 },
    );
  }, 30_000);

  test('by a changed byte is refused, unless it can only be the end of the last write', async () => {
    await fc.assert(
      fc.asyncProperty(groups, fc.nat(), fc.integer({ min: 1, max: 255 }), async (written, where, flip) => {
        const { world, bytes } = await writtenLog(written);
        const at = where % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        await world.overwrite(segmentName(1), bytes);
        const lastGroup = written.at(-1)?.length ?? 0;
        const all = written.flat();
        const outcome = await world.open().catch((failure: unknown) => failure);
        if (outcome instanceof RaftLogError) return;
        const found = texts((outcome as Awaited<ReturnType<LogWorld['open']>>).recovered.entries);
        expect(found).toEqual(all.slice(0, found.length));
        expect(found.length).toBeGreaterThanOrEqual(all.length - lastGroup);
        expect(found.length).toBeLessThan(all.length);
      }),
      { numRuns: 100 },
    );
  }, 30_000);
});
