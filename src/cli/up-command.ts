import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from 'yargs';
import { resolveConfig, UsageError } from './config-sources.ts';
import { LOG_LEVELS, runNode } from './node-process.ts';
import { logLevel, refuseCluster } from './start-command.ts';
import { explained, isAddressInUse } from './start-failure.ts';

/** HTTP is the second port behind the Kafka listener's, as with the defaults 9092 and 9094. */
const HTTP_OFFSET = 2;

export const UP_OPTIONS = {
  port: { type: 'number', requiresArg: true, describe: 'The port for Kafka clients (9092); HTTP is two above' },
  'data-dir': { type: 'string', requiresArg: true, describe: 'Where the logs are kept (./odradek-data)' },
  ephemeral: {
    type: 'boolean',
    default: false,
    describe: 'Keep the data in a temporary folder and remove it at the end',
  },
  brokers: { type: 'number', describe: 'How many; not served yet' },
  racks: { type: 'string', describe: 'Their racks; not served yet' },
  'log-level': { choices: LOG_LEVELS, requiresArg: true, describe: 'What is logged (warn)' },
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
  const flags = new Map<string, string>();
  if (args.port !== undefined) {
    if (!Number.isInteger(args.port) || args.port < 1 || args.port + HTTP_OFFSET > 0xffff) {
      throw new UsageError(`--port takes a number from 1 to ${0xffff - HTTP_OFFSET}, not ${args.port}`);
    }
    flags.set('listeners', `PLAINTEXT://127.0.0.1:${args.port}`);
    flags.set('http.listener', `127.0.0.1:${args.port + HTTP_OFFSET}`);
  }
  if (args.dataDir !== undefined) flags.set('log.dirs', args.dataDir);
  if (args.ephemeral) flags.set('log.dirs', temporaryFolder());
  const defaults = new Map([['group.initial.rebalance.delay.ms', '0']]);
  const parsed = resolveConfig({ flags, set: [], environment: process.env, file: undefined, defaults });
  const { node, http, stopped } = await runNode(parsed, logLevel(args.logLevel, 'warn')).catch(explainedForUp);
  const [listener] = node.listeners;
  const data = parsed.config.logDirs.join(', ');
  process.stdout.write(welcome(`${listener?.host}:${listener?.port}`, `${http.at.host}:${http.at.port}`, data));
  await stopped;
  process.exit(0);
}

/** Gone when the process ends, however that comes about short of kill -9. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'odradek-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

function explainedForUp(failure: unknown): never {
  if (!isAddressInUse(failure)) return explained(failure);
  throw new Error(`${(failure as Error).message}; is one up already? --port takes another`, { cause: failure });
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
