import type { Clock, Codecs, Endpoint, Network } from '#base/ports';
import { ErrorCode, errorName } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { CREATE_TOPICS, DELETE_TOPICS } from '#protocol/calls';
import type { CreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { Caller } from './caller.ts';
import { Leaders } from './leaders.ts';
import { type Account, Ledger, type Window } from './ledger.ts';
import { pause } from './pause.ts';
import { PartitionReader } from './reader.ts';
import type { LoadOptions } from './scenario.ts';
import { PartitionWriter } from './writer.ts';

export interface LoadPorts {
  readonly clock: Clock;
  readonly network: Network;
  readonly codecs: Codecs;
}

export interface LoadResult extends Account {
  /** Partitions that could not be read to their end. */
  readonly unreadable: readonly number[];
  /** Partitions whose reader, which had followed them all the while, did not come to where another did that began anew. */
  readonly stalled: readonly number[];
}

const ASK_MS = 5_000;
const START_MS = 30_000;
const RETRY_MS = 50;
const FINAL_READ_MS = 60_000;
/** A leader that has just taken over may not know yet how much is committed. */
const COMMIT_MS = 5_000;
/** Whoever has read along has little left to read. */
const FOLLOW_MS = 10_000;
/** A batch of each partition, if that makes the rate. */
const INTERVAL_MS = 20;

const CLIENT_ID = 'odradek-chaos';

/** Producers with acks=all and idempotence, one for each partition of a topic of its own, and readers that follow them. */
export class Load {
  readonly topic: string;
  readonly #ports: LoadPorts;
  readonly #nodes: readonly Endpoint[];
  readonly #options: LoadOptions;
  readonly #ledger: Ledger;
  readonly #leaders: Leaders;
  readonly #callers: Caller[] = [];
  readonly #writers: readonly PartitionWriter[];
  readonly #followers: readonly PartitionReader[];
  #writing: Promise<unknown> = Promise.resolve();
  #reading: Promise<unknown> = Promise.resolve();
  #isStopped = false;
  #stoppedAt = Number.POSITIVE_INFINITY;

  private constructor(ports: LoadPorts, nodes: readonly Endpoint[], topic: string, options: LoadOptions) {
    this.#ports = ports;
    this.#nodes = nodes;
    this.topic = topic;
    this.#options = options;
    this.#ledger = new Ledger(options.partitions, ports.clock.now());
    this.#leaders = new Leaders(ports, CLIENT_ID, topic, nodes);
    this.#writers = Array.from(
      { length: options.partitions },
      (_, partition) =>
        new PartitionWriter(ports, this.#caller(), this.#leaders, this.#ledger, this.#writerOptions(partition)),
    );
    this.#followers = this.#writers.map((_, partition) => this.#reader(partition));
  }

  /** Creates the topic; resolves when each of its partitions has acknowledged something. Rejects with a sentence if that takes too long. */
  static async start(ports: LoadPorts, nodes: readonly Endpoint[], topic: string, options: LoadOptions): Promise<Load> {
    const load = new Load(ports, nodes, topic, options);
    try {
      await load.#createTopic();
      load.#run();
      if (!(await load.#until(START_MS, () => load.isServed(0))))
        throw new Error(`the cluster acknowledges nothing in some partitions of ${topic}: is it healthy?`);
    } catch (failure) {
      await load.#stopWriting();
      await load.#stopReading();
      load.#close();
      throw failure;
    }
    return load;
  }

  /** Whether every partition has acknowledged something since then. */
  isServed(since: number): boolean {
    return this.#ledger.isServed(since);
  }

  longestSilenceMs(window: Window): number {
    return this.#ledger.longestSilenceMs(window, Math.min(this.#stoppedAt, this.#ports.clock.now()));
  }

  /** Stops, reads all that is there from the beginning on, and compares. */
  async finish(): Promise<LoadResult> {
    await this.#stopWriting();
    const logs = await Promise.all(this.#followers.map((_, partition) => this.#readAll(partition)));
    const isBehind = (partition: number): boolean =>
      logs[partition] !== undefined && (this.#followers[partition]?.position ?? 0) < logs[partition].length;
    const partitions = [...logs.keys()];
    await this.#until(FOLLOW_MS, () => !partitions.some(isBehind));
    const stalled = partitions.filter(isBehind);
    await this.#stopReading();
    this.#close();
    const unreadable = partitions.filter((partition) => logs[partition] === undefined);
    return { ...this.#ledger.settle(logs.map((log) => log ?? [])), unreadable, stalled };
  }

  /** False if no node does it. */
  async deleteTopic(): Promise<boolean> {
    const request = { topics: [{ name: this.topic, topicId: ZERO_UUID }], timeoutMs: ASK_MS };
    const caller = new Caller(this.#ports, CLIENT_ID);
    try {
      for (const node of this.#nodes) {
        const answer = await caller.call(node, DELETE_TOPICS, request, ASK_MS);
        if (answer?.responses[0]?.errorCode === ErrorCode.None) return true;
      }
      return false;
    } finally {
      caller.close();
    }
  }

  async #createTopic(): Promise<void> {
    const { clock } = this.#ports;
    const caller = this.#caller();
    const topic = { name: this.topic, numPartitions: this.#options.partitions, replicationFactor: -1 };
    const request = { topics: [{ ...topic, assignments: [], configs: [] }], timeoutMs: ASK_MS };
    const endsAt = clock.now() + START_MS;
    let last = 'no node answers';
    for (let attempt = 0; clock.now() < endsAt; attempt += 1) {
      const node = this.#nodes[attempt % this.#nodes.length] as Endpoint;
      const answer: CreateTopicsResponse | undefined = await caller.call(node, CREATE_TOPICS, request, ASK_MS);
      const errorCode = answer?.topics[0]?.errorCode;
      // An earlier attempt may have been carried out without an answer.
      if (errorCode === ErrorCode.None || errorCode === ErrorCode.TopicAlreadyExists) return;
      if (errorCode !== undefined) last = errorName(errorCode as ErrorCode);
      await pause(clock, RETRY_MS);
    }
    throw new Error(`the load's topic cannot be created: ${last}`);
  }

  #run(): void {
    this.#writing = Promise.all(this.#writers.map((writer) => writer.run()));
    this.#reading = Promise.all(this.#followers.map((reader, partition) => this.#follow(reader, partition)));
  }

  async #follow(reader: PartitionReader, partition: number): Promise<void> {
    while (!this.#isStopped) await reader.fetch((offset, number) => this.#ledger.read(partition, offset, number));
  }

  async #stopWriting(): Promise<void> {
    for (const writer of this.#writers) writer.stop();
    await this.#writing;
    this.#stoppedAt = this.#ports.clock.now();
  }

  async #stopReading(): Promise<void> {
    this.#isStopped = true;
    await this.#reading;
  }

  /** The number at each offset; undefined if the end does not come. */
  async #readAll(partition: number): Promise<readonly (number | undefined)[] | undefined> {
    const { clock } = this.#ports;
    const reader = this.#reader(partition);
    const log: (number | undefined)[] = [];
    const from = clock.now();
    while (clock.now() < from + FINAL_READ_MS) {
      const isAnswered = await reader.fetch((offset, number) => {
        log[offset] = number;
      });
      const isWhole = reader.position >= this.#ledger.acknowledgedEnd(partition);
      if (isAnswered && reader.isAtEnd && (isWhole || clock.now() > from + COMMIT_MS)) return log;
    }
    return undefined;
  }

  async #until(limitMs: number, holds: () => boolean): Promise<boolean> {
    const { clock } = this.#ports;
    const endsAt = clock.now() + limitMs;
    while (!holds() && clock.now() < endsAt) await pause(clock, RETRY_MS);
    return holds();
  }

  #writerOptions(partition: number) {
    const { partitions, recordsPerSecond, recordBytes } = this.#options;
    const perSecond = recordsPerSecond / partitions;
    const batchRecords = Math.max(1, Math.round((perSecond * INTERVAL_MS) / 1_000));
    return { topic: this.topic, partition, batchRecords, intervalMs: (1_000 * batchRecords) / perSecond, recordBytes };
  }

  #reader(partition: number): PartitionReader {
    return new PartitionReader(this.#ports.codecs, this.#caller(), this.#leaders, this.topic, partition);
  }

  #close(): void {
    this.#leaders.close();
    for (const caller of this.#callers) caller.close();
  }

  /** Closed with the load. */
  #caller(): Caller {
    const caller = new Caller(this.#ports, CLIENT_ID);
    this.#callers.push(caller);
    return caller;
  }
}
