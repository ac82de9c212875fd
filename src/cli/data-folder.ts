/** A data folder is a node's own, or has the folders of several that `up` runs: each is taken for what it is, never for an empty one. */
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
  if (existsSync(join(dataDir, NODE_MARK))) return;
  const last = lastNodeIn(dataDir);
  if (last > 0) {
    throw new UsageError(
      `${dataDir} holds a cluster of ${last} nodes: odradek up --brokers ${last} runs it, and --data-dir takes another folder`,
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
  const ids = namesIn(dataDir)
    .map((name) => Number(NODE_FOLDER.exec(name)?.[1] ?? 0))
    .filter((id) => id > 0 && existsSync(join(nodeFolder(dataDir, id), NODE_MARK)));
  return Math.max(0, ...ids);
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    // Not there, or no folder: whoever is to keep data in it says so.
    return [];
  }
}
