import { at } from '#base/assert';
import { ErrorCode } from '#model/errors';
import { DELETE_RECORDS } from '#protocol/calls';
import { check } from '../checkers/violation.ts';
import { between } from '../ports/sim-random.ts';
import type { Client } from './client.ts';
import { type DataTopic, isTrimmed } from './data-topics.ts';
import { Leaders } from './leaders.ts';
import type { RecordModel } from './record-model.ts';

const BROKER_TIMEOUT_MS = 2000;
const REQUEST_TIMEOUT_MS = 2500;
const LONG_REST_EVERY = 3;

/** Deletes the oldest records of a topic, up to one that is known to be committed, at whoever leads it (KIP-107). */
export class Deleter {
  readonly client: Client;
  readonly #topics: readonly DataTopic[];
  readonly #model: RecordModel;
  readonly #leaders: Leaders;

  constructor(client: Client, topics: readonly DataTopic[], model: RecordModel) {
    this.client = client;
    this.#topics = topics.filter(({ name }) => isTrimmed(name));
    this.#model = model;
    this.#leaders = new Leaders(client);
  }

  async work(): Promise<void> {
    while (!this.client.isStopped && this.#topics.length > 0) {
      await this.client.pause(this.#rest());
      const topic = at(this.#topics, this.client.random.uint32() % this.#topics.length);
      if (!topic.exists || this.client.isStopped) continue;
      await this.#delete(topic.name, this.client.random.uint32() % topic.partitionCount);
    }
  }

  /** Now and then it is long: whoever comes back meanwhile must have learned of what was deleted before. */
  #rest(): number {
    const { random } = this.client;
    return random.uint32() % LONG_REST_EVERY === 0 ? between(random, 5000, 15_000) : between(random, 300, 3000);
  }

  async #delete(name: string, partitionIndex: number): Promise<void> {
    const key = `${name}-${partitionIndex}`;
    const leader = this.#leaders.of(name, partitionIndex);
    if (leader === undefined) return await this.#leaders.refresh(name);
    const before = this.#model.deletable(key, this.client.random);
    if (before === undefined) return;
    this.#model.deletionAsked(key, before);
    const topics = [{ name, partitions: [{ partitionIndex, offset: before }] }];
    const request = { topics, timeoutMs: BROKER_TIMEOUT_MS };
    const { response } = await this.client.ask(leader.node, DELETE_RECORDS, request, REQUEST_TIMEOUT_MS);
    const answer = response?.topics[0]?.partitions[0];
    this.client.say(`deletes ${key} below ${before}: ${answer?.errorCode}, ${answer?.lowWatermark}`);
    if (answer?.errorCode !== ErrorCode.None) return this.#leaders.forget(name, partitionIndex);
    const { lowWatermark } = answer;
    check(
      lowWatermark >= before && lowWatermark <= this.#model.mayBeGoneBelow(key),
      'deleted records',
      () => `${key} is deleted below ${before}, and begins at ${lowWatermark}`,
    );
    this.client.workload.sometimes('records deleted');
    // Who has answered led in this epoch, or in an earlier one.
    const epoch = this.client.workload.reference()?.partition(name, partitionIndex)?.leaderEpoch;
    if (epoch !== undefined) this.#model.deleted(key, lowWatermark, epoch);
  }
}
