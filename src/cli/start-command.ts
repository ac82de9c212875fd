import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from 'yargs';
import { resolveConfig, UsageError } from './config-sources.ts';
import { LOG_LEVELS, type LogLevel, runNode } from './node-process.ts';

export const START_OPTIONS = {
  config: {
    alias: 'c',
    type: 'string',
    describe: "YAML, or Kafka's server.properties by its name",
    default: process.env.ODRADEK_CONFIG,
  },
  'node-id': { type: 'string', describe: 'This node (1)' },
  'data-dir': { type: 'string', describe: 'Where the logs are kept (./odradek-data); several with commas' },
  listen: { type: 'string', describe: 'HOST:PORT for Kafka clients (127.0.0.1:9092)' },
  'peer-listen': { type: 'string', describe: 'HOST:PORT for other nodes; not served yet' },
  'http-listen': { type: 'string', describe: 'HOST:PORT for metrics and health (127.0.0.1:9094)' },
  advertise: { type: 'string', describe: 'HOST:PORT that clients are told, if it differs from --listen' },
  rack: { type: 'string', describe: 'The rack or zone of this node' },
  voters: { type: 'string', describe: 'ID@HOST:PORT,…; not served yet' },
  roles: { type: 'string', describe: 'broker,controller; not served yet' },
  set: { type: 'string', array: true, requiresArg: true, nargs: 1, describe: 'Any config, KEY=VALUE' },
  'log-level': { choices: LOG_LEVELS, default: logLevel(process.env.ODRADEK_LOG_LEVEL), describe: 'What is logged' },
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
    file: args.config,
    defaults: new Map(),
  });
  const { stopped } = await runNode(parsed, args.logLevel);
  await stopped;
  process.exit(0);
}

/** Flags of clusters of several nodes: a node that took and ignored them would be no cluster. */
export function refuseCluster(flags: Readonly<Record<string, unknown>>): void {
  for (const [flag, value] of Object.entries(flags)) {
    if (value !== undefined) throw new UsageError(`${flag} is not supported: this version runs clusters of one node`);
  }
}

export function logLevel(text: string | undefined): LogLevel {
  return LOG_LEVELS.find((level) => level === text) ?? 'info';
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
