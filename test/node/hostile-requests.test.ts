/** Requests that no proper client sends, each of which has once ended, stopped or starved a node. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Codec, type Metrics } from '#base/ports';
import { FaultDisk, type FaultDiskOptions } from '#faults/fault-disk';
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
import { writeMetadataRequest } from '#protocol/generated/metadata-request';
import { readMetadataResponse } from '#protocol/generated/metadata-response';
import { writeProduceRequest } from '#protocol/generated/produce-request';
import { readProduceResponse } from '#protocol/generated/produce-response';
import { writeRequestHeader } from '#protocol/headers';
import { buildBatch } from '#protocol/record-batch-builder';
import { Writer } from '#protocol/writer';
import { SimWorld } from '#sim/ports/sim-world';
import { WireClient } from '../support/wire-client.ts';

const codecs = createCodecs();
const AT = { host: 'n', port: 9092 };
/** As long as a name on the wire can be, of bytes that are no UTF-8: decoded it needs three times as many. */
const UNWRITABLE = '\u{1}'.repeat(32_767);

let world: SimWorld;
let node: Node;
let clients = 0;
let memoryBytes: () => number;
/** What happens to operations on the second data directory. */
let strike: FaultDiskOptions['strike'];

async function start(config: Record<string, string> = {}): Promise<void> {
  world = new SimWorld({ seed: 1, codecs });
  const entries = { listeners: 'PLAINTEXT://n:9092', 'group.initial.rebalance.delay.ms': '0', ...config };
  const parsed = parseBrokerConfig(new Map(Object.entries(entries)));
  if ('errors' in parsed) throw new Error(parsed.errors.join());
  strike = undefined;
  const second = new FaultDisk(world.clock, world.disk('second'), {
    ignoreSync: false,
    strike: (operation, path) => strike?.(operation, path),
  });
  const ports = world.ports('n', { disks: [world.disk('first'), second] });
  const series: Metrics['series'] = (name, _help, _type, rows) => {
    if (name === 'odradek_request_memory_bytes') memoryBytes = () => [...rows()][0]?.[1] ?? Number.NaN;
  };
  node = new Node({ ...ports, metrics: { ...ports.metrics, series } }, parsed);
  await world.complete(node.start());
}

function client(): WireClient {
  clients += 1;
  return WireClient.open(world.ports(`client-${clients}`, { disks: [] }).network, AT);
}

function createTopic(via: WireClient, name: string, config: Record<string, string> = {}) {
  const configs = Object.entries(config).map(([key, value]) => ({ name: key, value }));
  const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs };
  const request = { topics: [topic] };
  return world.complete(
    via.request(ApiKey.CreateTopics, 7, request, writeCreateTopicsRequest, readCreateTopicsResponse),
  );
}

function records(value = 'v'): Uint8Array[] {
  const record = { timestamp: 1000, key: null, value: Buffer.from(value) };
  return [buildBatch({ baseOffset: 0, leaderEpoch: -1, records: [record] }, codecs)];
}

function produce(via: WireClient, topics: readonly string[], timeoutMs = 1000, batch = records()) {
  const topicData = topics.map((name) => ({ name, partitionData: [{ index: 0, records: batch }] }));
  const request = { transactionalId: null, acks: -1, timeoutMs, topicData };
  return via.request(ApiKey.Produce, 9, request, writeProduceRequest, readProduceResponse);
}

function fetchOf(topics: readonly string[], maxWaitMs: number, minBytes = 1) {
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }];
  return { maxWaitMs, minBytes, topics: topics.map((topic) => ({ topic, partitions })), forgottenTopicsData: [] };
}

function fetch(via: WireClient, topics: readonly string[], maxWaitMs: number, minBytes = 1) {
  return via.request(ApiKey.Fetch, 11, fetchOf(topics, maxWaitMs, minBytes), writeFetchRequest, readFetchResponse);
}

/** Names that do not survive decoding: sent as they are, U+0001 stands for a byte that is no UTF-8. */
function damaged(apiKey: number, version: number, write: (writer: Writer) => void): Uint8Array[] {
  const writer = new Writer();
  writer.int32(0);
  writeRequestHeader(writer, { apiKey, apiVersion: version, correlationId: 1, clientId: 'hostile' });
  write(writer);
  writer.patchInt32(0, writer.sizeBytes - 4);
  const bytes = Buffer.concat(writer.chunks());
  for (let at = bytes.indexOf('\u{1}'.repeat(8)); at >= 0 && bytes[at] === 1; at += 1) bytes[at] = 0xff;
  return [bytes];
}

beforeEach(() => start());
afterEach(() => world.complete(node.stop()));

describe('a node', () => {
  it('survives a Produce whose answer cannot be written, though it comes when the records are durable', async () => {
    const good = client();
    await createTopic(good, 't');
    const request = {
      transactionalId: null,
      acks: -1,
      timeoutMs: 1000,
      topicData: ['t', UNWRITABLE].map((name) => ({ name, partitionData: [{ index: 0, records: records() }] })),
    };
    const hostile = client();
    const answered = hostile.send(damaged(ApiKey.Produce, 9, (writer) => writeProduceRequest(writer, request, 9)));
    await expect(world.complete(answered)).rejects.toThrow('connection closed');
    const { responses } = await world.complete(produce(good, ['t']));
    expect(responses[0]?.partitionResponses[0]).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 1 });
  });

  it('answers a Metadata request of version 10 that names topics by id with INVALID_REQUEST', async () => {
    const via = client();
    const id = 'AAAAAAAAAAAAAAAAAAAAAQ' as typeof ZERO_UUID;
    for (const topic of [
      { topicId: id, name: null },
      { topicId: ZERO_UUID, name: null },
    ]) {
      const request = { topics: [topic], allowAutoTopicCreation: false };
      const answer = await world.complete(
        via.request(ApiKey.Metadata, 10, request, writeMetadataRequest, readMetadataResponse),
      );
      expect(answer.topics[0]).toMatchObject({ errorCode: ErrorCode.InvalidRequest, name: '' });
    }
  });

  it('gives back the memory of a long poll whose client has gone', async () => {
    await world.complete(node.stop());
    await start({ 'request.memory.bytes': String(1 << 20) });
    const good = client();
    await createTopic(good, 't');
    const dead = client();
    const ballast = Array.from({ length: 40 }, () => ({ topic: 'x'.repeat(30_000), partitions: [0] }));
    const request = { ...fetchOf(['t'], 0x7fff_ffff), forgottenTopicsData: ballast };
    const polling = dead.request(ApiKey.Fetch, 11, request, writeFetchRequest, readFetchResponse);
    polling.catch(() => {});
    await world.run(world.clock.now() + 1000);
    dead.close();
    const { responses } = await world.complete(fetch(good, ['t'], 0));
    expect(responses[0]?.partitions[0]?.errorCode).toBe(ErrorCode.None);
    expect(world.clock.now()).toBeLessThan(60_000);
  });

  it('serves others beside a request that is announced and never comes, and gives its memory back', async () => {
    await world.complete(node.stop());
    await start({ 'request.memory.bytes': String(1 << 20) });
    const good = client();
    await createTopic(good, 't');
    const silent = client();
    const never = silent.send([Buffer.from([4, 0, 0, 0, 0, 3])]);
    never.catch(() => {});
    await world.run(world.clock.now() + 100);
    const before = world.clock.now();
    await world.complete(fetch(good, ['t'], 0));
    expect(world.clock.now() - before).toBeLessThan(1_000);
    expect(memoryBytes()).toBeGreaterThan(0);
    await world.run(world.clock.now() + 35_000);
    expect(memoryBytes()).toBe(0);
    await expect(never).rejects.toThrow('connection closed');
  });

  it('holds the memory of a Produce that has timed out until its records are durable', async () => {
    const via = client();
    await createTopic(via, 'on-the-first');
    await createTopic(via, 'on-the-second');
    strike = (operation) => (operation === 'sync' ? { delayMs: 500 } : undefined);
    expect(memoryBytes()).toBe(0);
    const { responses } = await world.complete(produce(via, ['on-the-second'], 0));
    expect(responses[0]?.partitionResponses[0]?.errorCode).toBe(ErrorCode.RequestTimedOut);
    expect(memoryBytes()).toBeGreaterThan(0);
    await world.run(world.clock.now() + 5000);
    expect(memoryBytes()).toBe(0);
  });

  it('refuses a batch that max.message.bytes forbids once it is in the codec of its topic', async () => {
    const via = client();
    await createTopic(via, 't', { 'compression.type': 'uncompressed', 'max.message.bytes': '2000' });
    const value = Buffer.alloc(100_000);
    const bomb = { baseOffset: 0, leaderEpoch: -1, codec: Codec.Gzip, records: [{ timestamp: 1, key: null, value }] };
    const batch = buildBatch(bomb, codecs);
    if (batch === 'unavailable') throw new Error('gzip comes with Node');
    expect(batch.length).toBeLessThan(2000);
    const { responses } = await world.complete(produce(via, ['t'], 1000, [batch]));
    expect(responses[0]?.partitionResponses[0]?.errorCode).toBe(ErrorCode.MessageTooLarge);
  });

  it('serves nothing of a deleted topic under the same name, though its directory went offline', async () => {
    const via = client();
    await createTopic(via, 'on-the-first');
    await createTopic(via, 't');
    const produced = await world.complete(produce(via, ['t']));
    expect(produced.responses[0]?.partitionResponses[0]?.errorCode).toBe(ErrorCode.None);
    strike = (operation) => (operation === 'write' ? { fail: 'EIO' } : undefined);
    const failed = await world.complete(produce(via, ['t']));
    expect(failed.responses[0]?.partitionResponses[0]?.errorCode).toBe(ErrorCode.KafkaStorageError);
    const remove = { topicNames: ['t'], timeoutMs: 1000 };
    await world.complete(
      via.request(ApiKey.DeleteTopics, 5, remove, writeDeleteTopicsRequest, readDeleteTopicsResponse),
    );
    expect((await createTopic(via, 't')).topics[0]?.errorCode).toBe(ErrorCode.None);
    const { responses } = await world.complete(fetch(via, ['t'], 0));
    expect(responses[0]?.partitions[0]).toMatchObject({ errorCode: ErrorCode.None, highWatermark: 0 });
    const again = await world.complete(produce(via, ['t']));
    expect(again.responses[0]?.partitionResponses[0]).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 0 });
  });

  it('refuses a DeleteTopics that names one topic 200,000 times as fast as any other', async () => {
    const via = client();
    await createTopic(via, 't');
    const request = { topicNames: Array.from({ length: 200_000 }, () => 't'), timeoutMs: 1000 };
    const { responses } = await world.complete(
      via.request(ApiKey.DeleteTopics, 5, request, writeDeleteTopicsRequest, readDeleteTopicsResponse),
    );
    expect(new Set(responses.map(({ errorCode }) => errorCode))).toEqual(new Set([ErrorCode.InvalidRequest]));
  });

  it('refuses an IncrementalAlterConfigs of 200,000 keys as fast as any other', async () => {
    const via = client();
    await createTopic(via, 't');
    const configs = Array.from({ length: 200_000 }, (_, key) => ({ name: `k${key}`, configOperation: 0, value: '1' }));
    const request = { resources: [{ resourceType: 2, resourceName: 't', configs }], validateOnly: false };
    const { responses } = await world.complete(
      via.request(
        ApiKey.IncrementalAlterConfigs,
        1,
        request,
        writeIncrementalAlterConfigsRequest,
        readIncrementalAlterConfigsResponse,
      ),
    );
    expect(responses[0]?.errorCode).toBe(ErrorCode.InvalidConfig);
  });

  it('that is stopped while it starts has stopped when it says so', async () => {
    await world.complete(node.stop());
    world = new SimWorld({ seed: 2, codecs });
    const parsed = parseBrokerConfig(new Map([['listeners', 'PLAINTEXT://n:9092']]));
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    node = new Node(world.ports('n', { disks: [world.disk('d')] }), parsed);
    const starting = expect(node.start()).rejects.toThrow('was stopped while it was starting');
    await world.complete(node.stop());
    await starting;
    const refused = client();
    await expect(world.complete(fetch(refused, ['t'], 0))).rejects.toThrow('refused');
  });
});
