import { at } from '#base/assert';
import type { Ports, Random } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import type { Call } from '#protocol/calls';
import type { CoveragePoint } from '../coverage.ts';
import { KAFKA_PORT } from '../machine.ts';
import type { HistoryClient, Promised, WorkloadHistory } from './client-history.ts';
import { type Answer, KafkaClient } from './kafka-client.ts';
import type { ProducerIds } from './producer-ids.ts';

/** What the clients of one cluster have in common. */
export interface Workload {
  /** Hosts of the nodes. */
  readonly nodes: readonly string[];
  readonly replicationMax: number;
  readonly producerIds: ProducerIds;
  /** Of those that write records, read them, and belong to groups. */
  readonly history: WorkloadHistory;
  /** Everything committed, if the checkers can follow it. */
  reference(): MetadataImage | undefined;
  /** Whether faults are being injected. */
  isRough(): boolean;
  sometimes(point: CoveragePoint): void;
  say(who: string, what: string): void;
}

/** What a client does from its start until it is stopped. */
export interface ClientTask {
  readonly client: Client;
  /** Comes to an end soon after the client is stopped. */
  work(): Promise<void>;
}

/** A client on a host of its own, whatever it does there: its task, its pauses, and a connection to each node that it has asked. */
export class Client {
  readonly name: string;
  readonly ports: Ports;
  readonly random: Random;
  readonly workload: Workload;
  readonly #byNode = new Map<string, KafkaClient>();
  #isStopped = false;
  #idle: Promise<void> = Promise.resolve();

  constructor(name: string, ports: Ports, workload: Workload) {
    this.name = name;
    this.ports = ports;
    this.random = ports.random;
    this.workload = workload;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  start(task: ClientTask, fail: (error: Error) => void): void {
    this.#idle = task.work().catch(fail);
  }

  /** No further request; resolves when the last one has its answer, or will have none. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#idle;
    for (const connection of this.#byNode.values()) connection.close();
  }

  async ask<Q, R>(node: string, call: Call<Q, R>, value: Q, timeoutMs: number): Promise<Answer<R>> {
    let connection = this.#byNode.get(node);
    if (connection === undefined || connection.isClosed) {
      connection = KafkaClient.open(this.ports, { host: node, port: KAFKA_PORT });
      this.#byNode.set(node, connection);
    }
    return await connection.request(call, value, timeoutMs);
  }

  /** By lot. */
  anyNode(): string {
    const { nodes } = this.workload;
    return at(nodes, this.random.uint32() % nodes.length);
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.ports.clock.timer(() => resolve()).arm(ms);
    });
  }

  /** What it does, and is told, goes through there into the history of all clients; it may be promised different things in turn. */
  observed(promised: Promised): HistoryClient {
    return this.workload.history.client(this.name, promised);
  }

  say(what: string): void {
    this.workload.say(this.name, what);
  }
}

/** In their order. */
export function startAll(tasks: Iterable<ClientTask>, fail: (error: Error) => void): void {
  for (const task of tasks) task.client.start(task, fail);
}

export async function stopAll(tasks: Iterable<ClientTask>): Promise<void> {
  await Promise.all([...tasks].map(({ client }) => client.stop()));
}
