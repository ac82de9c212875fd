import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { exited, until } from '../../test/support/process.ts';

const BEGIN_MS = 60_000;
const STOP_MS = 90_000;
const COMPLAINTS_MAX = 16 * 1024;
/** In a history: something has been written. */
const HAS_WRITTEN = /"type":"ok".*\["(send|copy)"/;

/** Whoever works on the cluster during a trial. */
export interface Client {
  /** The file of its history, whole when it has been stopped. */
  readonly history: string;
  /** Resolves when it has begun to work; to complaints if it does not. */
  begun(): Promise<readonly string[]>;
  /** Resolves at its end to what it had to complain about, which is also that it had ended before or did not want to. */
  stop(): Promise<readonly string[]>;
  kill(): void;
}

/** Of clients that are not as those who write. */
export interface ClientWays {
  /** Its output has it when it has begun to work; else a write that is acknowledged. */
  readonly begins?: RegExp;
  /** The exit statuses with which it ends as it should, if that is not 0. */
  readonly statuses?: readonly number[];
  /** The file to which its standard error goes, if that is no complaint. */
  readonly log?: string;
}

/**
 * A process of clients. Its standard output is its history, a file which is whole up to a last line even if it is killed; what it
 * writes to standard error is a complaint. SIGTERM tells it to come to its end; the end of its standard input, that whoever started it is
 * gone, with whom it goes.
 */
export class ClientProcess implements Client {
  readonly history: string;
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #statuses: readonly number[];
  readonly #hasBegun: RegExp;
  #complaints = '';

  constructor(name: string, command: readonly string[], history: string, ways: ClientWays = {}) {
    this.#name = name;
    this.history = history;
    this.#statuses = ways.statuses ?? [0];
    this.#hasBegun = ways.begins ?? HAS_WRITTEN;
    const fd = openSync(history, 'w');
    const log = ways.log === undefined ? 'pipe' : openSync(ways.log, 'w');
    const [file = '', ...args] = command;
    this.#child = spawn(file, args, { stdio: ['pipe', fd, log] });
    closeSync(fd);
    if (log !== 'pipe') closeSync(log);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-COMPLAINTS_MAX);
    });
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async begun(): Promise<readonly string[]> {
    const says = (): true | undefined => {
      return this.#hasEnded || this.#hasBegun.test(readFileSync(this.history, 'utf8')) ? true : undefined;
    };
    return await until(`${this.#name}: its beginning`, BEGIN_MS, says).then(
      () => [],
      (failure: Error) => [failure.message],
    );
  }

  async stop(): Promise<readonly string[]> {
    const hadEnded = this.#hasEnded;
    this.#child.kill('SIGTERM');
    const limit = setTimeout(() => this.kill(), STOP_MS);
    const status = await exited(this.#child);
    clearTimeout(limit);
    const said = this.#complaints.split('\n').filter((line) => line !== '');
    const isAsItShould = !hadEnded && status !== null && this.#statuses.includes(status);
    const end = isAsItShould ? [] : [`it ended ${hadEnded ? 'by itself ' : ''}with status ${status}`];
    return [...said, ...end].map((complaint) => `${this.#name}: ${complaint}`);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
