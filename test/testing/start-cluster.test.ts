import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { startCluster } from '#testing/start-cluster';
import { freePort } from '../support/free-port.ts';
import { clusterSeenAt, createTopic } from '../support/fresh-client.ts';
import { metadataBrokerCount } from '../support/metadata-probe.ts';
import { nodeEnvironment } from '../support/odradek-process.ts';
import { run } from '../support/process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const portOf = (bootstrapServer: string): number => Number(bootstrapServer.split(':')[1]);

/** What a client of this cluster alone writes and reads back by a group. */
async function roundTrip(bootstrapServers: string, values: readonly string[]): Promise<readonly string[]> {
  const kafka = new Kafka({ brokers: bootstrapServers.split(','), logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'same-name', numPartitions: 1 }] });
  await admin.disconnect();
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic: 'same-name', messages: values.map((value) => ({ value })) });
  await producer.disconnect();
  const consumer = kafka.consumer({ groupId: 'same-group', maxWaitTimeInMs: 50 });
  await consumer.connect();
  await consumer.subscribe({ topic: 'same-name', fromBeginning: true });
  const seen: string[] = [];
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    consumer
      .run({
        eachMessage: async ({ message }) => {
          seen.push(String(message.value));
          if (seen.length === values.length) resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return seen;
}

describe('startCluster', { timeout: 30_000 }, () => {
  test('runs clusters beside each other that share nothing, each with a kafkajs client of its own', async () => {
    await using first = await startCluster();
    await using second = await startCluster();
    expect(first.clusterId).not.toBe(second.clusterId);
    const [a, b] = await Promise.all([
      roundTrip(first.bootstrapServers, ['a1', 'a2', 'a3']),
      roundTrip(second.bootstrapServers, ['b1', 'b2']),
    ]);
    expect(a).toEqual(['a1', 'a2', 'a3']);
    expect(b).toEqual(['b1', 'b2']);
  });

  test('stops once, however often it is asked', async () => {
    const cluster = await startCluster();
    const port = portOf(cluster.bootstrapServers);
    expect(await metadataBrokerCount(port)).toBe(1);
    await Promise.all([cluster.stop(), cluster.stop()]);
    await cluster.stop();
    await cluster[Symbol.asyncDispose]();
    expect(await metadataBrokerCount(port)).toBe(0);
  });

  test('ends the connections that are open when it stops, without an error for their clients', async () => {
    const cluster = await startCluster();
    const client = connect(portOf(cluster.bootstrapServers), '127.0.0.1').resume();
    const seen: string[] = [];
    for (const event of ['end', 'error', 'close']) client.once(event, () => seen.push(event));
    const closed = once(client, 'close');
    await once(client, 'connect');
    // Accepted, and a client that the node knows.
    expect(await metadataBrokerCount(portOf(cluster.bootstrapServers))).toBe(1);
    await cluster.stop();
    await closed;
    expect(seen).toEqual(['end', 'close']);
  });

  test('is stopped at the end of an `await using` block, also when the block throws', async () => {
    let port = 0;
    const used = (async () => {
      await using cluster = await startCluster();
      port = portOf(cluster.bootstrapServers);
      throw new Error('the test failed');
    })();
    await expect(used).rejects.toThrow('the test failed');
    expect(await metadataBrokerCount(port)).toBe(0);
  });

  test('takes broker configs, and refuses unknown ones with the nearest known', async () => {
    await using cluster = await startCluster({
      config: { 'num.partitions': '3', 'auto.create.topics.enable': 'true' },
    });
    const admin = new Kafka({ brokers: [cluster.bootstrapServers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'three' }] });
    const { topics } = await admin.fetchTopicMetadata({ topics: ['three'] });
    await admin.disconnect();
    expect(topics[0]?.partitions).toHaveLength(3);
    await expect(startCluster({ config: { 'num.partition': '3' } })).rejects.toThrow(/did you mean num\.partitions\?/);
  });

  test('runs several brokers over racks, of which each can be stopped and started again', async () => {
    await using cluster = await startCluster({ brokers: 3, racks: ['a', 'b', 'c'] });
    expect(cluster.nodes.map(({ id, rack }) => [id, rack])).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ]);
    const servers = cluster.nodes.map(({ bootstrapServer }) => bootstrapServer);
    expect(cluster.bootstrapServers).toBe(servers.join(','));
    const ports = servers.map(portOf);
    expect(await Promise.all(ports.map(metadataBrokerCount))).toEqual([3, 3, 3]);

    const [first, second, third] = cluster.nodes;
    await createTopic(ports.slice(0, 1), 'by-all', 10_000);
    await first?.stop();
    expect(first?.isRunning).toBe(false);
    await createTopic(ports.slice(1), 'by-two', 10_000);
    expect((await clusterSeenAt(ports[1] ?? 0))?.brokers.map(({ id }) => id)).toEqual([2, 3]);
    await first?.start();
    expect(first?.bootstrapServer).toBe(servers[0]);
    expect([...((await clusterSeenAt(ports[0] ?? 0))?.topics.keys() ?? [])].sort()).toEqual(['by-all', 'by-two']);
    await Promise.all([second?.stop(), second?.stop()]);
    await second?.start();
    expect([first, second, third].map((node) => node?.isRunning)).toEqual([true, true, true]);
  });

  test('runs brokers beyond the voters, and several clusters of several beside each other', async () => {
    const [four, three] = await Promise.all([startCluster({ brokers: 4 }), startCluster({ brokers: 3 })]);
    await using _four = four;
    await using _three = three;
    expect(four.clusterId).not.toBe(three.clusterId);
    expect(await metadataBrokerCount(portOf(four.nodes[3]?.bootstrapServer ?? ''))).toBe(4);
    expect(await metadataBrokerCount(portOf(three.nodes[2]?.bootstrapServer ?? ''))).toBe(3);
    expect(await roundTrip(three.bootstrapServers, ['c1', 'c2'])).toEqual(['c1', 'c2']);
  });

  test('refuses what is no cluster', async () => {
    await expect(startCluster({ brokers: 0 })).rejects.toThrow('a cluster has a number of brokers, not 0');
    await expect(startCluster({ brokers: 2, racks: ['a', 'b', 'c'] })).rejects.toThrow('3 racks are too many');
  });

  test('leaves nothing behind when it cannot start', async () => {
    const port = await freePort();
    const occupant = await new Promise<Server>((resolve) => {
      const server = createServer();
      server.listen(port, '127.0.0.1', () => resolve(server));
    });
    const folder = temporaryFolder('start-cluster');
    const config = { listeners: `PLAINTEXT://127.0.0.1:${port}` };
    const { status, output } = await child(folder.path, `startCluster({ config: ${JSON.stringify(config)} })`);
    occupant.close();
    expect(output).toContain(`PLAINTEXT cannot listen on 127.0.0.1:${port}: the address is in use`);
    expect(status).toBe(1);
    expect(readdirSync(folder.path)).toEqual([]);
    folder[Symbol.dispose]();
  });

  test('lets its process end by itself after the stop, and its folder is gone', async () => {
    const folder = temporaryFolder('start-cluster');
    const script = `
      const cluster = await startCluster();
      const client = connect(Number(cluster.bootstrapServers.split(':')[1]), '127.0.0.1').on('error', () => {});
      await new Promise((resolve) => client.on('connect', resolve));
      if (readdirSync(${JSON.stringify(folder.path)}).length !== 1) throw new Error('no folder');
      const closed = new Promise((resolve) => client.on('close', resolve));
      await cluster.stop();
      await closed;
      console.log('stopped, still open: ' + process.getActiveResourcesInfo().filter((kind) => /TCP|Server|Timeout/.test(kind)));
    `;
    const { status, output } = await child(folder.path, script);
    expect(output).toBe('stopped, still open: \n');
    expect(status).toBe(0);
    expect(readdirSync(folder.path)).toEqual([]);
    folder[Symbol.dispose]();
  });
});

/** Runs a script with `startCluster` in scope as a process, which makes its temporary folders below `folder`. */
async function child(folder: string, script: string) {
  const start = JSON.stringify(import.meta.resolve('#testing/start-cluster'));
  const source = `
    import { readdirSync } from 'node:fs';
    import { connect } from 'node:net';
    import { startCluster } from ${start};
    try { ${script.startsWith('startCluster') ? `await ${script}` : script} }
    catch (error) { console.log(error.message); process.exitCode = 1; }
  `;
  const env = { ...nodeEnvironment(), TMPDIR: folder };
  return await run(process.execPath, ['--input-type=module', '-e', source], { timeoutMs: 15_000, env });
}
