import { afterAll, describe, expect, it } from 'vitest';
import { createCodecs } from '#platform/codecs';
import { runSeed, type SeedResult } from '#sim/run-seed';
import { SimPool } from '../../scripts/sim-pool.ts';
import type { SeedReport } from '../../scripts/sim-worker.ts';

const DURATION_MS = 12_000;
const SEEDS = [1, 2];

function run(seed: number, trace?: (at: number, who: string, what: string) => void): Promise<SeedResult> {
  return runSeed({ seed, durationMs: DURATION_MS, codecs: createCodecs(), ...(trace && { trace }) });
}

/** Everything but what was measured. */
function historyOf({ seed, eventCount, simulatedMs, traceHash, violation }: SeedResult | SeedReport) {
  return { seed, eventCount, simulatedMs, traceHash, violation: violation?.message };
}

describe('a seed', { timeout: 120_000 }, () => {
  const pool = new SimPool(1);
  afterAll(() => pool.close());

  it('has the same history twice in one process, and in another that has run others before', async () => {
    const first = [];
    for (const seed of SEEDS) first.push(historyOf(await run(seed)));
    for (const [index, seed] of SEEDS.entries()) expect(historyOf(await run(seed))).toEqual(first[index]);
    const elsewhere: unknown[] = [];
    const jobs = SEEDS.map((seed) => ({ seed, durationMs: DURATION_MS, planted: [] }));
    await pool.run(jobs[Symbol.iterator](), (report) => {
      elsewhere.push(historyOf(report));
      return true;
    });
    expect(elsewhere).toEqual(first);
    expect(new Set(first.map(({ traceHash }) => traceHash)).size).toBe(SEEDS.length);
  });

  it('has the same history whether or not somebody reads along', async () => {
    const lines: string[] = [];
    const told = await run(1, (at, who, what) => lines.push(`${at} ${who} ${what}`));
    expect(historyOf(told)).toEqual(historyOf(await run(1)));
    expect(lines.length).toBeGreaterThan(1000);
  });

  it('has the same history whether or not its clients’ is written, also where a rule is broken', async () => {
    const broken = { durationMs: 60_000, planted: new Set(['serve-above-high-watermark'] as const) };
    for (const how of [{ durationMs: DURATION_MS }, broken]) {
      const options = { seed: 1, codecs: createCodecs(), ...how };
      const lines: string[] = [];
      const told = await runSeed({ ...options, history: (line) => lines.push(line), goesOn: true });
      expect(historyOf(told)).toEqual(historyOf(await runSeed(options)));
      expect(told.violation !== undefined).toBe('planted' in how);
      expect(lines.length).toBeGreaterThan(100);
    }
  });

  it('is struck by the chosen ones of its faults alone, each at the time that was drawn for it', async () => {
    const faultsOf = async (chosenFaults: readonly number[]) => {
      const options = { seed: 1, durationMs: DURATION_MS, codecs: createCodecs(), chosenFaults };
      const { faults, planned } = await runSeed(options);
      return { struck: [...faults.values()].reduce((sum, count) => sum + count, 0), planned };
    };
    const { planned } = await run(1);
    expect(planned.length).toBeGreaterThan(3);
    expect(await faultsOf([])).toEqual({ struck: 0, planned });
    expect(await faultsOf([1, 3])).toEqual({ struck: 2, planned });
    expect(await faultsOf([...planned.keys()])).toEqual({ struck: planned.length, planned });
  });
});
