import { afterEach, describe, expect, it } from 'vitest';
import { FaultDisk } from '#faults/fault-disk';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createCodecs } from '#platform/codecs';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeDeleteTopicsRequest } from '#protocol/generated/delete-topics-request';
import { readDeleteTopicsResponse } from '#protocol/generated/delete-topics-response';
import { writeFetchRequest } from '#protocol/generated/fetch-request';
import { readFetchResponse } from '#protocol/generated/fetch-response';
import { writeIncrementalAlterConfigsRequest } from '#protocol/generated/incremental-alter-configs-request';
import { readIncrementalAlterConfigsResponse } from '#protocol/generated/incremental-alter-configs-response';
import { writeInitProducerIdRequest } from '#protocol/generated/init-producer-id-request';
import { readInitProducerIdResponse } from '#protocol/generated/init-producer-id-response';
import { writeMetadataRequest } from '#protocol/generated/metadata-request';
import { readMetadataResponse } from '#protocol/generated/metadata-response';
import { readBatchHeader } from '#protocol/record-batch';
import { iterateRecords } from '#protocol/records';
import { SimWorld } from '#sim/ports/sim-world';
import { batchOfValues, produce } from '../support/produce.ts';
import { WireClient } from '../support/wire-client.ts';

const codecs = createCodecs();
const PORT = 9092;

/** One node over simulated ports, which can lose its power. */
class OneNode {
  readonly world: SimWorld;
  readonly #memory;
  #disk: FaultDisk | undefined;
  #node: Node | undefined;
  #client: WireClient | undefined;
  #lives = 0;

  constructor(seed: number) {
    this.world = new SimWorld({ seed, codecs });
    this.#memory = this.world.disk('d');
  }

  async start(config: Record<string, string> = {}): Promise<void> {
    this.#lives += 1;
    this.#disk = new FaultDisk(this.world.clock, this.#memory, { ignoreSync: false });
    const ports = this.world.ports('n', { disks: [this.#disk] });
    const entries = new Map(
      Object.entries({ listeners: `PLAINTEXT://n:${PORT}`, 'group.initial.rebalance.delay.ms': '0', ...config }),
    );
    const parsed = parseBrokerConfig(entries);
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    this.#node = new Node(ports, parsed);
    await this.world.complete(this.#node.start());
    const clientPorts = this.world.ports(`client-${this.#lives}`, { disks: [] });
    this.#client = WireClient.open(clientPorts.network, { host: 'n', port: PORT });
  }

  async stop(): Promise<void> {
    if (this.#node !== undefined) await this.world.complete(this.#node.stop());
    this.world.kill('n');
  }

  /** The power goes: what was not synced is lost or torn. */
  async losePower(): Promise<void> {
    this.world.kill('n');
    if (this.#disk !== undefined) await this.world.complete(this.#disk.crash(this.world.random));
  }

  get client(): WireClient {
    if (this.#client === undefined) throw new Error('not started');
    return this.#client;
  }

  /** Sent; the answer comes when the world goes on. */
  ask<Q, A>(...args: Parameters<typeof WireClient.prototype.request<Q, A>>): Promise<A> {
    return this.client.request(...args);
  }

  request<Q, A>(...args: Parameters<typeof WireClient.prototype.request<Q, A>>): Promise<A> {
    return this.world.complete(this.ask(...args));
  }

  async createTopic(name: string, partitions = 1, configs: Record<string, string> = {}) {
    const topic = {
      name,
      numPartitions: partitions,
      replicationFactor: 1,
      assignments: [],
      configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
    };
    const answer = await this.request(
      ApiKey.CreateTopics,
      7,
      { topics: [topic] },
      writeCreateTopicsRequest,
      readCreateTopicsResponse,
    );
    return answer.topics[0];
  }

  async produce(
    topic: string,
    values: readonly string[],
    producer?: { id: number; epoch: number; sequence: number },
    acks = -1,
  ) {
    const identity = producer && {
      producerId: producer.id,
      producerEpoch: producer.epoch,
      baseSequence: producer.sequence,
    };
    const target = { topic, acks, timeoutMs: 30_000 };
    return await this.world.complete(produce(this.client, target, batchOfValues(values, identity)));
  }

  /** Of all brokers. */
  async configure(name: string, value: string): Promise<void> {
    const resources = [{ resourceType: 4, resourceName: '', configs: [{ name, configOperation: 0, value }] }];
    const answer = await this.request(
      ApiKey.IncrementalAlterConfigs,
      1,
      { resources, validateOnly: false },
      writeIncrementalAlterConfigsRequest,
      readIncrementalAlterConfigsResponse,
    );
    expect(answer.responses[0]?.errorCode).toBe(ErrorCode.None);
  }

  async pass(ms: number): Promise<void> {
    await this.world.run(this.world.clock.now() + ms);
  }

  askFetch(topic: string, fetchOffset: number, maxWaitMs: number) {
    const request = {
      maxWaitMs,
      minBytes: 1,
      topics: [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1 << 20 }] }],
      forgottenTopicsData: [],
    };
    return this.ask(ApiKey.Fetch, 12, request, writeFetchRequest, readFetchResponse);
  }

  async fetch(topic: string, fetchOffset: number) {
    const answer = await this.world.complete(this.askFetch(topic, fetchOffset, 0));
    return answer.responses[0]?.partitions[0];
  }

  async values(topic: string): Promise<string[]> {
    const all: string[] = [];
    for (;;) {
      const answer = await this.fetch(topic, all.length);
      expect(answer?.errorCode).toBe(ErrorCode.None);
      const before = all.length;
      const bytes = Buffer.concat(answer?.records ?? []);
      for (let at = 0; at < bytes.length; ) {
        const header = readBatchHeader(bytes, at);
        if (typeof header === 'string') throw new Error(header);
        const records = iterateRecords(bytes, header, codecs, 1 << 20);
        if (typeof records === 'string') throw new Error(records);
        for (const { value } of records) all.push(Buffer.from(value ?? []).toString());
        at += header.sizeBytes;
      }
      if (all.length === before) return all;
    }
  }
}

let nodes: OneNode[] = [];
function oneNode(seed = 1): OneNode {
  const node = new OneNode(seed);
  nodes.push(node);
  return node;
}
afterEach(() => {
  nodes = [];
});

describe('a node over simulated ports', () => {
  it('keeps every acknowledged record and its topic through a power cut, for any seed', async () => {
    for (let seed = 1; seed <= 12; seed += 1) {
      const node = oneNode(seed);
      await node.start();
      expect((await node.createTopic('t'))?.errorCode).toBe(ErrorCode.None);
      const sent: string[] = [];
      for (let round = 0; round < 5; round += 1) {
        const values = [`${round}-a`, `${round}-b`];
        expect(await node.produce('t', values)).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 2 * round });
        sent.push(...values);
        if (round % 2 === 1) {
          await node.losePower();
          await node.start();
        }
      }
      expect(await node.values('t')).toEqual(sent);
    }
  });

  it('recognises a duplicate of an idempotent producer after a power cut, and gives its first offset', async () => {
    const node = oneNode();
    await node.start();
    await node.createTopic('t');
    const init = { transactionalId: null, transactionTimeoutMs: 0 };
    const producer = await node.request(
      ApiKey.InitProducerId,
      4,
      init,
      writeInitProducerIdRequest,
      readInitProducerIdResponse,
    );
    const at = (sequence: number) => ({ id: producer.producerId, epoch: producer.producerEpoch, sequence });
    await node.produce('t', ['a', 'b'], at(0));
    await node.produce('t', ['c'], at(2));
    await node.losePower();
    await node.start();
    expect(await node.produce('t', ['c'], at(2))).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 2 });
    expect(await node.produce('t', ['e'], at(4))).toMatchObject({ errorCode: ErrorCode.OutOfOrderSequenceNumber });
    expect(await node.produce('t', ['d'], at(3))).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 3 });
    expect(await node.values('t')).toEqual(['a', 'b', 'c', 'd']);
  });

  it('forgets idle producers after producer.id.expiration.ms as it was set at run time, also after a restart', async () => {
    const node = oneNode();
    const config = { 'log.retention.check.interval.ms': '5000', 'producer.id.expiration.ms': '60000' };
    await node.start(config);
    await node.createTopic('t', 1, { 'message.timestamp.type': 'LogAppendTime' });
    const producer = { id: 5, epoch: 0, sequence: 0 };
    const again = () => node.produce('t', ['a'], producer);
    expect(await again()).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 0 });
    await node.configure('producer.id.expiration.ms', '300000');
    await node.pass(120_000);
    expect(await again()).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 0 });
    await node.stop();
    await node.start(config);
    await node.pass(10_000);
    expect(await again()).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 0 });
    await node.configure('producer.id.expiration.ms', '30000');
    await node.pass(10_000);
    expect(await again()).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 1 });
  });

  it('never gives a producer id twice, whatever crashes between', async () => {
    const node = oneNode(3);
    const given = new Set<number>();
    for (let life = 0; life < 4; life += 1) {
      await node.start();
      for (let turn = 0; turn < 3; turn += 1) {
        const init = { transactionalId: null, transactionTimeoutMs: 0 };
        const { producerId } = await node.request(
          ApiKey.InitProducerId,
          4,
          init,
          writeInitProducerIdRequest,
          readInitProducerIdResponse,
        );
        expect(given.has(producerId)).toBe(false);
        given.add(producerId);
      }
      await node.losePower();
    }
  });

  it('wakes a waiting fetch when a record is durable', async () => {
    const node = oneNode();
    await node.start();
    await node.createTopic('t');
    const waiting = node.askFetch('t', 0, 10_000);
    const before = node.world.clock.now();
    await node.world.complete(anotherClient(node).produceOne('t', 'x'));
    const answer = await node.world.complete(waiting);
    expect(answer.responses[0]?.partitions[0]?.highWatermark).toBe(1);
    expect(node.world.clock.now() - before).toBeLessThan(5000);
  });

  it('leads no epoch that an earlier process led', async () => {
    const node = oneNode();
    await node.start();
    await node.createTopic('t');
    const epochs: (number | undefined)[] = [];
    for (let life = 0; life < 3; life += 1) {
      const ask = { topics: [{ name: 't' }] };
      const metadata = await node.request(ApiKey.Metadata, 9, ask, writeMetadataRequest, readMetadataResponse);
      epochs.push(metadata.topics[0]?.partitions[0]?.leaderEpoch);
      if (life === 1) await node.stop();
      else await node.losePower();
      await node.start();
    }
    expect(new Set(epochs).size).toBe(3);
  });

  it('serves nothing of a deleted topic under the same name', async () => {
    const node = oneNode();
    await node.start();
    const first = await node.createTopic('t');
    await node.produce('t', ['old']);
    const remove = { topics: [{ name: 't', topicId: ZERO_UUID }], timeoutMs: 1000 };
    await node.request(ApiKey.DeleteTopics, 6, remove, writeDeleteTopicsRequest, readDeleteTopicsResponse);
    const second = await node.createTopic('t');
    expect(second?.topicId).not.toBe(first?.topicId);
    expect(await node.values('t')).toEqual([]);
    await node.losePower();
    await node.start();
    expect(await node.values('t')).toEqual([]);
  });
});

/** A second client of the same node: the first one's connection is busy with its waiting fetch. */
function anotherClient(node: OneNode) {
  const ports = node.world.ports('another-client', { disks: [] });
  const client = WireClient.open(ports.network, { host: 'n', port: PORT });
  return {
    produceOne: (topic: string, value: string) => produce(client, { topic, timeoutMs: 1000 }, batchOfValues([value])),
  };
}
