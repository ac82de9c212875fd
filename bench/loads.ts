/** One load: Apache Kafka's own performance tools, the same for both systems. */
import { join } from 'node:path';
import { runOrThrow } from '../test/support/process.ts';
import { cpuSeconds } from './measure.ts';
import type { Running } from './systems.ts';

export interface Produced {
  readonly recordsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly p99Ms: number;
  /** CPU seconds of the broker per 10^9 bytes of values. */
  readonly cpuSecondsPerGb: number;
}

export interface EndToEnd {
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export type Consumed = Omit<Produced, 'p99Ms'>;

const toolTimeoutMs = 10 * 60_000;
const mebibyte = 1024 * 1024;

export class Loads {
  readonly #jars: string;
  readonly #running: Running;

  constructor(jars: string, running: Running) {
    this.#jars = jars;
    this.#running = running;
  }

  async createTopic(topic: string, partitions: number, replicas = 1): Promise<void> {
    await this.#tool('org.apache.kafka.tools.TopicCommand', [
      ...['--bootstrap-server', this.#running.bootstrap, '--create', '--topic', topic],
      ...['--partitions', `${partitions}`, '--replication-factor', `${replicas}`],
      ...(replicas > 2 ? ['--config', 'min.insync.replicas=2'] : []),
    ]);
  }

  /** acks=all and idempotence, the Java producer's defaults; batches of 128 KiB, so that the brokers are the limit. */
  async produce(topic: string, records: number, recordBytes: number): Promise<Produced> {
    const { output, brokerCpuSeconds } = await this.#measured('org.apache.kafka.tools.ProducerPerformance', [
      ...['--bootstrap-server', this.#running.bootstrap, '--topic', topic, '--num-records', `${records}`],
      ...['--record-size', `${recordBytes}`, '--throughput', '-1'],
      // One flag with all values: of several flags the tool takes the last.
      ...['--command-property', 'acks=all', 'enable.idempotence=true', 'batch.size=131072', 'linger.ms=5'],
    ]);
    const last = output.trimEnd().split('\n').at(-1) ?? '';
    const rate = /^(\d+) records sent, ([\d.]+) records\/sec.* ([\d.]+) ms 99th/.exec(last);
    if (rate === null || Number(rate[1]) !== records) throw new Error(`the producer ended with: ${output}`);
    const recordsPerSecond = Number(rate[2]);
    return {
      recordsPerSecond,
      megabytesPerSecond: (recordsPerSecond * recordBytes) / 1e6,
      p99Ms: Number(rate[3]),
      cpuSecondsPerGb: brokerCpuSeconds / ((records * recordBytes) / 1e9),
    };
  }

  /** The rate while fetching: what the group's join took is left out. */
  async consume(topic: string, records: number): Promise<Consumed> {
    const { output, brokerCpuSeconds } = await this.#measured('org.apache.kafka.tools.ConsumerPerformance', [
      ...['--bootstrap-server', this.#running.bootstrap, '--topic', topic, '--num-records', `${records}`],
      ...['--group', `bench-${topic}`, '--timeout', '60000'],
    ]);
    const [header = '', row = ''] = output.trimEnd().split('\n').slice(-2);
    const columns = header.split(', ');
    const column = (name: string): number => {
      const value = Number(row.split(', ')[columns.indexOf(name)]);
      if (!Number.isFinite(value)) throw new Error(`the consumer's answer has no ${name}: ${output}`);
      return value;
    };
    const consumedMiB = column('data.consumed.in.MB');
    if (column('data.consumed.in.nMsg') < records) throw new Error(`the consumer did not get all: ${output}`);
    return {
      recordsPerSecond: column('fetch.nMsg.sec'),
      megabytesPerSecond: (column('fetch.MB.sec') * mebibyte) / 1e6,
      cpuSecondsPerGb: brokerCpuSeconds / ((consumedMiB * mebibyte) / 1e9),
    };
  }

  /** From a record's send, one at a time with acks=all, until a consumer has it; the tool's own first records are left out by it. */
  async endToEnd(topic: string, records: number, recordBytes: number): Promise<EndToEnd> {
    const output = await this.#tool('org.apache.kafka.tools.EndToEndLatency', [
      ...['--bootstrap-server', this.#running.bootstrap, '--topic', topic, '--num-records', `${records}`],
      ...['--producer-acks', 'all', '--record-size', `${recordBytes}`],
    ]);
    const mean = /Avg latency: ([\d.]+) ms/.exec(output);
    const percentiles = /50th = ([\d.]+), 99th = ([\d.]+)/.exec(output);
    if (mean === null || percentiles === null) throw new Error(`the latency tool ended with: ${output}`);
    return { meanMs: Number(mean[1]), p50Ms: Number(percentiles[1]), p99Ms: Number(percentiles[2]) };
  }

  async #measured(tool: string, args: readonly string[]): Promise<{ output: string; brokerCpuSeconds: number }> {
    const before = this.#cpuSeconds();
    const output = await this.#tool(tool, args);
    return { output, brokerCpuSeconds: this.#cpuSeconds() - before };
  }

  #cpuSeconds(): number {
    return this.#running.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  }

  #tool(tool: string, args: readonly string[]): Promise<string> {
    const logging = join(import.meta.dirname, '../test/support/apache-kafka/log4j2.xml');
    const java = ['-Xmx512M', `-Dlog4j2.configurationFile=${logging}`, '-cp', join(this.#jars, '*')];
    return runOrThrow('java', [...java, tool, ...args], { timeoutMs: toolTimeoutMs });
  }
}
