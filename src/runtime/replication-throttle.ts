/** How much the replication of chosen replicas may move in a second (KIP-73): reassignments must not starve those in sync. */
import type { Clock, Mono } from '#base/ports';
import type { NodeId } from '#model/ids';
import type { Partition } from './partition.ts';

export interface ThrottleParts {
  readonly clock: Pick<Clock, 'now'>;
  readonly self: NodeId;
  /** Bytes in a second. */
  rate(): number;
  /** `[partition]:[broker]` as the topic's config lists them, or `*`. */
  replicasOf(partition: Partition): readonly string[];
}

/** As much as a second's worth may come at once after a pause. */
const BURST_MS = 1000;
/** Nobody is kept waiting for longer: the rate may be raised. */
const DELAY_MS_MAX = 5000;

/** One side, leader's or follower's, of one node. Its caller sees to it that replicas in sync are not held back. */
export class ReplicationThrottle {
  readonly #parts: ThrottleParts;
  /** Moved and not paid for by time yet; negative: so much may come at once. */
  #debtBytes = 0;
  #at: Mono;

  constructor(parts: ThrottleParts) {
    this.#parts = parts;
    this.#at = parts.clock.now();
  }

  /** Whether this node's replica is one of the chosen. */
  applies(partition: Partition): boolean {
    const replicas = this.#parts.replicasOf(partition);
    return replicas.length > 0 && (replicas[0] === '*' || replicas.includes(`${partition.index}:${this.#parts.self}`));
  }

  /** No more should be moved for so long; 0: more may. */
  get delayMs(): number {
    this.#pay();
    return this.#debtBytes <= 0 ? 0 : Math.min(DELAY_MS_MAX, (1000 * this.#debtBytes) / this.#parts.rate());
  }

  moved(sizeBytes: number): void {
    this.#pay();
    this.#debtBytes += sizeBytes;
  }

  /** By the rate of now: when it is raised the debt is gone sooner. */
  #pay(): void {
    const now = this.#parts.clock.now();
    const rate = Math.min(this.#parts.rate(), Number.MAX_SAFE_INTEGER);
    const paid = (rate * (now - this.#at)) / 1000;
    this.#at = now;
    this.#debtBytes = Math.max((-rate * BURST_MS) / 1000, this.#debtBytes - paid);
  }
}
