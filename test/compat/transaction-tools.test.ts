/** Transactions with Apache Kafka 4.3.1's own clients and tools; each title begins with the tool's job. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { coordinatorPartition } from '#coordinator/coordinator-partition';
import { findKafkaJars, toolChain } from '../support/tool-chains.ts';
import { type Broker, numbered, startBroker, uniqueName } from './support/broker.ts';
import { runTool, Tool, toolChecks } from './support/java.ts';

const jars = (await toolChain('Java tools', findKafkaJars)) ?? '';
const RECORDS = 1_000;
const TRANSACTION_PARTITIONS = 50;
let broker: Broker;
const { check, expectTool } = toolChecks(jars, () => broker);

describe.skipIf(jars === '')('transactions with Java', () => {
  const input = uniqueName('jt-txn-in');
  const output = uniqueName('jt-txn-out');
  const copier = uniqueName('jt-txn-copier');
  const load = uniqueName('jt-txn-load');

  beforeAll(async () => {
    broker = await startBroker();
    for (const topic of [input, output])
      await expectTool(Tool.Topic, (at) => [...at, '--create', '--topic', topic, '--partitions', '1']);
    await expectTool(Tool.ConsoleProducer, (at) => [...at, '--topic', input], {
      input: `${numbered('v', RECORDS).join('\n')}\n`,
    });
  }, 120_000);
  afterAll(() => broker[Symbol.asyncDispose]());

  test('message-copier: copies with offsets and values in one transaction, of which half are aborted', async () => {
    const outcome = await runTool(jars, Tool.TransactionalMessageCopier, [
      ...['--broker-list', broker.bootstrap, '--transactional-id', copier, '--consumer-group', uniqueName('jt-txn')],
      ...['--input-topic', input, '--input-partition', '0', '--output-topic', output, '--transaction-size', '100'],
      ...['--max-messages', String(RECORDS), '--enable-random-aborts', '--group-mode', '--use-group-metadata'],
    ]);
    expect(outcome.output).toMatch(new RegExp(`"consumed":${RECORDS}`));
  });

  test('console-consumer: sees each value once by read_committed', async () => {
    const outcome = await runTool(jars, Tool.ConsoleConsumer, [
      ...['--bootstrap-server', broker.bootstrap, '--topic', output, '--from-beginning', '--timeout-ms', '5000'],
      ...['--isolation-level', 'read_committed'],
    ]);
    const seen = outcome.output.match(/^v\d+$/gm) ?? [];
    expect([...seen].sort()).toEqual([...numbered('v', RECORDS)].sort());
  });

  check(
    'producer-performance: commits as it goes',
    Tool.ProducerPerformance,
    (at) => [
      ...at,
      ...['--topic', output, '--num-records', '2000', '--record-size', '100', '--throughput', '1000'],
      ...['--transactional-id', load, '--transaction-duration-ms', '100'],
    ],
    { prints: /2000 records sent/ },
  );

  check('transactions list: names them', Tool.Transactions, (at) => [...at, 'list'], {
    prints: new RegExp(`${load}\\s+\\d+\\s+\\d+\\s+CompleteCommit`),
  });
  check(
    'transactions list: by pattern',
    Tool.Transactions,
    (at) => [...at, 'list', '--transactional-id-pattern', 'jt-txn-copier.*'],
    { prints: new RegExp(copier), printsNot: new RegExp(load) },
  );
  check(
    'transactions describe: tells of one',
    Tool.Transactions,
    (at) => [...at, 'describe', '--transactional-id', load],
    { prints: new RegExp(`${load}\\s+\\d+\\s+\\d+\\s+CompleteCommit`) },
  );
  check(
    'transactions find-hanging: finds none',
    Tool.Transactions,
    (at) => [...at, 'find-hanging', '--topic', output],
    { printsNot: new RegExp(`${output}\\s+0`) },
  );
  check('features: transaction.version is finalised at 2', Tool.Feature, (at) => [...at, 'describe'], {
    prints: /transaction\.version.*FinalizedVersionLevel: 2/,
  });

  test.skipIf('ODRADEK_COMPAT_BOOTSTRAP' in process.env)(
    'dump-log: reads what the coordinator has logged',
    async () => {
      const partition = coordinatorPartition(load, TRANSACTION_PARTITIONS);
      const folder = join(broker.dataDir ?? '', `__transaction_state-${partition}`);
      const files = readdirSync(folder).filter((name) => name.endsWith('.log'));
      const outcome = await runTool(jars, Tool.DumpLogSegments, [
        ...['--transaction-log-decoder', '--files', files.map((name) => join(folder, name)).join()],
      ]);
      expect(outcome.status, outcome.output).toBe(0);
      // The completed commits of the load, by the number of their state.
      expect(outcome.output).toMatch(new RegExp(`"transactionalId":"${load}".*"transactionStatus":4`));
    },
  );
});
