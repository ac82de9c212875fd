import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import { A, FINAL, Scenario } from './scenario.ts';

function check(text: string): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  using folder = temporaryFolder('history');
  const file = join(folder.path, 'history.jsonl');
  writeFileSync(file, text);
  return spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), file], { encoding: 'utf8' });
}

test('the exit status is 0 of a history that shows nothing that fails', () => {
  const { status, stdout, stderr } = check(new Scenario().sent(A, 'q-0', 1, 0).polled(FINAL, { 'q-0': [0, 1] }).text);
  expect(stdout).toContain('a scenario: nothing that fails was found');
  expect(stderr).toMatch(/^read and checked in [\d.]+ s, [\d.]+ s of CPU, with at most \d+ MiB in memory$/m);
  expect(status).toBe(0);
});

test('it is 1 of one that does, and the table says what', () => {
  const { status, stdout } = check(new Scenario().sent(A, 'q-0', 1, 0).text);
  expect(stdout).toMatch(/^ {2}unseen +1, FAILS$/m);
  expect(status).toBe(1);
});

test('it is 2 of a file that is no history', () => {
  const { status, stdout, stderr } = check('{"type":"note"}\n');
  expect(stderr).toContain('line 1 begins no history of version 1');
  expect([status, stdout]).toEqual([2, '']);
});
