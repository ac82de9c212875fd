import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { metadataBrokerCount } from './metadata-probe.ts';
import { exited, until } from './process.ts';

export const repositoryRoot: string = join(import.meta.dirname, '../..');
export const publishedMain: string = join(repositoryRoot, 'dist/cli/main.js');

export interface NodeAddress {
  readonly port: number;
  /** Absent where the main file serves no HTTP. */
  readonly httpPort?: number;
}

export interface NodeOptions extends NodeAddress {
  readonly dataDir: string;
  /** Broker configuration, given by --set; peers are listened for on any free port unless it says where. */
  readonly settings?: Readonly<Record<string, string>>;
  /** What to run and its first arguments; the published bin's `start` without it. */
  readonly main?: readonly string[];
}

/** Ours without what steers the tests: a node refuses ODRADEK_ variables that name no config. */
export function nodeEnvironment(): NodeJS.ProcessEnv {
  const foreign = Object.entries(process.env).filter(([name]) => !name.startsWith('ODRADEK_'));
  return Object.fromEntries(foreign);
}

export async function freeAddress(): Promise<Required<NodeAddress>> {
  return { port: await freePort(), httpPort: await freePort() };
}

/** An Odradek node as a process of its own, started by its command line and ready to serve. */
export class OdradekProcess {
  readonly options: NodeOptions;
  readonly #child: ChildProcess;
  #log = '';

  private constructor(options: NodeOptions, child: ChildProcess) {
    this.options = options;
    this.#child = child;
    const logBytesKept = 1024 * 1024;
    const keep = (text: string): void => {
      this.#log = (this.#log + text).slice(-logBytesKept);
    };
    child.stdout?.setEncoding('utf8').on('data', keep);
    child.stderr?.setEncoding('utf8').on('data', keep);
  }

  /** Rejects, with the node's log, if it ends or is not ready within 30 s. */
  static async start(options: NodeOptions): Promise<OdradekProcess> {
    const node = OdradekProcess.spawn(options);
    await node.ready();
    return node;
  }

  /** Started, not waited for: for whoever measures the start. */
  static spawn(options: NodeOptions): OdradekProcess {
    const main = options.main ?? [publishedMain, 'start'];
    const script = main[0];
    if (script === undefined || !existsSync(script)) throw new Error(`${script} is missing: run \`make build\` first`);
    const given = { 'peer.listener': '127.0.0.1:0', ...options.settings };
    const settings = Object.entries(given).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    const http = options.httpPort === undefined ? [] : ['--http-listen', `127.0.0.1:${options.httpPort}`];
    const listen = ['--listen', `127.0.0.1:${options.port}`, ...http];
    const args = [...main, '--data-dir', options.dataDir, ...listen, ...settings];
    const child = spawn(process.execPath, args, { env: nodeEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
    return new OdradekProcess(options, child);
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.options.port}`;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the node could not be started');
    return this.#child.pid;
  }

  /** Whether it has ended, by itself or not. */
  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Resolves to its exit status when it has ended; null if a signal ended it. */
  get ended(): Promise<number | null> {
    return exited(this.#child);
  }

  /** SIGSTOP and SIGCONT, say; whoever ends it uses `kill` and `stop`. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** The last mebibyte of what it wrote. */
  get log(): string {
    return this.#log;
  }

  /** Whether /readyz says so and a metadata answer names a broker. */
  async isReady(): Promise<boolean> {
    const { httpPort, port } = this.options;
    const ready = httpPort === undefined || (await answersOk(`http://127.0.0.1:${httpPort}/readyz`));
    return ready && (await metadataBrokerCount(port)) > 0;
  }

  /** Resolves when it is ready; rejects, with its log, if it ends or is not ready within 30 s. */
  async ready(): Promise<void> {
    await until('node ready', 30_000, async () => {
      if (this.hasEnded) {
        throw new Error(`the node ended with ${this.#child.exitCode ?? this.#child.signalCode}:\n${this.#log}`);
      }
      return (await this.isReady()) ? true : undefined;
    });
  }

  /** SIGKILL, and the process is gone when this resolves. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await exited(this.#child);
  }

  /** SIGTERM; the exit status, or null if it had to be killed after 30 s. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    const limit = setTimeout(() => this.#child.kill('SIGKILL'), 30_000);
    const status = await exited(this.#child);
    clearTimeout(limit);
    return status;
  }
}

async function answersOk(url: string): Promise<boolean> {
  const answerTimeoutMs = 1000;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(answerTimeoutMs) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false; // nobody listens yet
  }
}
