import { describe, expect, test } from 'vitest';
import { Scenario } from './scenario.ts';
import { TransactionalClient } from './transactional-client.ts';

const TOPIC = 'payments';
const PARTITIONS = [0, 1, 2];
const TRANSACTION = 1;

/** A cluster whose clients write in transactions, and the power of who coordinates them. */
async function cluster(seed: number) {
  const scenario = await Scenario.whole(seed);
  const client = new TransactionalClient(scenario, 'client');
  const done = <T>(work: Promise<T>): Promise<T> => scenario.world.complete(work);
  await done(client.createTopic(TOPIC, PARTITIONS.length));
  /** By partition; one after another, as the client asks. */
  const readCommitted = async () => {
    const all: string[][] = [];
    for (const partition of PARTITIONS) all.push((await done(client.readCommitted(TOPIC, partition))).values);
    return all;
  };
  /** The machine that loses its power, so that it can come back. */
  const strikeCoordinator = async () => {
    const machine = scenario.cluster.machine(await done(client.coordinatorOf('pay', TRANSACTION)));
    if (machine === undefined) throw new Error('no such machine');
    await scenario.losePower(machine);
    return machine;
  };
  return { scenario, client, done, readCommitted, strikeCoordinator };
}

describe.each([1, 2] as const)('the coordinator of transactions of version %i loses its power', (version) => {
  test('amid a transaction, which its successor ends, and then the next', async () => {
    const { scenario, client, done, readCommitted, strikeCoordinator } = await cluster(11);
    const producer = client.producer('pay', version);
    await done(producer.begin());
    for (const partition of PARTITIONS) expect(await done(producer.send(TOPIC, partition, 'a'))).toBe(0);
    const machine = await strikeCoordinator();
    expect(await done(producer.end('commit'))).toBe('NONE');
    machine.start();
    await scenario.becomesWhole(20_000);
    for (const partition of PARTITIONS) await done(producer.send(TOPIC, partition, 'b'));
    expect(await readCommitted()).toEqual([['a'], ['a'], ['a']]);
    expect(await done(producer.end('abort'))).toBe('NONE');
    // The next one begins when the markers of this one are written.
    await done(producer.send(TOPIC, 0, 'open'));
    expect(await readCommitted()).toEqual([['a'], ['a'], ['a']]);
  }, 60_000);

  test.each([0, 1, 2, 5, 10, 20, 50])(
    '%i ms after it has answered: the outcome reaches every partition',
    async (ms) => {
      const { scenario, client, done, readCommitted, strikeCoordinator } = await cluster(12 + ms);
      const producer = client.producer('pay', version);
      await done(producer.begin());
      for (const partition of PARTITIONS) await done(producer.send(TOPIC, partition, 'a'));
      expect(await done(producer.end('commit'))).toBe('NONE');
      await scenario.pass(ms);
      const machine = await strikeCoordinator();
      await scenario.pass(5_000);
      expect(await readCommitted()).toEqual([['a'], ['a'], ['a']]);
      machine.start();
      await scenario.becomesWhole(20_000);
      await done(producer.send(TOPIC, 0, 'b'));
      expect(await done(producer.end('commit'))).toBe('NONE');
      await done(producer.send(TOPIC, 1, 'open'));
      expect(await readCommitted()).toEqual([['a', 'b'], ['a'], ['a']]);
    },
    60_000,
  );

  test('amid a transaction that nobody ends: its time runs on, and the consumers go on after it', async () => {
    const { scenario, client, done, strikeCoordinator } = await cluster(13);
    const producer = client.producer('pay', version);
    await done(producer.begin());
    await done(producer.send(TOPIC, 0, 'left'));
    await scenario.pass(30_000);
    const machine = await strikeCoordinator();
    await scenario.pass(5_000);
    machine.start();
    await scenario.pass(20_000);
    expect((await done(client.readCommitted(TOPIC, 0))).end).toBe(0);
    await scenario.pass(10_000);
    expect(await done(client.readCommitted(TOPIC, 0))).toEqual({ values: [], end: 2 });
    expect(await done(producer.end('commit'))).toMatch(/^(PRODUCER_FENCED|INVALID_PRODUCER_EPOCH)$/);
  }, 60_000);
});
