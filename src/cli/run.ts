import type { ArgumentsCamelCase } from 'yargs';
import { UsageError } from './config-sources.ts';
import { FAILED, UNREACHABLE, Unreachable, USAGE } from './exit-status.ts';
import { quickParse } from './quick-parse.ts';
import { START_OPTIONS, startCommand } from './start-command.ts';
import { UP_OPTIONS, upCommand } from './up-command.ts';

export async function run(args: readonly string[]): Promise<void> {
  try {
    await dispatch(args);
  } catch (error) {
    process.stderr.write(`odradek: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(statusOf(error));
  }
}

function statusOf(error: unknown): number {
  if (error instanceof UsageError) return USAGE;
  return error instanceof Unreachable ? UNREACHABLE : FAILED;
}

async function dispatch([name, ...rest]: readonly string[]): Promise<void> {
  const options = name === 'start' ? START_OPTIONS : name === 'up' ? UP_OPTIONS : {};
  const values = quickParse(rest, options);
  if (values !== undefined && name === 'start') return await startCommand.handler(values as ArgumentsCamelCase<never>);
  if (values !== undefined && name === 'up') return await upCommand.handler(values as ArgumentsCamelCase<never>);
  const { parseWithYargs } = await import('./parse-with-yargs.ts');
  await parseWithYargs(name === undefined ? [] : [name, ...rest]);
}
