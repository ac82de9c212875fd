import { randomBytes } from 'node:crypto';
import { DirectoryLock } from '#platform/directory-lock';
import { makeFolders } from '#platform/make-folders';
import { clusterFilePath, isHeld, removeClusterFile, writeClusterFile } from './cluster-file.ts';
import { type ClusterShape, listenAddresses, type NodePlan, planCluster, startFlags } from './cluster-plan.ts';
import { resolveConfig, UsageError } from './config-sources.ts';
import { refuseOtherData } from './data-folder.ts';
import { INTERRUPTED } from './exit-status.ts';
import { assureFree } from './listen-addresses.ts';
import type { LogLevel } from './log-level.ts';
import { explained, explainedForUp } from './start-failure.ts';
import { ChildFailure, Supervisor } from './supervisor.ts';
import { welcome } from './up-welcome.ts';

const RESTART_MS = 1_000;
const STOP_MS = 15_000;
const TOKEN_BYTES = 24;
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
  const { chaos } = options.shape;
  await assureFree(listenAddresses(nodes)).catch(explainedForUp);
  await makeFolders(dataDir).catch(explained);
  const lock = await DirectoryLock.take(dataDir).catch(explained);
  writeClusterFile(dataDir, { nodes, token: chaos ? randomBytes(TOKEN_BYTES).toString('base64url') : undefined });
  const common = ['--supervised', '--log-level', options.level, ...settings];
  if (chaos) common.push('--chaos', clusterFilePath(dataDir));
  const supervisor = new Supervisor({
    commands: new Map(
      nodes.map((node) => [node.id, [...process.execArgv, main, 'start', ...startFlags(node, nodes), ...common]]),
    ),
    environment: withoutConfigFile(process.env),
    say: (sentence) => process.stderr.write(`odradek: ${sentence}\n`),
    isHeld: (id) => isHeld(dataDir, id),
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
  await Promise.race([started(supervisor, { nodes, dataDir, chaos }), signalled]);
  await signalled;
  await supervisor.stop();
  removeClusterFile(dataDir);
  await lock.release();
  process.exit(signals > 1 ? INTERRUPTED : 0);
}

async function started(
  supervisor: Supervisor,
  cluster: { readonly nodes: readonly NodePlan[]; readonly dataDir: string; readonly chaos: boolean },
): Promise<void> {
  const impatience = setTimeout(() => {
    process.stderr.write(`odradek: still waiting for node ${supervisor.waitedFor.join(', ')} to serve\n`);
  }, PATIENCE_MS);
  try {
    await supervisor.start();
    // From the start of this process on.
    process.stdout.write(welcome({ ...cluster, pidOf: (id) => supervisor.pidOf(id), tookMs: performance.now() }));
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
