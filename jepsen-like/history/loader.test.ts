import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HistoryError } from '#history/format';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import type { History } from './history.ts';
import { load } from './loader.ts';
import { readLines } from './read-lines.ts';
import { A, FINAL, M, Scenario } from './scenario.ts';
import { judge } from './verdict.ts';

const HEADER = '{"type":"history","version":1,"name":"by hand"}';
const CLIENT = '{"t":1,"type":"client","p":1,"acks":"all","idempotent":true,"isolation":"read_committed","group":"g"}';
const SEND = '{"t":2,"type":"invoke","p":1,"f":"send","ops":[["send","q-0",7]]}';
const SENT = '{"t":3,"type":"ok","p":1,"ops":[["send","q-0",7,0]]}';

const POLL = '{"t":2,"type":"invoke","p":1,"f":"poll","ops":[["poll"]]}';

const loaded = (...lines: readonly string[]): History => load(lines.map((text) => ({ text, whole: true })));

describe('a history in a file', () => {
  test('is read line by line, whatever their lengths are to the chunks', () => {
    using folder = temporaryFolder('history');
    const file = join(folder.path, 'lines');
    const lines = Array.from({ length: 200 }, (_, index) => `${index}${'ä'.repeat(index * 177)}`);
    writeFileSync(file, `${lines.join('\n')}\n`);
    expect([...readLines(file)]).toEqual(lines.map((text) => ({ text, whole: true })));
  });

  test('may end within a line: what is before counts, and the verdict tells', () => {
    using folder = temporaryFolder('history');
    const file = join(folder.path, 'torn');
    writeFileSync(file, new Scenario().sent(A, 'q-0', 7, 0).polled(FINAL, { 'q-0': [0, 7] }).text);
    const whole = judge(load(readLines(file)));
    appendFileSync(file, '{"t":99,"type":"inv');
    expect(judge(load(readLines(file)))).toEqual({ ...whole, torn: true });
    expect(whole).toMatchObject({ torn: false, acknowledged: 1, read: 1, failed: false });
  });

  test('may lack only the end of its last line', () => {
    const lines = [HEADER, CLIENT, SEND].map((text) => ({ text, whole: true }));
    const history = load([...lines, { text: SENT, whole: false }]);
    expect([history.torn, history.outcome(0)]).toEqual([false, 'ok']);
  });
});

describe('an operation', () => {
  test('without an end is one of unknown outcome', () => {
    const history = loaded(HEADER, CLIENT, SEND);
    expect([history.operations, history.outcome(0), history.versionValue.at(0)]).toEqual([1, 'info', 7]);
  });

  test('ends with the parts that it began with, if its end tells none', () => {
    const history = loaded(HEADER, CLIENT, SEND, '{"t":3,"type":"fail","p":1,"error":"NOT_LEADER"}');
    expect(history.outcome(0)).toBe('fail');
    expect(history.versionValue.at(0)).toBe(7);
    expect(history.errors.get(0)).toBe('NOT_LEADER');
  });
});

describe('a history is refused, by the number of its line, that', () => {
  test.each([
    ['is empty', [], 'line 1 is not there'],
    ['has no header', [CLIENT], 'line 1 begins no history of version 1'],
    ['is of another version', ['{"type":"history","version":2,"name":""}'], 'line 1 begins no history of version 1'],
    ['is a list', ['[1]'], 'line 1 is no object'],
    ['is null', [HEADER, 'null'], 'line 2 is no object'],
    ['has no name', ['{"type":"history","version":1}'], 'line 1 says no name, where a text belongs'],
    [
      'promises what is no acks',
      [HEADER, CLIENT.replace('"all"', '-1')],
      'line 2 says -1 acks, where 0 or 1 or "all" belongs',
    ],
    [
      'has an isolation that there is not',
      [HEADER, CLIENT.replace('read_committed', 'serializable')],
      'line 2 says "serializable" isolation, where "read_committed" or "read_uncommitted" belongs',
    ],
    [
      'goes on for who is not there',
      [HEADER, CLIENT.replace('"p":1', '"p":1,"after":7')],
      'line 2 goes on for process 7, which no line declares',
    ],
    [
      'has a process that is no number',
      [HEADER, CLIENT.replace('"p":1', '"p":"1"')],
      'line 2 says "1" p, where a whole number belongs',
    ],
    ['has no time', [HEADER, CLIENT.replace('"t":1,', '')], 'line 2 goes back in time'],
    [
      'begins without parts',
      [HEADER, CLIENT, SEND.replace(/"ops".*]/, '"ops":0')],
      'line 3 says 0 ops, where a list of parts, each a list belongs',
    ],
    [
      'ends with a part that is none',
      [HEADER, CLIENT, SEND, '{"t":3,"type":"ok","p":1,"ops":[null]}'],
      'line 4 says [null] ops, where a list of parts, each a list belongs',
    ],
    [
      'has a fault that neither begins nor ends',
      [HEADER, '{"t":1,"type":"fault","name":"kill","target":"n1","phase":"now"}'],
      'line 2 says "now" phase, where "begin" or "end" belongs',
    ],
    ['copies nothing', [HEADER, '{"t":1,"type":"copy","from":"a"}'], 'line 2 says no to, where a text belongs'],
    [
      'revokes what is no list',
      [HEADER, CLIENT, '{"t":2,"type":"rebalance","p":1,"revoked":"q-0"}'],
      'line 3 says "q-0" revoked, where a list belongs',
    ],
    [
      'has an offset below zero',
      [HEADER, CLIENT, SEND, SENT.replace('7,0', '7,-1')],
      'line 4 has -1 where an offset belongs',
    ],
    [
      'has an offset that is a text',
      [HEADER, CLIENT, SEND, SENT.replace('7,0', '7,"0"')],
      'line 4 has 0 where a whole number belongs',
    ],
    [
      'polls what is no object',
      [HEADER, CLIENT, POLL, '{"t":3,"type":"ok","p":1,"ops":[["poll",null]]}'],
      'line 4 polls what is no object',
    ],
    [
      'polls what is no list',
      [HEADER, CLIENT, POLL, '{"t":3,"type":"ok","p":1,"ops":[["poll",{"q-0":"0712"}]]}'],
      'line 4 polls no list of q-0',
    ],
    [
      'asks for no group',
      [
        HEADER,
        '{"t":1,"type":"client","p":1}',
        '{"t":2,"type":"invoke","p":1,"f":"committed","ops":[["committed","q-0"]]}',
        '{"t":3,"type":"ok","p":1,"ops":[["committed","q-0",1]]}',
      ],
      'line 4 asks what is committed for no group',
    ],
    ['has two headers', [HEADER, HEADER], 'line 2 begins another history'],
    ['is torn in the middle', [HEADER, '{"t":1,', CLIENT], 'line 2 is not JSON'],
    ['goes back in time', [HEADER, CLIENT, SEND, '{"t":1,"type":"ok","p":1}'], 'line 4 goes back in time'],
    ['has lines of another type', [HEADER, '{"t":1,"type":"note"}'], 'line 2 is of no known type: note'],
    ['declares a process twice', [HEADER, CLIENT, CLIENT], 'line 3 declares process 1 again'],
    ['lacks the declaration of a process', [HEADER, SEND], 'line 2 is of process 1, which no line declares'],
    ['has a process in two operations', [HEADER, CLIENT, SEND, SEND], 'line 4 begins a second operation of process 1'],
    ['ends what has not begun', [HEADER, CLIENT, SENT], 'line 3 ends an operation of process 1, which is in none'],
    [
      'has a process that goes on after an unknown outcome',
      [HEADER, CLIENT, SEND, '{"t":3,"type":"info","p":1}', '{"t":4,"type":"invoke","p":1,"f":"poll","ops":[]}'],
      'line 5 is of process 1, which ended with an unknown outcome',
    ],
    [
      'has an unknown function',
      [HEADER, CLIENT, '{"t":2,"type":"invoke","p":1,"f":"write","ops":[]}'],
      'line 3 has no known function: write',
    ],
    [
      'has a part that does not belong to the function',
      [
        HEADER,
        CLIENT,
        '{"t":2,"type":"invoke","p":1,"f":"poll","ops":[["send","q-0",7]]}',
        '{"t":3,"type":"ok","p":1}',
      ],
      'line 4 has a send in a poll',
    ],
    [
      'sends a value twice',
      [HEADER, CLIENT, SEND, SENT, SEND.replace('2', '4'), SENT.replace('3', '5')],
      'line 6 sends 7 to q-0 a second time',
    ],
    [
      'has a key that is no partition',
      [HEADER, CLIENT, SEND.replace('q-0', 'q'), '{"t":3,"type":"ok","p":1}'],
      'line 4 has a key that is no topic-partition: q',
    ],
    [
      'has a value that is no whole number',
      [HEADER, CLIENT, SEND.replace('7', '7.5'), '{"t":3,"type":"ok","p":1}'],
      'line 4 has 7.5 where a whole number belongs',
    ],
    [
      'polls an offset without a value',
      [
        HEADER,
        CLIENT,
        '{"t":2,"type":"invoke","p":1,"f":"poll","ops":[["poll"]]}',
        '{"t":3,"type":"ok","p":1,"ops":[["poll",{"q-0":[0,7,1]}]]}',
      ],
      'line 4 polls an offset of q-0 without its value',
    ],
    [
      'sends from who has not said with which acks',
      [HEADER, '{"t":1,"type":"client","p":1}', SEND, SENT],
      'line 4 sends from process 1, whose acks and idempotence are not declared',
    ],
    [
      'polls in who has not said what it may see',
      [
        HEADER,
        '{"t":1,"type":"client","p":1}',
        '{"t":2,"type":"invoke","p":1,"f":"poll","ops":[["poll"]]}',
        '{"t":3,"type":"ok","p":1}',
      ],
      'line 4 polls in process 1, whose isolation is not declared',
    ],
    [
      'commits for no group',
      [
        HEADER,
        '{"t":1,"type":"client","p":1}',
        '{"t":2,"type":"invoke","p":1,"f":"commit","ops":[["commit","q-0",1]]}',
        '{"t":3,"type":"ok","p":1}',
      ],
      'line 4 commits for no group',
    ],
    [
      'rebalances who is in no group',
      [HEADER, '{"t":1,"type":"client","p":1}', '{"t":2,"type":"rebalance","p":1,"generation":1}'],
      'line 3 is of process 1, which is in no group',
    ],
  ])('%s', (_, lines, message) => {
    expect(() => loaded(...lines)).toThrow(new HistoryError(message));
  });
});

/** Every kind of line and part. */
function variety(): readonly unknown[] {
  const scenario = new Scenario().sent(A, 'q-0', 1, 0).polled(M, { 'q-0': [0, 1] });
  scenario.recorder.copy('q', 'r', 'group');
  scenario.recorder.fault({ name: 'kill', target: 'node 1', phase: 'begin' });
  scenario.recorder.client({ p: 9, group: 'group', protocol: 'consumer', after: A, reset: 'earliest', ordered: true });
  return scenario
    .assigned(FINAL, 'q-0', 0)
    .rebalanced(M, 1, { 'q-0': 0 }, 'q-1')
    .did(M, 'txn', 'ok', ['copy', 'r-0', 2, 'q-0', 0, 0], ['commit', 'q-0', 1])
    .did(M, 'committed', 'ok', ['committed', 'q-0', 1])
    .did(M, 'subscribe', 'fail', ['subscribe', 'q'])
    .text.trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** Puts something else in the place that the steps lead to. */
function replaced(value: unknown, steps: readonly number[], by: unknown): unknown {
  const [step, ...others] = steps;
  if (typeof value !== 'object' || value === null || step === undefined) return by;
  const keys = Object.keys(value);
  const key = keys[step % keys.length];
  if (key === undefined) return by;
  const changed = replaced((value as Record<string, unknown>)[key], others, by);
  return Array.isArray(value) ? value.with(Number(key), changed) : { ...value, [key]: changed };
}

test('whatever stands anywhere in a line, the history is judged or refused', () => {
  const lines = variety();
  fc.assert(
    fc.property(fc.array(fc.nat(40), { minLength: 2, maxLength: 6 }), fc.jsonValue(), (steps, by) => {
      const changed = replaced(lines, steps, by) as readonly unknown[];
      const texts = changed.map((line) => ({ text: JSON.stringify(line), whole: true }));
      try {
        judge(load(texts));
      } catch (failure) {
        expect((failure as Error).name, (failure as Error).stack).toBe('HistoryError');
      }
    }),
    { numRuns: 2_000 },
  );
});
