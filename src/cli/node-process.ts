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

export interface RunningNode {
  readonly node: Node;
  readonly http: HttpServer;
  /** Resolves when a signal has stopped it. */
  readonly stopped: Promise<void>;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Runs a node as this process: SIGTERM and SIGINT stop it cleanly, a second signal or a broken invariant ends it at once. */
export async function runNode(parsed: ParsedBrokerConfig, level: LogLevel): Promise<RunningNode> {
  const { config } = parsed;
  const logger = createLogger({
    level,
    format: process.stderr.isTTY ? 'human' : 'json',
    fd: 2,
    base: { node: config.nodeId },
  });
  const fatal = (error: Error): never => {
    logger.error({ err: error }, 'the node cannot go on');
    logger.flush();
    process.exit(1);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', (reason) => fatal(reason instanceof Error ? reason : new Error(String(reason))));

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
  const node = new Node(ports, parsed);
  const http = await HttpServer.open(at, node, ports.metrics);
  try {
    await node.start();
    compactHeap();
  } catch (failure) {
    await http.close();
    logger.flush();
    throw failure;
  }

  const stopped = new Promise<void>((done) => {
    let stopping = false;
    const stop = (): void => {
      if (stopping) process.exit(130);
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
  });
  return { node, http, stopped };
}
