/** What Apache Kafka's tools say of replicas, and do with them: three processes on three racks, of which some die and come back. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ErrorCode } from '#model/errors';
import { NodeNetwork } from '#platform/node-network';
import { writeAlterPartitionReassignmentsRequest } from '#protocol/generated/alter-partition-reassignments-request';
import { readAlterPartitionReassignmentsResponse } from '#protocol/generated/alter-partition-reassignments-response';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import type { Reader } from '#protocol/reader';
import type { Writer } from '#protocol/writer';
import { ClusterProcesses } from '../support/cluster-processes.ts';
import { until } from '../support/process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { findKafkaJars, toolChain } from '../support/tool-chains.ts';
import { WireClient } from '../support/wire-client.ts';
import { numbered } from './support/broker.ts';
import { runTool, Tool } from './support/java.ts';

const jars = (await toolChain('Java tools', findKafkaJars)) ?? '';
const folder = temporaryFolder('replication-tools');
const timeout = 120_000;
let cluster: ClusterProcesses;

/** What the tool prints of a running cluster, asked at one node; fails if its exit status is another one. */
async function tool(name: Tool, args: readonly string[], { status = 0, at = 1, input = '' } = {}): Promise<string> {
  const bootstrap = ['--bootstrap-server', `127.0.0.1:${cluster.portOf(at)}`];
  const outcome = await runTool(jars, name, [...bootstrap, ...args], { input });
  expect(outcome.status, outcome.output).toBe(status);
  return outcome.output;
}

interface Described {
  readonly leader: string;
  readonly replicas: string;
  /** In ascending order. */
  readonly isr: string;
  /** Replicas that have everything and may lead again (KIP-966). */
  readonly elr: string;
}

/** The partitions that TopicCommand lists, by name. */
async function described(...args: readonly string[]): Promise<Readonly<Record<string, Described>>> {
  const output = await tool(Tool.Topic, ['--describe', ...args]);
  const lines = output.matchAll(
    /Topic: (\S+)\s+Partition: (\d+)\s+Leader: (\S+)\s+Replicas: (\S*)[ \t]+Isr: (\S*)[ \t]+Elr: (\S*)/g,
  );
  return Object.fromEntries(
    [...lines].map(([, topic, partition, leader = '', replicas = '', isr = '', elr = '']) => {
      return [`${topic}-${partition}`, { leader, replicas, isr: isr.split(',').sort().join(), elr }];
    }),
  );
}

/** The names of the partitions that each of TopicCommand's filters lists. */
async function filtered(): Promise<Readonly<Record<string, readonly string[]>>> {
  const filters = ['under-replicated', 'under-min-isr', 'at-min-isr', 'unavailable'];
  const lists = await Promise.all(filters.map((filter) => described(`--${filter}-partitions`)));
  return Object.fromEntries(filters.map((filter, index) => [filter, Object.keys(lists[index] ?? {}).sort()]));
}

interface DescribedLog {
  readonly broker: number;
  readonly logDir: string;
  readonly partition: string;
  readonly size: number;
  readonly offsetLag: number;
  readonly isFuture: boolean;
}

/** By broker. */
async function logsOf(topic: string): Promise<readonly DescribedLog[]> {
  const output = await tool(Tool.LogDirs, ['--describe', '--topic-list', topic]);
  const { brokers } = JSON.parse(output.slice(output.indexOf('{')));
  type Dir = { error: string | null; logDir: string; partitions: Omit<DescribedLog, 'broker' | 'logDir'>[] };
  return (brokers as { broker: number; logDirs: Dir[] }[]).flatMap(({ broker, logDirs }) =>
    logDirs.flatMap(({ error, logDir, partitions }) => {
      expect(error).toBeNull();
      return partitions.map((partition) => ({ broker, logDir, ...partition }));
    }),
  );
}

interface Move {
  readonly topic: string;
  readonly partition: number;
  readonly replicas: readonly number[];
  readonly log_dirs?: readonly string[];
}

function reassignmentFile(name: string, ...partitions: readonly Move[]): readonly string[] {
  const file = join(folder.path, `${name}.json`);
  writeFileSync(file, JSON.stringify({ version: 1, partitions }));
  return ['--reassignment-json-file', file];
}

/** Of node 3; the others have one each. */
const directories = ['node-3', 'node-3-too'].map((name) => join(folder.path, name));
const spread = numbered('spread-', 6);

beforeAll(async () => {
  if (jars === '') return;
  // Leaders come back when the tool says so, and not by themselves meanwhile.
  const settings = { 'auto.leader.rebalance.enable': 'false' };
  cluster = await ClusterProcesses.prepare({ folder: folder.path, brokers: 3, racks: ['a', 'b', 'c'], settings });
  Object.assign(cluster.optionsOf(3), { dataDir: directories.join() });
  for (const id of cluster.ids) cluster.spawn(id);
  await cluster.allRegistered();
}, timeout);
afterAll(async () => {
  if (jars !== '') await cluster[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

describe.skipIf(jars === '')("Apache Kafka's tools for replication", { timeout }, () => {
  test('topic-create: replicas are spread, all are in sync, and only what stands at its minimum is listed', async () => {
    await tool(Tool.Topic, ['--create', '--topic', 'spread', '--partitions', '6', '--replication-factor', '3']);
    await placeTopics();
    const partitions = await described('--topic', 'spread');
    expect(Object.keys(partitions)).toEqual(spread);
    for (const { leader, replicas, isr } of Object.values(partitions)) {
      expect(replicas.split(',').sort()).toEqual(['1', '2', '3']);
      expect(leader).toBe(replicas[0]);
      expect(isr).toBe('1,2,3');
    }
    expect(new Set(Object.values(partitions).map(({ leader }) => leader)).size).toBe(3);
    expect(await filtered()).toEqual({
      'under-replicated': [],
      'under-min-isr': [],
      'at-min-isr': ['alone-0', 'moving-0', 'staying-0', 'strict-0'],
      unavailable: [],
    });
  });

  test('log-dirs: every node tells its replicas, their sizes, and that none is behind', async () => {
    const input = numbered('record ', 500).join('\n');
    await tool(Tool.ConsoleProducer, ['--topic', 'strict', '--command-property', 'acks=all'], { input });
    const logs = await logsOf('strict');
    const size = logs[0]?.size ?? 0;
    expect(size).toBeGreaterThan(500);
    const log = { partition: 'strict-0', size, offsetLag: 0, isFuture: false };
    const dirOf = (id: number): string => join(folder.path, `node-${id}`);
    expect(logs.slice(0, 2)).toEqual([1, 2].map((id) => ({ ...log, broker: id, logDir: dirOf(id) })));
    expect(logs.slice(2)).toEqual([{ ...log, broker: 3, logDir: expect.toBeOneOf(directories) }]);
  });

  test('reassign: a replica moves to another directory of its node, with its records', async () => {
    const from = (await logsOf('strict'))[2]?.logDir;
    const to = directories.find((directory) => directory !== from) ?? '';
    const move = { topic: 'strict', partition: 0, replicas: [1, 2, 3], log_dirs: ['any', 'any', to] };
    const moves = reassignmentFile('directory', move);
    const started = await tool(Tool.ReassignPartitions, [...moves, '--execute']);
    expect(started).toMatch(/Successfully started moving log directory to .* for replica strict-0 with broker 3/);
    await until('the move', timeout, async () => {
      const verified = await tool(Tool.ReassignPartitions, [...moves, '--verify']);
      return verified.includes('Reassignment of replica strict-0-3 completed successfully.') ? true : undefined;
    });
    const [first, , moved] = await logsOf('strict');
    expect(moved).toMatchObject({ broker: 3, logDir: to, size: first?.size });
    const nowhere = reassignmentFile('nowhere', { ...move, log_dirs: ['any', 'any', '/nowhere'] });
    const refused = await tool(Tool.ReassignPartitions, [...nowhere, '--execute'], { status: 1 });
    expect(refused).toMatch(/LogDirNotFoundException/);
  });

  test('replica-verification: three replicas have the same records', async () => {
    const args = ['--broker-list', cluster.bootstrap, '--topics-include', 'strict', '--time', '-2'];
    const inStep = /max lag is 0 for partition strict-0 at offset 500 among 1 partitions/;
    let output = '';
    // It reports until it is killed: later, where it is slow to begin.
    for (let timeoutMs = 4_000; timeoutMs <= 16_000 && !inStep.test(output); timeoutMs *= 2)
      ({ output } = await runTool(jars, Tool.ReplicaVerification, [...args, '--report-interval-ms', '200'], {
        timeoutMs,
      }));
    expect(output).toMatch(inStep);
    expect(output).not.toMatch(/max lag is [1-9]|doesn't match|different|Exception/);
  });

  test('reassign: a throttled move is carried out, with its records; that it is complete takes the throttle off again', async () => {
    await tool(Tool.ConsoleProducer, ['--topic', 'moving'], { input: numbered('record ', 500).join('\n') });
    const topics = join(folder.path, 'topics.json');
    writeFileSync(topics, JSON.stringify({ version: 1, topics: [{ topic: 'moving' }] }));
    const generate = ['--generate', '--topics-to-move-json-file', topics, '--broker-list', '1,2,3'];
    const plan = await tool(Tool.ReassignPartitions, generate);
    const [current, proposed] = [...plan.matchAll(/^\{.*\}$/gm)].map(([json]) => JSON.parse(json).partitions);
    expect(current).toMatchObject([{ topic: 'moving', partition: 0, replicas: [1, 2] }]);
    expect(proposed).toHaveLength(1);

    const moves = reassignmentFile('move', { topic: 'moving', partition: 0, replicas: [3, 1] });
    const started = await tool(Tool.ReassignPartitions, [...moves, '--execute', '--throttle', '10000000']);
    expect(started).toMatch(/The inter-broker throttle limit was set to 10000000 B\/s/);
    expect(started).toMatch(/Successfully started partition reassignment for moving-0/);
    const throttled = await tool(Tool.Topic, ['--describe', '--topic', 'moving']);
    expect(throttled).toMatch(/leader\.replication\.throttled\.replicas=0:1,0:2/);
    expect(throttled).toMatch(/follower\.replication\.throttled\.replicas=0:3/);
    await until('the move', timeout, async () => {
      const verified = await tool(Tool.ReassignPartitions, [...moves, '--verify']);
      return verified.includes('Reassignment of partition moving-0 is completed.') ? true : undefined;
    });
    const moved = await tool(Tool.Topic, ['--describe', '--topic', 'moving']);
    expect(moved).not.toMatch(/throttled/);
    expect(moved).toMatch(/Replicas: 3,1\s+Isr: (1,3|3,1)\s/);
    const read = [
      '--topic',
      'moving',
      '--partition',
      '0',
      '--offset',
      'earliest',
      '--max-messages',
      '500',
      '--timeout-ms',
      '20000',
    ];
    expect((await tool(Tool.ConsoleConsumer, read)).match(/^record \d+$/gm)).toHaveLength(500);
  });

  test('kill -9 of a node: its replicas are missing, each as far as it matters to its partition', async () => {
    await cluster.kill(3);
    await cluster.allRegistered();
    expect(await filtered()).toEqual({
      'under-replicated': ['alone-0', 'moving-0', 'pair-0', ...spread, 'strict-0'],
      'under-min-isr': ['alone-0', 'moving-0', 'strict-0'],
      'at-min-isr': ['pair-0', ...spread, 'staying-0'],
      unavailable: ['alone-0'],
    });
    expect((await described('--topic', 'spread'))['spread-0']?.isr).toBe('1,2');
  });

  test('reassign: a move to a dead node goes on until it is cancelled', async () => {
    const moves = reassignmentFile('stuck', { topic: 'staying', partition: 0, replicas: [1, 3] });
    const refused = await tool(Tool.ReassignPartitions, [...moves, '--execute'], { status: 1 });
    expect(refused).toMatch(/Unknown broker id 3/);
    // The tool itself refuses what the controller takes: a fenced broker is still one of the cluster's.
    await beginMove('staying', [1, 3]);
    const [listed, verified] = await Promise.all([
      tool(Tool.ReassignPartitions, ['--list']),
      tool(Tool.ReassignPartitions, [...moves, '--verify']),
    ]);
    expect(listed).toMatch(/staying-0: replicas: 1,3,2\. adding: 3\. removing: 2\./);
    expect(verified).toMatch(/Reassignment of partition staying-0 is still in progress\./);
    const cancelled = await tool(Tool.ReassignPartitions, [...moves, '--cancel', '--preserve-throttles']);
    expect(cancelled).toMatch(/Successfully cancelled partition reassignment for: staying-0/);
    expect((await described('--topic', 'staying'))['staying-0']).toMatchObject({ replicas: '1,2', isr: '1,2' });
    expect(await tool(Tool.ReassignPartitions, ['--list'])).toMatch(/No partition reassignments found/);
  });

  test('leader-election: who is dead is not elected, and who is alive is not needed while somebody leads', async () => {
    const elect = (type: string, ...topics: readonly string[]) => {
      const file = join(folder.path, `${type}.json`);
      writeFileSync(file, JSON.stringify({ partitions: topics.map((topic) => ({ topic, partition: 0 })) }));
      return tool(Tool.LeaderElection, ['--election-type', type, '--path-to-json-file', file], { status: 1 });
    };
    const [preferred, unclean] = await Promise.all([
      elect('preferred', 'pair', 'nothing'),
      elect('unclean', 'pair', 'alone'),
    ]);
    expect(preferred).toMatch(/partition: pair-0: .*PreferredLeaderNotAvailableException/);
    expect(preferred).toMatch(/partition: nothing-0: .*UnknownTopicOrPartitionException/);
    expect(unclean).toMatch(/Valid replica already elected for partitions pair-0/);
    expect(unclean).toMatch(/partition: alone-0: .*EligibleLeadersNotAvailableException/);
  });

  test('the node comes back: everything is in sync again, and preferred leaders are elected on request', async () => {
    await cluster.spawn(3).ready();
    await until('all in sync', timeout, async () =>
      Object.keys(await described('--under-replicated-partitions')).length === 0 ? true : undefined,
    );
    expect(await filtered()).toMatchObject({ 'under-min-isr': [], unavailable: [] });
    const before = await described();
    const away = Object.entries(before).filter(([, { leader, replicas }]) => leader !== replicas[0]);
    expect(away.map(([name]) => name)).toEqual(expect.arrayContaining(['pair-0', 'moving-0']));

    const preferred = ['--election-type', 'preferred'];
    const one = await tool(Tool.LeaderElection, [...preferred, '--topic', 'pair', '--partition', '0']);
    expect(one).toMatch(/Successfully completed leader election \(PREFERRED\) for partitions pair-0/);
    const all = await tool(Tool.LeaderElection, [...preferred, '--all-topic-partitions']);
    const elected = /Successfully completed leader election \(PREFERRED\) for partitions (.*)/.exec(all)?.[1];
    const others = away.map(([name]) => name).filter((name) => name !== 'pair-0');
    expect(elected?.split(', ').sort()).toEqual(others.sort());
    for (const { leader, replicas } of Object.values(await described())) expect(leader).toBe(replicas[0]);
  });

  test('unclean election: a replica that was out of sync leads when it is asked for, and not before', async () => {
    await cluster.kill(2);
    await cluster.allRegistered();
    await cluster.kill(3);
    cluster.spawn(2);
    await cluster.allRegistered();
    expect((await described('--topic', 'pair'))['pair-0']).toEqual({
      leader: 'none',
      replicas: '3,2',
      isr: '',
      elr: '3',
    });
    const elect = (type: string, status = 0) =>
      tool(Tool.LeaderElection, ['--election-type', type, '--topic', 'pair', '--partition', '0'], { status });
    expect(await elect('preferred', 1)).toMatch(/PreferredLeaderNotAvailableException/);
    expect(await elect('unclean')).toMatch(/Successfully completed leader election \(UNCLEAN\) for partitions pair-0/);
    expect((await described('--topic', 'pair'))['pair-0']).toEqual({ leader: '2', replicas: '3,2', isr: '2', elr: '' });
  });
});

/** Asks the node that is there throughout. */
async function ask<Q, A>(
  apiKey: number,
  version: number,
  request: Q,
  write: (writer: Writer, request: Q, version: number) => void,
  read: (reader: Reader, version: number) => A,
): Promise<A> {
  const client = WireClient.open(new NodeNetwork(), { host: '127.0.0.1', port: cluster.portOf(1) });
  const answer = await client.request(apiKey, version, request, write, read);
  client.close();
  return answer;
}

/** Topics of one partition, each where a test needs it; at once, where the tool would take a JVM for each. */
async function placeTopics(): Promise<void> {
  const topic = (name: string, brokerIds: readonly number[], minIsr: number) => ({
    name,
    numPartitions: -1,
    replicationFactor: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [...brokerIds] }],
    configs: [{ name: 'min.insync.replicas', value: String(minIsr) }],
  });
  const topics = [
    topic('strict', [1, 2, 3], 3),
    topic('alone', [3], 1),
    topic('pair', [3, 2], 1),
    topic('moving', [1, 2], 2),
    topic('staying', [1, 2], 2),
  ];
  const request = { topics, timeoutMs: 10_000 };
  const answer = await ask(ApiKey.CreateTopics, 5, request, writeCreateTopicsRequest, readCreateTopicsResponse);
  expect(answer.topics.map(({ errorCode }) => errorCode)).toEqual(topics.map(() => ErrorCode.None));
}

async function beginMove(name: string, replicas: readonly number[]): Promise<void> {
  const answer = await ask(
    ApiKey.AlterPartitionReassignments,
    0,
    { timeoutMs: 10_000, topics: [{ name, partitions: [{ partitionIndex: 0, replicas: [...replicas] }] }] },
    writeAlterPartitionReassignmentsRequest,
    readAlterPartitionReassignmentsResponse,
  );
  expect(answer).toMatchObject({
    errorCode: ErrorCode.None,
    responses: [{ partitions: [{ errorCode: ErrorCode.None }] }],
  });
}
