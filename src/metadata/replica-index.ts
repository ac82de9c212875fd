/** Which partitions each broker has replicas of, so that what happens to a broker costs no more than its own partitions. */
import type { NodeId, Uuid } from '#model/ids';

/** Partition numbers by topic. */
type Replicas = Map<Uuid, number[]>;

const NONE: ReadonlyMap<Uuid, readonly number[]> = new Map();

/** As large as there are replicas. Lists instead of sets: most topics have few partitions on one broker. */
export class ReplicaIndex {
  readonly #byBroker = new Map<NodeId, Replicas>();

  /** By topic; valid until the next change. */
  of(broker: NodeId): ReadonlyMap<Uuid, readonly number[]> {
    return this.#byBroker.get(broker) ?? NONE;
  }

  changed(topic: Uuid, partition: number, before: readonly NodeId[], after: readonly NodeId[]): void {
    if (before === after) return;
    for (const broker of before) if (!after.includes(broker)) this.#remove(broker, topic, partition);
    for (const broker of after) if (!before.includes(broker)) this.#add(broker, topic, partition);
  }

  topicRemoved(topic: Uuid, partitions: readonly { readonly replicas: readonly NodeId[] }[]): void {
    for (const { replicas } of partitions) for (const broker of replicas) this.#drop(broker, topic);
  }

  become(other: ReplicaIndex): void {
    this.#byBroker.clear();
    for (const [broker, replicas] of other.#byBroker) this.#byBroker.set(broker, replicas);
  }

  #add(broker: NodeId, topic: Uuid, partition: number): void {
    let replicas = this.#byBroker.get(broker);
    if (replicas === undefined) {
      replicas = new Map();
      this.#byBroker.set(broker, replicas);
    }
    const partitions = replicas.get(topic);
    if (partitions === undefined) replicas.set(topic, [partition]);
    else partitions.push(partition);
  }

  #remove(broker: NodeId, topic: Uuid, partition: number): void {
    const partitions = this.#byBroker.get(broker)?.get(topic);
    if (partitions === undefined) return;
    const at = partitions.indexOf(partition);
    if (at >= 0) partitions.splice(at, 1);
    if (partitions.length === 0) this.#drop(broker, topic);
  }

  #drop(broker: NodeId, topic: Uuid): void {
    const replicas = this.#byBroker.get(broker);
    if (replicas?.delete(topic) && replicas.size === 0) this.#byBroker.delete(broker);
  }
}
