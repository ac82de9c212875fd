/** Applications of the Kafka ecosystem, unchanged, on three nodes: Kafka Streams and Kafka Connect 4.3.1. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { findKafkaJars, toolChain } from '../support/tool-chains.ts';
import { numbered, uniqueName } from './support/broker.ts';
import { Bystander } from './support/bystander.ts';
import { Tool } from './support/java.ts';
import { RunningTool } from './support/running-tool.ts';
import { threeNodes } from './support/three-nodes.ts';

const jars = (await toolChain('Java tools', findKafkaJars)) ?? '';
const bootstrap = threeNodes(jars !== '');
const bystander = new Bystander(bootstrap);

describe.skipIf(jars === '')('Java applications', () => {
  test('Kafka Streams, exactly once: a word count that is killed midway and started again counts each word once', async () => {
    using folder = temporaryFolder('word-count');
    const [from, to] = [await bystander.createTopic(3), await bystander.createTopic(1)];
    const program = join(import.meta.dirname, 'java/WordCount.java');
    const args = [bootstrap(), uniqueName('word-count'), folder.path, from, to];
    const lines = (first: number) =>
      Array.from({ length: 300 }, (_, index) => {
        const id = first + index;
        return { partition: id % 3, value: `all w${id % 17} x${id % 5}` };
      });

    const killed = RunningTool.start(jars, program, args);
    await bystander.write(from, lines(0));
    await killed.reaches('running', () => (killed.lines.includes('RUNNING') ? true : undefined), 90_000);
    const [application = ''] = args.slice(1);
    await until('the first commits', 60_000, async () =>
      (await bystander.committed(application, from)).some((offset) => offset > 0) ? true : undefined,
    );
    await bystander.write(from, lines(300));
    await killed.kill();
    const successor = RunningTool.start(jars, program, args);
    await bystander.write(from, lines(600));
    await successor.reaches('running', () => (successor.lines.includes('RUNNING') ? true : undefined), 90_000);
    await until('all commits', 60_000, async () =>
      (await bystander.committed(application, from)).every((offset) => offset === 300) ? true : undefined,
    );
    const countsOf = async (): Promise<ReadonlyMap<string, readonly number[]>> => {
      const counts = new Map<string, number[]>();
      for (const { key, value } of await bystander.readAll(to)) {
        const word = key?.toString() ?? '';
        counts.set(word, [...(counts.get(word) ?? []), Number(value?.toString())]);
      }
      return counts;
    };
    // What is read is on its way through a topic in between for a while.
    await until('all words', 60_000, async () => {
      const total = [...(await countsOf()).values()].reduce((sum, { length }) => sum + length, 0);
      return total >= 3 * 900 ? true : undefined;
    });
    expect(await successor.stop()).toBe(143);

    const counts = await countsOf();
    const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index + 1);
    expect(counts.get('all')).toEqual(upTo(900));
    for (let id = 0; id < 17; id += 1) {
      const times = Array.from({ length: 900 }, (_, index) => index).filter((index) => index % 17 === id).length;
      expect(counts.get(`w${id}`)).toEqual(upTo(times));
    }
    for (let id = 0; id < 5; id += 1) expect(counts.get(`x${id}`)).toEqual(upTo(180));
    expect(counts.size).toBe(1 + 17 + 5);
  });

  test('Kafka Connect, standalone: a file goes through a topic into another file, also what is added after a restart', async () => {
    using folder = temporaryFolder('connect');
    const topic = await bystander.createTopic(1);
    const at = (name: string): string => join(folder.path, name);
    const propertiesFile = (name: string, settings: Readonly<Record<string, string | number>>): string => {
      const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`);
      writeFileSync(at(name), lines.join(''));
      return at(name);
    };
    const text = 'org.apache.kafka.connect.storage.StringConverter';
    const worker = propertiesFile('worker.properties', {
      'bootstrap.servers': bootstrap(),
      'key.converter': text,
      'value.converter': text,
      'offset.storage.file.filename': at('offsets'),
      'offset.flush.interval.ms': 500,
      listeners: `http://127.0.0.1:${await freePort()}`,
    });
    const source = propertiesFile('source.properties', {
      name: uniqueName('source'),
      'connector.class': 'org.apache.kafka.connect.file.FileStreamSourceConnector',
      file: at('in.txt'),
      topic,
    });
    const sink = propertiesFile('sink.properties', {
      name: uniqueName('sink'),
      'connector.class': 'org.apache.kafka.connect.file.FileStreamSinkConnector',
      file: at('out.txt'),
      topics: topic,
    });
    writeFileSync(at('out.txt'), '');
    let written = '';
    for (const part of ['first', 'second']) {
      written += numbered(`${part} `, 200)
        .map((line) => `${line}\n`)
        .join('');
      writeFileSync(at('in.txt'), written);
      const connect = RunningTool.start(jars, Tool.ConnectStandalone, [worker, source, sink]);
      await connect.reaches(
        `the ${part} lines`,
        () => (readFileSync(at('out.txt'), 'utf8') === written ? true : undefined),
        90_000,
      );
      await connect.stop();
    }
    const values = (await bystander.readAll(topic)).map(({ value }) => `${value?.toString()}\n`);
    expect(values.join('')).toBe(written);
  });
});
