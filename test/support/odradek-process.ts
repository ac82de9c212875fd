import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { exited, until } from './process.ts';

export const repositoryRoot: string = join(import.meta.dirname, '../..');
export const publishedMain: string = join(repositoryRoot, 'dist/cli/main.js');

export interface NodeAddress {
  readonly port: number;
  readonly httpPort: number;
}

export interface NodeOptions extends NodeAddress {
  readonly dataDir: string;
  /** Broker configuration, given by --set. */
  readonly settings?: Readonly<Record<string, string>>;
  /** What to run and its first arguments; the published bin's `start` without it. */
  readonly main?: readonly string[];
}

export async function freeAddress(): Promise<NodeAddress> {
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
    const settings = Object.entries(options.settings ?? {}).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    const listen = ['--listen', `127.0.0.1:${options.port}`, '--http-listen', `127.0.0.1:${options.httpPort}`];
    const args = [...main, '--data-dir', options.dataDir, ...listen, ...settings];
    return new OdradekProcess(options, spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.options.port}`;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the node could not be started');
    return this.#child.pid;
  }

  /** The last mebibyte of what it wrote. */
  get log(): string {
    return this.#log;
  }

  async ready(): Promise<void> {
    await until('node ready', 30_000, async () => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`the node ended with ${this.#child.exitCode ?? this.#child.signalCode}:\n${this.#log}`);
      }
      return (await this.#answersReady()) ? true : undefined;
    });
  }

  async #answersReady(): Promise<boolean> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.options.httpPort}/readyz`);
      await response.arrayBuffer();
      return response.status === 200;
    } catch {
      return false; // nobody listens yet
    }
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
