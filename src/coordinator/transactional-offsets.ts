import type { CommittedOffset } from './group-records.ts';

/** An offset that a transaction has committed, and its marker has decided on. */
export interface EndedOffset {
  readonly groupId: string;
  readonly topic: string;
  readonly partition: number;
  readonly value: CommittedOffset;
  /** Committed, and nothing that was written later stands in its place. */
  readonly counts: boolean;
}

interface Pending {
  readonly groupId: string;
  readonly topic: string;
  readonly partition: number;
  value: CommittedOffset;
  /** Counts up from write to write: the order of the log. */
  order: number;
  /** Something that was written later stands in its place: its commit would take the offset back. */
  isOvertaken: boolean;
}

/** Of one partition in one group, by producer. */
type OfPartition = Map<number, Pending>;

/**
 * Offsets that are committed within transactions and wait for their markers (KIP-98), of all groups of a shard; changed only by replay.
 * Bounded as committed offsets are, times the open transactions.
 */
export class TransactionalOffsets {
  readonly #byProducer = new Map<number, Set<Pending>>();
  readonly #byGroup = new Map<string, Map<string, Map<number, OfPartition>>>();
  #writes = 0;

  /** A transaction's commit; a later one of the same transaction counts. */
  replay(producerId: number, groupId: string, topic: string, partition: number, value: CommittedOffset): void {
    this.#writes += 1;
    const ofPartition = this.#ofPartition(groupId, topic, partition);
    const known = ofPartition.get(producerId);
    if (known !== undefined) {
      known.value = value;
      known.order = this.#writes;
      known.isOvertaken = false;
      return;
    }
    const pending: Pending = { groupId, topic, partition, value, order: this.#writes, isOvertaken: false };
    ofPartition.set(producerId, pending);
    const ofProducer = this.#byProducer.get(producerId);
    if (ofProducer === undefined) this.#byProducer.set(producerId, new Set([pending]));
    else ofProducer.add(pending);
  }

  /** A commit outside of transactions: those that were written before it count no more. */
  overtake(groupId: string, topic: string, partition: number): void {
    this.#overtake(groupId, topic, partition, Number.POSITIVE_INFINITY);
  }

  /** A tombstone: the offsets that wait go, too. */
  delete(groupId: string, topic: string, partition: number): void {
    const ofPartition = this.#byGroup.get(groupId)?.get(topic)?.get(partition);
    for (const [producerId, pending] of [...(ofPartition ?? [])]) this.#remove(producerId, pending);
  }

  /** A marker: nothing of the producer waits any longer. */
  end(producerId: number, aborted: boolean): readonly EndedOffset[] {
    const ended = [...(this.#byProducer.get(producerId) ?? [])];
    return ended.map((pending) => {
      this.#remove(producerId, pending);
      const { groupId, topic, partition, value, order, isOvertaken } = pending;
      const counts = !aborted && !isOvertaken;
      if (counts) this.#overtake(groupId, topic, partition, order);
      return { groupId, topic, partition, value, counts };
    });
  }

  /** Whether a transaction may yet change the offset. */
  isPending(groupId: string, topic: string, partition: number): boolean {
    return this.#byGroup.get(groupId)?.get(topic)?.has(partition) ?? false;
  }

  hasPending(groupId: string): boolean {
    return this.#byGroup.has(groupId);
  }

  /** What waits of a group; of one partition there may be several. */
  *of(groupId: string): IterableIterator<Omit<EndedOffset, 'counts'>> {
    for (const partitions of this.#byGroup.get(groupId)?.values() ?? [])
      for (const ofPartition of partitions.values()) yield* ofPartition.values();
  }

  #overtake(groupId: string, topic: string, partition: number, order: number): void {
    for (const pending of this.#byGroup.get(groupId)?.get(topic)?.get(partition)?.values() ?? [])
      if (pending.order < order) pending.isOvertaken = true;
  }

  #ofPartition(groupId: string, topic: string, partition: number): OfPartition {
    let topics = this.#byGroup.get(groupId);
    if (topics === undefined) {
      topics = new Map();
      this.#byGroup.set(groupId, topics);
    }
    let partitions = topics.get(topic);
    if (partitions === undefined) {
      partitions = new Map();
      topics.set(topic, partitions);
    }
    let ofPartition = partitions.get(partition);
    if (ofPartition === undefined) {
      ofPartition = new Map();
      partitions.set(partition, ofPartition);
    }
    return ofPartition;
  }

  #remove(producerId: number, pending: Pending): void {
    const { groupId, topic, partition } = pending;
    const ofProducer = this.#byProducer.get(producerId);
    ofProducer?.delete(pending);
    if (ofProducer?.size === 0) this.#byProducer.delete(producerId);
    const topics = this.#byGroup.get(groupId);
    const partitions = topics?.get(topic);
    const ofPartition = partitions?.get(partition);
    ofPartition?.delete(producerId);
    if (ofPartition?.size === 0) partitions?.delete(partition);
    if (partitions?.size === 0) topics?.delete(topic);
    if (topics?.size === 0) this.#byGroup.delete(groupId);
  }
}
