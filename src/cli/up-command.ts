import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from 'yargs';
import { checkShape } from './cluster-plan.ts';
import { UsageError } from './config-sources.ts';
import { LOG_LEVELS, logLevel } from './log-level.ts';
import { upCluster } from './up-cluster.ts';
import { upOne } from './up-one.ts';

const DEFAULT_PORT = 9092;

export const UP_OPTIONS = {
  brokers: { type: 'number', requiresArg: true, describe: 'How many, each a process of its own beyond one (1)' },
  racks: { type: 'string', requiresArg: true, describe: 'Their racks, with commas, given out in turn' },
  port: {
    type: 'number',
    requiresArg: true,
    describe: 'The port for Kafka clients (9092); peers and HTTP are one and two above, the next broker ten',
  },
  'data-dir': { type: 'string', requiresArg: true, describe: 'Where the logs are kept (./odradek-data)' },
  ephemeral: {
    type: 'boolean',
    default: false,
    describe: 'Keep the data in a temporary folder and remove it at the end',
  },
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
  if (args.ephemeral && args.dataDir !== undefined)
    throw new UsageError('--ephemeral and --data-dir exclude each other');
  const shape = {
    brokers: args.brokers ?? 1,
    racks: args.racks?.split(',').map((rack) => rack.trim()) ?? [],
    port: args.port ?? DEFAULT_PORT,
  };
  checkShape(shape);
  const flags = new Map<string, string>();
  if (args.dataDir !== undefined) flags.set('log.dirs', args.dataDir);
  if (args.ephemeral) flags.set('log.dirs', temporaryFolder());
  // Where the user has said nothing else.
  const defaults = new Map([['group.initial.rebalance.delay.ms', '0']]);
  const level = logLevel(args.logLevel, 'warn');
  if (shape.brokers === 1) {
    const { port, racks } = shape;
    return await upOne({ flags, defaults, level, port: args.port === undefined ? undefined : port, rack: racks[0] });
  }
  await upCluster({ flags, defaults, level, shape });
}

/** Gone when the process ends, however that comes about short of kill -9. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'odradek-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}
