import { ANOMALIES } from './history/anomalies.ts';
import type { Trial } from './trial.ts';

/** What the table tells of a trial. */
export interface Summary {
  /** And by what it was done, if there is more than one way. */
  readonly fault: string;
  readonly operations: number;
  readonly acknowledged: number;
  readonly lost: number;
  readonly duplicated: number;
  /** Anomalies that fail a round, by name and number, and complaints. */
  readonly failing: ReadonlyMap<string, number>;
  /** Of any partition. */
  readonly longestMs: number;
}

const COLUMNS = [
  'fault',
  'trials',
  'operations',
  'acknowledged',
  'lost',
  'duplicated',
  'anomalies',
  'longest unavailability',
] as const;

export function summary({ fault, means, verdict, complaints }: Trial): Summary {
  const { operations, acknowledged, lost, duplicated, anomalies, unavailability } = verdict;
  const failing = new Map<string, number>();
  for (const [anomaly, { count }] of anomalies) if (ANOMALIES[anomaly] === 'fails') failing.set(anomaly, count);
  if (complaints.length > 0) failing.set('complaints', complaints.length);
  return {
    fault: means === undefined ? fault : `${fault} (${means})`,
    operations: operations.ok + operations.fail + operations.info,
    acknowledged,
    lost,
    duplicated,
    failing,
    longestMs: Math.max(0, ...unavailability.map(({ ms }) => ms)),
  };
}

export function hasFailed({ failing }: Summary): boolean {
  return failing.size > 0;
}

/** The verdict table: a row for each fault, and one for all. Markdown. */
export function table(trials: readonly Summary[]): string {
  const ofFaults = [...Map.groupBy(trials, ({ fault }) => fault)];
  const rows = [...ofFaults.map(([fault, ofFault]) => row(fault, ofFault)), row('all', trials)];
  const lines = [[...COLUMNS], COLUMNS.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function row(fault: string, trials: readonly Summary[]): readonly (string | number)[] {
  const sum = (of: (trial: Summary) => number): number => trials.reduce((total, trial) => total + of(trial), 0);
  const longestMs = trials.reduce((longest, trial) => Math.max(longest, trial.longestMs), 0);
  return [
    fault,
    trials.length,
    sum(({ operations }) => operations),
    sum(({ acknowledged }) => acknowledged),
    sum(({ lost }) => lost),
    sum(({ duplicated }) => duplicated),
    failures(trials),
    `${(longestMs / 1_000).toFixed(1)} s`,
  ];
}

function failures(trials: readonly Summary[]): string {
  const counts = new Map<string, number>();
  for (const { failing } of trials) {
    for (const [name, count] of failing) counts.set(name, (counts.get(name) ?? 0) + count);
  }
  return counts.size === 0 ? '0' : [...counts].map(([name, count]) => `${name} ${count}`).join(', ');
}
