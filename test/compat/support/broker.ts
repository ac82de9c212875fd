import { randomUUID } from 'node:crypto';
import { freeAddress, OdradekProcess } from '../../support/odradek-process.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/** What a suite of clients runs against. */
export interface Broker extends AsyncDisposable {
  readonly bootstrap: string;
  readonly nodeId: string;
  /** Where its logs lie on this machine, if that is known. */
  readonly dataDir: string | undefined;
}

/**
 * A fresh node, started by the command line of the built package. ODRADEK_COMPAT_BOOTSTRAP=host:port runs the suites
 * against a broker that is running already, of any make; ODRADEK_COMPAT_DATA_DIR then names its log directory.
 * `settings` are of the fresh node. That is how the checks themselves are proven: Apache Kafka must pass all of them.
 */
export async function startBroker(settings: Readonly<Record<string, string>> = {}): Promise<Broker> {
  const given = process.env.ODRADEK_COMPAT_BOOTSTRAP;
  if (given !== undefined) {
    return {
      bootstrap: given,
      nodeId: '1',
      dataDir: process.env.ODRADEK_COMPAT_DATA_DIR,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const folder = temporaryFolder('compat');
  const node = await OdradekProcess.start({
    ...(await freeAddress()),
    dataDir: folder.path,
    settings: { 'group.initial.rebalance.delay.ms': '0', ...settings },
  });
  const close = async (): Promise<void> => {
    const status = await node.stop();
    folder[Symbol.dispose]();
    if (status !== 0) throw new Error(`the node ended with ${status} on SIGTERM:\n${node.log}`);
  };
  return { bootstrap: node.bootstrap, nodeId: '1', dataDir: folder.path, [Symbol.asyncDispose]: close };
}

/** A name that no earlier run against the same broker has used. */
export function uniqueName(purpose: string): string {
  return `${purpose}-${randomUUID().slice(0, 8)}`;
}

/** Strings '0' … 'count - 1' behind a prefix: the payloads by which loss, duplicates and order are seen. */
export function numbered(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}
