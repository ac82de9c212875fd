/** A seed whose history is held against the rules of histories, as that of a real cluster is (docs/history.md). */
import { runSeed, type SeedOptions, type SeedResult } from '#sim/run-seed';
import { ANOMALIES } from '../jepsen-like/history/anomalies.ts';
import { load } from '../jepsen-like/history/loader.ts';
import { report } from '../jepsen-like/history/report.ts';
import { judge } from '../jepsen-like/history/verdict.ts';

/** The rule that a seed breaks which breaks no other, but has anomalies in its history. */
export const HISTORY_RULE = 'history';

export async function runJudgedSeed(options: SeedOptions): Promise<SeedResult> {
  const lines: string[] = [];
  const history = (line: string): void => {
    lines.push(line);
    options.history?.(line);
  };
  const result = await runSeed({ ...options, history });
  // Where it was broken off much has not been read.
  if (result.violation !== undefined) return result;
  const verdict = judge(load(lines.map((text) => ({ text, whole: true }))));
  if (!verdict.failed) return result;
  const found = [...verdict.anomalies.keys()].filter((anomaly) => ANOMALIES[anomaly] === 'fails');
  const message = `the history shows ${found.join(', ')}`;
  return { ...result, violation: { rule: HISTORY_RULE, message, stack: report(verdict), at: result.simulatedMs } };
}
