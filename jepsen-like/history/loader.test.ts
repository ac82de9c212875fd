import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HistoryError } from '#history/format';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import type { History } from './history.ts';
import { load } from './loader.ts';
import { readLines } from './read-lines.ts';
import { A, FINAL, Scenario } from './scenario.ts';
import { judge } from './verdict.ts';

const HEADER = '{"type":"history","version":1,"name":"by hand"}';
const CLIENT = '{"t":1,"type":"client","p":1,"acks":"all","idempotent":true,"isolation":"read_committed","group":"g"}';
const SEND = '{"t":2,"type":"invoke","p":1,"f":"send","ops":[["send","q-0",7]]}';
const SENT = '{"t":3,"type":"ok","p":1,"ops":[["send","q-0",7,0]]}';

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
