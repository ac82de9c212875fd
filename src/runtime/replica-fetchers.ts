import type { Deadlines } from '#base/deadlines';
import type { Endpoint, Ports } from '#base/ports';
import type { NodeId } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import type { Partition } from './partition.ts';
import type { Followers } from './partition-table.ts';
import { ReplicaFetcher } from './replica-fetcher.ts';
import type { ReplicationThrottle } from './replication-throttle.ts';
import { UndurableBytes } from './undurable-bytes.ts';

export interface ReplicaFetchersOptions {
  readonly self: NodeId;
  readonly planted: PlantedBugs;
  /** replica.fetch.wait.max.ms, .min.bytes, .max.bytes and .response.max.bytes. */
  readonly waitMaxMs: number;
  readonly minBytes: number;
  readonly partitionMaxBytes: number;
  readonly responseMaxBytes: number;
  readonly throttle: ReplicationThrottle;
  /** See ReplicaFetcherOptions. */
  onAppended(sizeBytes: number): void;
  isInSync(partition: Partition): boolean;
  /** Of a broker's inter-broker listener; undefined while it is not registered. */
  endpointOf(broker: NodeId): Endpoint | undefined;
  /** Of this process; -1 while it is not registered. */
  brokerEpoch(): number;
}

/** Of all fetchers together. */
const UNDURABLE_BYTES_MAX = 32 << 20;

/** The followers of this node: a fetcher for each broker that leads something of which this node has a replica. */
export class ReplicaFetchers implements Followers {
  readonly #ports: Ports;
  readonly #deadlines: Deadlines;
  readonly #options: ReplicaFetchersOptions;
  readonly #undurable = new UndurableBytes(UNDURABLE_BYTES_MAX);
  readonly #fetchers = new Map<NodeId, ReplicaFetcher>();
  /** Who fetches a partition. */
  readonly #byPartition = new Map<Partition, ReplicaFetcher>();
  #isClosed = false;

  constructor(ports: Ports, deadlines: Deadlines, options: ReplicaFetchersOptions) {
    this.#ports = ports;
    this.#deadlines = deadlines;
    this.#options = options;
  }

  follow(partition: Partition, leader: NodeId | null): void {
    if (leader === null || partition.log === undefined || this.#isClosed) return this.unfollow(partition);
    const present = this.#byPartition.get(partition);
    if (present !== undefined && present.leader !== leader) this.unfollow(partition);
    const fetcher = this.#fetcherOf(leader);
    this.#byPartition.set(partition, fetcher);
    fetcher.follow(partition);
  }

  unfollow(partition: Partition): void {
    const fetcher = this.#byPartition.get(partition);
    if (fetcher === undefined) return;
    this.#byPartition.delete(partition);
    fetcher.unfollow(partition);
    if (!fetcher.isIdle) return;
    this.#fetchers.delete(fetcher.leader);
    fetcher.close();
  }

  /** See PartitionEvents. */
  synced(partition: Partition): void {
    this.#byPartition.get(partition)?.synced(partition);
  }

  /** See PartitionEvents. */
  lost(partition: Partition): void {
    this.#byPartition.get(partition)?.lost(partition);
  }

  close(): void {
    this.#isClosed = true;
    for (const fetcher of this.#fetchers.values()) fetcher.close();
    this.#fetchers.clear();
    this.#byPartition.clear();
  }

  #fetcherOf(leader: NodeId): ReplicaFetcher {
    const known = this.#fetchers.get(leader);
    if (known !== undefined) return known;
    const { endpointOf, ...options } = this.#options;
    const fetcher = new ReplicaFetcher(this.#ports, this.#deadlines, {
      ...options,
      leader,
      undurable: this.#undurable,
      endpoint: () => endpointOf(leader),
    });
    this.#fetchers.set(leader, fetcher);
    return fetcher;
  }
}
