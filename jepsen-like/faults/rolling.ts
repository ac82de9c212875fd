/** One node after the other goes down and comes back, as it was or as another version. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster, Member } from '../../test/support/cluster/cluster.ts';
import { publishedMain, repositoryRoot } from '../../test/support/odradek-process.ts';
import type { Fault } from './fault.ts';

const PREVIOUS = 'HEAD~1';

async function roll(cluster: Cluster, command: (member: Member) => readonly string[]): Promise<void> {
  for (const member of cluster.members) {
    await cluster.stop(member.id);
    cluster.spawn(member.id, command(member));
    await cluster.inSync();
  }
}

/** The previous commit's name, if there is one. */
function previousCommit(): string | undefined {
  const found = spawnSync('git', ['rev-parse', '--verify', '--quiet', PREVIOUS], {
    cwd: repositoryRoot,
    encoding: 'utf8',
  });
  return found.status === 0 ? found.stdout.trim() : undefined;
}

/** Builds it beside this one, once; gives its main file. */
function previousMain(): string {
  const commit = previousCommit() ?? '';
  const folder = join(repositoryRoot, '.work/previous', commit);
  const main = join(folder, 'dist/cli/main.js');
  if (existsSync(main)) return main;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const sources = execFileSync('git', ['archive', commit], { cwd: repositoryRoot, maxBuffer: 2 ** 30 });
  execFileSync('tar', ['-x', '-C', folder], { input: sources });
  symlinkSync(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'));
  execFileSync(process.execPath, ['scripts/build.ts'], { cwd: folder, stdio: 'ignore' });
  return main;
}

const onFoot = { needsHosts: false, mixes: false, end: async () => undefined } as const;

export const ROLLING_FAULTS: readonly Fault[] = [
  {
    ...onFoot,
    name: 'rolling-restart',
    what: 'every node in turn: SIGTERM, and started again once it has ended',
    expected: 'no client notices more than a moved leader',
    begin: ({ cluster }) => roll(cluster, ({ command }) => command),
  },
  {
    ...onFoot,
    name: 'rolling-upgrade',
    what: 'every node in turn, from the build of the previous commit to this one',
    expected: 'both read one another, and the same files',
    missing: () => (previousCommit() === undefined ? 'no git, or no previous commit' : undefined),
    prepare: async ({ cluster }) => {
      const main = previousMain();
      await roll(cluster, ({ command }) => command.map((word) => (word === publishedMain ? main : word)));
    },
    begin: ({ cluster }) => roll(cluster, ({ command }) => command),
  },
];
