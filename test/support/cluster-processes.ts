import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { type ClusterView, clusterSeenAt, quorumSeenAt } from './fresh-client.ts';
import { type NodeOptions, OdradekProcess } from './odradek-process.ts';
import { until } from './process.ts';

export interface ClusterOptions {
  /** Has the nodes' folders, which stay when they stop. */
  readonly folder: string;
  /** Their ids are 1 and up; the first `voters` of them vote, all unless given. */
  readonly brokers: number;
  readonly voters?: number;
  /** Given out in turn. */
  readonly racks?: readonly string[];
  /** Broker configuration of every node. */
  readonly settings?: Readonly<Record<string, string>>;
  /** What to run, see NodeOptions. */
  readonly main?: readonly string[];
}

/** Between the death of a node and all that follows from it; generous, for machines with more to do. */
const SETTLE_MS = 30_000;

/** A cluster of real processes, each of which can be killed, paused and started again on its folder and ports. */
export class ClusterProcesses {
  readonly options: readonly Required<Omit<NodeOptions, 'main'>>[];
  readonly #main: readonly string[] | undefined;
  /** By id; a dead one stays, for its log. */
  readonly #nodes = new Map<number, OdradekProcess>();
  readonly #paused = new Set<number>();

  private constructor(options: readonly Required<Omit<NodeOptions, 'main'>>[], main: readonly string[] | undefined) {
    this.options = options;
    this.#main = main;
  }

  /** Resolves when all are registered; rejects with their logs if that does not come about. */
  static async start(options: ClusterOptions): Promise<ClusterProcesses> {
    const cluster = await ClusterProcesses.prepare(options);
    for (const id of cluster.ids) cluster.spawn(id);
    try {
      await cluster.allRegistered();
    } catch (failure) {
      const logs = cluster.ids.map((id) => `node ${id}:\n${cluster.log(id)}`).join('\n');
      await cluster.killAll();
      throw new Error(`${(failure as Error).message}\n${logs}`, { cause: failure });
    }
    return cluster;
  }

  /** Chooses ports and starts nothing. */
  static async prepare({ folder, brokers, voters, racks, settings, main }: ClusterOptions): Promise<ClusterProcesses> {
    const taken = new Set<number>();
    const anotherPort = async (): Promise<number> => {
      for (;;) {
        const port = await freePort();
        if (taken.has(port)) continue;
        taken.add(port);
        return port;
      }
    };
    const peerPorts: number[] = [];
    for (let id = 1; id <= brokers; id += 1) peerPorts.push(await anotherPort());
    const voterCount = voters ?? brokers;
    const votersText = peerPorts.slice(0, voterCount).map((port, index) => `${index + 1}@127.0.0.1:${port}`);
    const options: Required<Omit<NodeOptions, 'main'>>[] = [];
    for (const [index, peerPort] of peerPorts.entries()) {
      const rack = racks?.[index % racks.length];
      options.push({
        port: await anotherPort(),
        httpPort: await anotherPort(),
        dataDir: join(folder, `node-${index + 1}`),
        settings: {
          'node.id': String(index + 1),
          'peer.listener': `127.0.0.1:${peerPort}`,
          'controller.quorum.voters': votersText.join(','),
          'process.roles': index < voterCount ? 'broker,controller' : 'broker',
          ...(rack === undefined ? {} : { 'broker.rack': rack }),
          ...settings,
        },
      });
    }
    return new ClusterProcesses(options, main);
  }

  get ids(): readonly number[] {
    return this.options.map((_, index) => index + 1);
  }

  /** Those whose process is there, paused or not. */
  get running(): readonly number[] {
    return this.ids.filter((id) => this.#nodes.get(id)?.hasEnded === false);
  }

  /** Those that can answer. */
  get awake(): readonly number[] {
    return this.running.filter((id) => !this.#paused.has(id));
  }

  get bootstrap(): string {
    return this.options.map(({ port }) => `127.0.0.1:${port}`).join(',');
  }

  optionsOf(id: number): Required<Omit<NodeOptions, 'main'>> {
    const options = this.options[id - 1];
    if (options === undefined) throw new Error(`there is no node ${id}`);
    return options;
  }

  portOf(id: number): number {
    return this.optionsOf(id).port;
  }

  /** The node's current or last process. */
  node(id: number): OdradekProcess {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`node ${id} has not been started`);
    return node;
  }

  log(id: number): string {
    return this.#nodes.get(id)?.log ?? '';
  }

  /** Started, not waited for; `settings` stand above the node's own. */
  spawn(id: number, settings: Readonly<Record<string, string>> = {}): OdradekProcess {
    const options = this.optionsOf(id);
    const main = this.#main === undefined ? {} : { main: this.#main };
    const node = OdradekProcess.spawn({ ...options, settings: { ...options.settings, ...settings }, ...main });
    this.#nodes.set(id, node);
    this.#paused.delete(id);
    return node;
  }

  /** SIGKILL. */
  async kill(id: number): Promise<void> {
    await this.node(id).kill();
    this.#paused.delete(id);
  }

  async killAll(): Promise<void> {
    await Promise.all(this.running.map((id) => this.kill(id)));
  }

  /** SIGTERM; the exit status, null if it had to be killed. */
  async stop(id: number): Promise<number | null> {
    return await this.node(id).stop();
  }

  /** SIGSTOP. */
  pause(id: number): void {
    this.node(id).signal('SIGSTOP');
    this.#paused.add(id);
  }

  /** SIGCONT. */
  resume(id: number): void {
    this.node(id).signal('SIGCONT');
    this.#paused.delete(id);
  }

  /** SIGTERM, and again on its folder; resolves when it serves. */
  async restart(id: number): Promise<void> {
    const status = await this.stop(id);
    if (status !== 0) throw new Error(`node ${id} ended with ${status}:\n${this.log(id)}`);
    await this.spawn(id).ready();
  }

  async seenAt(id: number): Promise<ClusterView | undefined> {
    return await clusterSeenAt(this.portOf(id));
  }

  /** Resolves when every running node serves and knows all of them, and nobody else, as brokers. */
  async allRegistered(timeoutMs: number = SETTLE_MS): Promise<void> {
    const expected = this.running.join();
    await until(`nodes ${expected} registered`, timeoutMs, async () => {
      for (const id of this.running) {
        const node = this.node(id);
        if (node.hasEnded) throw new Error(`node ${id} has ended`);
        if (!(await node.isReady())) return undefined;
        const view = await this.seenAt(id);
        if (view?.brokers.map((broker) => broker.id).join() !== expected) return undefined;
      }
      return true;
    });
  }

  /** Resolves to the controller that all nodes that are awake name, once it is one of them. */
  async controller(timeoutMs: number = SETTLE_MS): Promise<number> {
    return await until('a controller that all know', timeoutMs, async () => {
      const views = await Promise.all(this.awake.map((id) => this.seenAt(id)));
      const [first, ...others] = views.map((view) => view?.controllerId);
      const isAwake = first !== undefined && this.awake.includes(first);
      return isAwake && others.every((id) => id === first) ? first : undefined;
    });
  }

  /** The controller that one node names; throws if it names none. */
  async controllerSeenAt(id: number): Promise<number> {
    const controllerId = (await this.seenAt(id))?.controllerId ?? -1;
    if (controllerId < 0) throw new Error(`node ${id} knows no controller`);
    return controllerId;
  }

  /** The disk with which `id` votes, once all voters that the node at `witness` knows keep up; undefined before, or if it votes with none. */
  async votingDisk(id: number, witness: number): Promise<string | undefined> {
    const quorum = await quorumSeenAt(this.portOf(witness));
    return quorum?.voters.every(({ lag }) => lag === 0)
      ? quorum.voters.find((voter) => voter.id === id)?.directoryId
      : undefined;
  }

  /** Resolves when a line of this node's log has it. */
  async logged(id: number, pattern: RegExp, timeoutMs: number = SETTLE_MS): Promise<void> {
    await until(`${pattern} in the log of node ${id}`, timeoutMs, () =>
      pattern.test(this.log(id)) ? true : undefined,
    ).catch((failure: Error) => {
      throw new Error(`${failure.message}\n${this.log(id)}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAll();
  }
}
