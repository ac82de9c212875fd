import { resolve } from 'node:path';
import { HttpServer } from '#http/http-server';
import { parseEndpoint } from '#model/listener';
import type { ParsedBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createLogger } from '#platform/logger';
import { createNodePorts } from '#platform/node-ports';
import { METADATA_FOLDER } from '#runtime/metadata-quorum';
import { compactHeap } from './compact-heap.ts';
import { UsageError } from './config-sources.ts';
import { INTERRUPTED } from './exit-status.ts';
import { addressesOf, assureFree } from './listen-addresses.ts';
import type { LogLevel } from './log-level.ts';
import { onStarterGone, sayReady } from './supervised.ts';

export interface RunningNode {
  readonly node: Node;
  readonly http: HttpServer;
  /** Resolves when a signal has stopped it. */
  readonly stopped: Promise<void>;
}

export interface NodeProcessOptions {
  readonly level: LogLevel;
  /** Another process has started it, and waits for it to be ready; the node does not outlive it. */
  readonly supervised: boolean;
  /** The cluster file of `up --chaos`; undefined: nothing fails on demand. */
  readonly chaosFile: string | undefined;
}

/**
 * Runs a node as this process: SIGTERM and SIGINT stop it cleanly, a second signal or a broken invariant ends it at once. Resolves when
 * it serves, or to undefined if it was stopped before that.
 */
export async function runNode(
  parsed: ParsedBrokerConfig,
  options: NodeProcessOptions,
): Promise<RunningNode | undefined> {
  const { level, supervised, chaosFile } = options;
  const { config } = parsed;
  const logger = createLogger({
    level,
    format: process.stderr.isTTY ? 'human' : 'json',
    fd: 2,
    base: { node: config.nodeId },
  });
  const fatal = (error: Error): never => {
    logger.last({ err: error }, 'the node cannot go on');
    process.exit(1);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', (reason) => fatal(reason instanceof Error ? reason : new Error(String(reason))));

  await assureFree(addressesOf(config));
  const ports = await createNodePorts({
    dataDirs: config.logDirs.map((path) => resolve(path)),
    logger,
    ownsProcess: true,
    poolThreads: Number(process.env.UV_THREADPOOL_SIZE ?? 4),
    isUrgent: (path) => path.startsWith(`${METADATA_FOLDER}/`),
    fatal,
  });
  const at = parseEndpoint(config.httpListener);
  if (at === undefined) throw new UsageError(`http.listener is not host:port: ${config.httpListener}`);
  // Loaded here: no other node needs it.
  const chaos = chaosFile && (await import('./chaos-node.ts')).underChaos(ports, chaosFile, config.nodeId);
  const node = new Node(chaos ? chaos.ports : ports, parsed);
  const http = await HttpServer.open(at, node, ports.metrics, chaos ? chaos.endpoint : undefined);
  const { promise: stopped, resolve: done } = Promise.withResolvers<void>();
  let stopping = false;
  const stop = (): void => {
    if (stopping) process.exit(INTERRUPTED);
    stopping = true;
    // HTTP last: /readyz says that the node is going.
    node
      .stop()
      .then(() => http.close())
      .then(() => {
        logger.flush();
        done();
      }, fatal);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  if (supervised) onStarterGone(stop);
  try {
    await node.start();
    if (supervised) sayReady();
    compactHeap();
  } catch (failure) {
    if (stopping) {
      await stopped;
      return undefined;
    }
    await http.close();
    logger.flush();
    throw failure;
  }
  return { node, http, stopped };
}
