/** What `up` says of a cluster that is up. */
import { DEFAULT_DATA_DIR } from './cluster-file.ts';
import type { NodePlan } from './cluster-plan.ts';
import { table } from './table.ts';

export interface UpState {
  readonly nodes: readonly NodePlan[];
  readonly pidOf: (id: number) => number | undefined;
  readonly dataDir: string;
  readonly chaos: boolean;
  readonly tookMs: number;
}

export function welcome({ nodes, pidOf, dataDir, chaos, tookMs }: UpState): string {
  const bootstrap = nodes.map(({ port }) => `127.0.0.1:${port}`);
  const rows = nodes.map(({ id, rack, isVoter, port, httpPort }) => [
    String(id),
    rack ?? '-',
    isVoter ? 'broker, controller' : 'broker',
    `127.0.0.1:${port}`,
    `http://127.0.0.1:${httpPort}`,
    String(pidOf(id) ?? '-'),
  ]);
  return `Odradek is up: ${nodes.length} brokers, all registered after ${(tookMs / 1000).toFixed(2)} s.

${table([['node', 'rack', 'roles', 'Kafka', 'HTTP', 'pid'], ...rows])}

  bootstrap servers  ${bootstrap.join(',')}
  data               ${dataDir}

Try, in another terminal (kcat: apt install kcat, brew install kcat):

  kcat -b ${bootstrap[0]} -L
  echo hello | kcat -b ${bootstrap[0]} -t greetings -P
  kcat -b ${bootstrap.at(-1)} -t greetings -C -e

${chaos ? chaosText(dataDir) : `Kill one (kill -9 ${rows[0]?.at(-1)}): the others go on without it, and it is started again.`}
${replicationText(nodes.length)}

Ctrl-C stops all.
`;
}

/** What sizedDefaults promises. */
function replicationText(brokerCount: number): string {
  if (brokerCount === 1) return 'Topics have one replica: records are on the disk of one broker.';
  if (brokerCount === 2)
    return 'Topics have two replicas. With three brokers an acknowledged record is always on two of them.';
  return 'Topics have three replicas; a record is acknowledged when all in sync, at least two, have it on disk.';
}

function chaosText(dataDir: string): string {
  const where = dataDir === DEFAULT_DATA_DIR ? '' : ` --data-dir ${dataDir}`;
  return `Break it; heal brings back whatever was done (odradek chaos --help):

  odradek chaos kill --controller${where}
  odradek chaos partition --rack a${where}
  odradek chaos heal${where}
`;
}
