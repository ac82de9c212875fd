import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '#base/ports';
import { blowOf, forgivenessOf, healingOf, namedIn, problemOf, unknownNode } from '#chaos/blow';
import { Caller } from '#chaos/caller';
import { type Fault, type NodeTarget, resolved } from '#chaos/fault';
import type { Injector, Wound } from '#chaos/run-scenario';
import { Whereabouts } from '#chaos/whereabouts';
import { type FaultOrders, faultOrdersText } from '#faults/fault-orders';
import { DirectoryLock, lockHolder } from '#platform/directory-lock';
import { NodeClock } from '#platform/node-clock';
import { NodeNetwork } from '#platform/node-network';
import { type ClusterFile, clusterFilePath, hold, readClusterFile, release } from './cluster-file.ts';
import type { NodePlan } from './cluster-plan.ts';
import { UsageError } from './config-sources.ts';
import { Unreachable } from './exit-status.ts';

const HOST = '127.0.0.1';
/** A folder, in that of the cluster, which is locked while a scenario runs. */
const RESERVED = 'chaos-run';
const ANSWER_MS = 3_000;
/** Until a node that is started again serves: it recovers what it has. */
const SERVES_MS = 30_000;
const LOOK_MS = 50;

/** What can be done without --chaos: what a signal does. */
const BY_SIGNAL: ReadonlySet<Fault['kind']> = new Set(['kill', 'pause']);

/** A cluster that `up` runs on this machine, as `odradek chaos` has hold of it. */
export class ChaosCluster implements Injector {
  readonly nodes: readonly NodePlan[];
  readonly #dataDir: string;
  readonly #token: string | undefined;
  readonly #whereabouts: Whereabouts;
  readonly #caller: Caller;

  private constructor(dataDir: string, { nodes, token }: ClusterFile) {
    this.nodes = nodes;
    this.#dataDir = dataDir;
    this.#token = token;
    this.#caller = new Caller({ clock: new NodeClock(), network: new NodeNetwork() }, 'odradek-chaos');
    this.#whereabouts = new Whereabouts(this.#caller, this.endpoints);
  }

  /** Rejects with Unreachable if there is none. */
  static async in(dataDir: string): Promise<ChaosCluster> {
    const isRunning = (await lockHolder(dataDir)) !== undefined;
    const file = isRunning ? readClusterFile(clusterFilePath(dataDir)) : undefined;
    if (file !== undefined) return new ChaosCluster(dataDir, file);
    throw new Unreachable(
      `no cluster of several brokers runs in ${dataDir}: \`odradek up --chaos\` starts one, --data-dir says where one is`,
    );
  }

  /** Where clients reach the nodes. */
  get endpoints(): readonly Endpoint[] {
    return this.nodes.map(({ port }) => ({ host: HOST, port }));
  }

  /** Throws UsageError for what there is not, and for what cannot be done to a cluster that was started without --chaos. */
  check(faults: readonly Fault[]): void {
    for (const fault of faults) {
      const problem = problemOf(fault, this.nodes);
      if (problem !== undefined) throw new UsageError(problem);
    }
    const kinds = faults.map(({ kind }) => kind).filter((kind) => !BY_SIGNAL.has(kind));
    if (this.#token !== undefined || kinds.length === 0) return;
    throw new UsageError(
      `${[...new Set(kinds)].join(', ')}: the cluster was started without --chaos, and only kill, pause and heal work then; start it with \`odradek up --chaos\``,
    );
  }

  /**
   * For one scenario at a time: in the end it heals everything, also what another one has done and is still to judge. Rejects with
   * Unreachable while another process has it; whoever dies gives it back.
   */
  async reserve(): Promise<AsyncDisposable> {
    const folder = join(this.#dataDir, RESERVED);
    await mkdir(folder, { recursive: true });
    const lock = await DirectoryLock.take(folder).catch((failure: { code?: string }) => {
      if (failure.code !== 'ELOCKED') throw failure;
      throw new Unreachable('another scenario runs on this cluster, which would be healed in the midst of it');
    });
    return {
      [Symbol.asyncDispose]: async () => {
        await lock.release();
        await rm(folder, { recursive: true, force: true });
      },
    };
  }

  /** Undoes what it has done if it cannot do all of it. */
  async inject(said: Fault, topic: string | undefined): Promise<Wound> {
    this.check([said]);
    const fault = await resolved(said, (target) => this.#find(target, topic));
    const blow = blowOf(fault, this.nodes);
    if (blow.error !== undefined) throw new UsageError(blow.error);
    for (const id of namedIn(fault)) {
      if ((await this.#pidOf(id)) === undefined)
        throw new Error(`node ${id} does not run: \`odradek chaos heal ${id}\` brings it back`);
    }
    const { orders, signals } = blow.value;
    const healing = healingOf(blow.value);
    try {
      await this.#orderAll(orders);
      await Promise.all([...signals].map(([id, signal]) => this.#signal(id, signal)));
    } catch (failure) {
      await this.#orderAll(healing).catch(() => {
        // The first failure says it: a node that does not answer.
      });
      throw failure;
    }
    const heal = async (): Promise<void> => {
      const struck = [...signals.keys()];
      await Promise.all(struck.map((id) => this.#revive(id)));
      await this.#orderAll(healing);
      await Promise.all(struck.map((id) => this.#serves(id)));
    };
    return { fault, heal };
  }

  async heal(id: number | undefined): Promise<readonly number[]> {
    if (id !== undefined) this.#node(id);
    const healed = id === undefined ? this.nodes.map((node) => node.id) : [id];
    await Promise.all(healed.map((one) => this.#revive(one)));
    if (this.#token !== undefined) {
      await Promise.all(healed.map((one) => this.#steer(one, { method: 'DELETE' })));
      if (id !== undefined) await this.#orderAll(forgivenessOf(id, this.nodes));
    }
    const serving = await Promise.all(healed.map((one) => this.#serves(one)));
    return healed.filter((_, index) => serving[index] === false);
  }

  close(): void {
    this.#caller.close();
  }

  async #find(target: NodeTarget, topic: string | undefined): Promise<number> {
    const found = await this.#whereabouts.find(target, topic);
    if (found.error !== undefined) throw new Unreachable(found.error);
    return found.value;
  }

  async #signal(id: number, signal: 'SIGKILL' | 'SIGSTOP'): Promise<void> {
    const pid = await this.#pidOf(id);
    if (signal === 'SIGKILL') hold(this.#dataDir, id);
    if (pid !== undefined) process.kill(pid, signal);
  }

  async #revive(id: number): Promise<void> {
    release(this.#dataDir, id);
    const pid = await this.#pidOf(id);
    if (pid !== undefined) process.kill(pid, 'SIGCONT');
  }

  /** Resolves when it serves clients, or does not for long: without a majority of the voters no node can. */
  async #serves(id: number): Promise<boolean> {
    const endsAt = performance.now() + SERVES_MS;
    while (!(await this.#isReady(id))) {
      if (performance.now() > endsAt) return false;
      await sleep(LOOK_MS);
    }
    return true;
  }

  async #isReady(id: number): Promise<boolean> {
    const answer = await this.#http(id, '/readyz', {});
    return answer?.ok === true;
  }

  async #orderAll(orders: ReadonlyMap<number, FaultOrders>): Promise<void> {
    await Promise.all(
      [...orders].map(([id, given]) => this.#steer(id, { method: 'POST', body: faultOrdersText(given) })),
    );
  }

  /** A node that does not run has no faults, and comes back without any. */
  async #steer(id: number, request: RequestInit): Promise<void> {
    if ((await this.#pidOf(id)) === undefined) return;
    const headers = { authorization: `Bearer ${this.#token}` };
    const answer = await this.#http(id, '/chaos', { ...request, headers });
    if (answer?.ok === true || (answer === undefined && (await this.#pidOf(id)) === undefined)) return;
    const why = answer === undefined ? 'it does not answer, as one that is paused' : (await answer.text()).trim();
    throw new Error(`node ${id} did not take the order: ${why}`);
  }

  /** Undefined: there was no answer in time. */
  async #http(id: number, path: string, request: RequestInit): Promise<Response | undefined> {
    const port = this.#node(id).httpPort;
    try {
      return await fetch(`http://${HOST}:${port}${path}`, { ...request, signal: AbortSignal.timeout(ANSWER_MS) });
    } catch {
      // Nobody listens, or nobody answers.
      return undefined;
    }
  }

  async #pidOf(id: number): Promise<number | undefined> {
    return await lockHolder(this.#node(id).dataDir);
  }

  #node(id: number): NodePlan {
    const node = this.nodes.find((one) => one.id === id);
    if (node === undefined) throw new UsageError(unknownNode(id, this.nodes));
    return node;
  }
}
