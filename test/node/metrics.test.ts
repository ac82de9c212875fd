import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { FaultDisk } from '#faults/fault-disk';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createCodecs } from '#platform/codecs';
import { NodeMetrics } from '#platform/metrics';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeFetchRequest } from '#protocol/generated/fetch-request';
import { readFetchResponse } from '#protocol/generated/fetch-response';
import { writeFindCoordinatorRequest } from '#protocol/generated/find-coordinator-request';
import { readFindCoordinatorResponse } from '#protocol/generated/find-coordinator-response';
import { writeOffsetCommitRequest } from '#protocol/generated/offset-commit-request';
import { readOffsetCommitResponse } from '#protocol/generated/offset-commit-response';
import { writeProduceRequest } from '#protocol/generated/produce-request';
import { readProduceResponse } from '#protocol/generated/produce-response';
import { buildBatch } from '#protocol/record-batch-builder';
import { SimWorld } from '#sim/ports/sim-world';
import { type Family, parsePrometheus } from '../http/prometheus-text.ts';
import { WireClient } from '../support/wire-client.ts';
import { readQuery } from './metrics-queries.ts';

const root = join(import.meta.dirname, '../..');
const codecs = createCodecs();
const RACKS = ['a', 'b', 'c'];
const RECORDS = 7;
const COMMITTED = 3;

type Scrape = ReadonlyMap<string, Family>;

/** Three nodes on three racks in a simulated world, and what they tell of themselves. */
class ThreeNodes {
  readonly world = new SimWorld({ seed: 11, codecs });
  readonly #memories = RACKS.map((rack) => this.world.disk(rack));
  readonly #disks = new Map<number, FaultDisk>();
  readonly #nodes = new Map<number, Node>();
  readonly #metrics = new Map<number, NodeMetrics>();
  readonly #clients = new Map<number, WireClient>();
  #lives = 0;

  async start(ids: readonly number[], config: Readonly<Record<string, string>> = {}): Promise<void> {
    const starting = ids.map((id) => this.#start(id, config));
    await this.world.complete(Promise.all(starting));
  }

  async #start(id: number, config: Readonly<Record<string, string>>): Promise<void> {
    const parsed = parseBrokerConfig(
      new Map(
        Object.entries({
          'node.id': String(id),
          'broker.rack': RACKS[id - 1] ?? '',
          listeners: `PLAINTEXT://n${id}:9092`,
          'peer.listener': `n${id}:9093`,
          'controller.quorum.voters': RACKS.map((_, place) => `${place + 1}@n${place + 1}:9093`).join(),
          'cluster.target.size': '3',
          'offsets.topic.num.partitions': '1',
          ...config,
        }),
      ),
    );
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    const memory = this.#memories[id - 1];
    if (memory === undefined) throw new Error(`no disk of ${id}`);
    const disk = new FaultDisk(this.world.clock, memory, { ignoreSync: false });
    this.#disks.set(id, disk);
    const metrics = new NodeMetrics({ process: false });
    const node = new Node({ ...this.world.ports(`n${id}`, { disks: [disk] }), metrics }, parsed);
    this.#metrics.set(id, metrics);
    this.#nodes.set(id, node);
    await node.start();
  }

  async stop(): Promise<void> {
    await this.world.complete(Promise.all([...this.#nodes.values()].map((node) => node.stop())));
  }

  /** Its machine loses power. */
  async kill(id: number): Promise<void> {
    this.world.kill(`n${id}`);
    const crashed = this.#disks.get(id)?.crash(this.world.random);
    if (crashed !== undefined) await this.world.complete(crashed);
    this.#nodes.delete(id);
    this.#clients.delete(id);
  }

  runFor(ms: number): Promise<void> {
    return this.world.run(this.world.clock.now() + ms);
  }

  async scrape(id: number): Promise<Scrape> {
    return parsePrometheus((await this.#metrics.get(id)?.text()) ?? '');
  }

  client(id: number): WireClient {
    let client = this.#clients.get(id);
    if (client === undefined) {
      this.#lives += 1;
      const { network } = this.world.ports(`client-${this.#lives}`, { disks: [] });
      client = WireClient.open(network, { host: `n${id}`, port: 9092 });
      this.#clients.set(id, client);
    }
    return client;
  }

  leaderOf(topic: string, partition: number): number {
    for (const node of this.#nodes.values()) {
      const leader = node.view()?.image.partition(topic, partition)?.leader;
      if (leader !== undefined && leader !== null) return leader;
    }
    throw new Error(`nobody leads ${topic}-${partition}`);
  }

  async createTopic(name: string, assignments: readonly (readonly number[])[]): Promise<void> {
    const topic = {
      name,
      numPartitions: -1,
      replicationFactor: -1,
      assignments: assignments.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
      configs: [],
    };
    const answer = await this.world.complete(
      this.client(1).request(
        ApiKey.CreateTopics,
        7,
        { topics: [topic], timeoutMs: 10_000 },
        writeCreateTopicsRequest,
        readCreateTopicsResponse,
      ),
    );
    expect(answer.topics[0]?.errorCode).toBe(0);
    await this.runFor(1000);
  }

  async produce(topic: string, index: number, count: number): Promise<void> {
    const records = Array.from({ length: count }, () => ({ timestamp: 1000, key: null, value: Buffer.from('v') }));
    const bytes = buildBatch({ baseOffset: 0, leaderEpoch: -1, records }, codecs);
    const topicData = [{ name: topic, partitionData: [{ index, records: [bytes] }] }];
    const request = { transactionalId: null, acks: -1, timeoutMs: 10_000, topicData };
    const leader = this.client(this.leaderOf(topic, index));
    const answer = await this.world.complete(
      leader.request(ApiKey.Produce, 9, request, writeProduceRequest, readProduceResponse),
    );
    expect(answer.responses[0]?.partitionResponses[0]?.errorCode).toBe(0);
  }

  async fetch(topic: string, partition: number): Promise<void> {
    const request = {
      maxWaitMs: 0,
      minBytes: 1,
      topics: [{ topic, partitions: [{ partition, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }],
      forgottenTopicsData: [],
    };
    const leader = this.client(this.leaderOf(topic, partition));
    await this.world.complete(leader.request(ApiKey.Fetch, 12, request, writeFetchRequest, readFetchResponse));
  }

  /** Commits, as somebody outside of any generation, and tells which node coordinates the group. */
  async commit(
    groupId: string,
    topic: string,
    partitions: readonly number[],
    committedOffset: number,
  ): Promise<number> {
    for (;;) {
      const found = await this.world.complete(
        this.client(1).request(
          ApiKey.FindCoordinator,
          3,
          { key: groupId, keyType: 0 },
          writeFindCoordinatorRequest,
          readFindCoordinatorResponse,
        ),
      );
      await this.runFor(500);
      if (found.errorCode !== 0) continue;
      const of = partitions.map((partitionIndex) => ({ partitionIndex, committedOffset, committedMetadata: '' }));
      const request = { groupId, memberId: '', topics: [{ name: topic, partitions: of }] };
      const answer = await this.world.complete(
        this.client(found.nodeId).request(
          ApiKey.OffsetCommit,
          8,
          request,
          writeOffsetCommitRequest,
          readOffsetCommitResponse,
        ),
      );
      if (answer.topics[0]?.partitions.every(({ errorCode }) => errorCode === 0)) return found.nodeId;
    }
  }
}

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
      odradek_produce_bytes_total: 'kafka_server_brokertopicmetrics_bytesin_total',
      odradek_group_lag_records: 'kafka_consumergroup_lag',
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
    await cluster.stop();
  });
});
