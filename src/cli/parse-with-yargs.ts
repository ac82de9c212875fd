import { readFileSync } from 'node:fs';
import yargs from 'yargs';
import { UsageError } from './config-sources.ts';
import { startCommand } from './start-command.ts';
import { upCommand } from './up-command.ts';

/** Reads any command line, runs its command, or says what is wrong with it. */
export async function parseWithYargs(args: readonly string[]): Promise<void> {
  await yargs([...args])
    .scriptName('odradek')
    .usage('$0 COMMAND\n\nA streaming cluster for the Kafka protocol.')
    .command(upCommand)
    .command(startCommand)
    .demandCommand(1, 'Say what to do: see odradek --help')
    .strict()
    .recommendCommands()
    .version(version())
    .help()
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .fail((message, error) => {
      // yargs has an error of its own for some of what it refuses, with a message like the others.
      throw error === undefined || error.name === 'YError' ? new UsageError(message) : error;
    })
    .exitProcess(false)
    .parseAsync();
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
