import { at } from '#base/assert';
import type { Ports, Random } from '#base/ports';
import { ErrorCode, errorName } from '#model/errors';
import { buildBatch } from '#protocol/record-batch-builder';
import { check } from '../checkers/violation.ts';
import { between } from '../ports/sim-random.ts';
import type { Workload } from './admin-client.ts';
import { INIT_PRODUCER_ID, PRODUCE } from './calls.ts';
import { Connections } from './connections.ts';
import type { DataTopic } from './data-topics.ts';
import { Leaders } from './leaders.ts';
import type { RecordModel } from './record-model.ts';

const REQUEST_TIMEOUT_MS = 2000;
const ALL = -1;
const RECORDS_MAX = 8;

/** What a batch has come to. 'unknown': it may be there, now or later. */
type Sent =
  | { readonly kind: 'acked'; readonly baseOffset: number }
  | { readonly kind: 'refused'; readonly errorCode: number }
  | { readonly kind: 'unknown' };

/**
 * Writes unique values, one batch after another. An idempotent one sends a batch again, with the same sequence, until it is
 * acknowledged; the others send once, and with whatever acks.
 */
export class Producer {
  readonly #name: string;
  readonly #ports: Ports;
  readonly #random: Random;
  readonly #workload: Workload;
  readonly #topics: readonly DataTopic[];
  readonly #model: RecordModel;
  readonly #isIdempotent: boolean;
  readonly #connections: Connections;
  readonly #leaders: Leaders;
  /** The next sequence, by partition. */
  readonly #sequences = new Map<string, number>();
  #producerId = -1;
  #valueCount = 0;
  #stopped = false;
  #idle: Promise<void> = Promise.resolve();

  constructor(
    name: string,
    ports: Ports,
    workload: Workload,
    topics: readonly DataTopic[],
    model: RecordModel,
    isIdempotent: boolean,
  ) {
    this.#name = name;
    this.#ports = ports;
    this.#random = ports.random;
    this.#workload = workload;
    this.#topics = topics;
    this.#model = model;
    this.#isIdempotent = isIdempotent;
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

  async #work(): Promise<void> {
    while (!this.#stopped) {
      await this.#pause(between(this.#random, 50, 300));
      const topic = at(this.#topics, this.#random.uint32() % this.#topics.length);
      if (!topic.exists || (this.#isIdempotent && this.#producerId < 0 && !(await this.#initialise()))) continue;
      const partition = this.#random.uint32() % topic.partitionCount;
      const values = Array.from({ length: 1 + (this.#random.uint32() % RECORDS_MAX) }, () => this.#newValue());
      if (this.#isIdempotent) await this.#writeOnce(topic.name, partition, values);
      else await this.#writeAndForget(topic.name, partition, values);
    }
  }

  async #initialise(): Promise<boolean> {
    const { nodes } = this.#workload;
    const node = at(nodes, this.#random.uint32() % nodes.length);
    const request = { transactionalId: null, transactionTimeoutMs: 0 };
    const { response } = await this.#connections.ask(node, INIT_PRODUCER_ID, request, REQUEST_TIMEOUT_MS);
    if (response?.errorCode === ErrorCode.None) this.#producerId = response.producerId;
    return this.#producerId >= 0;
  }

  async #writeOnce(topic: string, partition: number, values: readonly string[]): Promise<void> {
    const key = `${topic}-${partition}`;
    const sequence = this.#sequences.get(key) ?? 0;
    for (;;) {
      const sent = await this.#send(topic, partition, values, ALL, sequence);
      if (sent.kind === 'acked') {
        this.#model.acked(this.#name, key, sent.baseOffset, values);
        this.#sequences.set(key, sequence + values.length);
        this.#note(key, values, ALL, `at ${sent.baseOffset}`);
        return;
      }
      const { errorCode } = sent.kind === 'refused' ? sent : { errorCode: ErrorCode.None };
      const isGap = errorCode === ErrorCode.OutOfOrderSequenceNumber || errorCode === ErrorCode.UnknownProducerId;
      // Its last batches are lost, with what was known of it.
      if (isGap && this.#model.lossCount(key) > 0) return this.#beginAnew();
      // It has one batch under way at a time, and every one before was acknowledged.
      check(
        !isGap,
        'sequences',
        () => `${this.#name} was refused sequence ${sequence} of ${key} with ${errorName(errorCode as ErrorCode)}`,
      );
      if (this.#stopped) return;
      await this.#pause(between(this.#random, 20, 150));
    }
  }

  #beginAnew(): void {
    this.#producerId = -1;
    this.#sequences.clear();
  }

  async #writeAndForget(topic: string, partition: number, values: readonly string[]): Promise<void> {
    const acks = at([ALL, ALL, 1, 0], this.#random.uint32() % 4);
    const sent = await this.#send(topic, partition, values, acks, -1);
    const key = `${topic}-${partition}`;
    if (sent.kind !== 'acked') return;
    this.#note(key, values, acks, `at ${sent.baseOffset}`);
    if (acks === ALL) this.#model.acked(this.#name, key, sent.baseOffset, values);
  }

  async #send(
    topic: string,
    partition: number,
    values: readonly string[],
    acks: number,
    sequence: number,
  ): Promise<Sent> {
    const leader = this.#leaders.of(topic, partition);
    if (leader === undefined) {
      await this.#leaders.refresh(topic);
      return { kind: 'refused', errorCode: ErrorCode.LeaderNotAvailable };
    }
    const { clock, codecs } = this.#ports;
    const key = `${topic}-${partition}`;
    const lossCount = this.#model.lossCount(key);
    const records = values.map((value) => ({ timestamp: clock.wall(), key: null, value: Buffer.from(value) }));
    const identity = sequence < 0 ? {} : { producerId: this.#producerId, producerEpoch: 0, baseSequence: sequence };
    const batch = buildBatch({ baseOffset: 0, leaderEpoch: -1, records, ...identity }, codecs);
    const topicData = [{ name: topic, partitionData: [{ index: partition, records: [batch] }] }];
    const request = { acks, timeoutMs: REQUEST_TIMEOUT_MS - 500, topicData };
    // Nobody answers acks=0: the connection is asked no more before the time is up.
    const timeoutMs = acks === 0 ? 50 : REQUEST_TIMEOUT_MS;
    const { response, failure } = await this.#connections.ask(leader.node, PRODUCE, request, timeoutMs);
    const answer = response?.responses[0]?.partitionResponses[0];
    const isLate = this.#model.lossCount(key) > lossCount || this.#model.isDisowned(key, leader.epoch);
    if (answer?.errorCode === ErrorCode.None && !isLate) return { kind: 'acked', baseOffset: answer.baseOffset };
    this.#leaders.forget(topic, partition);
    if (isLate) return { kind: 'unknown' };
    if (answer !== undefined) {
      if (answer.errorCode === ErrorCode.NotEnoughReplicas) this.#workload.sometimes('produce refused below min ISR');
      return { kind: 'refused', errorCode: answer.errorCode };
    }
    return failure === 'refused' ? { kind: 'refused', errorCode: ErrorCode.NetworkException } : { kind: 'unknown' };
  }

  #note(partition: string, values: readonly string[], acks: number, where: string): void {
    this.#workload.sometimes(
      this.#workload.isRough() ? 'records acknowledged in the middle of faults' : 'records acknowledged',
    );
    this.#workload.say(this.#name, `${values[0]}…${values.at(-1)} in ${partition} with acks=${acks}: ${where}`);
  }

  #newValue(): string {
    this.#valueCount += 1;
    const value = `${this.#name}.${this.#valueCount}`;
    this.#model.sent(value);
    return value;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#ports.clock.timer(() => resolve()).arm(ms);
    });
  }
}
