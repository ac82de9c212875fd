import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CompactableSegment, cleanableRange, isDue, segmentGroups } from '#log/compaction-plan';
import { keyHash } from '#log/key-hash';
import { OffsetMap } from '#log/offset-map';
import { type Offset, offset } from '#model/ids';

const SEGMENTS: readonly CompactableSegment[] = [0, 10, 20, 30].map((base) => ({
  baseOffset: offset(base),
  endOffset: offset(base + 10),
  sizeBytes: 100,
  firstTimestamp: 1000 + base,
  maxTimestamp: 1009 + base,
}));
const LIMITS = {
  cleanedOffset: offset(0),
  logStartOffset: offset(0),
  stableOffset: offset(40),
  nowMs: 10_000,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Number.POSITIVE_INFINITY,
};

describe('what of a log can be compacted', () => {
  test('is whole segments below the stable offset; those that were cleaned before count as clean', () => {
    expect(cleanableRange(SEGMENTS, { ...LIMITS, cleanedOffset: offset(10), stableOffset: offset(39) })).toEqual({
      firstDirty: 10,
      end: 30,
      dirtyBytes: 200,
      dirtyRatio: 2 / 3,
      isOverdue: false,
    });
  });

  test('ends at the first segment with a record that min.compaction.lag.ms protects', () => {
    const range = cleanableRange(SEGMENTS, { ...LIMITS, minCompactionLagMs: 8975 });
    expect([range.end, range.dirtyBytes]).toEqual([20, 200]);
  });

  test('is overdue by the age of the first dirty batch', () => {
    const lag = (maxCompactionLagMs: number): boolean =>
      cleanableRange(SEGMENTS, { ...LIMITS, cleanedOffset: offset(20), maxCompactionLagMs }).isOverdue;
    expect([lag(8980), lag(8979)]).toEqual([false, true]);
    const range = cleanableRange(SEGMENTS, { ...LIMITS, cleanedOffset: offset(20), maxCompactionLagMs: 8979 });
    expect([isDue(range, 1), isDue({ ...range, isOverdue: false }, 0.5), isDue(range, 0.4)]).toEqual([
      true,
      false,
      true,
    ]);
  });

  test('is nothing where all is clean, and nothing of an empty log', () => {
    expect(isDue(cleanableRange(SEGMENTS, { ...LIMITS, cleanedOffset: offset(40) }), 0)).toBe(false);
    expect(isDue(cleanableRange([], LIMITS), 0)).toBe(false);
  });
});

describe('segments that become one', () => {
  test('fit segment.bytes together', () => {
    const bases = (bytes: number): number[][] =>
      segmentGroups(SEGMENTS, bytes).map((group) => group.map(({ baseOffset }) => baseOffset));
    expect(bases(200)).toEqual([
      [0, 10],
      [20, 30],
    ]);
    expect(bases(399)).toEqual([[0, 10, 20], [30]]);
    expect(bases(99)).toEqual([[0], [10], [20], [30]]);
  });

  test('span no more offsets than an index can name', () => {
    const far = { baseOffset: offset(2 ** 31 - 1), endOffset: offset(2 ** 31 + 1), sizeBytes: 1 };
    const near = { baseOffset: offset(0), endOffset: offset(2 ** 31 - 1), sizeBytes: 1 };
    expect(segmentGroups([near, far], 1000)).toHaveLength(2);
    expect(segmentGroups([near, { ...far, endOffset: offset(2 ** 31) }], 1000)).toHaveLength(1);
  });
});

describe('the map of offsets', () => {
  const limitBytes = 1 << 26;

  test('equals a map, whatever the keys and in whatever order they come', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 400 }), fc.nat(), (keys, seed) => {
        const map = new OffsetMap([seed, ~seed], offset(1000), limitBytes);
        const model = new Map<string, number>();
        for (const [index, key] of keys.entries()) {
          const bytes = Uint8Array.of(1, 2, ...key, 3);
          expect(map.put(bytes, 2, key.length, (1000 + index) as Offset, false)).toBe(true);
          model.set(String(key), 1000 + index);
        }
        expect(map.size).toBe(model.size);
        for (const key of keys) expect(map.get(key, 0, key.length)).toBe(model.get(String(key)));
        expect(map.get(Uint8Array.of(9, 9, 9), 0, 3)).toBe(model.get('9,9,9') ?? -1);
      }),
    );
  });

  test('grows to its bound and no further; a known key still moves on, and a forced one comes in', () => {
    const map = new OffsetMap([1, 2], offset(0), 200_000);
    const key = (n: number): Buffer => Buffer.from(`key-${n}`.padEnd(20));
    let count = 0;
    while (map.put(key(count), 0, 20, offset(count), false)) count += 1;
    expect(map.usedBytes).toBeLessThanOrEqual(200_000);
    expect(count).toBeGreaterThan(3000);
    expect(map.put(key(0), 0, 20, offset(count), false)).toBe(true);
    expect(map.get(key(0), 0, 20)).toBe(count);
    expect(map.put(key(count), 0, 20, offset(count + 1), true)).toBe(true);
    expect(map.get(key(count), 0, 20)).toBe(count + 1);
  });

  test('takes keys that are longer than its chunks, and no offset that is 2³² beyond its base', () => {
    const map = new OffsetMap([1, 2], offset(5), limitBytes);
    const long = new Uint8Array(3 << 20).fill(7);
    expect(map.put(long, 0, long.length, offset(6), false)).toBe(true);
    expect(map.put(long, 0, 3, offset(7), false)).toBe(true);
    expect([map.get(long, 0, long.length), map.get(long, 0, 3)]).toEqual([6, 7]);
    expect(map.put(long, 0, 4, offset(5 + 2 ** 32 - 1), false)).toBe(true);
    expect(map.put(long, 0, 4, offset(5 + 2 ** 32), true)).toBe(false);
  });

  test('hashes by HalfSipHash-1-3: spread evenly, by a seed', () => {
    const buckets = new Uint32Array(64);
    for (let n = 0; n < 6400; n += 1) {
      const key = Buffer.from(String(n));
      const bucket = keyHash(key, 0, key.length, [n % 2, 7]) & 63;
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    expect(Math.max(...buckets)).toBeLessThan(160);
    expect(Math.min(...buckets)).toBeGreaterThan(50);
    const key = Buffer.from('abcdefg');
    expect(keyHash(key, 0, 7, [1, 2])).not.toBe(keyHash(key, 0, 7, [1, 3]));
    expect(keyHash(key, 0, 3, [1, 2])).not.toBe(keyHash(key, 0, 4, [1, 2]));
  });
});
