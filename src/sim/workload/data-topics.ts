import { ErrorCode } from '#model/errors';
import { isInternalTopic } from '#model/internal-topics';
import { CREATE_TOPICS } from '#protocol/calls';
import type { Client } from './client.ts';

const REQUEST_TIMEOUT_MS = 3000;

/** A topic that records are written to and read from for as long as the cluster lives. */
export interface DataTopic {
  readonly name: string;
  readonly partitionCount: number;
  readonly replicationFactor: number;
  /** Reassignments give it no fewer replicas. */
  readonly replicasMin: number;
  readonly configs: readonly TopicSetting[];
  /** What is altered in its configs while it is used. */
  readonly alterations: readonly TopicSetting[];
  exists: boolean;
}

export interface TopicSetting {
  readonly name: string;
  readonly value: string;
}

/** The prefix tells them from the topics that come and go. */
export const DATA_PREFIX = 'data-';

/** Whether records are in it: those of the clients, or those of coordinators. */
export function hasRecords(topic: string): boolean {
  return topic.startsWith(DATA_PREFIX) || isInternalTopic(topic);
}

const SAFE_TOPIC = `${DATA_PREFIX}safe`;
/** What transactions are written to, */
export const LEDGER_TOPIC = `${DATA_PREFIX}ledger`;
/** and what groups share. */
export const SHARED_TOPIC = `${DATA_PREFIX}shared`;
const VOLATILE_TOPIC = `${DATA_PREFIX}os`;
/** Of which an administrator deletes records, */
const TRIMMED_TOPIC = `${DATA_PREFIX}trimmed`;
/** and one whose records have keys, of which it keeps the last values. */
const COMPACTED_TOPIC = `${DATA_PREFIX}compacted`;

/** Those that are always written to two disks at least. */
const STRONG_TOPICS = new Set([SAFE_TOPIC, LEDGER_TOPIC, SHARED_TOPIC, TRIMMED_TOPIC, COMPACTED_TOPIC]);

/** With min.insync.replicas=1 at times, by which one disk may have been the only one to acknowledge. */
export function isWeak(topic: string): boolean {
  return topic.startsWith(DATA_PREFIX) && !STRONG_TOPICS.has(topic);
}

/** With flush.policy=os at times: what no member in sync had synced when all of them lost their power may be lost. */
export function isVolatile(topic: string): boolean {
  return topic === VOLATILE_TOPIC;
}

export function isTrimmed(topic: string): boolean {
  return topic === TRIMMED_TOPIC;
}

export function isCompacted(topic: string): boolean {
  return topic === COMPACTED_TOPIC;
}

/** Histories tell of topics that keep everything: not where it may be lost with the power, deleted or compacted. */
export function isInHistory(topic: string): boolean {
  return !isVolatile(topic) && !isTrimmed(topic) && !isCompacted(topic);
}

/**
 * What an acknowledgement by all in sync promises, as histories know it: where one disk may be all that are in sync, no more than one of
 * the leader does. Undefined if no history tells of the topic.
 */
export function promisedAcks(topic: string, acks: 0 | 1 | 'all'): 0 | 1 | 'all' | undefined {
  if (!isInHistory(topic)) return undefined;
  return acks === 'all' && isWeak(topic) ? 1 : acks;
}

/** A few kinds: as many replicas as a default has, and fewer; what an acknowledgement means. */
export function dataTopics(replicationMax: number): DataTopic[] {
  const strong = { name: SAFE_TOPIC, replicationFactor: replicationMax, replicasMin: 2, ...minIsrOf(2, 3) };
  const few = { name: `${DATA_PREFIX}few`, replicationFactor: replicationMax, replicasMin: 1, ...minIsrOf(1, 2) };
  const weak = { replicationFactor: Math.min(2, replicationMax), replicasMin: 1, ...minIsrOf(1, 2) };
  const os = minIsrOf(1, 2);
  const trimmed = { ...strong, name: TRIMMED_TOPIC, partitionCount: 1, exists: false };
  return [
    { ...(replicationMax >= 3 ? strong : few), partitionCount: 2, exists: false },
    ...(replicationMax >= 3 ? [trimmed] : []),
    { ...weak, name: `${DATA_PREFIX}weak`, partitionCount: 1, exists: false },
    {
      name: VOLATILE_TOPIC,
      partitionCount: 1,
      replicationFactor: replicationMax,
      replicasMin: 1,
      configs: [...os.configs, { name: 'flush.policy', value: 'os' }],
      alterations: [...os.alterations, ...settings('flush.policy', ['os', 'os', 'fsync'])],
      exists: false,
    },
  ];
}

/** In a cluster of three nodes and more. */
export function strongTopic(name: string, partitionCount: number): DataTopic {
  return { ...minIsrOf(2, 2), name, partitionCount, replicationFactor: 3, replicasMin: 3, exists: false };
}

/** In a cluster of three nodes and more. Its segments are closed soon, and cleaned whenever anything in them is dirty. */
export function compactedTopic(): DataTopic {
  const topic = strongTopic(COMPACTED_TOPIC, 1);
  const configs = topic.configs.filter(({ name }) => name !== 'segment.ms');
  const compacting = { 'cleanup.policy': 'compact', 'segment.ms': '1500', 'min.cleanable.dirty.ratio': '0.01' };
  return { ...topic, configs: [...configs, ...Object.entries(compacting).map(([name, value]) => ({ name, value }))] };
}

function minIsrOf(byDefault: number, other: number): Pick<DataTopic, 'configs' | 'alterations'> {
  const name = 'min.insync.replicas';
  return {
    configs: [
      { name, value: String(byDefault) },
      // Clocks jump: nothing may be deleted for its age, and segments are rolled for theirs.
      { name: 'retention.ms', value: '-1' },
      { name: 'segment.ms', value: '8000' },
      // Nor is anything refused for its time, for as long as the leader's clock is off.
      { name: 'message.timestamp.after.max.ms', value: String(2n ** 63n - 1n) },
      // Segments are small: they are to have indexes all the same.
      { name: 'index.interval.bytes', value: '200' },
    ],
    alterations: settings(name, [String(byDefault), String(other)]),
  };
}

function settings(name: string, values: readonly string[]): readonly TopicSetting[] {
  return values.map((value) => ({ name, value }));
}

/** Asks for each until it is there. */
export class DataTopicMaker {
  readonly client: Client;
  readonly #topics: readonly DataTopic[];

  constructor(client: Client, topics: readonly DataTopic[]) {
    this.client = client;
    this.#topics = topics;
  }

  async work(): Promise<void> {
    for (const topic of this.#topics) {
      while (!this.client.isStopped && !topic.exists) {
        const node = this.client.anyNode();
        const { name, partitionCount: numPartitions, replicationFactor, configs } = topic;
        const request = {
          topics: [{ name, numPartitions, replicationFactor, assignments: [], configs }],
          timeoutMs: 2500,
        };
        const { response } = await this.client.ask(node, CREATE_TOPICS, request, REQUEST_TIMEOUT_MS);
        const errorCode = response?.topics[0]?.errorCode;
        topic.exists = errorCode === ErrorCode.None || errorCode === ErrorCode.TopicAlreadyExists;
        if (!topic.exists) await this.client.pause(100);
      }
    }
  }
}
