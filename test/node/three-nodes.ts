import { expect } from 'vitest';
import { FaultDisk, type FaultDiskOptions } from '#faults/fault-disk';
import { ErrorCode } from '#model/errors';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createCodecs } from '#platform/codecs';
import { NodeMetrics } from '#platform/metrics';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeFetchRequest } from '#protocol/generated/fetch-request';
import { readFetchResponse } from '#protocol/generated/fetch-response';
import { writeFindCoordinatorRequest } from '#protocol/generated/find-coordinator-request';
import { readFindCoordinatorResponse } from '#protocol/generated/find-coordinator-response';
import { writeOffsetCommitRequest } from '#protocol/generated/offset-commit-request';
import { readOffsetCommitResponse } from '#protocol/generated/offset-commit-response';
import type { MemoryDisk } from '#sim/ports/memory-disk';
import { SimWorld } from '#sim/ports/sim-world';
import { type Family, parsePrometheus } from '../http/prometheus-text.ts';
import { batchOfValues, produce } from '../support/produce.ts';
import { WireClient } from '../support/wire-client.ts';

const codecs = createCodecs();
export const RACKS = ['a', 'b', 'c'];

export type Scrape = ReadonlyMap<string, Family>;

/** Three nodes on three racks in a simulated world, and what they tell of themselves. */
export class ThreeNodes {
  readonly world = new SimWorld({ seed: 11, codecs });
  /** By node: what is done to the operations of its disk; a test may set it. */
  readonly strikes = new Map<number, FaultDiskOptions['strike']>();
  readonly #memories: readonly MemoryDisk[];
  readonly #disks = new Map<number, FaultDisk>();
  readonly #nodes = new Map<number, Node>();
  readonly #metrics = new Map<number, NodeMetrics>();
  readonly #clients = new Map<number, WireClient>();
  #lives = 0;

  readonly #isSmall: boolean;

  /** `diskBytes`: of each node's disk. Such disks lose nothing at a kill: what is not synced would not count as taken. */
  constructor(diskBytes?: readonly number[]) {
    this.#memories = RACKS.map((rack, place) => this.world.disk(rack, diskBytes?.[place]));
    this.#isSmall = diskBytes !== undefined;
  }

  async start(ids: readonly number[], config: Readonly<Record<string, string>> = {}): Promise<void> {
    const starting = ids.map((id) => this.#start(id, config));
    await this.world.complete(Promise.all(starting));
  }

  async #start(id: number, config: Readonly<Record<string, string>>): Promise<void> {
    const parsed = parseBrokerConfig(
      new Map(
        Object.entries({
          'node.id': String(id),
          'broker.rack': RACKS[id - 1] ?? '',
          listeners: `PLAINTEXT://n${id}:9092`,
          'peer.listener': `n${id}:9093`,
          'controller.quorum.voters': RACKS.map((_, place) => `${place + 1}@n${place + 1}:9093`).join(),
          'cluster.target.size': '3',
          'offsets.topic.num.partitions': '1',
          ...config,
        }),
      ),
    );
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    const memory = this.#memories[id - 1];
    if (memory === undefined) throw new Error(`no disk of ${id}`);
    const disk = new FaultDisk(this.world.clock, memory, {
      ignoreSync: false,
      strike: (operation, path) => this.strikes.get(id)?.(operation, path),
    });
    if (!this.#isSmall) this.#disks.set(id, disk);
    const metrics = new NodeMetrics({ process: false });
    const node = new Node(
      { ...this.world.ports(`n${id}`, { disks: [this.#isSmall ? memory : disk] }), metrics },
      parsed,
    );
    this.#metrics.set(id, metrics);
    this.#nodes.set(id, node);
    await node.start();
  }

  async stop(): Promise<void> {
    await this.world.complete(Promise.all([...this.#nodes.values()].map((node) => node.stop())));
  }

  /** Its machine loses power. */
  async kill(id: number): Promise<void> {
    this.world.kill(`n${id}`);
    const crashed = this.#disks.get(id)?.crash(this.world.random);
    if (crashed !== undefined) await this.world.complete(crashed);
    this.#nodes.delete(id);
    this.#clients.delete(id);
  }

  node(id: number): Node {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`node ${id} is down`);
    return node;
  }

  runFor(ms: number): Promise<void> {
    return this.world.run(this.world.clock.now() + ms);
  }

  async scrape(id: number): Promise<Scrape> {
    return parsePrometheus((await this.#metrics.get(id)?.text()) ?? '');
  }

  client(id: number): WireClient {
    let client = this.#clients.get(id);
    if (client === undefined) {
      this.#lives += 1;
      const { network } = this.world.ports(`client-${this.#lives}`, { disks: [] });
      client = WireClient.open(network, { host: `n${id}`, port: 9092 });
      this.#clients.set(id, client);
    }
    return client;
  }

  leaderOf(topic: string, partition: number): number {
    for (const node of this.#nodes.values()) {
      const leader = node.view()?.image.partition(topic, partition)?.leader;
      if (leader !== undefined && leader !== null) return leader;
    }
    throw new Error(`nobody leads ${topic}-${partition}`);
  }

  async createTopic(
    name: string,
    assignments: readonly (readonly number[])[],
    configs: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const topic = {
      name,
      numPartitions: -1,
      replicationFactor: -1,
      assignments: assignments.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
      configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
    };
    const answer = await this.world.complete(
      this.client(1).request(
        ApiKey.CreateTopics,
        7,
        { topics: [topic], timeoutMs: 10_000 },
        writeCreateTopicsRequest,
        readCreateTopicsResponse,
      ),
    );
    expect(answer.topics[0]?.errorCode).toBe(0);
    await this.runFor(1000);
  }

  async produce(topic: string, index: number, count: number): Promise<void> {
    expect(await this.tryProduce(topic, index, count)).toBe(ErrorCode.None);
  }

  /** To whoever leads; gives the answer's error. */
  async tryProduce(topic: string, index: number, count: number, value = 'v'): Promise<ErrorCode> {
    const leader = this.client(this.leaderOf(topic, index));
    const batch = batchOfValues(new Array(count).fill(value));
    const answer = await this.world.complete(produce(leader, { topic, partition: index }, batch));
    return answer?.errorCode as ErrorCode;
  }

  /** Gives how many bytes of record batches there are to read. */
  async fetch(topic: string, partition: number): Promise<number> {
    const request = {
      maxWaitMs: 0,
      minBytes: 1,
      topics: [{ topic, partitions: [{ partition, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }],
      forgottenTopicsData: [],
    };
    const leader = this.client(this.leaderOf(topic, partition));
    const answer = await this.world.complete(
      leader.request(ApiKey.Fetch, 12, request, writeFetchRequest, readFetchResponse),
    );
    const [found] = answer.responses[0]?.partitions ?? [];
    expect(found?.errorCode).toBe(ErrorCode.None);
    return Buffer.concat(found?.records ?? []).length;
  }

  /** Commits, as somebody outside of any generation, and tells which node coordinates the group. */
  async commit(
    groupId: string,
    topic: string,
    partitions: readonly number[],
    committedOffset: number,
  ): Promise<number> {
    for (;;) {
      const found = await this.world.complete(
        this.client(1).request(
          ApiKey.FindCoordinator,
          3,
          { key: groupId, keyType: 0 },
          writeFindCoordinatorRequest,
          readFindCoordinatorResponse,
        ),
      );
      await this.runFor(500);
      if (found.errorCode !== 0) continue;
      const of = partitions.map((partitionIndex) => ({ partitionIndex, committedOffset, committedMetadata: '' }));
      const request = { groupId, memberId: '', topics: [{ name: topic, partitions: of }] };
      const answer = await this.world.complete(
        this.client(found.nodeId).request(
          ApiKey.OffsetCommit,
          8,
          request,
          writeOffsetCommitRequest,
          readOffsetCommitResponse,
        ),
      );
      if (answer.topics[0]?.partitions.every(({ errorCode }) => errorCode === 0)) return found.nodeId;
    }
  }
}
