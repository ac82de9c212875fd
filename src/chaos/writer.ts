import type { Clock, Codecs } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { INIT_PRODUCER_ID, PRODUCE } from '#protocol/calls';
import { buildBatch } from '#protocol/record-batch-builder';
import type { Caller } from './caller.ts';
import type { Leader, Leaders } from './leaders.ts';
import type { Ledger } from './ledger.ts';
import { pause } from './pause.ts';

/** A leader that is silent for so long is asked again, if there is no other before. */
const REQUEST_MS = 10_000;
/** Of which it is given so much to replicate. */
const REPLICATION_MS = 8_000;
const RETRY_MS = 20;
const ALL_IN_SYNC = -1;

export interface WriterOptions {
  readonly topic: string;
  readonly partition: number;
  readonly batchRecords: number;
  readonly intervalMs: number;
  readonly recordBytes: number;
}

export interface LoadPorts {
  readonly clock: Clock;
  readonly codecs: Codecs;
}

/** An idempotent producer with acks=all for one partition, one batch at a time: what has no answer is sent again until it has. */
export class PartitionWriter {
  readonly #ports: LoadPorts;
  readonly #caller: Caller;
  readonly #leaders: Leaders;
  readonly #ledger: Ledger;
  readonly #options: WriterOptions;
  readonly #padding: string;
  #producerId = -1;
  #nextNumber = 0;
  #firstOfProducer = 0;
  #isStopped = false;

  constructor(ports: LoadPorts, caller: Caller, leaders: Leaders, ledger: Ledger, options: WriterOptions) {
    this.#ports = ports;
    this.#caller = caller;
    this.#leaders = leaders;
    this.#ledger = ledger;
    this.#options = options;
    this.#padding = ' '.repeat(options.recordBytes);
  }

  /** Resolves when it was stopped: the last batch may have been written, and not have been acknowledged. */
  async run(): Promise<void> {
    const { clock } = this.#ports;
    let dueAt = clock.now();
    while (!this.#isStopped) {
      await this.#writeBatch();
      // What was missed in a silence is not made up for.
      dueAt = Math.max(dueAt + this.#options.intervalMs, clock.now());
      await pause(clock, dueAt - clock.now());
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #writeBatch(): Promise<void> {
    const { partition, batchRecords } = this.#options;
    const first = this.#nextNumber;
    while (!this.#isStopped) {
      const answer = await this.#send(first);
      if (answer?.errorCode === ErrorCode.None) {
        this.#ledger.acknowledge(partition, first, batchRecords, answer.baseOffset, this.#ports.clock.now());
        this.#nextNumber = first + batchRecords;
        return;
      }
      const isForgotten =
        answer?.errorCode === ErrorCode.OutOfOrderSequenceNumber || answer?.errorCode === ErrorCode.UnknownProducerId;
      if (isForgotten) {
        this.#ledger.refuse(partition, first);
        // Another producer can go on.
        this.#producerId = -1;
      }
      await (answer === undefined ? this.#leaders.told() : pause(this.#ports.clock, RETRY_MS));
    }
  }

  async #send(first: number): Promise<{ readonly errorCode: number; readonly baseOffset: number } | undefined> {
    const { topic, partition, batchRecords } = this.#options;
    const leader = this.#leaders.of(partition);
    if (leader === undefined || (this.#producerId < 0 && !(await this.#initialise(first)))) return undefined;
    const { clock, codecs } = this.#ports;
    const timestamp = clock.wall();
    const records = Array.from({ length: batchRecords }, (_, index) => ({
      timestamp,
      key: null,
      value: Buffer.from(`${first + index}${this.#padding}`.slice(0, this.#options.recordBytes)),
    }));
    const identity = {
      producerId: this.#producerId,
      producerEpoch: 0,
      baseSequence: first - this.#firstOfProducer,
    };
    const batch = buildBatch({ baseOffset: 0, leaderEpoch: -1, records, ...identity }, codecs);
    const topicData = [{ name: topic, partitionData: [{ index: partition, records: [batch] }] }];
    const request = { acks: ALL_IN_SYNC, timeoutMs: REPLICATION_MS, topicData };
    const answer = await this.#unlessSucceeded(leader, this.#caller.call(leader, PRODUCE, request, REQUEST_MS));
    return answer?.responses[0]?.partitionResponses[0];
  }

  /** A request to a leader that is none any more is given up: the batch goes to its successor, who knows whether it has it. */
  async #unlessSucceeded<A>(leader: Leader, answer: Promise<A | undefined>): Promise<A | undefined> {
    const first = await Promise.race([answer, this.#leaders.succeeded(this.#options.partition, leader)]);
    if (first !== undefined) return first;
    this.#caller.abandon(leader);
    return await answer;
  }

  async #initialise(first: number): Promise<boolean> {
    const leader = this.#leaders.of(this.#options.partition);
    if (leader === undefined) return false;
    const request = { transactionalId: null, transactionTimeoutMs: 0 };
    const asked = this.#caller.call(leader, INIT_PRODUCER_ID, request, REQUEST_MS);
    const answer = await this.#unlessSucceeded(leader, asked);
    if (answer?.errorCode !== ErrorCode.None) return false;
    this.#producerId = answer.producerId;
    this.#firstOfProducer = first;
    return true;
  }
}
