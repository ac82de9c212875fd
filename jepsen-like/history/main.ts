/**
 * `node jepsen-like/history/main.ts FILE`: what a history shows, as a short table. The exit status is 1 if it shows an anomaly that fails
 * the run, and 2 if it cannot be read.
 */
import { HistoryError } from '#history/format';
import { load } from './loader.ts';
import { readLines } from './read-lines.ts';
import { report } from './report.ts';
import { judge } from './verdict.ts';

const [file, ...others] = process.argv.slice(2);

function main(): number {
  if (file === undefined || others.length > 0) {
    console.error('usage: node jepsen-like/history/main.ts FILE');
    return 2;
  }
  try {
    const startedMs = performance.now();
    const verdict = judge(load(readLines(file)));
    console.log(report(verdict));
    const seconds = (performance.now() - startedMs) / 1_000;
    const { user, system } = process.cpuUsage();
    const cpuSeconds = (user + system) / 1_000_000;
    const mebibytes = process.resourceUsage().maxRSS / 1_024;
    console.error(
      `read and checked in ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s of CPU, with at most ${mebibytes.toFixed(0)} MiB in memory`,
    );
    return verdict.failed ? 1 : 0;
  } catch (failure) {
    const unreadable = failure instanceof HistoryError || (failure instanceof Error && 'syscall' in failure);
    if (!unreadable) throw failure;
    console.error(`${file}: ${failure.message}`);
    return 2;
  }
}

process.exitCode = main();
