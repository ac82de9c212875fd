/** Apache Kafka's LogCompactionTester: it writes updates and deletes of keys, and reads them back from a log that is compacted meanwhile. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findKafkaJars, toolChain } from '../support/tool-chains.ts';
import { type Broker, startBroker } from './support/broker.ts';
import { type Arguments, Tool, toolChecks } from './support/java.ts';

const jars = (await toolChain('Java tools', findKafkaJars)) ?? '';
const knowsDataDir = !('ODRADEK_COMPAT_BOOTSTRAP' in process.env) || 'ODRADEK_COMPAT_DATA_DIR' in process.env;
let broker: Broker;
const { expectTool } = toolChecks(jars, () => broker);

const PRODUCED = 100_000;

describe.skipIf(jars === '' || !knowsDataDir)('LogCompactionTester of Apache Kafka 4.3.1', () => {
  beforeAll(async () => {
    broker = await startBroker({
      'log.cleaner.backoff.ms': '1000',
      'log.cleaner.min.cleanable.ratio': '0.01',
      // The smallest there is: without it the tool's records would all stay in the active segment.
      'log.segment.bytes': '1048576',
    });
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  test('finds every last value; the log was compacted, and Kafka reads its files', async () => {
    const args = ['--messages', String(PRODUCED), '--topics', '1', '--percent-deletes', '20', '--sleep', '5'];
    await expectTool(Tool.LogCompaction, (at) => [...at, ...args], {
      timeoutMs: 38_000,
      prints: /Data verification is completed/,
    });
    const dataDir = broker.dataDir ?? '';
    const [topic] = readdirSync(dataDir).filter((name) => name.startsWith('log-cleaner-test-'));
    const folder = join(dataDir, topic ?? '');
    const cleaned = readFileSync(join(dataDir, 'cleaner-offset-checkpoint'), 'utf8');
    const [, cleanedTo] = /^log-cleaner-test-\S+ 0 (\d+)$/m.exec(cleaned) ?? [];
    expect(Number(cleanedTo), cleaned).toBeGreaterThan(PRODUCED / 2);
    const files = readdirSync(folder).sort();
    expect(files.filter((name) => /cleaned|swap/.test(name))).toEqual([]);
    const bases = files.filter((name) => name.endsWith('.log')).map((name) => name.slice(0, -'.log'.length));
    // Half of the records are in one segment now, which is as large as one of those that it was made of at most.
    expect(bases.filter((base) => Number(base) < Number(cleanedTo)).length).toBeLessThan(3);
    const dumped = (extensions: readonly string[], of: readonly string[]): Arguments => {
      const paths = of.flatMap((base) => extensions.map((extension) => join(folder, base + extension)));
      return () => ['--files', paths.join(',')];
    };
    const printsNot = /isvalid: false|Exception|Mismatch|Found|Could not/i;
    await expectTool(Tool.DumpLogSegments, dumped(['.log'], bases), { prints: /isvalid: true/, printsNot });
    const indexes = dumped(['.index', '.timeindex'], bases.slice(0, -1));
    await expectTool(Tool.DumpLogSegments, indexes, { prints: /^offset: \d+ position: \d+/m, printsNot });
  });
});
