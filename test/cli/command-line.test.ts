import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
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
    ['an unknown command', ['strat'], /: Unknown command: strat \(there are up, start and chaos\)\n$/],
    ['an unknown flag', ['start', '--data-dirs', 'x'], /: Unknown flag: --data-dirs \(did you mean --data-dir\?\)\n$/],
    ['an unknown flag with =', ['start', '--listn=a:1'], /: Unknown flag: --listn \(did you mean --listen\?\)\n$/],
    ['an unknown short flag', ['start', '-x'], /: Unknown flag: -x\n$/],
    [
      'an unknown flag before any command',
      ['--verbose'],
      /odradek: Say what to do: see odradek --help\n$|Unknown flag: --verbose\n$/,
    ],
    ['an unknown flag of up', ['up', '--listen', 'x'], /: Unknown flag: --listen \(it is one of odradek start\)\n$/],
    ['a word too many', ['start', 'now'], /: Unknown argument: now\n$/],
    ['a flag without its value', ['start', '--data-dir'], /^odradek: --data-dir lacks its value\n$/],
    ['-c without a file', ['start', '-c'], /: -c lacks its value\n$/],
    ['an empty data directory', ['start', '--data-dir', ''], /log\.dirs \(--data-dir\) names no folder/],
    ['an empty data directory of up', ['up', '--data-dir='], /log\.dirs \(--data-dir\) names no folder/],
    ['a config file that is a folder', ['start', '-c', '/'], /cannot be read: \/ is a folder/],
    ['--set without a value', ['start', '--set'], /: --set lacks its value\n$/],
    ['--set without =', ['start', '--set', 'num.partitions'], /--set takes KEY=VALUE, not "num.partitions"/],
    ['an unknown --set', ['start', '--set', 'num.partition=1'], /num\.partition \(did you mean num\.partitions\?\)/],
    [
      'a node id that is no number',
      ['start', '--node-id', 'one'],
      /: --node-id takes a number from 0 to 2147483647, not "one"\n$/,
    ],
    ['a node id that is too high', ['start', '--node-id=2147483648'], /--node-id takes .*, not "2147483648"\n$/],
    [
      'an address without a port',
      ['start', '--listen', 'localhost'],
      /: --listen takes HOST:PORT, the port at most 65535, not "localhost"\n$/,
    ],
    ['a port that is too high', ['start', '--listen', ':99999'], /: --listen takes .*, not ":99999"\n$/],
    ['two flags', ['start', '--listen', 'x', '--roles='], /: --listen takes .*\n {9}--roles takes .*, not ""\n$/],
    [
      'a port of the environment that is too high',
      ['start', '--set', 'listeners=A://:65536'],
      /"A:\/\/:65536" is not of the form NAME:\/\/host:port, the port at most 65535/,
    ],
    [
      'an HTTP address without a port',
      ['start', '--http-listen', 'localhost'],
      /: --http-listen takes HOST:PORT, .* not "localhost"\n$/,
    ],
    ['an advertised address without a port', ['start', '--advertise', 'host'], /: --advertise takes HOST:PORT/],
    ['a config file that is not there', ['start', '-c', '/nowhere/odradek.yaml'], /cannot be read: ENOENT/],
    [
      'an unknown log level',
      ['start', '--log-level', 'loud'],
      /: --log-level takes debug, info, warn or error, not "loud"\n$/,
    ],
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
    [
      'a rack without a name',
      ['up', '--brokers', '3', '--racks', 'a,,c'],
      /--racks takes names with commas between them, not "a,,c"\n$/,
    ],
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
    [
      'an unknown role',
      ['start', '--roles', 'observer'],
      /--roles takes broker, controller or both with a comma, not "observer"\n$/,
    ],
    ['--chaos with one broker', ['up', '--chaos', '--brokers', '1'], /--brokers takes 2 or more with it/],
    [
      'a port that leaves no room for the last listener under chaos',
      ['up', '--chaos', '--port', '65513'],
      /--port takes a number from 1 to 65512, not 65513/,
    ],
    ['--chaos of start without its file', ['start', '--chaos', '/nowhere.json'], /\/nowhere\.json is none with node 1/],
    ['chaos without a command', ['chaos'], /Say what to do: see odradek chaos --help/],
    [
      'an unknown command of chaos',
      ['chaos', 'explode'],
      /: Unknown command: chaos explode \(there are kill, .*and run\)/,
    ],
    ['an unknown flag of chaos', ['chaos', 'partition', '1', '--one-wai'], /--one-wai \(did you mean --one-way\?\)/],
    ['chaos for no node', ['chaos', 'kill'], /which node\? Its id, --controller or --leader-of TOPIC/],
    ['chaos for two nodes', ['chaos', 'kill', '1', '--controller'], /one node: its id, --controller or --leader-of/],
    ['chaos for a node that is none', ['chaos', 'pause', 'one'], /"one" is no node: say its id, controller/],
    ['a delay without its length', ['chaos', 'delay', '1'], /: --ms is missing \(How much later/],
    [
      'a delay that is too long',
      ['chaos', 'delay', '1', '--ms', '60001'],
      /--ms takes a number of milliseconds up to 60000/,
    ],
    ['a time that is none', ['chaos', 'kill', '1', '--for', 'soon'], /--for: "soon" is no time/],
    [
      'an unknown way to lose a rack',
      ['chaos', 'lose-rack', 'a', '--how', 'burn'],
      /: --how takes kill, pause or cut, not "burn"\n$/,
    ],
    ['the leader of no topic', ['chaos', 'kill', 'leader'], /a leader of which topic\?/],
    ['a healing of who controls', ['chaos', 'heal', 'controller'], /heal takes the id of a node, or nothing for all/],
    ['a scenario that is not there', ['chaos', 'run', '/nowhere.yaml'], /the scenario cannot be read: ENOENT/],
    ['a scenario that is none', ['chaos', 'run', 'package.json'], /package\.json: a scenario has name, load/],
    ['a rack to lose that is not said', ['chaos', 'lose-rack'], /: chaos lose-rack takes <rack>: see odradek/],
    ['a port that is a word', ['up', '--port', 'kafka'], /: --port takes a number, not "kafka"\n$/],
    ['an empty port', ['up', '--port='], /: --port takes a number, not ""\n$/],
    ['brokers by a word', ['up', '--brokers', 'three'], /: --brokers takes a number, not "three"\n$/],
    ['a delay by a word', ['chaos', 'delay', '1', '--ms', 'long'], /: --ms takes .* up to 60000, not "long"\n$/],
    [
      'a switch with a value',
      ['up', '--ephemeral=yes'],
      /: --ephemeral is given or not, and takes no value as "yes"\n$/,
    ],
    [
      'a folder given twice',
      ['start', '--data-dir', 'x,./x'],
      /: log\.dirs \(--data-dir\) names the folder \.\/x twice\n$/,
    ],
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

  test.each(['start', 'up'])(
    '%s refuses the folder of several nodes, which one more would stand among',
    async (command) => {
      using folder = temporaryFolder('several');
      for (const id of [1, 2, 3]) {
        mkdirSync(join(folder.path, `node-${id}`));
        writeFileSync(join(folder.path, `node-${id}/meta.properties`), '');
      }
      const { status, said } = await refused(command, '--data-dir', folder.path);
      expect(said).toContain(
        'holds a cluster of 3 nodes: odradek up --brokers 3 runs it, and --data-dir takes another folder\n',
      );
      expect(status).toBe(USAGE);
      expect(readdirSync(folder.path)).toHaveLength(3);
    },
  );

  test('speaks English in every country', async () => {
    const script = join(repositoryRoot, 'src/cli/main.ts');
    const env = { ...nodeEnvironment(), LC_ALL: 'de_DE.UTF-8' };
    const { output } = await run(process.execPath, [script, 'start', '--date-dir', 'x'], { timeoutMs: 20_000, env });
    expect(output).toBe('odradek: Unknown flag: --date-dir (did you mean --data-dir?)\n');
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
