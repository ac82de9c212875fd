/** The consumer group protocol (KIP-848) with Apache Kafka 4.3.1's own clients and tools; each title begins with the tool's job. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findKafkaJars, toolChain } from '../support/tool-chains.ts';
import { type Broker, numbered, startBroker, uniqueName } from './support/broker.ts';
import { runTool, Tool, toolChecks } from './support/java.ts';

const POLL = { timeout: 60_000, interval: 500 };

const jars = (await toolChain('Java tools', findKafkaJars)) ?? '';
let broker: Broker;

const { check, expectTool } = toolChecks(jars, () => broker);

describe.skipIf(jars === '')('the consumer group protocol with Java', () => {
  const topic = uniqueName('jt-kip848');
  const group = uniqueName('jt-kip848-group');
  const by = ['--group-protocol', 'consumer'];
  const ofGroup = ['--entity-type', 'groups', '--entity-name', group];

  beforeAll(async () => {
    broker = await startBroker();
    await expectTool(Tool.Topic, (at) => [...at, '--create', '--topic', topic, '--partitions', '3']);
    // With keys, so that every partition has some: what has none is not committed, and not described.
    const keyed = numbered('k', 300).map((key) => `${key}\t${key}`);
    await expectTool(Tool.ConsoleProducer, (at) => [...at, '--topic', topic, '--reader-property', 'parse.key=true'], {
      input: `${keyed.join('\n')}\n`,
    });
  }, 120_000);
  afterAll(() => broker[Symbol.asyncDispose]());

  check(
    'verifiable-consumer: consumes and commits in a group',
    Tool.VerifiableConsumer,
    (at) => [
      ...at,
      '--topic',
      topic,
      '--group-id',
      group,
      '--max-messages',
      '300',
      '--reset-policy',
      'earliest',
      ...by,
    ],
    { prints: /"name":"offsets_committed"[^\n]*"success":true/ },
  );
  check('consumer-groups-describe: shows no lag', Tool.ConsumerGroup, (at) => [...at, '--describe', '--group', group], {
    prints: new RegExp(`${topic} +0 +(\\d+) +\\1 +0`),
  });
  check('groups-command: says that it is a consumer group', Tool.Groups, (at) => [...at, '--list', '--consumer'], {
    prints: new RegExp(`${group} +Consumer +consumer`),
  });
  check(
    'consumer-groups-reset: moves its offsets to the earliest',
    Tool.ConsumerGroup,
    (at) => [...at, '--reset-offsets', '--group', group, '--topic', topic, '--to-earliest', '--execute'],
    { prints: new RegExp(`${topic} +0 +0`) },
  );
  check(
    'config-alter: a group has configs of its own',
    Tool.Config,
    (at) => [...at, '--alter', ...ofGroup, '--add-config', 'consumer.session.timeout.ms=50000'],
    { prints: /Completed updating/ },
  );
  check('config-describe: shows them', Tool.Config, (at) => [...at, '--describe', ...ofGroup], {
    prints: /consumer\.session\.timeout\.ms=50000/,
  });
  check(
    'config-describe: without a name it lists all groups',
    Tool.Config,
    (at) => [...at, '--describe', '--entity-type', 'groups'],
    { prints: new RegExp(`${group}[^]*consumer\\.session\\.timeout\\.ms=50000`) },
  );

  test('consumer-groups-members, -state: two console consumers share the topic, one of them by a regex', async () => {
    const { bootstrap } = broker;
    const consume = (...what: readonly string[]) =>
      runTool(
        jars,
        Tool.ConsoleConsumer,
        [
          ...['--bootstrap-server', bootstrap, '--group', group, ...what],
          ...['--consumer-property', 'group.protocol=consumer', '--timeout-ms', '20000'],
        ],
        { timeoutMs: 120_000 },
      );
    const consumers = [consume('--topic', topic), consume('--include', `${topic}.*`)];
    const ask = (...what: readonly string[]) =>
      runTool(jars, Tool.ConsumerGroup, ['--bootstrap-server', bootstrap, '--describe', '--group', group, ...what]);
    await expect.poll(async () => (await ask('--state')).output, POLL).toMatch(/Stable +2/);
    // Stable is the group before the regex is resolved, too. Each is told with what it has and what it is to have.
    await expect
      .poll(async () => (await ask('--members', '--verbose')).output.match(new RegExp(`${topic}:`, 'g')), POLL)
      .toHaveLength(4);
    const outcomes = await Promise.all(consumers);
    const total = outcomes.reduce((sum, { output }) => sum + Number(/total of (\d+)/.exec(output)?.[1]), 0);
    expect(total).toBe(300);
  }, 240_000);

  check(
    'consumer-groups-delete: deletes the group',
    Tool.ConsumerGroup,
    (at) => [...at, '--delete', '--group', group],
    {
      prints: /successful/,
    },
  );
});
