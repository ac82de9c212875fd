import { readFileSync } from 'node:fs';
import yargs, { type Options } from 'yargs';
import { nearestName } from '#model/nearest-name';
import { UsageError } from './config-sources.ts';
import { START_OPTIONS, startCommand } from './start-command.ts';
import { UP_OPTIONS, upCommand } from './up-command.ts';

/** Reads any command line, runs its command, or says what is wrong with it. */
export async function parseWithYargs(args: readonly string[]): Promise<void> {
  await yargs([...args])
    .scriptName('odradek')
    .usage('$0 COMMAND\n\nA streaming cluster for the Kafka protocol.')
    .command(upCommand)
    .command(startCommand)
    .demandCommand(1, 'Say what to do: see odradek --help')
    .strict()
    .version(version())
    .help()
    .alias('h', 'help')
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .fail((message, error) => {
      // yargs has an error of its own for some of what it refuses, with a message like the others.
      throw error === undefined || error.name === 'YError' ? new UsageError(inWords(message, args)) : error;
    })
    .exitProcess(false)
    .parseAsync();
}

/** What each command takes, by its name. */
const COMMANDS: ReadonlyMap<string, Readonly<Record<string, Options>>> = new Map<string, Record<string, Options>>([
  ['up', UP_OPTIONS],
  ['start', START_OPTIONS],
]);

/** yargs names an unknown flag twice, as it was written and in camel case, and none that is near. */
function inWords(message: string, args: readonly string[]): string {
  const names = /^Unknown arguments?: (.+)$/.exec(message)?.[1]?.split(', ');
  if (names === undefined) return message;
  const [command = ''] = args;
  const options = COMMANDS.get(command);
  if (options === undefined && !command.startsWith('-')) {
    return `Unknown command: ${command} (there are ${[...COMMANDS.keys()].join(' and ')})`;
  }
  const flags = new Set(args.filter((arg) => arg.startsWith('-')).map((arg) => arg.split('=', 1)[0] ?? arg));
  const written = names.flatMap((name) => {
    const flag = [`--${name}`, `-${name}`].find((spelling) => flags.has(spelling));
    if (flag === undefined) return args.includes(name) ? [`Unknown argument: ${name}`] : [];
    const near = nearestName(name, Object.keys(options ?? {}));
    return [`Unknown flag: ${flag}${near === undefined ? '' : ` (did you mean --${near}?)`}`];
  });
  return written.length === 0 ? message : written.join('\n         ');
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
