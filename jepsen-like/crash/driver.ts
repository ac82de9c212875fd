/** Kills a broker again and again under a real producer, then asks a fresh consumer what is left. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { runOrThrow, until } from '../../test/support/process.ts';
import { judge, parseColumns, type Verdict } from './verdict.ts';

export interface CrashTarget {
  readonly bootstrap: string;
  /** Resolves when it serves; on the second call and later, with what the last kill has left. */
  start(): Promise<void>;
  /** SIGKILL: the process is gone when this resolves. */
  kill(): Promise<void>;
}

export interface CrashPlan {
  readonly topic: string;
  readonly partitions: number;
  readonly records: number;
  readonly kills: number;
  /** Judge after the last kill, without waiting for the remaining records. */
  readonly stopAfterKills?: boolean;
  /** Where the records of acknowledgements and reads are kept. */
  readonly folder: string;
  /** The folder of the Python commands. */
  readonly python: string;
}

export interface CrashReport {
  readonly verdict: Verdict;
  /** For each kill: from the kill to the next acknowledgement. */
  readonly gapsMs: readonly number[];
}

const resumeTimeoutMs = 60_000;
const produceTimeoutMs = 5 * 60_000;

/** Starts the target and leaves it running. Rejects if acknowledgements do not go on after a kill, or a record is refused. */
export async function crash(target: CrashTarget, plan: CrashPlan): Promise<CrashReport> {
  const acknowledgedFile = join(plan.folder, 'acknowledged');
  const readFile = join(plan.folder, 'read');
  const python = join(plan.python, 'python');
  await target.start();

  const counts = [plan.partitions, plan.records].map(String);
  const args = [target.bootstrap, plan.topic, ...counts, acknowledgedFile];
  const child = spawn(python, [join(import.meta.dirname, 'producer.py'), ...args]);
  const closed = new Promise((resolve) => child.once('close', resolve));
  let acknowledged = 0;
  let complaints = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    acknowledged = Number(line);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  const acknowledgedBeyond = (count: number, timeoutMs: number): Promise<true> =>
    until(`more than ${count} acknowledgements`, timeoutMs, async () => {
      if (acknowledged > count) return true;
      if (child.exitCode === null && child.signalCode === null) return undefined;
      await closed; // with all that it had to say
      if (acknowledged > count) return true;
      throw new Error(
        `the producer ended with ${child.exitCode ?? child.signalCode} at ${acknowledged}: ${complaints}`,
      );
    });

  try {
    const gapsMs: number[] = [];
    for (let kill = 1; kill <= plan.kills; kill += 1) {
      await acknowledgedBeyond((plan.records * kill) / (plan.kills + 1), produceTimeoutMs);
      const killedAt = performance.now();
      await target.kill();
      // What the pipe still holds was acknowledged before the kill: it must not count as going on.
      const sent = acknowledged + 2 * progressStep;
      await target.start();
      if (plan.stopAfterKills && kill === plan.kills) break;
      await acknowledgedBeyond(sent, resumeTimeoutMs);
      gapsMs.push(performance.now() - killedAt);
    }
    if (plan.stopAfterKills) child.kill('SIGTERM');
    else await acknowledgedBeyond(plan.records - 1, produceTimeoutMs);
    await closed;
    if (child.exitCode !== 0 && !plan.stopAfterKills) {
      throw new Error(`the producer ended with ${child.exitCode}: ${complaints}`);
    }

    const reader = [join(import.meta.dirname, 'reader.py'), target.bootstrap, plan.topic, readFile];
    await runOrThrow(python, reader, { timeoutMs: produceTimeoutMs });
    const verdict = judge(parseColumns(readFileSync(acknowledgedFile)), parseColumns(readFileSync(readFile)));
    return { verdict, gapsMs };
  } finally {
    child.kill('SIGKILL');
  }
}

/** producer.py prints its count each time that it has grown by this. */
const progressStep = 1000;
