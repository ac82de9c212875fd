/** Damaged requests over a real socket: whatever comes, the node goes on. */
import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ErrorCode } from '#model/errors';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createNodePorts } from '#platform/node-ports';
import { decodeMessage } from '#protocol/codec';
import { writeApiVersionsRequest } from '#protocol/generated/api-versions-request';
import { readApiVersionsResponse } from '#protocol/generated/api-versions-response';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeFetchRequest } from '#protocol/generated/fetch-request';
import { readFetchResponse } from '#protocol/generated/fetch-response';
import { findApi, readResponseHeader } from '#protocol/headers';
import { offeredVersions } from '#protocol/offered-apis';
import { ProtocolError } from '#protocol/protocol-error';
import { Reader } from '#protocol/reader';
import { batchOfValues, produce } from '../support/produce.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { WireClient } from '../support/wire-client.ts';
import { type FuzzedRequest, fuzzedRequest, mutated, withOddValues } from './fuzz-mutations.ts';
import { arbitraryRequests, type BaseRequest, frameOf, meaningfulRequests } from './fuzz-requests.ts';

const SEED = 20261123;
const BATCHES = 60;
const CONNECTIONS = 24;
const REQUESTS_PER_CONNECTION = 4;
/** A connection whose last frame is not whole, or that waits in a group, is given up after this. */
const QUIET_MS = 100;
/** Beyond what the budgets below allow there is only garbage not yet collected. */
const RESIDENT_GROWTH_MAX = 384 << 20;

const RETRY_MS = 20;
const MARKER_ID = 0x7fff_ffff;
const LENGTH_BYTES = 4;

const folder = temporaryFolder('fuzz');
const fatal: Error[] = [];
const refusals: string[] = [];
const quiet = () => {};

let node: Node;
let ports: Awaited<ReturnType<typeof createNodePorts>>;
let good: WireClient;
let meaningful: BaseRequest[];
const arbitrary = arbitraryRequests();
let produced = 0;

beforeAll(async () => {
  ports = await createNodePorts({
    dataDirs: [folder.path],
    logger: { debug: quiet, info: quiet, error: quiet, warn: (_fields, message) => refusals.push(message) },
    ownsProcess: false,
    poolThreads: 4,
    isUrgent: () => false,
    fatal: (error) => {
      fatal.push(error);
      throw error;
    },
  });
  const config = {
    listeners: 'PLAINTEXT://127.0.0.1:0',
    'group.initial.rebalance.delay.ms': '0',
    'request.memory.bytes': String(16 << 20),
    'log.tail.cache.bytes': String(8 << 20),
    'socket.request.max.bytes': String(1 << 20),
  };
  const parsed = parseBrokerConfig(new Map(Object.entries({ 'peer.listener': '127.0.0.1:0', ...config })));
  if ('errors' in parsed) throw new Error(parsed.errors.join());
  node = new Node(ports, parsed);
  await node.start();
  good = openClient();
  const topics = ['good', 'fuzz'].map((name) => ({
    name,
    numPartitions: 1,
    replicationFactor: 1,
    assignments: [],
    configs: [],
  }));
  const created = await good.request(
    ApiKey.CreateTopics,
    7,
    { topics },
    writeCreateTopicsRequest,
    readCreateTopicsResponse,
  );
  meaningful = meaningfulRequests({ name: 'fuzz', id: created.topics[1]?.topicId ?? '' });
});

afterAll(async () => {
  good?.close();
  await node?.stop();
  folder[Symbol.dispose]();
});

function address() {
  const [listener] = node.listeners;
  if (listener === undefined) throw new Error('the node does not listen');
  return { host: listener.host, port: listener.port };
}

function openClient(): WireClient {
  return WireClient.open(ports.network, address());
}

/** ApiVersions, Produce and Fetch on a connection that stays open all the time. */
async function goodRoundTrip(): Promise<void> {
  const client = { clientSoftwareName: 'good', clientSoftwareVersion: '1' };
  const versions = await good.request(ApiKey.ApiVersions, 4, client, writeApiVersionsRequest, readApiVersionsResponse);
  expect(versions.errorCode).toBe(ErrorCode.None);
  const answer = await onceItLeads(
    () => produce(good, { topic: 'good' }, batchOfValues(['good'])),
    (answer) => answer?.errorCode,
  );
  expect(answer).toMatchObject({ errorCode: ErrorCode.None, baseOffset: produced });
  const partitions = [{ partition: 0, fetchOffset: produced, partitionMaxBytes: 1 << 20 }];
  const fetch = { maxWaitMs: 0, minBytes: 1, topics: [{ topic: 'good', partitions }], forgottenTopicsData: [] };
  const fetched = await onceItLeads(
    () => good.request(ApiKey.Fetch, 12, fetch, writeFetchRequest, readFetchResponse),
    ({ responses }) => responses[0]?.partitions[0]?.errorCode,
  );
  produced += 1;
  const read = fetched.responses[0]?.partitions[0];
  expect(read).toMatchObject({ errorCode: ErrorCode.None, highWatermark: produced });
  expect(Buffer.concat(read?.records ?? []).length).toBe(batchOfValues(['good']).length);
}

/** A sound request among the damaged ones may unregister this very node: it registers again, and until then leads nothing. */
async function onceItLeads<A>(ask: () => Promise<A>, errorOf: (answer: A) => number | undefined): Promise<A> {
  for (;;) {
    const answer = await ask();
    if (errorOf(answer) !== ErrorCode.NotLeaderOrFollower) return answer;
    await setTimeout(RETRY_MS);
  }
}

interface Sent {
  readonly apiKey: number;
  readonly version: number;
  readonly correlationId: number;
}

/** Cuts a stream by its length prefixes, up to the first that is no good. */
function framesOf(stream: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + LENGTH_BYTES <= stream.length; ) {
    const size = stream.readInt32BE(at);
    if (size < 0 || at + LENGTH_BYTES + size > stream.length) break;
    frames.push(stream.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + size));
    at += LENGTH_BYTES + size;
  }
  return frames;
}

/** Throws unless the answer is one to `sent`, in the version that it was asked in. */
function decodeAnswer(answer: Buffer, { apiKey, version }: Sent): void {
  const name = findApi(apiKey)?.name;
  const offered = offeredVersions(apiKey);
  if (name === undefined || offered === undefined) throw new Error(`api ${apiKey} was answered`);
  const inRange = version >= offered.min && version <= offered.max;
  if (!inRange && apiKey !== ApiKey.ApiVersions) throw new Error(`version ${version} of ${name} was answered`);
  const answered = inRange ? version : 0;
  const reader = new Reader(answer);
  readResponseHeader(reader, apiKey, answered);
  const body = answer.subarray(reader.position);
  if (apiKey === ApiKey.Produce && answered < 3) return;
  decodeMessage(`${name}Response`, answered, body);
}

function baseOf({ base, oddValues }: FuzzedRequest): Buffer {
  const bases = base % 4 === 0 ? arbitrary : meaningful;
  const request = bases[base % bases.length] as BaseRequest;
  try {
    return frameOf({ ...request, json: withOddValues(request.json, oddValues) });
  } catch (failure) {
    // An odd value that the field cannot hold.
    if (!(failure instanceof ProtocolError)) throw failure;
    return frameOf(request);
  }
}

/** Sends the damaged frames and a good request behind them; every answer must be one to what was sent, in order. */
function attack(requests: readonly FuzzedRequest[]): Promise<void> {
  const frames = requests.map((request, index) => mutated(baseOf(request), index + 1, request.mutations));
  const marker = Buffer.from([0, 0, 0, 10, 0, ApiKey.ApiVersions, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]);
  const stream = Buffer.concat([...frames, marker]);
  const sent: Sent[] = framesOf(stream)
    .filter((frame) => frame.length >= 8)
    .map((frame) => ({
      apiKey: frame.readInt16BE(0),
      version: frame.readInt16BE(2),
      correlationId: frame.readInt32BE(4),
    }));
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    let next = 0;
    const { host, port } = address();
    const socket = connect(port, host);
    const settle = (failure?: unknown): void => {
      socket.destroy();
      if (failure === undefined) resolve();
      else reject(new Error(`after ${JSON.stringify(sent)} from ${stream.toString('hex')}`, { cause: failure }));
    };
    socket.setTimeout(QUIET_MS, () => settle());
    socket.on('error', () => settle());
    socket.on('close', () => settle());
    socket.on('connect', () => socket.write(stream));
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      try {
        for (const answer of framesOf(received)) {
          received = received.subarray(LENGTH_BYTES + answer.length);
          const correlationId = answer.readInt32BE(0);
          // Not every request has an answer (acks=0), but those that come are in order.
          const place = sent.findIndex((request, index) => index >= next && request.correlationId === correlationId);
          if (place < 0) throw new Error(`an answer to ${correlationId}, which was not asked`);
          next = place + 1;
          decodeAnswer(answer, sent[place] as Sent);
          if (correlationId === MARKER_ID) return settle();
        }
      } catch (failure) {
        settle(failure);
      }
    });
  });
}

describe('a node under damaged requests', { timeout: 60_000 }, () => {
  test('answers every request of its own in every version that it offers', async () => {
    const { host, port } = address();
    for (const frame of meaningful.map(frameOf)) {
      const [request] = framesOf(frame);
      if (request === undefined) throw new Error('no whole frame');
      const sent = { apiKey: request.readInt16BE(0), version: request.readInt16BE(2), correlationId: 0 };
      const answer = await new Promise<Buffer>((resolve, reject) => {
        const socket = connect(port, host, () => socket.write(frame));
        let received = Buffer.alloc(0);
        socket.on('data', (bytes: Buffer) => {
          received = Buffer.concat([received, bytes]);
          const [whole] = framesOf(received);
          if (whole === undefined) return;
          socket.destroy();
          resolve(whole);
        });
        socket.on('error', reject);
        socket.on('close', () => reject(new Error(`closed on ${JSON.stringify(sent)}: ${refusals.at(-1)}`)));
      });
      decodeAnswer(answer, sent);
    }
    await goodRoundTrip();
  });

  test('goes on serving others, answers only what can be decoded, and keeps its memory', async () => {
    await goodRoundTrip();
    const residentBefore = process.memoryUsage.rss();
    const connections = fc.array(fc.array(fuzzedRequest, { minLength: 1, maxLength: REQUESTS_PER_CONNECTION }), {
      minLength: CONNECTIONS,
      maxLength: CONNECTIONS,
    });
    const property = fc.asyncProperty(connections, async (batchOfConnections) => {
      await Promise.all(batchOfConnections.map(attack));
      await goodRoundTrip();
      expect(fatal).toEqual([]);
    });
    // A failure is a request in hex: nothing to shrink.
    await fc.assert(property, { seed: SEED, numRuns: BATCHES, endOnFailure: true });
    expect(refusals.length).toBeGreaterThan(BATCHES);
    expect(process.memoryUsage.rss() - residentBefore).toBeLessThan(RESIDENT_GROWTH_MAX);
  });
});
