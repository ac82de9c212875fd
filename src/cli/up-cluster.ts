import { type ClusterShape, type NodePlan, planCluster, startFlags } from './cluster-plan.ts';
import { resolveConfig, UsageError } from './config-sources.ts';
import { refuseOtherData } from './data-folder.ts';
import { INTERRUPTED } from './exit-status.ts';
import type { LogLevel } from './log-level.ts';
import { ChildFailure, Supervisor } from './supervisor.ts';

const RESTART_MS = 1_000;
const STOP_MS = 15_000;
/** After so long a start the user hears what it waits for. */
const PATIENCE_MS = 10_000;

export interface UpClusterOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly defaults: ReadonlyMap<string, string>;
  readonly level: LogLevel;
  readonly shape: Omit<ClusterShape, 'dataDir'>;
}

/** A cluster of several brokers: this process supervises one for each. Returns when it has stopped them. */
export async function upCluster(options: UpClusterOptions): Promise<void> {
  const { nodes, settings, dataDir } = planned(options);
  const main = process.argv[1];
  if (main === undefined) throw new Error('a cluster is started by the odradek command');
  const common = ['--supervised', '--log-level', options.level, ...settings];
  const supervisor = new Supervisor({
    commands: new Map(
      nodes.map((node) => [node.id, [...process.execArgv, main, 'start', ...startFlags(node, nodes), ...common]]),
    ),
    environment: withoutConfigFile(process.env),
    say: (sentence) => process.stderr.write(`odradek: ${sentence}\n`),
    restartMs: RESTART_MS,
    stopMs: STOP_MS,
  });
  const { promise: signalled, resolve: signal } = Promise.withResolvers<void>();
  let signals = 0;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      signals += 1;
      if (signals > 1) void supervisor.stop();
      signal();
    });
  }
  await Promise.race([started(supervisor, nodes, dataDir), signalled]);
  await signalled;
  await supervisor.stop();
  process.exit(signals > 1 ? INTERRUPTED : 0);
}

async function started(supervisor: Supervisor, nodes: readonly NodePlan[], dataDir: string): Promise<void> {
  const impatience = setTimeout(() => {
    process.stderr.write(`odradek: still waiting for node ${supervisor.waitedFor.join(', ')} to serve\n`);
  }, PATIENCE_MS);
  try {
    await supervisor.start();
    // From the start of this process on.
    process.stdout.write(welcome(supervisor, nodes, dataDir, performance.now()));
  } catch (failure) {
    await supervisor.stop();
    if (failure instanceof ChildFailure) {
      const { message, exitStatus } = failure;
      process.stderr.write(
        `odradek: ${message} before the cluster was up; is one up already? --port takes other addresses, --data-dir another folder\n`,
      );
      process.exit(exitStatus);
    }
    throw failure;
  } finally {
    clearTimeout(impatience);
  }
}

/** The nodes, with what is set on each beside its own flags; what the user has got wrong is said here, once. */
function planned({ flags, defaults: common, shape }: UpClusterOptions) {
  const defaults = new Map([...common, ['cluster.target.size', String(shape.brokers)]]);
  const { config, given } = resolveConfig({ flags, set: [], environment: process.env, file: undefined, defaults });
  const [dataDir = '', another] = config.logDirs;
  if (another !== undefined) throw new UsageError('log.dirs (--data-dir) is one folder, for the folders of all nodes');
  refuseOtherData(dataDir, shape.brokers);
  const settings = [...defaults.keys()].flatMap((name) => ['--set', `${name}=${given.get(name)}`]);
  return { nodes: planCluster({ ...shape, dataDir }), settings, dataDir };
}

/** A config file is for `start`: `up` reads none. */
function withoutConfigFile({ ODRADEK_CONFIG: _, ...environment }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return environment;
}

function welcome(supervisor: Supervisor, nodes: readonly NodePlan[], dataDir: string, tookMs: number): string {
  const bootstrap = nodes.map(({ port }) => `127.0.0.1:${port}`);
  const rows = nodes.map(({ id, rack, isVoter, port, httpPort }) => [
    String(id),
    rack ?? '-',
    isVoter ? 'broker, controller' : 'broker',
    `127.0.0.1:${port}`,
    `http://127.0.0.1:${httpPort}`,
    String(supervisor.pidOf(id) ?? '-'),
  ]);
  return `Odradek is up: ${nodes.length} brokers, all registered after ${(tookMs / 1000).toFixed(2)} s.

${table([['node', 'rack', 'roles', 'Kafka', 'HTTP', 'pid'], ...rows])}

  bootstrap servers  ${bootstrap.join(',')}
  data               ${dataDir}

Try, in another terminal (kcat: apt install kcat, brew install kcat):

  kcat -b ${bootstrap[0]} -L
  echo hello | kcat -b ${bootstrap[0]} -t greetings -P
  kcat -b ${bootstrap.at(-1)} -t greetings -C -e

Kill one (kill -9 ${rows[0]?.at(-1)}): the others go on without it, and it is started again.
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

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
    .join('\n');
}
