/** More voters than this make every change of the metadata slower, and three deaths at a time are rare. */
const VOTERS_MAX = 5;

/**
 * Which of a new cluster's nodes vote on its metadata, by index: the largest odd number up to five (an even one survives no more deaths
 * than the odd one below it), one of each rack in turn. `racks` has each node's own, undefined for none.
 */
export function chooseVoters(racks: readonly (string | undefined)[]): ReadonlySet<number> {
  const most = Math.min(racks.length, VOTERS_MAX);
  const wanted = most % 2 === 0 ? most - 1 : most;
  const byRack = Map.groupBy(racks.keys(), (index) => racks[index]);
  const chosen = new Set<number>();
  for (let turn = 0; chosen.size < wanted; turn += 1) {
    for (const indexes of byRack.values()) {
      const index = indexes[turn];
      if (index !== undefined && chosen.size < wanted) chosen.add(index);
    }
  }
  return chosen;
}
