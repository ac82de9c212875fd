/** Apache Kafka 4.3.1's own command-line tools and test clients; each title begins with the tool's job. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { findKafkaJars, toolChain } from '../support/tool-chains.ts';
import { type Broker, numbered, startBroker, uniqueName } from './support/broker.ts';
import { type Arguments, runTool, Tool, toolChecks } from './support/java.ts';

const jars = (await toolChain('Java tools', findKafkaJars)) ?? '';
const folder = temporaryFolder('java-tools');
let broker: Broker;

const { check, expectTool } = toolChecks(jars, () => broker);

describe.skipIf(jars === '')('Java tools of Apache Kafka 4.3.1', () => {
  beforeAll(async () => {
    broker = await startBroker();
  });
  afterAll(async () => {
    folder[Symbol.dispose]();
    await broker[Symbol.asyncDispose]();
  });

  describe('the cluster', () => {
    check('api-versions: lists what the broker offers', Tool.BrokerApiVersions, (at) => at, { prints: /Produce\(0\)/ });
    check('cluster-id: prints it', Tool.Cluster, (at) => ['cluster-id', ...at], { prints: /Cluster ID/ });
    check('cluster-endpoints: lists the broker', Tool.Cluster, (at) => ['list-endpoints', ...at], {
      prints: /127\.0\.0\.1|localhost/,
    });
    check('feature-describe: names metadata.version', Tool.Feature, (at) => [...at, 'describe'], {
      prints: /metadata\.version/,
    });
    check('client-compatibility: the Java client finds every feature it tests for', Tool.ClientCompatibility, (at) => [
      ...at,
      ...['--topic', uniqueName('jt-compat'), '--num-cluster-nodes', '1'],
      ...['--offsets-for-times-supported', 'true', '--cluster-id-supported', 'true'],
      ...['--describe-acls-supported', 'true', '--describe-configs-supported', 'true'],
      ...['--create-topics-supported', 'true', '--expect-record-too-large-exception', 'false'],
      ...['--idempotent-producer-supported', 'true'],
    ]);
  });

  describe('topics and configs', () => {
    const topic = uniqueName('jt-topic');
    const ofTopic = ['--entity-type', 'topics', '--entity-name', topic];

    check(
      'topic-create: creates a topic with a config',
      Tool.Topic,
      (at) => [...at, '--create', '--topic', topic, '--partitions', '3', '--config', 'retention.ms=86400000'],
      { prints: /Created topic/ },
    );
    check('topic-describe: shows its partitions', Tool.Topic, (at) => [...at, '--describe', '--topic', topic], {
      prints: /PartitionCount: *3/,
    });
    check('topic-list: has it', Tool.Topic, (at) => [...at, '--list'], { prints: new RegExp(`^${topic}$`, 'm') });
    check(
      'topic-alter-partitions: adds one',
      Tool.Topic,
      (at) => [...at, '--alter', '--topic', topic, '--partitions', '4'],
      { printsNot: /Exception/ },
    );
    check('topic-describe: shows the added partition', Tool.Topic, (at) => [...at, '--describe', '--topic', topic], {
      prints: /PartitionCount: *4/,
    });
    check(
      'config-topic-alter: sets a config',
      Tool.Config,
      (at) => [...at, '--alter', ...ofTopic, '--add-config', 'max.message.bytes=2000000'],
      { prints: /Completed updating/ },
    );
    check('config-topic-describe: shows it', Tool.Config, (at) => [...at, '--describe', ...ofTopic], {
      prints: /max\.message\.bytes=2000000/,
    });
    check(
      'config-topic-alter: refuses an unknown config',
      Tool.Config,
      (at) => [...at, '--alter', ...ofTopic, '--add-config', 'no.such.config=1'],
      { prints: /InvalidConfig|Unknown topic config/, anyStatus: true },
    );
    check(
      'config-broker-describe-all: shows the broker configs',
      Tool.Config,
      (at) => [...at, '--describe', '--entity-type', 'brokers', '--entity-name', broker.nodeId, '--all'],
      { prints: /retention/ },
    );
    check('log-dirs: describes the logs', Tool.LogDirs, (at) => [...at, '--describe', '--topic-list', topic], {
      prints: new RegExp(`"logDirs".*${topic}`),
    });
    check('topic-delete: deletes it', Tool.Topic, (at) => [...at, '--delete', '--topic', topic], {
      printsNot: /Exception|Error/,
    });
    check('topic-deleted-gone: it is gone', Tool.Topic, (at) => [...at, '--describe', '--topic', topic], {
      prints: /does not exist/,
      anyStatus: true,
    });
  });

  describe('the console', () => {
    const topic = uniqueName('jt-console');
    const values = numbered('', 100);

    check(
      'console-producer: produces lines to a topic that is created on the way',
      Tool.ConsoleProducer,
      (at) => [...at, '--topic', topic],
      { input: `${values.join('\n')}\n`, printsNot: /ERROR|Exception/ },
    );
    test('console-consumer: reads all of them, in order', async () => {
      const args = ['--bootstrap-server', broker.bootstrap, '--topic', topic, '--from-beginning'];
      const limits = ['--max-messages', '100', '--timeout-ms', '20000'];
      const outcome = await runTool(jars, Tool.ConsoleConsumer, [...args, ...limits]);
      expect(outcome.stdout.trimEnd().split('\n'), outcome.output).toEqual(values);
    });
  });

  describe('consumer groups', () => {
    const topic = uniqueName('jt-groups');
    const group = uniqueName('jt-group');

    check(
      'verifiable-producer: every record is acknowledged',
      Tool.VerifiableProducer,
      (at) => [...at, '--topic', topic, '--max-messages', '1000', '--acks', '-1'],
      { prints: /"acked":1000/ },
    );
    check(
      'verifiable-consumer-classic: consumes them in a group',
      Tool.VerifiableConsumer,
      (at) => [...at, '--topic', topic, '--group-id', group, '--max-messages', '1000', '--group-protocol', 'classic'],
      { prints: /"name":"records_consumed"/ },
    );
    check('consumer-groups-list: has the group', Tool.ConsumerGroup, (at) => [...at, '--list'], {
      prints: new RegExp(`^${group}$`, 'm'),
    });
    check('groups-command: has the group', Tool.Groups, (at) => [...at, '--list'], { prints: new RegExp(group) });
    check('streams-groups-list: answers', Tool.StreamsGroup, (at) => [...at, '--list'], {
      printsNot: /Exception|Error/,
    });
    check(
      'consumer-groups-describe: shows no lag',
      Tool.ConsumerGroup,
      (at) => [...at, '--describe', '--group', group],
      { prints: new RegExp(`${topic} +0 +1000 +1000 +0`) },
    );
    check(
      'consumer-groups-state: the group is empty',
      Tool.ConsumerGroup,
      (at) => [...at, '--describe', '--group', group, '--state'],
      { prints: /Empty/ },
    );
    check(
      'consumer-groups-reset: moves its offsets to the earliest',
      Tool.ConsumerGroup,
      (at) => [...at, '--reset-offsets', '--group', group, '--topic', topic, '--to-earliest', '--execute'],
      { prints: new RegExp(`${topic} +0 +0`) },
    );
    check(
      'consumer-groups-delete-offsets: deletes them',
      Tool.ConsumerGroup,
      (at) => [...at, '--delete-offsets', '--group', group, '--topic', topic],
      { prints: /Successful/ },
    );
    check(
      'consumer-groups-delete: deletes the group',
      Tool.ConsumerGroup,
      (at) => [...at, '--delete', '--group', group],
      { prints: /successful/ },
    );
  });

  describe('performance', () => {
    const topic = uniqueName('jt-perf');
    const produce = (at: readonly string[], records: string): readonly string[] => [
      ...at,
      ...['--topic', topic, '--num-records', records, '--record-size', '200', '--throughput', '-1'],
    ];

    check(
      'producer-performance: acks=all',
      Tool.ProducerPerformance,
      (at) => [...produce(at, '20000'), '--command-property', 'acks=all'],
      { prints: /20000 records sent/ },
    );
    for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
      check(
        `producer-performance-${codec}: produces compressed`,
        Tool.ProducerPerformance,
        (at) => [...produce(at, '5000'), '--command-property', `compression.type=${codec}`],
        { prints: /5000 records sent/ },
      );
    }
    test('consumer-performance: consumes all five codecs', async () => {
      const args = ['--bootstrap-server', broker.bootstrap, '--topic', topic, '--num-records', '40000'];
      const { status, stdout, output } = await runTool(jars, Tool.ConsumerPerformance, [
        ...args,
        ...['--group', uniqueName('jt-perf-group')],
      ]);
      expect(status, output).toBe(0);
      const [header = '', ...rows] = stdout.trim().split('\n');
      const records = header.split(', ').indexOf('data.consumed.in.nMsg');
      expect(records, output).toBeGreaterThan(0);
      expect(Number(rows.at(-1)?.split(', ')[records])).toBe(40_000);
    });
    check(
      'end-to-end-latency: 200 records there and back',
      Tool.EndToEndLatency,
      (at) => [
        ...at,
        ...['--topic', uniqueName('jt-e2e'), '--num-records', '200', '--producer-acks', 'all', '--record-size', '100'],
      ],
      { prints: /Percentiles/ },
    );
  });

  describe('offsets and logs', () => {
    const topic = uniqueName('jt-offsets');
    const offsets = (at: readonly string[], ...time: string[]): readonly string[] => [...at, '--topic', topic, ...time];
    const produce: Arguments = (at) => [...at, '--topic', topic, '--max-messages', '2000', '--acks', '-1'];

    beforeAll(async () => {
      await expectTool(Tool.Topic, (at) => [...at, '--create', '--topic', topic, '--partitions', '1']);
      await expectTool(Tool.VerifiableProducer, produce, { prints: /"acked":2000/ });
    });

    check('get-offset-shell: the latest offset', Tool.GetOffsetShell, (at) => offsets(at), {
      prints: new RegExp(`${topic}:0:2000`),
    });
    check('get-offset-shell-earliest: offset 0', Tool.GetOffsetShell, (at) => offsets(at, '--time', 'earliest'), {
      prints: new RegExp(`${topic}:0:0`),
    });
    check(
      'get-offset-shell-maxts: an offset with data',
      Tool.GetOffsetShell,
      (at) => offsets(at, '--time', 'max-timestamp'),
      { prints: new RegExp(`${topic}:0:[0-9]+`) },
    );
    check(
      'replica-verification: the only replica has no lag',
      Tool.ReplicaVerification,
      ([, bootstrap = '']) => [
        ...['--broker-list', bootstrap, '--topics-include', topic, '--report-interval-ms', '1000', '--time', '-2'],
      ],
      { prints: /max lag is 0/, anyStatus: true, timeoutMs: 6_000 },
    );
    test('delete-records: raises the low watermark to 500', async () => {
      const file = join(folder.path, 'delete-records.json');
      writeFileSync(file, JSON.stringify({ version: 1, partitions: [{ topic, partition: 0, offset: 500 }] }));
      await expectTool(Tool.DeleteRecords, (at) => [...at, '--offset-json-file', file], {
        prints: /low_watermark: 500/,
      });
    });
    check(
      'delete-records-visible: the earliest offset is 500',
      Tool.GetOffsetShell,
      (at) => offsets(at, '--time', 'earliest'),
      { prints: new RegExp(`${topic}:0:500`) },
    );
  });
});
