/** What must be true of the offsets that groups commit, as their members know. */
import { check } from '../../checkers/violation.ts';

/** Of one generation, or of one member epoch. */
interface Committed {
  readonly owner: string;
  lowest: number;
  highest: number;
}

interface PartitionOffsets {
  readonly byGeneration: Map<number, Committed>;
  /** The highest that was acknowledged. */
  acknowledged: number;
}

/**
 * Members begin where the offset that they fetch says, and go on from there. So a partition that has one owner at a time has offsets
 * that rise with the generations (member epochs, KIP-848): a commit that is taken after its member has lost the partition shows.
 */
export class GroupModel {
  readonly #partitions = new Map<string, PartitionOffsets>();
  commitCount = 0;

  /** What a fetch that is sent now must find at least. */
  floorOf(group: string, partition: number): number {
    return this.#of(group, partition).acknowledged;
  }

  /** `floor`: as it was when the fetch was sent. −1: nothing is committed. */
  fetched(who: string, group: string, partition: number, offset: number, floor: number): void {
    check(
      offset >= floor,
      'committed offsets',
      () => `${who} fetched ${offset} of partition ${partition} for ${group}, and ${floor} was acknowledged before`,
    );
  }

  /** G1: in a generation a partition has one owner. */
  owns(who: string, group: string, partition: number, generation: number): void {
    const { byGeneration } = this.#of(group, partition);
    const known = byGeneration.get(generation);
    check(
      known === undefined || known.owner === who,
      'one owner',
      () => `${who} and ${known?.owner} own partition ${partition} of ${group} in generation ${generation}`,
    );
    if (known === undefined)
      byGeneration.set(generation, { owner: who, lowest: Number.POSITIVE_INFINITY, highest: -1 });
  }

  /** Acknowledged to a member that `owns` the partition in that generation (G2, G3). */
  committed(who: string, group: string, partition: number, generation: number, offset: number): void {
    this.commitCount += 1;
    this.owns(who, group, partition, generation);
    const of = this.#of(group, partition);
    for (const [other, { owner, lowest, highest }] of of.byGeneration) {
      const isWrong = other < generation ? highest > offset : other > generation && lowest < offset;
      check(
        !isWrong,
        'offsets rise with generations',
        () =>
          `${who} committed ${offset} of partition ${partition} of ${group} in generation ${generation}, ` +
          `${owner} from ${lowest} to ${highest} in ${other}`,
      );
    }
    const own = of.byGeneration.get(generation);
    if (own !== undefined) {
      own.lowest = Math.min(own.lowest, offset);
      own.highest = Math.max(own.highest, offset);
    }
    of.acknowledged = Math.max(of.acknowledged, offset);
  }

  #of(group: string, partition: number): PartitionOffsets {
    const key = `${group} ${partition}`;
    let of = this.#partitions.get(key);
    if (of === undefined) {
      of = { byGeneration: new Map(), acknowledged: -1 };
      this.#partitions.set(key, of);
    }
    return of;
  }
}
