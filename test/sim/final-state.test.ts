import { expect, test } from 'vitest';
import type { MetadataImage } from '#metadata/image';
import { takesRecords } from '#sim/final-state';

test('a partition must take records where one of those who are well leads it, with enough of them in sync and nobody else', () => {
  const takes = (
    leader: number | null,
    isr: readonly number[],
    minIsr = 2,
    replicas: readonly number[] = [1, 2, 3],
  ) => {
    const image = {
      partition: () => ({ leader, isr, replicas }),
      configs: () => new Map([['min.insync.replicas', String(minIsr)]]),
    } as unknown as MetadataImage;
    return takesRecords(image, 'data', 0, new Set([1, 2]));
  };
  expect([takes(1, [1, 2]), takes(2, [2], 1), takes(1, [1], 2, [1])]).toEqual([true, true, true]);
  expect([takes(null, []), takes(3, [3, 1]), takes(1, [1]), takes(1, [1, 3])]).toEqual([false, false, false, false]);
  const missing = { partition: () => undefined } as unknown as MetadataImage;
  expect(takesRecords(missing, 'data', 0, new Set([1]))).toBe(false);
});
