import { describe, expect, test } from 'vitest';
import { recoveryDecision } from '#log/recovery';
import type { ScanEnding } from '#log/segment-scan';
import { at } from './support.ts';

/** A segment of 1,000 bytes; the scan's valid prefix is 600 of them unless it got to the end. */
function decide(
  ending: ScanEnding,
  endOffset: number,
  recoveryPoint: number,
  rest: { next?: number; sound?: number } = {},
) {
  return recoveryDecision({
    scan: {
      ending,
      reason: ending === 'end' ? '' : 'why',
      validBytes: ending === 'end' ? 1000 : 600,
      endOffset: at(endOffset),
      soundOffset: at(rest.sound ?? endOffset),
    },
    sizeBytes: 1000,
    recoveryPoint: at(recoveryPoint),
    nextBaseOffset: rest.next === undefined ? undefined : at(rest.next),
  });
}

describe('the last segment', () => {
  test('that holds what was synced, and ends whole, is clean', () => {
    expect(decide('end', 50, 50)).toEqual({ kind: 'clean' });
    expect(decide('end', 60, 50)).toEqual({ kind: 'clean' });
  });

  test('S1: a torn tail at or above the recovery point is cut after the last whole batch', () => {
    for (const endOffset of [50, 51]) {
      expect(decide('torn', endOffset, 50)).toEqual({
        kind: 'truncate',
        toBytes: 600,
        endOffset,
        dropLater: false,
        reason: 'why',
      });
    }
  });

  test('damage above the recovery point is cut, too: unsynced pages reach the disk in any order', () => {
    expect(decide('corrupt', 50, 50)).toMatchObject({ kind: 'truncate', toBytes: 600, endOffset: 50 });
  });

  test('S3: damage below the recovery point is corruption, never cut', () => {
    expect(decide('corrupt', 49, 50)).toEqual({
      kind: 'quarantine',
      reason: 'why after offset 48, but everything below 50 was synced',
    });
    expect(decide('torn', 49, 50).kind).toBe('quarantine');
  });

  test('S3: a log that ends whole, but before the recovery point, has lost synced records', () => {
    expect(decide('end', 49, 50)).toEqual({
      kind: 'quarantine',
      reason: 'ends at offset 49, but everything below 50 was synced',
    });
  });

  test('S3: where offsets claim more than what was synced, but what follows them does not, the synced part is damaged', () => {
    expect(decide('corrupt', 1_000, 50, { sound: 20 })).toEqual({
      kind: 'quarantine',
      reason: 'why after offset 19, but everything below 50 was synced',
    });
  });

  test('S3: a whole batch where none can be is no torn tail, wherever it is', () => {
    expect(decide('misplaced', 60, 50)).toEqual({ kind: 'quarantine', reason: 'why' });
    expect(decide('corrupt', 60, 50).kind).toBe('truncate');
  });
});

describe('a segment before the last', () => {
  test('that leads up to the next one is clean', () => {
    expect(decide('end', 80, 50, { next: 80 })).toEqual({ kind: 'clean' });
    expect(decide('end', 80, 100, { next: 80 })).toEqual({ kind: 'clean' });
  });

  test('cut above the recovery point takes the later ones with it: a log is a prefix of what was written', () => {
    expect(decide('torn', 70, 50, { next: 80 })).toMatchObject({
      kind: 'truncate',
      toBytes: 600,
      endOffset: 70,
      dropLater: true,
    });
    expect(decide('end', 70, 50, { next: 80 })).toMatchObject({
      kind: 'truncate',
      toBytes: 1000,
      endOffset: 70,
      dropLater: true,
    });
  });

  test('with something behind its last batch only loses that', () => {
    expect(decide('torn', 80, 50, { next: 80 })).toMatchObject({ kind: 'truncate', toBytes: 600, dropLater: false });
    expect(decide('torn', 80, 100, { next: 80 })).toMatchObject({ kind: 'truncate', toBytes: 600, dropLater: false });
  });

  test('S3: whose synced records are missing is corruption, wherever the recovery point is above them', () => {
    for (const ending of ['end', 'torn', 'corrupt'] as const) {
      expect(decide(ending, 70, 100, { next: 80 }).kind).toBe('quarantine');
      expect(decide(ending, 70, 75, { next: 80 }).kind).toBe('quarantine');
    }
  });

  test('that reaches into the next one is corruption if synced, else the next one goes', () => {
    expect(decide('end', 85, 90, { next: 80 }).kind).toBe('quarantine');
    expect(decide('end', 85, 50, { next: 80 })).toMatchObject({
      kind: 'truncate',
      toBytes: 1000,
      endOffset: 85,
      dropLater: true,
    });
  });
});
