/** What is wrong with a command line, in a sentence for whoever typed it; yargs finds it, and words it for whoever wrote the command. */
import type { Options } from 'yargs';
import { nearestName } from '#model/nearest-name';
import { CHAOS_COMMANDS } from './chaos-command.ts';
import { START_OPTIONS } from './start-command.ts';
import { UP_OPTIONS } from './up-command.ts';

type KnownOptions = Readonly<Record<string, Options>>;

/** What each command takes, by its name. */
const COMMANDS: ReadonlyMap<string, KnownOptions> = new Map<string, KnownOptions>([
  ['up', UP_OPTIONS],
  ['start', START_OPTIONS],
]);

/** A mistake that yargs does not find: it takes `--ephemeral=yes` for a no. */
export function switchMistake(args: readonly string[]): string | undefined {
  const options = optionsOf(args) ?? {};
  for (const arg of args) {
    const [, name = '', value = ''] = /^--([^=]+)=(.*)$/s.exec(arg) ?? [];
    if (options[name]?.type === 'boolean' && value !== 'true' && value !== 'false')
      return `--${name} is given or not, and takes no value as "${value}"`;
  }
  return undefined;
}

/** `message` of yargs, which found the mistake. */
export function inWords(message: string, args: readonly string[]): string {
  const [, lacking] = /^Not enough arguments following: (\S+)$/.exec(message) ?? [];
  if (lacking !== undefined) return `${flagOf(lacking)} lacks its value`;
  const [, missing] = /^Missing required argument: (\S+)$/.exec(message) ?? [];
  if (missing !== undefined) return `${flagOf(missing)} is missing (${optionsOf(args)?.[missing]?.describe})`;
  if (message.startsWith('Not enough non-option arguments')) return lackOfArguments(args);
  const choices = [...message.matchAll(/Argument: (\S+), Given: (.*), Choices: (.*)/g)];
  if (choices.length > 0) return lines(choices.map(([, name = '', given, all = '']) => choice(name, given, all)));
  const unknown = /^Unknown arguments?: (.+)$/.exec(message)?.[1]?.split(', ');
  return unknown === undefined ? message : unknownIn(unknown, args, message);
}

function optionsOf([command = '', subcommand = '']: readonly string[]): KnownOptions | undefined {
  return command === 'chaos' ? CHAOS_COMMANDS.get(subcommand)?.options : COMMANDS.get(command);
}

function flagOf(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

function choice(name: string, given = '', all: string): string {
  return `${flagOf(name)} takes ${listed(all.replaceAll('"', '').split(', '), 'or')}, not ${given}`;
}

/** Only commands of chaos have arguments that must be there. */
function lackOfArguments([command, subcommand = '']: readonly string[]): string {
  return `${command} ${subcommand} takes ${CHAOS_COMMANDS.get(subcommand)?.form}: see odradek chaos ${subcommand} --help`;
}

/** yargs names an unknown flag twice, as it was written and in camel case, and none that is near. */
function unknownIn(names: readonly string[], args: readonly string[], message: string): string {
  const [command = '', subcommand = ''] = args;
  const options = optionsOf(args);
  if (command === 'chaos' && options === undefined && !subcommand.startsWith('-')) {
    return `Unknown command: chaos ${subcommand} (there are ${listed([...CHAOS_COMMANDS.keys()], 'and')})`;
  }
  if (options === undefined && command !== 'chaos' && !command.startsWith('-')) {
    return `Unknown command: ${command} (there are ${listed([...COMMANDS.keys(), 'chaos'], 'and')})`;
  }
  const flags = new Set(args.filter((arg) => arg.startsWith('-')).map((arg) => arg.split('=', 1)[0] ?? arg));
  const written = names.flatMap((name) => {
    const flag = [`--${name}`, `-${name}`].find((spelling) => flags.has(spelling));
    if (flag === undefined) return args.includes(name) ? [`Unknown argument: ${name}`] : [];
    return [`Unknown flag: ${flag}${hint(name, options ?? {})}`];
  });
  return written.length === 0 ? message : lines(written);
}

function hint(unknown: string, options: KnownOptions): string {
  const near = nearestName(unknown, Object.keys(options));
  if (near !== undefined) return ` (did you mean --${near}?)`;
  const [other] = [...COMMANDS].find(([, theirs]) => Object.hasOwn(theirs, unknown)) ?? [];
  return other === undefined ? '' : ` (it is one of odradek ${other})`;
}

/** Several sentences, below each other behind `odradek: `. */
function lines(sentences: readonly string[]): string {
  return sentences.join('\n         ');
}

function listed(names: readonly string[], conjunction: 'and' | 'or'): string {
  return `${names.slice(0, -1).join(', ')} ${conjunction} ${names.at(-1)}`;
}
