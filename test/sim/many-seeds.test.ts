import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const minute = 60_000;
/** From 1 on. Fewer need not reach every coverage point (scripts/sim-shortcomings.ts). */
const SEEDS = 60;

describe('many seeds', () => {
  it(
    `${SEEDS} simulated minutes of at least twenty faults each break no rule and reach every coverage point; a share of them run again are the same`,
    { timeout: 20 * minute },
    () => {
      const env = {
        ...process.env,
        SEED: '',
        FROM: '1',
        SEEDS: String(SEEDS),
        BUDGET_S: String(20 * 60),
        DURATION_MS: '',
      };
      const script = join(import.meta.dirname, '../../scripts/sim.ts');
      const { status, stdout, stderr } = spawnSync(process.execPath, [script], { env, encoding: 'utf8' });
      console.log(stdout, stderr);
      expect(stdout).toContain(`${SEEDS} seeds`);
      expect(status).toBe(0);
    },
  );
});
