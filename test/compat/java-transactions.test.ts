/** Transactions on three nodes: Apache Kafka 4.3.1's message copier, which aborts at random, and its tool for transactions. */
import { describe, expect, test } from 'vitest';
import { until } from '../support/process.ts';
import { findKafkaJars, toolChain } from '../support/tool-chains.ts';
import { numbered, uniqueName } from './support/broker.ts';
import { Bystander } from './support/bystander.ts';
import { runTool, Tool } from './support/java.ts';
import { RunningTool } from './support/running-tool.ts';
import { threeNodes } from './support/three-nodes.ts';

const jars = (await toolChain('Java tools', findKafkaJars)) ?? '';
const bootstrap = threeNodes(jars !== '');
const bystander = new Bystander(bootstrap);

/** What the tool for transactions prints; fails if its exit status is not 0. */
async function transactionsTool(...args: readonly string[]): Promise<string> {
  const outcome = await runTool(jars, Tool.Transactions, ['--bootstrap-server', bootstrap(), ...args]);
  expect(outcome.status, outcome.output).toBe(0);
  return outcome.output;
}

describe.skipIf(jars === '')('Java transactions', () => {
  // Assigned, the copier asks for the committed offset before it fences its predecessor: if that had offsets under way, they stay unstable
  // until its transaction times out. In time for the copier, which asks for a minute.
  const timeout = ['--transaction-timeout', '15000'];
  const modes = { assigned: timeout, 'in a group': ['--group-mode', '--use-group-metadata'] } as const;
  test.each(Object.entries(modes))(
    'message copier, %s: with aborts at random, and killed midway, everything is copied once and in order',
    async (_, mode) => {
      const [source, sink] = [await bystander.createTopic(1), await bystander.createTopic(1)];
      const groupId = uniqueName('group');
      const values = numbered('', 1_000);
      await bystander.write(
        source,
        values.map((value) => ({ value })),
      );
      const args = [
        ...['--broker-list', bootstrap(), '--input-topic', source, '--input-partition', '0', '--output-topic', sink],
        ...['--transactional-id', uniqueName('tx'), '--consumer-group', groupId, '--transaction-size', '25'],
        ...['--enable-random-aborts', ...mode],
      ];
      const killed = RunningTool.start(jars, Tool.TransactionalMessageCopier, args);
      await killed.reaches(
        'some of it',
        () => killed.events.some(({ totalProcessed }) => Number(totalProcessed) > 0) || undefined,
      );
      await killed.kill();
      const [before = 0] = await bystander.committed(groupId, source);
      expect(before).toBeLessThan(values.length);

      const successor = RunningTool.start(jars, Tool.TransactionalMessageCopier, args);
      await successor.reaches('the end', () =>
        successor.events.some(({ remaining }) => remaining === 0) ? true : undefined,
      );
      expect(await successor.ended(60_000)).toBe(0);
      const copied = await bystander.readAll(sink);
      expect(copied.map(({ value }) => value?.toString())).toEqual(values);
      // Control records and what was aborted take offsets too: the random aborts did come about.
      expect(Number(copied.at(-1)?.offset)).toBeGreaterThan(values.length + values.length / 25);
      expect(await bystander.committed(groupId, source)).toEqual([values.length]);
    },
  );

  test('an open transaction is listed, described, found on its partition, and not called hanging', async () => {
    const topic = await bystander.createTopic(1);
    const transactionalId = uniqueName('tx');
    const transaction = await bystander.begin(transactionalId);
    // Old enough to be suspected.
    const timestamp = String(Date.now() - 3_600_000);
    await transaction.send({ topic, acks: -1, messages: [{ partition: 0, value: 'open', timestamp }] });
    const partition = ['--topic', topic, '--partition', '0'];
    const [listed, described, producers, hanging] = await Promise.all([
      transactionsTool('list'),
      transactionsTool('describe', '--transactional-id', transactionalId),
      transactionsTool('describe-producers', ...partition),
      transactionsTool('find-hanging', ...partition, '--max-transaction-timeout', '1'),
    ]);
    const producerId = new RegExp(`${transactionalId}\\s+[123]\\s+(\\d+)\\s+Ongoing`).exec(listed)?.[1];
    expect(producerId, listed).toBeDefined();
    expect(described).toMatch(new RegExp(`\\s${producerId}\\s.*Ongoing.*\\s${topic}-0`));
    expect(producers).toMatch(new RegExp(`^${producerId}\\s.*\\s0\\s*$`, 'm'));
    expect(hanging).not.toContain(topic);
    await transaction.commit();
    await until('its end', 20_000, async () =>
      /CompleteCommit/.test(await transactionsTool('describe', '--transactional-id', transactionalId))
        ? true
        : undefined,
    );
    expect(await transactionsTool('describe-producers', ...partition)).toMatch(
      new RegExp(`^${producerId}\\s.*\\sNone\\s*$`, 'm'),
    );
  });

  test('an administrator aborts a transaction on its partition, and readers go on without it', async () => {
    const topic = await bystander.createTopic(1);
    const transaction = await bystander.begin(uniqueName('tx'));
    await transaction.send({ topic, acks: -1, messages: [{ partition: 0, value: 'open' }] });
    await bystander.write(topic, [{ partition: 0, value: 'behind' }]);
    await transactionsTool('abort', '--topic', topic, '--partition', '0', '--start-offset', '0');
    expect((await bystander.readAll(topic)).map(({ value }) => value?.toString())).toEqual(['behind']);
  });

  test('an administrator ends a transactional id by force: its transaction is aborted, and its producer fenced', async () => {
    const topic = await bystander.createTopic(1);
    const transactionalId = uniqueName('tx');
    const transaction = await bystander.begin(transactionalId);
    await transaction.send({ topic, acks: -1, messages: [{ partition: 0, value: 'open' }] });
    await transactionsTool('forceTerminateTransaction', '--transactionalId', transactionalId);
    expect(await bystander.readAll(topic)).toEqual([]);
    await expect(transaction.commit()).rejects.toThrow(/epoch|fenced/i);
  });
});
