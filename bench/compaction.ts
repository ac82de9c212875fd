/**
 * `make compaction`: how fast a log of keyed records is compacted, by one broker of Odradek and one of Apache Kafka, one after the other.
 * The records are written while the topic is not compacted; then it is, and its size is looked at until it stays. ROUNDS (3), MIB (512),
 * SYSTEM=odradek|kafka|both, MARKDOWN=FILE for the table.
 */
import { writeFileSync } from 'node:fs';
import { Codec } from '#base/ports';
import { ErrorCode, errorName } from '#model/errors';
import { createCodecs } from '#platform/codecs';
import { NodeNetwork } from '#platform/node-network';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeDescribeLogDirsRequest } from '#protocol/generated/describe-log-dirs-request';
import { readDescribeLogDirsResponse } from '#protocol/generated/describe-log-dirs-response';
import { writeIncrementalAlterConfigsRequest } from '#protocol/generated/incremental-alter-configs-request';
import { readIncrementalAlterConfigsResponse } from '#protocol/generated/incremental-alter-configs-response';
import { buildBatch } from '#protocol/record-batch-builder';
import { Cluster } from '../test/support/cluster/cluster.ts';
import { loopbackSites } from '../test/support/cluster/sites.ts';
import { apacheKafka, odradek, type System } from '../test/support/cluster/systems.ts';
import { sleep } from '../test/support/process.ts';
import { produce } from '../test/support/produce.ts';
import { temporaryFolder } from '../test/support/temporary-folder.ts';
import { findKafkaJars } from '../test/support/tool-chains.ts';
import { WireClient } from '../test/support/wire-client.ts';
import { cpuSeconds } from './measure.ts';
import { type Comparison, type Metric, table } from './report.ts';

const rounds = Number(process.env.ROUNDS ?? 3);
const mebibytes = Number(process.env.MIB ?? 512);
const both = { odradek, kafka: apacheKafka(await findKafkaJars()) };
const named = process.env.SYSTEM ?? 'both';
const systems = named === 'both' ? Object.values(both) : [both[named as keyof typeof both]];

const TOPIC = 'compacted';
const SEGMENT_BYTES = 64 << 20;
const RECORDS_PER_BATCH = 140;
const BATCHES_PER_REQUEST = 32;
const VALUE_BYTES = 84;
const ANSWER_MS = 30_000;
/** After the last write, so that how fast is measured, and not how soon: Odradek compacts what a checkpoint, one in 5 s, says is on the disk. */
const REST_MS = 6_000;
/** A size that has not changed for so long is the last one. */
const STEADY_MS = 3_000;
const PATIENCE_MS = 300_000;
/** Of the keys there are few, and nearly everything goes; or many, and half of it stays. */
const KEYS = [1_000, 1_000_000] as const;

interface Compacted {
  readonly megabytesPerSecond: number;
  readonly cpuSecondsPerGb: number;
  /** Of what was there. */
  readonly left: number;
}

const codecs = createCodecs();

function batchOf(numbers: Generator<number>, keys: number): Uint8Array {
  const records = Array.from({ length: RECORDS_PER_BATCH }, () => {
    const number = numbers.next().value as number;
    const key = Buffer.from(String(number % keys).padStart(16, 'k'));
    return { timestamp: Date.now(), key, value: Buffer.alloc(VALUE_BYTES, `${number}`) };
  });
  return buildBatch({ baseOffset: 0, leaderEpoch: 0, codec: Codec.None, records }, codecs);
}

/** The same for both systems. */
function* pseudoRandom(): Generator<number, never> {
  for (let seed = 1; ; ) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    yield seed;
  }
}

function must(errorCode: number | undefined, what: string): void {
  if (errorCode !== ErrorCode.None) throw new Error(`${what}: ${errorName(errorCode as ErrorCode)}`);
}

/** One broker's topic, as its admin and its producer. */
class Topic {
  readonly #client: WireClient;

  constructor(client: WireClient) {
    this.#client = client;
  }

  async create(): Promise<void> {
    const configs = [
      { name: 'segment.bytes', value: String(SEGMENT_BYTES) },
      { name: 'min.cleanable.dirty.ratio', value: '0.01' },
    ];
    const topic = { name: TOPIC, numPartitions: 1, replicationFactor: 1, assignments: [], configs };
    const request = { topics: [topic], timeoutMs: ANSWER_MS };
    const answer = await this.#client.request(
      ApiKey.CreateTopics,
      5,
      request,
      writeCreateTopicsRequest,
      readCreateTopicsResponse,
    );
    must(answer.topics[0]?.errorCode, 'the topic was not made');
  }

  async fill(keys: number): Promise<void> {
    const numbers = pseudoRandom();
    for (let written = 0; written < mebibytes << 20; ) {
      // A request carries one batch for a partition: those of some requests are on their way together.
      const batches = Array.from({ length: BATCHES_PER_REQUEST }, () => batchOf(numbers, keys));
      await Promise.all(batches.map((batch) => this.#write(batch)));
      for (const batch of batches) written += batch.length;
    }
  }

  async #write(batch: Uint8Array): Promise<void> {
    const answer = await produce(this.#client, { topic: TOPIC, timeoutMs: ANSWER_MS }, batch);
    must(answer?.errorCode, 'a batch was not taken');
  }

  async compact(): Promise<void> {
    const configs = [{ name: 'cleanup.policy', configOperation: 0, value: 'compact' }];
    const resources = [{ resourceType: 2, resourceName: TOPIC, configs }];
    const answer = await this.#client.request(
      ApiKey.IncrementalAlterConfigs,
      1,
      { resources, validateOnly: false },
      writeIncrementalAlterConfigsRequest,
      readIncrementalAlterConfigsResponse,
    );
    must(answer.responses[0]?.errorCode, 'the policy was not changed');
  }

  async sizeBytes(): Promise<number> {
    const answer = await this.#client.request(
      ApiKey.DescribeLogDirs,
      4,
      { topics: [{ topic: TOPIC, partitions: [0] }] },
      writeDescribeLogDirsRequest,
      readDescribeLogDirsResponse,
    );
    return answer.results[0]?.topics[0]?.partitions[0]?.partitionSize ?? Number.NaN;
  }
}

async function measure(system: System, keys: number): Promise<Compacted> {
  using folder = temporaryFolder('compaction');
  const settings = {
    'log.cleaner.backoff.ms': '100',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
  };
  await using cluster = Cluster.start(await system.prepare(folder.path, loopbackSites(1), settings));
  await cluster.registered();
  const [member] = cluster.awake;
  const [pid] = cluster.pids;
  if (member === undefined || pid === undefined) throw new Error('the broker has ended');
  const client = WireClient.open(new NodeNetwork(), member);
  try {
    const topic = new Topic(client);
    await topic.create();
    await topic.fill(keys);
    await sleep(REST_MS);
    const before = await topic.sizeBytes();
    const cpuBefore = cpuSeconds(pid);
    const begun = performance.now();
    await topic.compact();
    let size = before;
    let changedAt = begun;
    let cpu = cpuBefore;
    while (size === before || performance.now() - changedAt < STEADY_MS) {
      if (performance.now() - begun > PATIENCE_MS) throw new Error('it is not compacted yet');
      await sleep(20);
      const now = await topic.sizeBytes();
      if (now === size) continue;
      size = now;
      changedAt = performance.now();
      cpu = cpuSeconds(pid);
    }
    return {
      megabytesPerSecond: before / 1e3 / (changedAt - begun),
      cpuSecondsPerGb: (cpu - cpuBefore) / (before / 1e9),
      left: (100 * size) / before,
    };
  } finally {
    client.close();
  }
}

const comparisons: Comparison[] = [];
for (const keys of KEYS) {
  const samples: Record<System['name'], Compacted[]> = { Odradek: [], 'Apache Kafka': [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const system of round % 2 === 0 ? systems : systems.toReversed()) {
      const sample = await measure(system, keys);
      samples[system.name].push(sample);
      console.error(system.name, keys, sample);
    }
  }
  const of = (name: string, unit: string, field: keyof Compacted, moreIsBetter: boolean, digits: number): void => {
    const metric: Metric = { name: `${keys.toLocaleString('en')} keys: ${name}`, unit, digits, moreIsBetter };
    const column = (system: System['name']): number[] => samples[system].map((sample) => sample[field]);
    comparisons.push({ metric, odradek: column('Odradek'), kafka: column('Apache Kafka') });
  };
  of('compacted', 'MB/s', 'megabytesPerSecond', true, 0);
  of('broker CPU', 's/GB', 'cpuSecondsPerGb', false, 1);
  of('left of the log', '%', 'left', false, 0);
}
const text = `${mebibytes} MiB in one partition, segments of ${SEGMENT_BYTES >> 20} MiB, records of 100 B with keys of 16 B in batches of ${RECORDS_PER_BATCH}.\n\n${table(comparisons)}\n`;
console.log(text);
if (process.env.MARKDOWN !== undefined) writeFileSync(process.env.MARKDOWN, text);
