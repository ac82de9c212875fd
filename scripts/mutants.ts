/**
 * `make mutants`: puts each planted bug into the nodes and simulates until a checker finds it. One that survives SEEDS seeds (500 by
 * default) says that the simulator does not look where it should. ONLY=name tries one bug. A seed whose process dies, or takes too long,
 * finds nothing: no checker has said what is wrong.
 */
import { PLANTED_BUGS, type PlantedBug } from '#model/planted-bugs';
import { isUnfinished, SimPool } from './sim-pool.ts';
import { setting } from './sim-settings.ts';
import type { SeedJob, SeedReport } from './sim-worker.ts';

interface Outcome {
  readonly bug: PlantedBug;
  /** How many seeds it took; infinitely many if it was not found. */
  readonly seedCount: number;
  readonly killer: SeedReport | undefined;
  /** Seeds that came to no end. */
  readonly unfinished: readonly SeedReport[];
  readonly realMs: number;
}

/** A bug that keeps so many seeds from coming to an end is given up: each of them takes minutes. */
const UNFINISHED_MAX = 3;

const from = setting('FROM', 1);
const seedsMax = setting('SEEDS', 500);
const durationMs = setting('DURATION_MS', 60_000);
const only = process.env.ONLY;
const wanted = PLANTED_BUGS.filter((bug) => only === undefined || only === '' || only === bug);
if (wanted.length === 0) {
  console.error(`there is no planted bug ${only}`);
  process.exit(2);
}

const pool = new SimPool(setting('PROCESSES', 2));
const outcomes: Outcome[] = [];
for (const bug of wanted) {
  const outcome = await hunt(bug);
  outcomes.push(outcome);
  console.log(row(outcome));
}
pool.close();
const survivors = outcomes.filter(({ killer }) => killer === undefined);
const seconds = outcomes.reduce((sum, { realMs }) => sum + realMs, 0) / 1000;
console.log(
  `${outcomes.length - survivors.length} of ${outcomes.length} found, in ${seconds.toFixed(0)} s; ` +
    `median of seeds: ${medianOf(outcomes.map(({ seedCount }) => seedCount))}`,
);
if (survivors.length > 0) console.log(`not found: ${survivors.map(({ bug }) => bug).join(', ')}`);
process.exitCode = survivors.length > 0 ? 1 : 0;

async function hunt(bug: PlantedBug): Promise<Outcome> {
  const startedAt = performance.now();
  let killer: SeedReport | undefined;
  const unfinished: SeedReport[] = [];
  await pool.run(jobs(bug), (report) => {
    if (isUnfinished(report)) unfinished.push(report);
    else if (report.violation !== undefined) killer = report;
    return killer === undefined && unfinished.length < UNFINISHED_MAX;
  });
  const seedCount = killer === undefined ? Number.POSITIVE_INFINITY : killer.seed - from + 1;
  return { bug, seedCount, killer, unfinished, realMs: performance.now() - startedAt };
}

function* jobs(bug: PlantedBug): Generator<SeedJob> {
  for (let seed = from; seed < from + seedsMax; seed += 1) yield { seed, durationMs, planted: [bug] };
}

function row({ bug, seedCount, killer, unfinished, realMs }: Outcome): string {
  const without = unfinished.map(({ seed, violation }) => `seed ${seed} came to no end: ${violation?.message}`);
  const seconds = `${(realMs / 1000).toFixed(0)} s`;
  if (killer?.violation === undefined) {
    const survived = unfinished.length < UNFINISHED_MAX ? `survived ${seedsMax} seeds` : 'given up';
    return `| ${bug} | ${survived} | ${without.join('; ')} | ${seconds} |`;
  }
  const { rule, message } = killer.violation;
  const said = message.startsWith(`${rule}: `) ? message : `${rule}: ${message}`;
  return `| ${bug} | ${seedCount} | ${[`seed ${killer.seed}, ${said}`, ...without].join('; ')} | ${seconds} |`;
}

/** The middle one; of an even count the higher of the two, so that what was not found counts. */
function medianOf(counts: readonly number[]): number {
  return counts.toSorted((a, b) => a - b)[Math.floor(counts.length / 2)] ?? Number.NaN;
}
