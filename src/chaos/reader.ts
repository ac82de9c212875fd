import type { Codecs } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { FETCH } from '#protocol/calls';
import { batchCrcMatches, readBatchHeader } from '#protocol/record-batch';
import { iterateRecords } from '#protocol/records';
import type { Caller } from './caller.ts';
import type { Leaders } from './leaders.ts';

const ANSWER_MS = 1_500;
const WAIT_MS = 250;
const FETCH_BYTES = 1024 * 1024;

/** Reads one partition from its beginning on, at whoever leads it. */
export class PartitionReader {
  readonly #codecs: Codecs;
  readonly #caller: Caller;
  readonly #leaders: Leaders;
  readonly #topic: string;
  readonly #partition: number;
  #position = 0;
  #highWatermark = -1;

  constructor(codecs: Codecs, caller: Caller, leaders: Leaders, topic: string, partition: number) {
    this.#codecs = codecs;
    this.#caller = caller;
    this.#leaders = leaders;
    this.#topic = topic;
    this.#partition = partition;
  }

  /** The next offset. */
  get position(): number {
    return this.#position;
  }

  /** It has read all that its leader has committed, as far as it was told. */
  get isAtEnd(): boolean {
    return this.#highWatermark >= 0 && this.#position >= this.#highWatermark;
  }

  /** One fetch, which waits a little if there is nothing; false: there was no good answer, and who leads was asked again. */
  async fetch(take: (offset: number, number: number) => void): Promise<boolean> {
    const leader = this.#leaders.of(this.#partition);
    const answer = leader && (await this.#caller.call(leader, FETCH, this.#request(leader.epoch), ANSWER_MS));
    const partition = answer?.responses[0]?.partitions[0];
    if (partition?.errorCode !== ErrorCode.None) {
      await this.#leaders.told();
      return false;
    }
    this.#highWatermark = partition.highWatermark;
    for (const chunk of partition.records ?? []) this.#take(chunk, take);
    return true;
  }

  #request(currentLeaderEpoch: number) {
    const asked = {
      partition: this.#partition,
      currentLeaderEpoch,
      fetchOffset: this.#position,
      partitionMaxBytes: FETCH_BYTES,
    };
    const topics = [{ topic: this.#topic, partitions: [asked] }];
    return { maxWaitMs: WAIT_MS, minBytes: 1, maxBytes: FETCH_BYTES, topics };
  }

  #take(bytes: Uint8Array, take: (offset: number, number: number) => void): void {
    for (let start = 0; start < bytes.length; ) {
      const header = readBatchHeader(bytes, start);
      if (typeof header === 'string' || !batchCrcMatches(bytes, header, this.#codecs)) return;
      start += header.sizeBytes;
      const records = iterateRecords(bytes, header, this.#codecs, FETCH_BYTES);
      if (typeof records === 'string') return;
      for (const { offset, value } of records) {
        if (offset < this.#position) continue;
        take(offset, Number.parseInt(Buffer.from(value ?? []).toString(), 10));
        this.#position = offset + 1;
      }
    }
  }
}
