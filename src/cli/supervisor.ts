import { type ChildProcess, spawn } from 'node:child_process';
import { USAGE } from './exit-status.ts';
import { READY_LINE } from './supervised.ts';

export interface SupervisorOptions {
  /** What each process runs, by node id: arguments of Node, which make a supervised node. */
  readonly commands: ReadonlyMap<number, readonly string[]>;
  readonly environment: NodeJS.ProcessEnv;
  /** Takes what the user should know, a sentence each. */
  readonly say: (sentence: string) => void;
  /** Whether a process that died is left so for now; asked again and again. */
  readonly isHeld: (id: number) => boolean;
  /** How long a process that died lies before it is started again. */
  readonly restartMs: number;
  /** How long a process has to stop before it is killed. */
  readonly stopMs: number;
}

const HELD_CHECK_MS = 100;

/** A process has ended without which there is no cluster; it has said why on standard error. */
export class ChildFailure extends Error {
  override readonly name = 'ChildFailure';
  readonly exitStatus: number;

  constructor(message: string, exitStatus: number) {
    super(message);
    this.exitStatus = exitStatus;
  }
}

/**
 * The processes of a local cluster. Each leads a process group of its own, so that Ctrl-C reaches them in one way only, and holds the
 * other end of a pipe, by which it sees the death of this process, whatever the cause.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #children = new Map<number, ChildProcess>();
  readonly #restarts = new Map<number, NodeJS.Timeout>();
  readonly #waitedFor: Set<number>;
  readonly #up = Promise.withResolvers<void>();
  #isUp = false;
  #stopping: PromiseWithResolvers<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#waitedFor = new Set(options.commands.keys());
  }

  /**
   * Resolves when every node serves; from then on one that dies is started again. Rejects with ChildFailure if one ends by itself
   * before, and leaves the others to `stop`.
   */
  start(): Promise<void> {
    for (const id of this.#options.commands.keys()) this.#spawn(id);
    return this.#up.promise;
  }

  /** The nodes that have not served yet. */
  get waitedFor(): readonly number[] {
    return [...this.#waitedFor];
  }

  pidOf(id: number): number | undefined {
    return this.#children.get(id)?.pid;
  }

  /** Resolves when no process is left; asked a second time, it kills what is left. */
  stop(): Promise<void> {
    if (this.#stopping !== undefined) {
      this.#signal('SIGKILL');
      return this.#stopping.promise;
    }
    this.#stopping = Promise.withResolvers<void>();
    for (const timer of this.#restarts.values()) clearTimeout(timer);
    if (this.#children.size === 0) this.#stopping.resolve();
    this.#signal('SIGTERM');
    setTimeout(() => this.#killTheLate(), this.#options.stopMs).unref();
    return this.#stopping.promise;
  }

  #killTheLate(): void {
    const { say, stopMs } = this.#options;
    for (const id of this.#children.keys()) say(`${this.#name(id)} has not stopped within ${stopMs / 1000} s: killed`);
    this.#signal('SIGKILL');
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    for (const child of this.#children.values()) child.kill(signal);
  }

  #spawn(id: number): void {
    const { commands, environment: env } = this.#options;
    const child = spawn(process.execPath, commands.get(id) ?? [], {
      env,
      detached: true,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#children.set(id, child);
    // It dies when it will; its end of the pipe is nothing to us.
    child.stdin.on('error', () => {});
    child.stdout.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes(READY_LINE)) this.#ready(id);
    });
    child.once('error', (error) => this.#ended(id, child, `could not be started: ${error.message}`, null));
    child.once('exit', (status, signal) =>
      this.#ended(id, child, signal === null ? `has ended with status ${status}` : `was ended by ${signal}`, status),
    );
  }

  #ready(id: number): void {
    if (this.#isUp) return this.#options.say(`${this.#name(id)} serves again`);
    this.#waitedFor.delete(id);
    if (this.#waitedFor.size > 0) return;
    this.#isUp = true;
    this.#up.resolve();
  }

  /** `status` is null if it did not end by itself. */
  #ended(id: number, child: ChildProcess, how: string, status: number | null): void {
    if (this.#children.get(id) !== child) return;
    const sentence = `${this.#name(id)} ${how}`;
    this.#children.delete(id);
    if (this.#stopping !== undefined) {
      if (this.#children.size === 0) this.#stopping.resolve();
      return;
    }
    if (!this.#isUp && status !== null) return this.#up.reject(new ChildFailure(sentence, status));
    const { say, restartMs, isHeld } = this.#options;
    if (status === USAGE) return say(`${sentence}: it was called wrongly, and is not started again`);
    const isLeft = isHeld(id);
    say(`${sentence}; it ${isLeft ? 'stays down until it is healed' : `is started again in ${restartMs / 1000} s`}`);
    this.#restart(id, isLeft ? HELD_CHECK_MS : restartMs);
  }

  /** Or later, if it is held by then. */
  #restart(id: number, inMs: number): void {
    const due = (): void => {
      if (this.#options.isHeld(id)) this.#restart(id, HELD_CHECK_MS);
      else this.#spawn(id);
    };
    this.#restarts.set(id, setTimeout(due, inMs));
  }

  #name(id: number): string {
    const pid = this.pidOf(id);
    return pid === undefined ? `node ${id}` : `node ${id} (pid ${pid})`;
  }
}
