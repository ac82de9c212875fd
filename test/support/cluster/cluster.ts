/** A cluster of either system as processes: what a trial does to it, and what it waits for. */
import { type ChildProcess, spawn } from 'node:child_process';
import { exited, sleep, until } from '../process.ts';
import type { Site } from './sites.ts';
import { allInSyncAt, brokersSeenAt, electPreferred, type Topic, topicSeenAt } from './view.ts';

/** One node: where it is and how it is started, each time on the same folder. */
export interface Member extends Site {
  readonly id: number;
  readonly port: number;
  readonly dataDir: string;
  readonly command: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

const LOG_CHARACTERS_KEPT = 64 * 1024;
const HEALTHY_MS = 120_000;
/** A node that was told to stop waits for those who take over from it. */
const STOPS_MS = 60_000;
const BALANCED_BY_ITSELF_MS = 3_000;

export class Cluster {
  readonly members: readonly Member[];
  readonly #processes = new Map<number, ChildProcess>();
  readonly #logs = new Map<number, string>();
  /** Paused or cut off: asked nothing. */
  readonly #silent = new Set<number>();

  private constructor(members: readonly Member[]) {
    this.members = members;
  }

  static start(members: readonly Member[]): Cluster {
    const cluster = new Cluster(members);
    for (const { id } of members) cluster.spawn(id);
    return cluster;
  }

  get ids(): readonly number[] {
    return this.members.map(({ id }) => id);
  }

  /** Those that run and are not silent. */
  get awake(): readonly Member[] {
    return this.members.filter(({ id }) => this.runs(id) && !this.#silent.has(id));
  }

  get pids(): readonly number[] {
    return [...this.#processes.values()].flatMap(({ pid }) => pid ?? []);
  }

  /** Of the node's latest process; -1 before there is one. */
  pid(id: number): number {
    return this.#processes.get(id)?.pid ?? -1;
  }

  member(id: number): Member {
    const member = this.members.find((one) => one.id === id);
    if (member === undefined) throw new Error(`there is no node ${id}`);
    return member;
  }

  bootstrapWithout(ids: readonly number[] = []): string {
    const others = this.members.filter(({ id }) => !ids.includes(id));
    return others.map(({ host, port }) => `${host}:${port}`).join(',');
  }

  /** The last of what the node wrote, over all its runs. */
  said(id: number): string {
    return this.#logs.get(id) ?? '';
  }

  /** The last of what each node wrote. */
  get logs(): string {
    return this.ids.map((id) => `node ${id}:\n${this.said(id).slice(-2_000)}`).join('\n');
  }

  /** `command` stands in for the node's own, this time. */
  spawn(id: number, command: readonly string[] = this.member(id).command): void {
    const { environment } = this.member(id);
    const [file = '', ...args] = command;
    const child = spawn(file, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    const keep = (text: string): void => {
      this.#logs.set(id, (this.said(id) + text).slice(-LOG_CHARACTERS_KEPT));
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    this.#processes.set(id, child);
  }

  signal(id: number, name: NodeJS.Signals): void {
    if (name === 'SIGSTOP') this.#silent.add(id);
    this.#processes.get(id)?.kill(name);
  }

  /** No packet to or from this node's host. */
  cut(id: number): void {
    this.#silent.add(id);
    this.member(id).cut();
  }

  /** No packet between its rack and the others. */
  cutRack(id: number): void {
    this.#silent.add(id);
    this.member(id).cutRack();
  }

  /** Undoes whatever was done to this node; of one that was told to stop, when it has. */
  async heal(id: number): Promise<void> {
    const child = this.#processes.get(id);
    if (this.#silent.delete(id)) {
      child?.kill('SIGCONT');
      this.member(id).join();
      return;
    }
    if (child !== undefined) await this.ended(id);
    this.spawn(id);
  }

  /** Resolves at the end of the node's process, to its exit status, or null if a signal ended it; rejects if that does not come. */
  async ended(id: number): Promise<number | null> {
    await until(`the end of node ${id}`, STOPS_MS, () => (this.runs(id) ? undefined : true));
    return this.#processes.get(id)?.exitCode ?? null;
  }

  /** Tells a node to stop; rejects if it does not, or not as it should. */
  async stop(id: number): Promise<void> {
    this.signal(id, 'SIGTERM');
    await this.stopped(id);
  }

  /** Of one that was told to. */
  async stopped(id: number): Promise<void> {
    const status = await this.ended(id);
    if (status !== 0) throw new Error(`node ${id} was told to stop, and ended with status ${status}`);
  }

  runs(id: number): boolean {
    const child = this.#processes.get(id);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async killAll(): Promise<void> {
    for (const child of this.#processes.values()) child.kill('SIGKILL');
    await Promise.all([...this.#processes.values()].map((child) => exited(child)));
  }

  /** Resolves when a node knows all of them. */
  async registered(): Promise<void> {
    await this.ask('all registered', async (at) => {
      this.#allRun();
      const brokers = await brokersSeenAt(at);
      return brokers?.length === this.ids.length ? true : undefined;
    });
  }

  /** The first good answer of a node that is awake, asked in turn. */
  async ask<A>(what: string, question: (at: Member) => Promise<A | undefined>): Promise<A> {
    return await until(what, HEALTHY_MS, async () => {
      for (const member of this.awake) {
        const answer = await question(member);
        if (answer !== undefined) return answer;
      }
      return undefined;
    }).catch((failure: unknown) => {
      throw new Error(`${failure}\n${this.logs}`);
    });
  }

  /** Resolves when every node, so also one that has just been started, knows of all others and of no replica that is behind. */
  async inSync(): Promise<void> {
    await until('all in sync', HEALTHY_MS, async () => {
      this.#allRun();
      for (const member of this.members) if (!(await allInSyncAt(member, this.ids.length))) return undefined;
      return true;
    }).catch((failure: unknown) => {
      throw new Error(`${failure}\n${this.logs}`);
    });
  }

  /**
   * Resolves when every partition has all of its replicas in sync and is led by the first of them; the system is given 3 s for the
   * latter, then it is told to.
   */
  async healthy(topic: string): Promise<Topic> {
    const inSync = ({ partitions }: Topic): boolean =>
      partitions.length > 0 && partitions.every(({ isr, replicas }) => isr.length === replicas.length);
    const balanced = ({ partitions }: Topic): boolean =>
      partitions.every(({ leader, replicas }) => leader === replicas[0]);
    const seen = async (at: Member): Promise<Topic | undefined> => {
      this.#allRun();
      const view = await topicSeenAt(at, topic);
      if (view === undefined || !inSync(view)) await sleep(100);
      return view !== undefined && view.brokers.length === this.ids.length && inSync(view) ? view : undefined;
    };
    await this.ask('all in sync', seen);
    const untoldUntil = performance.now() + BALANCED_BY_ITSELF_MS;
    for (;;) {
      const view = await this.ask('all in sync', seen);
      if (balanced(view)) return view;
      if (performance.now() > untoldUntil) await this.ask('preferred leaders', (at) => electPreferred(at));
      await sleep(100);
    }
  }

  #allRun(): void {
    for (const id of this.ids) if (!this.runs(id)) throw new Error(`node ${id} has ended`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAll();
  }
}
