import type { Ports } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { check } from '../../checkers/violation.ts';
import type { Workload } from '../admin-client.ts';
import { Connections } from '../connections.ts';
import { type DataTopic, DataTopicMaker, LEDGER_TOPIC, strongTopic } from '../data-topics.ts';
import { CommittedReader } from './committed-reader.ts';
import { Coordinators } from './coordinators.ts';
import { OFFSET_FETCH } from './transaction-calls.ts';
import { TransactionModel } from './transaction-model.ts';
import { TransactionalProducer } from './transactional-producer.ts';

/** Hosts of those who write and read transactions. */
export const TRANSACTION_CLIENTS: readonly string[] = ['x1', 'x2', 'y1', 'y2', 'r2', 'ledger-maker'];
/** Each used by two processes. */
const TRANSACTIONAL_IDS = new Map([
  ['ledger-x', ['x1', 'x2']],
  ['ledger-y', ['y1', 'y2']],
]);
const REQUEST_TIMEOUT_MS = 1500;

/** Transactions over several partitions and a group's offset, written by processes that fence each other, read as committed. */
export class TransactionWorkload {
  readonly model = new TransactionModel();
  readonly #portsOf: (host: string) => Ports;
  readonly #workload: Workload;
  readonly #topic: DataTopic;
  readonly #maker: DataTopicMaker;
  readonly #producers: readonly TransactionalProducer[];
  readonly #reader: CommittedReader;

  constructor(portsOf: (host: string) => Ports, workload: Workload) {
    this.#portsOf = portsOf;
    this.#workload = workload;
    const { model } = this;
    const topic = strongTopic(LEDGER_TOPIC, 3);
    this.#topic = topic;
    this.#maker = new DataTopicMaker(portsOf('ledger-maker'), workload);
    this.#producers = [...TRANSACTIONAL_IDS].flatMap(([id, hosts]) =>
      hosts.map((host) => new TransactionalProducer(host, id, portsOf(host), workload, topic, model)),
    );
    this.#reader = new CommittedReader('r2', portsOf('r2'), workload, topic, model);
  }

  start(fail: (error: Error) => void): void {
    this.#maker.start([this.#topic], fail);
    for (const producer of this.#producers) producer.start(fail);
    this.#reader.start(fail);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#maker, ...this.#producers, this.#reader].map((client) => client.stop()));
  }

  /** After `stop`, on a cluster that is well: what was left open has been aborted by the time that `until` holds (T5). */
  async checkFinal(until: () => boolean): Promise<void> {
    if (!this.#topic.exists) return;
    const auditor = new CommittedReader('r3', this.#portsOf('r3'), this.#workload, this.#topic, this.model);
    const logs = new Map<string, ReadonlyMap<number, string>>();
    for (let partition = 0; partition < this.#topic.partitionCount; partition += 1) {
      const key = `${this.#topic.name}-${partition}`;
      const log = await auditor.readAll(partition, until);
      check(log !== undefined, 'hanging transaction', () => `${key} is not decided up to its end`);
      logs.set(key, log);
    }
    await auditor.stop();
    this.model.checkFinal(logs);
    for (const id of this.model.transactionalIds()) {
      const stored = await this.#storedOffset(id, until);
      const expected = this.model.offsetOf(id);
      check(stored === expected, 'offsets of a transaction', () => `${id} has offset ${stored} instead of ${expected}`);
    }
  }

  async #storedOffset(groupId: string, until: () => boolean): Promise<number | undefined> {
    const ports = this.#portsOf(`${groupId}-auditor`);
    const connections = new Connections(ports);
    const coordinators = new Coordinators(connections, this.#workload.nodes, ports.random);
    const topics = [{ name: this.#topic.name, partitionIndexes: [0] }];
    const request = { groups: [{ groupId, topics }], requireStable: true };
    try {
      while (!until()) {
        const node = await coordinators.of('group', groupId);
        if (node !== undefined) {
          const { response } = await connections.ask(node, OFFSET_FETCH, request, REQUEST_TIMEOUT_MS);
          const group = response?.groups[0];
          const answer = group?.topics[0]?.partitions[0];
          if (group?.errorCode === ErrorCode.None && answer?.errorCode === ErrorCode.None)
            return answer.committedOffset;
          coordinators.forget('group', groupId);
        }
        await new Promise<void>((resolve) => ports.clock.timer(() => resolve()).arm(100));
      }
      return undefined;
    } finally {
      connections.close();
    }
  }
}
