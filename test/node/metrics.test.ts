import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { NodeMetrics } from '#platform/metrics';
import { parsePrometheus } from '../http/prometheus-text.ts';
import { readQuery } from './metrics-queries.ts';
import { RACKS, type Scrape, ThreeNodes } from './three-nodes.ts';

const root = join(import.meta.dirname, '../..');
const RECORDS = 7;
const COMMITTED = 3;

/** The values of a name's series that have these labels, of all scrapes together. */
function readings(scrapes: readonly Scrape[], name: string, labels: Readonly<Record<string, string>> = {}): number[] {
  const wanted = Object.entries(labels);
  return scrapes.flatMap((scrape) =>
    (scrape.get(name)?.samples ?? [])
      .filter((sample) => sample.name === name && wanted.every(([label, text]) => sample.labels[label] === text))
      .map(({ value }) => value),
  );
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

describe('the metrics of three nodes', () => {
  const cluster = new ThreeNodes();
  const all = () => Promise.all([1, 2, 3].map((id) => cluster.scrape(id)));
  let coordinator = 0;
  let scrapes: readonly Scrape[] = [];

  beforeAll(async () => {
    await cluster.start([1, 2, 3]);
    await cluster.createTopic('spread', [
      [1, 2, 3],
      [2, 3, 1],
      [3, 1, 2],
    ]);
    await cluster.createTopic('pair', [[1, 2]]);
    for (const partition of [0, 1, 2]) await cluster.produce('spread', partition, RECORDS);
    await cluster.fetch('spread', 0);
    coordinator = await cluster.commit('readers', 'spread', [0, 1, 2], COMMITTED);
    // The first scrape asks disks and leaders for what the second one tells.
    await all();
    await cluster.runFor(1000);
    scrapes = await all();
  });
  afterAll(() => cluster.stop());

  it('count each partition once as led, and once for each of its replicas', () => {
    // spread, pair, __consumer_offsets
    expect(sum(readings(scrapes, 'odradek_leaders'))).toBe(3 + 1 + 1);
    expect(sum(readings(scrapes, 'odradek_replicas'))).toBe(9 + 2 + 3);
    for (const name of ['under_replicated_partitions', 'under_min_isr_partitions', 'offline_replicas'])
      expect(readings(scrapes, `odradek_${name}`), name).toEqual([0, 0, 0]);
    // Two replicas, of which two must be in sync.
    expect(sum(readings(scrapes, 'odradek_at_min_isr_partitions'))).toBe(1);
  });

  it('tell of each partition once, by its leader', () => {
    for (const partition of ['0', '1', '2']) {
      const labels = { topic: 'spread', partition };
      expect(readings(scrapes, 'odradek_partition_high_watermark', labels)).toEqual([RECORDS]);
      expect(readings(scrapes, 'odradek_partition_in_sync_replicas', labels)).toEqual([3]);
      expect(readings(scrapes, 'odradek_replica_lag_records', labels)).toEqual([0, 0]);
      expect(readings(scrapes, 'kafka_topic_partition_leader', labels)).toEqual([Number(partition) + 1]);
      expect(readings(scrapes, 'kafka_topic_partition_leader_is_preferred', labels)).toEqual([1]);
    }
    expect(readings(scrapes, 'odradek_replica_lag_records', { topic: 'pair', replica: '2' })).toEqual([0]);
  });

  it('count what producers, consumers and followers were served, and how long that took', () => {
    const records = sum(readings(scrapes, 'odradek_produce_records_total'));
    expect(records).toBe(3 * RECORDS);
    const produced = sum(readings(scrapes, 'odradek_produce_bytes_total'));
    expect(sum(readings(scrapes, 'odradek_fetch_bytes_total'))).toBe(produced / 3);
    // Each batch to two followers; the offsets topic too.
    expect(sum(readings(scrapes, 'odradek_replication_sent_bytes_total'))).toBeGreaterThanOrEqual(2 * produced);
    const times = scrapes.flatMap((scrape) => scrape.get('odradek_request_seconds')?.samples ?? []);
    const ofProduce = times.filter(({ labels }) => labels.api === 'Produce');
    expect(sum(ofProduce.filter(({ name }) => name.endsWith('_count')).map(({ value }) => value))).toBe(3);
    expect(sum(ofProduce.filter(({ name }) => name.endsWith('_sum')).map(({ value }) => value))).toBeGreaterThan(0);
    const syncs = scrapes.flatMap((scrape) => scrape.get('odradek_fsync_seconds')?.samples ?? []);
    // Each record is synced on every replica before it is acknowledged.
    const syncCount = sum(syncs.filter(({ name }) => name.endsWith('_count')).map(({ value }) => value));
    expect(syncCount).toBeGreaterThanOrEqual(9);
  });

  it('tell the same by topic, each from the leaders of its partitions, beside the totals of the nodes', () => {
    for (const [ours, theirs, total] of [
      ['odradek_topic_produce_bytes_total', 'bytesin', 'odradek_produce_bytes_total'],
      ['odradek_topic_produce_records_total', 'messagesin', 'odradek_produce_records_total'],
      ['odradek_topic_fetch_bytes_total', 'bytesout', 'odradek_fetch_bytes_total'],
    ] as const) {
      const ofTopic = readings(scrapes, ours, { topic: 'spread' });
      expect(sum(ofTopic), ours).toBeGreaterThan(0);
      expect(sum(ofTopic), ours).toBe(sum(readings(scrapes, total)));
      expect(sum(readings(scrapes, ours, { topic: 'pair' })), ours).toBe(0);
      // A name of Kafka's is a node's without a topic, and a topic's with one.
      const alias = `kafka_server_brokertopicmetrics_${theirs}_total`;
      expect(readings(scrapes, alias, { topic: 'spread' }), alias).toEqual(ofTopic);
      expect(sum(readings(scrapes, alias)), alias).toBe(2 * sum(ofTopic));
    }
  });

  it('tell of as much that followers have taken as leaders have sent', () => {
    const received = sum(readings(scrapes, 'odradek_replication_received_bytes_total'));
    expect(received).toBeGreaterThan(0);
    expect(received).toBe(sum(readings(scrapes, 'odradek_replication_sent_bytes_total')));
  });

  it('tell how far a group is behind, also where others lead, at its coordinator alone', async () => {
    for (const partition of ['0', '1', '2']) {
      const labels = { topic: 'spread', partition };
      expect(readings(scrapes, 'odradek_group_lag_records', { group: 'readers', ...labels })).toEqual([
        RECORDS - COMMITTED,
      ]);
      expect(readings(scrapes, 'kafka_consumergroup_current_offset', { consumergroup: 'readers', ...labels })).toEqual([
        COMMITTED,
      ]);
    }
    expect(readings(scrapes, 'kafka_consumergroup_lag_sum')).toEqual([3 * (RECORDS - COMMITTED)]);
    const of = [await cluster.scrape(coordinator)];
    expect(readings(of, 'odradek_group_members', { group: 'readers' })).toEqual([0]);
    expect(readings(of, 'odradek_groups', { type: 'Classic', state: 'Empty' })).toEqual([1]);
    const [age = 0] = readings(of, 'odradek_group_end_offsets_age_seconds');
    expect(age).toBeGreaterThan(0);
    expect(age).toBeLessThan(1);
  });

  it('ask other leaders for their ends again every few seconds while they are scraped, and not for ever after', async () => {
    for (const partition of [0, 1, 2]) await cluster.produce('spread', partition, 1);
    await cluster.runFor(6000);
    const lags = readings([await cluster.scrape(coordinator)], 'odradek_group_lag_records');
    expect(lags).toEqual([1, 1, 1].map((more) => RECORDS - COMMITTED + more));
    const seconds = readings([await cluster.scrape(coordinator)], 'odradek_group_lag_seconds');
    expect(seconds.map((each) => each > 6 && each < 60)).toEqual([true, true, true]);
    const asked = async () => sum(readings(await all(), 'odradek_requests_total', { api: 'ListOffsets' }));
    await cluster.runFor(120_000);
    const before = await asked();
    // That was a scrape: it asks once, and then for as long as scrapes may be apart.
    await cluster.runFor(120_000);
    const after = await asked();
    expect(after).toBeGreaterThan(before);
    expect(after - before).toBeLessThanOrEqual(2 * 20);
  });

  it('say which rack must not be lost', () => {
    const loss = (name: string) =>
      RACKS.map((rack) => readings(scrapes, `odradek_rack_loss_${name}_partitions`, { rack }));
    expect(loss('leaderless')).toEqual([[0], [0], [0]]);
    // `pair` has nothing in c.
    expect(loss('unwritable')).toEqual([[1], [1], [0]]);
  });

  it('are told under the names that others query, too', () => {
    const pairs = {
      odradek_leaders: 'kafka_server_replicamanager_leadercount',
      odradek_partition_high_watermark: 'kafka_topic_partition_current_offset',
      odradek_partition_log_bytes: 'kafka_log_log_size',
      odradek_replication_received_bytes_total: 'kafka_server_brokertopicmetrics_replicationbytesin_total',
      odradek_group_lag_records: 'kafka_consumergroup_lag',
      odradek_producer_ids: 'kafka_server_replicamanager_produceridcount',
      odradek_unclean_elections_total: 'kafka_controller_controllerstats_uncleanleaderelections_total',
    };
    for (const [ours, theirs] of Object.entries(pairs)) {
      expect(readings(scrapes, theirs), theirs).toEqual(readings(scrapes, ours));
      expect(readings(scrapes, ours).length, ours).toBeGreaterThan(0);
    }
    expect(readings(scrapes, 'kafka_brokers')).toEqual([3]);
    expect(readings(scrapes, 'kafka_topic_partitions', { topic: 'spread' })).toEqual([3]);
    expect(sum(readings(scrapes, 'kafka_controller_kafkacontroller_activecontrollercount'))).toBe(1);
  });

  describe('and what is shipped with them', () => {
    /** Of a node that has its process to itself. */
    const processOnly = new NodeMetrics({ process: true });
    const TARGET_LABELS = ['job', 'instance', 'rack'];

    async function labelsByName(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
      const known = new Map<string, Set<string>>([['up', new Set()]]);
      for (const scrape of [...scrapes, parsePrometheus(await processOnly.text())])
        for (const { samples } of scrape.values())
          for (const { name, labels } of samples) {
            const names = known.get(name) ?? new Set();
            for (const label in labels) names.add(label);
            known.set(name, names);
          }
      return known;
    }

    async function unknownIn(expression: string): Promise<string[]> {
      const known = await labelsByName();
      const { selectors, grouping } = readQuery(expression);
      const unknown: string[] = [];
      const present = new Set(TARGET_LABELS);
      for (const { metric, labels } of selectors) {
        const own = known.get(metric);
        if (own === undefined) unknown.push(metric);
        for (const label of own ?? []) present.add(label);
        for (const label of labels)
          if (own?.has(label) !== true && !TARGET_LABELS.includes(label)) unknown.push(`${metric}{${label}}`);
      }
      return [...unknown, ...grouping.filter((label) => !present.has(label))];
    }

    interface Rule {
      readonly alert: string;
      readonly expr: string;
      readonly for: string;
      readonly labels: { readonly severity: string };
      readonly annotations: Readonly<Record<string, string>>;
    }

    it('every alert asks for what nodes tell, says when it is over, and what it means', async () => {
      const { groups } = parseYaml(readFileSync(join(root, 'deploy/prometheus/rules.yaml'), 'utf8')) as {
        readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
      };
      const rules = groups.flatMap((group) => group.rules);
      expect(rules.length).toBeGreaterThan(20);
      expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
      for (const rule of rules) {
        expect(await unknownIn(rule.expr), rule.alert).toEqual([]);
        expect(rule.for, rule.alert).toMatch(/^(30s|\d+m)$/);
        expect(['critical', 'warning', 'info'], rule.alert).toContain(rule.labels.severity);
        const { grouping, selectors } = readQuery(rule.expr);
        const told = JSON.stringify(rule.annotations).matchAll(/\$labels\.(\w+)/g);
        const known = await labelsByName();
        // Aggregation drops every label that it does not name.
        const isAggregated = /\b(sum|max|min|count)\b/.test(rule.expr) && !rule.expr.startsWith('scalar(');
        const kept = isAggregated
          ? grouping
          : [...TARGET_LABELS, ...selectors.flatMap(({ metric }) => [...(known.get(metric) ?? [])])];
        for (const [, label = ''] of told) expect(kept, `${rule.alert} tells of ${label}`).toContain(label);
      }
    });

    interface Panel {
      readonly id: number;
      readonly type: string;
      readonly title: string;
      readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
      readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
    }

    it('every panel asks for what nodes tell, and has a place of its own', async () => {
      const files = globSync('deploy/grafana/dashboards/*.json', { cwd: root });
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) {
        const { panels, annotations } = JSON.parse(readFileSync(join(root, file), 'utf8')) as {
          readonly panels: readonly Panel[];
          readonly annotations: { readonly list: readonly { readonly expr: string }[] };
        };
        expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
        for (const { expr } of annotations.list) expect(await unknownIn(expr)).toEqual([]);
        const taken = new Set<string>();
        for (const { type, title, targets = [], gridPos } of panels) {
          expect(type === 'row', title).toBe(targets.length === 0);
          for (const { expr } of targets) expect(await unknownIn(expr), title).toEqual([]);
          expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
          for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
            for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
              expect(taken, `${title} lies over another panel`).not.toContain(`${x}/${y}`);
              taken.add(`${x}/${y}`);
            }
        }
      }
    });

    it('the check of a query finds a name and a label that nobody tells', async () => {
      expect(await unknownIn('sum by (api) (rate(odradek_requests_total{job="odradek"}[5m]))')).toEqual([]);
      expect(
        await unknownIn('sum by (topic) (rate(odradek_requests_total{app="x"}[5m])) / odradek_request_total'),
      ).toEqual(['odradek_requests_total{app}', 'odradek_request_total', 'topic']);
      for (const broken of ['sum(up', 'up)', 'up{job=odradek}', 'rate(up[5 m])', 'up ! 1', '5'])
        expect(() => readQuery(broken), broken).toThrow('not understood');
    });

    it('the tables of docs/metrics.md name all of them, and nothing else', async () => {
      const lines = readFileSync(join(root, 'docs/metrics.md'), 'utf8').split('\n');
      const rows = lines.filter((line) => line.startsWith('|')).join('\n');
      const documented = new Set(rows.match(/\b(?:odradek|kafka)_\w+/g));
      const told = new Set(
        [...scrapes, parsePrometheus(await processOnly.text())].flatMap((scrape) => [...scrape.keys()]),
      );
      const ours = [...told].filter((name) => /^(odradek|kafka)_/.test(name));
      expect([...documented].filter((name) => !told.has(name))).toEqual([]);
      expect(ours.filter((name) => !documented.has(name))).toEqual([]);
    });
  });
});

describe('the metrics of nodes in trouble', () => {
  it('tell of partitions that lack replicas, and of those that have nobody left', async () => {
    const cluster = new ThreeNodes();
    await cluster.start([1, 2, 3]);
    await cluster.createTopic('spread', [[1, 2, 3]]);
    await cluster.createTopic('pair', [[1, 3]]);
    await cluster.createTopic('alone', [[3]]);
    await cluster.kill(3);
    await cluster.runFor(10_000);
    const scrapes = [await cluster.scrape(1), await cluster.scrape(2)];
    expect(sum(readings(scrapes, 'odradek_under_replicated_partitions'))).toBe(2);
    expect(sum(readings(scrapes, 'odradek_under_min_isr_partitions'))).toBe(1);
    expect(sum(readings(scrapes, 'odradek_cluster_offline_partitions'))).toBe(1);
    expect(sum(readings(scrapes, 'odradek_cluster_under_min_isr_partitions'))).toBe(2);
    expect(readings(scrapes, 'odradek_fenced_brokers')).toEqual([1, 1]);
    // `spread` needs both that are left; `pair` refuses writes already, and has only a.
    expect(readings(scrapes, 'odradek_rack_loss_unwritable_partitions', { rack: 'b' })).toEqual([1]);
    expect(readings(scrapes, 'odradek_rack_loss_leaderless_partitions', { rack: 'a' })).toEqual([1]);
    expect(readings(scrapes, 'kafka_cluster_partition_underminisr', { topic: 'pair' })).toEqual([1]);
    await cluster.produce('spread', 0, 5);
    await cluster.start([3]);
    await cluster.runFor(10_000);
    const again = await Promise.all([1, 2, 3].map((id) => cluster.scrape(id)));
    expect(sum(readings(again, 'odradek_under_replicated_partitions'))).toBe(0);
    expect(sum(readings(again, 'odradek_cluster_offline_partitions'))).toBe(0);
    expect(sum(readings(again, 'odradek_isr_expands_total'))).toBeGreaterThanOrEqual(2);
    await cluster.stop();
  });

  it('have no more series than metrics.partition.limit, and say how many partitions have none', async () => {
    const cluster = new ThreeNodes();
    await cluster.start([1, 2, 3], { 'metrics.partition.limit': '2' });
    await cluster.createTopic('many', [[1], [1], [1], [1], [1]]);
    const scrape = [await cluster.scrape(1)];
    expect(readings(scrape, 'odradek_leaders')).toEqual([5]);
    expect(readings(scrape, 'odradek_partition_high_watermark')).toHaveLength(2);
    expect(readings(scrape, 'odradek_metrics_dropped_partitions')).toEqual([3]);
    for (const name of ['few', 'more', 'most']) await cluster.createTopic(name, [[1]]);
    const again = [await cluster.scrape(1)];
    expect(readings(again, 'odradek_topic_produce_bytes_total')).toHaveLength(2);
    expect(readings(again, 'odradek_metrics_dropped_topics')).toEqual([2]);
    await cluster.stop();
  });
});

describe('the metrics of a node that is left alone', () => {
  it.each(['followed', 'led'])('say that the quorum has no leader, if it %s', async (part) => {
    const cluster = new ThreeNodes();
    await cluster.start([1, 2, 3]);
    const [known] = readings([await cluster.scrape(1)], 'odradek_quorum_leader');
    const survivor = part === 'led' ? (known ?? 0) : ((known ?? 0) % 3) + 1;
    for (const id of [1, 2, 3].filter((each) => each !== survivor)) await cluster.kill(id);
    await cluster.runFor(4_000);
    expect(readings([await cluster.scrape(survivor)], 'odradek_quorum_leader')).toEqual([-1]);
    expect(readings([await cluster.scrape(survivor)], 'odradek_active_controller')).toEqual([0]);
  });
});
