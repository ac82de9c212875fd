import type { Clock, Endpoint } from '#base/ports';
import { METADATA } from '#protocol/calls';
import { Caller, type CallerPorts } from './caller.ts';
import { pause } from './pause.ts';

export interface Leader extends Endpoint {
  readonly id: number;
  readonly epoch: number;
}

/** From one question to the next, to each node. */
const ASK_EVERY_MS = 100;
const ANSWER_MS = 1_000;

/**
 * Who leads the partitions of one topic: every node is asked over and over, and the latest leader epoch that any of them has told counts
 * (KIP-320). So whoever goes by it waits for the cluster, and for no time-out of its own.
 */
export class Leaders {
  readonly #clock: Clock;
  readonly #caller: Caller;
  readonly #topic: string;
  readonly #known = new Map<number, Leader>();
  #isClosed = false;
  #told = Promise.withResolvers<void>();

  constructor(ports: CallerPorts, clientId: string, topic: string, nodes: readonly Endpoint[]) {
    this.#clock = ports.clock;
    this.#caller = new Caller(ports, clientId);
    this.#topic = topic;
    for (const node of nodes) void this.#follow(node);
  }

  of(partition: number): Leader | undefined {
    return this.#known.get(partition);
  }

  /** Resolves when some node has answered again, or has not in time; and at the close. */
  told(): Promise<void> {
    return this.#told.promise;
  }

  /** Resolves when the partition has another leader than this one, or leader epoch; or at the close. */
  async succeeded(partition: number, leader: Leader): Promise<void> {
    while (!this.#isClosed && (this.#known.get(partition)?.epoch ?? 0) <= leader.epoch) await this.told();
  }

  close(): void {
    this.#isClosed = true;
    this.#caller.close();
    this.#tell();
  }

  async #follow(node: Endpoint): Promise<void> {
    const request = { topics: [{ name: this.#topic }], allowAutoTopicCreation: false };
    while (!this.#isClosed) {
      const answer = await this.#caller.call(node, METADATA, request, ANSWER_MS);
      const brokers = new Map(answer?.brokers.map((broker) => [broker.nodeId, broker]));
      for (const { partitionIndex, leaderId, leaderEpoch } of answer?.topics[0]?.partitions ?? []) {
        const broker = brokers.get(leaderId);
        if (broker === undefined || leaderEpoch < (this.#known.get(partitionIndex)?.epoch ?? 0)) continue;
        this.#known.set(partitionIndex, { id: leaderId, host: broker.host, port: broker.port, epoch: leaderEpoch });
      }
      this.#tell();
      await pause(this.#clock, ASK_EVERY_MS);
    }
  }

  #tell(): void {
    const { resolve } = this.#told;
    this.#told = Promise.withResolvers();
    resolve();
  }
}
