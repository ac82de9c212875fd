import type { Logger, Ports } from '#base/ports';
import { createCodecs } from './codecs.ts';
import { IoPool } from './io-pool.ts';
import { NodeMetrics } from './metrics.ts';
import { NodeClock } from './node-clock.ts';
import { NodeDisk } from './node-disk.ts';
import { NodeNetwork } from './node-network.ts';
import { NodeRandom } from './node-random.ts';

export interface NodePortsOptions {
  /** Data directories, the first of which holds the metadata log; made if missing. */
  readonly dataDirs: readonly string[];
  readonly logger: Logger;
  /** The process belongs to this node, and its metrics with it. */
  readonly ownsProcess: boolean;
  /** libuv's threads (UV_THREADPOOL_SIZE); 4 if it was not set. */
  readonly poolThreads: number;
  /** Files whose work never waits for that of the others: those of the metadata log. */
  readonly isUrgent: (path: string) => boolean;
  readonly fatal: (error: Error) => never;
}

/** The real ports of one node. Nothing is opened yet but what `Ports` opens itself; rejects with IoError if a directory cannot be made. */
export async function createNodePorts(options: NodePortsOptions): Promise<Ports & { readonly metrics: NodeMetrics }> {
  const pool = new IoPool(options.poolThreads);
  const disks = options.dataDirs.map((path) => new NodeDisk(path, pool, { isUrgent: options.isUrgent }));
  for (const disk of disks) await disk.makeDir('');
  return {
    clock: new NodeClock(),
    random: new NodeRandom(),
    disks,
    network: new NodeNetwork(),
    codecs: createCodecs(),
    logger: options.logger,
    metrics: new NodeMetrics({ process: options.ownsProcess }),
    fatal: options.fatal,
  };
}
