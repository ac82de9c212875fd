/** A reader of Prometheus' text format 0.0.4 that takes nothing for granted. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)?\\})? (\\S+)$`);
const TYPES = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped']);
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
};

/** Throws on a line that is none of the format, a name that is declared twice or not at all, and a series that stands twice. */
export function parsePrometheus(text: string): ReadonlyMap<string, Family> {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, { type: string; help: string; samples: Sample[] }>();
  const seen = new Set<string>();
  let current: { type: string; help: string; samples: Sample[] } | undefined;
  let currentName = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const help = new RegExp(`^# HELP (${NAME}) (.*)$`).exec(line);
    if (help !== null) {
      currentName = help[1] ?? '';
      if (families.has(currentName)) throw new Error(`${currentName} is declared twice`);
      current = { type: '', help: help[2] ?? '', samples: [] };
      families.set(currentName, current);
      continue;
    }
    const type = new RegExp(`^# TYPE (${NAME}) (\\w+)$`).exec(line);
    if (type !== null) {
      if (current === undefined || type[1] !== currentName) throw new Error(`TYPE apart from its HELP: ${line}`);
      if (!TYPES.has(type[2] ?? '')) throw new Error(`no such type: ${line}`);
      current.type = type[2] ?? '';
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (sample === null || current === undefined) throw new Error(`not Prometheus text: ${line}`);
    const [, name = '', labels = '', number = ''] = sample;
    const suffixes = SUFFIXES[current.type] ?? [''];
    if (!suffixes.some((suffix) => name === currentName + suffix)) throw new Error(`not of ${currentName}: ${line}`);
    if (seen.has(`${name}{${labels}}`)) throw new Error(`the series stands twice: ${line}`);
    seen.add(`${name}{${labels}}`);
    current.samples.push({ name, labels: parseLabels(labels), value: parseValue(number) });
  }
  return families;
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name = '', escaped = ''] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[name] = escaped.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
  }
  return labels;
}

function parseValue(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  if (text === '-Inf') return Number.NEGATIVE_INFINITY;
  const value = Number(text);
  // In any case of its letters, as Prometheus reads it.
  if (Number.isNaN(value) && text.toLowerCase() !== 'nan') throw new Error(`not a number: ${text}`);
  return value;
}
