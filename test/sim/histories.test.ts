import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FUNCTIONS, OUTCOMES } from '#history/format';
import type { PlantedBug } from '#model/planted-bugs';
import { createCodecs } from '#platform/codecs';
import { runSeed, type SeedResult } from '#sim/run-seed';
import { ANOMALIES, type Anomaly } from '../../jepsen-like/history/anomalies.ts';
import type { History } from '../../jepsen-like/history/history.ts';
import { load } from '../../jepsen-like/history/loader.ts';
import { report } from '../../jepsen-like/history/report.ts';
import { judge, type Verdict } from '../../jepsen-like/history/verdict.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const minute = 60_000;

interface Judged {
  readonly result: SeedResult;
  readonly history: History;
  readonly verdict: Verdict;
}

async function judged(seed: number, ...planted: readonly PlantedBug[]): Promise<Judged> {
  const lines: string[] = [];
  const result = await runSeed({
    seed,
    durationMs: minute,
    codecs: createCodecs(),
    planted: new Set(planted),
    history: (line) => lines.push(line),
    goesOn: true,
  });
  const history = load(lines.map((text) => ({ text, whole: true })));
  return { result, history, verdict: judge(history) };
}

function failing({ anomalies }: Verdict): readonly Anomaly[] {
  return [...anomalies.keys()].filter((anomaly) => ANOMALIES[anomaly] === 'fails');
}

/** How many operations of each function have come to each outcome. */
function operationsOf(histories: readonly History[]): ReadonlyMap<string, number> {
  const counts = new Map(FUNCTIONS.flatMap((f) => OUTCOMES.map((outcome) => [`${f} ${outcome}`, 0])));
  for (const history of histories) {
    for (let op = 0; op < history.operations; op += 1) {
      const what = `${history.f(op)} ${history.outcome(op)}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
    }
  }
  return counts;
}

/** Every operation that the checker looks at, and what may become of it. */
const KINDS = [
  ...['send ok', 'send fail', 'send info'],
  ...['poll ok', 'poll fail'],
  ...['txn ok', 'txn fail', 'txn info'],
  ...['commit ok', 'commit fail', 'commit info'],
  ...['committed ok', 'assign ok', 'subscribe ok'],
];

describe('the histories of seeds', () => {
  it('show no anomaly, with every kind of operation and client in them', { timeout: 5 * minute }, async () => {
    const all: Judged[] = [];
    for (const seed of [1, 3]) all.push(await judged(seed));
    for (const { result, verdict } of all) {
      expect(result.violation).toBeUndefined();
      expect(failing(verdict), report(verdict)).toEqual([]);
      expect(verdict.faults).toBeGreaterThanOrEqual(20);
    }
    const histories = all.map(({ history }) => history);
    const counts = operationsOf(histories);
    for (const kind of KINDS) expect(counts.get(kind), kind).toBeGreaterThanOrEqual(5);
    const clients = histories.flatMap((history) => [...history.clients.values()]);
    const kinds = new Set(clients.flatMap(({ acks, isolation, protocol }) => [acks, isolation, protocol]));
    expect(kinds).toEqual(
      new Set([undefined, 0, 1, 'all', 'read_uncommitted', 'read_committed', 'classic', 'consumer']),
    );
    const sum = (of: (one: Judged) => number): number => all.reduce((total, one) => total + of(one), 0);
    expect(sum(({ history }) => history.rebalances.length)).toBeGreaterThan(100);
    expect(sum(({ history }) => history.generationOf.size)).toBeGreaterThan(500);
    expect(sum(({ verdict }) => verdict.acknowledged)).toBeGreaterThan(1000);
    expect(sum(({ verdict }) => verdict.read)).toBeGreaterThan(1000);
  });
});

/** Which seeds show a bug changes with every change of the code: several are tried. */
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

describe('a planted bug', () => {
  it.each<readonly [PlantedBug, readonly Anomaly[]]>([
    ['acknowledge-after-own-sync', ['lost-write', 'inconsistent-offsets']],
    ['duplicate-appended', ['duplicate']],
    ['read-beyond-stable-offset', ['G1a']],
    ['aborted-offsets-count', ['lost-commit']],
    ['generation-forgotten-at-load', ['two-owners', 'stale-commit']],
  ])('%s shows in the history of one of the first seeds', { timeout: 5 * minute }, async (bug, anomalies) => {
    const reports: string[] = [];
    for (const seed of SEEDS) {
      const { result, verdict } = await judged(seed, bug);
      const shown = failing(verdict);
      if (result.violation !== undefined && anomalies.every((anomaly) => shown.includes(anomaly))) return;
      reports.push(`seed ${seed}: ${result.violation?.message ?? 'no violation'}\n${report(verdict)}`);
    }
    expect.fail(reports.join('\n'));
  });
});

describe('SEED=n HISTORY=file make sim', () => {
  it('writes what the checker’s command line reads', { timeout: minute }, () => {
    using folder = temporaryFolder('sim-history');
    const file = join(folder.path, 'history.jsonl');
    const root = join(import.meta.dirname, '../..');
    const env = { ...process.env, SEED: '1', DURATION_MS: '5000', QUIET: '1', HISTORY: file, PLANTED: '', MINIMAL: '' };
    const simulated = spawnSync(process.execPath, [join(root, 'scripts/sim.ts')], { env, encoding: 'utf8' });
    expect([simulated.status, simulated.stderr]).toEqual([0, '']);
    const checked = spawnSync(process.execPath, [join(root, 'jepsen-like/history/main.ts'), file], {
      encoding: 'utf8',
    });
    expect(checked.stdout).toContain('seed 1: nothing that fails was found');
    expect(checked.status).toBe(0);
  });
});
