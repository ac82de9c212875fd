/**
 * What groups and transactions cost, on three nodes of Odradek and of Apache Kafka, one after the other: how soon a fresh group has its
 * first record, how many transactions a second one producer commits, and for how long nothing is committed when the coordinator's broker
 * is killed. Java clients with their defaults, no delay of a group's first rebalance. FRESH_GROUPS (20), SECONDS (20), TRIALS (10),
 * SYSTEM=odradek|kafka|both, MARKDOWN=FILE for the table.
 */
import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { Cluster } from '../../test/support/cluster/cluster.ts';
import { loopbackSites } from '../../test/support/cluster/sites.ts';
import { apacheKafka, odradek, type System } from '../../test/support/cluster/systems.ts';
import { CoordinatorKind, coordinatorSeenAt, createTopic } from '../../test/support/cluster/view.ts';
import { sleep } from '../../test/support/process.ts';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import { findKafkaJars } from '../../test/support/tool-chains.ts';
import { Committing, linesOf } from './clients.ts';

const groups = Number(process.env.FRESH_GROUPS ?? 20);
const seconds = Number(process.env.SECONDS ?? 20);
const trials = Number(process.env.TRIALS ?? 10);
const jars = await findKafkaJars();
const both = { odradek, kafka: apacheKafka(jars) };
const named = process.env.SYSTEM ?? 'both';
const systems = named === 'both' ? Object.values(both) : [both[named as keyof typeof both]];

const TOPIC = 'records';
const PARTITIONS = 3;
const WINDOW_MS = 5_000;
const CALM_MS = 2_000;

/** By what is measured. */
type Column = Map<string, string>;

function spread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return `${median.toFixed(0)} ms, at most ${Math.max(...sorted).toFixed(0)} ms`;
}

async function firstRecords(bootstrap: string, column: Column): Promise<void> {
  for (const protocol of ['classic', 'consumer']) {
    const args = ['first', bootstrap, TOPIC, protocol, groups + 1];
    const lines = await linesOf<{ readonly first: number }>(jars, 'GroupMember', args);
    // The very first one warms the client up, and may have waited for the topic of the offsets to be made.
    column.set(`subscribe → first record, ${protocol} protocol`, spread(lines.slice(1).map(({ first }) => first)));
  }
}

async function transactions(bootstrap: string, column: Column): Promise<void> {
  for (const records of [1, 100]) {
    const args = [bootstrap, TOPIC, PARTITIONS, `bench-${records}`, records, seconds];
    type Measured = { readonly perSecond: number; readonly p50: number; readonly p99: number };
    const [measured] = (await linesOf<Measured>(jars, 'TransactionalProducer', args)).slice(-1);
    const { perSecond = Number.NaN, p50 = Number.NaN, p99 = Number.NaN } = measured ?? {};
    const what = `transactions of ${records === 1 ? 'a record' : `${records} records`}`;
    column.set(`${what}, a second`, perSecond.toFixed(0));
    column.set(`${what}, commit p50, p99`, `${p50.toFixed(1)} ms, ${p99.toFixed(1)} ms`);
  }
}

/** The longest gap of commits of each trial. */
async function failovers(cluster: Cluster, kind: CoordinatorKind, key: string, client: Committing): Promise<number[]> {
  const gaps: number[] = [];
  for (let trial = 0; trial < trials; trial += 1) {
    await cluster.inSync();
    await sleep(CALM_MS);
    await client.commits();
    const id = await cluster.ask('the coordinator', (at) => coordinatorSeenAt(at, kind, key));
    const at = Date.now();
    cluster.signal(id, 'SIGKILL');
    gaps.push(await client.longestGap(at, WINDOW_MS));
    console.error(`node ${id} killed: ${gaps.at(-1)?.toFixed(0)} ms without a commit`);
    await cluster.heal(id);
  }
  return gaps;
}

async function coordinatorFailovers(cluster: Cluster, column: Column): Promise<void> {
  const bootstrap = cluster.bootstrapWithout();
  {
    const id = 'failover-of-transactions';
    await using client = new Committing(jars, 'TransactionalProducer', [bootstrap, TOPIC, PARTITIONS, id, 1, 0]);
    const gaps = await failovers(cluster, CoordinatorKind.Transaction, id, client);
    column.set("the transaction coordinator's broker killed: longest gap of commits", spread(gaps));
  }
  for (const protocol of ['classic', 'consumer']) {
    const group = `failover-of-${protocol}`;
    await using client = new Committing(jars, 'GroupMember', ['commit', bootstrap, TOPIC, protocol, group]);
    const gaps = await failovers(cluster, CoordinatorKind.Group, group, client);
    column.set(`the ${protocol} group coordinator's broker killed: longest gap of commits`, spread(gaps));
  }
}

async function measure(system: System): Promise<Column> {
  using folder = temporaryFolder('coordinator');
  const settings = { 'group.initial.rebalance.delay.ms': '0' };
  await using cluster = Cluster.start(await system.prepare(folder.path, loopbackSites(3), settings));
  await cluster.registered();
  await cluster.ask('the topic', (at) => createTopic(at, TOPIC, PARTITIONS));
  const column: Column = new Map();
  const bootstrap = cluster.bootstrapWithout();
  // First, for it leaves records for the groups to find.
  await transactions(bootstrap, column);
  await firstRecords(bootstrap, column);
  await coordinatorFailovers(cluster, column);
  return column;
}

const columns: (readonly [string, Column])[] = [];
for (const system of systems) {
  console.error(system.name);
  columns.push([system.name, await measure(system)]);
}
const [cpu] = cpus();
const machine = `${cpus().length} × ${cpu?.model ?? 'unknown'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}`;
const rows = [...(columns[0]?.[1].keys() ?? [])].map(
  (what) => `| ${[what, ...columns.map(([, column]) => column.get(what) ?? '')].join(' | ')} |`,
);
const head = ['median of each', ...columns.map(([name]) => name)];
const table = [`| ${head.join(' | ')} |`, `| ${head.map(() => '---').join(' | ')} |`, ...rows];
const text = `${machine}\n\n${table.join('\n')}\n`;
console.log(text);
if (process.env.MARKDOWN !== undefined) writeFileSync(process.env.MARKDOWN, text);
