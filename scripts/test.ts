/**
 * `make test`: every check and every suite, in order, each counted even if an earlier one failed.
 * The last line is `N passed, N failed`; the exit status is 1 if anything failed.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface Step {
  readonly name: string;
  readonly run: () => Tally;
}

const root = join(import.meta.dirname, '..');
const results = join(root, '.work/results');

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { cwd: root, stdio: 'inherit' }).status === 0;
}

/** A command that passes or fails as one. */
function check(name: string, command: string, ...args: readonly string[]): Step {
  const run = (): Tally => {
    const passed = succeeds(command, args) ? 1 : 0;
    return { passed, failed: 1 - passed, skipped: 0 };
  };
  return { name, run };
}

/** What failed, repeated at the end of a long output: `suite: title of the test`. */
const failures: string[] = [];

/** A vitest project; a run that leaves no report, or fails outside of any test, counts as one failure. */
function suite(project: string): Step {
  const run = (): Tally => {
    const report = join(results, `${project}.json`);
    rmSync(report, { force: true });
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const succeeded = succeeds('vitest', ['run', '--project', project, ...reporters]);
    const tally = readReport(project, report);
    return succeeded || tally.failed > 0 ? tally : { ...tally, failed: 1 };
  };
  return { name: project, run };
}

/** The parts of vitest's JSON report that are read here. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

function readReport(project: string, path: string): Tally {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8')) as Report;
    for (const test of report.testResults.flatMap((file) => file.assertionResults)) {
      if (test.status !== 'failed') continue;
      const reason = test.failureMessages[0]?.split('\n', 2).join(' ') ?? 'no reason given';
      failures.push(`${project}: ${test.fullName}: ${reason.slice(0, 400)}`);
    }
    return { passed: report.numPassedTests, failed: report.numFailedTests, skipped: report.numPendingTests };
  } catch (error) {
    console.error(`no report at ${path}: ${String(error)}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

const steps: readonly Step[] = [
  check('lint', 'biome', 'check', '.'),
  check('types', 'tsc', '--noEmit'),
  suite('unit'),
  suite('sim'),
  check('build', 'node', 'scripts/build.ts'),
  suite('pack'),
  suite('cluster'),
  suite('compat'),
  check('chaos', 'node', 'jepsen-like/clients/main.ts'),
  suite('crash'),
];

rmSync(results, { recursive: true, force: true });
mkdirSync(results, { recursive: true });
const lines: string[] = [];
let passed = 0;
let failed = 0;
for (const step of steps) {
  console.log(`\n== ${step.name}`);
  const startedMs = performance.now();
  const tally = step.run();
  const seconds = (performance.now() - startedMs) / 1000;
  passed += tally.passed;
  failed += tally.failed;
  const counts = [tally.passed, tally.failed, tally.skipped].map((count) => String(count).padStart(7));
  lines.push(`${step.name.padEnd(8)}${counts.join('')}${seconds.toFixed(0).padStart(7)} s`);
}
console.log(`\n${''.padEnd(8)} passed failed skipped  time`);
console.log(lines.join('\n'));
for (const failure of failures) console.log(`FAILED ${failure}`);
const summary = `${passed} passed, ${failed} failed`;
writeFileSync(join(results, 'summary'), `${summary}\n`);
console.log(summary);
process.exitCode = failed === 0 ? 0 : 1;
