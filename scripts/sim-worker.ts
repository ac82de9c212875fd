/** Runs seeds for its parent, one after the other: one message in, one out. */
import type { PlantedBug } from '#model/planted-bugs';
import { createCodecs } from '#platform/codecs';
import type { SeedResult } from '#sim/run-seed';
import { runJudgedSeed } from './judged-seed.ts';

export interface SeedJob {
  readonly seed: number;
  readonly durationMs: number;
  readonly planted: readonly PlantedBug[];
  /** By their places among those drawn; all, unless given. */
  readonly chosenFaults?: readonly number[];
}

/** A SeedResult as it travels between processes. */
export interface SeedReport extends Omit<SeedResult, 'faults' | 'coverage'> {
  readonly faults: readonly (readonly [string, number])[];
  readonly coverage: readonly (readonly [string, number])[];
  /** Of the process, for this seed. */
  readonly realMs: number;
}

const codecs = createCodecs();

process.on('message', async (job: SeedJob) => {
  const startedAt = performance.now();
  const result = await runJudgedSeed({ ...job, planted: new Set(job.planted), codecs });
  const realMs = performance.now() - startedAt;
  const report: SeedReport = { ...result, faults: [...result.faults], coverage: [...result.coverage], realMs };
  process.send?.(report);
});
process.on('disconnect', () => process.exit());
