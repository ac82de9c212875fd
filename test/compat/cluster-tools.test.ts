/** Clusters of three processes, seen by Apache Kafka's tools and by clients that know one node only. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ClusterProcesses } from '../support/cluster-processes.ts';
import { runOrThrow } from '../support/process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { findKafkaJars, findKcat, toolChain } from '../support/tool-chains.ts';
import { runTool, Tool } from './support/java.ts';

const jars = (await toolChain('Java tools', findKafkaJars)) ?? '';
const kcat = (await toolChain('kcat', findKcat)) ?? '';
const folder = temporaryFolder('cluster-tools');
const timeout = 60_000;
let cluster: ClusterProcesses;

const at = (id: number): readonly string[] => ['--bootstrap-server', `127.0.0.1:${cluster.portOf(id)}`];

/** What the tool prints; fails if its exit status is another one. */
async function tool(name: Tool, args: readonly string[], status = 0): Promise<string> {
  const outcome = await runTool(jars, name, args);
  expect(outcome.status, outcome.output).toBe(status);
  return outcome.output;
}

/** Each node with what it is in the quorum, as `describe --replication` lists them. */
async function quorum(): Promise<ReadonlyMap<number, string>> {
  const output = await tool(Tool.MetadataQuorum, [...at(2), 'describe', '--replication']);
  return new Map([...output.matchAll(/^(\d)\s.*\s(\w+)\s*$/gm)].map(([, id, state]) => [Number(id), state ?? '']));
}

beforeAll(async () => {
  cluster = await ClusterProcesses.start({ folder: folder.path, brokers: 3, racks: ['a', 'b', 'c'] });
}, timeout);
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

describe.skipIf(jars === '')("Apache Kafka's tools for clusters", { timeout }, () => {
  test('quorum-status: names the leader and three voters with their directories', async () => {
    const output = await tool(Tool.MetadataQuorum, [...at(1), 'describe', '--status']);
    expect(output).toMatch(/LeaderId: +[123]\n/);
    expect(output.match(/"directoryId"/g)).toHaveLength(3);
    expect(output).toMatch(/CurrentObservers: +\[\]/);
  });

  test('quorum-remove, quorum-add: a voter becomes an observer, and a voter again', async () => {
    const leader = [...(await quorum())].find(([, state]) => state === 'Leader')?.[0];
    const id = leader === 3 ? 1 : 3;
    const options = cluster.options[id - 1];
    const directory = /directory\.id=(\S+)/.exec(readFileSync(join(options?.dataDir ?? '', 'meta.properties'), 'utf8'));
    const named = ['--controller-id', String(id), '--controller-directory-id', directory?.[1] ?? ''];
    await tool(Tool.MetadataQuorum, [...at(2), 'remove-controller', ...named]);
    expect((await quorum()).get(id)).toBe('Observer');
    expect(await tool(Tool.MetadataQuorum, [...at(2), 'remove-controller', ...named], 1)).toMatch(/VoterNotFound/);

    const peer = options?.settings['peer.listener'];
    const config = join(folder.path, 'controller.properties');
    const lines = [
      'process.roles=broker,controller',
      `node.id=${id}`,
      'controller.listener.names=CONTROLLER',
      `listeners=PLAINTEXT://127.0.0.1:${options?.port},CONTROLLER://${peer}`,
      `advertised.listeners=CONTROLLER://${peer}`,
      `log.dirs=${options?.dataDir}`,
    ];
    writeFileSync(config, lines.join('\n'));
    await tool(Tool.MetadataQuorum, [...at(2), '--command-config', config, 'add-controller']);
    expect((await quorum()).get(id)).toBe('Follower');
  });

  test('features: a downgrade needs to be called one, and what is not known is refused', async () => {
    const change = (...args: readonly string[]) => tool(Tool.Feature, [...at(3), ...args], 1);
    expect(await change('upgrade', '--feature', 'metadata.version=29')).toMatch(/without setting the upgrade type/);
    expect(await change('upgrade', '--feature', 'no.such.feature=1')).toMatch(/no\.such\.feature/);
  });

  test('cluster: one id, three endpoints, and no broker 77 to unregister', async () => {
    expect(await tool(Tool.Cluster, ['cluster-id', ...at(3)])).toMatch(/Cluster ID: [\w-]{22}/);
    const listed = await tool(Tool.Cluster, ['list-endpoints', ...at(3)]);
    for (const rack of ['a', 'b', 'c']) expect(listed).toMatch(new RegExp(` ${rack} +unfenced +broker`));
    expect(await tool(Tool.Cluster, ['unregister', ...at(3), '--id', '77'], 1)).toMatch(/BrokerIdNotRegistered/);
  });

  test('topics: three replicas on three brokers, all in sync, and a record that all have is read from any of them', async () => {
    const create = ['--create', '--topic', 'three', '--partitions', '6', '--replication-factor', '3'];
    await tool(Tool.Topic, [...at(1), ...create]);
    const described = await tool(Tool.Topic, [...at(3), '--describe', '--topic', 'three']);
    const replicas = [...described.matchAll(/Replicas: (\S+)/g)].map(([, list]) => list?.split(',').sort().join());
    expect(replicas).toEqual(Array.from({ length: 6 }, () => '1,2,3'));
    const leaders = [...described.matchAll(/Leader: (\d)/g)].map(([, id]) => id);
    expect(new Set(leaders).size).toBe(3);
    const inSync = [...described.matchAll(/Isr: (\S+)/g)].map(([, list]) => list?.split(',').length);
    expect(inSync).toEqual(Array.from({ length: 6 }, () => 3));
    expect(await tool(Tool.Topic, [...at(1), '--describe', '--under-replicated-partitions'])).not.toContain(
      'Topic: three',
    );
    const args = ['--topic', 'three', ...at(2), '--command-property', 'retries=0', '--command-property', 'acks=all'];
    const produced = await runTool(jars, Tool.ConsoleProducer, args, { input: 'x\n' });
    expect(produced.output).not.toMatch(/NotEnoughReplicas|Exception/);
    const consumed = ['--topic', 'three', ...at(3), '--from-beginning', '--max-messages', '1', '--timeout-ms', '20000'];
    expect((await runTool(jars, Tool.ConsoleConsumer, consumed)).output).toContain('x');
  });
});

describe.skipIf(kcat === '')('librdkafka', { timeout }, () => {
  test('finds all brokers, and a topic on all of them, from any one address', async () => {
    for (const id of cluster.ids) {
      const broker = ['-b', `127.0.0.1:${cluster.portOf(id)}`];
      expect(await runOrThrow(kcat, [...broker, '-L'], { timeoutMs: 20_000 })).toMatch(/ 3 brokers:/);
      const topic = `kcat-${id}`;
      const lines = Array.from({ length: 30 }, (_, line) => `${line}`).join('\n');
      await runOrThrow(kcat, [...broker, '-t', topic, '-P', '-X', 'acks=all'], { timeoutMs: 20_000, input: lines });
      const read = await runOrThrow(kcat, [...broker, '-t', topic, '-C', '-e', '-q', '-o', 'beginning'], {
        timeoutMs: 20_000,
      });
      expect(read.trim().split('\n')).toHaveLength(30);
    }
  });
});
