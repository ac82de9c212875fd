import { HTTP_OFFSET, PEER_OFFSET } from './cluster-plan.ts';
import { resolveConfig } from './config-sources.ts';
import { refuseClusterData } from './data-folder.ts';
import type { LogLevel } from './log-level.ts';
import { explainedForUp } from './start-failure.ts';

export interface UpOneOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly defaults: ReadonlyMap<string, string>;
  readonly level: LogLevel;
  /** Undefined: the configs' own addresses. */
  readonly port: number | undefined;
  readonly rack: string | undefined;
}

/** A cluster of one broker is this process. */
export async function upOne({ flags: given, defaults, level, port, rack }: UpOneOptions): Promise<void> {
  const flags = new Map(given);
  if (port !== undefined) {
    flags.set('listeners', `PLAINTEXT://127.0.0.1:${port}`);
    flags.set('peer.listener', `127.0.0.1:${port + PEER_OFFSET}`);
    flags.set('http.listener', `127.0.0.1:${port + HTTP_OFFSET}`);
  }
  if (rack !== undefined) flags.set('broker.rack', rack);
  const parsed = resolveConfig({ flags, set: [], environment: process.env, file: undefined, defaults });
  for (const folder of parsed.config.logDirs) refuseClusterData(folder);
  const { runNode } = await import('./node-process.ts');
  const running = await runNode(parsed, { level, supervised: false, chaosFile: undefined }).catch(explainedForUp);
  if (running !== undefined) {
    const { node, http, stopped } = running;
    const [listener] = node.listeners;
    const data = parsed.config.logDirs.join(', ');
    process.stdout.write(welcome(`${listener?.host}:${listener?.port}`, `${http.at.host}:${http.at.port}`, data));
    await stopped;
  }
  process.exit(0);
}

function welcome(bootstrap: string, http: string, dataDir: string): string {
  return `Odradek is up.

  bootstrap servers  ${bootstrap}
  HTTP               http://${http}  (/metrics, /livez, /readyz)
  data               ${dataDir}

Try, in another terminal (kcat: apt install kcat, brew install kcat):

  echo hello | kcat -b ${bootstrap} -t greetings -P
  kcat -b ${bootstrap} -t greetings -C -e

Ctrl-C stops it.
`;
}
