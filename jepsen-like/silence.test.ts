import { expect, test } from 'vitest';
import { load } from './history/loader.ts';
import { A, B, Scenario } from './history/scenario.ts';
import { idleTopics, silentTopics } from './silence.ts';

test('a topic in which nothing was acknowledged is a complaint, one with an acknowledgement in any partition is none', () => {
  const topics = [{ name: 'queue-1' }, { name: 'queue-2' }, { name: 'sink' }];
  expect(silentTopics(topics, { acknowledgedKeys: new Set(['queue-1-3', 'sink-0']) })).toEqual([
    'nothing was acknowledged in queue-2',
  ]);
});

const idle = (scenario: Scenario): readonly string[] =>
  idleTopics(
    [{ name: 'q' }],
    load(scenario.text.split('\n').flatMap((text) => (text === '' ? [] : { text, whole: true }))),
  );
const fault = (scenario: Scenario, phase: 'begin' | 'end'): Scenario => {
  scenario.recorder.fault({ name: 'kill', target: 'node 1', phase });
  return scenario;
};
const COMPLAINT = ['nobody wrote to q during the fault'];

test('a topic to which nobody wrote during the fault is a complaint, whatever was written before and behind it', () => {
  const scenario = fault(new Scenario().sent(A, 'q-0', 1, 0), 'begin')
    .polled(B, { 'q-0': [0, 1] })
    .sent(A, 'r-0', 1, 0);
  expect(idle(fault(scenario, 'end').sent(A, 'q-0', 2, 1))).toEqual(COMPLAINT);
  expect(idle(new Scenario().sent(A, 'q-0', 1, 0))).toEqual(COMPLAINT);
});

test('what was under way when it began or ended counts, and so does what failed or never ended', () => {
  const send = ['send', 'q-0', 1] as const;
  expect(idle(fault(fault(new Scenario().begin(A, 'send', send), 'begin').end(A, 'fail', send), 'end'))).toEqual([]);
  expect(idle(fault(fault(new Scenario(), 'begin').begin(A, 'send', send), 'end').end(A, 'info', send))).toEqual([]);
  expect(idle(fault(fault(new Scenario().begin(A, 'send', send), 'begin'), 'end'))).toEqual([]);
  expect(idle(fault(new Scenario(), 'begin').did(A, 'send', 'ok', ['send', 'q-0', 1, 0]))).toEqual([]);
});
