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

  observe({ partitions }: MetadataDelta): void {
    for (const change of partitions) this.#count(change);
  }

  #count({ before, after: { leader } }: PartitionDelta): void {
    if (before === undefined || leader === null || leader === before.leader || before.isr.includes(leader)) return;
    if (before.elr.includes(leader)) this.eligible += 1;
    else this.unclean += 1;
  }
}
