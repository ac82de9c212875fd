import { describe, expect, test } from 'vitest';
import { createCodecs } from '#platform/codecs';
import { buildBatch } from '#protocol/record-batch-builder';
import { replicatedBatches } from '#protocol/replicated-batches';

const codecs = createCodecs();

function batch(baseOffset: number, count: number, leaderEpoch = 1): Uint8Array {
  const records = Array.from({ length: count }, () => ({ timestamp: 1, key: null, value: Buffer.from('v') }));
  return buildBatch({ baseOffset, leaderEpoch, records }, codecs);
}

function taken(chunks: readonly Uint8Array[], end: number, epoch = 1): unknown {
  const found = replicatedBatches(Buffer.concat(chunks), end, epoch, codecs);
  if (found.kind !== 'batches') return found.kind;
  for (const header of found.headers)
    expect(Buffer.from(found.bytes).readBigInt64BE(header.at)).toBe(BigInt(header.baseOffset));
  return found.headers.map(({ baseOffset }) => baseOffset);
}

describe('batches from a leader', () => {
  test('are taken from the end of the log on', () => {
    expect(taken([batch(0, 2), batch(2, 1), batch(3, 2)], 2)).toEqual([2, 3]);
    expect(taken([batch(0, 2)], 2)).toEqual([]);
    expect(taken([], 2)).toEqual([]);
  });

  test('may leave gaps, as compaction does', () => {
    expect(taken([batch(5, 2), batch(9, 1)], 3)).toEqual([5, 9]);
  });

  test('that are cut off at the end come with the next response', () => {
    expect(taken([batch(2, 1), batch(3, 2).subarray(0, 70)], 2)).toEqual([2]);
  });

  test('that begin below the end of the log, and go on above it, are told apart', () => {
    expect(taken([batch(0, 1), batch(1, 3)], 2)).toBe('straddling');
  });

  test.each([
    ['with a byte changed on the way', [batch(2, 1), batch(3, 1).fill(7, 65, 66)]],
    ['that go back', [batch(5, 1), batch(4, 1)]],
    ['of an epoch that the leader has not reached', [batch(2, 1, 2)]],
    ['of falling epochs', [batch(2, 1, 1), batch(3, 1, 0)]],
    ['beyond the last offset there can be', [batch(2 ** 60, 1)]],
    ['from below the first', [batch(-1, 5)]],
    ['that are none', [new Uint8Array(80).fill(255)]],
  ])('%s are refused', (_what, chunks) => {
    expect(taken(chunks, 2)).toBe('damaged');
  });
});
