import type { Cluster } from '../../test/support/cluster/cluster.ts';
import { electPreferred } from '../../test/support/cluster/view.ts';

/** Nodes that have come back lead again what they had led: so they are struck as leaders, and what they have is read. */
export async function leadAgain(cluster: Cluster): Promise<void> {
  await cluster.ask('preferred leaders', (at) => electPreferred(at));
}
