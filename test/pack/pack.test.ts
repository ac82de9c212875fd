/** The package as its users get it: packed, installed into an empty folder, on a machine without a compiler. */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { init, parse } from 'es-module-lexer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answersMetadata } from '../support/metadata-probe.ts';
import { freeAddress, nodeEnvironment, OdradekProcess, repositoryRoot } from '../support/odradek-process.ts';
import { run, runOrThrow } from '../support/process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const temporary = temporaryFolder('pack');
const home = join(temporary.path, 'home');
const installed = join(home, 'node_modules/odradek');
const bin = join(home, 'node_modules/.bin/odradek');
const manifest = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as { version: string };
const timeoutMs = 4 * 60_000;

/** A PATH with node, npm and a shell, and nothing that could compile. */
async function pathWithoutCompiler(): Promise<string> {
  const folder = join(temporary.path, 'bin');
  mkdirSync(folder);
  symlinkSync(process.execPath, join(folder, 'node'));
  for (const command of ['npm', 'sh']) {
    const found = await runOrThrow('which', [command], { timeoutMs });
    symlinkSync(realpathSync(found.trim()), join(folder, command));
  }
  return folder;
}

/** Every file below the folder that is no folder itself. */
function filesBelow(folder: string): readonly string[] {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
  return paths.filter((path) => !lstatSync(path).isDirectory());
}

/** What `odradek chaos` and a node of `up --chaos` load beside it, and nobody else. */
const CHAOS = /^\/\/ cli\/chaos-(node|run)\.js$/m;

/** The files of the package that `main` loads, at once or by dynamic import of a literal; without those of chaos. */
async function filesLoadedBy(main: string): Promise<ReadonlySet<string>> {
  await init;
  const seen = new Set<string>();
  const queue = [main];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue;
    const text = readFileSync(path, 'utf8');
    if (CHAOS.test(text)) continue;
    seen.add(path);
    const [imports] = parse(text);
    for (const each of imports) {
      const specifier = 'specifier' in each ? (each.specifier ?? '') : '';
      if (specifier.startsWith('.')) queue.push(join(dirname(path), specifier));
    }
  }
  return seen;
}

/** The layers whose modules a built file holds: each module stands under a comment with its path in src. */
function layersIn(path: string): readonly string[] {
  return [...readFileSync(path, 'utf8').matchAll(/^\/\/ ([a-z]+)\/[a-z0-9/-]+\.js$/gm)].map(([, layer = '']) => layer);
}

describe('the package', () => {
  beforeAll(async () => {
    const env = { ...process.env, PATH: await pathWithoutCompiler() };
    const pack = ['pack', '--ignore-scripts', '--pack-destination', temporary.path];
    await runOrThrow('npm', pack, { cwd: repositoryRoot, timeoutMs });
    cpSync(join(repositoryRoot, 'test/pack/consumer'), home, { recursive: true });
    const tarball = join(temporary.path, `odradek-${manifest.version}.tgz`);
    const install = ['install', '--no-audit', '--no-fund', '--omit=dev', tarball];
    await runOrThrow('npm', install, { cwd: home, env, timeoutMs });
  }, timeoutMs);
  afterAll(() => temporary[Symbol.dispose]());

  test('installs without a compiler, and nothing was compiled', () => {
    const compiled = filesBelow(join(home, 'node_modules')).filter((path) => /\.o$|\/build\/Makefile$/.test(path));
    expect(compiled).toEqual([]);
  });

  test('brings nothing that has a script for its own install: npm would run it, or ask its user to allow it', () => {
    const lock = readFileSync(join(home, 'node_modules/.package-lock.json'), 'utf8');
    const { packages } = JSON.parse(lock) as {
      readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>;
    };
    expect(Object.keys(packages)).toContain('node_modules/odradek');
    expect(Object.keys(packages).filter((path) => packages[path]?.hasInstallScript === true)).toEqual([]);
  });

  test('has no script that npm would run, or ask its user to allow, at the install', () => {
    const { scripts = {} } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
      readonly scripts?: Readonly<Record<string, string>>;
    };
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) expect(scripts).not.toHaveProperty(name);
  });

  test('has neither sources nor tests in it, and is small', () => {
    const files = filesBelow(join(home, 'node_modules'));
    const megabytes = files.reduce((sum, path) => sum + lstatSync(path).size, 0) / 1e6;
    const own = filesBelow(installed).reduce((sum, path) => sum + lstatSync(path).size, 0) / 1e6;
    console.log(`installed: ${megabytes.toFixed(1)} MB, of which odradek itself ${own.toFixed(1)} MB`);
    const typescript = filesBelow(installed).filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
    expect(typescript).toEqual([]);
    expect(existsSync(join(installed, 'LICENSE'))).toBe(true);
    expect(megabytes).toBeLessThan(25);
  });

  test('has what its README refers to, and the licence of what is built into it', () => {
    const readme = readFileSync(join(installed, 'README.md'), 'utf8');
    const linked = [...readme.matchAll(/\]\(([^):#]+)\)/g)].map(([, path = '']) => path);
    const named = [...readme.matchAll(/\b(?:docs|deploy)\/[\w/.-]*\w/g)].map(([path]) => path);
    expect(linked).toContain('docs/operations.md');
    expect(named).toContain('docs/chaos/zone-loss.yaml');
    for (const path of [...linked, ...named, 'deploy/odradek.service', 'dist/lib/LICENSE-msgpackr'])
      expect(existsSync(join(installed, path)), path).toBe(true);
  });

  test("type-checks in a user's project, libraries included", async () => {
    const tsc = join(repositoryRoot, 'node_modules/typescript/bin/tsc');
    const typeRoots = join(repositoryRoot, 'node_modules/@types');
    const check = await run(process.execPath, [tsc, '-p', '.', '--typeRoots', typeRoots], { cwd: home, timeoutMs });
    expect(check.output).toBe('');
    expect(check.status).toBe(0);
  });

  test('startCluster of odradek/testing serves, and stops with its user', async () => {
    const child = spawn(process.execPath, ['consumer.ts'], { cwd: home, stdio: ['pipe', 'pipe', 'inherit'] });
    const line = await new Promise<string>((resolve, reject) => {
      child.stdout.setEncoding('utf8').once('data', resolve);
      child.once('exit', (status) => reject(new Error(`ended with ${status}`)));
    });
    const { bootstrapServers, node } = JSON.parse(line) as { bootstrapServers: string; node: string };
    expect(node).toBe('function');
    await answersMetadata(Number(bootstrapServers.split(':').at(-1)), 10_000);
    const status = new Promise((resolve) => child.once('exit', resolve));
    child.stdin.end();
    expect(await status).toBe(0);
  });

  test('odradek --version prints the version of the package', async () => {
    expect((await runOrThrow(bin, ['--version'], { timeoutMs })).trim()).toBe(manifest.version);
  });

  test('an older Node links the bin, so that it can say which one is needed', () => {
    const statics = readFileSync(realpathSync(bin), 'utf8').match(/^import .*$/gm);
    // By no name: node:module of an older one lacks some.
    expect(statics).toEqual([expect.stringMatching(/^import \w+ from "node:module";$/)]);
  });

  test('odradek start serves, and SIGTERM ends it with status 0', async () => {
    const dataDir = join(temporary.path, 'data');
    const node = await OdradekProcess.start({ ...(await freeAddress()), dataDir, main: [realpathSync(bin), 'start'] });
    try {
      await answersMetadata(node.options.port, 10_000);
      expect(await node.stop(), node.log).toBe(0);
    } finally {
      await node.kill();
    }
  });

  describe('test switches', () => {
    test('are in no module that the bin can load, but for chaos that is asked for', async () => {
      const files = await filesLoadedBy(realpathSync(bin));
      const layers = new Set([...files].flatMap(layersIn));
      expect(layers).toContain('storage');
      expect(layers).not.toContain('faults');
      expect(layers).not.toContain('sim');
      expect(layers).not.toContain('testing');
    });

    test.each(['--without-sync', '--ignore-sync', '--fault-disk', '--set ignore.sync=true', '--set flush.policy=none'])(
      'odradek start %s is refused',
      async (flags) => {
        const dataDir = join(temporary.path, 'refused');
        const outcome = await run(bin, ['start', '--data-dir', dataDir, ...flags.split(' ')], {
          env: nodeEnvironment(),
          timeoutMs: 10_000,
        });
        expect(outcome.status, outcome.output).toBe(2);
      },
    );

    test.each(['ODRADEK_IGNORE_SYNC', 'ODRADEK_FAULT_DISK'])('odradek start with %s=true is refused', async (name) => {
      const dataDir = join(temporary.path, 'refused');
      const env = { ...nodeEnvironment(), [name]: 'true' };
      const outcome = await run(bin, ['start', '--data-dir', dataDir], { env, timeoutMs: 10_000 });
      expect(outcome.output).toContain(name);
      expect(outcome.status, outcome.output).toBe(2);
    });
  });
});
