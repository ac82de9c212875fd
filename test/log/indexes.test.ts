import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { Parsed } from '#base/parsed';
import { fitsSegment, OffsetIndex } from '#log/offset-index';
import { SegmentIndexes } from '#log/segment-indexes';
import { TimeIndex } from '#log/time-index';
import { type AbortedTransaction, TransactionIndex } from '#log/transaction-index';
import { at, kafkaFile, pid } from './support.ts';

const BASE = at(1000);
const MIB = 1 << 20;

function parsedValue<T>(parsed: Parsed<T>): T {
  if (parsed.error !== undefined) throw new Error(parsed.error);
  return parsed.value;
}

/** Strictly ascending numbers. */
const ascending = (max: number) =>
  fc.uniqueArray(fc.nat(max), { maxLength: 60 }).map((all) => all.sort((a, b) => a - b));

describe('the offset index', () => {
  test("has Kafka's bytes, and reads them", () => {
    const index = new OffsetIndex(BASE, 64);
    index.append(at(1004), 4200);
    index.append(at(1090), 8410);
    index.append(at(2500), 12700);
    index.append(at(1000 + 0x7fff_ffff), 1_073_741_000);
    const file = kafkaFile('00000000000000001000.index');
    expect(Buffer.from(index.bytes())).toEqual(file);
    expect(parsedValue(OffsetIndex.from(BASE, 64, file, 2 ** 30)).last).toEqual({
      offset: 1000 + 0x7fff_ffff,
      position: 1_073_741_000,
    });
  });

  test('takes no entry beyond segment.index.bytes', () => {
    const index = new OffsetIndex(BASE, 17);
    index.append(at(1001), 10);
    expect(index.isFull).toBe(false);
    index.append(at(1002), 20);
    expect(index.isFull).toBe(true);
    index.append(at(1003), 30);
    expect(index.entryCount).toBe(2);
  });

  test('holds offsets up to 2^31-1 above its base', () => {
    expect(fitsSegment(BASE, at(1000 + 0x7fff_ffff))).toBe(true);
    expect(fitsSegment(BASE, at(1000 + 0x8000_0000))).toBe(false);
    expect(fitsSegment(BASE, at(999))).toBe(false);
  });

  test.each([
    ['a part of an entry', [0, 0, 0, 1, 0, 0, 0]],
    ['an offset twice', [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2]],
    ['a position that falls', [0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 8]],
    ['a negative offset', [255, 0, 0, 1, 0, 0, 0, 9]],
    ['a position beyond the segment', [0, 0, 0, 1, 0, 0, 1, 0]],
    ['a preallocated tail of zeros', [0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]],
  ])('with %s is not trusted', (_, bytes) => {
    expect(OffsetIndex.from(BASE, MIB, Uint8Array.from(bytes), 256)).toHaveProperty('error');
  });

  test('agrees with a sorted list: lookup, truncation, and after a round through the file', () => {
    fc.assert(
      fc.property(ascending(500), fc.nat(510), fc.nat(510), (offsets, target, cut) => {
        const index = new OffsetIndex(BASE, MIB);
        let list = offsets.map((relative, slot) => ({ offset: at(1000 + relative), position: slot * 100 }));
        for (const { offset, position } of list) index.append(offset, position);
        const start = { offset: BASE, position: 0 };
        const expected = () => list.findLast(({ offset }) => offset <= 1000 + target) ?? start;
        expect(index.lookup(at(1000 + target))).toEqual(expected());
        index.truncateTo(at(1000 + cut));
        list = list.filter(({ offset }) => offset < 1000 + cut);
        expect(index.entryCount).toBe(list.length);
        expect(index.last).toEqual(list.at(-1));
        expect(index.lookup(at(1000 + target))).toEqual(expected());
        const read = parsedValue(OffsetIndex.from(BASE, MIB, index.bytes().slice(), 6001));
        expect(read.lookup(at(1000 + target))).toEqual(expected());
        read.append(at(2000), 9000);
        expect(read.last).toEqual({ offset: 2000, position: 9000 });
      }),
    );
  });
});

describe('the time index', () => {
  test("has Kafka's bytes, and reads them: an equal timestamp adds nothing", () => {
    const index = new TimeIndex(BASE, 120);
    index.append(1_700_000_000_123, at(1004));
    index.append(1_700_000_000_123, at(1090));
    index.append(1_700_000_009_999, at(2400), true);
    const file = kafkaFile('00000000000000001000.timeindex');
    expect(Buffer.from(index.bytes())).toEqual(file);
    expect(parsedValue(TimeIndex.from(BASE, 120, file)).last).toEqual({ timestamp: 1_700_000_009_999, offset: 2400 });
  });

  test('keeps one place for the entry that seals the segment', () => {
    const index = new TimeIndex(BASE, 24);
    index.append(5, at(1001));
    expect(index.isFull).toBe(true);
    index.append(6, at(1002));
    expect(index.entryCount).toBe(1);
    index.append(6, at(1002), true);
    expect(index.last).toEqual({ timestamp: 6, offset: 1002 });
  });

  test.each([
    ['a part of an entry', [0, 0, 0, 0, 0, 0, 0, 1]],
    ['a timestamp twice', [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]],
    ['an offset that falls', [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4]],
    ['a negative timestamp', [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1]],
  ])('with %s is not trusted', (_, bytes) => {
    expect(TimeIndex.from(BASE, MIB, Uint8Array.from(bytes))).toHaveProperty('error');
  });

  test('agrees with a sorted list: lookup and truncation', () => {
    fc.assert(
      fc.property(ascending(500), ascending(2 ** 50), fc.nat(2 ** 50), fc.nat(510), (offsets, times, target, cut) => {
        const index = new TimeIndex(BASE, MIB);
        let list = offsets
          .slice(0, times.length)
          .map((relative, slot) => ({ timestamp: times[slot] ?? 0, offset: at(1000 + relative) }));
        for (const { timestamp, offset } of list) index.append(timestamp, offset);
        expect(index.lookup(target)).toEqual(list.findLast(({ timestamp }) => timestamp <= target));
        for (const entry of list) expect(index.lookup(entry.timestamp)).toEqual(entry);
        index.truncateTo(at(1000 + cut));
        list = list.filter(({ offset }) => offset < 1000 + cut);
        const read = parsedValue(TimeIndex.from(BASE, MIB, index.bytes().slice()));
        expect(read.entryCount).toBe(list.length);
        expect(read.lookup(target)).toEqual(list.findLast(({ timestamp }) => timestamp <= target));
      }),
    );
  });
});

describe('the indexes of a segment', () => {
  interface Batch {
    readonly last: number;
    readonly time: number;
    readonly position: number;
    readonly size: number;
  }
  const batches = fc
    .array(
      fc.record({
        count: fc.integer({ min: 1, max: 5 }),
        time: fc.integer({ min: -1, max: 30 }),
        size: fc.integer({ min: 61, max: 400 }),
      }),
      {
        maxLength: 50,
      },
    )
    .map((all) => {
      let last = BASE - 1;
      let position = 0;
      return all.map(({ count, time, size }): Batch => {
        last += count;
        position += size;
        return { last, time, position: position - size, size };
      });
    });
  const INTERVAL = 300;
  const feed = (indexes: SegmentIndexes, all: readonly Batch[]) => {
    for (const { last, time, position, size } of all) indexes.add(at(last), time, position, size, INTERVAL);
  };
  const contentOf = (indexes: SegmentIndexes) => ({
    offsets: Buffer.from(indexes.offsets.bytes()).toString('hex'),
    times: Buffer.from(indexes.times.bytes()).toString('hex'),
    max: [indexes.maxTimestamp, indexes.offsetOfMaxTimestamp],
  });

  test('get entries for a batch when more than the interval was added since the last that got some', () => {
    const indexes = SegmentIndexes.empty(BASE, MIB);
    const sizes = [INTERVAL, 61, INTERVAL - 61, 61, 61];
    let position = 0;
    sizes.forEach((size, index) => {
      indexes.add(at(1000 + index), 50 + index, position, size, INTERVAL);
      position += size;
    });
    // Exactly the interval is not yet more than it: not the second batch, but the third.
    expect(indexes.offsets.lookup(at(2000))).toEqual({ offset: 1002, position: INTERVAL + 61 });
    expect(indexes.offsets.entryCount).toBe(1);
    expect(indexes.times.last).toEqual({ timestamp: 52, offset: 1002 });
  });

  test('lead to the batch of every offset, at most an interval and a batch before it', () => {
    fc.assert(
      fc.property(batches, (all) => {
        const indexes = SegmentIndexes.empty(BASE, MIB);
        feed(indexes, all);
        let first: number = BASE;
        for (const { last, position } of all) {
          for (let offset = first; offset <= last; offset += 1) {
            const found = indexes.offsets.lookup(at(offset)).position;
            expect(found).toBeLessThanOrEqual(position);
            expect(position - found).toBeLessThanOrEqual(INTERVAL + 400);
          }
          first = last + 1;
        }
      }),
    );
  });

  test("know that every later timestamp is above an entry's offset, and the maximum", () => {
    fc.assert(
      fc.property(batches, fc.integer({ min: 0, max: 31 }), (all, target) => {
        const indexes = SegmentIndexes.empty(BASE, MIB);
        feed(indexes, all);
        const entry = indexes.times.lookup(target);
        for (const { last, time } of all)
          if (entry !== undefined && time > target) expect(last).toBeGreaterThan(entry.offset);
        const max = Math.max(-1, ...all.map(({ time }) => time));
        expect(indexes.maxTimestamp).toBe(max);
        expect(indexes.offsetOfMaxTimestamp).toBe(max < 0 ? BASE : all.find(({ time }) => time === max)?.last);
      }),
    );
  });

  test('rebuilt after a truncation equal those of a log that never went on', () => {
    fc.assert(
      fc.property(batches, fc.nat(50), (all, cut) => {
        const kept = all.slice(0, cut);
        const truncated = SegmentIndexes.empty(BASE, MIB);
        feed(truncated, all);
        truncated.seal();
        const from = truncated.truncateTo(at((kept.at(-1)?.last ?? BASE - 1) + 1));
        feed(
          truncated,
          kept.filter(({ position }) => position >= from),
        );
        const never = SegmentIndexes.empty(BASE, MIB);
        feed(never, kept);
        expect(contentOf(truncated)).toEqual(contentOf(never));
      }),
    );
  });

  test('resumed from sealed files go on as if they had never been closed, but for the seal', () => {
    fc.assert(
      fc.property(batches, fc.nat(50), (all, cut) => {
        const before = all.slice(0, cut);
        const indexes = SegmentIndexes.empty(BASE, MIB);
        feed(indexes, before);
        indexes.seal();
        const bytes = before.reduce((sum, { size }) => sum + size, 0);
        const resumed = SegmentIndexes.resume(
          parsedValue(OffsetIndex.from(BASE, MIB, indexes.offsets.bytes().slice(), Math.max(1, bytes))),
          parsedValue(TimeIndex.from(BASE, MIB, indexes.times.bytes().slice())),
          bytes,
        );
        feed(resumed, all.slice(cut));
        feed(indexes, all.slice(cut));
        expect(contentOf(resumed)).toEqual(contentOf(indexes));
      }),
    );
  });
});

describe('the transaction index', () => {
  const aborted = (producer: number, first: number, last: number, stable: number): AbortedTransaction => ({
    producerId: pid(producer),
    firstOffset: at(first),
    lastOffset: at(last),
    lastStableOffset: at(stable),
  });

  test("has Kafka's bytes, and reads them", () => {
    const all = [
      aborted(7, 1001, 1010, 1005),
      aborted(8, 1005, 1020, 1021),
      aborted(Number.MAX_SAFE_INTEGER, 900, 1500, 1501),
    ];
    const index = new TransactionIndex(BASE);
    for (const one of all) index.append(one);
    const file = kafkaFile('00000000000000001000.txnindex');
    expect(Buffer.from(index.bytes())).toEqual(file);
    const found: AbortedTransaction[] = [];
    parsedValue(TransactionIndex.from(BASE, file)).collect(at(0), at(2000), found);
    expect(found).toEqual(all);
  });

  test('KIP-98: gives those that overlap what is read, and says when no later one can', () => {
    const index = new TransactionIndex(BASE);
    index.append(aborted(1, 1000, 1010, 1005));
    index.append(aborted(2, 1005, 1020, 1021));
    index.append(aborted(3, 1030, 1040, 1041));
    const collect = (from: number, to: number) => {
      const found: AbortedTransaction[] = [];
      const complete = index.collect(at(from), at(to), found);
      return { ids: found.map(({ producerId }) => producerId), complete };
    };
    expect(collect(1000, 1003)).toEqual({ ids: [1], complete: true });
    expect(collect(1000, 1008)).toEqual({ ids: [1, 2], complete: true });
    expect(collect(1000, 1005)).toEqual({ ids: [1], complete: true });
    expect(collect(1000, 1006)).toEqual({ ids: [1, 2], complete: true });
    expect(collect(1030, 1041)).toEqual({ ids: [3], complete: true });
    expect(collect(1030, 1042)).toEqual({ ids: [3], complete: false });
    expect(collect(1011, 1025)).toEqual({ ids: [2], complete: true });
    expect(collect(1015, 1050)).toEqual({ ids: [2, 3], complete: false });
    expect(collect(1041, 1050)).toEqual({ ids: [], complete: false });
  });

  test.each([
    ['a part of an entry', (bytes: Buffer) => bytes.subarray(0, 40)],
    ['another version', (bytes: Buffer) => bytes.fill(1, 1, 2)],
    ['a marker before the segment', (bytes: Buffer) => bytes.fill(0, 18, 26)],
    ['markers that do not ascend', (bytes: Buffer) => Buffer.concat([bytes.subarray(34, 68), bytes.subarray(0, 34)])],
    ['a first offset after the marker', (bytes: Buffer) => bytes.fill(9, 16, 18)],
    ['a negative offset', (bytes: Buffer) => bytes.fill(255, 10, 18)],
  ])('with %s is not trusted', (_, damage) => {
    expect(TransactionIndex.from(BASE, damage(Buffer.from(kafkaFile('00000000000000001000.txnindex'))))).toHaveProperty(
      'error',
    );
  });

  test('agrees with a list: overlap and truncation', () => {
    fc.assert(
      fc.property(
        ascending(200),
        fc.array(fc.nat(40), { minLength: 60, maxLength: 60 }),
        fc.nat(210),
        fc.nat(210),
        fc.nat(210),
        (ends, lengths, from, to, cut) => {
          const list = ends.map((end, slot) =>
            aborted(slot, Math.max(0, 1000 + end - (lengths[slot] ?? 0)), 1000 + end, 0),
          );
          const index = new TransactionIndex(BASE);
          for (const one of list) index.append(one);
          const found: AbortedTransaction[] = [];
          index.collect(at(1000 + from), at(1000 + to), found);
          expect(found).toEqual(list.filter((one) => one.lastOffset >= 1000 + from && one.firstOffset < 1000 + to));
          index.truncateTo(at(1000 + cut));
          expect(index.entryCount).toBe(list.filter((one) => one.lastOffset < 1000 + cut).length);
        },
      ),
    );
  });

  test('a read behind a long transaction does not look at each of the aborts that it has held back', () => {
    const index = new TransactionIndex(BASE);
    for (let n = 0; n < 100_000; n += 1) index.append(aborted(n, 2000 + 3 * n, 2002 + 3 * n, 1500));
    const reads = vi.spyOn(DataView.prototype, 'getInt32');
    const found: AbortedTransaction[] = [];
    const complete = index.collect(at(30_000), at(30_010), found);
    const count = reads.mock.calls.length;
    reads.mockRestore();
    expect([found.map(({ firstOffset }) => firstOffset), complete]).toEqual([[29_999, 30_002, 30_005, 30_008], false]);
    expect(count).toBeLessThan(2_000);
  });

  test('agrees with a look at each entry, however long they took, also after a truncation', () => {
    const step = fc.record({ gap: fc.integer({ min: 1, max: 3 }), length: fc.nat(400), stable: fc.nat(3) });
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 300, maxLength: 700 }),
        fc.array(fc.tuple(fc.nat(2000), fc.nat(400)), { minLength: 5, maxLength: 5 }),
        fc.nat(2000),
        (steps, ranges, cut) => {
          let [end, stable] = [BASE as number, BASE as number];
          let list = steps.map(({ gap, length, ...each }, slot) => {
            end += gap;
            stable = Math.min(stable + each.stable, end + 1);
            return aborted(slot, Math.max(BASE, end - length), end, stable);
          });
          const index = new TransactionIndex(BASE);
          const agrees = (of: TransactionIndex): void => {
            for (const [start, length] of ranges) {
              const [from, to] = [BASE + start, BASE + start + length];
              const rest = list.filter(({ lastOffset }) => lastOffset >= from);
              const last = rest.findIndex(({ lastStableOffset }) => lastStableOffset >= to);
              const looked = last < 0 ? rest : rest.slice(0, last + 1);
              const found: AbortedTransaction[] = [];
              expect(of.collect(at(from), at(to), found)).toBe(last >= 0);
              expect(found).toEqual(looked.filter(({ firstOffset }) => firstOffset < to));
            }
          };
          for (const one of list) index.append(one);
          agrees(index);
          index.truncateTo(at(BASE + cut));
          list = list.filter(({ lastOffset }) => lastOffset < BASE + cut);
          agrees(index);
          agrees(parsedValue(TransactionIndex.from(BASE, Uint8Array.from(index.bytes()))));
        },
      ),
      { numRuns: 30 },
    );
  });
});
