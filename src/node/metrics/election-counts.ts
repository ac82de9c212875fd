import type { MetadataDelta, PartitionDelta } from '#metadata/delta';

/**
 * Elections of leaders that were not in sync, as the active controller sees them come into effect.
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

  observe({ electedOutOfSync }: Pick<MetadataDelta, 'electedOutOfSync'>): void {
    const unclean = electedOutOfSync.filter((step) => !isOfOneEligible(step));
    this.unclean += unclean.length;
    this.eligible += electedOutOfSync.length - unclean.length;
    for (const [topic, changes] of Map.groupBy(unclean, (change) => change.topic))
      this.#uncleanIn(
        topic,
        changes.map(({ partition }) => partition),
      );
  }
}

function isOfOneEligible({ before, after: { leader } }: PartitionDelta): boolean {
  return before !== undefined && leader !== null && before.elr.includes(leader);
}
