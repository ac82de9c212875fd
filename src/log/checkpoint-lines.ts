import type { Parsed } from '#base/parsed';

const VERSION = '0';

/** Kafka's checkpoint files: a version, the count of the lines that follow, the lines. */
export function checkpointText(lines: readonly string[]): string {
  return `${[VERSION, lines.length, ...lines].join('\n')}\n`;
}

/** The lines of a checkpoint, each split into its `fields` words. */
export function parseCheckpointLines(text: string, fields: number): Parsed<readonly (readonly string[])[]> {
  const lines = text.split('\n').map((line) => line.trimEnd());
  while (lines.at(-1) === '') lines.pop();
  const [version, count, ...rest] = lines;
  if (version !== VERSION) return { error: version === undefined ? 'empty' : `unknown version: ${version}` };
  if (count === undefined || !/^\d{1,9}$/.test(count)) return { error: `not a count: ${count ?? 'nothing'}` };
  if (rest.length !== Number(count)) return { error: `${rest.length} lines where ${count} were counted` };
  const rows = rest.map((line) => line.split(/\s+/));
  const odd = rows.findIndex((row) => row.length !== fields || row.some((word) => word === ''));
  return odd < 0 ? { value: rows } : { error: `malformed line: ${rest[odd]}` };
}

/** A decimal number without sign or exponent, within the safe range. */
export function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}
