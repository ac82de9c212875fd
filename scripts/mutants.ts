/**
 * `make mutants`: puts each planted bug into the nodes and simulates until a checker finds it. One that survives SEEDS seeds (500 by
 * default) says that the simulator does not look where it should. ONLY=name tries one bug.
 */
import { PLANTED_BUGS, type PlantedBug } from '#model/planted-bugs';
import { SimPool } from './sim-pool.ts';
import { setting } from './sim-settings.ts';
import type { SeedJob, SeedReport } from './sim-worker.ts';

interface Outcome {
  readonly bug: PlantedBug;
  /** How many seeds it took; undefined if it was not found. */
  readonly seedCount: number | undefined;
  readonly killer: SeedReport | undefined;
  readonly realMs: number;
}

const from = setting('FROM', 1);
const seedsMax = setting('SEEDS', 500);
const durationMs = setting('DURATION_MS', 60_000);
const only = process.env.ONLY;

const pool = new SimPool(setting('PROCESSES', 2));
const outcomes: Outcome[] = [];
for (const bug of PLANTED_BUGS) {
  if (only !== undefined && only !== '' && only !== bug) continue;
  const outcome = await hunt(bug);
  outcomes.push(outcome);
  console.log(row(outcome));
}
pool.close();
const survivors = outcomes.filter(({ killer }) => killer === undefined);
if (survivors.length > 0) console.log(`not found: ${survivors.map(({ bug }) => bug).join(', ')}`);
process.exitCode = survivors.length > 0 ? 1 : 0;

async function hunt(bug: PlantedBug): Promise<Outcome> {
  const startedAt = performance.now();
  const reports: SeedReport[] = [];
  await pool.run(jobs(bug), (report) => {
    reports.push(report);
    return report.violation === undefined;
  });
  const killer = reports.find(({ violation }) => violation !== undefined);
  const seedCount = killer && killer.seed - from + 1;
  return { bug, seedCount, killer, realMs: performance.now() - startedAt };
}

function* jobs(bug: PlantedBug): Generator<SeedJob> {
  for (let seed = from; seed < from + seedsMax; seed += 1) yield { seed, durationMs, planted: [bug] };
}

function row({ bug, seedCount, killer, realMs }: Outcome): string {
  const found = killer?.violation;
  const seconds = `${(realMs / 1000).toFixed(0)} s`;
  if (found === undefined) return `| ${bug} | survived ${seedsMax} seeds | | ${seconds} |`;
  return `| ${bug} | ${seedCount} | seed ${killer?.seed}, ${found.message} | ${seconds} |`;
}
