/** The tool chains that npm does not bring, of clients and linters: each is a value to use, or the reason why it is missing. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './odradek-process.ts';
import { hasCommand, runOrThrow } from './process.ts';

const work = join(repositoryRoot, '.work');
const fetchTimeoutMs = 10 * 60_000;

/** Decides what a missing tool chain means: a skipped suite, or a failure where ODRADEK_REQUIRE_CLIENTS=1 asks for it. */
export async function toolChain<T>(name: string, find: () => Promise<T>): Promise<T | undefined> {
  try {
    return await find();
  } catch (error) {
    if (process.env.ODRADEK_REQUIRE_CLIENTS === '1') throw error;
    console.warn(`${name}: skipped, ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

function need(command: string, debianPackage: string): void {
  if (!hasCommand(command)) throw new Error(`${command} is missing (Debian: apt-get install ${debianPackage})`);
}

export async function findKcat(): Promise<string> {
  need('kcat', 'kcat');
  return 'kcat';
}

/** A virtual environment with test/compat/python/requirements.txt; gives its folder of commands. */
export async function findPython(): Promise<string> {
  return await virtualEnvironment('python', 'test/compat/python/requirements.txt');
}

/** The linters that PyPI has: hadolint, and check-jsonschema with the schema of compose files; gives their folder. */
export async function findLinters(): Promise<string> {
  return await virtualEnvironment('linters', 'test/pack/linters/requirements.txt');
}

/** Prometheus, beside its promtool. */
export async function findPrometheus(): Promise<string> {
  need('promtool', 'prometheus');
  need('prometheus', 'prometheus');
  return 'prometheus';
}

export async function findSystemdAnalyze(): Promise<string> {
  need('systemd-analyze', 'systemd');
  return 'systemd-analyze';
}

async function virtualEnvironment(name: string, requirementsPath: string): Promise<string> {
  need('python3', 'python3-venv');
  const requirements = join(repositoryRoot, requirementsPath);
  const venv = join(work, name);
  await once(venv, readFileSync(requirements), async () => {
    await runOrThrow('python3', ['-m', 'venv', venv], { timeoutMs: fetchTimeoutMs });
    const pip = ['-m', 'pip', 'install', '--quiet', '--requirement', requirements];
    await runOrThrow(join(venv, 'bin/python'), pip, { timeoutMs: fetchTimeoutMs });
  });
  return join(venv, 'bin');
}

/** Apache Kafka's jars with its tools, from Maven Central; gives their folder. KAFKA_LIBS names one that is there already. */
export async function findKafkaJars(): Promise<string> {
  need('java', 'openjdk-17-jre-headless');
  const given = process.env.KAFKA_LIBS;
  if (given !== undefined) return given;
  const pom = join(repositoryRoot, 'test/support/apache-kafka/pom.xml');
  const jars = join(work, 'apache-kafka');
  await once(jars, readFileSync(pom), async () => {
    need('mvn', 'maven');
    const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${jars}`];
    await runOrThrow('mvn', ['-q', '-B', '-f', pom, ...goal], { timeoutMs: fetchTimeoutMs });
  });
  return jars;
}

/** Makes a folder once per content of what describes it; a half-made one has no stamp and is made anew. */
async function once(folder: string, description: Uint8Array, make: () => Promise<void>): Promise<void> {
  const stamp = join(folder, '.made-from');
  const digest = createHash('sha256').update(description).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await make();
  writeFileSync(stamp, digest);
}
