import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from 'yargs';
import { parseEndpoint } from '#model/listener';
import { NODE_ID_MAX } from './cluster-config.ts';
import { resolveConfig, usageError } from './config-sources.ts';
import { refuseClusterData } from './data-folder.ts';
import { LOG_LEVELS, logLevel } from './log-level.ts';
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
  'peer-listen': {
    type: 'string',
    requiresArg: true,
    describe: "HOST:PORT for the other nodes (this node's address in --voters, else 127.0.0.1:9093)",
  },
  'http-listen': { type: 'string', requiresArg: true, describe: 'HOST:PORT for metrics and health (127.0.0.1:9094)' },
  advertise: {
    type: 'string',
    requiresArg: true,
    describe: 'HOST:PORT that clients are told, if it differs from --listen',
  },
  rack: { type: 'string', requiresArg: true, describe: 'The rack or zone of this node' },
  voters: {
    type: 'string',
    requiresArg: true,
    describe: 'ID@HOST:PORT,… of the nodes that hold the metadata; the same list on every node',
  },
  roles: { type: 'string', requiresArg: true, describe: 'broker, controller or both (broker,controller)' },
  set: { type: 'string', array: true, requiresArg: true, nargs: 1, describe: 'Any config, KEY=VALUE' },
  'log-level': { choices: LOG_LEVELS, requiresArg: true, describe: 'What is logged (info)' },
  chaos: {
    type: 'string',
    requiresArg: true,
    describe: 'Fail as `odradek chaos` says; given by `odradek up --chaos`, whose cluster file it names',
  },
  supervised: {
    type: 'boolean',
    default: false,
    describe: 'Say "ready" on standard output when it serves, and stop when standard input ends',
  },
} as const satisfies Record<string, Options>;

const ROLES: readonly string[] = ['broker', 'controller'];

type StartOptions = InferredOptionTypes<typeof START_OPTIONS>;

export const startCommand: CommandModule<object, StartOptions> = {
  command: 'start',
  describe: 'Run one node in the foreground',
  builder: START_OPTIONS,
  handler: start,
};

async function start(args: ArgumentsCamelCase<StartOptions>): Promise<void> {
  const problems = flagProblems(args);
  if (problems.length > 0) throw usageError(problems);
  const parsed = resolveConfig({
    flags: flagEntries(args),
    set: args.set ?? [],
    environment: process.env,
    // Empty, as compose files leave it, is not given.
    file: args.config ?? (process.env.ODRADEK_CONFIG || undefined),
    defaults: new Map(),
  });
  for (const folder of parsed.config.logDirs) refuseClusterData(folder);
  const options = { level: logLevel(args.logLevel, 'info'), supervised: args.supervised, chaosFile: args.chaos };
  // Loaded here: what is refused, and `up` of several brokers, run no node in this process.
  const { runNode } = await import('./node-process.ts');
  const running = await runNode(parsed, options).catch(explained);
  await running?.stopped;
  process.exit(0);
}

/** Those whose values the configs would word in another way than they were given. */
function flagProblems(args: ArgumentsCamelCase<StartOptions>): readonly string[] {
  const endpoints = [
    ['listen', args.listen],
    ['peer-listen', args.peerListen],
    ['http-listen', args.httpListen],
    ['advertise', args.advertise],
  ] as const;
  const problems: string[] = [];
  for (const [flag, text] of endpoints)
    if (text !== undefined && parseEndpoint(text) === undefined)
      problems.push(`--${flag} takes HOST:PORT, the port at most 65535, not "${text}"`);
  const { nodeId, roles } = args;
  if (nodeId !== undefined && !(/^\d{1,10}$/.test(nodeId) && Number(nodeId) <= NODE_ID_MAX))
    problems.push(`--node-id takes a number from 0 to ${NODE_ID_MAX}, not "${nodeId}"`);
  if (roles?.split(',').every((role) => ROLES.includes(role.trim())) === false)
    problems.push(`--roles takes broker, controller or both with a comma, not "${roles}"`);
  return problems;
}

function flagEntries(args: ArgumentsCamelCase<StartOptions>): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  const put = (name: string, value: string | number | undefined) =>
    value !== undefined && entries.set(name, String(value));
  put('node.id', args.nodeId);
  put('log.dirs', args.dataDir);
  put('listeners', args.listen === undefined ? undefined : `PLAINTEXT://${args.listen}`);
  put('advertised.listeners', args.advertise === undefined ? undefined : `PLAINTEXT://${args.advertise}`);
  put('peer.listener', args.peerListen);
  put('http.listener', args.httpListen);
  put('broker.rack', args.rack);
  put('controller.quorum.voters', args.voters);
  put('process.roles', args.roles);
  return entries;
}
