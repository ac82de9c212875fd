/**
 * What `up` leaves in the data folder of a cluster for `odradek chaos` and for the nodes: who they are, where, and the token with which
 * faults are set. Who runs is not in it: the locks of the folders tell, which no process outlives.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { NodePlan } from './cluster-plan.ts';

export interface ClusterFile {
  readonly nodes: readonly NodePlan[];
  /** Undefined: it was started without --chaos. */
  readonly token: string | undefined;
}

/** Of `up`, and so of `chaos`. */
export const DEFAULT_DATA_DIR = './odradek-data';

const NAME = 'cluster.json';
/** The token is nobody else's business. */
const OWNER_ONLY = 0o600;

export function clusterFilePath(dataDir: string): string {
  return join(dataDir, NAME);
}

/** Replaces what an earlier cluster has left there. */
export function writeClusterFile(dataDir: string, { nodes, token }: ClusterFile): void {
  for (const { id } of nodes) release(dataDir, id);
  const path = clusterFilePath(dataDir);
  const text = JSON.stringify({ token, nodes: nodes.map((node) => ({ ...node, dataDir: resolve(node.dataDir) })) });
  writeFileSync(`${path}.tmp`, `${text}\n`, { mode: OWNER_ONLY });
  renameSync(`${path}.tmp`, path);
}

/** Undefined if there is none, or none that can be read. */
export function readClusterFile(path: string): ClusterFile | undefined {
  try {
    const { nodes, token } = JSON.parse(readFileSync(path, 'utf8')) as Partial<ClusterFile>;
    return Array.isArray(nodes) ? { nodes, token } : undefined;
  } catch {
    return undefined;
  }
}

export function removeClusterFile(dataDir: string): void {
  rmSync(clusterFilePath(dataDir), { force: true });
}

/** While it is held, `up` does not start the node again. */
export function hold(dataDir: string, id: number): void {
  writeFileSync(holdPath(dataDir, id), '');
}

export function release(dataDir: string, id: number): void {
  rmSync(holdPath(dataDir, id), { force: true });
}

export function isHeld(dataDir: string, id: number): boolean {
  return existsSync(holdPath(dataDir, id));
}

function holdPath(dataDir: string, id: number): string {
  return join(dataDir, `node-${id}.held`);
}
