import { expect, test } from 'vitest';
import { isUnfinished, SimPool } from '../../scripts/sim-pool.ts';
import type { SeedJob, SeedReport } from '../../scripts/sim-worker.ts';

test(
  'a seed whose process dies came to no end, which is no find; the next one has another process',
  { timeout: 60_000 },
  async () => {
    // Planted bugs that are no list end the process before it has simulated anything.
    const deadly = { seed: 1, durationMs: 1, planted: 1 } as unknown as SeedJob;
    const harmless: SeedJob = { seed: 2, durationMs: 1, planted: [] };
    const pool = new SimPool(1);
    const reports: SeedReport[] = [];
    await pool.run([deadly, harmless][Symbol.iterator](), (report) => {
      reports.push(report);
      return true;
    });
    pool.close();
    expect(reports.map(({ seed }) => seed)).toEqual([1, 2]);
    expect(reports.map(isUnfinished)).toEqual([true, false]);
    expect(reports[0]?.violation?.message).toBe('its process ended: 1');
  },
);
