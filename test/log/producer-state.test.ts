import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ProducerCheck, ProducerStates } from '#log/producer-state';
import { ErrorCode } from '#model/errors';
import { type BatchHeader, lastSequence } from '#protocol/record-batch';
import { at, type BatchIdea, codecs, headerOf, kafkaFile } from './support.ts';

function states({ maxProducers = 100 } = {}): ProducerStates {
  return new ProducerStates(codecs.crc32c, { maxProducers });
}

/** A partition's log as far as producers see it. */
class Partition {
  readonly states: ProducerStates;
  end = 0;

  constructor(of = states()) {
    this.states = of;
  }

  /** Checks and appends; tells what a client would be answered: its first offset, 'duplicate of …' or an error's code. */
  produce(idea: BatchIdea, timestamp = 0): string {
    const header = headerOf(idea);
    const check = this.states.check(header, this.end);
    if (check.kind === 'error') return `error ${check.code}`;
    if (check.kind === 'duplicate') return `duplicate of ${check.baseOffset}-${check.lastOffset}`;
    return `at ${this.append(header, timestamp)}`;
  }

  append(header: BatchHeader, timestamp = 0): number {
    const base = this.end;
    this.end += header.recordCount;
    this.states.append(header, at(base), at(this.end - 1), timestamp);
    return base;
  }

  endTransaction(producerId: number, { epoch = 0, aborted = false, coordinatorEpoch = 0 } = {}) {
    const header = headerOf({ producerId, epoch, sequence: -1, transactional: true, control: true });
    const base = this.end;
    this.end += 1;
    return this.states.append(header, at(base), at(base), 0, { aborted, coordinatorEpoch });
  }
}

const OUT_OF_ORDER = `error ${ErrorCode.OutOfOrderSequenceNumber}`;
const OLD_EPOCH = `error ${ErrorCode.InvalidProducerEpoch}`;

describe('KIP-98: sequences', () => {
  test('a batch is taken once: the same one again is answered with its first offsets', () => {
    const log = new Partition();
    expect(log.produce({ sequence: 0, count: 3 })).toBe('at 0');
    expect(log.produce({ sequence: 0, count: 3 })).toBe('duplicate of 0-2');
    expect(log.produce({ sequence: 3, count: 2 })).toBe('at 3');
    expect(log.produce({ sequence: 0, count: 3 })).toBe('duplicate of 0-2');
  });

  test('a duplicate carries the timestamp with which it was appended', () => {
    const log = new Partition();
    log.produce({ sequence: 0 }, 77);
    expect(log.states.check(headerOf({ sequence: 0 }), log.end)).toMatchObject({ kind: 'duplicate', appendTime: 77 });
  });

  test('what is in flight to three leaders, one after the other, is recognised; an older batch is out of order', () => {
    const log = new Partition();
    for (let sequence = 0; sequence < 16; sequence += 1) log.produce({ sequence });
    for (let sequence = 1; sequence < 16; sequence += 1)
      expect(log.produce({ sequence })).toBe(`duplicate of ${sequence}-${sequence}`);
    expect(log.produce({ sequence: 0 })).toBe(OUT_OF_ORDER);
  });

  test('a gap, and a batch that shares only its start with a known one, are out of order', () => {
    const log = new Partition();
    log.produce({ sequence: 0, count: 2 });
    expect(log.produce({ sequence: 3 })).toBe(OUT_OF_ORDER);
    expect(log.produce({ sequence: 0, count: 3 })).toBe(OUT_OF_ORDER);
    expect(log.produce({ sequence: 1 })).toBe(OUT_OF_ORDER);
  });

  test('after 2^31-1 comes 0, also within a batch and for its duplicate', () => {
    const log = new Partition();
    log.append(headerOf({ sequence: 0x7fff_fffd, count: 2 }));
    expect(log.produce({ sequence: 0x7fff_ffff, count: 3 })).toBe('at 2');
    expect(log.produce({ sequence: 0x7fff_ffff, count: 3 })).toBe('duplicate of 2-4');
    expect(log.produce({ sequence: 2 })).toBe('at 5');
    const other = new Partition();
    other.append(headerOf({ sequence: 0x7fff_ffff }));
    expect(other.produce({ sequence: 0 })).toBe('at 1');
  });

  test('a new epoch starts at 0, fences the old one and forgets its batches', () => {
    const log = new Partition();
    log.produce({ sequence: 0 });
    expect(log.produce({ epoch: 1, sequence: 1 })).toBe(OUT_OF_ORDER);
    expect(log.produce({ epoch: 1, sequence: 0 })).toBe('at 1');
    expect(log.produce({ epoch: 0, sequence: 1 })).toBe(OLD_EPOCH);
    expect(log.produce({ epoch: 0, sequence: 0 })).toBe(OLD_EPOCH);
    expect(log.produce({ epoch: 1, sequence: 0 })).toBe('duplicate of 1-1');
  });

  test('batches without a producer id are never checked nor remembered', () => {
    const log = new Partition();
    const plain = { producerId: -1, epoch: -1, sequence: -1 };
    expect(log.produce(plain)).toBe('at 0');
    expect(log.produce(plain)).toBe('at 1');
    expect(log.states.size).toBe(0);
  });
});

describe('KIP-360: producers that are not known', () => {
  test('may go on at any sequence, because retention may have removed what they wrote', () => {
    const log = new Partition();
    log.end = 7;
    expect(log.produce({ epoch: 3, sequence: 41 })).toBe('at 7');
    expect(log.produce({ epoch: 3, sequence: 43 })).toBe(OUT_OF_ORDER);
    expect(log.produce({ epoch: 3, sequence: 42 })).toBe('at 8');
  });

  test('begin at 0 where there was never a record: what comes first is still on its way from a leader before (KAFKA-15591)', () => {
    const log = new Partition();
    expect(log.produce({ sequence: 5 })).toBe(OUT_OF_ORDER);
    expect(log.produce({ sequence: 0, count: 5 })).toBe('at 0');
    expect(log.produce({ sequence: 5 })).toBe('at 5');
    expect(new Partition().produce({ producerId: -1, epoch: -1, sequence: -1 })).toBe('at 0');
  });

  test('are forgotten after producer.id.expiration.ms, but not within a transaction', () => {
    const log = new Partition();
    log.produce({ producerId: 1, sequence: 0 }, 5000);
    log.produce({ producerId: 2, sequence: 0, transactional: true }, 5000);
    log.states.removeExpired(5999, 1000);
    expect(log.states.size).toBe(2);
    log.states.removeExpired(6000, 1000);
    expect(log.produce({ producerId: 1, sequence: 9 }, 6000)).toBe('at 2');
    expect(log.produce({ producerId: 2, sequence: 9, transactional: true })).toBe(OUT_OF_ORDER);
  });

  test('are the least recent ones beyond the bound, but never one within a transaction', () => {
    const log = new Partition(states({ maxProducers: 3 }));
    log.produce({ producerId: 1, sequence: 0, transactional: true });
    log.produce({ producerId: 2, sequence: 0 });
    log.produce({ producerId: 3, sequence: 0 });
    log.produce({ producerId: 2, sequence: 1 });
    log.produce({ producerId: 4, sequence: 0 });
    expect(log.states.size).toBe(3);
    expect(log.produce({ producerId: 2, sequence: 1 })).toBe('duplicate of 3-3');
    expect(log.produce({ producerId: 1, sequence: 0, transactional: true })).toBe('duplicate of 0-0');
    expect(log.produce({ producerId: 3, sequence: 7 })).toBe('at 5');
  });
});

describe('KIP-98: transactions', () => {
  const txn = { transactional: true };

  test('the first unstable offset is that of the earliest open transaction', () => {
    const log = new Partition();
    log.produce({ producerId: 9, sequence: 0 });
    log.produce({ producerId: 1, sequence: 0, ...txn });
    log.produce({ producerId: 2, sequence: 0, ...txn });
    expect(log.states.firstUnstableOffset).toBe(1);
    expect(log.endTransaction(1)).toEqual({
      producerId: 1,
      firstOffset: 1,
      lastOffset: 3,
      aborted: false,
      lastStableOffset: 2,
    });
    expect(log.endTransaction(2, { aborted: true })).toEqual({
      producerId: 2,
      firstOffset: 2,
      lastOffset: 4,
      aborted: true,
      lastStableOffset: 5,
    });
  });

  test('a decided transaction stays unstable until its marker is below the high watermark', () => {
    const log = new Partition();
    log.produce({ sequence: 0, ...txn });
    log.endTransaction(1);
    log.states.highWatermarkAdvanced(at(1));
    expect(log.states.firstUnstableOffset).toBe(0);
    expect(log.states.lastStableOffset(at(1))).toBe(0);
    log.states.highWatermarkAdvanced(at(2));
    expect(log.states.firstUnstableOffset).toBeUndefined();
    expect(log.states.lastStableOffset(at(2))).toBe(2);
  });

  test('the last stable offset never exceeds the high watermark', () => {
    const log = new Partition();
    for (let sequence = 0; sequence < 3; sequence += 1) log.produce({ sequence });
    log.produce({ producerId: 2, sequence: 0, ...txn });
    expect(log.states.lastStableOffset(at(2))).toBe(2);
    expect(log.states.lastStableOffset(at(4))).toBe(3);
  });

  test("a plain batch within the producer's open transaction is INVALID_TXN_STATE", () => {
    const log = new Partition();
    log.produce({ sequence: 0, ...txn });
    expect(log.produce({ sequence: 1 })).toBe(`error ${ErrorCode.InvalidTxnState}`);
    expect(log.produce({ sequence: 1, ...txn })).toBe('at 1');
  });

  test('a marker without a transaction ends nothing, but fences the epochs below it', () => {
    const log = new Partition();
    log.produce({ sequence: 0 });
    expect(log.endTransaction(1, { epoch: 2 })).toBeUndefined();
    expect(log.produce({ epoch: 1, sequence: 0 })).toBe(OLD_EPOCH);
    expect(log.produce({ epoch: 2, sequence: 1 })).toBe(OUT_OF_ORDER);
    expect(log.produce({ epoch: 2, sequence: 0 })).toBe('at 2');
  });

  test('a control batch that is no end marker changes nothing', () => {
    const log = new Partition();
    log.states.append(headerOf({ control: true, transactional: true, sequence: -1 }), at(0), at(0), 0);
    expect(log.states.size).toBe(0);
  });
});

describe('markers of the coordinator', () => {
  const marker = (epoch: number) => headerOf({ epoch, sequence: -1, transactional: true, control: true });
  const code = (check: ProducerCheck) => (check.kind === 'error' ? check.code : check.kind);

  test('of an old coordinator epoch are fenced', () => {
    const log = new Partition();
    log.endTransaction(1, { coordinatorEpoch: 5 });
    const check = log.states.checkMarker(marker(0), { aborted: true, coordinatorEpoch: 4 }, false);
    expect(code(check)).toBe(ErrorCode.TransactionCoordinatorFenced);
  });

  test('KIP-890: must raise the epoch of an open transaction, but may come again once it is over', () => {
    const log = new Partition();
    log.produce({ epoch: 3, sequence: 0, transactional: true });
    const end = { aborted: false, coordinatorEpoch: 0 };
    expect(code(log.states.checkMarker(marker(3), end, true))).toBe(ErrorCode.InvalidProducerEpoch);
    expect(code(log.states.checkMarker(marker(3), end, false))).toBe('ok');
    expect(code(log.states.checkMarker(marker(4), end, true))).toBe('ok');
    log.endTransaction(1, { epoch: 4 });
    expect(code(log.states.checkMarker(marker(4), end, true))).toBe('ok');
    expect(code(log.states.checkMarker(marker(3), end, true))).toBe(ErrorCode.InvalidProducerEpoch);
  });
});

describe('Kafka 4.3.1 decided the same', () => {
  test('in 600 random steps of its own producer state, but for batches that it remembers no longer', () => {
    const log = new Partition();
    const lines = kafkaFile('producer-walk.txt').toString().trimEnd().split('\n');
    expect(lines).toHaveLength(600);
    let remembered = 0;
    lines.forEach((line, step) => {
      const said = replay(log, line, 5000 + step);
      // Kafka keeps five.
      const ofFive = said.replace(/-> duplicate .* \|/, `-> ${ErrorCode.OutOfOrderSequenceNumber} |`);
      if (said !== line && ofFive === line) remembered += 1;
      else expect(`${step}: ${said}`).toBe(`${step}: ${line}`);
    });
    expect(remembered).toBe(6);
    // Kafka's map has an order of its own: compare as sets of producers.
    const theirs = states();
    expect(theirs.loadSnapshot(kafkaFile('producer-walk.snapshot'))).toEqual({ value: true });
    const entries = (bytes: Uint8Array) => chunksOf(bytes.subarray(10), 46).sort();
    expect(entries(log.states.takeSnapshot())).toEqual(entries(kafkaFile('producer-walk.snapshot')));
    expect(Buffer.from(theirs.takeSnapshot())).toEqual(kafkaFile('producer-walk.snapshot'));
  });

  function replay(log: Partition, line: string, timestamp: number): string {
    const [asked = ''] = line.split(' ->');
    const [verb, ...words] = asked.split(' ');
    const numbers = words.map(Number);
    const [producerId = 0, epoch = 0, sequence = 0, count = 1] = numbers;
    let answer = '';
    if (verb === 'hw') log.states.highWatermarkAdvanced(at(producerId));
    if (verb === 'batch') {
      const header = headerOf({ producerId, epoch, sequence, count, transactional: words[4] === 'txn' });
      // 4.3.1 takes any first sequence also of an empty log (KAFKA-15591).
      const check = log.states.check(header, Math.max(1, log.end));
      if (check.kind === 'ok') answer = ` ok ${log.append(header, timestamp)}`;
      else if (check.kind === 'error') answer = ` ${check.code}`;
      else answer = ` duplicate ${check.baseOffset} ${check.lastOffset} ${check.appendTime}`;
    }
    if (verb === 'marker') {
      const header = headerOf({ producerId, epoch, sequence: -1, transactional: true, control: true });
      const marker = { aborted: words[3] === 'abort', coordinatorEpoch: sequence };
      const check = log.states.checkMarker(header, marker, words[4] === '2');
      if (check.kind === 'error') answer = ` ${check.code}`;
      else {
        const base = log.end;
        log.end += 1;
        const ended = log.states.append(header, at(base), at(base), timestamp, marker);
        answer = ` ok ${base}`;
        if (ended) answer += ` ended ${ended.firstOffset} ${ended.aborted} ${ended.lastStableOffset}`;
      }
    }
    return `${asked} ->${answer} | ${log.states.firstUnstableOffset ?? '-'}`;
  }
});

function chunksOf(bytes: Uint8Array, size: number): string[] {
  const chunks: string[] = [];
  for (let from = 0; from < bytes.length; from += size)
    chunks.push(Buffer.from(bytes.subarray(from, from + size)).toString('hex'));
  return chunks;
}

describe('snapshots', () => {
  test("have Kafka's layout, byte for byte", () => {
    const log = new Partition();
    log.append(headerOf({ producerId: 5, epoch: 2, sequence: 6, count: 3, transactional: true }), 1234);
    const bytes = Buffer.from(log.states.takeSnapshot());
    const crc = codecs.crc32c(bytes.subarray(6)).toString(16).padStart(8, '0');
    expect(bytes.toString('hex')).toBe(
      `0001${crc}00000001` +
        '0000000000000005' +
        '0002' +
        '00000008' +
        '0000000000000002' +
        '00000002' +
        '00000000000004d2' +
        'ffffffff' +
        '0000000000000000',
    );
  });

  test('refuse any flipped bit, any cut and any other version, and then change nothing', () => {
    const log = new Partition();
    log.produce({ producerId: 5, sequence: 0 });
    log.produce({ producerId: 6, sequence: 0 });
    const good = log.states.takeSnapshot();
    fc.assert(
      fc.property(fc.nat(good.length * 8 - 1), fc.nat(good.length - 1), (bit, cut) => {
        const flipped = Uint8Array.from(good);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(log.states.loadSnapshot(flipped)).toHaveProperty('error');
        expect(log.states.loadSnapshot(good.subarray(0, cut))).toHaveProperty('error');
        expect(log.states.takeSnapshot()).toEqual(good);
      }),
    );
  });
});

/** Rules of KIP-98 over the whole history, nothing forgotten but what the rules forget. */
class NaiveProducers {
  readonly history: { header: BatchHeader; base: number }[] = [];
  readonly #beganAt: number;

  constructor(beganAt: number) {
    this.#beganAt = beganAt;
  }

  check(header: BatchHeader): string {
    const own = this.history.filter((past) => past.header.producerId === header.producerId);
    const epoch = own.at(-1)?.header.producerEpoch;
    if (epoch === undefined)
      return this.#beganAt + this.history.length > 0 || header.baseSequence === 0 ? 'ok' : 'error';
    if (header.producerEpoch < epoch) return 'error';
    if (header.producerEpoch > epoch) return header.baseSequence === 0 ? 'ok' : 'error';
    const current = own.slice(own.findLastIndex((past) => past.header.producerEpoch !== epoch) + 1);
    const again = current
      .slice(-15)
      .find(
        (past) => past.header.baseSequence === header.baseSequence && past.header.recordCount === header.recordCount,
      );
    if (again) return `duplicate ${again.base}`;
    const last = current.at(-1)?.header;
    return last !== undefined && header.baseSequence === (lastSequence(last) + 1) % 2 ** 31 ? 'ok' : 'error';
  }
}

const step = fc.record({
  producerId: fc.integer({ min: 1, max: 3 }),
  epochMove: fc.constantFrom(0, 0, 0, 0, 1, -1),
  back: fc.constantFrom(0, 0, 0, 1, 2, 5, 14, 15, 16, -1),
  count: fc.integer({ min: 1, max: 3 }),
});

describe('properties', () => {
  test('check agrees with a naive reading of the rules over the whole history', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.constantFrom(0, 0x7fff_fff8),
        fc.nat(1),
        (steps, first, beganAt) => {
          const log = new Partition();
          log.end = beganAt;
          const naive = new NaiveProducers(beganAt);
          const accepted = new Map<number, BatchHeader[]>();
          for (const { producerId, epochMove, back, count } of steps) {
            const own = accepted.get(producerId) ?? [];
            const last = own.at(-1);
            const repeated = back > 0 ? own.at(-back) : undefined;
            const next = last === undefined ? first : (lastSequence(last) + 1) % 2 ** 31;
            const epoch = Math.max(0, (last?.producerEpoch ?? 0) + epochMove);
            const header =
              repeated ??
              headerOf({ producerId, epoch, sequence: epochMove > 0 ? 0 : back < 0 ? next + 1 : next, count });
            const expected = naive.check(header);
            const check = log.states.check(header, log.end);
            expect(check.kind === 'duplicate' ? `duplicate ${check.baseOffset}` : check.kind).toBe(expected);
            if (check.kind !== 'ok') continue;
            naive.history.push({ header, base: log.append(header) });
            accepted.set(producerId, [...own, header]);
          }
        },
      ),
    );
  });

  test('a snapshot and the batches after it rebuild the state, wherever it was taken', () => {
    const event = fc.record({
      producerId: fc.integer({ min: 1, max: 5 }),
      kind: fc.constantFrom('plain', 'txn', 'commit', 'abort'),
      epoch: fc.integer({ min: 0, max: 2 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.nat(40), (events, cut) => {
        const options = { maxProducers: 4 };
        const kept = new Partition(states(options));
        const rebuilt = new Partition(states(options));
        const run = (log: Partition, { producerId, kind, epoch }: (typeof events)[number], index: number) => {
          if (kind === 'commit' || kind === 'abort')
            return log.endTransaction(producerId, { epoch, aborted: kind === 'abort' });
          log.append(headerOf({ producerId, epoch, sequence: index, transactional: kind === 'txn' }), index);
          return undefined;
        };
        for (const [index, event] of events.slice(0, cut).entries()) run(kept, event, index);
        rebuilt.states.loadSnapshot(kept.states.takeSnapshot());
        rebuilt.end = kept.end;
        kept.states.highWatermarkAdvanced(at(kept.end));
        for (const [index, event] of events.slice(cut).entries()) {
          expect(run(rebuilt, event, index)).toEqual(run(kept, event, index));
        }
        expect(rebuilt.states.takeSnapshot()).toEqual(kept.states.takeSnapshot());
        expect(rebuilt.states.firstUnstableOffset).toBe(kept.states.firstUnstableOffset);
      }),
    );
  });
});
