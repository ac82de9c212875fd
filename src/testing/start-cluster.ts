/** A cluster inside a test: real sockets and files, no process to start, nothing left behind. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createLogger } from '#platform/logger';
import { createNodePorts } from '#platform/node-ports';

export interface StartClusterOptions {
  /** Broker configs by Kafka's names, beside those of a test: automatic ports, no initial rebalance delay. */
  readonly config?: Readonly<Record<string, string>>;
  /** What the node logs to standard error: 'error' unless given. */
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
}

export interface Cluster extends AsyncDisposable {
  /** For clients: `host:port`. */
  readonly bootstrapServers: string;
  readonly clusterId: string;
  /** Ends the cluster and removes its data; safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts a cluster of one broker in this process, in a temporary folder. Resolves when clients are served. Clusters are independent:
 * any number may run beside each other.
 */
export async function startCluster(options: StartClusterOptions = {}): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'odradek-'));
  try {
    return await startIn(folder, options);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(folder: string, options: StartClusterOptions): Promise<Cluster> {
  const entries = new Map(
    Object.entries({
      listeners: 'PLAINTEXT://127.0.0.1:0',
      'group.initial.rebalance.delay.ms': '0',
      ...options.config,
      'log.dirs': folder,
    }),
  );
  const parsed = parseBrokerConfig(entries);
  if ('errors' in parsed) throw new Error(parsed.errors.join('; '));
  const logger = createLogger({ level: options.logLevel ?? 'error', format: 'human', fd: 2, base: {} });
  const ports = await createNodePorts({
    dataDirs: [folder],
    logger,
    ownsProcess: false,
    poolThreads: 4,
    isUrgent: (path) => path.startsWith('metadata/'),
    // An embedded node dies alone: what it was asked stays unanswered, and the test sees the reason.
    fatal: (error) => {
      logger.error({ err: error }, 'the node of this test has failed');
      throw error;
    },
  });
  const node = new Node(ports, parsed);
  await node.start();
  const [listener] = node.listeners;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= node.stop().then(() => rm(folder, { recursive: true, force: true }));
    return stopped;
  };
  return {
    bootstrapServers: `${listener?.host}:${listener?.port}`,
    clusterId: node.clusterId ?? '',
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
