import { describe, expect, it } from 'vitest';
import { Recorder } from '#history/recorder';
import { WorkloadHistory } from '#sim/workload/client-history';

function setUp() {
  const lines: unknown[] = [];
  let now = 1;
  const append = (line: string): void => {
    lines.push(JSON.parse(line));
  };
  const history = new WorkloadHistory(new Recorder({ append, nowMs: () => now++ }, 'seed 1'));
  return { history, lines };
}

describe('the history of a simulated client', () => {
  it('declares a process before its first operation, and another one that goes on after an unknown outcome', () => {
    const { history, lines } = setUp();
    const client = history.client('p1', { acks: 'all', idempotent: true });
    expect(lines).toHaveLength(1);
    client.begin('send', history.sends('q-0', ['p1.1', 'p1.2']));
    client.ok(history.sends('q-0', ['p1.1', 'p1.2'], 7));
    client.begin('send', history.sends('q-0', ['p1.3']));
    client.info('no answer');
    client.begin('send', history.sends('q-0', ['p1.4']));
    client.fail('refused');
    const promised = { host: 'p1', acks: 'all', idempotent: true };
    expect(lines.slice(1)).toEqual([
      { t: 1, type: 'client', p: 1, ...promised },
      {
        t: 2,
        type: 'invoke',
        p: 1,
        f: 'send',
        ops: [
          ['send', 'q-0', 1_000_001],
          ['send', 'q-0', 1_000_002],
        ],
      },
      {
        t: 3,
        type: 'ok',
        p: 1,
        ops: [
          ['send', 'q-0', 1_000_001, 7],
          ['send', 'q-0', 1_000_002, 8],
        ],
      },
      { t: 4, type: 'invoke', p: 1, f: 'send', ops: [['send', 'q-0', 1_000_003]] },
      { t: 5, type: 'info', p: 1, ops: [['send', 'q-0', 1_000_003]], error: 'no answer' },
      { t: 6, type: 'client', p: 101, ...promised, after: 1 },
      { t: 7, type: 'invoke', p: 101, f: 'send', ops: [['send', 'q-0', 1_000_004]] },
      { t: 8, type: 'fail', p: 101, ops: [['send', 'q-0', 1_000_004]], error: 'refused' },
    ]);
  });

  it('numbers hosts and their values alike, for whoever reads them; what no client can have sent is a value that none has', () => {
    const { history, lines } = setUp();
    history.client('p1', { acks: 'all', idempotent: true }).did('send', history.sends('q-0', ['p1.1']));
    history.client('p2', { acks: 0, idempotent: false }).did('send', history.sends('q-0', ['p2.1']));
    history.client('p2', { acks: 1, idempotent: false }).did('send', history.sends('q-0', ['p2.2']));
    const records = ['p1.1', 'p2.1', 'p2.2', 'nonsense', ''].map((value, offset) => ({ offset, value }));
    history.client('r1', { isolation: 'read_committed' }).did('poll', history.poll('q-0', records));
    expect(lines.filter((line) => (line as { type: string }).type === 'client')).toMatchObject([
      { p: 1, host: 'p1' },
      { p: 2, host: 'p2', acks: 0 },
      { p: 102, host: 'p2', acks: 1 },
      { p: 3, host: 'r1' },
    ]);
    const pairs = [0, 1_000_001, 1, 2_000_001, 2, 2_000_002, 3, 0, 4, 0];
    expect(lines.at(-1)).toMatchObject({ type: 'ok', ops: [['poll', { 'q-0': pairs }]] });
  });

  it('has in a transaction what was done in it, as far as it is known', () => {
    const { history, lines } = setUp();
    const client = history.client('x1', { acks: 'all', idempotent: true, group: 'ledger' });
    client.begin('txn', []);
    client.also('q-0', history.sends('q-0', ['x1.1']));
    client.also('q-1', history.sends('q-1', ['x1.2']));
    client.also('q-0', history.sends('q-0', ['x1.1'], 4));
    client.also('offset', [['commit', 'q-0', 1]]);
    client.ok();
    expect(lines.at(-1)).toEqual({
      t: 3,
      type: 'ok',
      p: 1,
      ops: [
        ['send', 'q-0', 1_000_001, 4],
        ['send', 'q-1', 1_000_002],
        ['commit', 'q-0', 1],
      ],
    });
  });

  it('ends with the outcome unknown of whatever is under way, with what was done so far', () => {
    const { history, lines } = setUp();
    const client = history.client('x1', { acks: 'all', idempotent: true });
    history.client('r1', { isolation: 'read_committed' }).did('assign', [['assign', 'q-0', 0]]);
    client.begin('txn', []);
    client.also('q-0', history.sends('q-0', ['x1.1']));
    history.close();
    expect(lines.slice(-2)).toMatchObject([
      { type: 'invoke', f: 'txn', ops: [] },
      { type: 'info', ops: [['send', 'q-0', 2_000_001]] },
    ]);
  });
});
