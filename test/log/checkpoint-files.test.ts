import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { javaPropertiesText, parseJavaProperties } from '#base/java-properties';
import {
  metaPropertiesText,
  type OffsetCheckpointEntry,
  offsetCheckpointText,
  parseMetaProperties,
  parseOffsetCheckpoint,
  parsePartitionMetadata,
  partitionMetadataText,
} from '#log/checkpoint-files';
import { nodeId, uuid } from '#model/ids';
import { at, kafkaFile } from './support.ts';

const ID = uuid('Xz0_-aBcDeFgHiJkLmNoPQ');

describe('offset checkpoints', () => {
  const entries: OffsetCheckpointEntry[] = [
    { topic: 'with-dashes.and_more', partition: 12, offset: at(5_000_000_000) },
    { topic: 't', partition: 0, offset: at(0) },
  ];

  test('as Kafka 4.3.1 wrote them are read, and written the same', () => {
    const text = kafkaFile('recovery-point-offset-checkpoint').toString();
    expect(parseOffsetCheckpoint(text)).toEqual({ value: entries });
    expect(offsetCheckpointText(entries)).toBe(text);
  });

  test('may be empty', () => {
    expect(offsetCheckpointText([])).toBe('0\n0\n');
    expect(parseOffsetCheckpoint('0\n0\n')).toEqual({ value: [] });
  });

  test('cut anywhere are an error, or all there, never something else', () => {
    const text = offsetCheckpointText(entries);
    for (let length = 0; length < text.length - 1; length += 1) {
      const parsed = parseOffsetCheckpoint(text.slice(0, length));
      expect(parsed).toHaveProperty('error');
    }
    expect(parseOffsetCheckpoint(text.slice(0, -1))).toEqual({ value: entries });
  });

  test.each([
    '0\n1\nt 0 -1\n',
    '0\n1\nt -1 0\n',
    '0\n1\nt 0\n',
    '0\n1\nt 0 1e3\n',
    '0\n1\nt 0 9007199254740993\n',
    '0\n1\nt 2147483648 0\n',
    '0\n-1\n',
    '\0\0\0',
  ])('with %j are an error', (text) => {
    expect(parseOffsetCheckpoint(text)).toHaveProperty('error');
  });

  test('never make the parser throw', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parseOffsetCheckpoint(text)).toBeTypeOf('object');
        expect(parsePartitionMetadata(text)).toBeTypeOf('object');
        expect(parseMetaProperties(text)).toBeTypeOf('object');
      }),
    );
  });
});

describe('partition.metadata', () => {
  test('KIP-516: as Kafka 4.3.1 wrote it is read, and written the same', () => {
    const text = kafkaFile('partition.metadata').toString();
    expect(parsePartitionMetadata(text)).toEqual({ value: ID });
    expect(partitionMetadataText(ID)).toBe(text);
  });

  test.each([
    '',
    'version: 0',
    `version: 1\ntopic_id: ${ID}`,
    'version: 0\ntopic_id: short',
    `topic_id: ${ID}\nversion: 0`,
    '\0'.repeat(43),
  ])('with %j is an error', (text) => {
    expect(parsePartitionMetadata(text)).toHaveProperty('error');
  });
});

describe('meta.properties', () => {
  const clusterId = 'a cluster:with=odd #chars\\ é';

  test('as Kafka 4.3.1 wrote it is read', () => {
    const text = kafkaFile('meta.properties').toString();
    expect(parseMetaProperties(text)).toEqual({ value: { clusterId, directoryId: ID, nodeId: 42 } });
  });

  test('is written so that it is read back, also before the node has a cluster', () => {
    for (const properties of [
      { clusterId, directoryId: ID, nodeId: nodeId(42) },
      { clusterId: undefined, directoryId: ID, nodeId: nodeId(0) },
    ]) {
      expect(parseMetaProperties(metaPropertiesText(properties))).toEqual({ value: properties });
    }
  });

  test.each([
    ['no version', `node.id=1\ndirectory.id=${ID}\n`],
    ['version 0', `version=0\nbroker.id=1\ndirectory.id=${ID}\n`],
    ['no directory id', 'version=1\nnode.id=1\n'],
    ['no node id', `version=1\ndirectory.id=${ID}\n`],
    ['a negative node id', `version=1\nnode.id=-1\ndirectory.id=${ID}\n`],
    ['a broken escape', `version=1\nnode.id=1\ndirectory.id=${ID}\ncluster.id=\\u12\n`],
  ])('with %s is an error', (_, text) => {
    expect(parseMetaProperties(text)).toHaveProperty('error');
  });
});

describe('java.util.Properties', () => {
  test.each([
    ['a=b', 'a', 'b'],
    ['a = b ', 'a', 'b '],
    ['a:b', 'a', 'b'],
    ['a b=c', 'a', 'b=c'],
    ['  a\t=\tb', 'a', 'b'],
    ['a', 'a', ''],
    ['a\\ b=c', 'a b', 'c'],
    ['a\\=b=c', 'a=b', 'c'],
    ['a=b\\\n   c', 'a', 'bc'],
    ['a=b\\\\\nx=y', 'a', 'b\\'],
    ['a=\\u00e9\\t\\q', 'a', 'é\tq'],
    ['a=1\na=2', 'a', '2'],
    ['# a=1\n! a=2\n\na=3', 'a', '3'],
    ['a=b\\\n#c', 'a', 'b#c'],
    ['a=b\\', 'a', 'b'],
    ['a=1\r\nb=2', 'a', '1'],
  ])('%j gives what Java makes of it', (text, key, value) => {
    const parsed = parseJavaProperties(text);
    expect(parsed.error ?? parsed.value.get(key)).toBe(value);
  });

  test('any keys and values come back as they were', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom(' ', '\\', '=', ':', '#', '!', '\t', '\n', '\r', '\f', 'u', 'é', 'a') }),
    );
    fc.assert(
      fc.property(fc.dictionary(text, text), (entries) => {
        const parsed = parseJavaProperties(javaPropertiesText(Object.entries(entries)));
        expect(parsed.error ?? Object.fromEntries(parsed.value)).toEqual({ ...entries });
      }),
    );
  });
});
