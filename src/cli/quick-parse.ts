import { parseArgs } from 'node:util';
import type { Options } from 'yargs';

type Values = Record<string, unknown>;

/**
 * The plain way to give a command's options, read without yargs, whose loading is a third of a node's start (measured: 126 ms and
 * 16 MB). Undefined for everything else (help, a mistake, another spelling): then yargs reads the same options, and answers.
 */
export function quickParse(args: readonly string[], options: Readonly<Record<string, Options>>): Values | undefined {
  const parsed = parse(args, options);
  if (parsed === undefined) return undefined;
  const values: Values = {};
  for (const [name, option] of Object.entries(options)) {
    const given = parsed[name];
    const value = given === undefined ? option.default : given;
    if (value !== undefined && option.choices?.includes(value as string) === false) return undefined;
    values[camelCase(name)] = value;
  }
  return values;
}

function parse(args: readonly string[], options: Readonly<Record<string, Options>>): Values | undefined {
  const config = Object.fromEntries(
    Object.entries(options).map(([name, { type, array, alias }]) => [
      name,
      {
        type: type === 'boolean' ? ('boolean' as const) : ('string' as const),
        multiple: array === true,
        ...(typeof alias === 'string' ? { short: alias } : {}),
      },
    ]),
  );
  try {
    return parseArgs({ args: [...args], options: config, strict: true, allowPositionals: false }).values;
  } catch {
    // Whatever it is, yargs words it for the user.
    return undefined;
  }
}

function camelCase(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
