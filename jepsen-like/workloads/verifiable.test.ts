/** What VerifiableProducer and VerifiableConsumer of Apache Kafka 4.3.1 have printed, as operations of a history. */
import { describe, expect, test } from 'vitest';
import type { HistoryLine } from '#history/format';
import { load } from '../history/loader.ts';
import { judge } from '../history/verdict.ts';
import { type ConsumerEvent, consumerEvent, type ProducerEvent, producerEvent } from './verifiable-events.ts';
import { memberHistory, producerHistory } from './verifiable-history.ts';

const STARTED = '{"timestamp":1000,"name":"startup_complete"}';
const ASSIGNED =
  '{"timestamp":1100,"name":"partitions_assigned","partitions":[{"topic":"t","partition":0},{"topic":"t","partition":1}]}';
const RECORD = '{"timestamp":1200,"name":"record_data","key":"13","value":"7","topic":"t","partition":1,"offset":3}';
const CONSUMED =
  '{"timestamp":1201,"name":"records_consumed","count":1,"partitions":[{"topic":"t","partition":1,"count":1,"minOffset":3,"maxOffset":3}]}';
const COMMITTED =
  '{"timestamp":1210,"name":"offsets_committed","offsets":[{"topic":"t","partition":1,"offset":4}],"success":true}';
const REFUSED =
  '{"timestamp":1210,"name":"offsets_committed","offsets":[{"topic":"t","partition":1,"offset":4}],"error":"no longer a member","success":false}';
const NOTHING = [
  '{"timestamp":1220,"name":"records_consumed","count":0,"partitions":[]}',
  '{"timestamp":1221,"name":"offsets_committed","offsets":[],"success":true}',
] as const;
const REVOKED = '{"timestamp":1300,"name":"partitions_revoked","partitions":[{"topic":"t","partition":0}]}';
const ENDING = '{"timestamp":1399,"name":"shutdown_requested"}';
const ENDED = '{"timestamp":1400,"name":"shutdown_complete"}';

const acked = (value: number, partition: number, offset: number, timestamp: number): string =>
  `{"timestamp":${timestamp},"name":"producer_send_success","key":"13","value":"${value}","offset":${offset},"topic":"t","partition":${partition}}`;
const failed = (value: number, exception: string): string =>
  `{"timestamp":1900,"name":"producer_send_error","key":"13","value":"${value}","topic":"t","exception":"class org.apache.kafka.common.errors.${exception}","message":"it said"}`;
const sent = (count: number): string =>
  `{"timestamp":2000,"name":"tool_data","sent":${count},"acked":1,"target_throughput":50,"avg_throughput":49.5}`;

describe('what is read of a line', () => {
  test('is what a history needs of it', () => {
    expect(producerEvent(STARTED)).toEqual({ wallMs: 1000, name: 'startup_complete' });
    expect(producerEvent(acked(7, 1, 3, 1500))).toEqual({
      wallMs: 1500,
      name: 'producer_send_success',
      key: 't-1',
      value: 7,
      offset: 3,
    });
    expect(producerEvent(failed(8, 'TimeoutException'))).toEqual({
      wallMs: 1900,
      name: 'producer_send_error',
      value: 8,
      error: 'class org.apache.kafka.common.errors.TimeoutException: it said',
    });
    expect(producerEvent(sent(9))).toEqual({ wallMs: 2000, name: 'tool_data', sent: 9 });
    expect(consumerEvent(ASSIGNED)).toEqual({ wallMs: 1100, name: 'partitions_assigned', keys: ['t-0', 't-1'] });
    expect(consumerEvent(REVOKED)).toEqual({ wallMs: 1300, name: 'partitions_revoked', keys: ['t-0'] });
    expect(consumerEvent(RECORD)).toEqual({ wallMs: 1200, name: 'record_data', key: 't-1', value: 7, offset: 3 });
    expect(consumerEvent(CONSUMED)).toEqual({ wallMs: 1201, name: 'records_consumed', count: 1, ends: [['t-1', 4]] });
    expect(consumerEvent(COMMITTED)).toEqual({
      wallMs: 1210,
      name: 'offsets_committed',
      offsets: [['t-1', 4]],
      error: undefined,
    });
    expect(consumerEvent(REFUSED)).toMatchObject({ error: 'no longer a member' });
    expect(consumerEvent('{"timestamp":1,"name":"offsets_committed","offsets":[],"success":false}')).toMatchObject({
      error: 'no reason is told',
    });
    expect(consumerEvent(ENDED)).toEqual({ wallMs: 1400, name: 'shutdown_complete' });
  });

  test('is nothing, of another event or of what is none', () => {
    expect([producerEvent(ENDED), consumerEvent(ENDING)]).toEqual([undefined, undefined]);
    for (const line of ['', '[2026-11-30] WARN Connection to node 1', '{"timestamp":1,"name":"other"}']) {
      expect([producerEvent(line), consumerEvent(line)]).toEqual([undefined, undefined]);
    }
  });

  test.for([
    ['a value that no producer counts', RECORD.replace('"7"', '"x7"')],
    ['no value', RECORD.replace('"7"', 'null')],
    ['an offset that is none', RECORD.replace(':3}', ':"3"}')],
    ['no topic', RECORD.replace('"topic"', '"tropic"')],
    ['no list of partitions', ASSIGNED.replace(/\[.*\]/, '7')],
    ['half of an object', RECORD.slice(0, -4)],
  ] as const)('is refused with %s', ([, line]) => {
    expect(() => consumerEvent(line)).toThrow();
  });
});

type Written = readonly Record<string, unknown>[];

const about = { firstProcess: 100, processesMax: 10, wallToMonotonicMs: -500 };

function written(run: (append: (line: string) => void) => readonly string[]): {
  readonly lines: Written;
  readonly complaints: readonly string[];
} {
  const lines: Written[number][] = [];
  const complaints = run((line) => lines.push(JSON.parse(line)));
  return { lines: lines.slice(1), complaints };
}

const produced = (...texts: readonly string[]) => {
  const events = texts.map((text) => producerEvent(text) as ProducerEvent);
  return written((append) => producerHistory(events, { ...about, keys: ['t-0', 't-1'], append }));
};

const consumed = (...texts: readonly string[]) => {
  const events = texts.map((text) => consumerEvent(text) as ConsumerEvent);
  const group = { topic: 't', group: 'g', protocol: 'consumer' } as const;
  return written((append) => memberHistory(events, { ...about, ...group, append }));
};

describe('a producer', () => {
  test('sends each value as a process of its own, from its start until it is told of it', () => {
    const { lines, complaints } = produced(STARTED, acked(1, 0, 0, 1500), acked(0, 1, 5, 1510), sent(2));
    expect(complaints).toEqual([]);
    const client = { t: 495, type: 'client', acks: 'all', idempotent: true, early: true };
    expect(lines).toEqual([
      { ...client, p: 100 },
      { t: 495, type: 'invoke', p: 100, f: 'send', ops: [['send', 't-1', 0]] },
      { ...client, p: 101 },
      { t: 495, type: 'invoke', p: 101, f: 'send', ops: [['send', 't-0', 1]] },
      { t: 1005, type: 'ok', p: 101, ops: [['send', 't-0', 1, 0]] },
      { t: 1015, type: 'ok', p: 100, ops: [['send', 't-1', 0, 5]] },
    ]);
  });

  test('may have written a value that was not acknowledged to any partition', () => {
    const { lines, complaints } = produced(STARTED, failed(0, 'TimeoutException'), sent(2));
    expect(complaints).toEqual([]);
    const anywhere = (value: number) => [
      ['send', 't-0', value],
      ['send', 't-1', value],
    ];
    expect(lines.filter(({ type }) => type !== 'client')).toEqual([
      { t: 495, type: 'invoke', p: 100, f: 'send', ops: anywhere(0) },
      { t: 495, type: 'invoke', p: 101, f: 'send', ops: anywhere(1) },
      { t: 1405, type: 'info', p: 100, error: 'class org.apache.kafka.common.errors.TimeoutException: it said' },
    ]);
  });

  test.for([
    ['was refused its next value', [failed(0, 'OutOfOrderSequenceException'), sent(1)], /value 0 was refused/],
    [
      'finds values in another order than it sent them',
      [acked(0, 0, 9, 1500), acked(1, 0, 8, 1501), sent(2)],
      /t-0 has 0 at 9 and 1 at 8/,
    ],
    [
      'finds two values at one offset',
      [acked(0, 0, 9, 1500), acked(1, 0, 9, 1501), sent(2)],
      /t-0 has 0 at 9 and 1 at 9/,
    ],
    ['does not say how much it has sent', [acked(0, 0, 0, 1500)], /has not told/],
    ['sends more than can be told apart', [sent(11)], /11 values are more/],
  ] as const)('complains that it %s', ([, texts, complaint]) => {
    expect(produced(STARTED, ...texts).complaints.join('\n')).toMatch(complaint);
  });
});

const MEMBER = { isolation: 'read_committed', group: 'g', protocol: 'consumer', reset: 'earliest', ordered: true };

describe('a member', () => {
  test('polls, and commits what a poll has brought', () => {
    const { lines, complaints } = consumed(STARTED, ASSIGNED, RECORD, CONSUMED, COMMITTED, REVOKED, ENDED);
    expect(complaints).toEqual([]);
    expect(lines).toEqual([
      { t: 505, type: 'client', p: 100, ...MEMBER },
      { t: 505, type: 'invoke', p: 100, f: 'subscribe', ops: [['subscribe', 't']] },
      { t: 505, type: 'ok', p: 100 },
      { t: 505, type: 'invoke', p: 100, f: 'poll', ops: [['poll']] },
      { t: 605, type: 'rebalance', p: 100, assigned: { 't-0': null, 't-1': null } },
      { t: 706, type: 'ok', p: 100, ops: [['poll', { 't-1': [3, 7] }]] },
      { t: 706, type: 'invoke', p: 100, f: 'commit', ops: [['commit', 't-1', 4]] },
      { t: 715, type: 'ok', p: 100, ops: [['commit', 't-1', 4]] },
      { t: 715, type: 'invoke', p: 100, f: 'poll', ops: [['poll']] },
      { t: 805, type: 'rebalance', p: 100, revoked: ['t-0'] },
      { t: 905, type: 'fail', p: 100, error: 'woken up, to end' },
    ]);
  });

  test('goes on under another number after a commit that failed, which may have been carried out', () => {
    const { lines } = consumed(STARTED, RECORD, CONSUMED, REFUSED, ENDED);
    expect(lines.slice(-4)).toEqual([
      { t: 715, type: 'info', p: 100, ops: [['commit', 't-1', 4]], error: 'no longer a member' },
      { t: 715, type: 'client', p: 101, ...MEMBER, after: 100 },
      { t: 715, type: 'invoke', p: 101, f: 'poll', ops: [['poll']] },
      { t: 905, type: 'fail', p: 101, error: 'woken up, to end' },
    ]);
  });

  test('commits nothing of a poll that has brought nothing', () => {
    const { lines } = consumed(STARTED, ...NOTHING);
    expect(lines.slice(4)).toEqual([
      { t: 725, type: 'ok', p: 100, ops: [['poll', {}]] },
      { t: 726, type: 'invoke', p: 100, f: 'poll', ops: [['poll']] },
    ]);
  });

  test('that dies within a poll was given what it has shown of it', () => {
    expect(consumed(STARTED, ASSIGNED, RECORD).lines.at(-1)).toEqual({
      t: 705,
      type: 'info',
      p: 100,
      ops: [['poll', { 't-1': [3, 7] }]],
      error: 'it ended within a poll',
    });
  });

  test('complains of records that it was given and does not show', () => {
    const { complaints } = consumed(STARTED, CONSUMED.replace('"count":1,"partitions"', '"count":2,"partitions"'));
    expect(complaints).toEqual(['a poll brought 2 records, of which it shows 0']);
  });
});

test('both are one history, in which a record that the group passes by is found', () => {
  const recordAt = (offset: number, value: number): string =>
    RECORD.replace('"7"', `"${value}"`).replace('"offset":3', `"offset":${offset}`);
  const upTo = (text: string): string =>
    text.replace('"offset":4', '"offset":3').replace('"maxOffset":3', '"maxOffset":2');
  const judged = (...records: readonly string[]) => {
    const all = [
      ...produced(STARTED, acked(0, 1, 0, 1100), acked(1, 1, 1, 1101), acked(2, 1, 2, 1102), sent(3)).lines,
      ...written((append) => {
        const texts = [
          STARTED,
          ASSIGNED,
          ...records,
          CONSUMED.replaceAll('"count":1', `"count":${records.length}`),
          COMMITTED,
        ];
        const events = texts.map((text) => consumerEvent(upTo(text)) as ConsumerEvent);
        const group = { topic: 't', group: 'g', protocol: 'classic' } as const;
        return memberHistory(events, { ...about, firstProcess: 200, ...group, append });
      }).lines,
    ].sort((a, b) => Number(a.t) - Number(b.t));
    const reader: readonly HistoryLine[] = [
      { t: 3000, type: 'client', p: 1, isolation: 'read_committed' },
      { t: 3000, type: 'invoke', p: 1, f: 'poll', ops: [['poll']] },
      { t: 3000, type: 'ok', p: 1, ops: [['poll', { 't-1': [0, 0, 1, 1, 2, 2] }]] },
    ];
    const lines = [{ type: 'history', version: 1, name: 'both' }, ...all, ...reader];
    return judge(load(lines.map((line) => ({ text: JSON.stringify(line), whole: true }))));
  };
  const whole = judged(recordAt(0, 0), recordAt(1, 1), recordAt(2, 2));
  expect([whole.failed, whole.acknowledged, whole.lost]).toEqual([false, 3, 0]);
  expect([...judged(recordAt(0, 0), recordAt(2, 2)).anomalies.keys()]).toEqual(['group-skip']);
});
