import { at } from '#base/assert';
import type { Ports } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import { ResourceType } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import type { Workload } from './admin-client.ts';
import { CREATE_TOPICS } from './calls.ts';
import { Connections } from './connections.ts';

const REQUEST_TIMEOUT_MS = 3000;

/** A topic that records are written to and read from for as long as the cluster lives. */
export interface DataTopic {
  readonly name: string;
  readonly partitionCount: number;
  readonly replicationFactor: number;
  readonly minIsr: number;
  exists: boolean;
}

/** The prefix tells them from the topics that come and go. */
export const DATA_PREFIX = 'data-';

/** With min.insync.replicas=1, by which one disk may have been the only one to acknowledge. */
export function isWeak(topic: string, image: MetadataImage): boolean {
  return image.configs(ResourceType.Topic, topic).get('min.insync.replicas') === '1';
}

/** A few kinds: as many replicas as a default has, and fewer. */
export function dataTopics(replicationMax: number): DataTopic[] {
  const safe = { replicationFactor: replicationMax, minIsr: replicationMax >= 3 ? 2 : 1 };
  const weak = { replicationFactor: Math.min(2, replicationMax), minIsr: 1 };
  return [
    { name: `${DATA_PREFIX}safe`, partitionCount: 2, ...safe, exists: false },
    { name: `${DATA_PREFIX}weak`, partitionCount: 1, ...weak, exists: false },
  ];
}

/** Asks for each until it is there. */
export class DataTopicMaker {
  readonly #ports: Ports;
  readonly #workload: Workload;
  readonly #connections: Connections;
  #stopped = false;
  #idle: Promise<void> = Promise.resolve();

  constructor(ports: Ports, workload: Workload) {
    this.#ports = ports;
    this.#workload = workload;
    this.#connections = new Connections(ports);
  }

  start(topics: readonly DataTopic[], fail: (error: Error) => void): void {
    this.#idle = this.#make(topics).catch(fail);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#idle;
    this.#connections.close();
  }

  async #make(topics: readonly DataTopic[]): Promise<void> {
    const { nodes } = this.#workload;
    for (const topic of topics) {
      while (!this.#stopped && !topic.exists) {
        const node = at(nodes, this.#ports.random.uint32() % nodes.length);
        const { name, partitionCount: numPartitions, replicationFactor, minIsr } = topic;
        const configs = [{ name: 'min.insync.replicas', value: String(minIsr) }];
        const request = {
          topics: [{ name, numPartitions, replicationFactor, assignments: [], configs }],
          timeoutMs: 2500,
        };
        const { response } = await this.#connections.ask(node, CREATE_TOPICS, request, REQUEST_TIMEOUT_MS);
        const errorCode = response?.topics[0]?.errorCode;
        topic.exists = errorCode === ErrorCode.None || errorCode === ErrorCode.TopicAlreadyExists;
        if (!topic.exists) await new Promise<void>((resolve) => this.#ports.clock.timer(() => resolve()).arm(100));
      }
    }
  }
}
