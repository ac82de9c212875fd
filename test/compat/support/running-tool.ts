import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { exited, until } from '../../support/process.ts';
import { javaCommand } from './java.ts';

/** Lines of either stream that are kept, the oldest are dropped; a tool that says more than this is talking to itself. */
const LINES_MAX = 20_000;
const COMPLAINTS_MAX = 64 * 1024;

/** A Java program that runs beside a test, and says on stdout what it does; it does not outlive the test. */
export class RunningTool {
  readonly lines: string[] = [];
  readonly #name: string;
  readonly #child: ChildProcess;
  #complaints = '';

  private constructor(name: string, child: ChildProcess) {
    this.#name = name;
    this.#child = child;
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.lines.push(line);
      if (this.lines.length > LINES_MAX) this.lines.shift();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-COMPLAINTS_MAX);
    });
  }

  /** `main` is a class of the jars, or a source file. */
  static start(jars: string, main: string, args: readonly string[]): RunningTool {
    const child = spawn('java', javaCommand(jars, main, args), { stdio: ['ignore', 'pipe', 'pipe'] });
    const tool = new RunningTool(main, child);
    onTestFinished(() => tool.kill());
    return tool;
  }

  /** Those of its lines that are objects in JSON, such as the events of Kafka's verifiable clients. */
  get events(): readonly Readonly<Record<string, unknown>>[] {
    return this.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  }

  /** Resolves when the probe gives a value; rejects, with what the tool said, if it ends before or does not come to it in time. */
  async reaches<T>(what: string, probe: () => T | undefined, timeoutMs = 60_000): Promise<T> {
    try {
      return await until(what, timeoutMs, () => {
        const value = probe();
        if (value === undefined && this.#hasEnded) throw new Error(`${this.#name} has ended before ${what}`);
        return value;
      });
    } catch (failure) {
      throw new Error(`${failure}\n${this.lines.slice(-20).join('\n')}\n${this.#complaints}`);
    }
  }

  /** SIGTERM; its exit status. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return await exited(this.#child);
  }

  /** SIGKILL, and it is gone when this resolves. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await exited(this.#child);
  }

  /** Resolves to its exit status when it ends by itself. */
  async ended(timeoutMs: number): Promise<number | null> {
    await until(`the end of ${this.#name}`, timeoutMs, () => (this.#hasEnded ? true : undefined));
    return this.#child.exitCode;
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}
