import { closeSync, existsSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../../test/support/odradek-process.ts';
import { hasCommand, runOrThrow, until } from '../../test/support/process.ts';
import { findKafkaJars } from '../../test/support/tool-chains.ts';
import { readLines } from '../history/read-lines.ts';
import { type Client, ClientProcess } from './client-process.ts';
import { nowMs } from './recording.ts';

/** Of a JVM that SIGTERM has ended, when its shutdown hooks have run: 128 and the signal. */
const TERMINATED = 143;
/** By how much two readings of both clocks may differ that were not set: the one is told in whole milliseconds. */
const SAME_MS = 3;
const READINGS = 20;
const BEGINS_MS = 60_000;
/** It says nothing of its own on standard output, for one that it does not take its classes from where it is told to. */
const JVM = ['-Xmx128M', '-Xlog:disable', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
const LOGGING = `-Dlog4j2.configurationFile=${join(repositoryRoot, 'test/support/apache-kafka/log4j2.xml')}`;
/**
 * Classes as a JVM has them in memory, for all that are started later: a consumer then takes 0.46 s until it begins, where it takes 0.95 s
 * without, and a trial starts several. Made of other jars, or by another JVM, it is passed over.
 */
const CLASSES = join(repositoryRoot, '.work/verifiable-clients.jsa');
const MAKE_CLASSES_MS = 120_000;

const mainClass = (name: string): string => `org.apache.kafka.tools.${name}`;
const fromJars = (jars: string): readonly string[] => [...JVM, LOGGING, '-cp', join(jars, '*')];

/** The folder of Apache Kafka's jars. A JVM does not see that whoever started it is gone: the kernel has to tell it. */
export async function findVerifiableClients(): Promise<string> {
  if (!hasCommand('setpriv')) throw new Error('setpriv is missing (Debian: apt-get install util-linux)');
  const jars = await findKafkaJars();
  if (!existsSync(CLASSES)) {
    const half = `${CLASSES}.half`;
    const nothing = ['--bootstrap-server', '127.0.0.1:1', '--topic', 't', '--group-id', 'g', '--max-messages', '0'];
    const args = [`-XX:ArchiveClassesAtExit=${half}`, ...fromJars(jars), mainClass('VerifiableConsumer'), ...nothing];
    await runOrThrow('java', args, { timeoutMs: MAKE_CLASSES_MS });
    renameSync(half, CLASSES);
  }
  return jars;
}

/** Writes what a tool has printed as a history, and gives what it has to complain about; `append` takes a line. */
export type Translate = (
  lines: Iterable<string>,
  wallToMonotonicMs: number,
  append: (line: string) => void,
) => readonly string[];

export interface Tool {
  /** Of its files. */
  readonly name: string;
  readonly main: 'VerifiableProducer' | 'VerifiableConsumer';
  readonly args: readonly string[];
  readonly translate: Translate;
  /** Whether it has done what it is there for: until then it is not told to end, unless that takes too long. */
  readonly mayEnd?: () => boolean;
}

/** One of Apache Kafka's verifiable clients, whose lines become a history when it has ended. */
export class VerifiableClient implements Client {
  readonly history: string;
  readonly #tool: Tool;
  readonly #said: string;
  readonly #process: ClientProcess;
  readonly #wallToMonotonicMs = wallToMonotonicMs();

  constructor(folder: string, jars: string, tool: Tool) {
    const { name, main, args } = tool;
    this.#tool = tool;
    this.history = join(folder, `${name}.jsonl`);
    this.#said = join(folder, `${name}.said`);
    const java = ['java', `-XX:SharedArchiveFile=${CLASSES}`, ...fromJars(jars), mainClass(main), ...args];
    const ways = { begins: /./, statuses: [TERMINATED], log: join(folder, `${name}.log`) };
    this.#process = new ClientProcess(name, ['setpriv', '--pdeathsig', 'KILL', ...java], this.#said, ways);
  }

  begun(): Promise<readonly string[]> {
    return this.#process.begun();
  }

  /** Whether any of its lines up to now has it. */
  hasSaid(what: string): boolean {
    return readFileSync(this.#said, 'utf8').includes(what);
  }

  async stop(): Promise<readonly string[]> {
    const { name, translate, mayEnd = () => true } = this.#tool;
    // Who asks the cluster what was done complains of it.
    await until(`${name}: its work`, BEGINS_MS, () => mayEnd() || undefined).catch(() => undefined);
    const complaints = [...(await this.#process.stop())];
    if (Math.abs(wallToMonotonicMs() - this.#wallToMonotonicMs) > SAME_MS) {
      complaints.push(`${name}: the wall clock was set meanwhile, by which it has told its times`);
    }
    const history = openSync(this.history, 'w');
    try {
      const append = (line: string): number => writeSync(history, line);
      const said = translate(wholeLines(this.#said), this.#wallToMonotonicMs, append);
      complaints.push(...said.map((complaint) => `${name}: ${complaint}`));
    } catch (failure) {
      complaints.push(`${name}: ${(failure as Error).message}`);
    } finally {
      closeSync(history);
    }
    return complaints;
  }

  kill(): void {
    this.#process.kill();
  }
}

/** Of several readings of both clocks the one between whose parts the least time has passed: a process may be put aside in between. */
function wallToMonotonicMs(): number {
  let leastMs = Number.POSITIVE_INFINITY;
  let differenceMs = 0;
  for (let reading = 0; reading < READINGS; reading += 1) {
    const beforeMs = nowMs();
    const wallMs = Date.now();
    const tookMs = nowMs() - beforeMs;
    if (tookMs >= leastMs) continue;
    leastMs = tookMs;
    differenceMs = beforeMs - wallMs;
  }
  return differenceMs;
}

function* wholeLines(file: string): Iterable<string> {
  for (const { text, whole } of readLines(file)) if (whole) yield text;
}
