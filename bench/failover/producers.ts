/** The clients that write while things fail: each a process that says what it had acknowledged, see Producer.java. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { exited, until, whileWeLive } from '../../test/support/process.ts';

/** Which clients there are, and where they come from. */
export interface ToolChains {
  /** The folder of Apache Kafka's jars. */
  readonly jars: string;
  /** The folder of a virtual environment's commands. */
  readonly python: string;
}

export interface Topic {
  readonly bootstrap: string;
  readonly topic: string;
  readonly partitions: number;
}

/** Between two writes to a partition. */
const INTERVAL_MS = 5;
const START_MS = 60_000;
const here = import.meta.dirname;

interface Gap {
  readonly from: number;
  readonly to: number;
}

type Line = { readonly client: string; readonly settings: string } | Beat | Gap | { readonly error: string };

interface Beat {
  readonly at: number;
  readonly acknowledged: number;
  readonly oldest: number;
}

/** One long-lived client. Times are milliseconds since 1970, for they are compared between processes. */
export class RunningProducer {
  /** What it is called in the tables. */
  readonly name: string;
  readonly errors: string[] = [];
  readonly #child: ChildProcess;
  /** Since `forget`. */
  #gaps: Gap[] = [];
  #beat: Beat | undefined;
  #description = '';
  #complaints = '';

  private constructor(name: string, command: readonly string[]) {
    this.name = name;
    const [file = '', ...args] = command;
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => this.#take(JSON.parse(line) as Line));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-64 * 1024);
    });
  }

  /** Started, not waited for. `settings` are beside acks=all, which is all that is set without them. */
  static spawn(
    kind: 'Java' | 'librdkafka',
    chains: ToolChains,
    { bootstrap, topic, partitions }: Topic,
    settings: readonly string[] = [],
  ): RunningProducer {
    const runs = {
      Java: ['java', '-Xmx256M', ...quiet(), '-cp', join(chains.jars, '*'), join(here, 'Producer.java')],
      librdkafka: [join(chains.python, 'python'), join(here, 'producer.py')],
    };
    const given = [bootstrap, topic, String(partitions), String(INTERVAL_MS), ...settings];
    return new RunningProducer([kind, ...settings].join(' '), [...whileWeLive(), ...runs[kind], ...given]);
  }

  /** Resolves when every partition has been written to. */
  async ready(): Promise<void> {
    const startedAt = Date.now();
    await until(`a write of ${this.name} to every partition`, START_MS, () => {
      this.#mustRun();
      return this.#beat !== undefined && this.#beat.oldest > startedAt ? true : undefined;
    });
  }

  /** The client's version and settings. */
  get description(): string {
    return this.#description;
  }

  /** The last of what it wrote to stderr. */
  get complaints(): string {
    return this.#complaints;
  }

  forget(): void {
    this.#gaps = [];
  }

  /**
   * The longest time in ms without an acknowledgement of a partition, of those that ended within `windowMs` after `at`. What had not
   * ended then is waited for, `patienceMs` at most, and counts too; without an end it is as long as it was waited for.
   */
  async longestGap(at: number, windowMs: number, patienceMs: number): Promise<number> {
    const endsAt = at + windowMs;
    await until('the end of the window', windowMs + patienceMs + START_MS, () => {
      this.#mustRun();
      const beat = this.#beat;
      if (beat === undefined || beat.at < endsAt) return undefined;
      return beat.oldest >= endsAt || beat.at > endsAt + patienceMs ? true : undefined;
    });
    const beat = this.#beat;
    const open = beat === undefined || beat.oldest >= endsAt ? 0 : beat.at - beat.oldest;
    const gaps = this.#gaps.filter(({ from, to }) => to > at && from < endsAt).map(({ from, to }) => to - from);
    return Math.max(open, 0, ...gaps);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await exited(this.#child);
  }

  #mustRun(): void {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) return;
    throw new Error(`${this.name} ended with ${exitCode ?? signalCode}:\n${this.#complaints}`);
  }

  #take(line: Line): void {
    if ('from' in line) this.#gaps.push(line);
    else if ('at' in line) this.#beat = line;
    else if ('error' in line) this.errors.push(line.error);
    else this.#description = `${line.client}: ${line.settings}`;
  }
}

function quiet(): readonly string[] {
  const logging = join(here, '../../test/support/apache-kafka/log4j2.xml');
  return ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', `-Dlog4j2.configurationFile=${logging}`];
}

/** How long clients that come from now on have to wait until one has written to every partition; `bootstrap` is theirs. */
export class FreshClients {
  readonly #child: ChildProcess;
  #writtenAt: number | undefined;

  constructor(chains: ToolChains, { bootstrap, topic, partitions }: Topic) {
    const args = [join(here, 'producer.py'), '--fresh', bootstrap, topic, String(partitions)];
    const child = spawn(join(chains.python, 'python'), args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#writtenAt = (JSON.parse(line) as { readonly written: number }).written;
    });
  }

  /** Milliseconds after `at`; `patienceMs` if that is not enough. */
  async written(at: number, patienceMs: number): Promise<number> {
    try {
      return (await until('a write', patienceMs, () => this.#writtenAt)) - at;
    } catch {
      return patienceMs;
    } finally {
      this.#child.kill('SIGKILL');
      await exited(this.#child);
    }
  }
}
