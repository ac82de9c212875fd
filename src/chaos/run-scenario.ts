/** The order of a scenario's steps, and the verdict at its end. */
import type { Clock } from '#base/ports';
import { type Fault, faultLabel } from './fault.ts';
import type { Load, LoadResult } from './load.ts';
import { pause } from './pause.ts';
import type { FaultStep, Scenario } from './scenario.ts';

/** A fault that was done. */
export interface Wound {
  /** Of whom it befell. */
  readonly fault: Fault<number>;
  /** Undoes this one, and no other. */
  heal(): Promise<void>;
}

export interface Injector {
  /** `topic` is that of the load, whose leaders may be meant. */
  inject(fault: Fault, topic: string): Promise<Wound>;
  /** Undefined: everything. Resolves when those that were down or stood still serve again, to those that do not for long. */
  heal(node: number | undefined): Promise<readonly number[]>;
}

/** What a scenario needs of a load. */
export type JudgedLoad = Pick<Load, 'topic' | 'isServed' | 'longestSilenceMs' | 'finish'>;

export interface FaultVerdict {
  readonly fault: string;
  /** From the first step on. */
  readonly atMs: number;
  readonly longestUnavailableMs: number;
  readonly maxUnavailableMs: number | undefined;
}

export interface Verdict extends LoadResult {
  readonly scenario: string;
  readonly ranMs: number;
  /** The user had enough of it: what was done until then is judged. */
  readonly interrupted: boolean;
  readonly faults: readonly FaultVerdict[];
  readonly longestUnavailableMs: number;
  /** Sentences; none if all is well. */
  readonly failures: readonly string[];
}

export interface RunOptions {
  /** Takes what happens, a sentence each. */
  readonly say: (sentence: string) => void;
  /** Resolves when the user has had enough: all is healed, and judged. */
  readonly interrupted: Promise<void>;
}

/** Before the first fault: what is normal. */
const QUIET_MS = 1_000;
const RECOVERY_MS = 60_000;
const LOOK_MS = 50;

interface Done {
  readonly step: FaultStep;
  readonly label: string;
  readonly at: number;
}

/** The load runs already, and is finished by this. Everything is healed whatever happens. */
export async function runScenario(
  clock: Clock,
  scenario: Scenario,
  load: JudgedLoad,
  injector: Injector,
  options: RunOptions,
): Promise<Verdict> {
  const run = new Run(clock, scenario, load, injector, options);
  return await run.whole();
}

class Run {
  readonly #clock: Clock;
  readonly #scenario: Scenario;
  readonly #load: JudgedLoad;
  readonly #injector: Injector;
  readonly #options: RunOptions;
  readonly #startedAt: number;
  readonly #done: Done[] = [];
  #isInterrupted = false;

  constructor(clock: Clock, scenario: Scenario, load: JudgedLoad, injector: Injector, options: RunOptions) {
    this.#clock = clock;
    this.#scenario = scenario;
    this.#load = load;
    this.#injector = injector;
    this.#options = options;
    this.#startedAt = clock.now();
    options.interrupted.then(() => {
      this.#isInterrupted = true;
    });
  }

  async whole(): Promise<Verdict> {
    const failures: string[] = [];
    try {
      await this.#pause(QUIET_MS);
      await this.#steps();
    } catch (failure) {
      failures.push((failure as Error).message);
    }
    try {
      const silent = await this.#heal(undefined);
      if (silent.length > 0) failures.push(`node ${silent.join(', ')} does not serve after everything was healed`);
    } catch (failure) {
      failures.push(`not everything is healed: ${(failure as Error).message}`);
    }
    const healedAt = this.#clock.now();
    if (!(await this.#recovered(healedAt))) {
      failures.push(`some partitions acknowledge nothing ${RECOVERY_MS / 1_000} s after everything was healed`);
    }
    const endedAt = this.#clock.now();
    return this.#judged(await this.#load.finish(), endedAt, failures);
  }

  async #steps(): Promise<void> {
    for (const step of this.#scenario.steps) {
      if (this.#isInterrupted) return;
      switch (step.kind) {
        case 'wait':
          await this.#pause(step.ms);
          break;
        case 'heal':
          await this.#heal(step.node);
          break;
        case 'fault':
          await this.#strike(step);
      }
    }
  }

  async #strike(step: FaultStep): Promise<void> {
    const at = this.#clock.now();
    const { fault, heal } = await this.#injector.inject(step.fault, this.#load.topic);
    const label = faultLabel(fault);
    this.#done.push({ step, label, at });
    this.#say(step.forMs === undefined ? label : `${label}, for ${step.forMs / 1_000} s`);
    if (step.forMs === undefined) return;
    await this.#pause(step.forMs);
    await heal();
    this.#say(`healed: ${label}`);
  }

  async #heal(node: number | undefined): Promise<readonly number[]> {
    const silent = await this.#injector.heal(node);
    this.#say(healedLine(node, silent));
    return silent;
  }

  async #recovered(since: number): Promise<boolean> {
    while (!this.#load.isServed(since) && this.#clock.now() < since + RECOVERY_MS) await pause(this.#clock, LOOK_MS);
    return this.#load.isServed(since);
  }

  #judged(result: LoadResult, endedAt: number, failures: readonly string[]): Verdict {
    const faults = this.#done.map(({ step, label, at }, index): FaultVerdict => {
      const window = { from: at, to: this.#done[index + 1]?.at ?? endedAt };
      const longestUnavailableMs = Math.round(this.#load.longestSilenceMs(window));
      return {
        fault: label,
        atMs: Math.round(at - this.#startedAt),
        longestUnavailableMs,
        maxUnavailableMs: step.maxUnavailableMs,
      };
    });
    const longestUnavailableMs = Math.round(this.#load.longestSilenceMs({ from: this.#startedAt, to: endedAt }));
    return {
      scenario: this.#scenario.name,
      ranMs: Math.round(endedAt - this.#startedAt),
      interrupted: this.#isInterrupted,
      faults,
      longestUnavailableMs,
      ...result,
      failures: [...failures, ...broken(result), ...this.#tooLong(faults, longestUnavailableMs)],
    };
  }

  #tooLong(faults: readonly FaultVerdict[], longestMs: number): readonly string[] {
    const ofFaults = faults
      .filter(
        ({ longestUnavailableMs, maxUnavailableMs = Number.POSITIVE_INFINITY }) =>
          longestUnavailableMs > maxUnavailableMs,
      )
      .map(
        ({ fault, longestUnavailableMs, maxUnavailableMs }) =>
          `${fault}: a partition was unavailable for ${longestUnavailableMs} ms, at most ${maxUnavailableMs} are allowed`,
      );
    const { maxUnavailableMs } = this.#scenario;
    if (maxUnavailableMs === undefined || longestMs <= maxUnavailableMs) return ofFaults;
    return [...ofFaults, `a partition was unavailable for ${longestMs} ms, at most ${maxUnavailableMs} are allowed`];
  }

  async #pause(ms: number): Promise<void> {
    await Promise.race([pause(this.#clock, ms), this.#options.interrupted]);
  }

  #say(sentence: string): void {
    this.#options.say(`${((this.#clock.now() - this.#startedAt) / 1_000).toFixed(1).padStart(6)} s  ${sentence}`);
  }
}

/** `silent`: those that do not serve, which is none in the end if there is a majority of the voters. */
export function healedLine(node: number | undefined, silent: readonly number[]): string {
  const healed = `${node === undefined ? 'everything' : `node ${node}`} is healed`;
  return silent.length === 0 ? healed : `${healed}, and node ${silent.join(', ')} does not serve yet`;
}

function broken({
  lost,
  duplicated,
  disordered,
  changed,
  skipped,
  refused,
  unreadable,
  stalled,
}: LoadResult): readonly string[] {
  const counts: readonly (readonly [number, string])[] = [
    [lost, 'acknowledged and lost'],
    [duplicated, 'there more than once'],
    [disordered, 'behind a later one'],
    [changed, 'not where they were acknowledged or read'],
    [skipped, 'passed by while reading'],
  ];
  return [
    ...counts
      .filter(([count]) => count > 0)
      .map(([count, what]) => `${count} ${count === 1 ? 'record' : 'records'} ${what}`),
    ...(refused === 0
      ? []
      : [`${refused} ${refused === 1 ? 'batch' : 'batches'} refused as though one before were missing`]),
    ...(unreadable.length === 0 ? [] : [`partitions ${unreadable.join(', ')} cannot be read to their end`]),
    ...(stalled.length === 0 ? [] : [`the readers of partitions ${stalled.join(', ')} stand still`]),
  ];
}
