import { COVERAGE_POINTS } from '#sim/coverage';
import { FAULT_KINDS } from '#sim/swarm';
import type { SeedReport } from './sim-worker.ts';

const VIOLATIONS_SHOWN_MAX = 20;
/** Every seed has at least so many. */
const FAULTS_MIN = 20;
/** So many seeds go everywhere. */
const SEEDS_FOR_COVERAGE = 60;

/** What is wrong with a run of seeds as a whole: a rule was broken, or it was no trial of what it is meant to be. A sentence for each. */
export function shortcomings(reports: readonly SeedReport[]): readonly string[] {
  const violating = reports.filter(({ violation }) => violation !== undefined);
  const mild = reports.filter((report) => report.violation === undefined && strikesOf(report) < FAULTS_MIN);
  const wrong: string[] = [];
  if (violating.length > 0) wrong.push(`${violating.length} seeds with a violation: ${byRule(violating)}`);
  const blind = reports.filter(({ violation, isFollowed }) => violation === undefined && !isFollowed);
  if (blind.length > 0) wrong.push(`not followed to the end: ${blind.map(({ seed }) => seed).join(' ')}`);
  if (mild.length > 0) wrong.push(`fewer than ${FAULTS_MIN} faults: ${mild.map(({ seed }) => seed).join(' ')}`);
  if (reports.length < SEEDS_FOR_COVERAGE) return wrong;
  const reached = totals(reports.map(({ coverage }) => coverage));
  const struck = totals(reports.map(({ faults }) => faults));
  const missed = COVERAGE_POINTS.filter((point) => !reached.has(point));
  const spared = FAULT_KINDS.filter((kind) => !struck.has(kind));
  if (missed.length > 0) wrong.push(`never: ${missed.join(', ')}`);
  // What cannot be done becomes another fault, so that the number of all says nothing of one.
  if (spared.length > 0) wrong.push(`never struck: ${spared.join(', ')}`);
  return wrong;
}

/** All that must be the same when a seed is run again: what happened, and what was seen of it. */
export function outcomeOf({
  traceHash,
  eventCount,
  violation,
  faults,
  coverage,
  ackedCount,
  readCount,
}: SeedReport): string {
  return JSON.stringify({
    traceHash,
    eventCount,
    violation: violation?.message,
    ackedCount,
    readCount,
    faults,
    coverage,
  });
}

/** The faults of a seed. */
export function strikesOf({ faults }: SeedReport): number {
  return faults.reduce((total, [, count]) => total + count, 0);
}

export function totals(lists: readonly (readonly (readonly [string, number])[])[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const [name, count] of lists.flat()) counts.set(name, (counts.get(name) ?? 0) + count);
  return counts;
}

function byRule(reports: readonly SeedReport[]): string {
  const seeds = new Map<string, number[]>();
  for (const { seed, violation } of reports) {
    const rule = violation?.rule ?? '';
    seeds.set(rule, [...(seeds.get(rule) ?? []), seed]);
  }
  return [...seeds].map(([rule, list]) => `${rule} (${list.slice(0, VIOLATIONS_SHOWN_MAX).join(' ')})`).join(', ');
}
