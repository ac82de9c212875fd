import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ScanResult, SegmentScan, type SegmentScanOptions } from '#log/segment-scan';
import { lastOffset, patchBatch } from '#protocol/record-batch';
import { at, codecs, plainBatch } from './support.ts';

const BASE = at(100);

interface Found {
  readonly base: number;
  readonly last: number;
  readonly position: number;
}

function scan(file: Uint8Array, cuts: readonly number[] = [], options: Partial<SegmentScanOptions> = {}) {
  const from = options.from?.position ?? 0;
  const scanner = new SegmentScan(codecs, {
    baseOffset: BASE,
    sizeBytes: file.length,
    batchBytesMax: 1 << 20,
    ...options,
  });
  const batches: Found[] = [];
  const ends = [...new Set([...cuts.map((cut) => from + cut), file.length])].filter(
    (end) => end > from && end <= file.length,
  );
  let start = from;
  for (const end of ends.sort((a, b) => a - b)) {
    // A copy of the chunk that is spoilt afterwards: what the scan keeps, it must own.
    const chunk = file.slice(start, end);
    const goesOn = scanner.feed(chunk, (header, position, bytes) => {
      expect(Buffer.from(bytes.subarray(header.at, header.at + header.sizeBytes))).toEqual(
        Buffer.from(file.subarray(position, position + header.sizeBytes)),
      );
      batches.push({ base: header.baseOffset, last: lastOffset(header), position });
    });
    chunk.fill(0xee);
    start = end;
    if (!goesOn) break;
  }
  return { batches, ...scanner.finish() };
}

/** A segment of batches with these record counts, and where each begins. */
function segment(counts: readonly number[], leaderEpochs: readonly number[] = []) {
  let next: number = BASE;
  let position = 0;
  const batches: Found[] = [];
  const parts = counts.map((count, index) => {
    const bytes = plainBatch(next, count, { leaderEpoch: leaderEpochs[index] ?? 0, valueBytes: 1 + count });
    batches.push({ base: next, last: next + count - 1, position });
    next += count;
    position += bytes.length;
    return bytes;
  });
  return { bytes: new Uint8Array(Buffer.concat(parts)), batches, parts };
}

const counts = fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 12 });
const cuts = fc.array(fc.nat(1200), { maxLength: 30 });

function wholeBefore(batches: readonly Found[], position: number, ends: readonly number[]): readonly Found[] {
  return batches.filter((_, index) => (ends[index] ?? 0) <= position);
}

function endsOf(batches: readonly Found[], size: number): number[] {
  return batches.map((_, index) => batches[index + 1]?.position ?? size);
}

describe('a scan', () => {
  test('hands out every batch of a sound segment, however it is cut into chunks', () => {
    fc.assert(
      fc.property(counts, cuts, (all, at_) => {
        const { bytes, batches } = segment(all);
        const result = scan(bytes, at_);
        expect(result).toMatchObject({ ending: 'end', reason: '', validBytes: bytes.length, batches });
        expect(result.endOffset).toBe((batches.at(-1)?.last ?? BASE - 1) + 1);
      }),
    );
  });

  test('byte by byte gives the same', () => {
    const { bytes, batches } = segment([3, 1, 20]);
    expect(
      scan(
        bytes,
        Array.from(bytes, (_, index) => index),
      ).batches,
    ).toEqual(batches);
  });

  test('of a segment cut at any byte is torn there, with all batches before it', () => {
    const { bytes, batches } = segment([2, 5, 1]);
    const ends = endsOf(batches, bytes.length);
    for (let length = 0; length < bytes.length; length += 1) {
      const result = scan(bytes.subarray(0, length), [7, 61, 100]);
      const whole = wholeBefore(batches, length, ends);
      const validBytes = ends[whole.length - 1] ?? 0;
      expect(result.batches).toEqual(whole);
      expect(result).toMatchObject({ ending: validBytes === length ? 'end' : 'torn', validBytes });
    }
  });

  test('of a segment that ends in zeros, as a preallocated file does, is torn where they begin', () => {
    const { bytes, batches } = segment([2, 5]);
    for (const zeros of [1, 16, 17, 61, 5000]) {
      const file = new Uint8Array(bytes.length + zeros);
      file.set(bytes);
      expect(scan(file, [3, 200])).toMatchObject({ ending: 'torn', validBytes: bytes.length, batches });
    }
  });

  test('S2: no flipped bit below an end that is known goes unseen, but in the last leader epoch', () => {
    fc.assert(
      fc.property(
        counts.filter((all) => all.length > 1),
        cuts,
        fc.nat(),
        (all, at_, random) => {
          const { bytes, batches } = segment(all);
          const bit = random % (bytes.length * 8);
          const damaged = Uint8Array.from(bytes);
          damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          const hit = batches.findLastIndex(({ position }) => position <= bit >> 3);
          const inBatch = (bit >> 3) - (batches[hit]?.position ?? 0);
          const end = (batches.at(-1)?.last ?? 0) + 1;
          const result = scan(damaged, at_, { onceEnded: at(end) });
          const inOffset = inBatch < 8;
          const inEpoch = inBatch >= 12 && inBatch < 16;
          if (inEpoch && hit === batches.length - 1 && result.ending === 'end') return;
          expect(result.ending).not.toBe('end');
          expect(result.soundOffset).toBeLessThan(end);
          // An epoch or an offset that rises by damage shows when the next batch falls back.
          const last = inEpoch || inOffset ? hit + 1 : hit;
          expect(result.batches.length).toBeLessThanOrEqual(last);
          expect(result.validBytes).toBeLessThanOrEqual(batches[last]?.position ?? bytes.length);
          expect(result.batches.slice(0, hit)).toEqual(batches.slice(0, hit));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('is corrupt, not torn, where damage lies between whole batches', () => {
    const { bytes, batches } = segment([2, 5, 1]);
    const damaged = Uint8Array.from(bytes);
    damaged[(batches[1]?.position ?? 0) + 70] = 0xaa;
    expect(scan(damaged)).toMatchObject({
      ending: 'corrupt',
      validBytes: batches[1]?.position,
      reason: 'the checksum does not match',
    });
  });

  test('does not take garbage for batches, nor hold more than the size limit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), cuts, (garbage, at_) => {
        const result = scan(garbage, at_, { batchBytesMax: 100 });
        expect(result).toMatchObject({ validBytes: 0, batches: [] });
        expect(result.ending).not.toBe('end');
      }),
    );
  });

  test('takes a batch beyond the size limit for damage', () => {
    const { bytes } = segment([20]);
    expect(scan(bytes, [], { batchBytesMax: bytes.length }).ending).toBe('end');
    expect(scan(bytes, [], { batchBytesMax: bytes.length - 1 })).toMatchObject({ ending: 'corrupt', validBytes: 0 });
  });

  test('refuses magic 0 and 1, whose batches were never let in', () => {
    const { bytes } = segment([1]);
    bytes[16] = 1;
    expect(scan(bytes)).toMatchObject({ ending: 'corrupt', reason: 'magic 1' });
  });
});

describe('the order of batches', () => {
  const patched = (bytes: Uint8Array, baseOffset: number, leaderEpoch = 0) => {
    patchBatch(bytes, 0, baseOffset, leaderEpoch);
    return bytes;
  };
  const file = (...batches: Uint8Array[]) => new Uint8Array(Buffer.concat(batches));
  const outcome = ({ ending, endOffset }: ScanResult) => ({ ending, endOffset });

  test("offsets below the segment's base are damage", () => {
    expect(outcome(scan(patched(plainBatch(0, 2), 99)))).toEqual({ ending: 'misplaced', endOffset: 100 });
  });

  test('offsets that do not ascend are damage', () => {
    expect(outcome(scan(file(plainBatch(100, 3), plainBatch(102, 3))))).toEqual({
      ending: 'misplaced',
      endOffset: 103,
    });
  });

  test('of two batches out of order either may be the damaged one, if the second is whole', () => {
    const lower = plainBatch(103, 3);
    expect(scan(file(plainBatch(100, 3), plainBatch(200, 3), lower))).toMatchObject({
      endOffset: 203,
      soundOffset: 103,
    });
    lower[lower.length - 1] = 0xaa;
    expect(scan(file(plainBatch(100, 3), plainBatch(200, 3), lower))).toMatchObject({
      endOffset: 203,
      soundOffset: 203,
    });
  });

  /** One batch, after which so many bytes of a sector are left. */
  function beforeSectorEnd(left: number, leaderEpoch = 0): Uint8Array {
    const sizeBytes = 512 - left;
    const overhead = plainBatch(BASE + 1000, 1, { valueBytes: 0 }).length;
    const sizes = [0, 1, 2, 3].map((more) => sizeBytes - overhead - more);
    const found = sizes.map((valueBytes) => plainBatch(BASE + 1000, 1, { valueBytes, leaderEpoch }));
    const batch = found.find(({ length }) => length === sizeBytes);
    if (batch === undefined) throw new Error(`no batch of ${sizeBytes} bytes`);
    return batch;
  }
  const from1000 = { baseOffset: at(BASE + 1000) };

  test.each([7, 8])(
    'what was written of a batch but for the sector with %i bytes of its offset is torn, not misplaced',
    (lost) => {
      const before = beforeSectorEnd(lost);
      const written = plainBatch(BASE + 1001, 2);
      written.fill(0, 0, lost);
      expect(scan(file(before, written), [], from1000)).toMatchObject({
        ending: 'torn',
        validBytes: before.length,
        soundOffset: BASE + 1001,
      });
      // The same offset anywhere else is damage.
      expect(scan(file(plainBatch(BASE + 1000, 1), written), [], from1000).ending).toBe('misplaced');
    },
  );

  test.each([1, 6])(
    'a batch %i bytes before the end of a sector whose offset is whole is not torn for want of it',
    (left) => {
      const ofOlderEpoch = plainBatch(BASE + 1001, 2, { leaderEpoch: 3 });
      expect(scan(file(beforeSectorEnd(left, 4), ofOlderEpoch), [], from1000).ending).toBe('misplaced');
    },
  );

  test('a gap is none, as compaction leaves them', () => {
    const gap = file(plainBatch(100, 3), plainBatch(110, 3));
    expect(outcome(scan(gap))).toEqual({ ending: 'end', endOffset: 113 });
    for (const end of [103, 113, 200]) {
      expect(outcome(scan(gap, [], { onceEnded: at(end) }))).toEqual({ ending: 'end', endOffset: 113 });
    }
    for (const end of [104, 110, 112]) {
      expect(outcome(scan(gap, [], { onceEnded: at(end) }))).toEqual({ ending: 'misplaced', endOffset: 103 });
    }
  });

  test('an offset that the segment can not hold is damage', () => {
    const far = plainBatch(100 + 0x8000_0000, 1);
    expect(outcome(scan(far))).toEqual({ ending: 'misplaced', endOffset: 100 });
  });

  test('a leader epoch that falls is damage', () => {
    const { bytes, batches } = segment([1, 1, 1], [3, 4, 3]);
    expect(scan(bytes)).toMatchObject({
      ending: 'misplaced',
      validBytes: batches[2]?.position,
      reason: 'leader epoch 3 after 4',
    });
  });

  test('a scan may begin at a batch in the middle', () => {
    const { bytes, batches } = segment([2, 5, 1]);
    const from = { position: batches[1]?.position ?? 0, offset: at(102) };
    expect(scan(bytes, [50, 90], { from })).toMatchObject({
      ending: 'end',
      validBytes: bytes.length,
      endOffset: 108,
      batches: batches.slice(1),
    });
    expect(scan(bytes, [], { from: { ...from, offset: at(103) } })).toMatchObject({
      ending: 'misplaced',
      validBytes: from.position,
    });
  });
});
