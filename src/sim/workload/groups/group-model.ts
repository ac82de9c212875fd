/** What must be true of the offsets that groups commit, as their members know. */
import { check } from '../../checkers/violation.ts';

/** Of one generation, or of one member epoch. */
interface Committed {
  readonly owner: string;
  lowest: number;
  highest: number;
  /** Of those without an answer, which may arrive after later ones and take the offset back, as long as their owner is one. */
  lowestLost: number;
}

interface PartitionOffsets {
  readonly byGeneration: Map<number, Committed>;
}

/**
 * Members begin where the offset that they fetch says, and go on from there. So a partition that has one owner at a time has offsets
 * that rise with the generations (member epochs, KIP-848): a commit that is taken after its member has lost the partition shows.
 */
export class GroupModel {
  readonly #partitions = new Map<string, PartitionOffsets>();
  commitCount = 0;

  /**
   * What a fetch that is sent now must find at least. Once a commit of a generation was taken, those of earlier ones that were lost on
   * their way are refused when they come.
   */
  floorOf(group: string, partition: number): number {
    const generations = [...this.#of(group, partition).byGeneration].sort(([a], [b]) => a - b).map(([, own]) => own);
    const last = generations.findLastIndex(({ highest }) => highest >= 0);
    const acknowledged = generations[last]?.highest ?? -1;
    return Math.min(acknowledged, ...generations.slice(Math.max(0, last)).map(({ lowestLost }) => lowestLost));
  }

  /** A commit was sent, and nothing came back. */
  lost(who: string, group: string, partition: number, generation: number, offset: number): void {
    this.owns(who, group, partition, generation);
    const own = this.#of(group, partition).byGeneration.get(generation);
    if (own !== undefined) own.lowestLost = Math.min(own.lowestLost, offset);
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
      byGeneration.set(generation, {
        owner: who,
        lowest: Number.POSITIVE_INFINITY,
        highest: -1,
        lowestLost: Number.POSITIVE_INFINITY,
      });
  }

  /** Acknowledged to a member that `owns` the partition in that generation (G2, G3). */
  committed(who: string, group: string, partition: number, generation: number, offset: number): void {
    this.commitCount += 1;
    this.owns(who, group, partition, generation);
    const of = this.#of(group, partition);
    const least = Math.min(offset, of.byGeneration.get(generation)?.lowestLost ?? offset);
    for (const [other, { owner, lowest, highest, lowestLost }] of of.byGeneration) {
      const isWrong =
        other < generation ? Math.min(highest, lowestLost) > offset : other > generation && lowest < least;
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
  }

  #of(group: string, partition: number): PartitionOffsets {
    const key = `${group} ${partition}`;
    let of = this.#partitions.get(key);
    if (of === undefined) {
      of = { byGeneration: new Map() };
      this.#partitions.set(key, of);
    }
    return of;
  }
}
