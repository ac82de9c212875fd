import { describe, expect, test } from 'vitest';
import { Scenario } from './scenario.ts';
import { TransactionalClient } from './transactional-client.ts';

const TOPIC = 'payments';
const PARTITIONS = [0, 1, 2];

async function cluster(seed = 1) {
  const scenario = await Scenario.whole(seed);
  const client = new TransactionalClient(scenario, 'client');
  const done = <T>(work: Promise<T>): Promise<T> => scenario.world.complete(work);
  await done(client.createTopic(TOPIC, PARTITIONS.length));
  /** What read_committed consumers see of all partitions. */
  const seen = async (): Promise<string[]> => {
    const all: string[] = [];
    for (const partition of PARTITIONS) all.push(...(await client.readCommitted(TOPIC, partition)).values);
    return all.sort();
  };
  return { scenario, client, done, seen };
}

describe.each([1, 2] as const)('transactions of version %i in a cluster of three nodes', (version) => {
  test('T1: are seen as a whole or not at all, with the offsets that they commit', async () => {
    const { client, done, seen } = await cluster();
    const producer = client.producer('pay', version);
    await done(producer.begin());
    for (const partition of PARTITIONS) expect(await done(producer.send(TOPIC, partition, `a${partition}`))).toBe(0);
    expect(await done(producer.commitOffset('g', TOPIC, 7))).toBe('NONE');
    expect([await done(seen()), await done(client.committed('g', TOPIC))]).toEqual([[], 'unstable']);
    expect(await done(producer.end('commit'))).toBe('NONE');
    await done(producer.send(TOPIC, 0, 'b0'));
    expect(await done(producer.commitOffset('g', TOPIC, 9))).toBe('NONE');
    expect(await done(producer.end('abort'))).toBe('NONE');
    await done(producer.send(TOPIC, 1, 'c1'));
    expect(await done(producer.end('commit'))).toBe('NONE');
    // The next one begins when the markers of this one are written.
    await done(producer.send(TOPIC, 2, 'open'));
    expect(await done(seen())).toEqual(['a0', 'a1', 'a2', 'c1']);
    expect(await done(client.committed('g', TOPIC))).toBe(7);
  }, 60_000);

  test('T3: a producer that another one has replaced is fenced on every way', async () => {
    const { client, done, seen } = await cluster(2);
    const old = client.producer('pay', version);
    await done(old.begin());
    await done(old.send(TOPIC, 0, 'old'));
    const young = client.producer('pay', version);
    await done(young.begin());
    expect(young.epoch).toBeGreaterThan(old.epoch);
    const fenced = /^(INVALID_PRODUCER_EPOCH|PRODUCER_FENCED)$/;
    expect(await done(old.send(TOPIC, 0, 'zombie', { adds: false }))).toMatch(fenced);
    expect(await done(old.send(TOPIC, 1, 'zombie'))).toMatch(fenced);
    expect(await done(old.commitOffset('g', TOPIC, 1))).toMatch(fenced);
    expect(await done(old.end('commit'))).toMatch(fenced);
    await done(young.send(TOPIC, 0, 'young'));
    await done(young.end('commit'));
    await done(young.send(TOPIC, 0, 'open'));
    expect(await done(seen())).toEqual(['young']);
  }, 60_000);

  test('T3, T4: offsets that a producer left open are unstable until its successor begins, and as they were from then on', async () => {
    const { scenario, client, done } = await cluster(6);
    const killed = client.producer('pay', version);
    await done(killed.begin());
    expect(await done(killed.commitOffset('g', TOPIC, 5))).toBe('NONE');
    expect(await done(killed.end('commit'))).toBe('NONE');
    await done(killed.send(TOPIC, 0, 'open'));
    expect(await done(killed.commitOffset('g', TOPIC, 9))).toBe('NONE');
    await scenario.pass(10_000);
    expect(await done(client.committed('g', TOPIC))).toBe('unstable');
    // Long before the time of its transaction is up.
    await done(client.producer('pay', version).begin());
    expect(await done(client.committed('g', TOPIC))).toBe(5);
    expect((await done(client.readCommitted(TOPIC, 0))).values).toEqual([]);
  }, 60_000);

  test('T7, T1: go on where a leader has lost its power; a batch that comes again is answered as the first time', async () => {
    const { scenario, client, done, seen } = await cluster(3);
    const producer = client.producer('pay', version);
    await done(producer.begin());
    await done(producer.send(TOPIC, 0, 'first'));
    expect(await done(producer.send(TOPIC, 0, 'second'))).toBe(1);
    const leader = await done(client.leaderOf(TOPIC, 0));
    const machine = scenario.cluster.machine(leader);
    if (machine === undefined) throw new Error('no such machine');
    await scenario.losePower(machine);
    await scenario.pass(3_000);
    expect(await done(client.leaderOf(TOPIC, 0))).not.toBe(leader);
    expect(await done(producer.send(TOPIC, 0, 'second', { again: true, adds: false }))).toBe(1);
    expect(await done(producer.send(TOPIC, 0, 'third', { adds: false }))).toBe(2);
    expect(await done(producer.end('commit'))).toBe('NONE');
    machine.start();
    await scenario.becomesWhole(20_000);
    await done(producer.send(TOPIC, 0, 'open'));
    expect(await done(seen())).toEqual(['first', 'second', 'third']);
  }, 60_000);
});

test('offsets of a transaction outlive their group’s coordinator: its successor knows what is open, and what the marker decides', async () => {
  const { scenario, client, done } = await cluster(5);
  const [kept, dropped] = [client.producer('kept', 2), client.producer('dropped', 2)];
  for (const producer of [kept, dropped]) await done(producer.begin());
  expect(await done(kept.commitOffset('g', TOPIC, 5))).toBe('NONE');
  expect(await done(dropped.commitOffset('g', TOPIC, 9))).toBe('NONE');
  const coordinator = scenario.cluster.machine(await done(client.coordinatorOf('g', 0)));
  if (coordinator === undefined) throw new Error('no such machine');
  await scenario.losePower(coordinator);
  await scenario.pass(3_000);
  expect(await done(client.committed('g', TOPIC))).toBe('unstable');
  expect(await done(kept.end('commit'))).toBe('NONE');
  expect(await done(dropped.end('abort'))).toBe('NONE');
  coordinator.start();
  await scenario.becomesWhole(20_000);
  expect(await done(client.committed('g', TOPIC))).toBe(5);
  const next = scenario.cluster.machine(await done(client.coordinatorOf('g', 0)));
  if (next === undefined) throw new Error('no such machine');
  await scenario.losePower(next);
  await scenario.pass(3_000);
  expect(await done(client.committed('g', TOPIC))).toBe(5);
}, 60_000);

test('KIP-664: what hangs is found and ended by an administrator, and the consumers go on', async () => {
  const { client, done } = await cluster(4);
  const producer = client.producer('pay', 2);
  await done(producer.begin());
  await done(producer.send(TOPIC, 0, 'hangs'));
  expect(await done(client.hanging(TOPIC, 0))).toMatchObject([{ currentTxnStartOffset: 0, lastSequence: 0 }]);
  expect((await done(client.readCommitted(TOPIC, 0))).end).toBe(0);
  expect(await done(client.abortHanging(TOPIC, 0))).toBe('NONE');
  expect(await done(client.hanging(TOPIC, 0))).toEqual([]);
  expect(await done(client.readCommitted(TOPIC, 0))).toEqual({ values: [], end: 2 });
}, 60_000);
