import { at } from '#base/assert';
import { type Partition, ResourceType } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { ALTER_CONFIGS, ALTER_REASSIGNMENTS } from '#protocol/calls';
import { check } from '../checkers/violation.ts';
import { between } from '../ports/sim-random.ts';
import type { Client } from './client.ts';
import type { DataTopic } from './data-topics.ts';
import { type Outcome, outcomeOf } from './topic-model.ts';

const REQUEST_TIMEOUT_MS = 3000;
const SET = 0;

/** Brokers in this order; null: back to what was before. */
type Target = readonly number[] | null;

/**
 * Moves the replicas of topics that are written to, takes moves back, and alters the configs of those topics, one request after the
 * other at any node. What is acknowledged is committed at that moment, unless a request of the same kind had no answer before: that one
 * may have been carried out since.
 */
export class Mover {
  readonly client: Client;
  readonly #topics: readonly DataTopic[];
  /** Partitions and configs of which a request had no answer. */
  readonly #unknown = new Set<string>();

  constructor(client: Client, topics: readonly DataTopic[]) {
    this.client = client;
    this.#topics = topics;
  }

  async work(): Promise<void> {
    while (!this.client.isStopped) {
      await this.client.pause(between(this.client.random, 200, 3000));
      const topic = at(this.#topics, this.client.random.uint32() % this.#topics.length);
      if (!topic.exists || this.client.isStopped) continue;
      const lot = this.client.random.uint32() % 100;
      if (lot < 30) await this.#alter(topic);
      else await this.#moveSome(topic);
    }
  }

  /** Some moves are taken back at once, and some of these at a moment when they have come to their end. */
  async #moveSome(topic: DataTopic): Promise<void> {
    const partition = this.client.random.uint32() % topic.partitionCount;
    const outcome = await this.#move(topic, partition, this.#target(topic));
    if (outcome === 'refused' || this.client.random.uint32() % 2 === 0) return;
    await this.client.pause(between(this.client.random, 0, 100));
    await this.#move(topic, partition, null);
  }

  #target({ replicasMin, replicationFactor }: DataTopic): readonly number[] {
    const ids = this.client.workload.nodes.map((_, index) => index + 1);
    const count = replicasMin + (this.client.random.uint32() % (replicationFactor - replicasMin + 1));
    return Array.from({ length: count }, () => at(ids.splice(this.client.random.uint32() % ids.length, 1), 0));
  }

  async #move({ name }: DataTopic, partitionIndex: number, target: Target): Promise<Outcome> {
    const key = `${name}-${partitionIndex}`;
    const topics = [{ name, partitions: [{ partitionIndex, replicas: target }] }];
    const { response, failure } = await this.client.ask(
      this.client.anyNode(),
      ALTER_REASSIGNMENTS,
      { timeoutMs: 2500, allowReplicationFactorChange: true, topics },
      REQUEST_TIMEOUT_MS,
    );
    const result = response?.responses[0]?.partitions[0];
    const errorCode =
      response === undefined || response.errorCode !== ErrorCode.None ? response?.errorCode : result?.errorCode;
    const outcome = failure === 'refused' ? 'refused' : outcomeOf(errorCode);
    this.client.say(
      `${key} ${target === null ? 'stays where it was' : `moves to ${target.join()}`}: ${outcome} (${errorCode})`,
    );
    if (outcome === 'unknown') this.#unknown.add(key);
    if (outcome !== 'done') return outcome;
    this.client.workload.sometimes(target === null ? 'reassignment cancelled' : 'reassignment begun');
    const state = this.client.workload.reference()?.partition(name, partitionIndex);
    if (state === undefined || this.#unknown.has(key)) return outcome;
    const fault = faultOfMove(state, target);
    check(fault === undefined, 'acknowledged', () => `in the committed metadata ${key} ${fault}`);
    return outcome;
  }

  async #alter(topic: DataTopic): Promise<void> {
    const { name, value } = at(topic.alterations, this.client.random.uint32() % topic.alterations.length);
    const configs = [{ name, configOperation: SET, value }];
    const resources = [{ resourceType: ResourceType.Topic, resourceName: topic.name, configs }];
    const { response, failure } = await this.client.ask(
      this.client.anyNode(),
      ALTER_CONFIGS,
      { resources, validateOnly: false },
      REQUEST_TIMEOUT_MS,
    );
    const errorCode = response?.responses[0]?.errorCode;
    const outcome = failure === 'refused' ? 'refused' : outcomeOf(errorCode);
    this.client.say(`sets ${name} of ${topic.name} to ${value}: ${outcome} (${errorCode})`);
    const key = `${topic.name} ${name}`;
    if (outcome === 'unknown') this.#unknown.add(key);
    if (outcome !== 'done') return;
    this.client.workload.sometimes('config of a topic with records altered');
    const found = this.client.workload.reference()?.configs(ResourceType.Topic, topic.name).get(name);
    if (found === undefined || this.#unknown.has(key)) return;
    check(found === value, 'acknowledged', () => `in the committed metadata ${key} is ${found}, and not ${value}`);
  }
}

/** What an acknowledged move leaves behind, whether it has come to its end by now or not: a sentence if it did not. */
export function faultOfMove(
  { replicas, adding, removing }: Pick<Partition, 'replicas' | 'adding' | 'removing'>,
  target: Target,
): string | undefined {
  const isMoving = adding.length > 0 || removing.length > 0;
  if (target === null) return isMoving ? `still moves to ${replicas.join()}, though that was taken back` : undefined;
  const staying = replicas.filter((id) => !removing.includes(id));
  if (staying.length === target.length && target.every((id, place) => staying[place] === id)) return undefined;
  return `goes to ${staying.join()}, and not to ${target.join()}`;
}
