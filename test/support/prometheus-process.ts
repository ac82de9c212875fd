import { type ChildProcess, spawn } from 'node:child_process';
import { freePort } from './free-port.ts';
import { exited, until } from './process.ts';

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface AlertState {
  readonly name: string;
  readonly health: string;
  readonly state: 'inactive' | 'pending' | 'firing';
  /** Why it could not be evaluated. */
  readonly lastError?: string;
}

/** A Prometheus of its own, whose database lies in `folder`. */
export class PrometheusProcess {
  readonly #child: ChildProcess;
  readonly #base: string;
  #log = '';

  private constructor(child: ChildProcess, base: string) {
    this.#child = child;
    this.#base = base;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      const logBytesKept = 64 * 1024;
      this.#log = (this.#log + text).slice(-logBytesKept);
    });
  }

  /** Resolves when it answers; rejects, with its log, if it ends before. */
  static async start(configFile: string, folder: string): Promise<PrometheusProcess> {
    const address = `127.0.0.1:${await freePort()}`;
    const args = [`--config.file=${configFile}`, `--storage.tsdb.path=${folder}`, `--web.listen-address=${address}`];
    const child = spawn('prometheus', [...args, '--log.level=warn'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const prometheus = new PrometheusProcess(child, `http://${address}`);
    const readyTimeoutMs = 20_000;
    await until('Prometheus', readyTimeoutMs, async () => {
      if (child.exitCode !== null) throw new Error(`Prometheus has ended:\n${prometheus.#log}`);
      return await fetch(`${prometheus.#base}/-/ready`).then(
        ({ ok }) => (ok ? true : undefined),
        () => undefined,
      );
    });
    return prometheus;
  }

  /** An instant vector, as of now. */
  async query(expression: string): Promise<readonly Sample[]> {
    const { result } = (await this.#get(`query?${new URLSearchParams({ query: expression })}`)) as {
      readonly result: readonly { readonly metric: Sample['metric']; readonly value: readonly [number, string] }[];
    };
    return result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }));
  }

  /** Families of metrics, as their # TYPE lines name them. */
  async families(): Promise<readonly string[]> {
    return Object.keys((await this.#get('metadata')) as object);
  }

  async alerts(): Promise<readonly AlertState[]> {
    const { groups } = (await this.#get('rules')) as {
      readonly groups: readonly { readonly rules: readonly AlertState[] }[];
    };
    return groups.flatMap(({ rules }) => rules);
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(`${this.#base}/api/v1/${path}`);
    const answer = (await response.json()) as { readonly data?: unknown; readonly error?: string };
    if (answer.data === undefined) throw new Error(`Prometheus refuses ${path}: ${answer.error}`);
    return answer.data;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await exited(this.#child);
  }
}
