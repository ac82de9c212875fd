import { at } from '#base/assert';
import type { Ports, Random } from '#base/ports';
import { type Partition, ResourceType } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { check } from '../checkers/violation.ts';
import { between } from '../ports/sim-random.ts';
import type { Workload } from './admin-client.ts';
import { ALTER_CONFIGS, ALTER_REASSIGNMENTS } from './calls.ts';
import { Connections } from './connections.ts';
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
  readonly #name: string;
  readonly #ports: Ports;
  readonly #random: Random;
  readonly #workload: Workload;
  readonly #topics: readonly DataTopic[];
  readonly #connections: Connections;
  /** Partitions and configs of which a request had no answer. */
  readonly #unknown = new Set<string>();
  #stopped = false;
  #idle: Promise<void> = Promise.resolve();

  constructor(name: string, ports: Ports, workload: Workload, topics: readonly DataTopic[]) {
    this.#name = name;
    this.#ports = ports;
    this.#random = ports.random;
    this.#workload = workload;
    this.#topics = topics;
    this.#connections = new Connections(ports);
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
      await this.#pause(between(this.#random, 200, 3000));
      const topic = at(this.#topics, this.#random.uint32() % this.#topics.length);
      if (!topic.exists || this.#stopped) continue;
      const lot = this.#random.uint32() % 100;
      if (lot < 30) await this.#alter(topic);
      else await this.#moveSome(topic);
    }
  }

  /** Some moves are taken back at once, and some of these at a moment when they have come to their end. */
  async #moveSome(topic: DataTopic): Promise<void> {
    const partition = this.#random.uint32() % topic.partitionCount;
    const outcome = await this.#move(topic, partition, this.#target(topic));
    if (outcome === 'refused' || this.#random.uint32() % 2 === 0) return;
    await this.#pause(between(this.#random, 0, 100));
    await this.#move(topic, partition, null);
  }

  #target({ replicasMin, replicationFactor }: DataTopic): readonly number[] {
    const ids = this.#workload.nodes.map((_, index) => index + 1);
    const count = replicasMin + (this.#random.uint32() % (replicationFactor - replicasMin + 1));
    return Array.from({ length: count }, () => at(ids.splice(this.#random.uint32() % ids.length, 1), 0));
  }

  async #move({ name }: DataTopic, partitionIndex: number, target: Target): Promise<Outcome> {
    const key = `${name}-${partitionIndex}`;
    const topics = [{ name, partitions: [{ partitionIndex, replicas: target }] }];
    const { response, failure } = await this.#connections.ask(
      this.#anyNode(),
      ALTER_REASSIGNMENTS,
      { timeoutMs: 2500, allowReplicationFactorChange: true, topics },
      REQUEST_TIMEOUT_MS,
    );
    const result = response?.responses[0]?.partitions[0];
    const errorCode =
      response === undefined || response.errorCode !== ErrorCode.None ? response?.errorCode : result?.errorCode;
    const outcome = failure === 'refused' ? 'refused' : outcomeOf(errorCode);
    this.#say(
      `${key} ${target === null ? 'stays where it was' : `moves to ${target.join()}`}: ${outcome} (${errorCode})`,
    );
    if (outcome === 'unknown') this.#unknown.add(key);
    if (outcome !== 'done') return outcome;
    this.#workload.sometimes(target === null ? 'reassignment cancelled' : 'reassignment begun');
    const state = this.#workload.reference()?.partition(name, partitionIndex);
    if (state === undefined || this.#unknown.has(key)) return outcome;
    const fault = faultOfMove(state, target);
    check(fault === undefined, 'acknowledged', () => `in the committed metadata ${key} ${fault}`);
    return outcome;
  }

  async #alter(topic: DataTopic): Promise<void> {
    const { name, value } = at(topic.alterations, this.#random.uint32() % topic.alterations.length);
    const configs = [{ name, configOperation: SET, value }];
    const resources = [{ resourceType: ResourceType.Topic, resourceName: topic.name, configs }];
    const { response, failure } = await this.#connections.ask(
      this.#anyNode(),
      ALTER_CONFIGS,
      { resources, validateOnly: false },
      REQUEST_TIMEOUT_MS,
    );
    const errorCode = response?.responses[0]?.errorCode;
    const outcome = failure === 'refused' ? 'refused' : outcomeOf(errorCode);
    this.#say(`sets ${name} of ${topic.name} to ${value}: ${outcome} (${errorCode})`);
    const key = `${topic.name} ${name}`;
    if (outcome === 'unknown') this.#unknown.add(key);
    if (outcome !== 'done') return;
    this.#workload.sometimes('config of a topic with records altered');
    const found = this.#workload.reference()?.configs(ResourceType.Topic, topic.name).get(name);
    if (found === undefined || this.#unknown.has(key)) return;
    check(found === value, 'acknowledged', () => `in the committed metadata ${key} is ${found}, and not ${value}`);
  }

  #anyNode(): string {
    const { nodes } = this.#workload;
    return at(nodes, this.#random.uint32() % nodes.length);
  }

  #say(what: string): void {
    this.#workload.say(this.#name, what);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#ports.clock.timer(() => resolve()).arm(ms);
    });
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
