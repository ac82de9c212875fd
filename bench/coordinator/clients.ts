/** The Java clients of the coordinators' benchmark: to their end, or as long as brokers are killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { exited, runOrThrow, until } from '../../test/support/process.ts';

const RUN_MS = 5 * 60_000;
const START_MS = 60_000;
const COMPLAINTS_MAX = 16 * 1024;

export type Program = 'TransactionalProducer' | 'GroupMember';

function command(jars: string, program: Program, args: readonly (string | number)[]): readonly string[] {
  const logging = join(import.meta.dirname, '../../test/support/apache-kafka/log4j2.xml');
  const jvm = ['-Xmx512M', '-XX:+UseSerialGC', `-Dlog4j2.configurationFile=${logging}`, '-cp', join(jars, '*')];
  return [...jvm, join(import.meta.dirname, `${program}.java`), ...args.map(String)];
}

/** The lines of a program that ends by itself. */
export async function linesOf<L>(jars: string, program: Program, args: readonly (string | number)[]): Promise<L[]> {
  const output = await runOrThrow('java', command(jars, program, args), { timeoutMs: RUN_MS });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as L);
}

interface Beat {
  readonly at: number;
  readonly last: number;
}

interface Gap {
  readonly from: number;
  readonly to: number;
}

/** A client that commits until it is disposed of. Times are milliseconds since 1970. */
export class Committing {
  readonly #child: ChildProcess;
  #gaps: Gap[] = [];
  #beat: Beat | undefined;
  #complaints = '';

  constructor(jars: string, program: Program, args: readonly (string | number)[]) {
    this.#child = spawn('java', command(jars, program, args), { stdio: ['ignore', 'pipe', 'pipe'] });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const said = JSON.parse(line) as Gap | Beat | { readonly error: string };
      if ('from' in said) this.#gaps.push(said);
      else if ('at' in said) this.#beat = said;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-COMPLAINTS_MAX);
    });
  }

  /** Resolves at a commit after now. */
  async commits(): Promise<void> {
    const from = Date.now();
    await this.#until('a commit', START_MS, () => (this.#beat?.last ?? 0) > from || undefined);
  }

  /**
   * The longest time without a commit, of those that ended within `windowMs` after `at`. What had not ended then is waited for, and
   * counts too.
   */
  async longestGap(at: number, windowMs: number): Promise<number> {
    const endsAt = at + windowMs;
    await this.#until('the next commit', windowMs + START_MS, () => (this.#beat?.last ?? 0) >= endsAt || undefined);
    const gaps = this.#gaps.filter(({ from, to }) => to > at && from < endsAt).map(({ from, to }) => to - from);
    this.#gaps = [];
    return Math.max(0, ...gaps);
  }

  async #until(what: string, timeoutMs: number, probe: () => true | undefined): Promise<void> {
    await until(what, timeoutMs, () => {
      const { exitCode, signalCode } = this.#child;
      if (exitCode !== null || signalCode !== null) throw new Error(`a client ended with ${exitCode ?? signalCode}`);
      return probe();
    }).catch((failure: unknown) => {
      throw new Error(`${failure}\n${this.#complaints}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await exited(this.#child);
  }
}
