/** What a node answers to requests that are wrong, through its whole stack: the right code, or a closed connection and one log line. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Codec, type Logger } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { uuid, ZERO_UUID } from '#model/ids';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createCodecs } from '#platform/codecs';
import { readApiVersionsResponse } from '#protocol/generated/api-versions-response';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeFetchRequest } from '#protocol/generated/fetch-request';
import { readFetchResponse } from '#protocol/generated/fetch-response';
import { writeMetadataRequest } from '#protocol/generated/metadata-request';
import { readMetadataResponse } from '#protocol/generated/metadata-response';
import { writeProduceRequest } from '#protocol/generated/produce-request';
import { readProduceResponse } from '#protocol/generated/produce-response';
import { writeRequestHeader } from '#protocol/headers';
import { Reader } from '#protocol/reader';
import { buildBatch, type NewBatch } from '#protocol/record-batch-builder';
import { Writer } from '#protocol/writer';
import { SimWorld } from '#sim/ports/sim-world';
import { WireClient } from '../support/wire-client.ts';

const codecs = createCodecs();
const AT = { host: 'n', port: 9092 };
const UNKNOWN_ID = uuid('kafkaIsNotATopicIdAAAA');

let world: SimWorld;
let node: Node;
let client: WireClient;
let warnings: string[];
let clientCount = 0;

beforeEach(() => start());
afterEach(() => world.complete(node.stop()));

async function start(config: Readonly<Record<string, string>> = {}): Promise<void> {
  warnings = [];
  const quiet = () => {};
  const logger: Logger = { debug: quiet, info: quiet, error: quiet, warn: (_, message) => warnings.push(message) };
  world = new SimWorld({ seed: 1, codecs, logger });
  const entries = { listeners: 'PLAINTEXT://n:9092', 'socket.request.max.bytes': '100000', ...config };
  const parsed = parseBrokerConfig(new Map(Object.entries(entries)));
  if ('errors' in parsed) throw new Error(parsed.errors.join());
  node = new Node(world.ports('n', { disks: [world.disk('d')] }), parsed);
  await world.complete(node.start());
  client = open();
}

async function restart(config: Readonly<Record<string, string>>): Promise<void> {
  await world.complete(node.stop());
  await start(config);
}

/** A client of its own host. */
function open(host = `client-${++clientCount}`): WireClient {
  return WireClient.open(world.ports(host, { disks: [] }).network, AT);
}

async function createTopic(name = 't', configs: Readonly<Record<string, string>> = {}) {
  const pairs = Object.entries(configs).map(([key, value]) => ({ name: key, value }));
  const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: pairs };
  const created = await world.complete(
    client.request(ApiKey.CreateTopics, 7, { topics: [topic] }, writeCreateTopicsRequest, readCreateTopicsResponse),
  );
  expect(created.topics[0]?.errorCode).toBe(ErrorCode.None);
  return created.topics[0]?.topicId ?? ZERO_UUID;
}

function batch(given: Partial<NewBatch> = {}): Uint8Array {
  const records = [{ timestamp: 1000, key: null, value: Buffer.from('value') }];
  const built = buildBatch({ baseOffset: 0, leaderEpoch: -1, records, ...given }, codecs);
  if (built === 'unavailable') throw new Error('the codec is not installed');
  return built;
}

/** With other bytes at a place, and a CRC that fits. */
function altered(bytes: Uint8Array, at: number, ...values: readonly number[]): Uint8Array {
  const copy = Buffer.from(bytes);
  copy.set(values, at);
  copy.writeUInt32BE(codecs.crc32c(copy.subarray(21)), 17);
  return copy;
}

function produceRequest(records: Uint8Array, acks: number, topic = 't') {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records: [Buffer.from(records)] }] }];
  return { transactionalId: null, acks, timeoutMs: 10_000, topicData };
}

async function produce(records: Uint8Array, acks = -1, topic = 't') {
  const request = produceRequest(records, acks, topic);
  const answer = await world.complete(
    client.request(ApiKey.Produce, 9, request, writeProduceRequest, readProduceResponse),
  );
  return answer.responses[0]?.partitionResponses[0];
}

function frame(apiKey: number, apiVersion: number, correlationId: number, body: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  writer.int32(0);
  writeRequestHeader(writer, { apiKey, apiVersion, correlationId, clientId: 'bad' });
  body(writer);
  writer.patchInt32(0, writer.sizeBytes - 4);
  return Buffer.concat(writer.chunks());
}

const nothing = () => {};

/** The request closes its connection with one log line, and the node goes on with others. */
async function expectClosed(bytes: Uint8Array, reason: RegExp): Promise<void> {
  const bad = open();
  const answer = bad.send([bytes]);
  await expect(world.complete(answer)).rejects.toThrow('connection closed');
  expect(warnings).toEqual([expect.stringMatching(reason)]);
  expect((await metadata([])).brokers).toHaveLength(1);
}

function metadata(names: readonly string[]) {
  const request = { topics: names.map((name) => ({ name })), allowAutoTopicCreation: true };
  return world.complete(client.request(ApiKey.Metadata, 9, request, writeMetadataRequest, readMetadataResponse));
}

describe('a connection is closed with one log line, and the node goes on, after', () => {
  test('a frame beyond socket.request.max.bytes', () =>
    expectClosed(Buffer.from([0, 1, 0x86, 0xa1]), /a request of 100001 bytes/));
  test('a negative length', () => expectClosed(Buffer.from([0xff, 0xff, 0xff, 0xff]), /a request of -1 bytes/));
  test('a length too small for a header', () => expectClosed(Buffer.from([0, 0, 0, 7]), /a request of 7 bytes/));
  test('an api key that Kafka does not have', () => expectClosed(frame(4711, 0, 1, nothing), /api key 4711/));
  test('an api that is not served', () => expectClosed(frame(ApiKey.Vote, 0, 1, nothing), /api key 52/));
  test.each([-1, 14, 1000])('version %i of Metadata', (version) =>
    expectClosed(frame(ApiKey.Metadata, version, 1, nothing), /of api 3 is not served \(0 to 13 are\)/),
  );
  test('a body that ends too early', () => expectClosed(frame(ApiKey.Metadata, 9, 1, nothing), /cannot be read/));
  test('an array longer than its request', () =>
    expectClosed(
      frame(ApiKey.Metadata, 1, 1, (writer) => writer.int32(0x7fff_ffff)),
      /an array of 2147483647 elements/,
    ));
  test('a refused Produce with acks=0, whose client could not learn of it otherwise', async () => {
    const missing = produceRequest(batch(), 0, 'missing');
    await expectClosed(
      frame(ApiKey.Produce, 9, 1, (writer) => writeProduceRequest(writer, missing, 9)),
      /acks=0/,
    );
  });
});

describe('ApiVersions', () => {
  test.each([5, 99, -1])(
    'of the unknown version %i is answered in version 0 with error 35 and the list',
    async (version) => {
      const body = await world.complete(client.send([frame(ApiKey.ApiVersions, version, 77, nothing)]));
      const reader = new Reader(body);
      expect(reader.int32()).toBe(77);
      const answer = readApiVersionsResponse(reader, 0);
      expect(reader.remaining).toBe(0);
      expect(answer.errorCode).toBe(ErrorCode.UnsupportedVersion);
      const offered = new Map(
        answer.apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, [minVersion, maxVersion]]),
      );
      expect(offered.get(ApiKey.ApiVersions)).toEqual([0, 4]);
      expect(offered.get(ApiKey.Produce)).toEqual([0, 13]);
      expect(warnings).toEqual([]);
    },
  );
});

describe('Produce', () => {
  test.each([0, 1, 2])('of version %i is answered UNSUPPORTED_VERSION in the layout of its time', async (version) => {
    await createTopic();
    const request = frame(ApiKey.Produce, version, 5, (writer) => {
      writer.int16(-1); // acks
      writer.int32(1000); // timeout
      writer.int32(1);
      writer.string('t', false);
      writer.int32(1);
      writer.int32(0); // partition
      writer.nullableBytes(batch(), false);
    });
    const reader = new Reader(await world.complete(client.send([request])));
    expect([reader.int32(), reader.int32(), reader.string(false), reader.int32()]).toEqual([5, 1, 't', 1]);
    expect([reader.int32(), reader.int16(), reader.int64()]).toEqual([0, ErrorCode.UnsupportedVersion, -1]);
    if (version >= 2) expect(reader.int64()).toBe(-1);
    if (version >= 1) expect(reader.int32()).toBe(0);
    expect(reader.remaining).toBe(0);
    expect(await produce(batch())).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 0 });
  });

  const MAGIC = 16;
  const CRC = 17;
  const ATTRIBUTES = 22;
  const LAST_OFFSET_DELTA = 26;
  const RECORD_COUNT = 57;
  const CONTROL = 0x20;
  const TRANSACTIONAL = 0x10;
  const farFuture = Date.UTC(2300, 0);
  const future = [{ timestamp: farFuture, key: null, value: null }];
  const brokenCrc = Buffer.from(batch());
  brokenCrc.writeUInt32BE(1, CRC);
  test.each<readonly [string, Uint8Array, ErrorCode]>([
    ['a broken CRC', brokenCrc, ErrorCode.CorruptMessage],
    ['magic 1', altered(batch(), MAGIC, 1), ErrorCode.InvalidRecord],
    ['magic 3', altered(batch(), MAGIC, 3), ErrorCode.CorruptMessage],
    ['half a batch', batch().subarray(0, 50), ErrorCode.InvalidRecord],
    ['no bytes', new Uint8Array(0), ErrorCode.InvalidRecord],
    ['two batches', Buffer.concat([batch(), batch()]), ErrorCode.InvalidRecord],
    ['a control batch', altered(batch(), ATTRIBUTES, CONTROL), ErrorCode.InvalidRecord],
    [
      'a transaction of nobody who is named',
      altered(batch({ producerId: 5, producerEpoch: 0, baseSequence: 0 }), ATTRIBUTES, TRANSACTIONAL),
      ErrorCode.TransactionalIdAuthorizationFailed,
    ],
    ['a transaction without a producer', altered(batch(), ATTRIBUTES, TRANSACTIONAL), ErrorCode.InvalidRecord],
    ['an offset delta that does not fit its count', altered(batch(), LAST_OFFSET_DELTA, 5), ErrorCode.InvalidRecord],
    [
      'more records claimed than there are',
      altered(altered(batch(), RECORD_COUNT, 2), LAST_OFFSET_DELTA, 1),
      ErrorCode.InvalidRecord,
    ],
    [
      'a batch beyond max.message.bytes',
      batch({ records: [{ timestamp: 0, key: null, value: Buffer.alloc(1000) }] }),
      ErrorCode.MessageTooLarge,
    ],
    ['a timestamp out of range', batch({ records: future }), ErrorCode.InvalidTimestamp],
    [
      'a timestamp out of range in a compressed batch',
      batch({ records: future, codec: Codec.Gzip }),
      ErrorCode.InvalidTimestamp,
    ],
    [
      'a timestamp in nanoseconds',
      batch({ records: [{ timestamp: farFuture * 1e6, key: null, value: null }] }),
      ErrorCode.InvalidTimestamp,
    ],
  ])('of %s is refused with its code, and nothing of it is written', async (_what, bytes, code) => {
    await createTopic('t', { 'max.message.bytes': '500' });
    expect(await produce(bytes)).toMatchObject({ errorCode: code, baseOffset: -1 });
    expect(await produce(batch())).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 0 });
    expect(warnings).toEqual([]);
  });

  test.each([2, -2, 32_767])('with acks=%i is refused with INVALID_REQUIRED_ACKS', async (acks) => {
    await createTopic();
    expect(await produce(batch(), acks)).toMatchObject({ errorCode: ErrorCode.InvalidRequiredAcks, baseOffset: -1 });
    expect(await produce(batch())).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 0 });
  });

  test('with acks=0 gets no answer, and is written', async () => {
    await createTopic();
    const silent = produceRequest(batch(), 0);
    const first = client.send([frame(ApiKey.Produce, 9, 1, (writer) => writeProduceRequest(writer, silent, 9))]);
    void client.send([frame(ApiKey.ApiVersions, 0, 2, nothing)]).catch(nothing);
    expect(new Reader(await world.complete(first)).int32()).toBe(2);
    client.close();
    client = open();
    expect(await produce(batch())).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 1 });
  });

  test('to an internal topic is refused', async () => {
    await createTopic('__consumer_offsets');
    expect(await produce(batch(), -1, '__consumer_offsets')).toMatchObject({
      errorCode: ErrorCode.InvalidTopicException,
    });
  });
});

describe('Metadata', () => {
  test.each(['a b', '.', '..', 'ä', 'x'.repeat(250), ''])(
    'does not create %j, which is no topic name',
    async (name) => {
      const answer = await metadata([name]);
      expect(answer.topics).toMatchObject([{ name, errorCode: ErrorCode.InvalidTopicException }]);
      await world.run(world.clock.now() + 1000);
      const all = { topics: null };
      const known = await world.complete(
        client.request(ApiKey.Metadata, 9, all, writeMetadataRequest, readMetadataResponse),
      );
      expect(known.topics).toEqual([]);
    },
  );

  test('creates a good name behind its answer, once', async () => {
    expect((await metadata(['good', 'good'])).topics[0]?.errorCode).toBe(ErrorCode.UnknownTopicOrPartition);
    await world.run(world.clock.now() + 1000);
    expect((await metadata(['good'])).topics).toMatchObject([{ name: 'good', errorCode: ErrorCode.None }]);
    expect(warnings).toEqual([]);
  });
});

describe('Fetch', () => {
  async function fetch(version: number, topics: Parameters<typeof writeFetchRequest>[1]['topics'], maxBytes = 1 << 20) {
    const request = { maxWaitMs: 0, minBytes: 1, maxBytes, topics, forgottenTopicsData: [] };
    const answer = await world.complete(
      client.request(ApiKey.Fetch, version, request, writeFetchRequest, readFetchResponse),
    );
    return answer;
  }
  const from = (fetchOffset: number, partitionMaxBytes = 1 << 20) => [{ partition: 0, fetchOffset, partitionMaxBytes }];

  test('of an unknown topic id tells so for its partitions, and serves the others', async () => {
    const topicId = await createTopic();
    await produce(batch());
    const topics = [
      { topicId: UNKNOWN_ID, partitions: from(0) },
      { topicId, partitions: from(0) },
    ];
    const answer = await fetch(13, topics);
    expect(answer.errorCode).toBe(ErrorCode.None);
    const byId = new Map(answer.responses.map((topic) => [topic.topicId, topic.partitions[0]]));
    expect(byId.get(UNKNOWN_ID)).toMatchObject({ errorCode: ErrorCode.UnknownTopicId });
    expect(byId.get(topicId)).toMatchObject({ errorCode: ErrorCode.None, highWatermark: 1 });
    expect(Buffer.concat(byId.get(topicId)?.records ?? []).length).toBe(batch().length);
  });

  test('returns a first batch that is larger than all limits, and no second', async () => {
    await createTopic();
    await produce(batch());
    await produce(batch());
    const answer = await fetch(12, [{ topic: 't', partitions: from(0, 1) }], 1);
    expect(Buffer.concat(answer.responses[0]?.partitions[0]?.records ?? []).length).toBe(batch().length);
  });

  test.each([2, 2 ** 40, -1])(
    'from offset %i, which is outside of the log, answers OFFSET_OUT_OF_RANGE',
    async (at) => {
      await createTopic();
      await produce(batch());
      const answer = await fetch(12, [{ topic: 't', partitions: from(at) }]);
      expect(answer.responses[0]?.partitions[0]).toMatchObject({ errorCode: ErrorCode.OffsetOutOfRange });
    },
  );

  test('at the end of the log answers nothing, without an error', async () => {
    await createTopic();
    await produce(batch());
    const answer = await fetch(12, [{ topic: 't', partitions: from(1) }]);
    expect(answer.responses[0]?.partitions[0]).toMatchObject({ errorCode: ErrorCode.None, highWatermark: 1 });
    expect(Buffer.concat(answer.responses[0]?.partitions[0]?.records ?? []).length).toBe(0);
  });
});

describe('connections', () => {
  test('are ended, and not reset, when nothing was asked for connections.max.idle.ms, and not before', async () => {
    await restart({ 'connections.max.idle.ms': '20000' });
    const idle = open();
    for (let turn = 0; turn < 6; turn += 1) {
      await metadata([]);
      expect(idle.closedBy).toBeUndefined();
      await world.run(world.clock.now() + 3000);
    }
    await world.run(world.clock.now() + 10_000);
    expect(idle.closedBy).toBe('end');
    expect(client.closedBy).toBeUndefined();
    expect(warnings).toEqual([]);
  });

  test('beyond max.connections are refused, and taken again when there is room', async () => {
    await restart({ 'max.connections': '2' });
    const second = open();
    await metadata([]);
    const third = open();
    await world.run(world.clock.now() + 100);
    expect([client.closedBy, second.closedBy, third.closedBy]).toEqual([undefined, undefined, 'reset']);
    expect(warnings).toEqual(['connection refused: too many are open']);
    second.close();
    await world.run(world.clock.now() + 100);
    const fourth = open();
    await world.run(world.clock.now() + 100);
    expect(fourth.closedBy).toBeUndefined();
  });

  test('beyond max.connections.per.ip are refused, and those of others taken', async () => {
    await restart({ 'max.connections.per.ip': '2' });
    const { network } = world.ports('crowd', { disks: [] });
    const crowd = [1, 2, 3].map(() => WireClient.open(network, AT));
    const other = open();
    await world.run(world.clock.now() + 100);
    expect(crowd.filter(({ closedBy }) => closedBy === 'reset')).toHaveLength(1);
    expect(other.closedBy).toBeUndefined();
  });
});
