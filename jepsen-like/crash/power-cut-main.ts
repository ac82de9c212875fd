/**
 * A node for the crash test whose every SIGKILL is a power cut: what was not synced lives in this process's memory only.
 * The published bin has no way to any of this. Arguments are those of `odradek start`, and --without-sync, with which
 * records are acknowledged without a sync.
 */
import { parseArgs } from 'node:util';
import { FaultDisk } from '#faults/fault-disk';
import { HttpServer } from '#http/http-server';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createLogger } from '#platform/logger';
import { createNodePorts } from '#platform/node-ports';
import { METADATA_FOLDER } from '#runtime/metadata-quorum';
import { forgetfulDisk } from './forgetful-disk.ts';

const poolThreads = 8;
process.env.UV_THREADPOOL_SIZE = String(poolThreads);

const { values } = parseArgs({
  options: {
    'data-dir': { type: 'string', default: '' },
    listen: { type: 'string', default: '' },
    set: { type: 'string', multiple: true, default: [] },
    'http-listen': { type: 'string' },
    'without-sync': { type: 'boolean', default: false },
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
  poolThreads,
  isUrgent: (path) => path.startsWith(`${METADATA_FOLDER}/`),
  fatal: (error) => {
    console.error(error);
    process.abort();
  },
});
const disks = ports.disks.map((disk) => {
  const volatile = new FaultDisk(ports.clock, disk, { ignoreSync: false });
  return values['without-sync'] ? forgetfulDisk(volatile, isData) : volatile;
});
const node = new Node({ ...ports, disks }, parsed);
const [host, port] = values['http-listen']?.split(':') ?? [];
if (host !== undefined) await HttpServer.open({ host, port: Number(port) }, node, ports.metrics);
await node.start();

/** Segments and the commit journal: what an acknowledgement waits for. */
function isData(path: string): boolean {
  return !path.startsWith(`${METADATA_FOLDER}/`) && (path.endsWith('.log') || path.startsWith('commit-journal'));
}
