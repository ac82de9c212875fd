import { stripTypeScriptTypes } from 'node:module';
import { init, parse } from 'es-module-lexer';

/** What one layer may do. */
export interface LayerRule {
  /** Layers, or single files as `layer/file`, that it may import, types included; itself it always may. */
  readonly imports: readonly string[];
  /** Layers of which it may import types only. */
  readonly types?: readonly string[];
  /** npm packages. */
  readonly packages?: readonly string[];
  /**
   * pure: decisions, nothing asynchronous. ported: effects through the ports only. outer: may use Node, but nothing that
   * completes by itself. edge: may do anything.
   */
  readonly effects: 'pure' | 'ported' | 'outer' | 'edge';
}

export interface Rules {
  readonly layers: Readonly<Record<string, LayerRule>>;
  /** Words that single files may use all the same, by path under src. */
  readonly exceptions: Readonly<Record<string, readonly string[]>>;
}

const CLOCK_AND_CHANCE = ['Date', 'performance', 'Math.random', 'crypto'];
const TIMERS = ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval', 'clearImmediate'];
const ASYNCHRONOUS = ['async', 'await', 'Promise'];
const COMPLETES_BY_ITSELF = [
  'setImmediate',
  'queueMicrotask',
  'nextTick',
  'AbortSignal.timeout',
  'FinalizationRegistry',
  'WeakRef',
];

const FORBIDDEN_WORDS: Readonly<Record<LayerRule['effects'], readonly string[]>> = {
  pure: [...CLOCK_AND_CHANCE, ...TIMERS, ...COMPLETES_BY_ITSELF, ...ASYNCHRONOUS, 'process', 'console'],
  ported: [...CLOCK_AND_CHANCE, ...TIMERS, ...COMPLETES_BY_ITSELF, 'process', 'console'],
  outer: [...TIMERS, ...COMPLETES_BY_ITSELF],
  edge: [],
};

/** Modules of Node whose work completes by itself. */
const FORBIDDEN_OUTSIDE_EDGE = /^node:(zlib|crypto|worker_threads|stream|timers|cluster)(\/|$)/;

interface Import {
  readonly specifier: string;
  readonly kind: 'value' | 'type' | 'dynamic';
}

/** All that the sources (TypeScript by path under src) do against the rules: one line each, the path first. */
export async function violations(sources: ReadonlyMap<string, string>, rules: Rules): Promise<string[]> {
  await init;
  const found: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [path, source] of sources) {
    const report = (what: string): void => {
      found.push(`${path}: ${what}`);
    };
    const layer = path.split('/')[0] as string;
    const rule = rules.layers[layer];
    if (rule === undefined || !path.includes('/')) {
      report('lies in no layer');
      continue;
    }
    let code: string;
    try {
      code = stripTypeScriptTypes(source);
    } catch (error) {
      report(`is not erasable TypeScript: ${(error as Error).message}`);
      continue;
    }
    const targets: string[] = [];
    for (const imported of importsOf(source, code)) {
      const target = resolve(path, imported.specifier);
      const fault = faultOf(imported, target, layer, rule, sources);
      if (fault !== undefined) report(fault);
      else if (target !== undefined && imported.kind === 'value') targets.push(target);
    }
    graph.set(path, targets);
    const allowed = rules.exceptions[path] ?? [];
    const words = wordsOf(code);
    for (const word of FORBIDDEN_WORDS[rule.effects]) {
      if (!allowed.includes(word) && uses(words, word)) report(`uses ${word}`);
    }
    if (/^(export\s+)?(let|var)\s/m.test(code)) report('has mutable state of the module');
  }
  return [...found, ...cycles(graph).map((cycle) => `${cycle[0]}: imports itself: ${cycle.join(' → ')}`)].sort();
}

function importsOf(source: string, code: string): Import[] {
  const imports: Import[] = [];
  for (const { type, specifier } of parse(code)[0]) {
    if (type === 'import-meta') continue;
    imports.push({ specifier: specifier ?? '(computed)', kind: type === 'dynamic' ? 'dynamic' : 'value' });
  }
  const runtime = new Set(imports.map(({ specifier }) => specifier));
  const types = source.matchAll(
    /^(?:import|export)\s+type\b[^;]*?\bfrom\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm,
  );
  for (const [, fromClause, inline] of types) {
    const specifier = fromClause ?? inline ?? '';
    if (!runtime.has(specifier)) imports.push({ specifier, kind: 'type' });
  }
  return imports;
}

/** The path under src that a specifier means; undefined if it leads elsewhere. */
function resolve(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return `${specifier.slice(1)}.ts`;
  if (!specifier.startsWith('.')) return undefined;
  const parts = from.split('/').slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function faultOf(
  { specifier, kind }: Import,
  target: string | undefined,
  layer: string,
  rule: LayerRule,
  sources: ReadonlyMap<string, string>,
): string | undefined {
  if (kind === 'dynamic' && rule.effects !== 'edge') return `imports ${specifier} dynamically`;
  if (target === undefined) {
    if (!specifier.startsWith('node:')) {
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
      return rule.packages?.includes(name) ? undefined : `imports the package ${specifier}`;
    }
    const mayUseNode = rule.effects === 'outer' || rule.effects === 'edge';
    if (!mayUseNode || (rule.effects === 'outer' && FORBIDDEN_OUTSIDE_EDGE.test(specifier)))
      return `imports ${specifier}`;
    return undefined;
  }
  if (!sources.has(target)) return `imports ${specifier}, which is not there`;
  const targetLayer = target.split('/')[0] as string;
  if (specifier.startsWith('.') && targetLayer !== layer) return `leaves its layer by ${specifier}`;
  const may =
    targetLayer === layer ||
    rule.imports.includes(targetLayer) ||
    rule.imports.includes(target.replace(/\.ts$/, '')) ||
    (kind === 'type' && rule.types?.includes(targetLayer) === true);
  return may ? undefined : `imports ${specifier}`;
}

/** The code without comments and without what stands in quotes. */
function wordsOf(code: string): string {
  return code.replace(
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|\$\{[^{}]*\}|[^`\\])*`/g,
    // What a template puts in is code.
    (token) =>
      token.startsWith('`') ? [...token.matchAll(/\$\{([^{}]*)\}/g)].map(([, inner]) => inner).join(';') : "''",
  );
}

/** Whether a global is used: a property or field of that name is not. */
function uses(code: string, word: string): boolean {
  const anywhere = word === 'nextTick' ? '' : '(?<![\\w$#]|(?<!\\.\\.)\\.)';
  return new RegExp(`${anywhere}\\b${word.replace('.', '\\s*\\.\\s*')}\\b(?!\\s*[:=](?!=))`).test(code);
}

/** One cycle for each file that closes one; a depth-first walk over the imports that exist at run time. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const finished = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    if (path.includes(file)) {
      found.push([...path.slice(path.indexOf(file)), file]);
      return;
    }
    if (finished.has(file)) return;
    path.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    path.pop();
    finished.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return found;
}
