import type { Ports } from '#base/ports';
import { check } from '../../checkers/violation.ts';
import { Client, type ClientTask, startAll, stopAll, type Workload } from '../client.ts';
import { compactedTopic, type DataTopic, DataTopicMaker } from '../data-topics.ts';
import { Mover } from '../mover.ts';
import { Producer } from '../producer.ts';
import { CompactionModel, keyOfValue } from './compaction-model.ts';
import { KeyedReader } from './keyed-reader.ts';

/** Hosts of those who write and read a compacted topic, and move it. */
export const COMPACTION_CLIENTS: readonly string[] = ['q1', 'q2', 'q-mover', 'q-maker'];

/** Values with keys, in a topic that is compacted while everything is struck. */
export class CompactionWorkload {
  readonly #model = new CompactionModel();
  readonly #topic: DataTopic = compactedTopic();
  readonly #tasks: readonly ClientTask[];
  readonly #producer: Producer;
  readonly #mover: Mover;
  readonly #auditor: KeyedReader;

  constructor(portsOf: (host: string) => Ports, workload: Workload) {
    const client = (host: string): Client => new Client(host, portsOf(host), workload);
    const topics = [this.#topic];
    this.#mover = new Mover(client('q-mover'), topics);
    this.#auditor = new KeyedReader(client('q-auditor'), this.#topic, this.#model);
    this.#producer = new Producer(client('q1'), topics, this.#model, true, (value) => Buffer.from(keyOfValue(value)));
    this.#tasks = [
      new DataTopicMaker(client('q-maker'), topics),
      this.#producer,
      new KeyedReader(client('q2'), this.#topic, this.#model),
      this.#mover,
    ];
  }

  start(fail: (error: Error) => void): void {
    startAll(this.#tasks, fail);
  }

  /** Nothing is moved or altered any more. */
  async calm(): Promise<void> {
    await this.#mover.client.stop();
  }

  /** See DataWorkload. */
  whatTakesNothing(since: number, takes: (topic: string, partition: number) => boolean): string | undefined {
    const { name, exists } = this.#topic;
    return exists && takes(name, 0) && !this.#producer.hasWritten(name, 0, since) ? `${name}-0` : undefined;
  }

  async stop(): Promise<void> {
    await stopAll(this.#tasks);
  }

  /** After `stop`, on a cluster that is well. */
  async checkFinal(until: () => boolean): Promise<void> {
    if (!this.#topic.exists) return;
    const log = await this.#auditor.readAll(until);
    await this.#auditor.client.stop();
    const key = `${this.#topic.name}-0`;
    check(log !== undefined, 'healing', () => `${key} cannot be read to its end`);
    this.#model.checkFinal(key, log);
  }
}
