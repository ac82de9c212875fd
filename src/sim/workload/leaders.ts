import { at } from '#base/assert';
import type { Random } from '#base/ports';
import { METADATA } from './calls.ts';
import type { Connections } from './connections.ts';

export interface Leader {
  readonly node: string;
  readonly epoch: number;
}

const REQUEST_TIMEOUT_MS = 1000;

/** Who leads which partition, as one client has last heard; it never goes back to an earlier leader epoch (KIP-320). */
export class Leaders {
  readonly #connections: Connections;
  readonly #nodes: readonly string[];
  readonly #random: Random;
  readonly #known = new Map<string, Leader>();
  /** Of the epochs that were heard of, the latest. */
  readonly #epochs = new Map<string, number>();

  constructor(connections: Connections, nodes: readonly string[], random: Random) {
    this.#connections = connections;
    this.#nodes = nodes;
    this.#random = random;
  }

  of(topic: string, partition: number): Leader | undefined {
    return this.#known.get(`${topic}-${partition}`);
  }

  forget(topic: string, partition: number): void {
    this.#known.delete(`${topic}-${partition}`);
  }

  /** Asks any node. */
  async refresh(topic: string): Promise<void> {
    const node = at(this.#nodes, this.#random.uint32() % this.#nodes.length);
    const request = { topics: [{ name: topic }], allowAutoTopicCreation: false };
    const { response } = await this.#connections.ask(node, METADATA, request, REQUEST_TIMEOUT_MS);
    if (response === undefined) return;
    const hosts = new Map(response.brokers.map(({ nodeId, host }) => [nodeId, host]));
    for (const { partitionIndex, leaderId, leaderEpoch } of response.topics[0]?.partitions ?? []) {
      const key = `${topic}-${partitionIndex}`;
      const host = hosts.get(leaderId);
      if (host === undefined || leaderEpoch < (this.#epochs.get(key) ?? 0)) continue;
      this.#epochs.set(key, leaderEpoch);
      this.#known.set(key, { node: host, epoch: leaderEpoch });
    }
  }
}
