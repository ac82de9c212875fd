import { METADATA } from '#protocol/calls';
import type { Client } from './client.ts';

export interface Leader {
  readonly node: string;
  readonly epoch: number;
}

const REQUEST_TIMEOUT_MS = 1000;

/** Who leads which partition, as one client has last heard; it never goes back to an earlier leader epoch (KIP-320). */
export class Leaders {
  readonly #client: Client;
  readonly #known = new Map<string, Leader>();
  /** Of the epochs that were heard of, the latest. */
  readonly #epochs = new Map<string, number>();

  constructor(client: Client) {
    this.#client = client;
  }

  of(topic: string, partition: number): Leader | undefined {
    return this.#known.get(`${topic}-${partition}`);
  }

  forget(topic: string, partition: number): void {
    this.#known.delete(`${topic}-${partition}`);
  }

  /** Asks any node. */
  async refresh(topic: string): Promise<void> {
    const node = this.#client.anyNode();
    const request = { topics: [{ name: topic }], allowAutoTopicCreation: false };
    const { response } = await this.#client.ask(node, METADATA, request, REQUEST_TIMEOUT_MS);
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
