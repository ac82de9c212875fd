/** One node of Apache Kafka in KRaft mode on loopback, with its default durability: what Odradek is measured against. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { answersMetadata } from '../metadata-probe.ts';
import { exited, runOrThrow } from '../process.ts';

const logging = join(import.meta.dirname, 'log4j2.xml');

export class ApacheKafka {
  readonly port: number;
  readonly #jars: string;
  readonly #properties: string;
  #child: ChildProcess | undefined;

  private constructor(port: number, jars: string, properties: string) {
    this.port = port;
    this.#jars = jars;
    this.#properties = properties;
  }

  /** Formats the folder's log directory; the broker is not started. */
  static async prepare(jars: string, folder: string): Promise<ApacheKafka> {
    const [port, controllerPort] = [await freePort(), await freePort()];
    const properties = join(folder, 'server.properties');
    const settings = {
      'process.roles': 'broker,controller',
      'node.id': '1',
      'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
      'controller.listener.names': 'CONTROLLER',
      'inter.broker.listener.name': 'PLAINTEXT',
      'log.dirs': join(folder, 'logs'),
      'offsets.topic.replication.factor': '1',
      'transaction.state.log.replication.factor': '1',
      'transaction.state.log.min.isr': '1',
      'group.initial.rebalance.delay.ms': '0',
    };
    const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`);
    writeFileSync(properties, lines.join(''));
    const format = ['kafka.tools.StorageTool', 'format', '--cluster-id=b2RyYWRlay1iZW5jaC1wZQ', '-c', properties];
    await runOrThrow('java', ['-cp', join(jars, '*'), ...format], { timeoutMs: 60_000 });
    return new ApacheKafka(port, jars, properties);
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('Apache Kafka is not running');
    return this.#child.pid;
  }

  /** The heap and collector of Kafka's own start script; resolves at the first metadata answer that names a broker. */
  async start(): Promise<void> {
    const heap = ['-Xmx1G', '-Xms1G', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'];
    const collector = ['-XX:InitiatingHeapOccupancyPercent=35', '-XX:+ExplicitGCInvokesConcurrent'];
    const main = [`-Dlog4j2.configurationFile=${logging}`, '-cp', join(this.#jars, '*'), 'kafka.Kafka'];
    this.#child = spawn('java', [...heap, ...collector, ...main, this.#properties], { stdio: 'ignore' });
    await answersMetadata(this.port, 60_000);
  }

  async kill(): Promise<void> {
    if (this.#child === undefined) return;
    this.#child.kill('SIGKILL');
    await exited(this.#child);
  }
}
