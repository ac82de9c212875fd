/**
 * Builds `dist`: the types of every module of src, and its JavaScript as one bundle with an entry for the bin and for each export.
 * To start, a node reads a few files instead of a few hundred; what only some runs need stays in chunks of its own.
 * The result replaces the old one only when all of it is there, so that a failed build leaves a running node's files alone.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const root = join(import.meta.dirname, '..');
const next = join(root, '.work/dist');
const dist = join(root, 'dist');
const ENTRIES = ['cli/main', 'node/node', 'testing/start-cluster'];

function node(...args: readonly string[]): void {
  execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
}

/**
 * Put together with the modules of src: as a dependency it would bring its users an addon that is compiled at the install where there is
 * none for their platform, in whatever version is the newest.
 */
const BUNDLED = 'msgpackr';

/** The other packages stay imports. */
async function bundle(): Promise<void> {
  const modules = readdirSync(next, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
  const bundled = await rolldown({
    cwd: next,
    input: Object.fromEntries(ENTRIES.map((entry) => [entry, `./${entry}.js`])),
    platform: 'node',
    external: (id) => /^[^.#/]/.test(id) && id.split('/')[0] !== BUNDLED,
  });
  const { output } = await bundled.generate({
    format: 'esm',
    entryFileNames: '[name].js',
    // As deep as src/cli, from where the package's own package.json is found.
    chunkFileNames: 'lib/[name].js',
  });
  await bundled.close();
  for (const name of modules) rmSync(join(next, name));
  mkdirSync(join(next, 'lib'));
  for (const file of output) if (file.type === 'chunk') writeFileSync(join(next, file.fileName), file.code);
  copyFileSync(join(root, 'node_modules', BUNDLED, 'LICENSE'), join(next, `lib/LICENSE-${BUNDLED}`));
}

rmSync(next, { recursive: true, force: true });
node('scripts/generate-protocol.ts');
node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json');
// Types go on importing each other as `#layer/file`.
writeFileSync(
  join(next, 'package.json'),
  `${JSON.stringify({ type: 'module', imports: { '#*': './*.js' } }, null, 2)}\n`,
);
await bundle();
chmodSync(join(next, 'cli/main.js'), 0o755);
rmSync(dist, { recursive: true, force: true });
renameSync(next, dist);
