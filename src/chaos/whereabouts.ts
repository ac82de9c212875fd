import type { Parsed } from '#base/parsed';
import type { Endpoint } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { DESCRIBE_QUORUM, METADATA } from '#protocol/calls';
import type { Caller } from './caller.ts';
import type { NodeTarget } from './fault.ts';

const ANSWER_MS = 1_000;
const METADATA_TOPIC = '__cluster_metadata';

/** Which node somebody means, by what the nodes say themselves. */
export class Whereabouts {
  readonly #caller: Caller;
  readonly #nodes: readonly Endpoint[];

  constructor(caller: Caller, nodes: readonly Endpoint[]) {
    this.#caller = caller;
    this.#nodes = nodes;
  }

  /** `loadTopic` is meant where a leader is, and no topic is named. */
  async find(target: NodeTarget, loadTopic: string | undefined): Promise<Parsed<number>> {
    switch (target.kind) {
      case 'node':
        return { value: target.id };
      case 'controller':
        return await this.#first('no node knows a controller', (at) => this.#controllerAt(at));
      case 'leader': {
        const topic = target.topic ?? loadTopic;
        if (topic === undefined) return { error: 'a leader of which topic? leader-of TOPIC says it' };
        return await this.#leaderOf(topic);
      }
    }
  }

  /** Of partition 0 of a topic of this name; where there is none, the number at its end is that of the partition. */
  async #leaderOf(name: string): Promise<Parsed<number>> {
    const [, topic = '', number = ''] = /^(.+)-(\d{1,9})$/.exec(name) ?? [];
    const ways: readonly (readonly [string, number])[] = [
      [name, 0],
      ...(topic === '' ? [] : [[topic, Number(number)] as const]),
    ];
    return await this.#first(`no node knows a leader of ${name}`, async (at) => {
      for (const [ofTopic, partition] of ways) {
        const leader = await this.#leaderAt(at, ofTopic, partition);
        if (leader !== undefined) return leader;
      }
      return undefined;
    });
  }

  async #leaderAt(at: Endpoint, topic: string, partition: number): Promise<number | undefined> {
    const request = { topics: [{ name: topic }], allowAutoTopicCreation: false };
    const answer = await this.#caller.call(at, METADATA, request, ANSWER_MS);
    const leader = answer?.topics[0]?.partitions.find(({ partitionIndex }) => partitionIndex === partition)?.leaderId;
    return leader === undefined || leader < 0 ? undefined : leader;
  }

  async #controllerAt(at: Endpoint): Promise<number | undefined> {
    const request = { topics: [{ topicName: METADATA_TOPIC, partitions: [{ partitionIndex: 0 }] }] };
    const answer = await this.#caller.call(at, DESCRIBE_QUORUM, request, ANSWER_MS);
    const quorum = answer?.topics[0]?.partitions[0];
    return quorum?.errorCode === ErrorCode.None && quorum.leaderId >= 0 ? quorum.leaderId : undefined;
  }

  async #first(problem: string, ask: (at: Endpoint) => Promise<number | undefined>): Promise<Parsed<number>> {
    for (const node of this.#nodes) {
      const value = await ask(node);
      if (value !== undefined) return { value };
    }
    return { error: problem };
  }
}
