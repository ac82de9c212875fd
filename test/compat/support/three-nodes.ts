import { afterAll, beforeAll, beforeEach } from 'vitest';
import { ClusterProcesses } from '../../support/cluster-processes.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const START_MS = 60_000;

/**
 * Three fresh nodes in three racks for all tests of the file that calls it, or of one `describe`; gives the list of their addresses.
 * ODRADEK_COMPAT_BOOTSTRAP=host:port,… takes brokers that are running already instead, of any make. What the nodes logged is shown
 * beside a test that fails. Where `isNeeded` is false, because its clients are missing, nothing is started.
 */
export function threeNodes(isNeeded = true): () => string {
  const given = process.env.ODRADEK_COMPAT_BOOTSTRAP;
  if (given !== undefined) return () => given;
  const folder = temporaryFolder('compat');
  let cluster: ClusterProcesses | undefined;
  beforeAll(async () => {
    if (!isNeeded) return;
    const settings = { 'group.initial.rebalance.delay.ms': '0' };
    cluster = await ClusterProcesses.start({ folder: folder.path, brokers: 3, racks: ['a', 'b', 'c'], settings });
  }, START_MS);
  beforeEach(({ onTestFailed }) => {
    onTestFailed(() => {
      for (const id of cluster?.ids ?? []) console.error(`node ${id}:\n${cluster?.log(id).slice(-8_000)}`);
    });
  });
  afterAll(async () => {
    const nodes = cluster;
    const statuses = await Promise.all((nodes?.ids ?? []).map(async (id) => [id, await nodes?.stop(id)] as const));
    folder[Symbol.dispose]();
    const failed = statuses.filter(([, status]) => status !== 0);
    for (const [id, status] of failed) {
      throw new Error(`node ${id} ended with ${status} on SIGTERM:\n${nodes?.log(id)}`);
    }
  });
  return () => cluster?.bootstrap ?? '';
}
