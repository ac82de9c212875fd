import { expect, test } from 'vitest';
import type { ClientLine } from '#history/format';
import { A, FINAL, M, N, Scenario, WEAK } from './scenario.ts';

/** Two members of a group by KIP-848, as processes 20 and 21, and what more is said of each. */
function members(first: Partial<ClientLine> = {}, second: Partial<ClientLine> = {}): Scenario {
  const scenario = new Scenario();
  const member = { group: 'another', protocol: 'consumer', isolation: 'read_committed' } as const;
  scenario.recorder.client({ ...member, ...first, p: 20 });
  scenario.recorder.client({ ...member, ...second, p: 21 });
  return scenario;
}

const anomaliesOf = (scenario: Scenario): readonly string[] => [...scenario.verdict().anomalies.keys()];

test('a member by KIP-848 commits in an epoch that others have left, as long as the partition is its own', () => {
  const both = members().rebalanced(20, 3, { 'q-0': 0, 'q-1': 0 }).rebalanced(21, 4, { 'q-1': 0 });
  expect(anomaliesOf(both.committed(20, 3, 'ok', 'q-0', 1))).toEqual([]);
});

test('a commit by KIP-848 of a partition that has got another owner since is stale', () => {
  const both = members().rebalanced(20, 3, { 'q-0': 0, 'q-1': 0 }).rebalanced(21, 4, { 'q-1': 0 });
  expect(anomaliesOf(both.committed(20, 3, 'ok', 'q-1', 1))).toEqual(['stale-commit']);
});

test('by the classic protocol every commit of an older generation is stale', () => {
  const both = members({ protocol: 'classic' }, { protocol: 'classic' });
  both.rebalanced(20, 3, { 'q-0': 0, 'q-1': 0 }).rebalanced(21, 4, { 'q-1': 0 });
  expect(anomaliesOf(both.committed(20, 3, 'ok', 'q-0', 1))).toEqual(['stale-commit']);
});

test('a static member that comes back within a generation has what it had, another of another name has not', () => {
  const claim = (second: string): Scenario =>
    members({ instance: 'one' }, { instance: second }).rebalanced(20, 3, { 'q-0': 0 }).rebalanced(21, 3, { 'q-0': 0 });
  expect(anomaliesOf(claim('one'))).toEqual([]);
  expect(anomaliesOf(claim('two'))).toEqual(['two-owners']);
});

test('a client that goes on under a new number after an unknown outcome is the member that it was', () => {
  const claim = (second: Partial<ClientLine>): Scenario =>
    members({}, second).rebalanced(20, 3, { 'q-0': 0 }).rebalanced(21, 3, { 'q-0': 0 });
  expect(anomaliesOf(claim({ after: 20 }))).toEqual([]);
  expect(anomaliesOf(claim({}))).toEqual(['two-owners']);
});

test('members that tell no generation are not compared as owners, and their rebalances still begin their reads anew', () => {
  const both = members();
  both.recorder.rebalance({ p: 20, assigned: { 'q-0': null } });
  both.recorder.rebalance({ p: 21, assigned: { 'q-0': null } });
  expect(anomaliesOf(both.committed(20, 3, 'ok', 'q-0', 1))).toEqual([]);
});

/** Records 1, 2 and 3 of q-0 are read by everybody's final reader; the member subscribes. */
function written(member: Partial<ClientLine>): Scenario {
  const scenario = members(member).sent(A, 'q-0', 1, 0).sent(A, 'q-0', 2, 1).sent(A, 'q-0', 3, 2);
  return scenario.polled(FINAL, { 'q-0': [0, 1, 1, 2, 2, 3] }).did(20, 'subscribe', 'ok', ['subscribe', 'q']);
}

test('a member that is told of rebalances in order skips nothing between its polls', () => {
  const skipping = (member: Partial<ClientLine>): Scenario =>
    written(member)
      .polled(20, { 'q-0': [0, 1] })
      .polled(20, { 'q-0': [2, 3] });
  expect(anomaliesOf(skipping({ ordered: true }))).toEqual(['poll-skip']);
  expect(anomaliesOf(skipping({}))).toEqual(['subscribed-poll-skip']);
});

test('a rebalance of which it was told lets it begin elsewhere, a new number after an unknown outcome does not', () => {
  const rebalanced = written({ ordered: true }).polled(20, { 'q-0': [0, 1] });
  rebalanced.recorder.rebalance({ p: 20, assigned: { 'q-0': null } });
  expect(anomaliesOf(rebalanced.polled(20, { 'q-0': [2, 3] }))).toEqual([]);

  const renamed = (member: Partial<ClientLine>): Scenario => {
    const scenario = written(member)
      .polled(20, { 'q-0': [0, 1] })
      .did(20, 'commit', 'info', ['commit', 'q-0', 1]);
    const same = { isolation: 'read_committed', group: 'another', protocol: 'consumer', ...member } as const;
    scenario.recorder.client({ ...same, p: 22, after: 20 });
    return scenario.polled(22, { 'q-0': [2, 3] });
  };
  expect(anomaliesOf(renamed({ ordered: true }))).toEqual(['poll-skip']);
  expect(anomaliesOf(renamed({}))).toEqual(['subscribed-poll-skip']);
});

test('where a member began after a rebalance is known from its next poll but one', () => {
  const rebalanced = written({ ordered: true }).polled(20, { 'q-0': [0, 1] });
  rebalanced.recorder.rebalance({ p: 20, assigned: { 'q-0': null } });
  expect(anomaliesOf(rebalanced.polled(20, {}).polled(20, { 'q-0': [2, 3] }))).toEqual([]);
});

test('a commit is as old as its generation is to what others were told before it began, and one without an answer is none', () => {
  const classic = (): Scenario => members({ protocol: 'classic' }, { protocol: 'classic' });
  const same = classic().rebalanced(20, 3, { 'q-0': 0 }).rebalanced(21, 3, { 'q-1': 0 });
  expect(anomaliesOf(same.committed(20, 3, 'ok', 'q-0', 1))).toEqual([]);
  const late = classic().rebalanced(20, 4, { 'q-0': 0 }).rebalanced(21, 3, { 'q-1': 0 });
  expect(anomaliesOf(late.committed(21, 3, 'ok', 'q-1', 1))).toEqual(['stale-commit']);
  const unknown = classic().rebalanced(20, 3, { 'q-0': 0 }).rebalanced(21, 4, { 'q-0': 0 });
  expect(anomaliesOf(unknown.committed(20, 3, 'info', 'q-0', 1))).toEqual([]);
  const during = classic().rebalanced(20, 3, { 'q-0': 0 });
  during.recorder.invoke({ p: 20, f: 'commit', ops: [['commit', 'q-0', 1]], generation: 3 });
  expect(anomaliesOf(during.rebalanced(21, 4, { 'q-0': 0 }).end(20, 'ok', ['commit', 'q-0', 1]))).toEqual([]);
});

test('by KIP-848 a member’s own next epoch makes no commit of its own stale', () => {
  const own = members().rebalanced(20, 3, { 'q-0': 0 }).rebalanced(20, 4, { 'q-0': 0 });
  expect(anomaliesOf(own.committed(20, 3, 'ok', 'q-0', 1))).toEqual([]);
});

test('an offset that is found before its commit begins is a phantom', () => {
  const early = new Scenario().did(N, 'committed', 'ok', ['committed', 'q-0', 5]).committed(M, 3, 'ok', 'q-0', 5);
  expect(anomaliesOf(early)).toEqual(['phantom-commit']);
});

test('of commits that end at another time than they began, the last to begin counts', () => {
  const nested = members().begin(20, 'commit', ['commit', 'q-0', 9]);
  nested.committed(21, 3, 'ok', 'q-0', 5).committed(21, 3, 'ok', 'q-0', 7).end(20, 'ok', ['commit', 'q-0', 9]);
  expect(anomaliesOf(nested.did(21, 'committed', 'ok', ['committed', 'q-0', 5]))).toEqual(['lost-commit']);
});

test('where a member begins proves no commit, and a place that it does not know tells nothing', () => {
  const begun = new Scenario().committed(M, 3, 'info', 'q-0', 5).rebalanced(N, 4, { 'q-0': 5 });
  expect(anomaliesOf(begun.did(N, 'committed', 'ok', ['committed', 'q-0', null]))).toEqual([]);
  const unknown = new Scenario().committed(M, 3, 'ok', 'q-0', 5).rebalanced(N, 4, { 'q-0': null });
  expect(anomaliesOf(unknown)).toEqual([]);
});

test('an idempotent producer is told where its record lies, whatever acknowledgement it asks for', () => {
  expect(anomaliesOf(new Scenario().sent(WEAK, 'q-0', 1, 1).polled(FINAL, { 'q-0': [0, 1] }))).toContain('duplicate');
});
