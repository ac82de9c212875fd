/** Clients that can write and read record batches of a given codec, as the codec matrix needs them. */
import { join } from 'node:path';
import { Consumer, Producer, stringDeserializers } from '@platformatic/kafka';
import { Kafka, CompressionTypes as KafkajsCodec, logLevel } from 'kafkajs';
import { repositoryRoot } from '../../support/odradek-process.ts';
import { runOrThrow, until } from '../../support/process.ts';
import { uniqueName } from './broker.ts';
import { runTool, Tool } from './java.ts';

export const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
export type CodecName = (typeof codecNames)[number];

export interface CodecPeer {
  readonly name: string;
  readonly codecs: readonly CodecName[];
  produce(bootstrap: string, topic: string, codec: CodecName, values: readonly string[]): Promise<void>;
  /** The topic's first `count` values. */
  consume(bootstrap: string, topic: string, count: number): Promise<readonly string[]>;
}

const timeoutMs = 60_000;
const inLines = (values: readonly string[]): string => values.map((value) => `${value}\n`).join('');
const ofLines = (text: string): readonly string[] => text.split('\n').slice(0, -1);

export function javaPeer(jars: string): CodecPeer {
  const tool = async (name: Tool, args: readonly string[], input = ''): Promise<string> => {
    const { status, stdout, output } = await runTool(jars, name, args, { input });
    if (status !== 0) throw new Error(output);
    return stdout;
  };
  return {
    name: 'Java console tools',
    codecs: codecNames,
    produce: async (bootstrap, topic, codec, values) => {
      const args = ['--bootstrap-server', bootstrap, '--topic', topic, '--compression-codec', codec];
      await tool(Tool.ConsoleProducer, args, inLines(values));
    },
    consume: async (bootstrap, topic, count) => {
      const args = ['--bootstrap-server', bootstrap, '--topic', topic, '--from-beginning'];
      return ofLines(
        await tool(Tool.ConsoleConsumer, [...args, '--max-messages', `${count}`, '--timeout-ms', '20000']),
      );
    },
  };
}

export function kcatPeer(kcat: string): CodecPeer {
  return {
    name: 'kcat',
    codecs: codecNames,
    produce: async (bootstrap, topic, codec, values) => {
      const options = ['-X', `compression.codec=${codec}`, '-X', 'linger.ms=50'];
      await runOrThrow(kcat, ['-b', bootstrap, '-P', '-t', topic, ...options], { input: inLines(values), timeoutMs });
    },
    consume: async (bootstrap, topic, count) =>
      ofLines(await runOrThrow(kcat, ['-b', bootstrap, '-C', '-q', '-t', topic, '-c', `${count}`], { timeoutMs })),
  };
}

export function pythonPeer(commands: string, client: string): CodecPeer {
  const peer = (args: readonly string[], input = ''): Promise<string> => {
    const script = join(repositoryRoot, 'test/compat/python/codec_peer.py');
    return runOrThrow(join(commands, 'python'), [script, client, ...args], { input, timeoutMs });
  };
  return {
    name: client,
    codecs: codecNames,
    produce: async (bootstrap, topic, codec, values) => {
      await peer(['produce', bootstrap, topic, codec], inLines(values));
    },
    consume: async (bootstrap, topic, count) => ofLines(await peer(['consume', bootstrap, topic, `${count}`])),
  };
}

export const platformaticPeer: CodecPeer = {
  name: '@platformatic/kafka',
  codecs: codecNames,
  produce: async (bootstrap, topic, compression, values) => {
    const producer = new Producer({ clientId: 'codecs', bootstrapBrokers: [bootstrap] });
    const messages = values.map((value) => ({ topic, value: Buffer.from(value) }));
    await producer.send({ acks: -1, compression, messages });
    await producer.close();
  },
  consume: async (bootstrap, topic, count) => {
    const consumer = new Consumer({
      clientId: 'codecs',
      bootstrapBrokers: [bootstrap],
      groupId: uniqueName('codecs'),
      deserializers: stringDeserializers,
      maxWaitTime: 100,
    });
    const values: string[] = [];
    for await (const message of await consumer.consume({ topics: [topic], mode: 'earliest' })) {
      values.push(message.value);
      if (values.length === count) break;
    }
    await consumer.close(true);
    return values;
  },
};

/** kafkajs comes with gzip alone; the other codecs are plug-ins by third parties. */
export const kafkajsPeer: CodecPeer = {
  name: 'kafkajs',
  codecs: ['none', 'gzip'],
  produce: async (bootstrap, topic, codec, values) => {
    const producer = kafkajsClient(bootstrap).producer();
    await producer.connect();
    const compression = codec === 'gzip' ? KafkajsCodec.GZIP : KafkajsCodec.None;
    await producer.send({ topic, acks: -1, compression, messages: values.map((value) => ({ value })) });
    await producer.disconnect();
  },
  consume: async (bootstrap, topic, count) => {
    const consumer = kafkajsClient(bootstrap).consumer({ groupId: uniqueName('codecs'), maxWaitTimeInMs: 100 });
    const values: string[] = [];
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message }) => {
        values.push(message.value?.toString() ?? '');
      },
    });
    await until(`${count} records`, timeoutMs, () => (values.length >= count ? true : undefined));
    await consumer.disconnect();
    return values;
  },
};

function kafkajsClient(bootstrap: string): Kafka {
  return new Kafka({ brokers: [bootstrap], clientId: 'codecs', logLevel: logLevel.NOTHING });
}
