/** A cluster inside a test: real sockets and files, no process to start, nothing left behind. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseVoters } from '#model/choose-voters';
import { EmbeddedNode } from './embedded-node.ts';
import { freePorts } from './free-ports.ts';

export interface StartClusterOptions {
  /** How many; 1 unless given. Those that vote on the metadata are chosen as by `odradek up`. */
  readonly brokers?: number;
  /** The brokers' racks, given out in turn. */
  readonly racks?: readonly string[];
  /**
   * Configs of every broker by Kafka's names, beside those of a test: automatic ports, no initial rebalance delay. What each broker of
   * several has of its own (ids, addresses, voters, folders) is not taken from here.
   */
  readonly config?: Readonly<Record<string, string>>;
  /** What the brokers log to standard error: 'error' unless given. */
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
}

/** One broker. It cannot be killed, as a process can: `odradek up` and your own `kill -9` are for that. */
export interface ClusterNode {
  readonly id: number;
  readonly rack: string | undefined;
  /** `host:port`, the same after a stop and a start. */
  readonly bootstrapServer: string;
  readonly isRunning: boolean;
  /** Stops it cleanly, as a restart for maintenance would; its data stay. */
  stop(): Promise<void>;
  /** Starts it again; resolves when it serves, which takes a majority of the voters. */
  start(): Promise<void>;
}

export interface Cluster extends AsyncDisposable {
  /** For clients: `host:port` of every broker, with commas. */
  readonly bootstrapServers: string;
  readonly clusterId: string;
  /** By id, from 1. */
  readonly nodes: readonly ClusterNode[];
  /** Ends the cluster and removes its data; safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts a cluster in this process, in a temporary folder. Resolves when clients are served by all of its brokers. Clusters are
 * independent: any number may run beside each other.
 */
export async function startCluster(options: StartClusterOptions = {}): Promise<Cluster> {
  const { brokers = 1, racks = [] } = options;
  if (!Number.isInteger(brokers) || brokers < 1) throw new Error(`a cluster has a number of brokers, not ${brokers}`);
  if (racks.length > brokers) throw new Error(`${racks.length} racks are too many for ${brokers} brokers`);
  const folder = await mkdtemp(join(tmpdir(), 'odradek-'));
  try {
    return await startIn(folder, brokers, options);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(folder: string, brokers: number, options: StartClusterOptions): Promise<Cluster> {
  const nodes = await plannedNodes(folder, brokers, options);
  const stopAll = () => Promise.all(nodes.map((node) => node.stop()));
  try {
    await Promise.all(nodes.map((node) => node.start()));
  } catch (error) {
    await stopAll();
    throw error;
  }
  const clusterId = nodes[0]?.clusterId ?? '';
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= stopAll().then(() => rm(folder, { recursive: true, force: true }));
    return stopped;
  };
  return {
    bootstrapServers: nodes.map(({ bootstrapServer }) => bootstrapServer).join(','),
    clusterId,
    nodes,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function plannedNodes(
  folder: string,
  brokers: number,
  { racks = [], config = {}, logLevel = 'error' }: StartClusterOptions,
): Promise<readonly EmbeddedNode[]> {
  const defaults = {
    listeners: 'PLAINTEXT://127.0.0.1:0',
    'peer.listener': '127.0.0.1:0',
    'cluster.target.size': String(brokers),
    'group.initial.rebalance.delay.ms': '0',
  };
  const rackOf = Array.from({ length: brokers }, (_, index) => racks[index % racks.length]);
  const own = brokers === 1 ? [{}] : await ownConfigs(rackOf);
  return rackOf.map((rack, index) => {
    const path = brokers === 1 ? folder : join(folder, `node-${index + 1}`);
    const entries: Readonly<Record<string, string>> = {
      ...defaults,
      ...config,
      ...own[index],
      ...(rack === undefined ? {} : { 'broker.rack': rack }),
      'log.dirs': path,
    };
    return new EmbeddedNode({
      id: Number(entries['node.id'] ?? 1),
      rack,
      entries: new Map(Object.entries(entries)),
      folder: path,
      logLevel,
    });
  });
}

/** What each of several nodes has for itself. Where the voters listen for each other is known before they start, so that all know it. */
async function ownConfigs(
  rackOf: readonly (string | undefined)[],
): Promise<readonly Readonly<Record<string, string>>[]> {
  const chosen = chooseVoters(rackOf);
  const ports = await freePorts(rackOf.length);
  const peers = ports.map((port) => `127.0.0.1:${port}`);
  const voters = peers.map((peer, index) => `${index + 1}@${peer}`).filter((_, index) => chosen.has(index));
  return peers.map((peer, index) => ({
    'node.id': String(index + 1),
    listeners: 'PLAINTEXT://127.0.0.1:0',
    'peer.listener': peer,
    'controller.quorum.voters': voters.join(','),
    'process.roles': chosen.has(index) ? 'broker,controller' : 'broker',
  }));
}
