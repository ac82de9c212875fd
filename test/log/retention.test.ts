import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type RetainedSegment, type RetentionLimits, segmentAgeMs, segmentsToDelete, shouldRoll } from '#log/retention';
import { at } from './support.ts';

/** Segments of ten offsets each, from 0 on; [size, latest timestamp]. */
function segments(...all: readonly (readonly [number, number])[]): RetainedSegment[] {
  return all.map(([sizeBytes, maxTimestamp], index) => ({
    baseOffset: at(index * 10),
    sizeBytes,
    maxTimestamp,
    lastModified: 500,
  }));
}

function remove(all: readonly RetainedSegment[], limits: Partial<RetentionLimits>) {
  const end = at(all.length * 10);
  return segmentsToDelete(all, {
    retentionMs: -1,
    retentionBytes: -1,
    nowMs: 1000,
    highWatermark: end,
    logStartOffset: at(0),
    logEndOffset: end,
    ...limits,
  });
}

describe('retention.ms', () => {
  test('removes segments whose latest record is older, up to the first that stays', () => {
    const all = segments([100, 100], [100, 200], [100, 950], [100, 100], [100, 990]);
    expect(remove(all, { retentionMs: 500 })).toEqual({ reasons: ['retention-ms', 'retention-ms'], rollFirst: false });
    expect(remove(all, { retentionMs: 800 }).reasons).toHaveLength(1);
    expect(remove(all, { retentionMs: -1 }).reasons).toHaveLength(0);
  });

  test('removes the active segment, too, if all is too old, after a roll', () => {
    expect(remove(segments([100, 100], [100, 200]), { retentionMs: 500 })).toEqual({
      reasons: ['retention-ms', 'retention-ms'],
      rollFirst: true,
    });
    expect(remove(segments([100, 100], [0, -1]), { retentionMs: 400 })).toEqual({
      reasons: ['retention-ms'],
      rollFirst: false,
    });
  });

  test("goes by the file's age where no record has a timestamp", () => {
    expect(remove(segments([100, -1], [100, 1000]), { retentionMs: 499 }).reasons).toHaveLength(1);
    expect(remove(segments([100, -1], [100, 1000]), { retentionMs: 500 }).reasons).toHaveLength(0);
  });
});

describe('retention.bytes', () => {
  test('removes a segment only if what remains is still as much', () => {
    const all = segments([100, 1], [100, 1], [100, 1]);
    expect(remove(all, { retentionBytes: 200 }).reasons).toEqual(['retention-bytes']);
    expect(remove(all, { retentionBytes: 201 }).reasons).toEqual([]);
    expect(remove(all, { retentionBytes: 100 }).reasons).toHaveLength(2);
    expect(remove(all, { retentionBytes: -1 }).reasons).toEqual([]);
  });
});

describe('DeleteRecords', () => {
  test("removes segments wholly below the log's start, whatever the limits", () => {
    const all = segments([100, 999], [100, 999], [100, 999]);
    expect(remove(all, { logStartOffset: at(20) }).reasons).toEqual(['log-start', 'log-start']);
    expect(remove(all, { logStartOffset: at(19) }).reasons).toEqual(['log-start']);
    expect(remove(all, { logStartOffset: at(30) }).reasons).toEqual(['log-start', 'log-start']);
  });
});

test('nothing at or above the high watermark goes, and an empty active segment stays', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(100), fc.integer({ min: -1, max: 1000 })), { minLength: 1, maxLength: 8 }),
      fc.nat(80),
      fc.integer({ min: -1, max: 1000 }),
      fc.integer({ min: -1, max: 400 }),
      fc.nat(80),
      (all, highWatermark, retentionMs, retentionBytes, start) => {
        const list = segments(...all);
        const { reasons, rollFirst } = remove(list, {
          highWatermark: at(highWatermark),
          retentionMs,
          retentionBytes,
          logStartOffset: at(start),
        });
        expect(reasons.length * 10).toBeLessThanOrEqual(Math.max(0, highWatermark));
        expect(rollFirst).toBe(reasons.length === list.length);
        if (list.at(-1)?.sizeBytes === 0) expect(reasons.length).toBeLessThan(list.length);
        const kept = list.slice(reasons.length).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        if (reasons.at(-1) === 'retention-bytes') expect(kept).toBeGreaterThanOrEqual(retentionBytes);
      },
    ),
  );
});

describe('a roll', () => {
  const growth = {
    baseOffset: at(0),
    sizeBytes: 900,
    indexFull: false,
    ageMs: 10,
    appendBytes: 100,
    appendLastOffset: at(50),
  };
  const limits = { segmentBytes: 1000, segmentMs: 1000, jitterMs: 100 };

  test('comes when the append does not fit segment.bytes', () => {
    expect(shouldRoll(growth, limits)).toBeUndefined();
    expect(shouldRoll({ ...growth, appendBytes: 101 }, limits)).toBe('size');
  });

  test('comes when segment.ms less the jitter is over', () => {
    expect(shouldRoll({ ...growth, ageMs: 900 }, limits)).toBeUndefined();
    expect(shouldRoll({ ...growth, ageMs: 901 }, limits)).toBe('time');
  });

  test('comes when an index is full, and before an offset that the segment can not hold', () => {
    expect(shouldRoll({ ...growth, indexFull: true }, limits)).toBe('index-full');
    expect(shouldRoll({ ...growth, appendLastOffset: at(2 ** 31 - 1) }, limits)).toBeUndefined();
    expect(shouldRoll({ ...growth, appendLastOffset: at(2 ** 31) }, limits)).toBe('offset-span');
  });

  test('of an empty segment comes for its offsets only', () => {
    const empty = { ...growth, sizeBytes: 0, appendBytes: 5000, ageMs: 5000, indexFull: true };
    expect(shouldRoll(empty, limits)).toBeUndefined();
    expect(shouldRoll({ ...empty, appendLastOffset: at(2 ** 31) }, limits)).toBe('offset-span');
  });

  test("goes by the records' time: what the append brings against the first batch; by the clock without timestamps", () => {
    const clock = { createdAt: 100, nowMs: 400 };
    expect(segmentAgeMs({ firstTimestamp: 50, appendTimestamp: 60, ...clock })).toBe(10);
    expect(segmentAgeMs({ firstTimestamp: -1, appendTimestamp: 60, ...clock })).toBe(300);
  });
});
