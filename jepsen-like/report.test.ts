import { expect, test } from 'vitest';
import { A, B, FINAL, Scenario } from './history/scenario.ts';
import { hasFailed, summary, table } from './report.ts';
import type { Trial } from './trial.ts';

const trial = (fault: string, scenario: Scenario, more: Partial<Trial> = {}): Trial => {
  return { fault, means: undefined, verdict: scenario.verdict(), complaints: [], ...more };
};
const whole = (): Scenario => new Scenario().sent(A, 'q-0', 1, 0).polled(FINAL, { 'q-0': [0, 1] });
const lossy = (): Scenario => new Scenario().sent(A, 'q-0', 1, 0);

test('the table has a row for each fault, with the means where there are several, and one for all', () => {
  const trials = [
    trial('kill', whole()),
    trial('lossy-link', whole(), { means: 'relay' }),
    trial('kill', lossy(), { complaints: ['it did not end'] }),
  ];
  expect(table(trials.map(summary)).split('\n')).toEqual([
    '| fault | trials | operations | acknowledged | lost | duplicated | anomalies | longest unavailability |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    '| kill | 2 | 3 | 2 | 1 | 0 | unseen 1, complaints 1 | 0.0 s |',
    '| lossy-link (relay) | 1 | 2 | 1 | 0 | 0 | 0 | 0.0 s |',
    '| all | 3 | 5 | 3 | 1 | 0 | unseen 1, complaints 1 | 0.0 s |',
  ]);
});

test('operations count whatever has come of them', () => {
  const send = ['send', 'q-0', 2] as const;
  const scenario = whole().did(A, 'send', 'fail', send).begin(B, 'send', ['send', 'q-0', 3]);
  expect(summary(trial('kill', scenario)).operations).toBe(4);
});

test('a trial has failed by an anomaly that fails, or by a complaint alone', () => {
  expect(hasFailed(summary(trial('kill', whole())))).toBe(false);
  expect(hasFailed(summary(trial('kill', lossy())))).toBe(true);
  expect(hasFailed(summary(trial('kill', whole(), { complaints: ['it did not end'] })))).toBe(true);
});
