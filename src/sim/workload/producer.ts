import { at, unreachable } from '#base/assert';
import { ErrorCode, errorName } from '#model/errors';
import { INIT_PRODUCER_ID, PRODUCE } from '#protocol/calls';
import { buildBatch } from '#protocol/record-batch-builder';
import { check } from '../checkers/violation.ts';
import { between } from '../ports/sim-random.ts';
import type { Client } from './client.ts';
import type { HistoryClient } from './client-history.ts';
import { type DataTopic, promisedAcks } from './data-topics.ts';
import { Leaders } from './leaders.ts';
import type { WriterModel } from './record-model.ts';

const REQUEST_TIMEOUT_MS = 2000;
const ALL = -1;
const RECORDS_MAX = 10;
/** A batch is sent so often in a row; then others have their turn. */
const TRIES_MAX = 2;

/** Errors of a batch that was not appended. */
const NOT_APPENDED: ReadonlySet<number> = new Set([
  ErrorCode.LeaderNotAvailable,
  ErrorCode.NetworkException,
  ErrorCode.NotEnoughReplicas,
]);

/** What a batch has come to; with acks=0 nobody says where it is. 'unknown': it may be there, now or later. */
type Sent =
  | { readonly kind: 'acked'; readonly baseOffset: number }
  | { readonly kind: 'sent' }
  | { readonly kind: 'refused'; readonly errorCode: number }
  | { readonly kind: 'unknown' };

/** One that an idempotent producer sends until it is acknowledged. */
interface Batch {
  readonly values: readonly string[];
  readonly sequence: number;
  readonly history: HistoryClient | undefined;
}

/**
 * Writes unique values, one batch after another. An idempotent one sends a batch again, with the same sequence, until it is
 * acknowledged, and writes to other partitions meanwhile; the others send once, and with whatever acks.
 */
export class Producer {
  readonly client: Client;
  readonly #topics: readonly DataTopic[];
  readonly #model: WriterModel;
  readonly #isIdempotent: boolean;
  readonly #keyOf: (value: string) => Uint8Array | null;
  readonly #leaders: Leaders;
  /** The next sequence, by partition. */
  readonly #sequences = new Map<string, number>();
  /** Of an idempotent one: what is not acknowledged yet, by partition. */
  readonly #unacknowledged = new Map<string, Batch>();
  /** When what was last acknowledged by all in sync had been sent, by partition. */
  readonly #writtenAt = new Map<string, number>();
  /** By what it is promised; an idempotent one has several batches under way, one of each partition. */
  readonly #histories = new Map<string, HistoryClient>();
  #producerId = -1;
  #producerCount = 0;
  #valueCount = 0;

  /** `keyOf`: the key of a record with that value. */
  constructor(
    client: Client,
    topics: readonly DataTopic[],
    model: WriterModel,
    isIdempotent: boolean,
    keyOf: (value: string) => Uint8Array | null = () => null,
  ) {
    this.client = client;
    this.#topics = topics;
    this.#model = model;
    this.#isIdempotent = isIdempotent;
    this.#keyOf = keyOf;
    this.#leaders = new Leaders(client);
  }

  async work(): Promise<void> {
    while (!this.client.isStopped) {
      await this.client.pause(between(this.client.random, 50, 300));
      const topic = at(this.#topics, this.client.random.uint32() % this.#topics.length);
      if (!topic.exists || (this.#isIdempotent && this.#producerId < 0 && !(await this.#initialise()))) continue;
      const partition = this.client.random.uint32() % topic.partitionCount;
      if (this.#isIdempotent) await this.#writeOnce(topic.name, partition);
      else await this.#writeAndForget(topic.name, partition, this.#newValues());
    }
  }

  /** Whether something has been sent to the partition since then, and was acknowledged by all in sync. */
  hasWritten(topic: string, partition: number, since: number): boolean {
    return (this.#writtenAt.get(`${topic}-${partition}`) ?? -1) > since;
  }

  async #initialise(): Promise<boolean> {
    const node = this.client.anyNode();
    const request = { transactionalId: null, transactionTimeoutMs: 0 };
    const { response } = await this.client.ask(node, INIT_PRODUCER_ID, request, REQUEST_TIMEOUT_MS);
    if (response?.errorCode !== ErrorCode.None) return false;
    this.#producerId = response.producerId;
    this.#producerCount += 1;
    const owner = `${this.client.name}, producer ${this.#producerCount}`;
    this.client.workload.producerIds.given(this.#producerId, owner, node);
    return true;
  }

  #beginBatch(topic: string, key: string): Batch {
    const values = this.#newValues();
    const history = this.#historyOf(topic, key, ALL);
    history?.begin('send', this.client.workload.history.sends(key, values));
    const batch = { values, sequence: this.#sequences.get(key) ?? 0, history };
    this.#unacknowledged.set(key, batch);
    return batch;
  }

  async #writeOnce(topic: string, partition: number): Promise<void> {
    const key = `${topic}-${partition}`;
    const { values, sequence, history } = this.#unacknowledged.get(key) ?? this.#beginBatch(topic, key);
    for (let tries = 0; tries < TRIES_MAX && !this.client.isStopped; tries += 1) {
      const sentAt = this.client.ports.clock.now();
      const sent = await this.#send(topic, partition, values, ALL, sequence);
      if (sent.kind === 'acked') {
        history?.ok(this.client.workload.history.sends(key, values, sent.baseOffset));
        this.#model.acked(this.client.name, key, sent.baseOffset, values);
        this.#sequences.set(key, sequence + values.length);
        this.#unacknowledged.delete(key);
        this.#writtenAt.set(key, sentAt);
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
        () =>
          `${this.client.name} was refused sequence ${sequence} of ${key} with ${errorName(errorCode as ErrorCode)}`,
      );
      await this.client.pause(between(this.client.random, 20, 150));
    }
  }

  /** What was under way may be there, and is not sent again: as another producer it would be written twice. */
  #beginAnew(): void {
    this.#producerId = -1;
    this.#sequences.clear();
    for (const { history } of this.#unacknowledged.values()) history?.info('given up');
    this.#unacknowledged.clear();
  }

  async #writeAndForget(topic: string, partition: number, values: readonly string[]): Promise<void> {
    const acks = at([ALL, ALL, 1, 0], this.client.random.uint32() % 4);
    const key = `${topic}-${partition}`;
    const history = this.#historyOf(topic, '', acks);
    history?.begin('send', this.client.workload.history.sends(key, values));
    const sent = await this.#send(topic, partition, values, acks, -1);
    this.#tell(history, key, values, sent);
    if (sent.kind !== 'acked') return;
    this.#note(key, values, acks, `at ${sent.baseOffset}`);
    if (acks === ALL) this.#model.acked(this.client.name, key, sent.baseOffset, values);
  }

  /** `lane`: what goes on beside other things. */
  #historyOf(topic: string, lane: string, acks: number): HistoryClient | undefined {
    const promised = promisedAcks(topic, acks === ALL ? 'all' : acks === 1 ? 1 : 0);
    if (promised === undefined) return undefined;
    const about = `${promised} ${lane}`;
    let history = this.#histories.get(about);
    if (history === undefined) {
      history = this.client.observed({ acks: promised, idempotent: this.#isIdempotent });
      this.#histories.set(about, history);
    }
    return history;
  }

  /** Sent once: an error after the append leaves open whether it stays. */
  #tell(history: HistoryClient | undefined, key: string, values: readonly string[], sent: Sent): void {
    switch (sent.kind) {
      case 'acked':
        return history?.ok(this.client.workload.history.sends(key, values, sent.baseOffset));
      case 'sent':
        return history?.ok();
      case 'refused': {
        const error = errorName(sent.errorCode as ErrorCode);
        return NOT_APPENDED.has(sent.errorCode) ? history?.fail(error) : history?.info(error);
      }
      case 'unknown':
        return history?.info('no answer');
      default:
        return unreachable(sent);
    }
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
    const { clock, codecs } = this.client.ports;
    const key = `${topic}-${partition}`;
    const lossCount = this.#model.lossCount(key);
    const timestamp = clock.wall();
    const records = values.map((value) => ({ timestamp, key: this.#keyOf(value), value: Buffer.from(value) }));
    const identity = sequence < 0 ? {} : { producerId: this.#producerId, producerEpoch: 0, baseSequence: sequence };
    const batch = buildBatch({ baseOffset: 0, leaderEpoch: -1, records, ...identity }, codecs);
    const topicData = [{ name: topic, partitionData: [{ index: partition, records: [batch] }] }];
    const request = { acks, timeoutMs: REQUEST_TIMEOUT_MS - 500, topicData };
    // Nobody answers acks=0: the connection is asked no more before the time is up.
    const timeoutMs = acks === 0 ? 50 : REQUEST_TIMEOUT_MS;
    const { response, failure } = await this.client.ask(leader.node, PRODUCE, request, timeoutMs);
    const answer = response?.responses[0]?.partitionResponses[0];
    const isLate = this.#model.lossCount(key) > lossCount || this.#model.isDisowned(key, leader.epoch);
    if (answer?.errorCode === ErrorCode.None && !isLate) return { kind: 'acked', baseOffset: answer.baseOffset };
    this.#leaders.forget(topic, partition);
    if (isLate) return { kind: 'unknown' };
    if (answer !== undefined) {
      if (answer.errorCode === ErrorCode.NotEnoughReplicas)
        this.client.workload.sometimes('produce refused below min ISR');
      return { kind: 'refused', errorCode: answer.errorCode };
    }
    if (failure === 'refused') return { kind: 'refused', errorCode: ErrorCode.NetworkException };
    return acks === 0 ? { kind: 'sent' } : { kind: 'unknown' };
  }

  #note(partition: string, values: readonly string[], acks: number, where: string): void {
    this.client.workload.sometimes(
      this.client.workload.isRough() ? 'records acknowledged in the middle of faults' : 'records acknowledged',
    );
    this.client.say(`${values[0]}…${values.at(-1)} in ${partition} with acks=${acks}: ${where}`);
  }

  #newValues(): readonly string[] {
    return Array.from({ length: 1 + (this.client.random.uint32() % RECORDS_MAX) }, () => this.#newValue());
  }

  #newValue(): string {
    this.#valueCount += 1;
    const value = `${this.client.name}.${this.#valueCount}`;
    this.#model.sent(value);
    return value;
  }
}
