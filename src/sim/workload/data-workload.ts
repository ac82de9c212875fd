import type { Ports } from '#base/ports';
import { check } from '../checkers/violation.ts';
import { Client, type ClientTask, startAll, stopAll, type Workload } from './client.ts';
import { Consumer } from './consumer.ts';
import { type DataTopic, DataTopicMaker, dataTopics } from './data-topics.ts';
import { Deleter } from './deleter.ts';
import { Mover } from './mover.ts';
import { Producer } from './producer.ts';
import { RecordModel } from './record-model.ts';

/** Hosts of those who write and read records. */
export const DATA_CLIENTS: readonly string[] = ['p1', 'p2', 'r1', 'mover', 'maker', 'deleter'];

/** Writes records, reads them and deletes some, as long as the cluster lives, and in the end reads everything that is there. */
export class DataWorkload {
  readonly model = new RecordModel();
  readonly #topics: readonly DataTopic[];
  readonly #maker: DataTopicMaker;
  readonly #producers: readonly Producer[];
  readonly #mover: Mover;
  readonly #deleter: Deleter;
  readonly #reader: Consumer;
  readonly #auditor: Consumer;

  constructor(portsOf: (host: string) => Ports, workload: Workload) {
    const { model } = this;
    const topics = dataTopics(workload.replicationMax);
    this.#topics = topics;
    const client = (host: string): Client => new Client(host, portsOf(host), workload);
    this.#maker = new DataTopicMaker(client('maker'), topics);
    this.#producers = [
      new Producer(client('p1'), topics, model, true),
      new Producer(client('p2'), topics, model, false),
    ];
    this.#mover = new Mover(client('mover'), topics);
    this.#deleter = new Deleter(client('deleter'), topics, model);
    this.#reader = new Consumer(client('r1'), topics, model);
    this.#auditor = new Consumer(client('auditor'), topics, model, { final: true });
  }

  start(fail: (error: Error) => void): void {
    startAll(this.#tasks, fail);
  }

  /** Nothing is moved or altered any more. */
  async calm(): Promise<void> {
    await this.#mover.client.stop();
  }

  /** Whether each partition that `takes` records has acknowledged some that were sent since then: a sentence if not. */
  whatTakesNothing(since: number, takes: (topic: string, partition: number) => boolean): string | undefined {
    const [producer] = this.#producers;
    for (const { name, partitionCount, exists } of this.#topics)
      for (let partition = 0; exists && partition < partitionCount; partition += 1)
        if (takes(name, partition) && !producer?.hasWritten(name, partition, since)) return `${name}-${partition}`;
    return undefined;
  }

  async stop(): Promise<void> {
    await stopAll(this.#tasks);
  }

  /** After `stop`, on a cluster that is well. */
  async checkFinal(isLost: (topic: string, partition: number) => boolean, until: () => boolean): Promise<void> {
    const logs = new Map<string, ReadonlyMap<number, string> | undefined>();
    for (const { name, partitionCount, exists } of this.#topics) {
      for (let partition = 0; exists && partition < partitionCount; partition += 1) {
        if (isLost(name, partition)) continue;
        logs.set(`${name}-${partition}`, await this.#auditor.readAll(name, partition, until));
      }
    }
    await this.#auditor.client.stop();
    for (const [key, log] of logs) {
      check(log !== undefined, 'healing', () => `${key} cannot be read to its end`);
      this.model.checkFinal(key, log);
    }
  }

  get #tasks(): readonly ClientTask[] {
    return [this.#maker, ...this.#producers, this.#mover, this.#deleter, this.#reader];
  }
}
