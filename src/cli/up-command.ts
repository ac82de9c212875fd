import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from 'yargs';
import { resolveConfig, UsageError } from './config-sources.ts';
import { LOG_LEVELS, runNode } from './node-process.ts';
import { logLevel, refuseCluster } from './start-command.ts';

const DEFAULT_PORT = 9092;
/** HTTP is the second port behind the Kafka listener's, as with the defaults 9092 and 9094. */
const HTTP_OFFSET = 2;

export const UP_OPTIONS = {
  port: { type: 'number', default: DEFAULT_PORT, describe: 'The port for Kafka clients; HTTP is two above' },
  'data-dir': { type: 'string', describe: 'Where the logs are kept (./odradek-data)' },
  ephemeral: {
    type: 'boolean',
    default: false,
    describe: 'Keep the data in a temporary folder and remove it at the end',
  },
  brokers: { type: 'number', describe: 'How many; not served yet' },
  racks: { type: 'string', describe: 'Their racks; not served yet' },
  'log-level': {
    choices: LOG_LEVELS,
    default: logLevel(process.env.ODRADEK_LOG_LEVEL ?? 'warn'),
    describe: 'What is logged',
  },
} as const satisfies Record<string, Options>;

type UpOptions = InferredOptionTypes<typeof UP_OPTIONS>;

export const upCommand: CommandModule<object, UpOptions> = {
  command: 'up',
  describe: 'Run a local cluster and say how to use it',
  builder: UP_OPTIONS,
  handler: up,
};

async function up(args: ArgumentsCamelCase<UpOptions>): Promise<void> {
  refuseCluster({ '--brokers': args.brokers, '--racks': args.racks });
  if (args.ephemeral && args.dataDir !== undefined)
    throw new UsageError('--ephemeral and --data-dir exclude each other');
  if (!Number.isInteger(args.port) || args.port < 1 || args.port + HTTP_OFFSET > 0xffff) {
    throw new UsageError(`--port takes a number from 1 to ${0xffff - HTTP_OFFSET}, not ${args.port}`);
  }
  const dataDir = args.ephemeral ? await mkdtemp(join(tmpdir(), 'odradek-')) : (args.dataDir ?? './odradek-data');
  const flags = new Map([
    ['listeners', `PLAINTEXT://127.0.0.1:${args.port}`],
    ['http.listener', `127.0.0.1:${args.port + HTTP_OFFSET}`],
    ['log.dirs', dataDir],
  ]);
  const defaults = new Map([['group.initial.rebalance.delay.ms', '0']]);
  const parsed = resolveConfig({ flags, set: [], environment: process.env, file: undefined, defaults });
  try {
    const { node, http, stopped } = await runNode(parsed, args.logLevel);
    const [listener] = node.listeners;
    process.stdout.write(welcome(`${listener?.host}:${listener?.port}`, `${http.at.host}:${http.at.port}`, dataDir));
    await stopped;
  } finally {
    if (args.ephemeral) await rm(dataDir, { recursive: true, force: true });
  }
  process.exit(0);
}

function welcome(bootstrap: string, http: string, dataDir: string): string {
  return `Odradek is up.

  bootstrap servers  ${bootstrap}
  HTTP               http://${http}  (/metrics, /livez, /readyz)
  data               ${dataDir}

Try, in another terminal:

  echo hello | kcat -b ${bootstrap} -t greetings -P
  kcat -b ${bootstrap} -t greetings -C -e

Ctrl-C stops it.
`;
}
