import type { Logger } from '#base/ports';
import { coordinatorPartition } from '#coordinator/coordinator-partition';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode, type FailureCode } from '#model/errors';
import type { NodeId } from '#model/ids';

export interface HostedTopic {
  readonly name: string;
  readonly nodeId: NodeId;
  readonly image: MetadataImage;
  readonly logger: Pick<Logger, 'warn'>;
  replicationFactor(): number;
  /** Which config says it. */
  readonly factorConfig: string;
  /** Asks for the topic in the background; called at every request that misses it. */
  create(): void;
}

/**
 * The partitions of a coordinators' topic that this node leads and serves, each with what coordinates there. A key (a group's id, a
 * transactional id) belongs to the partition that it hashes to.
 */
export class HostedPartitions<Hosted extends { close(): void }> {
  readonly #topic: HostedTopic;
  /** By partition; as many as the topic has here. */
  readonly #hosted = new Map<number, Hosted>();
  /** With how many brokers it was last said that the topic waits for more. */
  #saidWith: number | undefined;

  constructor(topic: HostedTopic) {
    this.#topic = topic;
  }

  add(partition: number, hosted: Hosted): void {
    this.#hosted.set(partition, hosted);
  }

  close(partition: number): void {
    this.#hosted.get(partition)?.close();
    this.#hosted.delete(partition);
  }

  all(): IterableIterator<Hosted> {
    return this.#hosted.values();
  }

  at(partition: number): Hosted | undefined {
    return this.#hosted.get(partition);
  }

  of(key: string): Hosted | undefined {
    const partition = this.partitionOf(key);
    return partition === undefined ? undefined : this.#hosted.get(partition);
  }

  /** Undefined while there is no such topic. */
  partitionOf(key: string): number | undefined {
    const { image, name } = this.#topic;
    const topic = image.topic(name);
    return topic === undefined ? undefined : coordinatorPartition(key, topic.partitions.length);
  }

  /** Undefined while there is no coordinator: the client asks again, and meanwhile the topic is made. */
  coordinatorOf(key: string): NodeId | undefined {
    const { nodeId } = this.#topic;
    const partition = this.partitionOf(key);
    if (partition === undefined) {
      this.#createOrSay();
      return undefined;
    }
    const leader = this.#leaderOf(partition);
    return leader === nodeId && !this.#hosted.has(partition) ? undefined : leader;
  }

  /**
   * What a request is told whose key nothing here holds. The metadata is ahead of its effects: who leads by it, and has not begun to
   * serve, is loading. NOT_COORDINATOR would send clients away, and back at once.
   */
  errorWithout(key: string): FailureCode {
    const partition = this.partitionOf(key);
    const leader = partition === undefined ? undefined : this.#leaderOf(partition);
    return leader === this.#topic.nodeId ? ErrorCode.CoordinatorLoadInProgress : ErrorCode.NotCoordinator;
  }

  /** What the one that holds the key answers; if nothing does, what `failed` makes of the error. */
  ask<Answer>(
    key: string,
    ask: (hosted: Hosted) => Promise<Answer>,
    failed: (errorCode: FailureCode) => Answer,
  ): Promise<Answer> {
    const hosted = this.of(key);
    return hosted === undefined ? Promise.resolve(failed(this.errorWithout(key))) : ask(hosted);
  }

  /** What all that are served have together, or why some of it is missing. */
  async list<Item>(
    listed: (hosted: Hosted) => Promise<readonly Item[] | ErrorCode>,
  ): Promise<{ readonly errorCode: ErrorCode; readonly items: readonly Item[] }> {
    const items: Item[] = [];
    for (const list of await Promise.all([...this.#hosted.values()].map(listed))) {
      if (typeof list !== 'number') items.push(...list);
      // A partition that is not served has nothing here, as one that another node leads.
      else if (list !== ErrorCode.NotCoordinator) return { errorCode: list, items: [] };
    }
    return { errorCode: ErrorCode.None, items };
  }

  #leaderOf(partition: number): NodeId | undefined {
    const { image, name } = this.#topic;
    return image.topic(name)?.partitions[partition]?.leader ?? undefined;
  }

  /** Made with fewer brokers, the topic would be less safe than the cluster is meant to be, for as long as nobody changes it. */
  #createOrSay(): void {
    const topic = this.#topic;
    let serving = 0;
    for (const { fenced } of topic.image.brokers.values()) if (!fenced) serving += 1;
    const wanted = topic.replicationFactor();
    if (serving >= wanted) topic.create();
    else if (serving !== this.#saidWith) {
      this.#saidWith = serving;
      const sentence = `clients wait for the topic ${topic.name}, which is made when ${wanted} brokers serve (${topic.factorConfig})`;
      topic.logger.warn({ brokers: serving }, sentence);
    }
  }
}
