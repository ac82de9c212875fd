/**
 * Writes src/protocol/generated from the schemas: a module per message, apis.ts and codecs.ts.
 * Does nothing if neither the schemas nor the generator have changed since.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { emitMessage } from './generate-protocol/emit-message.ts';
import { emitApis, emitCodecs, kebab } from './generate-protocol/emit-tables.ts';
import { parseMessage, type RawMessage } from './generate-protocol/schema.ts';

const scripts = dirname(fileURLToPath(import.meta.url));
const protocol = join(scripts, '..', 'src', 'protocol');
const target = join(protocol, 'generated');
const hashFile = join(target, '.hash');

function filesOf(folder: string, ending: string): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(ending));
  return names.sort().map((name) => join(folder, name));
}

function currentHash(): string {
  try {
    return readFileSync(hashFile, 'utf8');
  } catch {
    return 'not generated yet';
  }
}

const schemas = [...filesOf(join(protocol, 'schemas'), '.json'), ...filesOf(join(protocol, 'records'), '.json')];
const generator = [fileURLToPath(import.meta.url), ...filesOf(join(scripts, 'generate-protocol'), '.ts')];
const hash = createHash('sha256');
for (const file of [...schemas, ...generator]) hash.update(`${relative(scripts, file)}\0`).update(readFileSync(file));
const digest = hash.digest('hex');

if (currentHash() !== digest) {
  const messages = schemas.map((file) => parseMessage(JSON.parse(readFileSync(file, 'utf8')) as RawMessage));
  const modules = new Map(messages.map((message) => [kebab(message.name), emitMessage(message)]));
  if (modules.size !== messages.length) throw new Error('two messages have one name');
  modules.set('apis', emitApis(messages));
  modules.set('codecs', emitCodecs(messages));

  // The hash goes first and comes last: an interrupted run is repeated by the next.
  mkdirSync(target, { recursive: true });
  rmSync(hashFile, { force: true });
  for (const name of readdirSync(target)) if (!modules.has(name.replace(/\.ts$/, ''))) rmSync(join(target, name));
  for (const [name, text] of modules) writeFileSync(join(target, `${name}.ts`), text);
  writeFileSync(hashFile, digest);
  console.log(`generated ${modules.size} protocol modules`);
}
