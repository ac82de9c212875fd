/** `make sim SEED=n MINIMAL=1`: which of the seed's faults it takes to break the rule that the seed breaks. */
import type { FoundViolation } from '#sim/run-seed';
import type { PlannedFault } from '#sim/swarm';
import { minimise } from './delta-debugging.ts';
import { HISTORY_RULE } from './judged-seed.ts';
import { SimPool } from './sim-pool.ts';
import type { SeedJob, SeedReport } from './sim-worker.ts';

export interface Minimal {
  /** With these alone. */
  readonly violation: FoundViolation;
  /** By their places among those drawn. */
  readonly faults: readonly (readonly [place: number, fault: PlannedFault])[];
  readonly drawnCount: number;
  readonly runCount: number;
}

/**
 * Whether fewer faults have brought about the same: the rule says it, but of a crash only its message without the numbers in it, and of a
 * history only the anomalies that it shows.
 */
export function isAlike(found: Pick<FoundViolation, 'rule' | 'message'>, wanted: typeof found): boolean {
  if (found.rule !== wanted.rule) return false;
  if (found.rule === HISTORY_RULE) return found.message === wanted.message;
  return found.rule !== 'crash' || wordsOf(found.message) === wordsOf(wanted.message);
}

function wordsOf(message: string): string {
  return message.replace(/\d+/g, '');
}

/** Undefined: the seed breaks no rule. */
export async function minimal(job: SeedJob, processes: number): Promise<Minimal | undefined> {
  const pool = new SimPool(processes);
  try {
    const [whole] = await pool.all([job]);
    if (whole?.violation === undefined) return undefined;
    const { planned } = whole;
    let { violation } = whole;
    const wanted = violation;
    let runCount = 1;
    const places = await minimise([...planned.keys()], processes, async (candidates) => {
      const reports = await pool.all(candidates.map((chosenFaults) => ({ ...job, chosenFaults })));
      runCount += reports.length;
      const isWanted = (report: SeedReport): boolean =>
        report.violation !== undefined && isAlike(report.violation, wanted);
      violation = reports.find(isWanted)?.violation ?? violation;
      return reports.map(isWanted);
    });
    const faults = [...planned.entries()].filter(([place]) => places.includes(place));
    return { violation, faults, drawnCount: planned.length, runCount };
  } finally {
    pool.close();
  }
}
