import type { Cluster } from '../test/support/cluster/cluster.ts';

/** An assertion, which ends the node, and a decision that was given up because of one, which does not. */
const BROKEN = /AssertionError|a decision about .* failed/;

/** What nodes have told of themselves that must never be, whatever is done to them: a sentence for each. */
export function brokenInvariants(cluster: Pick<Cluster, 'ids' | 'said'>): readonly string[] {
  return cluster.ids.flatMap((id) => {
    const line = cluster
      .said(id)
      .split('\n')
      .find((each) => BROKEN.test(each));
    return line === undefined ? [] : [`node ${id} has broken an invariant: ${line}`];
  });
}
