import { expect, test } from 'vitest';
import { hasLogged } from './logged.ts';

test('what a node has told counts from a time on, line by line', () => {
  const said = 'torn":50,"msg":"no room"}\n{"time":70,"msg":"no room"}\n{"time":90,"msg":"room again"}\n';
  expect([70, 71].map((sinceMs) => hasLogged(said, 'no room', sinceMs))).toEqual([true, false]);
  expect(hasLogged(said, 'offline', 0)).toBe(false);
});
