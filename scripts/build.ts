/**
 * Builds `dist`: JavaScript and types of src, with the same `#layer/file` imports resolved by a package.json of its own.
 * The result replaces the old one only when all of it is there, so that a failed build leaves a running node's files alone.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const next = join(root, '.work/dist');
const dist = join(root, 'dist');

function node(...args: readonly string[]): void {
  execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
}

rmSync(next, { recursive: true, force: true });
node('scripts/generate-protocol.ts');
node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json');
const manifest = { type: 'module', imports: { '#*': './*.js' } };
writeFileSync(join(next, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
const bin = join(next, 'cli/main.js');
if (existsSync(bin)) chmodSync(bin, 0o755);
rmSync(dist, { recursive: true, force: true });
renameSync(next, dist);
