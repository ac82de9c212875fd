import { expect, test } from 'vitest';
import { SimRandom } from '#sim/ports/sim-random';
import { Scenario } from './scenario.ts';
import { TransactionalClient, type TransactionalProducer } from './transactional-client.ts';

const TOPIC = 'payments';
const PARTITIONS = [0, 1, 2];
const TRANSACTIONS = 25;
const SEEDS = Number(process.env.TRANSACTION_SEEDS ?? 2);

interface Tried {
  readonly name: string;
  /** 'unknown': somebody said neither. */
  outcome: 'committed' | 'aborted' | 'unknown';
}

/** One producer's transactions, each a record to every partition and an offset; whatever goes wrong, it begins anew. */
async function work(producer: TransactionalProducer, random: SimRandom, tried: Tried[]): Promise<void> {
  const prefix = producer.name;
  await producer.begin();
  for (let number = 1; number <= TRANSACTIONS; number += 1) {
    const transaction: Tried = { name: `${prefix}-${number}`, outcome: 'aborted' };
    tried.push(transaction);
    let failed = false;
    for (const partition of PARTITIONS) {
      const sent = await producer.send(TOPIC, partition, transaction.name);
      if (typeof sent === 'string') failed = true;
    }
    if ((await producer.commitOffset(prefix, TOPIC, number)) !== 'NONE') failed = true;
    const commits = !failed && random.uint32() % 4 !== 0;
    if (commits) transaction.outcome = 'unknown';
    const ended = await producer.end(commits ? 'commit' : 'abort');
    if (ended === 'NONE' && commits) transaction.outcome = 'committed';
    if (ended !== 'NONE') await producer.begin();
  }
}

/** Machines lose their power, one at a time, and come back. */
async function strike(scenario: Scenario, random: SimRandom, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await scenario.pass(200 + (random.uint32() % 2_000));
    const machine = scenario.cluster.any(random);
    await scenario.losePower(machine);
    await scenario.pass(random.uint32() % 4_000);
    machine.start();
    await scenario.becomesWhole(60_000);
  }
}

test.each(
  Array.from({ length: SEEDS }, (_, index) => ({
    seed: 700 + index,
    version: index % 2 === 0 ? (2 as const) : (1 as const),
  })),
)(
  'T1, T4: while machines lose their power, every transaction is whole or not there, as was told (seed $seed, version $version)',
  async ({ seed, version }) => {
    const scenario = await Scenario.whole(seed);
    const random = new SimRandom(`transactions under faults ${seed}`);
    const client = new TransactionalClient(scenario, 'client');
    await scenario.world.complete(client.createTopic(TOPIC, PARTITIONS.length));
    const tried: Tried[] = [];
    // Connections are for one request at a time.
    const producers = ['a', 'b'].map((id) => new TransactionalClient(scenario, id).producer(id, version));
    let isOver = false;
    let failure: unknown;
    const working = Promise.all(producers.map((producer) => work(producer, random, tried))).then(
      () => {
        isOver = true;
      },
      (error: unknown) => {
        failure = error;
        isOver = true;
      },
    );
    await strike(scenario, random, () => isOver);
    await scenario.world.complete(working);
    expect(failure).toBeUndefined();
    // What their last transactions leave behind is decided before somebody else may begin.
    for (const producer of producers) await scenario.world.complete(client.producer(producer.name, version).begin());
    const seen: string[][] = [];
    for (const partition of PARTITIONS)
      seen.push((await scenario.world.complete(client.readCommitted(TOPIC, partition))).values);
    for (const { name, outcome } of tried) {
      const counts = seen.map((values) => values.filter((value) => value === name).length);
      if (outcome === 'committed') expect([name, counts]).toEqual([name, [1, 1, 1]]);
      else if (outcome === 'aborted') expect([name, counts]).toEqual([name, [0, 0, 0]]);
      else expect([name, counts[0], new Set(counts).size]).toEqual([name, Math.min(1, counts[0] ?? 0), 1]);
    }
    expect(tried.filter(({ outcome }) => outcome === 'committed').length).toBeGreaterThan(TRANSACTIONS / 2);
    for (const { name: group } of producers) {
      const ended = tried.filter(({ name }) => name.startsWith(`${group}-`) && seen[0]?.includes(name));
      const last = Number(ended.at(-1)?.name.split('-')[1]);
      expect(await scenario.world.complete(client.committed(group, TOPIC))).toBe(last);
    }
  },
  120_000,
);
