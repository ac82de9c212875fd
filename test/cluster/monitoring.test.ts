/** deploy/prometheus and deploy/grafana as they are used: a real Prometheus scrapes three nodes at work, and answers what the dashboard asks. */
import { cpSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse as parseYaml, stringify } from 'yaml';
import { AckedWriter, kafkaAt } from '../support/acked-writer.ts';
import { ClusterProcesses } from '../support/cluster-processes.ts';
import { repositoryRoot } from '../support/odradek-process.ts';
import { until } from '../support/process.ts';
import { type AlertState, PrometheusProcess } from '../support/prometheus-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { findPrometheus, toolChain } from '../support/tool-chains.ts';

const found = await toolChain('Prometheus', findPrometheus);
const TOPIC = 'orders';
const RACKS = ['a', 'b', 'c'];
const SOON_MS = 30_000;
/** What a test machine with much to do, and seconds of its history, may raise. */
const OF_THE_MACHINE = new Set([
  'OdradekDataDirectoryFillsUp',
  'OdradekSlowSyncs',
  'OdradekLoopDelay',
  'OdradekStalls',
  'OdradekSlowProduce',
]);
/** A consumer that joins anew while its node is killed waits for its former self to expire, and so does its disconnect. */
const SESSION_MS = 6_000;
/** Every second a scrape: a rate has its two samples soon. */
const RATE_INTERVAL = '20s';

interface ScrapeConfig {
  readonly scrape_configs: readonly {
    readonly static_configs: readonly { readonly targets: readonly string[]; readonly labels: object }[];
  }[];
}

/** The shipped config, whose targets are these nodes, and the rules beside it. */
function configFor(cluster: ClusterProcesses, folder: string): string {
  const shipped = join(repositoryRoot, 'deploy/prometheus');
  mkdirSync(folder);
  cpSync(join(shipped, 'rules.yaml'), join(folder, 'rules.yaml'));
  const config = parseYaml(readFileSync(join(shipped, 'prometheus.yaml'), 'utf8')) as ScrapeConfig;
  const [job] = config.scrape_configs;
  const targets = cluster.ids.map((id, index) => ({
    ...job?.static_configs[index],
    targets: [`127.0.0.1:${cluster.optionsOf(id).httpPort}`],
  }));
  const path = join(folder, 'prometheus.yaml');
  const global = { scrape_interval: '1s', evaluation_interval: '1s' };
  writeFileSync(path, stringify({ ...config, global, scrape_configs: [{ ...job, static_configs: targets }] }));
  return path;
}

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}

function dashboards(): readonly Dashboard[] {
  const files = globSync('deploy/grafana/dashboards/*.json', { cwd: repositoryRoot });
  return files.map((file) => JSON.parse(readFileSync(join(repositoryRoot, file), 'utf8')) as Dashboard);
}

/** What Grafana puts in the place of its variables. */
const filledIn = (expression: string): string => expression.replaceAll('$__rate_interval', RATE_INTERVAL);

describe.skipIf(found === undefined)('a cluster that Prometheus watches', () => {
  const folder = temporaryFolder('monitoring');
  const cleanups: (() => Promise<unknown>)[] = [];
  let cluster: ClusterProcesses;
  let prometheus: PrometheusProcess;

  beforeAll(async () => {
    cluster = await ClusterProcesses.start({ folder: join(folder.path, 'data'), brokers: 3, racks: RACKS });
    cleanups.push(() => cluster.killAll());
    prometheus = await PrometheusProcess.start(
      configFor(cluster, join(folder.path, 'config')),
      join(folder.path, 'db'),
    );
    cleanups.push(() => prometheus[Symbol.asyncDispose]());
    const kafka = kafkaAt(cluster.bootstrap);
    const admin = kafka.admin();
    await admin.connect();
    cleanups.push(() => admin.disconnect());
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3 }] });
    const writer = await AckedWriter.start(cluster.bootstrap, TOPIC, 3);
    cleanups.push(() => writer.stop());
    const consumer = kafka.consumer({ groupId: 'billing', sessionTimeout: SESSION_MS });
    await consumer.connect();
    cleanups.push(() => consumer.disconnect());
    await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
    await consumer.run({ autoCommitInterval: 1000, eachBatch: async () => {} });
    // The metadata changes, too, for as long as it takes to see it all; what is still empty then, a test names.
    let topics = 0;
    await until('every panel has data', SOON_MS, async () => {
      topics += 1;
      await admin.createTopics({ topics: [{ topic: `invoices-${topics}` }] });
      const empty = await panelsWithoutData();
      return empty.length === 0 ? true : undefined;
    }).catch(() => undefined);
  }, 2 * 60_000);

  afterAll(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
    folder[Symbol.dispose]();
  }, 60_000);

  /** `title: query` of each that gives no number. */
  async function panelsWithoutData(): Promise<readonly string[]> {
    const empty: string[] = [];
    for (const { title, targets = [] } of dashboards().flatMap(({ panels }) => panels))
      for (const { expr } of targets) {
        const samples = await prometheus.query(filledIn(expr));
        if (!samples.some(({ value }) => Number.isFinite(value))) empty.push(`${title}: ${expr}`);
      }
    return empty;
  }

  async function alertsThat(are: (alert: AlertState) => boolean): Promise<readonly string[]> {
    const alerts = (await prometheus.alerts()).filter(are).map(({ name }) => name);
    return alerts.filter((name) => !OF_THE_MACHINE.has(name));
  }

  test('has data for every query of the dashboard', async () => {
    expect(await panelsWithoutData()).toEqual([]);
    // These have data only after an election; that they are understood is enough.
    for (const { expr } of dashboards().flatMap(({ annotations }) => annotations.list))
      await prometheus.query(filledIn(expr));
  });

  test('tells the loss of every rack apart from the rack of the node that tells it', async () => {
    const samples = await prometheus.query('max by (rack) (odradek_rack_loss_unwritable_partitions{job="odradek"})');
    expect(samples.map(({ metric }) => metric.rack).sort()).toEqual(RACKS);
    const up = await prometheus.query('up{job="odradek"}');
    expect(up.map(({ metric }) => metric.rack).sort()).toEqual(RACKS);
    expect(up.map(({ value }) => value)).toEqual([1, 1, 1]);
  });

  test('tells what docs/metrics.md says, and nothing else', async () => {
    const rows = readFileSync(join(repositoryRoot, 'docs/metrics.md'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('|'));
    const documented = new Set(rows.join('\n').match(/\b(?:odradek|kafka)_\w+/g));
    const told = new Set((await prometheus.families()).filter((name) => /^(odradek|kafka)_/.test(name)));
    expect([...documented].filter((name) => !told.has(name))).toEqual([]);
    expect([...told].filter((name) => !documented.has(name))).toEqual([]);
  });

  test('in good health raises no alert, and has evaluated all of them', async () => {
    const notOk = (await prometheus.alerts()).filter(({ health }) => health !== 'ok');
    expect(notOk).toEqual([]);
    expect(await alertsThat(({ state }) => state !== 'inactive')).toEqual([]);
  });

  test('that loses a node has the alerts that say so pending within seconds, none of those that say that clients suffer, and none once it is back', async () => {
    await cluster.kill(3);
    const wanted = ['OdradekNodeDown', 'OdradekFencedBrokers', 'OdradekUnderReplicated'];
    await until(`${wanted} pending`, SOON_MS, async () => {
      const pending = await alertsThat(({ state }) => state === 'pending');
      return wanted.every((name) => pending.includes(name)) ? true : undefined;
    });
    const raised = await alertsThat(({ state }) => state !== 'inactive');
    for (const name of ['OdradekUnderMinIsr', 'OdradekOfflinePartitions', 'OdradekOfflineReplicas'])
      expect(raised).not.toContain(name);
    cluster.spawn(3);
    await cluster.allRegistered();
    await until('no alert', SOON_MS, async () =>
      (await alertsThat(({ state }) => state !== 'inactive')).length === 0 ? true : undefined,
    );
  });
});
