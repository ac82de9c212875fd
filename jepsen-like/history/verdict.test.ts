import { expect, test } from 'vitest';
import { report } from './report.ts';
import { A, B, C, FINAL, RETRYING, Scenario, WEAK } from './scenario.ts';

test('a verdict counts what was done, acknowledged and read', () => {
  const verdict = new Scenario()
    .sent(A, 'q-0', 1, 0)
    .sent(WEAK, 'q-0', 2, 1)
    .did(A, 'send', 'info', ['send', 'q-0', 3, 2], ['send', 'q-0', 4])
    .did(RETRYING, 'send', 'fail', ['send', 'q-0', 5])
    .polled(FINAL, { 'q-0': [0, 1, 1, 2, 2, 3] })
    .verdict();
  expect(verdict).toMatchObject({
    operations: { ok: 3, fail: 1, info: 1 },
    acknowledged: 3,
    read: 3,
    lost: 0,
    duplicated: 0,
    failed: false,
  });
  expect(verdict.anomalies).toEqual(new Map());
});

test('a key is acknowledged if anything that was sent to it was', () => {
  const verdict = new Scenario()
    .sent(A, 'q-0', 1, 0)
    .did(A, 'txn', 'info', ['send', 'r-0', 2, 0])
    .did(B, 'send', 'info', ['send', 's-0', 3, 0], ['send', 't-0', 4])
    .did(C, 'send', 'fail', ['send', 'u-0', 5])
    .verdict();
  expect(verdict.acknowledgedKeys).toEqual(new Set(['q-0', 's-0']));
});

test('unavailability lasts from one acknowledgement to the next, from the first attempt, and to the last failure', () => {
  // Nine clients are declared: the first attempt begins at 10.
  const started = new Scenario().begin(A, 'send', ['send', 'q-0', 1]).sent(B, 'r-0', 2, 0);
  const gap = (scenario: Scenario) => scenario.verdict().unavailability;
  expect(gap(started.end(A, 'ok', ['send', 'q-0', 1, 0]))).toEqual([
    { key: 'r-0', ms: 1, fromMs: 11 },
    { key: 'q-0', ms: 3, fromMs: 10 },
  ]);
  expect(gap(started.polled(C, {}).polled(C, {}).sent(A, 'q-0', 3, 1))).toContainEqual({
    key: 'q-0',
    ms: 6,
    fromMs: 13,
  });
  expect(
    gap(started.polled(C, {}).polled(C, {}).polled(C, {}).did(A, 'send', 'fail', ['send', 'q-0', 4])),
  ).toContainEqual({ key: 'q-0', ms: 8, fromMs: 19 });
});

test('attempts of a client that tells of them too early count from their ends', () => {
  const scenario = new Scenario();
  scenario.recorder.client({ p: 9, acks: 'all', idempotent: true, early: true });
  scenario.begin(9, 'send', ['send', 'q-0', 1]).polled(C, {}).end(9, 'ok', ['send', 'q-0', 1, 0]).sent(A, 'q-0', 2, 1);
  expect(scenario.verdict().unavailability).toEqual([{ key: 'q-0', ms: 2, fromMs: 14 }]);
});

test('lag is the time for which a record had been acknowledged when a poll began that did not bring it', () => {
  const scenario = new Scenario()
    .assigned(C, 'q-0', 0)
    .sent(A, 'q-0', 1, 0)
    .sent(A, 'q-0', 2, 1)
    .polled(C, { 'q-0': [0, 1] });
  expect(scenario.verdict().worstLag).toEqual({ ms: 1, key: 'q-0', p: C, atMs: 16 });
  expect(
    scenario
      .polled(C, {})
      .polled(C, { 'q-0': [1, 2] })
      .polled(C, {})
      .verdict().worstLag,
  ).toMatchObject({ ms: 3 });
});

test('nothing lags for a reader whose place is not known', () => {
  expect(new Scenario().sent(A, 'q-0', 1, 0).polled(C, {}).verdict().worstLag).toBeUndefined();
});

test('a report tells what failed, by which operations, and under which faults', () => {
  const scenario = new Scenario().sent(A, 'q-0', 1, 0);
  scenario.recorder.fault({ name: 'kill', target: 'node 2', phase: 'begin' });
  scenario.sent(A, 'q-0', 2, 1);
  scenario.recorder.fault({ name: 'kill', target: 'node 2', phase: 'end' });
  scenario
    .sent(A, 'q-0', 3, 2)
    .polled(B, { 'q-0': [0, 1] })
    .polled(C, { 'q-0': [2, 3] });
  expect(report(scenario.verdict())).toBe(
    [
      'a scenario: FAILED',
      '  operations                     5 ok, 0 failed, 0 unknown',
      '  faults                         1',
      '  acknowledged                   3',
      '  read                           2',
      '  not read in the end            1 of 1 partitions: q-0',
      '  lost                           1',
      '  duplicated                     0',
      '  longest unavailability of q-0  3 ms, from 11 ms',
      '  worst lag                      none',
      '  lost-write                     1, FAILS',
      '',
      'lost write: nobody read 2 of q-0 at 1, but one at 2',
      '  process 0, 13 ms to 14 ms, send ok: sends 2 to q-0 at 1 [during kill of node 2]',
      '  process 2, 20 ms to 21 ms, poll ok: reads 3 from q-0 at 2',
    ].join('\n'),
  );
});

test('a cycle is told by its operations, and why each comes before the next', () => {
  const scenario = new Scenario()
    .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
    .polled(C, { 'q-0': [0, 1] })
    .sent(B, 'r-0', 2, 0)
    .end(A, 'ok', ['send', 'q-0', 1, 0], ['poll', { 'r-0': [0, 2] }]);
  expect(scenario.verdict().anomalies.get('G1c-wr-realtime')?.explanations).toEqual([
    [
      'G1c-wr-realtime: a cycle of 3',
      '  T1 = process 2, 11 ms to 12 ms, poll ok: reads 1 from q-0 at 0',
      '  T2 = process 1, 13 ms to 14 ms, send ok: sends 2 to r-0 at 0',
      '  T3 = process 0, 10 ms to 15 ms, txn ok: sends 1 to q-0 at 0, reads 2 from r-0 at 0',
      '  T1 before T2: it ended at 12 ms, before the other began at 13 ms',
      '  T2 before T3: its 2 of r-0 was read by the other',
      '  T3 before T1: its 1 of q-0 was read by the other',
    ].join('\n'),
  ]);
});

test('a report names partitions that nobody has read in the end, and no others', () => {
  const sent = new Scenario().sent(A, 'q-0', 1, 0).sent(A, 'r-0', 2, 0);
  sent.polled(B, { 'q-0': [0, 1], 'r-0': [0, 2] });
  expect(report(sent.verdict())).toMatch(/^ {2}not read in the end +2 of 2 partitions: q-0, r-0$/m);
  sent.assigned(FINAL, 'r-0', 0).polled(FINAL, { 'r-0': [0, 2] });
  expect(report(sent.verdict())).toMatch(/^ {2}not read in the end +1 of 2 partitions: q-0$/m);
  sent.assigned(FINAL, 'q-0', 0).polled(FINAL, { 'q-0': [0, 1] });
  expect(report(sent.verdict())).not.toContain('in the end');
});

test('what was lost after it had been read is told by who wrote it, who read it, and who has not found it', () => {
  const lost = new Scenario()
    .sent(A, 'q-0', 1, 0)
    .polled(B, { 'q-0': [0, 1] })
    .assigned(FINAL, 'q-0', 0);
  expect(lost.polled(FINAL, {}).verdict().anomalies.get('lost-write')?.explanations).toEqual([
    [
      'lost write: 1 of q-0 at 0 was read, and is not there in the end, when process 8 reads everything',
      '  process 0, 10 ms to 11 ms, send ok: sends 1 to q-0 at 0',
      '  process 1, 12 ms to 13 ms, poll ok: reads 1 from q-0 at 0',
      '  process 8, 16 ms to 17 ms, poll ok',
    ].join('\n'),
  ]);
});

test('who has not read far enough is told by the last that it has read', () => {
  const scenario = new Scenario()
    .sent(C, 'q-0', 1, 0)
    .did(A, 'txn', 'ok', ['send', 'q-0', 2, 1], ['send', 'q-0', 3, 2])
    .polled(B, { 'q-0': [0, 1, 1, 2] });
  expect(scenario.verdict().anomalies.get('G-single')?.explanations[0]).toContain(
    "it read 2 of q-0, before the other's 3",
  );
});

test('what nobody sent is one phantom, however often it is read, and a duplicate where it is at two offsets', () => {
  const { anomalies } = new Scenario()
    .polled(B, { 'q-0': [0, 1] })
    .polled(C, { 'q-0': [4, 1] })
    .verdict();
  expect([...anomalies].map(([anomaly, { count }]) => [anomaly, count])).toEqual([
    ['duplicate', 1],
    ['phantom', 1],
  ]);
});
