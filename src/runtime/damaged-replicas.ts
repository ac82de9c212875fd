import type { Clock, Timer } from '#base/ports';
import { ErrorCode } from '#model/errors';
import type { NodeId } from '#model/ids';
import type { LogStore } from '#storage/log-store';
import type { ControllerLink } from './controller-link.ts';
import type { Partition } from './partition.ts';
import type { PartitionTable, ReplicaObserver } from './partition-table.ts';

const RETRY_MS = 5_000;
const SUBMIT_MS = 5_000;
/** In one request; more follow. */
const REPLICAS_MAX = 1_000;

export interface DamagedReplicasParts {
  readonly clock: Clock;
  readonly self: NodeId;
  readonly store: Pick<LogStore, 'isDamaged'>;
  readonly link: Pick<ControllerLink, 'submit'>;
  readonly table: () => Pick<PartitionTable, 'replaceDamaged'>;
  /** Of this process; -1 while it is not registered. */
  brokerEpoch(): number;
}

/**
 * Logs that were found damaged where they had been synced. The controller is told; once others have all that was acknowledged, the
 * damaged log is set aside, and the replica is fetched anew. The last copy stays where it is, to be asked about again.
 */
export class DamagedReplicas implements ReplicaObserver {
  readonly #parts: DamagedReplicasParts;
  readonly #timer: Timer;
  /** As many as there are partitions here. */
  readonly #damaged = new Set<Partition>();
  #isReporting = false;
  #isStopped = false;

  constructor(parts: DamagedReplicasParts) {
    this.#parts = parts;
    this.#timer = parts.clock.timer(() => void this.#report());
  }

  get count(): number {
    return this.#damaged.size;
  }

  opened(partition: Partition): void {
    const { topic, topicId, index, log } = partition;
    if (log !== undefined || !this.#parts.store.isDamaged(topic, topicId, index)) return;
    this.#damaged.add(partition);
    if (!this.#isReporting && !this.#isStopped) this.#timer.arm(0);
  }

  closing(partition: Partition): void {
    this.#damaged.delete(partition);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer.disarm();
  }

  async #report(): Promise<void> {
    if (this.#isReporting || this.#isStopped || this.#damaged.size === 0) return;
    this.#isReporting = true;
    const asked = [...this.#damaged].slice(0, REPLICAS_MAX);
    const given = await this.#given(asked);
    for (const partition of asked) {
      if (!this.#damaged.delete(partition)) continue;
      // Behind those that were not asked about yet.
      if (!given.has(partition) || !(await this.#parts.table().replaceDamaged(partition))) this.#damaged.add(partition);
    }
    this.#isReporting = false;
    if (!this.#isStopped && this.#damaged.size > 0) this.#timer.arm(RETRY_MS);
  }

  /** Those of which nothing is asked any more. */
  async #given(asked: readonly Partition[]): Promise<ReadonlySet<Partition>> {
    const { self: id, link } = this.#parts;
    const replicas = asked.map(({ topicId, index: partition }) => ({ topicId, partition }));
    const answer = await link.submit(
      'loseReplicas',
      { id, brokerEpoch: this.#parts.brokerEpoch(), replicas },
      SUBMIT_MS,
    );
    if (typeof answer !== 'object' || answer.errorCode !== ErrorCode.None) return new Set();
    return new Set(asked.filter((_, place) => answer.replicas[place]?.errorCode === ErrorCode.None));
  }
}
