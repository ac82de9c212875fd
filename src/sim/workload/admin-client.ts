import { assert, at } from '#base/assert';
import type { Ports, Random } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { check } from '../checkers/violation.ts';
import type { CoveragePoint } from '../coverage.ts';
import { between } from '../ports/sim-random.ts';
import { ALTER_CONFIGS, CREATE_PARTITIONS, CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID } from './calls.ts';
import { Connections } from './connections.ts';
import type { Answer, Call } from './kafka-client.ts';
import { type Outcome, outcomeOf, TopicModel } from './topic-model.ts';

const REQUEST_TIMEOUT_MS = 3000;
const LIVE_TOPICS_MAX = 8;
const TOPIC = 2;
const SET = 0;
const DELETE = 1;
/** Any broker config that a topic has too, with values that differ from its default. */
const KEYS = ['retention.ms', 'segment.bytes', 'max.message.bytes'];

/** What the clients of one cluster have in common. */
export interface Workload {
  /** Hosts of the nodes. */
  readonly nodes: readonly string[];
  readonly replicationMax: number;
  /** All producer ids ever given, and by which node. */
  readonly producerIds: Map<number, string>;
  /** Everything committed, if the checkers can follow it. */
  reference(): MetadataImage | undefined;
  /** Whether faults are being injected. */
  isRough(): boolean;
  sometimes(point: CoveragePoint): void;
  say(who: string, what: string): void;
}

/**
 * A client that administers topics of its own, one request after the other, at any node: it knows what must be true of them. What is
 * acknowledged is committed at that very moment (if the checkers know what is), and there at the end on every node.
 */
export class AdminClient {
  readonly topics: TopicModel[] = [];
  readonly #name: string;
  readonly #ports: Ports;
  readonly #random: Random;
  readonly #workload: Workload;
  readonly #connections: Connections;
  #topicCount = 0;
  #stopped = false;
  #idle: Promise<void> = Promise.resolve();

  constructor(name: string, ports: Ports, workload: Workload) {
    this.#name = name;
    this.#ports = ports;
    this.#random = ports.random;
    this.#workload = workload;
    this.#connections = new Connections(ports);
  }

  /** Goes on until it is stopped. */
  start(fail: (error: Error) => void): void {
    this.#idle = this.#work().catch(fail);
  }

  /** No further request; resolves when the last one has its answer, or will have none. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#idle;
    this.#connections.close();
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      await this.#pause(between(this.#random, 20, 400));
      const live = this.topics.filter(({ exists }) => exists === 'yes');
      const lot = this.#random.uint32() % 100;
      const topic = live.length > 0 ? at(live, this.#random.uint32() % live.length) : undefined;
      if (lot < 25) await this.#initProducerId();
      else if (topic === undefined || (lot < 55 && live.length < LIVE_TOPICS_MAX)) await this.#create();
      else if (lot < 70) await this.#alter(topic);
      else if (lot < 85) await this.#widen(topic);
      else await this.#delete(topic);
    }
  }

  async #create(): Promise<void> {
    this.#topicCount += 1;
    const topic = new TopicModel(`${this.#name}-${this.#topicCount}`);
    this.topics.push(topic);
    const numPartitions = 1 + (this.#random.uint32() % 4);
    const replicationFactor = 1 + (this.#random.uint32() % this.#workload.replicationMax);
    const configs = this.#random.uint32() % 2 === 0 ? [] : [{ name: 'retention.ms', value: '12345678' }];
    const request = {
      topics: [{ name: topic.name, numPartitions, replicationFactor, assignments: [], configs }],
      timeoutMs: 2500,
    };
    const answer = await this.#ask(CREATE_TOPICS, request);
    const result = answer.response?.topics[0];
    const outcome = this.#note(`create ${topic.name} with ${numPartitions} partitions`, answer, result?.errorCode);
    topic.created(outcome, result?.errorCode, result?.topicId, numPartitions);
    topic.configured(outcome === 'refused' ? 'unknown' : outcome, 'retention.ms', configs[0]?.value ?? null);
    // Nobody else uses the name.
    this.#checkCommitted(topic);
  }

  async #delete(topic: TopicModel): Promise<void> {
    const answer = await this.#ask(DELETE_TOPICS, {
      topics: [{ name: topic.name, topicId: ZERO_UUID }],
      timeoutMs: 2500,
    });
    const errorCode = answer.response?.responses[0]?.errorCode;
    topic.deleted(this.#note(`delete ${topic.name}`, answer, errorCode), errorCode);
    this.#checkCommitted(topic);
  }

  async #widen(topic: TopicModel): Promise<void> {
    const count = Math.max(...topic.partitionCounts) + 1;
    if (count > 8) return;
    const request = { topics: [{ name: topic.name, count, assignments: null }], timeoutMs: 2500, validateOnly: false };
    const answer = await this.#ask(CREATE_PARTITIONS, request);
    const errorCode = answer.response?.results[0]?.errorCode;
    topic.widened(this.#note(`widen ${topic.name} to ${count} partitions`, answer, errorCode), count);
    this.#checkCommitted(topic);
  }

  async #alter(topic: TopicModel): Promise<void> {
    const name = at(KEYS, this.#random.uint32() % KEYS.length);
    const value = this.#random.uint32() % 4 === 0 ? null : String(2_000_000 + (this.#random.uint32() % 1000));
    const configs = [{ name, configOperation: value === null ? DELETE : SET, value }];
    const request = { resources: [{ resourceType: TOPIC, resourceName: topic.name, configs }], validateOnly: false };
    const answer = await this.#ask(ALTER_CONFIGS, request);
    const outcome = this.#note(
      `set ${name} of ${topic.name} to ${value}`,
      answer,
      answer.response?.responses[0]?.errorCode,
    );
    topic.configured(outcome, name, value);
    this.#checkCommitted(topic);
  }

  async #initProducerId(): Promise<void> {
    const answer = await this.#ask(INIT_PRODUCER_ID, { transactionalId: null, transactionTimeoutMs: 0 });
    const { response } = answer;
    const outcome = this.#note('ask for a producer id', answer, response?.errorCode);
    if (outcome !== 'done' || response === undefined) return;
    const { producerIds, nodes, sometimes } = this.#workload;
    const { producerId } = response;
    check(!producerIds.has(producerId), 'producer ids', () => `the producer id ${producerId} was given twice`);
    if (
      nodes.length > 1 &&
      new Set(producerIds.values()).size === 1 &&
      ![...producerIds.values()].includes(answer.node)
    )
      sometimes('producer ids given by two brokers');
    producerIds.set(producerId, answer.node);
  }

  /** At a node by lot. */
  async #ask<Q, R>(call: Call<Q, R>, value: Q): Promise<Answer<R> & { readonly node: string; readonly response?: R }> {
    const { nodes } = this.#workload;
    const node = at(nodes, this.#random.uint32() % nodes.length);
    const answer = await this.#connections.ask(node, call, value, REQUEST_TIMEOUT_MS);
    return { ...answer, node };
  }

  #note(what: string, answer: Answer<unknown> & { readonly node: string }, errorCode: number | undefined): Outcome {
    const { sometimes, isRough, say } = this.#workload;
    const outcome = answer.failure === 'refused' ? 'refused' : outcomeOf(errorCode);
    if (outcome === 'done')
      sometimes(isRough() ? 'request acknowledged in the middle of faults' : 'request acknowledged');
    else sometimes(outcome === 'refused' ? 'request refused' : 'request without an answer');
    say(this.#name, `${what} at ${answer.node}: ${outcome}${errorCode === undefined ? '' : ` (${errorCode})`}`);
    assert(errorCode !== ErrorCode.InvalidRequest, `the workload asks for sensible things: ${what}`);
    return outcome;
  }

  /** Whatever is acknowledged is committed; the present moment is not later than that of the answer. */
  #checkCommitted(topic: TopicModel): void {
    const reference = this.#workload.reference();
    if (reference === undefined) return;
    const found = reference.topic(topic.name);
    if (found !== undefined && topic.exists === 'maybe') this.#workload.sometimes('unanswered request carried out');
    const fault = topic.faultOf(found && { id: found.id, partitions: found.partitions.length });
    check(fault === undefined, 'acknowledged', () => `in the committed metadata ${fault}`);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#ports.clock.timer(() => resolve()).arm(ms);
    });
  }
}
