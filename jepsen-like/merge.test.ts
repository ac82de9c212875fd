import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../test/support/temporary-folder.ts';
import { merge } from './merge.ts';

function merged(...histories: readonly string[]): string {
  using folder = temporaryFolder('merge');
  const files = histories.map((text, index) => {
    const file = join(folder.path, `${index}.jsonl`);
    writeFileSync(file, text);
    return file;
  });
  const into = join(folder.path, 'merged.jsonl');
  merge(files, into, 'both');
  return readFileSync(into, 'utf8');
}

const HEADER = '{"type":"history","version":1,"name":"both"}\n';

test('lines of several recorders stand in the order of their times, under one header', () => {
  const own =
    '{"type":"history","version":1,"name":"own"}\n{"t":1.5,"type":"client","p":1}\n{"t":4,"type":"client","p":2}\n';
  expect(merged(own, '{"t":1.25,"type":"client","p":3}\n{"t":9,"type":"client","p":4}\n')).toBe(
    `${HEADER}{"t":1.25,"type":"client","p":3}\n{"t":1.5,"type":"client","p":1}\n{"t":4,"type":"client","p":2}\n{"t":9,"type":"client","p":4}\n`,
  );
});

test('lines of one time stay in the order of their recorder, and of the recorders', () => {
  const same = '{"t":2,"type":"client","p":2}\n{"t":2,"type":"client","p":1}\n';
  expect(merged(same)).toBe(HEADER + same);
  const [first, second] = ['{"t":2,"type":"client","p":4}\n', '{"t":2,"type":"client","p":3}\n'];
  expect(merged(first, second)).toBe(HEADER + first + second);
});

test('what a killed recorder has not finished is left out', () => {
  expect(merged('{"t":1,"type":"client","p":1}\n{"t":2,"ty')).toBe(`${HEADER}{"t":1,"type":"client","p":1}\n`);
});

test('lines that several threads have written within a second are put in order, others are no history', () => {
  const [first, second] = ['{"t":900,"type":"client","p":1}\n', '{"t":1899,"type":"client","p":2}\n'];
  expect(merged(second + first)).toBe(HEADER + first + second);
  const late = '{"t":899,"type":"client","p":3}\n';
  const last = '{"t":9999,"type":"client","p":4}\n';
  expect(() => merged(first + last + late)).toThrow('a line of 899 stands behind a later one');
});
