/** `make sim SEED=n MINIMAL=1`: which of the seed's faults it takes to break the rule that the seed breaks. */
import type { FoundViolation } from '#sim/run-seed';
import type { PlannedFault } from '#sim/swarm';
import { minimise } from './delta-debugging.ts';
import { SimPool } from './sim-pool.ts';
import type { SeedJob } from './sim-worker.ts';

export interface Minimal {
  /** With these alone. */
  readonly violation: FoundViolation;
  /** By their places among those drawn. */
  readonly faults: readonly (readonly [place: number, fault: PlannedFault])[];
  readonly drawnCount: number;
  readonly runCount: number;
}

/** Undefined: the seed breaks no rule. */
export async function minimal(job: SeedJob, processes: number): Promise<Minimal | undefined> {
  const pool = new SimPool(processes);
  try {
    const [whole] = await pool.all([job]);
    if (whole?.violation === undefined) return undefined;
    const { planned } = whole;
    let { violation } = whole;
    const { rule } = violation;
    let runCount = 1;
    const places = await minimise([...planned.keys()], processes, async (candidates) => {
      const reports = await pool.all(candidates.map((chosenFaults) => ({ ...job, chosenFaults })));
      runCount += reports.length;
      const found = reports.find((report) => report.violation?.rule === rule);
      violation = found?.violation ?? violation;
      return reports.map((report) => report.violation?.rule === rule);
    });
    const faults = [...planned.entries()].filter(([place]) => places.includes(place));
    return { violation, faults, drawnCount: planned.length, runCount };
  } finally {
    pool.close();
  }
}
