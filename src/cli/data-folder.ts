/** A folder of `up` holds one node or the folders of several: each is taken for what it is, never for an empty one. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from './config-sources.ts';

/** What a node writes into its data directory at its first start. */
const NODE_MARK = 'meta.properties';
const NODE_FOLDER = /^node-(\d+)$/;

/** The folder of one node of several. */
export function nodeFolder(dataDir: string, id: number): string {
  return join(dataDir, `node-${id}`);
}

/** Throws UsageError if the folder for one node holds several. */
export function refuseClusterData(dataDir: string): void {
  const last = lastNodeIn(dataDir);
  if (last > 0 && !existsSync(join(dataDir, NODE_MARK))) {
    throw new UsageError(
      `${dataDir} holds a cluster of ${last} nodes: --brokers ${last} runs it, or --data-dir another`,
    );
  }
}

/** Throws UsageError if the folder for this many nodes holds a single one, or more. */
export function refuseOtherData(dataDir: string, brokers: number): void {
  if (existsSync(join(dataDir, NODE_MARK))) {
    throw new UsageError(`${dataDir} holds a single node: --brokers 1 runs it, or --data-dir another cluster`);
  }
  const last = lastNodeIn(dataDir);
  if (last > brokers) {
    throw new UsageError(`${dataDir} holds a cluster of ${last} nodes: --brokers takes no fewer there than ${last}`);
  }
}

/** The highest id of a node that has data there; 0 for none. */
function lastNodeIn(dataDir: string): number {
  if (!existsSync(dataDir)) return 0;
  const ids = readdirSync(dataDir)
    .filter((name) => existsSync(join(dataDir, name, NODE_MARK)))
    .map((name) => Number(NODE_FOLDER.exec(name)?.[1] ?? 0));
  return Math.max(0, ...ids);
}
