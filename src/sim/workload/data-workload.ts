import type { Ports } from '#base/ports';
import { check } from '../checkers/violation.ts';
import type { Workload } from './admin-client.ts';
import { Consumer } from './consumer.ts';
import { type DataTopic, DataTopicMaker, dataTopics } from './data-topics.ts';
import { Mover } from './mover.ts';
import { Producer } from './producer.ts';
import { RecordModel } from './record-model.ts';

/** Hosts of those who write and read records. */
export const DATA_CLIENTS: readonly string[] = ['p1', 'p2', 'r1', 'mover', 'maker'];

/** Writes records and reads them, as long as the cluster lives, and in the end reads everything that is there. */
export class DataWorkload {
  readonly model = new RecordModel();
  readonly #topics: readonly DataTopic[];
  readonly #maker: DataTopicMaker;
  readonly #producers: readonly Producer[];
  readonly #mover: Mover;
  readonly #reader: Consumer;
  readonly #auditor: Consumer;

  constructor(portsOf: (host: string) => Ports, workload: Workload) {
    const { model } = this;
    const topics = dataTopics(workload.replicationMax);
    this.#topics = topics;
    this.#maker = new DataTopicMaker(portsOf('maker'), workload);
    this.#producers = [
      new Producer('p1', portsOf('p1'), workload, topics, model, true),
      new Producer('p2', portsOf('p2'), workload, topics, model, false),
    ];
    this.#mover = new Mover('mover', portsOf('mover'), workload, topics);
    this.#reader = new Consumer('r1', portsOf('r1'), workload, topics, model);
    this.#auditor = new Consumer('auditor', portsOf('auditor'), workload, topics, model);
  }

  start(fail: (error: Error) => void): void {
    this.#maker.start(this.#topics, fail);
    for (const producer of this.#producers) producer.start(fail);
    this.#mover.start(fail);
    this.#reader.start(fail);
  }

  /** Nothing is moved or altered any more. */
  async calm(): Promise<void> {
    await this.#mover.stop();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#maker, this.#mover, ...this.#producers, this.#reader].map((client) => client.stop()));
  }

  /** After `stop`, on a cluster that is well. */
  async checkFinal(isLost: (topic: string, partition: number) => boolean, until: () => boolean): Promise<void> {
    for (const { name, partitionCount, exists } of this.#topics) {
      for (let partition = 0; exists && partition < partitionCount; partition += 1) {
        if (isLost(name, partition)) continue;
        const log = await this.#auditor.readAll(name, partition, until);
        check(log !== undefined, 'healing', () => `${name}-${partition} cannot be read to its end`);
        this.model.checkFinal(`${name}-${partition}`, log);
      }
    }
    await this.#auditor.stop();
  }
}
