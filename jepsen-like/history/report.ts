import { ANOMALIES } from './anomalies.ts';
import { milliseconds } from './explain.ts';
import type { Verdict } from './verdict.ts';

/** How many keys are named, those that were without an acknowledgement for the longest. */
const KEYS = 3;

/** A short table, and below it what was found, each kind with its first few. */
export function report(verdict: Verdict): string {
  const { operations, anomalies, worstLag } = verdict;
  const longest = [...verdict.unavailability].sort((a, b) => b.ms - a.ms).slice(0, KEYS);
  const rows: (readonly [string, string | number])[] = [
    ['operations', `${operations.ok} ok, ${operations.fail} failed, ${operations.info} unknown`],
    ['faults', verdict.faults],
    ['acknowledged', verdict.acknowledged],
    ['read', verdict.read],
    ...unreadRow(verdict),
    ['lost', verdict.lost],
    ['duplicated', verdict.duplicated],
    ...longest.map(({ key, ms, fromMs }) => {
      return [`longest unavailability of ${key}`, `${milliseconds(ms)}, from ${milliseconds(fromMs)}`] as const;
    }),
    ['worst lag', worstLag === undefined ? 'none' : lagText(worstLag)],
    ...[...anomalies].map(([anomaly, { count }]) => {
      return [anomaly, ANOMALIES[anomaly] === 'fails' ? `${count}, FAILS` : `${count}, told only`] as const;
    }),
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  const lines = rows.map(([what, value]) => `  ${what.padEnd(width)}  ${value}`);
  const torn = verdict.torn ? ['  the last line is torn: the recorder was killed'] : [];
  const head = `${verdict.name}: ${verdict.failed ? 'FAILED' : 'nothing that fails was found'}`;
  return [head, ...lines, ...torn, ...explanations(verdict)].join('\n');
}

/** Of what nobody has read in the end it is not known what was lost after it had been read. */
function unreadRow({ unreadKeys, acknowledgedKeys }: Verdict): readonly (readonly [string, string])[] {
  if (unreadKeys.length === 0) return [];
  const more = unreadKeys.length > KEYS ? ', …' : '';
  const which = `${unreadKeys.slice(0, KEYS).join(', ')}${more}`;
  return [['not read in the end', `${unreadKeys.length} of ${acknowledgedKeys.size} partitions: ${which}`]];
}

function lagText({ ms, key, p, atMs }: NonNullable<Verdict['worstLag']>): string {
  return `${milliseconds(ms)}, of process ${p} in ${key} at ${milliseconds(atMs)}`;
}

/** Those that fail come first; of the others one of each kind will do. */
function explanations({ anomalies }: Verdict): readonly string[] {
  const failing = [...anomalies].filter(([anomaly]) => ANOMALIES[anomaly] === 'fails');
  const told = [...anomalies].filter(([anomaly]) => ANOMALIES[anomaly] === 'told');
  const lines = failing.flatMap(([, { count, explanations }]) => {
    const others = count - explanations.length;
    return ['', ...explanations, ...(others > 0 ? [`and ${others} more of this kind`] : [])];
  });
  return [...lines, ...told.flatMap(([, { explanations }]) => ['', ...explanations.slice(0, 1)])];
}
