/** Seeds over several processes, so that every core simulates, and no seed can see what another left behind. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { SeedJob, SeedReport } from './sim-worker.ts';

const WORKER = join(import.meta.dirname, 'sim-worker.ts');
/** A simulated minute takes some seconds; a world in which time stands still never ends. */
const SEED_TIMEOUT_MS = 180_000;
/** The rule of a seed that came to no end: its process died, or ran out of time. Nobody knows what a checker would have said. */
const UNFINISHED = 'hang';

/** Whether no checker has judged the seed to its end. */
export function isUnfinished({ violation }: SeedReport): boolean {
  return violation?.rule === UNFINISHED;
}

export class SimPool {
  readonly #workers: readonly SimWorker[];

  constructor(size: number) {
    this.#workers = Array.from({ length: size }, () => new SimWorker());
  }

  /** Runs jobs as long as there are some; `reported` may stop it by false. Reports come in the order in which seeds end. */
  async run(jobs: Iterator<SeedJob>, reported: (report: SeedReport, job: SeedJob) => boolean): Promise<void> {
    let goesOn = true;
    const work = async (worker: SimWorker): Promise<void> => {
      while (goesOn) {
        const next = jobs.next();
        if (next.done) return;
        const report = await worker.run(next.value);
        if (goesOn && !reported(report, next.value)) goesOn = false;
      }
    };
    await Promise.all(this.#workers.map(work));
  }

  /** Runs all of them; the reports are in their order. */
  async all(jobs: readonly SeedJob[]): Promise<readonly SeedReport[]> {
    const reports: SeedReport[] = [];
    await this.run(jobs.values(), (report, job) => {
      reports[jobs.indexOf(job)] = report;
      return true;
    });
    return reports;
  }

  close(): void {
    for (const worker of this.#workers) worker.close();
  }
}

/** One process, replaced by a new one if it hangs or dies. */
class SimWorker {
  #child: ChildProcess | undefined;

  async run(job: SeedJob): Promise<SeedReport> {
    this.#child ??= fork(WORKER, { execArgv: ['--max-semi-space-size=32'] });
    const child = this.#child;
    const startedAt = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const ended = await new Promise<SeedReport | string>((resolve) => {
      timer = setTimeout(() => resolve(`no end after ${SEED_TIMEOUT_MS / 1000} s`), SEED_TIMEOUT_MS);
      child.once('exit', (code, signal) => resolve(`its process ended: ${signal ?? code}`));
      child.once('error', (error) => resolve(`its process cannot be talked to: ${error.message}`));
      child.once('message', (report) => resolve(report as SeedReport));
      child.send(job);
    });
    clearTimeout(timer);
    child.removeAllListeners();
    if (typeof ended !== 'string') return ended;
    this.close();
    return lost(job, ended, performance.now() - startedAt);
  }

  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}

function lost({ seed }: SeedJob, message: string, realMs: number): SeedReport {
  return {
    seed,
    nodeCount: 0,
    voterCount: 0,
    simulatedMs: 0,
    eventCount: 0,
    committedIndex: 0,
    ackedCount: 0,
    readCount: 0,
    faults: [],
    planned: [],
    coverage: [],
    isFollowed: false,
    traceHash: '',
    violation: { rule: UNFINISHED, message, stack: '', at: 0 },
    realMs,
  };
}
