import { describe, expect, it } from 'vitest';
import type { Uuid } from '#model/ids';
import { FullDirectories } from '#runtime/full-directories';

const A = 'a' as Uuid;
const HEARTBEAT_MS = 200;

/** Heartbeats that tell of a full directory from a moment until another; whether any was news, and when first. */
function tell(full: FullDirectories, from: number, until: number): number | undefined {
  let newsAt: number | undefined;
  for (let now = from; now <= until; now += HEARTBEAT_MS) if (full.note([A], now)) newsAt ??= now;
  return newsAt;
}

describe('a log directory that its broker calls full', () => {
  it('is to be left once it has been so for two seconds, which is news once', () => {
    const full = new FullDirectories();
    expect(tell(full, 0, 1_800)).toBeUndefined();
    expect(full.current(1_800)).toEqual([]);
    expect(tell(full, 2_000, 10_000)).toBe(2_000);
    expect(full.current(10_000)).toEqual([A]);
    expect(tell(full, 10_200, 20_000)).toBeUndefined();
  });

  it('is not if it has room again and again, and never lacks it for two seconds', () => {
    const full = new FullDirectories();
    for (let from = 0; from < 30_000; from += 3_000) expect(tell(full, from, from + 1_000)).toBeUndefined();
    expect(full.current(30_000)).toEqual([]);
  });

  it('gets no leaders back before it has had room for a minute', () => {
    const full = new FullDirectories();
    tell(full, 0, 4_000);
    expect(full.current(64_000)).toEqual([A]);
    expect(full.current(64_001)).toEqual([]);
    expect(tell(full, 70_000, 71_800)).toBeUndefined();
    expect(tell(full, 72_000, 72_000)).toBe(72_000);
  });
});
