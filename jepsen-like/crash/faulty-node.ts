import { parseArgs } from 'node:util';
import type { Ports } from '#base/ports';
import { HttpServer } from '#http/http-server';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createLogger } from '#platform/logger';
import { createNodePorts } from '#platform/node-ports';
import { METADATA_FOLDER } from '#runtime/metadata-quorum';

const POOL_THREADS = 8;

/**
 * Starts a node with other ports than its own, by `args`, which are those of `odradek start`. The published bin has no way to any of this.
 * Called once, before anything has used libuv's pool.
 */
export async function startFaultyNode(args: readonly string[], change: (ports: Ports) => Ports): Promise<void> {
  process.env.UV_THREADPOOL_SIZE = String(POOL_THREADS);
  const { values } = parseArgs({
    args: [...args],
    options: {
      'data-dir': { type: 'string', default: '' },
      listen: { type: 'string', default: '' },
      set: { type: 'string', multiple: true, default: [] },
      'http-listen': { type: 'string' },
    },
  });
  const settings = values.set.map((text): [string, string] => {
    const at = text.indexOf('=');
    return [text.slice(0, at), text.slice(at + 1)];
  });
  const parsed = parseBrokerConfig(
    new Map([['log.dirs', values['data-dir']], ['listeners', `PLAINTEXT://${values.listen}`], ...settings]),
  );
  if ('errors' in parsed) throw new Error(parsed.errors.join('\n'));
  const ports = await createNodePorts({
    dataDirs: [values['data-dir']],
    logger: createLogger({ level: 'info', format: 'human', fd: 2, base: {} }),
    ownsProcess: true,
    poolThreads: POOL_THREADS,
    isUrgent: (path) => path.startsWith(`${METADATA_FOLDER}/`),
    fatal: (error) => {
      console.error(error);
      process.abort();
    },
  });
  const node = new Node(change(ports), parsed);
  const [host, port] = values['http-listen']?.split(':') ?? [];
  if (host !== undefined) await HttpServer.open({ host, port: Number(port) }, node, ports.metrics);
  await node.start();
}
