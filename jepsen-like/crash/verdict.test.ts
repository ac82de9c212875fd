import { describe, expect, test } from 'vitest';
import { judge, parseColumns, type RecordColumns } from './verdict.ts';

/** Rows of [partition, number, offset], through the bytes that the Python side writes. */
function columns(...rows: readonly (readonly [number, number, number])[]): RecordColumns {
  const bytes = Buffer.alloc(rows.length * 16);
  for (const [i, [partition, number, offset]] of rows.entries()) {
    bytes.writeUInt32BE(partition, i * 16);
    bytes.writeUInt32BE(number, i * 16 + 4);
    bytes.writeBigUInt64BE(BigInt(offset), i * 16 + 8);
  }
  return parseColumns(bytes);
}

const clean = { lost: 0, moved: 0, duplicated: 0, disordered: 0, first: undefined };

describe('the verdict of the crash test', () => {
  test('a log that holds what was acknowledged, and more, is clean', () => {
    const verdict = judge(columns([0, 0, 0], [1, 0, 0]), columns([0, 0, 0], [1, 0, 0], [1, 1, 1]));
    expect(verdict).toEqual({ ...clean, acknowledged: 2, read: 3 });
  });

  test('an acknowledged record that is not in the log is lost', () => {
    const verdict = judge(columns([0, 0, 0], [0, 1, 1]), columns([0, 0, 0]));
    expect(verdict).toMatchObject({ lost: 1, first: 'acknowledged and lost: number 1 of partition 0, offset 1' });
  });

  test('the same number in another partition does not stand in for it', () => {
    expect(judge(columns([0, 7, 0]), columns([1, 7, 0])).lost).toBe(1);
  });

  test('a record found twice is a duplicate', () => {
    expect(judge(columns([0, 0, 0]), columns([0, 0, 0], [0, 0, 1]))).toMatchObject({ duplicated: 1, lost: 0 });
  });

  test('a record behind a later one is out of order', () => {
    expect(judge(columns(), columns([0, 1, 0], [0, 0, 1]))).toMatchObject({ disordered: 1, duplicated: 0 });
  });

  test('a record at another offset than the acknowledged one has moved', () => {
    expect(judge(columns([0, 0, 5]), columns([0, 0, 6]))).toMatchObject({ moved: 1, lost: 0 });
  });

  test('a torn file is refused', () => {
    expect(() => parseColumns(Buffer.alloc(17))).toThrow('17 bytes');
  });
});
