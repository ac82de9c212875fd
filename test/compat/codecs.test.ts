/** Every codec, written by every client, read by every other: one topic per codec that all producers write to. */
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findKafkaJars, findKcat, findPython, toolChain } from '../support/tool-chains.ts';
import { type Broker, numbered, startBroker, uniqueName } from './support/broker.ts';
import {
  type CodecName,
  type CodecPeer,
  codecNames,
  javaPeer,
  kafkajsPeer,
  kcatPeer,
  platformaticPeer,
  pythonPeer,
} from './support/codec-peers.ts';

const recordCount = 200;
const peers: CodecPeer[] = [kafkajsPeer, platformaticPeer];
const kcat = await toolChain('kcat', findKcat);
if (kcat !== undefined) peers.push(kcatPeer(kcat));
const python = await toolChain('Python clients', findPython);
if (python !== undefined) {
  peers.push(...['confluent-kafka', 'kafka-python', 'aiokafka'].map((client) => pythonPeer(python, client)));
}
const jars = await toolChain('Java tools', findKafkaJars);
if (jars !== undefined) peers.push(javaPeer(jars));

describe.each(codecNames)('codec %s', (codec) => {
  const writers = peers.filter((peer) => peer.codecs.includes(codec));
  const written = new Map<CodecPeer, readonly string[]>();
  const topic = uniqueName(`codec-${codec}`);
  let broker: Broker;

  beforeAll(async () => {
    broker = await startBroker();
    const admin = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] });
    await admin.disconnect();
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  test.each(writers.map((peer) => [peer.name, peer] as const))('%s produces it', async (_, peer) => {
    const values = numbered(`${padding(codec)} ${peer.name} `, recordCount);
    await peer.produce(broker.bootstrap, topic, codec, values);
    written.set(peer, values);
  });

  test.each(writers.map((peer) => [peer.name, peer] as const))('%s consumes what all produced', async (_, peer) => {
    const values = await peer.consume(broker.bootstrap, topic, written.size * recordCount);
    expect(written.size).toBe(writers.length);
    expect(values.length).toBe(written.size * recordCount);
    for (const [writer, expected] of written) {
      expect(values.filter((value) => value.includes(` ${writer.name} `))).toEqual(expected);
    }
  });
});

/** Something that compresses, so that no codec can get away with storing it as it is. */
function padding(codec: CodecName): string {
  return codec.repeat(20);
}
