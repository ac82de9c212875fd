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
/** Of --chaos, unless the user says otherwise: there are racks to lose. */
const CHAOS_RACKS: readonly string[] = ['a', 'b', 'c'];

export const UP_OPTIONS = {
  brokers: { type: 'string', requiresArg: true, describe: 'How many, each a process of its own beyond one (1)' },
  racks: { type: 'string', requiresArg: true, describe: 'Their racks by name (a,b,c), given out in turn' },
  port: {
    type: 'string',
    requiresArg: true,
    describe: 'The port for Kafka clients (9092); peers and HTTP are one and two above, the next broker ten',
  },
  'data-dir': { type: 'string', requiresArg: true, describe: 'Where the logs are kept (./odradek-data)' },
  ephemeral: {
    type: 'boolean',
    default: false,
    describe: 'Keep the data in a temporary folder and remove it at the end',
  },
  chaos: {
    type: 'boolean',
    default: false,
    describe:
      'Let `odradek chaos` cut and delay connections and fill disks, and make kills power cuts; 3 brokers in racks a,b,c',
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
  const { chaos } = args;
  const port = numberOf('port', args.port);
  const brokers = numberOf('brokers', args.brokers) ?? (chaos ? CHAOS_RACKS.length : 1);
  const racks = args.racks?.split(',').map((rack) => rack.trim()) ?? (chaos ? CHAOS_RACKS.slice(0, brokers) : []);
  const shape = { brokers, racks, port: port ?? DEFAULT_PORT, chaos };
  checkShape(shape);
  const flags = new Map<string, string>();
  if (args.dataDir !== undefined) flags.set('log.dirs', args.dataDir);
  if (args.ephemeral) flags.set('log.dirs', temporaryFolder());
  // Where the user has said nothing else.
  const defaults = new Map([['group.initial.rebalance.delay.ms', '0']]);
  const level = logLevel(args.logLevel, 'warn');
  if (brokers === 1) return await upOne({ flags, defaults, level, port, rack: racks[0] });
  await upCluster({ flags, defaults, level, shape });
}

/** Read here, since yargs makes NaN of a word, and so forgets what it was. */
function numberOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isNaN(number)) throw new UsageError(`--${flag} takes a number, not "${text}"`);
  return number;
}

/** Gone when the process ends, however that comes about short of kill -9. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'odradek-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}
