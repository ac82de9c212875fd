/** Apache Kafka's DumpLogSegments reads the node's own files: an independent check of every format on disk. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findKafkaJars, toolChain } from '../support/tool-chains.ts';
import { type Broker, startBroker, uniqueName } from './support/broker.ts';
import { type Arguments, Tool, toolChecks } from './support/java.ts';

const jars = (await toolChain('Java tools', findKafkaJars)) ?? '';
const knowsDataDir = !('ODRADEK_COMPAT_BOOTSTRAP' in process.env) || 'ODRADEK_COMPAT_DATA_DIR' in process.env;
let broker: Broker;
const { check, expectTool } = toolChecks(jars, () => broker);

/** Files of partition 0, oldest first; of indexes, those whose segment is closed: an open one's may still be in memory. */
function files(topic: string, extension: string): readonly string[] {
  const folder = join(broker.dataDir ?? '', `${topic}-0`);
  const found = readdirSync(folder).filter((file) => file.endsWith(extension));
  const closed = extension.endsWith('index') ? found.sort().slice(0, -1) : found.sort();
  expect(closed.length, `*${extension} in ${folder}`).toBeGreaterThan(0);
  return closed.map((file) => join(folder, file));
}

const dump = (topic: string, extension: string, ...args: readonly string[]): Arguments => {
  return () => ['--files', files(topic, extension).join(','), ...args];
};

describe.skipIf(jars === '' || !knowsDataDir)('DumpLogSegments of Apache Kafka 4.3.1', () => {
  const topic = uniqueName('jt-files');
  const recordCount = 20_000;
  const unsound = /isvalid: false|Exception|Mismatch|Found|Could not/i;

  beforeAll(async () => {
    broker = await startBroker();
    const rolling = ['--partitions', '1', '--config', 'segment.bytes=1048576'];
    await expectTool(Tool.Topic, (at) => [...at, '--create', '--topic', topic, ...rolling]);
    const load = ['--num-records', String(recordCount), '--record-size', '200', '--throughput', '-1'];
    await expectTool(Tool.ProducerPerformance, (at) => [...at, '--topic', topic, ...load]);
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  check('reads every record of every segment', Tool.DumpLogSegments, dump(topic, '.log', '--deep-iteration'), {
    prints: new RegExp(`\\| offset: ${recordCount - 1} `),
    printsNot: unsound,
  });
  check('finds the offset indexes in step with the logs', Tool.DumpLogSegments, dump(topic, '.index'), {
    prints: /^offset: \d+ position: \d+/m,
    printsNot: unsound,
  });
  check('finds the time indexes in step with the logs', Tool.DumpLogSegments, dump(topic, '.timeindex'), {
    prints: /^timestamp: \d+ offset: \d+/m,
    printsNot: unsound,
  });
  check('reads the producer snapshots', Tool.DumpLogSegments, dump(topic, '.snapshot'), {
    prints: /producerId: \d+ producerEpoch: 0/,
    printsNot: unsound,
  });

  test('a topic with compression.type=zstd holds zstd, whatever was produced', async () => {
    const recompressed = uniqueName('jt-zstd');
    const config = ['--partitions', '1', '--config', 'compression.type=zstd'];
    await expectTool(Tool.Topic, (at) => [...at, '--create', '--topic', recompressed, ...config]);
    const gzip: Arguments = (at) => [...at, '--topic', recompressed, '--compression-codec', 'gzip'];
    await expectTool(Tool.ConsoleProducer, gzip, { input: 'x\n'.repeat(100) });
    await expectTool(Tool.DumpLogSegments, dump(recompressed, '.log'), {
      prints: /compresscodec: zstd/i,
      printsNot: /compresscodec: gzip|isvalid: false/i,
    });
  });

  test('decodes the committed offsets of a group from __consumer_offsets', async () => {
    const group = uniqueName('jt-decoded');
    const reset = ['--reset-offsets', '--group', group, '--topic', topic, '--to-offset', '7', '--execute'];
    await expectTool(Tool.ConsumerGroup, (at) => [...at, ...reset]);
    const folders = readdirSync(broker.dataDir ?? '').filter((name) => name.startsWith('__consumer_offsets-'));
    const logs = folders.map((name) => join(broker.dataDir ?? '', name, '00000000000000000000.log'));
    await expectTool(Tool.DumpLogSegments, () => ['--files', logs.join(','), '--offsets-decoder'], {
      prints: new RegExp(`"group":"${group}","topic":"${topic}","partition":0.*"offset":7`),
      printsNot: unsound,
    });
  });
});
