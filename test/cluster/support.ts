import { join } from 'node:path';
import { onTestFailed, onTestFinished } from 'vitest';
import { type ClusterOptions, ClusterProcesses } from '../support/cluster-processes.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A folder for one test. */
export function testFolder(): string {
  const folder = temporaryFolder('cluster');
  onTestFinished(() => folder[Symbol.dispose]());
  return folder.path;
}

/** For one test: its logs are shown if that fails, and nothing of it is left afterwards. */
export function watched(cluster: ClusterProcesses): ClusterProcesses {
  onTestFinished(() => cluster.killAll());
  onTestFailed(() => {
    for (const id of cluster.ids) console.error(`node ${id}:\n${cluster.log(id)}`);
  });
  return cluster;
}

/** Three voters in three racks, registered. */
export async function threeNodes(options: Partial<ClusterOptions> = {}): Promise<ClusterProcesses> {
  const folder = options.folder ?? testFolder();
  return watched(await ClusterProcesses.start({ brokers: 3, racks: ['a', 'b', 'c'], ...options, folder }));
}

/** Nothing of it is started. */
export async function prepared(options: Partial<ClusterOptions> = {}): Promise<ClusterProcesses> {
  const folder = options.folder ?? join(testFolder(), 'cluster');
  return watched(await ClusterProcesses.prepare({ brokers: 3, ...options, folder }));
}
