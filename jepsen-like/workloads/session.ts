import { at } from '#base/assert';
import type { Endpoint } from '#base/ports';
import type { Key } from '#history/format';
import { NodeNetwork } from '#platform/node-network';
import type { Call } from '#protocol/calls';
import { METADATA } from '#protocol/calls';
import { WireClient } from '../../test/support/wire-client.ts';

/** Who leads a partition, as one client has last heard. */
export interface Leader {
  readonly at: Endpoint;
  readonly epoch: number;
}

const ANSWER_MS = 2_000;
const network = new NodeNetwork();

/** One client's connections, and its view of the leaders; it never goes back to an earlier leader epoch (KIP-320). */
export class Session {
  readonly #bootstrap: readonly Endpoint[];
  readonly #connections = new Map<string, WireClient>();
  readonly #leaders = new Map<Key, Leader>();
  readonly #epochs = new Map<Key, number>();
  #turn: number;

  /** `turn` chooses whom of the bootstrap nodes it asks first. */
  constructor(bootstrap: readonly Endpoint[], turn: number) {
    this.#bootstrap = bootstrap;
    this.#turn = turn;
  }

  /** Rejects if the connection breaks, or no answer comes in time; then the connection is closed. */
  async ask<Q, A>(to: Endpoint, call: Call<Q, A>, value: Q): Promise<A> {
    const name = `${to.host}:${to.port}`;
    let connection = this.#connections.get(name);
    if (connection === undefined || connection.closedBy !== undefined) {
      connection = WireClient.open(network, to);
      this.#connections.set(name, connection);
    }
    const limit = setTimeout(() => {
      connection.close();
      this.#connections.delete(name);
    }, ANSWER_MS);
    try {
      return await connection.request(call.apiKey, call.version, value, call.write, call.read);
    } finally {
      clearTimeout(limit);
    }
  }

  /** Another node each time. */
  any(): Endpoint {
    this.#turn += 1;
    return at(this.#bootstrap, this.#turn % this.#bootstrap.length);
  }

  /** Asks any node if nobody is known; undefined if that tells of none. */
  async leader(topic: string, partition: number): Promise<Leader | undefined> {
    const key = `${topic}-${partition}`;
    if (!this.#leaders.has(key)) await this.#refresh(topic).catch(() => undefined);
    return this.#leaders.get(key);
  }

  forget(topic: string, partition: number): void {
    this.#leaders.delete(`${topic}-${partition}`);
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
  }

  async #refresh(topic: string): Promise<void> {
    const request = { topics: [{ name: topic }], allowAutoTopicCreation: false };
    const { brokers, topics } = await this.ask(this.any(), METADATA, request);
    const places = new Map(brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
    for (const { partitionIndex, leaderId, leaderEpoch } of topics[0]?.partitions ?? []) {
      const key = `${topic}-${partitionIndex}`;
      const place = places.get(leaderId);
      if (place === undefined || leaderEpoch < (this.#epochs.get(key) ?? 0)) continue;
      this.#epochs.set(key, leaderEpoch);
      this.#leaders.set(key, { at: place, epoch: leaderEpoch });
    }
  }
}
