import type { Ports } from '#base/ports';
import { readEndMarker } from '#log/end-marker';
import { ErrorCode } from '#model/errors';
import { isControl, isTransactional, lastOffset, readBatchHeader } from '#protocol/record-batch';
import { iterateRecords } from '#protocol/records';
import { check } from '../../checkers/violation.ts';
import { between } from '../../ports/sim-random.ts';
import type { Workload } from '../admin-client.ts';
import { FETCH } from '../calls.ts';
import { Connections } from '../connections.ts';
import type { DataTopic } from '../data-topics.ts';
import { Leaders } from '../leaders.ts';
import type { TransactionModel } from './transaction-model.ts';

const REQUEST_TIMEOUT_MS = 1500;
const FETCH_BYTES = 256 * 1024;
const READ_COMMITTED = 1;

interface Position {
  offset: number;
  /** The highest that it was told; −1 before. */
  lastStableOffset: number;
  highWatermark: number;
}

type Read = (offset: number, value: string) => void;

/** Reads every partition with isolation.level=read_committed, as clients do: what was aborted is sent, and left out here (KIP-98). */
export class CommittedReader {
  readonly #name: string;
  readonly #ports: Ports;
  readonly #topic: DataTopic;
  readonly #model: TransactionModel;
  readonly #connections: Connections;
  readonly #leaders: Leaders;
  readonly #positions = new Map<string, Position>();
  #stopped = false;
  #idle: Promise<void> = Promise.resolve();

  constructor(name: string, ports: Ports, workload: Workload, topic: DataTopic, model: TransactionModel) {
    this.#name = name;
    this.#ports = ports;
    this.#topic = topic;
    this.#model = model;
    this.#connections = new Connections(ports);
    this.#leaders = new Leaders(this.#connections, workload.nodes, ports.random);
  }

  start(fail: (error: Error) => void): void {
    this.#idle = this.#work().catch(fail);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#idle;
    this.#connections.close();
  }

  /** What is committed of one partition, once nothing in it is undecided; undefined while that is not so, or it cannot be read. */
  async readAll(partition: number, until: () => boolean): Promise<ReadonlyMap<number, string> | undefined> {
    const log = new Map<number, string>();
    const position = { offset: 0, lastStableOffset: -1, highWatermark: -1 };
    while (!until()) {
      await this.#fetch(partition, position, (offset, value) => log.set(offset, value));
      const { offset, lastStableOffset, highWatermark } = position;
      if (highWatermark >= 0 && offset >= highWatermark && lastStableOffset === highWatermark) return log;
      await this.#pause(20);
    }
    return undefined;
  }

  async #work(): Promise<void> {
    const { random } = this.#ports;
    while (!this.#stopped) {
      await this.#pause(between(random, 50, 300));
      if (!this.#topic.exists) continue;
      const partition = random.uint32() % this.#topic.partitionCount;
      const key = `${this.#topic.name}-${partition}`;
      const position = this.#positions.get(key) ?? { offset: 0, lastStableOffset: -1, highWatermark: -1 };
      this.#positions.set(key, position);
      await this.#fetch(partition, position, (offset, value) => this.#model.read(this.#name, key, offset, value));
    }
  }

  async #fetch(partition: number, position: Position, read: Read): Promise<void> {
    const topic = this.#topic.name;
    const leader = this.#leaders.of(topic, partition);
    if (leader === undefined) return await this.#leaders.refresh(topic);
    const asked = {
      partition,
      currentLeaderEpoch: leader.epoch,
      fetchOffset: position.offset,
      partitionMaxBytes: FETCH_BYTES,
    };
    const request = {
      maxWaitMs: 100,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      isolationLevel: READ_COMMITTED,
      topics: [{ topic, partitions: [asked] }],
    };
    const { response } = await this.#connections.ask(leader.node, FETCH, request, REQUEST_TIMEOUT_MS);
    const answer = response?.responses[0]?.partitions[0];
    if (answer === undefined || answer.errorCode !== ErrorCode.None) return this.#leaders.forget(topic, partition);
    const { highWatermark, lastStableOffset } = answer;
    check(
      lastStableOffset >= position.lastStableOffset,
      'last stable offset',
      () => `${this.#name} was told ${lastStableOffset} of ${topic}-${partition}, ${position.lastStableOffset} before`,
    );
    check(lastStableOffset <= highWatermark, 'last stable offset', () => `${lastStableOffset} above ${highWatermark}`);
    Object.assign(position, { highWatermark, lastStableOffset });
    const aborted = [...(answer.abortedTransactions ?? [])].sort((a, b) => a.firstOffset - b.firstOffset);
    this.#take(Buffer.concat(answer.records ?? []), aborted, position, read);
  }

  #take(
    bytes: Uint8Array,
    aborted: { readonly producerId: number; readonly firstOffset: number }[],
    position: Position,
    read: Read,
  ): void {
    const leftOut = new Set<number>();
    for (let start = 0; start < bytes.length; ) {
      const header = readBatchHeader(bytes, start);
      if (typeof header === 'string') return;
      start += header.sizeBytes;
      const last = lastOffset(header);
      while (aborted[0] !== undefined && aborted[0].firstOffset <= last) leftOut.add(aborted.shift()?.producerId ?? -1);
      if (isControl(header)) {
        if (readEndMarker(bytes, header)?.aborted) leftOut.delete(header.producerId);
      } else if (!isTransactional(header) || !leftOut.has(header.producerId)) {
        const records = iterateRecords(bytes, header, this.#ports.codecs, FETCH_BYTES);
        check(
          typeof records !== 'string',
          'damaged',
          () => `${this.#name} was sent a batch that is ${String(records)}`,
        );
        for (const { offset, value } of records) {
          if (offset < position.offset) continue;
          check(
            offset < position.lastStableOffset,
            'last stable offset',
            () => `${offset} was read, and ${position.lastStableOffset} is the end of what is decided`,
          );
          read(offset, Buffer.from(value ?? []).toString());
        }
      }
      position.offset = Math.max(position.offset, last + 1);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#ports.clock.timer(() => resolve()).arm(ms);
    });
  }
}
