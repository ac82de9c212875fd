import { assert, at } from '#base/assert';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import type { Call } from '#protocol/calls';
import { ALTER_CONFIGS, CREATE_PARTITIONS, CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID } from '#protocol/calls';
import { check } from '../checkers/violation.ts';
import { between } from '../ports/sim-random.ts';
import type { Client } from './client.ts';
import type { Answer } from './kafka-client.ts';
import { type Outcome, outcomeOf, TopicModel } from './topic-model.ts';

const REQUEST_TIMEOUT_MS = 3000;
const LIVE_TOPICS_MAX = 8;
const TOPIC = 2;
const SET = 0;
const DELETE = 1;
/** Any broker config that a topic has too, with values that differ from its default. */
const KEYS = ['retention.ms', 'segment.bytes', 'max.message.bytes'];

/**
 * A client that administers topics of its own, one request after the other, at any node: it knows what must be true of them. What is
 * acknowledged is committed at that very moment (if the checkers know what is), and there at the end on every node.
 */
export class AdminClient {
  readonly topics: TopicModel[] = [];
  readonly client: Client;
  /** When a request of its was last acknowledged; −1 before. */
  doneAt = -1;
  #topicCount = 0;
  #producerCount = 0;

  constructor(client: Client) {
    this.client = client;
  }

  async work(): Promise<void> {
    while (!this.client.isStopped) {
      await this.client.pause(between(this.client.random, 20, 400));
      const live = this.topics.filter(({ exists }) => exists === 'yes');
      const lot = this.client.random.uint32() % 100;
      const topic = live.length > 0 ? at(live, this.client.random.uint32() % live.length) : undefined;
      if (lot < 25) await this.#initProducerId();
      else if (topic === undefined || (lot < 55 && live.length < LIVE_TOPICS_MAX)) await this.#create();
      else if (lot < 70) await this.#alter(topic);
      else if (lot < 85) await this.#widen(topic);
      else await this.#delete(topic);
    }
  }

  async #create(): Promise<void> {
    this.#topicCount += 1;
    const topic = new TopicModel(`${this.client.name}-${this.#topicCount}`);
    this.topics.push(topic);
    const numPartitions = 1 + (this.client.random.uint32() % 4);
    const replicationFactor = 1 + (this.client.random.uint32() % this.client.workload.replicationMax);
    const configs = this.client.random.uint32() % 2 === 0 ? [] : [{ name: 'retention.ms', value: '12345678' }];
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
    const name = at(KEYS, this.client.random.uint32() % KEYS.length);
    const value =
      this.client.random.uint32() % 4 === 0 ? null : String(2_000_000 + (this.client.random.uint32() % 1000));
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
    const { producerIds, sometimes } = this.client.workload;
    this.#producerCount += 1;
    producerIds.given(response.producerId, `${this.client.name}, producer ${this.#producerCount}`, answer.node);
    if (producerIds.nodeCount > 1) sometimes('producer ids given by two brokers');
  }

  /** At a node by lot. */
  async #ask<Q, R>(call: Call<Q, R>, value: Q): Promise<Answer<R> & { readonly node: string; readonly response?: R }> {
    const node = this.client.anyNode();
    const answer = await this.client.ask(node, call, value, REQUEST_TIMEOUT_MS);
    return { ...answer, node };
  }

  #note(what: string, answer: Answer<unknown> & { readonly node: string }, errorCode: number | undefined): Outcome {
    const { sometimes, isRough } = this.client.workload;
    const outcome = answer.failure === 'refused' ? 'refused' : outcomeOf(errorCode);
    if (outcome === 'done') {
      this.doneAt = this.client.ports.clock.now();
      sometimes(isRough() ? 'request acknowledged in the middle of faults' : 'request acknowledged');
    } else sometimes(outcome === 'refused' ? 'request refused' : 'request without an answer');
    this.client.say(`${what} at ${answer.node}: ${outcome}${errorCode === undefined ? '' : ` (${errorCode})`}`);
    assert(errorCode !== ErrorCode.InvalidRequest, `the workload asks for sensible things: ${what}`);
    return outcome;
  }

  /** Whatever is acknowledged is committed; the present moment is not later than that of the answer. */
  #checkCommitted(topic: TopicModel): void {
    const reference = this.client.workload.reference();
    if (reference === undefined) return;
    const found = reference.topic(topic.name);
    if (found !== undefined && topic.exists === 'maybe')
      this.client.workload.sometimes('unanswered request carried out');
    const fault = topic.faultOf(found && { id: found.id, partitions: found.partitions.length });
    check(fault === undefined, 'acknowledged', () => `in the committed metadata ${fault}`);
  }
}
