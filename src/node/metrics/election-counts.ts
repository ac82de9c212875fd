import type { MetadataDelta, PartitionDelta } from '#metadata/delta';

/**
 * Elections of leaders that were not in sync, as the active controller sees them come into effect. What changes twice within one entry's
 * effects is seen once, as it was before and is after.
 */
export class ElectionCounts {
  /** Of a replica that may lack what was acknowledged (unclean.leader.election.enable, or asked for). */
  unclean = 0;
  /** Of an eligible leader replica, which has it all (KIP-966). */
  eligible = 0;
  readonly #uncleanIn: (topic: string, partitions: readonly number[]) => void;

  /** `uncleanIn` is told the partitions of each topic whose new leaders may lack something. */
  constructor(uncleanIn: (topic: string, partitions: readonly number[]) => void) {
    this.#uncleanIn = uncleanIn;
  }

  observe({ partitions }: MetadataDelta): void {
    const elected = partitions.filter(isOfOneOutOfSync);
    const unclean = elected.filter((change) => !isOfOneEligible(change));
    this.unclean += unclean.length;
    this.eligible += elected.length - unclean.length;
    for (const [topic, changes] of Map.groupBy(unclean, (change) => change.topic))
      this.#uncleanIn(
        topic,
        changes.map(({ partition }) => partition),
      );
  }
}

function isOfOneOutOfSync({ before, after: { leader } }: PartitionDelta): boolean {
  return before !== undefined && leader !== null && leader !== before.leader && !before.isr.includes(leader);
}

function isOfOneEligible({ before, after: { leader } }: PartitionDelta): boolean {
  return before !== undefined && leader !== null && before.elr.includes(leader);
}
