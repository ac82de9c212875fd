import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { brokerConfigDef } from '#model/broker-config';
import {
  brokerSynonyms,
  isTopicConfig,
  parseTopicConfig,
  TOPIC_CONFIG_NAMES,
  topicConfigDef,
  validateTopicConfig,
  validateTopicConfigs,
} from '#model/topic-config';

const NONE = new Map<string, string>();

interface KafkaConfig {
  readonly name: string;
  readonly type: string;
  readonly default: string | null;
}

const facts: { readonly topic: readonly KafkaConfig[] } = JSON.parse(
  readFileSync(new URL('../fixtures/kafka-topic-configs.json', import.meta.url), 'utf8'),
);

describe('topic configs', () => {
  test("are Kafka 4.3.1's 33 with their types and defaults, and flush.policy", () => {
    const ours = TOPIC_CONFIG_NAMES.filter((name) => name !== 'flush.policy').map((name) => {
      const { type, default: text } = topicConfigDef(name);
      return { name, type, default: text };
    });
    expect(ours).toEqual(facts.topic);
    expect(TOPIC_CONFIG_NAMES).toHaveLength(34);
  });

  test('all have a default that their own definition takes, and a sentence', () => {
    for (const name of TOPIC_CONFIG_NAMES) {
      const def = topicConfigDef(name);
      expect(def.read(def.default ?? '')).toHaveProperty('value');
      expect(def.doc).toMatch(/\.$/);
    }
  });

  test('have synonyms that are broker configs', () => {
    for (const name of TOPIC_CONFIG_NAMES) {
      for (const synonym of brokerSynonyms(name)) expect(brokerConfigDef(synonym.name), synonym.name).toBeDefined();
    }
  });

  test.each([
    ['retention.ms', '-2', 'Invalid value -2 for configuration retention.ms: Value must be at least -1'],
    ['retention.ms', 'soon', 'Invalid value soon for configuration retention.ms: Not a number of type LONG'],
    ['retention.ms', '9223372036854775808', 'Not a number of type LONG'],
    ['segment.bytes', '2147483648', 'Not a number of type INT'],
    ['segment.bytes', '1024', 'Value must be at least 1048576'],
    ['compression.type', 'brotli', 'String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer'],
    ['compression.gzip.level', '0', 'Value must not be 0'],
    ['compression.zstd.level', '23', 'Value must be no more than 22'],
    ['cleanup.policy', 'delete,burn', 'String must be one of: compact, delete'],
    ['cleanup.policy', 'delete,delete', 'must not be duplicated'],
    ['cleanup.policy', 'delete,', 'must not be empty'],
    ['preallocate', 'yes', 'Expected value to be either true or false'],
    ['min.cleanable.dirty.ratio', '1.5', 'Value must be no more than 1'],
    ['min.cleanable.dirty.ratio', '', 'Not a number of type DOUBLE'],
    ['flush.policy', 'never', 'String must be one of: fsync, os'],
    ['leader.replication.throttled.replicas', '1-2', '[partitionId]:[brokerId]'],
    ['remote.storage.enable', 'true', 'Tiered Storage functionality is disabled'],
    ['retention.sm', '1', 'Unknown topic config name: retention.sm'],
    ['toString', '1', 'Unknown topic config name: toString'],
    ['retention.ms', null, 'Null value not supported for topic configs: retention.ms'],
  ])('%s=%s is refused by name and reason', (name, text, problem) => {
    expect(validateTopicConfig(name, text)).toContain(problem);
    expect(validateTopicConfig(name, text)).toContain(
      isTopicConfig(name) && name !== 'remote.storage.enable' ? name : '',
    );
  });

  test.each([
    ['retention.ms', '-1'],
    ['retention.ms', ' 60000 '],
    ['flush.ms', '9223372036854775807'],
    ['cleanup.policy', 'compact, delete'],
    ['cleanup.policy', ''],
    ['follower.replication.throttled.replicas', '*'],
    ['follower.replication.throttled.replicas', '0:1,1:2'],
    ['preallocate', 'TRUE'],
    ['min.cleanable.dirty.ratio', '5e-1'],
  ])('%s=%s is accepted', (name, text) => {
    expect(validateTopicConfig(name, text)).toBeUndefined();
  });

  test('that limit each other are checked together, defaults included', () => {
    const lags = (min: string, max?: string) =>
      new Map<string, string>([
        ['min.compaction.lag.ms', min],
        ...(max === undefined ? [] : [['max.compaction.lag.ms', max] as const]),
      ]);
    expect(validateTopicConfigs(lags('10', '9'), NONE)).toContain(
      'min.compaction.lag.ms (10) > max.compaction.lag.ms (9)',
    );
    expect(validateTopicConfigs(lags('10', '10'), NONE)).toBeUndefined();
    expect(validateTopicConfigs(lags('10'), new Map([['max.compaction.lag.ms', '5']]))).toContain('conflict');
  });
});

describe('a parsed topic config', () => {
  test('takes the override, then the default given, then the built-in one', () => {
    const config = parseTopicConfig(
      new Map([['retention.ms', '1']]),
      new Map([
        ['retention.ms', '2'],
        ['segment.ms', '3'],
      ]),
    );
    expect([config.retentionMs, config.segmentMs, config.segmentBytes]).toEqual([1, 3, 1073741824]);
  });

  test('saturates Long.MAX to Infinity', () => {
    expect(parseTopicConfig(NONE, NONE).flushMs).toBe(Number.POSITIVE_INFINITY);
    expect(parseTopicConfig(new Map([['retention.bytes', '-9223372036854775808']]), NONE).retentionBytes).toBe(
      Number.NEGATIVE_INFINITY,
    );
  });

  test.each([
    ['delete', 'delete'],
    ['compact', 'compact'],
    ['delete,compact', 'compact,delete'],
    ['compact,delete', 'compact,delete'],
  ])('has cleanup.policy=%s as %s', (text, policy) => {
    expect(parseTopicConfig(new Map([['cleanup.policy', text]]), NONE).cleanupPolicy).toBe(policy);
  });

  test('keeps everything where cleanup.policy is empty (KIP-1161)', () => {
    const config = parseTopicConfig(
      new Map([
        ['cleanup.policy', ''],
        ['retention.ms', '5'],
      ]),
      NONE,
    );
    expect(config).toMatchObject({ cleanupPolicy: 'delete', retentionMs: -1, retentionBytes: -1 });
  });

  test('falls back from a stored text that is not valid any more', () => {
    expect(parseTopicConfig(new Map([['segment.bytes', '14']]), NONE).segmentBytes).toBe(1073741824);
  });
});
