import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from 'yargs';
import { notOfOneNode, resolveConfig, UsageError } from './config-sources.ts';
import { LOG_LEVELS, type LogLevel, runNode } from './node-process.ts';
import { explained } from './start-failure.ts';

export const START_OPTIONS = {
  config: {
    alias: 'c',
    type: 'string',
    describe: "YAML, or Kafka's format if its name ends in .properties",
    requiresArg: true,
  },
  'node-id': { type: 'string', requiresArg: true, describe: 'This node (1)' },
  'data-dir': {
    type: 'string',
    requiresArg: true,
    describe: 'Where the logs are kept (./odradek-data); several with commas',
  },
  listen: { type: 'string', requiresArg: true, describe: 'HOST:PORT for Kafka clients (127.0.0.1:9092)' },
  'peer-listen': { type: 'string', requiresArg: true, describe: 'HOST:PORT for other nodes; not served yet' },
  'http-listen': { type: 'string', requiresArg: true, describe: 'HOST:PORT for metrics and health (127.0.0.1:9094)' },
  advertise: {
    type: 'string',
    requiresArg: true,
    describe: 'HOST:PORT that clients are told, if it differs from --listen',
  },
  rack: { type: 'string', requiresArg: true, describe: 'The rack or zone of this node' },
  voters: { type: 'string', requiresArg: true, describe: 'ID@HOST:PORT,…; not served yet' },
  roles: { type: 'string', requiresArg: true, describe: 'broker,controller; not served yet' },
  set: { type: 'string', array: true, requiresArg: true, nargs: 1, describe: 'Any config, KEY=VALUE' },
  'log-level': { choices: LOG_LEVELS, requiresArg: true, describe: 'What is logged (info)' },
} as const satisfies Record<string, Options>;

type StartOptions = InferredOptionTypes<typeof START_OPTIONS>;

export const startCommand: CommandModule<object, StartOptions> = {
  command: 'start',
  describe: 'Run one node in the foreground',
  builder: START_OPTIONS,
  handler: start,
};

async function start(args: ArgumentsCamelCase<StartOptions>): Promise<void> {
  refuseCluster({ '--peer-listen': args.peerListen, '--voters': args.voters, '--roles': args.roles });
  const parsed = resolveConfig({
    flags: flagEntries(args),
    set: args.set ?? [],
    environment: process.env,
    // Empty, as compose files leave it, is not given.
    file: args.config ?? (process.env.ODRADEK_CONFIG || undefined),
    defaults: new Map(),
  });
  const { stopped } = await runNode(parsed, logLevel(args.logLevel, 'info')).catch(explained);
  await stopped;
  process.exit(0);
}

/** Flags of clusters of several nodes. */
export function refuseCluster(flags: Readonly<Record<string, unknown>>): void {
  for (const [flag, value] of Object.entries(flags)) {
    if (value !== undefined) throw new UsageError(notOfOneNode(flag));
  }
}

/** The flag, else ODRADEK_LOG_LEVEL, else what the command logs otherwise. */
export function logLevel(flag: LogLevel | undefined, otherwise: LogLevel): LogLevel {
  const given = flag ?? process.env.ODRADEK_LOG_LEVEL;
  if (given === undefined || given === '') return otherwise;
  const level = LOG_LEVELS.find((name) => name === given);
  if (level === undefined) throw new UsageError(`ODRADEK_LOG_LEVEL is one of ${LOG_LEVELS.join(', ')}, not "${given}"`);
  return level;
}

function flagEntries(args: ArgumentsCamelCase<StartOptions>): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  const put = (name: string, value: string | number | undefined) =>
    value !== undefined && entries.set(name, String(value));
  put('node.id', args.nodeId);
  put('log.dirs', args.dataDir);
  put('listeners', args.listen === undefined ? undefined : `PLAINTEXT://${args.listen}`);
  put('advertised.listeners', args.advertise === undefined ? undefined : `PLAINTEXT://${args.advertise}`);
  put('http.listener', args.httpListen);
  put('broker.rack', args.rack);
  return entries;
}
