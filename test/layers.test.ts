import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type LayerRule, type Rules, violations } from './layer-checker.ts';

const PURE = ['base', 'model', 'protocol', 'raft', 'metadata', 'log', 'replication', 'coordinator', 'security'];
const BELOW_NODE = [...PURE, 'storage', 'net', 'runtime', 'api'];

/** docs/ARCHITECTURE.md, "Layers". It changes in a commit of its own, with the reason. */
const LAYERS: Readonly<Record<string, LayerRule>> = {
  base: { effects: 'pure', imports: [] },
  model: { effects: 'pure', imports: ['base'] },
  protocol: { effects: 'pure', imports: ['base', 'model'] },
  raft: { effects: 'pure', imports: ['base', 'model'], packages: ['msgpackr'] },
  metadata: { effects: 'pure', imports: ['base', 'model'], packages: ['msgpackr'] },
  log: { effects: 'pure', imports: ['base', 'model', 'protocol'] },
  replication: { effects: 'pure', imports: ['base', 'model', 'log'] },
  coordinator: { effects: 'pure', imports: ['base', 'model', 'protocol', 'metadata'], packages: ['re2js'] },
  security: { effects: 'pure', imports: ['base', 'model', 'metadata'] },
  storage: { effects: 'ported', imports: ['base', 'model', 'protocol', 'log'], types: ['raft'] },
  net: { effects: 'ported', imports: ['base', 'model', 'protocol'] },
  runtime: { effects: 'ported', imports: [...PURE, 'storage', 'net'], packages: ['msgpackr'] },
  api: { effects: 'ported', imports: [...PURE, 'storage', 'net', 'runtime'] },
  node: { effects: 'ported', imports: BELOW_NODE },
  faults: { effects: 'ported', imports: ['base'] },
  history: { effects: 'pure', imports: ['base'] },
  platform: {
    effects: 'edge',
    imports: ['base'],
    packages: ['@node-rs/crc32', 'lz4-napi', 'pino', 'prom-client', 'snappy'],
  },
  http: { effects: 'edge', imports: ['base', 'model', 'metadata', 'node', 'faults/fault-orders'], types: ['faults'] },
  chaos: {
    effects: 'ported',
    imports: ['base', 'model', 'protocol', 'net', 'faults/fault-orders'],
    types: ['faults'],
  },
  sim: { effects: 'outer', imports: [...BELOW_NODE, 'node', 'faults', 'history'] },
  cli: {
    effects: 'edge',
    // The metadata log's folder, whose files are urgent to the disk.
    imports: ['base', 'model', 'node', 'http', 'platform', 'faults', 'chaos', 'runtime/metadata-quorum'],
    packages: ['yaml', 'yargs'],
  },
  testing: { effects: 'outer', imports: ['base', 'model', 'node', 'http', 'platform', 'faults'] },
};

const RULES: Rules = {
  layers: LAYERS,
  exceptions: {
    // Enters the macrotask in which a simulation drains its microtasks.
    'sim/ports/drain.ts': ['setImmediate'],
  },
};

describe('the sources', () => {
  it('keep to the layers: imports, packages, effects, and no cycle', async () => {
    const root = join(import.meta.dirname, '../src');
    const paths = globSync('**/*.ts', { cwd: root });
    expect(paths.length).toBeGreaterThan(100);
    const sources = new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
    expect(await violations(sources, RULES)).toEqual([]);
  });
});

/** Sources that are there to be imported. */
const OTHERS = Object.keys(LAYERS).map((layer): [string, string] => [`${layer}/there.ts`, 'export const there = 1;']);

async function faults(path: string, source: string): Promise<string[]> {
  const found = await violations(new Map([...OTHERS, [path, source]]), RULES);
  return found.map((line) => line.replace(`${path}: `, ''));
}

describe('a source is refused', () => {
  it.each([
    ['an upward import', 'model/x.ts', "import { there } from '#protocol/there';", 'imports #protocol/there'],
    ['an upward import of a type', 'log/x.ts', "import type { A } from '#storage/there';", 'imports #storage/there'],
    [
      'an upward import of a type over several lines',
      'log/x.ts',
      "import type {\n  A,\n  B,\n} from '#storage/there';",
      'imports #storage/there',
    ],
    ['an upward re-export', 'model/x.ts', "export * from '#log/there';", 'imports #log/there'],
    ['an upward inline type', 'model/x.ts', "type A = import('#log/there').A;", 'imports #log/there'],
    ['a sideways import', 'raft/x.ts', "import { there } from '#metadata/there';", 'imports #metadata/there'],
    ['platform outside the edge', 'node/x.ts', "import { there } from '#platform/there';", 'imports #platform/there'],
    ['values where types are allowed', 'storage/x.ts', "import { there } from '#raft/there';", 'imports #raft/there'],
    [
      'a relative way into another layer',
      'log/x.ts',
      "import '../model/there.ts';",
      'leaves its layer by ../model/there.ts',
    ],
    ['an import of nothing', 'log/x.ts', "import './gone.ts';", 'imports ./gone.ts, which is not there'],
    ['a package that is not its own', 'log/x.ts', "import { pack } from 'msgpackr';", 'imports the package msgpackr'],
    ['a package below a scope', 'node/x.ts', "import '@node-rs/crc32';", 'imports the package @node-rs/crc32'],
    ['Node in a pure layer', 'log/x.ts', "import { join } from 'node:path';", 'imports node:path'],
    ['Node behind a port', 'storage/x.ts', "import { open } from 'node:fs';", 'imports node:fs'],
    ['a type of Node', 'storage/x.ts', "import type { Socket } from 'node:net';", 'imports node:net'],
    ['zlib in the simulator', 'sim/x.ts', "import { gzip } from 'node:zlib';", 'imports node:zlib'],
    ['streams in the simulator', 'sim/x.ts', "import 'node:stream/promises';", 'imports node:stream/promises'],
    ['threads in the test cluster', 'testing/x.ts', "import 'node:worker_threads';", 'imports node:worker_threads'],
    ['crypto in a fault layer', 'faults/x.ts', "import 'node:crypto';", 'imports node:crypto'],
    ['a dynamic import', 'runtime/x.ts', "const a = import('#log/there');", 'imports #log/there dynamically'],
    ['a computed import', 'runtime/x.ts', 'const a = (b: string) => import(b);', 'imports (computed) dynamically'],
    ['a let of the module', 'net/x.ts', 'let count = 0;', 'has mutable state of the module'],
    ['an exported let', 'net/x.ts', 'export let count = 0;', 'has mutable state of the module'],
    [
      'an enum',
      'net/x.ts',
      'enum A { B }',
      'is not erasable TypeScript: TypeScript enum is not supported in strip-only mode',
    ],
    ['a folder that is no layer', 'utils/x.ts', '', 'lies in no layer'],
    ['a file in no folder', 'x.ts', '', 'lies in no layer'],
  ])('for %s', async (_, path, source, fault) => {
    expect(await faults(path, source)).toEqual([fault]);
  });

  it.each([
    ['const now = new Date();', 'Date'],
    ['const now = Date.now();', 'Date'],
    ['const now = performance.now();', 'performance'],
    ['const lot = Math.random();', 'Math.random'],
    ['const digest = crypto.subtle.digest;', 'crypto'],
    ['setTimeout(() => {}, 1);', 'setTimeout'],
    ['const timer = setInterval(() => {}, 1);', 'setInterval'],
    ['setImmediate(() => {});', 'setImmediate'],
    ['const pid = process.pid;', 'process'],
    ["console.log('hello');", 'console'],
    ['queueMicrotask(() => {});', 'queueMicrotask'],
    ['export const later = (run: () => void) => globalThis.queue.nextTick(run);', 'nextTick'],
    ['const signal = AbortSignal.timeout(1);', 'AbortSignal.timeout'],
    ['const registry = new FinalizationRegistry(() => {});', 'FinalizationRegistry'],
    ['const ref = new WeakRef({});', 'WeakRef'],
    ['const text = `at $' + '{Date.now()}`;', 'Date'],
    ['const spread = [...process.argv];', 'process'],
  ])('in a pure and in a ported layer for %s', async (source, word) => {
    expect(await faults('metadata/x.ts', source)).toContain(`uses ${word}`);
    expect(await faults('runtime/x.ts', source)).toEqual([`uses ${word}`]);
  });

  it.each([
    ['async function load() {}', 'async'],
    ['const all = Promise.all([]);', 'Promise'],
    ['const one = async () => 1;', 'async'],
    ['class A { async run() {} }', 'async'],
    ['const p = new Promise<void>(() => {});', 'Promise'],
  ])('in a pure layer for %s, which a ported one may', async (source, word) => {
    expect(await faults('coordinator/x.ts', source)).toEqual([`uses ${word}`]);
    expect(await faults('storage/x.ts', source)).toEqual([]);
  });

  it('in the simulator for what completes by itself, but in the one file that drains', async () => {
    const source = 'setImmediate(() => {});';
    expect(await faults('sim/x.ts', source)).toEqual(['uses setImmediate']);
    expect(await faults('sim/ports/drain.ts', source)).toEqual([]);
    expect(await faults('sim/ports/drain.ts', 'setTimeout(() => {}, 1);')).toEqual(['uses setTimeout']);
  });

  it('for a cycle, of two files or of three, within a layer as across', async () => {
    const found = await violations(
      new Map([
        ['log/a.ts', "import { b } from './b.ts'; export const a = b;"],
        ['log/b.ts', "import { a } from './a.ts'; export const b = a;"],
        ['model/a.ts', "export * from './b.ts';"],
        ['model/b.ts', "export * from './c.ts';"],
        ['model/c.ts', "import './a.ts';"],
      ]),
      RULES,
    );
    expect(found).toEqual([
      'log/a.ts: imports itself: log/a.ts → log/b.ts → log/a.ts',
      'model/a.ts: imports itself: model/a.ts → model/b.ts → model/c.ts → model/a.ts',
    ]);
  });
});

describe('a source is let through', () => {
  it.each([
    ['what its layer may import', 'log/x.ts', "import { there } from '#protocol/there';"],
    ['its own layer, by either way', 'log/x.ts', "import './there.ts'; import '#log/there';"],
    ['types where types are allowed', 'storage/x.ts', "import type { A } from '#raft/there';"],
    [
      'forbidden words in comments, quotes, types and members',
      'log/x.ts',
      [
        '// a Date, process.exit, async',
        "const text = 'new Date() and await';",
        'interface A { process(): Promise<void>; readonly Date: number }',
        'export const run = (a: A) => [a.process, a.Date, text];',
        'const b = { process: 1, async: 2 };',
      ].join('\n'),
    ],
    ['Node at the edge', 'cli/x.ts', "import 'node:zlib'; setImmediate(() => import('node:os'));"],
    ['a let in a function', 'log/x.ts', 'export function f() {\n  let count = 0;\n  return count++;\n}'],
  ])('with %s', async (_, path, source) => {
    expect(await faults(path, source)).toEqual([]);
  });
});
