import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { RULES } from '#sim/checkers/violation';
import { COVERAGE_POINTS } from '#sim/coverage';

it('every rule that a seed may break has a row in docs/simulation.md', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/simulation.md'), 'utf8');
  const table = text.slice(text.indexOf('| rule | what must be true |')).split('\n\n')[0] ?? '';
  const rows = table.split('\n').map((line) => line.split('|')[1]?.trim() ?? '');
  const told = new Set(rows.flatMap((names) => names.split(', ')));
  expect(RULES.filter((rule) => !told.has(rule))).toEqual([]);
});

it('no rule and no coverage point has the name of another', () => {
  expect(new Set(RULES).size).toBe(RULES.length);
  expect(new Set(COVERAGE_POINTS).size).toBe(COVERAGE_POINTS.length);
});
