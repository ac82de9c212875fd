import type { Parsed } from './parsed.ts';

/** The text of java.util.Properties: what meta.properties, and server.properties, are written in. */

/** One `key=value` line each, escaped so that Java reads the same back; beyond ASCII as \uXXXX. */
export function javaPropertiesText(entries: Iterable<readonly [string, string]>): string {
  let text = '';
  for (const [key, value] of entries) text += `${escaped(key, / /g)}=${escaped(value, /^ /)}\n`;
  return text;
}

/** Later keys win. A bad escape is an error, as it is for Java; nothing else can be. */
export function parseJavaProperties(text: string): Parsed<ReadonlyMap<string, string>> {
  const entries = new Map<string, string>();
  for (const line of logicalLines(text)) {
    const { keyEnd, valueStart } = splitLine(line);
    const key = unescaped(line.slice(0, keyEnd));
    const value = unescaped(line.slice(valueStart));
    if (key === undefined || value === undefined) return { error: `malformed \\u escape: ${line}` };
    entries.set(key, value);
  }
  return { value: entries };
}

/** Lines that end in an odd number of backslashes go on in the next, without its leading blanks; comments do not. */
function logicalLines(text: string): string[] {
  const lines: string[] = [];
  let open: string | undefined;
  for (const natural of text.split(/\r\n|\r|\n/)) {
    const line = natural.replace(/^[ \t\f]+/, '');
    if (open === undefined && (line === '' || line.startsWith('#') || line.startsWith('!'))) continue;
    const goesOn = (/\\*$/.exec(line)?.[0].length ?? 0) % 2 === 1;
    const whole: string = (open ?? '') + (goesOn ? line.slice(0, -1) : line);
    open = goesOn ? whole : undefined;
    if (!goesOn) lines.push(whole);
  }
  if (open !== undefined) lines.push(open);
  return lines;
}

/** The key ends at the first unescaped '=', ':' or blank; blanks around one separator are skipped. */
function splitLine(line: string): { keyEnd: number; valueStart: number } {
  let keyEnd = 0;
  while (keyEnd < line.length && !/[=: \t\f]/.test(line.charAt(keyEnd))) keyEnd += line[keyEnd] === '\\' ? 2 : 1;
  keyEnd = Math.min(keyEnd, line.length);
  const separator = /^[ \t\f]*[=:]?[ \t\f]*/.exec(line.slice(keyEnd))?.[0].length ?? 0;
  return { keyEnd, valueStart: keyEnd + separator };
}

const UNESCAPED: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' };
const ESCAPED: Readonly<Record<string, string>> = { '\t': '\\t', '\n': '\\n', '\r': '\\r', '\f': '\\f' };

function unescaped(text: string): string | undefined {
  let malformed = false;
  const plain = text.replace(/\\(?:u([0-9a-fA-F]{4})|(.?))/gs, (_, hex: string | undefined, char = '') => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (char === 'u') malformed = true;
    return UNESCAPED[char] ?? char;
  });
  return malformed ? undefined : plain;
}

/** `blanks`: which of them would be taken for something else, all in a key, the first in a value. */
function escaped(text: string, blanks: RegExp): string {
  return text
    .replace(/[\\=:#!\t\n\r\f]|[^\x20-\x7e]/g, (char) => {
      if (ESCAPED[char] !== undefined) return ESCAPED[char];
      if (char >= '!' && char <= '~') return `\\${char}`;
      return `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
    })
    .replace(blanks, '\\ ');
}
