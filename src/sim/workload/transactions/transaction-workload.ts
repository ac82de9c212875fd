import type { Ports } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { check } from '../../checkers/violation.ts';
import { Client, startAll, stopAll, type Workload } from '../client.ts';
import { committedPart } from '../client-history.ts';
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
  readonly #client: (host: string) => Client;
  readonly #topic: DataTopic;
  readonly #maker: DataTopicMaker;
  readonly #producers: readonly TransactionalProducer[];
  readonly #reader: CommittedReader;

  constructor(portsOf: (host: string) => Ports, workload: Workload) {
    const client = (host: string): Client => new Client(host, portsOf(host), workload);
    this.#client = client;
    const { model } = this;
    const topic = strongTopic(LEDGER_TOPIC, 3);
    this.#topic = topic;
    this.#maker = new DataTopicMaker(client('ledger-maker'), [topic]);
    this.#producers = [...TRANSACTIONAL_IDS].flatMap(([id, hosts]) =>
      hosts.map((host) => new TransactionalProducer(client(host), id, topic, model)),
    );
    this.#reader = new CommittedReader(client('r2'), topic, model);
  }

  start(fail: (error: Error) => void): void {
    startAll([this.#maker, ...this.#producers, this.#reader], fail);
  }

  /** A transactional id of which no transaction was begun since then and committed. */
  whatCommitsNothing(since: number): string | undefined {
    if (!this.#topic.exists) return undefined;
    const hasCommitted = (id: string): boolean =>
      this.#producers.some((producer) => producer.transactionalId === id && producer.committedAt > since);
    return [...TRANSACTIONAL_IDS.keys()].find((id) => !hasCommitted(id));
  }

  async stop(): Promise<void> {
    await stopAll([this.#maker, ...this.#producers, this.#reader]);
  }

  /** After `stop`, on a cluster that is well: what was left open has been aborted by the time that `until` holds (T5). */
  async checkFinal(until: () => boolean): Promise<void> {
    if (!this.#topic.exists) return;
    const auditor = new CommittedReader(this.#client('r3'), this.#topic, this.model, { final: true });
    const logs = new Map<string, ReadonlyMap<number, string>>();
    const unread: string[] = [];
    for (let partition = 0; partition < this.#topic.partitionCount; partition += 1) {
      const key = `${this.#topic.name}-${partition}`;
      const log = await auditor.readAll(partition, until);
      if (log === undefined) unread.push(key);
      else logs.set(key, log);
    }
    await auditor.client.stop();
    const stored = new Map<string, number | undefined>();
    for (const id of this.model.transactionalIds()) stored.set(id, await this.#storedOffset(id, until));
    check(unread.length === 0, 'hanging transaction', () => `${unread.join()} is not decided up to its end`);
    this.model.checkFinal(logs);
    for (const [id, offset] of stored) {
      const expected = this.model.offsetOf(id);
      check(offset === expected, 'offsets of a transaction', () => `${id} has offset ${offset} instead of ${expected}`);
    }
  }

  async #storedOffset(groupId: string, until: () => boolean): Promise<number | undefined> {
    const client = this.#client(`${groupId}-auditor`);
    const coordinators = new Coordinators(client);
    const history = client.observed({ group: groupId });
    const key = `${this.#topic.name}-0`;
    const topics = [{ name: this.#topic.name, partitionIndexes: [0] }];
    const request = { groups: [{ groupId, topics }], requireStable: true };
    try {
      while (!until()) {
        const node = await coordinators.of('group', groupId);
        if (node !== undefined) {
          history.begin('committed', [['committed', key]]);
          const { response } = await client.ask(node, OFFSET_FETCH, request, REQUEST_TIMEOUT_MS);
          const group = response?.groups[0];
          const answer = group?.topics[0]?.partitions[0];
          if (group?.errorCode === ErrorCode.None && answer?.errorCode === ErrorCode.None) {
            history.ok([committedPart(key, answer.committedOffset)]);
            return answer.committedOffset;
          }
          history.fail('not told');
          coordinators.forget('group', groupId);
        }
        await client.pause(100);
      }
      return undefined;
    } finally {
      await client.stop();
    }
  }
}
