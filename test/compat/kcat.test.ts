/** kcat (librdkafka in C) from Debian: what people type first. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Outcome, run } from '../support/process.ts';
import { findKcat, toolChain } from '../support/tool-chains.ts';
import { type Broker, numbered, startBroker, uniqueName } from './support/broker.ts';

const kcat = (await toolChain('kcat', findKcat)) ?? '';
let broker: Broker;

async function expectKcat(args: readonly string[], input?: string): Promise<readonly string[]> {
  const limit = { timeoutMs: 30_000, ...(input === undefined ? {} : { input }) };
  const outcome: Outcome = await run(kcat, ['-b', broker.bootstrap, ...args], limit);
  expect(outcome.status, outcome.output).toBe(0);
  return outcome.stdout.split('\n').slice(0, -1);
}

const consume = (topic: string, ...args: string[]): Promise<readonly string[]> =>
  expectKcat(['-C', '-q', '-e', '-t', topic, ...args]);

const produce = (topic: string, lines: readonly string[], ...args: string[]): Promise<readonly string[]> =>
  expectKcat(['-P', '-t', topic, ...args], `${lines.join('\n')}\n`);

describe.skipIf(kcat === '')('kcat', () => {
  beforeAll(async () => {
    broker = await startBroker();
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  test('-L lists the broker, and a topic with its partitions once it was produced to', async () => {
    const topic = uniqueName('kcat-list');
    await produce(topic, ['x']);
    const listing = (await expectKcat(['-L'])).join('\n');
    expect(listing).toContain(`broker ${broker.nodeId} at ${broker.bootstrap}`);
    expect(listing).toContain(`topic "${topic}" with 1 partitions`);
  });

  test('-P and -C: lines come back in order', async () => {
    const topic = uniqueName('kcat-lines');
    const values = numbered('line ', 1000);
    await produce(topic, values, '-X', 'acks=all', '-X', 'enable.idempotence=true');
    expect(await consume(topic)).toEqual(values);
  });

  test('-K, -H and -f: keys, headers, null values and offsets are kept', async () => {
    const topic = uniqueName('kcat-keys');
    await produce(topic, ['a:1', 'b:', 'c:3'], '-K:', '-Z', '-H', 'origin=kcat');
    expect(await consume(topic, '-f', '%o %k %S %h\\n')).toEqual([
      '0 a 1 origin=kcat',
      '1 b -1 origin=kcat',
      '2 c 1 origin=kcat',
    ]);
  });

  test('-o: begins at an offset, before the end, and at a timestamp', async () => {
    const topic = uniqueName('kcat-offset');
    await produce(topic, numbered('', 10));
    expect(await consume(topic, '-p', '0', '-o', '7')).toEqual(['7', '8', '9']);
    expect(await consume(topic, '-p', '0', '-o', '-2')).toEqual(['8', '9']);
    const hourAgo = Date.now() - 3_600_000;
    expect(await consume(topic, '-p', '0', '-o', `s@${hourAgo}`)).toEqual(numbered('', 10));
  });

  test('-Q finds the offset of a timestamp', async () => {
    const topic = uniqueName('kcat-query');
    await produce(topic, ['x', 'y']);
    const [answer] = await expectKcat(['-Q', '-t', `${topic}:0:${Date.now() - 3_600_000}`]);
    expect(answer).toMatch(new RegExp(`^${topic} \\[0\\] offset 0$`));
  });

  test('-G consumes in a group, and its second run goes on where the first one stopped', async () => {
    const topic = uniqueName('kcat-group');
    const group = uniqueName('kcat-group');
    await produce(topic, numbered('', 30));
    const read = (count: number): Promise<readonly string[]> =>
      expectKcat(['-G', group, '-q', '-c', String(count), '-X', 'auto.offset.reset=earliest', topic]);
    expect(await read(20)).toEqual(numbered('', 20));
    expect(await read(10)).toEqual(numbered('', 30).slice(20));
  });

  test('-P with acks=0 and acks=1 arrives too', async () => {
    const topic = uniqueName('kcat-acks');
    await produce(topic, ['all'], '-X', 'acks=all');
    await produce(topic, ['none'], '-X', 'acks=0');
    await produce(topic, ['one'], '-X', 'acks=1');
    expect(new Set(await consume(topic))).toEqual(new Set(['all', 'none', 'one']));
  });
});
