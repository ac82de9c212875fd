import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

export interface Outcome {
  /** null if it was killed, by its time limit or by anyone. */
  readonly status: number | null;
  readonly stdout: string;
  /** stdout and stderr as they came. */
  readonly output: string;
}

export interface RunOptions {
  readonly timeoutMs: number;
  readonly input?: string;
  /** All of its environment; this process's own without it. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** Runs a command to its end, or kills it at its time limit. Output beyond 64 MiB per stream would mean a runaway: it is killed too. */
export function run(command: string, args: readonly string[], options: RunOptions): Promise<Outcome> {
  const outputBytesMax = 64 * 1024 * 1024;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: options.cwd, env: options.env ?? process.env });
    const limit = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs);
    let stdout = '';
    let output = '';
    const collect = (text: string): void => {
      output += text;
      if (output.length > outputBytesMax) child.kill('SIGKILL');
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      collect(text);
    });
    child.stderr.setEncoding('utf8').on('data', collect);
    child.on('error', (error) => {
      clearTimeout(limit);
      reject(error);
    });
    child.on('close', (status) => {
      clearTimeout(limit);
      resolve({ status, stdout, output });
    });
    // A command that ends without reading its input is judged by its status, not by the broken pipe.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** The outcome's stdout; throws with the whole output unless the command ended with status 0. */
export async function runOrThrow(command: string, args: readonly string[], options: RunOptions): Promise<string> {
  const { status, stdout, output } = await run(command, args, options);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${status}\n${output}`);
  return stdout;
}

export function hasCommand(command: string): boolean {
  return spawnSync('which', [command], { stdio: 'ignore' }).status === 0;
}

/** A command behind this does not outlive us, however we come to our end. Empty where that cannot be had: without util-linux. */
export function whileWeLive(): readonly string[] {
  return hasCommand('setpriv') ? ['setpriv', '--pdeathsig', 'KILL'] : [];
}

/** Resolves at the process's end, also if it has ended already. */
export function exited(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('exit', resolve));
}

export function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Tries until `probe` gives a value; throws with `what` if none comes in time. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(10);
  }
}
