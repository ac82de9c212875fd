import type { Clock, Mono } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import { DecisionRules } from '#metadata/topic-rules';
import type { NodeId } from '#model/ids';

/** What would happen to partitions that are well now if all brokers of a rack were lost at once. */
export interface RackLoss {
  /** A broker without a rack shares its fate with nobody: "broker 4". */
  readonly rack: string;
  /** None in sync would be left: they could be neither read nor written. */
  leaderless: number;
  /** Fewer in sync than min.insync.replicas would be left: acks=all is refused. */
  unwritable: number;
}

export interface ClusterCounts {
  /** Without a leader. */
  offline: number;
  /** Fewer in sync than there are replicas. */
  underReplicated: number;
  /** Fewer in sync than min.insync.replicas, or than there are replicas if those are fewer. */
  underMinIsr: number;
  /** Led by another than their first replica. */
  notPreferred: number;
  readonly racks: readonly RackLoss[];
}

/** The metadata of a busy cluster change all the time: they are not counted more often. */
const AGE_MS_MAX = 1_000;

/** What there is to count of the cluster's partitions, in one pass over them, and another only after the metadata have changed. */
export class ClusterCensus {
  readonly #clock: Clock;
  readonly #image: MetadataImage;
  readonly #given: ReadonlyMap<string, string>;
  #index = -1;
  #takenAt: Mono = Number.NEGATIVE_INFINITY;
  #counts: ClusterCounts = none();

  /** `given`: the broker configs of this node at its start. */
  constructor(clock: Clock, image: MetadataImage, given: ReadonlyMap<string, string>) {
    this.#clock = clock;
    this.#image = image;
    this.#given = given;
  }

  /** Of the last census. */
  get counts(): ClusterCounts {
    return this.#counts;
  }

  /** Brings the counts up to date, with a pause after each topic: what changes meanwhile is counted before or after. */
  *take(): IterableIterator<undefined> {
    const image = this.#image;
    const { index } = image;
    const now = this.#clock.now();
    if (index === this.#index || now - this.#takenAt < AGE_MS_MAX) return;
    const racks = new Map<string, RackLoss>();
    const rackOf = new Map<NodeId, RackLoss>();
    for (const { id, rack } of image.brokers.values()) {
      const name = rack ?? `broker ${id}`;
      const loss = racks.get(name) ?? { rack: name, leaderless: 0, unwritable: 0 };
      racks.set(name, loss);
      rackOf.set(id, loss);
    }
    const counts = { ...none(), racks: [...racks.values()] };
    const rules = new DecisionRules({ image, given: this.#given });
    for (const { name, partitions } of image.topics()) {
      const { minIsr } = rules.ofTopic(name);
      for (const { leader, replicas, isr } of partitions) {
        const needed = Math.min(minIsr, replicas.length);
        if (isr.length < replicas.length) counts.underReplicated += 1;
        if (isr.length < needed) counts.underMinIsr += 1;
        if (leader === null) counts.offline += 1;
        else if (leader !== replicas[0]) counts.notPreferred += 1;
        if (leader !== null) countLosses(rackOf, isr, needed);
      }
      yield undefined;
    }
    this.#index = index;
    this.#takenAt = now;
    this.#counts = counts;
  }
}

/** Adds the partition to each rack whose loss it would not survive. Loops: it runs for every partition of the cluster. */
function countLosses(rackOf: ReadonlyMap<NodeId, RackLoss>, isr: readonly NodeId[], needed: number): void {
  for (let place = 0; place < isr.length; place += 1) {
    const rack = rackOf.get(isr[place] as NodeId);
    if (rack === undefined) continue;
    let lost = 0;
    let isCounted = false;
    for (let other = 0; other < isr.length; other += 1) {
      if (rackOf.get(isr[other] as NodeId) !== rack) continue;
      lost += 1;
      isCounted ||= other < place;
    }
    if (isCounted) continue;
    if (lost === isr.length) rack.leaderless += 1;
    if (isr.length >= needed && isr.length - lost < needed) rack.unwritable += 1;
  }
}

function none(): ClusterCounts {
  return { offline: 0, underReplicated: 0, underMinIsr: 0, notPreferred: 0, racks: [] };
}
