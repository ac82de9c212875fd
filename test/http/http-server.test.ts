import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { HttpServer } from '#http/http-server';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createNodePorts } from '#platform/node-ports';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeProduceRequest } from '#protocol/generated/produce-request';
import { readProduceResponse } from '#protocol/generated/produce-response';
import { buildBatch } from '#protocol/record-batch-builder';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { WireClient } from '../support/wire-client.ts';
import { parsePrometheus } from './prometheus-text.ts';

const quiet = () => {};
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
const ANY = { host: '127.0.0.1', port: 0 };

/** A node with real ports that has not started yet, and its HTTP listener. */
async function open(path: string) {
  const ports = await createNodePorts({
    dataDirs: [path],
    logger,
    ownsProcess: false,
    poolThreads: 4,
    isUrgent: () => false,
    fatal: (error) => {
      throw error;
    },
  });
  const parsed = parseBrokerConfig(
    new Map([
      ['listeners', 'PLAINTEXT://127.0.0.1:0'],
      ['peer.listener', '127.0.0.1:0'],
    ]),
  );
  if ('errors' in parsed) throw new Error(parsed.errors.join());
  const node = new Node(ports, parsed);
  const http = await HttpServer.open(ANY, node, ports.metrics);
  const ask = (target: string, method = 'GET') => fetch(`http://${http.at.host}:${http.at.port}${target}`, { method });
  return { ports, node, http, ask };
}

describe('the HTTP listener of a node', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let opened: Awaited<ReturnType<typeof open>>;

  beforeEach(async () => {
    folder = temporaryFolder('http');
    opened = await open(folder.path);
  });
  afterEach(async () => {
    await opened.node.stop();
    await opened.http.close();
    folder[Symbol.dispose]();
  });

  test('is alive at once, ready only between the end of the start and the begin of the stop', async () => {
    const { node, ask } = opened;
    const states = async () => [(await ask('/livez')).status, (await ask('/readyz')).status];
    expect(await states()).toEqual([200, 503]);
    const starting = node.start();
    expect(node.ready).toBe(false);
    await starting;
    expect(await states()).toEqual([200, 200]);
    const stopping = node.stop();
    expect(await states()).toEqual([200, 503]);
    await stopping;
    expect(await states()).toEqual([200, 503]);
  });

  test('answers 404 with what there is, and 405 to what is not asked for', async () => {
    const { ask } = opened;
    const unknown = await ask('/metricz');
    expect(unknown.status).toBe(404);
    expect(await unknown.text()).toContain('/metrics');
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const refused = await ask('/metrics', method);
      expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
  });

  test('takes HEAD and a query', async () => {
    const { ask } = opened;
    const head = await ask('/livez', 'HEAD');
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect((await ask('/livez?verbose=1')).status).toBe(200);
  });

  test('closes with connections that are kept alive, and twice', async () => {
    const { http, ask } = opened;
    await (await ask('/livez')).text();
    await http.close();
    await http.close();
    await expect(ask('/livez')).rejects.toThrow();
  });

  test('says which address is in use', async () => {
    const { http, node, ports } = opened;
    const again = HttpServer.open(http.at, node, ports.metrics);
    await expect(again).rejects.toThrow(`HTTP cannot listen on 127.0.0.1:${http.at.port}: the address is in use`);
  });
});

describe('a scrape', () => {
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  async function serve(slices: () => AsyncIterable<string>) {
    const http = await HttpServer.open(ANY, {} as Node, { contentType: 'text/plain', slices });
    return { http, get: () => fetch(`http://${http.at.host}:${http.at.port}/metrics`) };
  }

  test('goes on no faster than its client takes it', async () => {
    const slice = 'x'.repeat(1 << 16);
    const sliceCount = 2000;
    let made = 0;
    const { http, get } = await serve(async function* () {
      for (; made < sliceCount; made += 1) {
        yield slice;
        await turn();
      }
    });
    const answer = await get();
    // Nobody reads: what the kernel and the client buffer fills up, and no more is made.
    let before = -1;
    while (before < made) {
      before = made;
      for (let turns = 0; turns < 50; turns += 1) await turn();
    }
    expect(made).toBeLessThan(sliceCount);
    const reader = answer.body?.getReader();
    let bytes = 0;
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) bytes += part.value.length;
    expect([bytes, made]).toEqual([sliceCount * slice.length, sliceCount]);
    await http.close();
  });

  test('that fails is 500 before its first slice, and breaks off after it', async () => {
    let first: string[] = [];
    const { http, get } = await serve(async function* () {
      yield* first;
      throw new Error('no metrics');
    });
    const failed = await get();
    expect([failed.status, await failed.text()]).toEqual([500, 'Error: no metrics\n']);
    first = ['half of it'];
    await expect(get().then((answer) => answer.text())).rejects.toThrow();
    await http.close();
  });
});

describe('/metrics', () => {
  const folder = temporaryFolder('metrics');
  let opened: Awaited<ReturnType<typeof open>>;

  beforeAll(async () => {
    opened = await open(folder.path);
    await opened.node.start();
  });
  afterAll(async () => {
    await opened.node.stop();
    await opened.http.close();
    folder[Symbol.dispose]();
  });

  test('is Prometheus text, and tells of what was produced', async () => {
    const { node, ports, ask } = opened;
    const [listener] = node.listeners;
    const client = WireClient.open(ports.network, { host: listener?.host ?? '', port: listener?.port ?? 0 });
    const topic = { name: 'counted', numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] };
    const create = { topics: [topic] };
    await client.request(ApiKey.CreateTopics, 7, create, writeCreateTopicsRequest, readCreateTopicsResponse);
    const records = ['a', 'b', 'c'].map((value) => ({ timestamp: 1000, key: null, value: Buffer.from(value) }));
    const bytes = buildBatch({ baseOffset: 0, leaderEpoch: -1, records }, ports.codecs);
    const topicData = ['counted', 'missing'].map((name) => ({
      name,
      partitionData: [{ index: 1, records: [Buffer.from(bytes)] }],
    }));
    const produce = { transactionalId: null, acks: -1, timeoutMs: 10_000, topicData };
    await client.request(ApiKey.Produce, 9, produce, writeProduceRequest, readProduceResponse);
    client.close();

    const answer = await ask('/metrics');
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const metrics = parsePrometheus(await answer.text());
    const reading = (name: string, labels: Record<string, string> = {}): number | undefined =>
      metrics
        .get(name)
        ?.samples.find((sample) => Object.entries(labels).every(([label, text]) => sample.labels[label] === text))
        ?.value;
    expect(reading('odradek_produce_records_total')).toBe(3);
    expect(reading('odradek_produce_bytes_total')).toBe(bytes.length);
    expect(reading('odradek_requests_total', { api: 'Produce' })).toBe(1);
    expect(reading('odradek_partition_high_watermark', { topic: 'counted', partition: '1' })).toBe(3);
    expect(reading('odradek_partition_high_watermark', { topic: 'counted', partition: '0' })).toBe(0);
    expect(reading('odradek_topics')).toBe(1);
    expect(reading('kafka_server_brokertopicmetrics_messagesin_total')).toBe(3);
    expect(reading('kafka_server_brokertopicmetrics_failedproducerequests_total')).toBe(1);
    expect(reading('kafka_server_replicamanager_partitioncount')).toBe(2);
    expect(reading('kafka_controller_kafkacontroller_activecontrollercount')).toBe(1);
    expect([...metrics.values()].every(({ type, help }) => type !== '' && help !== '')).toBe(true);
  });
});
