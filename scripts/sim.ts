/**
 * `make sim`: simulates clusters under faults, seed after seed, until the budget is spent. SEED=n replays one and tells it event by
 * event, with FAULTS=3,17 only those of its faults strike, with MINIMAL=1 it is asked which of them it takes, with HISTORY=file what its
 * clients did and were told is written there. FROM, SEEDS, BUDGET_S, DURATION_MS and PROCESSES say what is run, LONG=1 goes on for HOURS
 * (8), PLANTED=name plants bugs.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { createCodecs } from '#platform/codecs';
import { COVERAGE_POINTS } from '#sim/coverage';
import { FAULT_KINDS } from '#sim/swarm';
import { HISTORY_RULE, runJudgedSeed } from './judged-seed.ts';
import { minimal } from './sim-minimal.ts';
import { SimPool } from './sim-pool.ts';
import { plantedBugs, setting, settings } from './sim-settings.ts';
import { outcomeOf, shortcomings, strikesOf, totals } from './sim-shortcomings.ts';
import type { SeedJob, SeedReport } from './sim-worker.ts';

/** One seed in so many is run again, by another process: it must be the same to the last event. */
const AGAIN_EVERY = 20;

const durationMs = setting('DURATION_MS', 60_000);
const planted = plantedBugs();

if (process.env.HISTORY && (!process.env.SEED || process.env.MINIMAL)) {
  console.error('HISTORY is written of one seed that is replayed: SEED=n, without MINIMAL');
  process.exit(2);
}
if (process.env.SEED && process.env.MINIMAL) await tellMinimal(setting('SEED', 0));
else if (process.env.SEED) await replay(setting('SEED', 0));
else await runMany(setting('FROM', 1), setting('SEEDS', 1_000_000), setting('BUDGET_S', budgetByDefault()));

function budgetByDefault(): number {
  return process.env.LONG ? setting('HOURS', 8) * 3600 : 60;
}

async function replay(seed: number): Promise<void> {
  const trace = (at: number, who: string, what: string): void =>
    console.log(`${at.toFixed(3).padStart(10)} ${who.padEnd(7)} ${what}`);
  const isQuiet = process.env.QUIET === '1';
  const starred = (at: number, who: string, what: string): void => {
    if (/^(\*|info|warn|error) /.test(what)) trace(at, who, what);
  };
  const chosenFaults = settings('FAULTS');
  const file = process.env.HISTORY ? openSync(process.env.HISTORY, 'w') : undefined;
  const result = await runJudgedSeed({
    seed,
    durationMs,
    codecs: createCodecs(),
    planted: new Set(planted),
    trace: isQuiet ? starred : trace,
    ...(chosenFaults === undefined ? {} : { chosenFaults }),
    ...(file === undefined ? {} : { history: (line: string) => writeSync(file, line), goesOn: true }),
  });
  if (file !== undefined) closeSync(file);
  const { violation } = result;
  console.log(
    `seed ${seed}: ${result.nodeCount} nodes, ${result.voterCount} voters, ${result.eventCount} events, hash ${result.traceHash}`,
  );
  if (violation === undefined) return;
  console.log(`at ${violation.at.toFixed(3)} ms: ${violation.stack}`);
  process.exitCode = 1;
}

async function tellMinimal(seed: number): Promise<void> {
  const found = await minimal({ seed, durationMs, planted }, setting('PROCESSES', 2));
  if (found === undefined) return console.log(`seed ${seed} breaks no rule`);
  const { violation, faults, drawnCount, runCount } = found;
  console.log(
    `${faults.length} of ${drawnCount} faults (${runCount} runs) break ${violation.rule} at ${seconds(violation.at)}: ${violation.message}`,
  );
  for (const [place, { at, kind }] of faults)
    console.log(`${String(place).padStart(4)} ${seconds(at).padStart(9)} ${kind}`);
  const bugs = planted.length === 0 ? '' : ` PLANTED=${planted.join()}`;
  console.log(`make sim SEED=${seed} FAULTS=${faults.map(([place]) => place).join()}${bugs} QUIET=1`);
  process.exitCode = 1;
}

async function runMany(from: number, count: number, budgetS: number): Promise<void> {
  const startedAt = performance.now();
  const isOver = (): boolean => performance.now() - startedAt > budgetS * 1000;
  const processes = setting('PROCESSES', 2);
  const reports: SeedReport[] = [];
  const pool = new SimPool(processes);
  await pool.run(jobs(from, count, isOver), (report) => {
    // A night has more plans than fit into memory.
    reports.push({ ...report, planned: [] });
    tell(report);
    return true;
  });
  pool.close();
  // New processes: nothing of the first run is left in them.
  const chosen = reports.filter(({ seed }) => seed % AGAIN_EVERY === from % AGAIN_EVERY);
  const differing = await differences(chosen, processes);
  summarize(reports, performance.now() - startedAt);
  const faults = shortcomings(reports);
  console.log(`${chosen.length} seeds run again in another process, ${differing.length} differ`);
  for (const line of [...differing, ...faults]) console.log(line);
  if (differing.length + faults.length > 0) process.exitCode = 1;
}

function* jobs(from: number, count: number, isOver: () => boolean): Generator<SeedJob> {
  for (let seed = from; seed < from + count && !isOver(); seed += 1) yield { seed, durationMs, planted };
}

async function differences(reports: readonly SeedReport[], processes: number): Promise<string[]> {
  const pool = new SimPool(processes);
  const first = new Map(reports.map((report) => [report.seed, outcomeOf(report)]));
  const found: string[] = [];
  const again = reports.map(({ seed }): SeedJob => ({ seed, durationMs, planted }));
  await pool.run(again[Symbol.iterator](), (report) => {
    const { seed } = report;
    if (first.get(seed) !== outcomeOf(report))
      found.push(`seed ${seed}: ${first.get(seed)}, then ${outcomeOf(report)}`);
    return true;
  });
  pool.close();
  return found;
}

function tell({ seed, violation }: SeedReport): void {
  if (violation === undefined) return;
  const isTold = violation.rule === 'crash' || violation.rule === HISTORY_RULE;
  console.log(`seed ${seed}, ${seconds(violation.at)}: ${isTold ? violation.stack : violation.message}`);
}

function summarize(reports: readonly SeedReport[], realMs: number): void {
  const sum = (of: (report: SeedReport) => number): number => reports.reduce((total, report) => total + of(report), 0);
  const events = sum(({ eventCount }) => eventCount);
  const simulatedMs = sum((report) => report.simulatedMs);
  const busyMs = sum((report) => report.realMs);
  const strikes = sum(strikesOf);
  const kinds = totals(reports.map(({ faults }) => faults));
  const coverage = totals(reports.map((report) => report.coverage));
  console.log(
    [
      `${reports.length} seeds, ${(simulatedMs / 3_600_000).toFixed(2)} simulated hours in ${(realMs / 1000).toFixed(0)} s, ${(simulatedMs / busyMs).toFixed(0)} times real time per process`,
      `${events} events, ${perSecond(events, busyMs)} a second per process, ${perSecond(events, realMs)} in all`,
      `${sum(({ ackedCount }) => ackedCount)} records acknowledged by all in sync (a seed: ${spread(reports.map(({ ackedCount }) => ackedCount))}), ${sum(({ readCount }) => readCount)} read`,
      `${strikes} faults: ${list(FAULT_KINDS, kinds)}`,
      `coverage: ${list(COVERAGE_POINTS, coverage)}`,
    ].join('\n'),
  );
}

function spread(counts: readonly number[]): string {
  const sorted = counts.toSorted((a, b) => a - b);
  const mean = Math.round(sorted.reduce((sum, count) => sum + count, 0) / Math.max(1, sorted.length));
  return `at least ${sorted[0] ?? 0}, median ${sorted[sorted.length >> 1] ?? 0}, mean ${mean}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}

function perSecond(count: number, ms: number): number {
  return Math.round((count / ms) * 1000);
}

function list(names: readonly string[], counts: ReadonlyMap<string, number>): string {
  return names.map((name) => `${name} ${counts.get(name) ?? 0}`).join(', ');
}
