import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { run as runCommand } from '../../src/cli/run.ts';
import { nodeEnvironment, repositoryRoot } from '../support/odradek-process.ts';
import { run } from '../support/process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** What a user sees of a call that is refused before anything starts. */
async function refused(...args: readonly string[]): Promise<{ readonly status: unknown; readonly said: string }> {
  const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as () => never);
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  await runCommand(args);
  const said = write.mock.calls.map(([text]) => String(text)).join('');
  return { status: exit.mock.calls[0]?.[0], said };
}

const USAGE = 2;

describe('the command line', () => {
  test.each<readonly [string, readonly string[], RegExp]>([
    ['no command', [], /Say what to do/],
    ['an unknown command', ['strat'], /: Unknown command: strat \(there are up and start\)\n$/],
    ['an unknown flag', ['start', '--data-dirs', 'x'], /: Unknown flag: --data-dirs \(did you mean --data-dir\?\)\n$/],
    ['an unknown flag with =', ['start', '--listn=a:1'], /: Unknown flag: --listn \(did you mean --listen\?\)\n$/],
    ['an unknown short flag', ['start', '-x'], /: Unknown flag: -x\n$/],
    [
      'an unknown flag before any command',
      ['--verbose'],
      /odradek: Say what to do: see odradek --help\n$|Unknown flag: --verbose\n$/,
    ],
    ['an unknown flag of up', ['up', '--listen', 'x'], /: Unknown flag: --listen\n$/],
    ['a word too many', ['start', 'now'], /: Unknown argument: now\n$/],
    ['a flag without its value', ['start', '--data-dir'], /Not enough arguments following: data-dir/],
    ['-c without a file', ['start', '-c'], /Not enough arguments following: c/],
    ['an empty data directory', ['start', '--data-dir', ''], /log\.dirs \(--data-dir\) names no folder/],
    ['an empty data directory of up', ['up', '--data-dir='], /log\.dirs \(--data-dir\) names no folder/],
    ['a config file that is a folder', ['start', '-c', '/'], /cannot be read: \/ is a folder/],
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
    ['no brokers', ['up', '--brokers', '0'], /--brokers takes a number from 1 to 32, not 0/],
    ['half a broker', ['up', '--brokers', '2.5'], /--brokers takes a number from 1 to 32, not 2\.5/],
    ['too many brokers', ['up', '--brokers', '33'], /--brokers takes a number from 1 to 32, not 33/],
    ['more racks than brokers', ['up', '--racks', 'a,b'], /--racks names 2 racks, and --brokers is 1/],
    ['a rack without a name', ['up', '--brokers', '3', '--racks', 'a,,c'], /--racks takes names with commas/],
    [
      'a port that leaves no room for the last broker',
      ['up', '--brokers', '3', '--port', '65514'],
      /--port takes a number from 1 to 65513, not 65514/,
    ],
    ['an empty data directory of several', ['up', '--brokers', '3', '--data-dir='], /names no folder/],
    [
      'two data directories of several',
      ['up', '--brokers', '3', '--data-dir', 'x,y'],
      /is one folder, for the folders/,
    ],
    ['voters that are no addresses', ['start', '--voters', '1@here'], /"1@here" is not of the form ID@HOST:PORT/],
    ['an unknown role', ['start', '--roles', 'observer'], /observer .*process\.roles/],
    ['--ephemeral with --data-dir', ['up', '--ephemeral', '--data-dir', 'x'], /exclude each other/],
  ])('refuses %s with a sentence and exit code 2', async (_what, args, sentence) => {
    const { status, said } = await refused(...args);
    expect(status).toBe(USAGE);
    expect(said).toMatch(/^odradek: /);
    expect(said).toMatch(sentence);
  });

  test.each(['start', 'up'])('refuses an ODRADEK_LOG_LEVEL that is none, for %s', async (command) => {
    vi.stubEnv('ODRADEK_LOG_LEVEL', 'loud');
    const { status, said } = await refused(command, '--data-dir', '/nowhere/odradek');
    expect(said).toBe('odradek: ODRADEK_LOG_LEVEL is one of debug, info, warn, error, not "loud"\n');
    expect(status).toBe(USAGE);
  });

  test('leaves no temporary folder behind when up --ephemeral is refused', async () => {
    using folder = temporaryFolder('refused');
    const script = join(repositoryRoot, 'src/cli/main.ts');
    const env = { ...nodeEnvironment(), TMPDIR: folder.path, ODRADEK_NO_SUCH_CONFIG: '1' };
    const { status, output } = await run(process.execPath, [script, 'up', '--ephemeral'], { timeoutMs: 20_000, env });
    expect(output).toContain('ODRADEK_NO_SUCH_CONFIG');
    expect(status).toBe(USAGE);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('odradek-'))).toEqual([]);
  });
});
