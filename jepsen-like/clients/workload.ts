/** The clients that run while brokers die, each a process of its own, and what they say. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { exited, runOrThrow, sleep, until } from '../../test/support/process.ts';
import type { Log, Run } from './verdict.ts';

export interface Clients {
  /** The folder of Apache Kafka's jars. */
  readonly jars: string;
  /** The folder of a virtual environment's commands. */
  readonly python: string;
  readonly bootstrap: string;
}

export const PARTITIONS = 2;
export const SOURCE = 'source';
export const SINK = 'sink';
export const COPIER = 'copier';
/** The copier's committed offsets are a classic group too. */
export const GROUPS = { classic: 'classic-group', consumer: 'consumer-group' } as const;

const WRITES_PER_S = 100;
const STOP_MS = 90_000;
const COMPLAINTS_MAX = 16 * 1024;

type Said = Readonly<Record<string, unknown>>;

/** A process that says lines of JSON, each handed to `take`. */
class Client {
  readonly #child: ChildProcess;
  #complaints = '';

  constructor(command: readonly string[], take: (said: Said) => void) {
    const [file = '', ...args] = command;
    this.#child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      if (line.startsWith('{')) take(JSON.parse(line) as Said);
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-COMPLAINTS_MAX);
    });
  }

  get complaints(): string {
    return this.#complaints;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Resolves to its exit status. */
  get ended(): Promise<number | null> {
    return exited(this.#child);
  }

  /** SIGTERM; throws if it does not end by itself with one of these statuses. */
  async stop(...statuses: readonly number[]): Promise<void> {
    if (this.hasEnded) throw new Error(`a client had ended with ${await this.ended}:\n${this.#complaints}`);
    this.#child.kill('SIGTERM');
    const limit = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    const status = await this.ended;
    clearTimeout(limit);
    if (status === null || !statuses.includes(status)) {
      throw new Error(`a client ended with ${status}:\n${this.#complaints}`);
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

function java(jars: string, main: string, args: readonly string[]): readonly string[] {
  const logging = join(import.meta.dirname, '../../test/support/apache-kafka/log4j2.xml');
  const jvm = ['-Xmx256M', '-Xshare:auto', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
  return ['java', ...jvm, `-Dlog4j2.configurationFile=${logging}`, '-cp', join(jars, '*'), main, ...args];
}

function librdkafka(python: string, args: readonly (string | number)[]): readonly string[] {
  return [join(python, 'python'), join(import.meta.dirname, 'clients.py'), ...args.map(String)];
}

/** The longest time between two events of one kind. */
export class Gap {
  #lastAt: number | undefined;
  #longestMs = 0;

  happened(): void {
    const now = performance.now();
    this.#longestMs = Math.max(this.#longestMs, now - (this.#lastAt ?? now));
    this.#lastAt = now;
  }

  get longestMs(): number {
    return this.#longestMs;
  }
}

/** Two idempotent producers, of librdkafka and of Apache Kafka, both on the source. */
export class Writers {
  readonly acknowledged = new Set<string>();
  readonly refusals: string[] = [];
  readonly gap = new Gap();
  readonly #librdkafka: Client;
  readonly #java: Client;

  constructor({ jars, python, bootstrap }: Clients) {
    this.#librdkafka = new Client(
      librdkafka(python, ['write', bootstrap, SOURCE, PARTITIONS, WRITES_PER_S]),
      (said) => {
        if (said.failed !== undefined) this.refusals.push(String(said.failed));
        for (const value of (said.acked ?? []) as readonly string[]) this.#isWritten(value);
      },
    );
    const command = java(jars, 'org.apache.kafka.tools.VerifiableProducer', [
      ...['--bootstrap-server', bootstrap, '--topic', SOURCE, '--acks', '-1', '--value-prefix', '7'],
      ...['--throughput', `${WRITES_PER_S}`],
      ...['--command-config', join(import.meta.dirname, 'idempotent.properties')],
    ]);
    this.#java = new Client(command, (said) => {
      if (said.name === 'producer_send_error') this.refusals.push(String(said.message));
      if (said.name === 'producer_send_success') this.#isWritten(String(said.value));
    });
  }

  async started(): Promise<void> {
    await until('the first writes of both producers', STOP_MS, () => {
      const values = [...this.acknowledged];
      return ['librdkafka.', '7.'].every((prefix) => values.some((value) => value.startsWith(prefix))) || undefined;
    });
  }

  async stop(): Promise<void> {
    await Promise.all([this.#librdkafka.stop(0), this.#java.stop(0, 143)]);
  }

  kill(): void {
    this.#librdkafka.kill();
    this.#java.kill();
  }

  #isWritten(value: string): void {
    this.acknowledged.add(value);
    this.gap.happened();
  }
}

/** Two members of a group. */
export class GroupMembers {
  readonly runs: Run[] = [];
  readonly gap = new Gap();
  readonly #ends: number[] = Array.from({ length: PARTITIONS }, () => 0);
  readonly #client: Client;

  constructor(protocol: keyof typeof GROUPS, { python, bootstrap }: Clients) {
    const args = ['group', bootstrap, SOURCE, GROUPS[protocol], protocol, 2];
    this.#client = new Client(librdkafka(python, args), (said) => {
      const seen = (said.seen ?? []) as readonly Run[];
      this.runs.push(...seen);
      for (const [partition, , last] of seen) this.#ends[partition] = Math.max(this.#ends[partition] ?? 0, last + 1);
      if (seen.length > 0) this.gap.happened();
    });
  }

  /** How many records it has come to. */
  get reached(): number {
    return this.#ends.reduce((sum, end) => sum + end, 0);
  }

  async stop(): Promise<void> {
    await this.#client.stop(0);
  }

  kill(): void {
    this.#client.kill();
  }
}

const COPY_PAUSE_MS = 1_000;
const COPY_MS = 60_000;

/** Apache Kafka's message copier, which aborts at random and ends when it has copied what was there when it began: again and again. */
export class Copier {
  /** How often it was started, and how often it ended without having copied everything. */
  runs = 0;
  failures = 0;
  commits = 0;
  readonly gap = new Gap();
  readonly #clients: Clients;
  #current: Client | undefined;
  #isStopping = false;
  #lastFailure = '';

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  /** Until `stop`; resolves when the last copy is complete, or rejects when that takes too long. */
  async copyOn(): Promise<void> {
    while (!this.#isStopping) {
      await this.#copy();
      await sleep(COPY_PAUSE_MS);
    }
    const deadline = performance.now() + COPY_MS;
    while (!(await this.#copy())) {
      if (performance.now() > deadline) throw new Error(`the copier does not come to an end:\n${this.#lastFailure}`);
    }
  }

  /** The producer's process dies; the next one takes its transactional id over. */
  kill(): void {
    this.#current?.kill();
  }

  stop(): void {
    this.#isStopping = true;
  }

  /** Whether all that was there has been copied. */
  async #copy(): Promise<boolean> {
    this.runs += 1;
    let remaining = Number.NaN;
    let copied = 0;
    const args = [
      ...['--broker-list', this.#clients.bootstrap, '--input-topic', SOURCE, '--input-partition', '0'],
      ...['--output-topic', SINK, '--transactional-id', COPIER, '--consumer-group', COPIER, '--group-mode'],
      ...[
        '--use-group-metadata',
        '--transaction-size',
        '50',
        '--enable-random-aborts',
        '--transaction-timeout',
        '10000',
      ],
    ];
    const client = new Client(
      java(this.#clients.jars, 'org.apache.kafka.tools.TransactionalMessageCopier', args),
      (said) => {
        if (said.remaining === undefined) return;
        // Below zero if more has come meanwhile.
        remaining = Number(said.remaining);
        if (Number(said.totalProcessed) === copied) return;
        copied = Number(said.totalProcessed);
        this.commits += 1;
        this.gap.happened();
      },
    );
    this.#current = client;
    const status = await client.ended;
    const isDone = status === 0 && remaining <= 0;
    if (!isDone) {
      this.failures += 1;
      this.#lastFailure = client.complaints;
    }
    return isDone;
  }
}

/** All values of a topic, by partition. */
export async function readLog({ python, bootstrap }: Clients, topic: string, isolation: string): Promise<Log> {
  const [file = '', ...args] = librdkafka(python, ['read', bootstrap, topic, PARTITIONS, isolation]);
  const lines = (await runOrThrow(file, args, { timeoutMs: STOP_MS })).trim().split('\n');
  const read = lines.map((line) => JSON.parse(line) as { readonly partition: number; readonly values: string[] });
  return read.sort((a, b) => a.partition - b.partition).map(({ values }) => values);
}
