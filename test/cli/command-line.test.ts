import { afterEach, describe, expect, test, vi } from 'vitest';
import { run } from '../../src/cli/run.ts';

afterEach(() => vi.restoreAllMocks());

/** What a user sees of a call that is refused before anything starts. */
async function refused(...args: readonly string[]): Promise<{ readonly status: unknown; readonly said: string }> {
  const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as () => never);
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  await run(args);
  const said = write.mock.calls.map(([text]) => String(text)).join('');
  return { status: exit.mock.calls[0]?.[0], said };
}

const USAGE = 2;

describe('the command line', () => {
  test.each([
    ['start', '--voters', '1@127.0.0.1:9093'],
    ['start', '--peer-listen', '127.0.0.1:9093'],
    ['start', '--roles', 'broker,controller'],
    ['up', '--brokers', '3'],
    ['up', '--racks', 'a,b,c'],
  ])('refuses %s %s, which would make a cluster of several nodes', async (command, flag, value) => {
    const { status, said } = await refused(command, flag, value);
    expect(status).toBe(USAGE);
    expect(said).toBe(`odradek: ${flag} is not supported: this version runs clusters of one node\n`);
  });

  test.each<readonly [string, readonly string[], RegExp]>([
    ['no command', [], /Say what to do/],
    ['an unknown command', ['strat'], /Did you mean start/],
    ['an unknown flag', ['start', '--data-dirs', 'x'], /Unknown arguments?: data-dirs/],
    ['an unknown flag of up', ['up', '--listen', 'x'], /Unknown argument: listen/],
    ['a word too many', ['start', 'now'], /now/],
    ['--set without a value', ['start', '--set'], /Not enough arguments following: set/],
    ['--set without =', ['start', '--set', 'num.partitions'], /--set takes KEY=VALUE, not "num.partitions"/],
    ['an unknown --set', ['start', '--set', 'num.partition=1'], /num\.partition \(did you mean num\.partitions\?\)/],
    ['a node id that is no number', ['start', '--node-id', 'one'], /one .*node\.id/],
    ['an address without a port', ['start', '--listen', 'localhost'], /localhost.* is not of the form/],
    ['an HTTP address without a port', ['start', '--http-listen', 'localhost'], /http\.listener: Must be of the form/],
    ['an advertised address without a port', ['start', '--advertise', 'host'], /advertised\.listeners/],
    ['a config file that is not there', ['start', '-c', '/nowhere/odradek.yaml'], /cannot be read: ENOENT/],
    ['an unknown log level', ['start', '--log-level', 'loud'], /"loud", Choices: "debug"/],
    [
      'a port that leaves no room for HTTP',
      ['up', '--port', '65534'],
      /--port takes a number from 1 to 65533, not 65534/,
    ],
    ['port 0 of up', ['up', '--port', '0'], /--port takes a number from 1/],
    ['--ephemeral with --data-dir', ['up', '--ephemeral', '--data-dir', 'x'], /exclude each other/],
  ])('refuses %s with a sentence and exit code 2', async (_what, args, sentence) => {
    const { status, said } = await refused(...args);
    expect(status).toBe(USAGE);
    expect(said).toMatch(/^odradek: /);
    expect(said).toMatch(sentence);
  });
});
