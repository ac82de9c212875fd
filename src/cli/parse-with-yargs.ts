import { readFileSync } from 'node:fs';
import yargs from 'yargs';
import { chaosCommand } from './chaos-command.ts';
import { UsageError } from './config-sources.ts';
import { inWords, switchMistake } from './mistakes.ts';
import { startCommand } from './start-command.ts';
import { upCommand } from './up-command.ts';

/** Reads any command line, runs its command, or says what is wrong with it. */
export async function parseWithYargs(args: readonly string[]): Promise<void> {
  const mistake = switchMistake(args);
  if (mistake !== undefined) throw new UsageError(mistake);
  await yargs([...args])
    .scriptName('odradek')
    // All else that is said is in English, and its own messages are read in `inWords`.
    .detectLocale(false)
    .usage('$0 COMMAND\n\nA streaming cluster for the Kafka protocol.')
    .command(upCommand)
    .command(startCommand)
    .command(chaosCommand)
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

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
