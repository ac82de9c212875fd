import { describe, expect, test } from 'vitest';
import { logDirName, parseLogDirName, parseSegmentFileName, renamedLogDirName, segmentFileName } from '#log/file-names';
import { at } from './support.ts';

const UNIQUE = '0123456789abcdef0123456789abcdef';

describe('segment files', () => {
  test('are called by their base offset in 20 digits', () => {
    expect(segmentFileName(at(0), '.log')).toBe('00000000000000000000.log');
    expect(segmentFileName(at(Number.MAX_SAFE_INTEGER), '.timeindex')).toBe('00009007199254740991.timeindex');
    expect(segmentFileName(at(1234), '.txnindex', '.deleted')).toBe('00000000000000001234.txnindex.deleted');
  });

  test.each(['.log', '.index', '.timeindex', '.txnindex', '.snapshot'] as const)(
    '%s is read back with every suffix',
    (extension) => {
      for (const suffix of ['', '.deleted', '.cleaned', '.swap'] as const) {
        expect(parseSegmentFileName(segmentFileName(at(1234), extension, suffix))).toEqual({
          baseOffset: 1234,
          extension,
          suffix,
        });
      }
    },
  );

  test.each([
    '1234.log',
    '00000000000000000000.txt',
    '00000000000000000000.log.bak',
    '99999999999999999999.log',
    '00000000000000000000log',
    'leader-epoch-checkpoint',
    'partition.metadata',
    '',
  ])('%j is none', (name) => {
    expect(parseSegmentFileName(name)).toBeUndefined();
  });
});

describe('folders of logs', () => {
  test.each([
    ['topic-0', 'topic', 0],
    ['a-b-12', 'a-b', 12],
    ['a.b_c-2147483647', 'a.b_c', 2147483647],
    ['x-delete-3', 'x-delete', 3],
    ['7-7', '7', 7],
    ['--1', '-', 1],
  ])('%s is topic %s, partition %i', (name, topic, partition) => {
    expect(parseLogDirName(name)).toEqual({ topic, partition, suffix: '' });
    expect(logDirName(topic, partition)).toBe(name);
  });

  test.each(['-delete', '-stray'] as const)('renamed with %s are told apart from live ones', (suffix) => {
    const name = renamedLogDirName('a-b.c', 3, UNIQUE, suffix);
    expect(name).toBe(`a-b.c-3.${UNIQUE}${suffix}`);
    expect(parseLogDirName(name)).toEqual({ topic: 'a-b.c', partition: 3, suffix });
  });

  test("a renamed one of the longest topic still fits a folder's name", () => {
    const name = renamedLogDirName('t'.repeat(249), 2147483647, UNIQUE, '-delete');
    expect(name).toHaveLength(255);
    expect(parseLogDirName(name)).toMatchObject({ partition: 2147483647, suffix: '-delete' });
  });

  test.each([
    'topic',
    'topic-',
    '-1',
    'topic--',
    'topic-01',
    'topic-x',
    'topic-2147483648',
    'a b-1',
    `topic-0.${UNIQUE}-gone`,
    'topic-0.123-delete',
    'journal',
  ])('%s is none', (name) => {
    expect(parseLogDirName(name)).toBeUndefined();
  });
});
