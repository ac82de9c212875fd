import { describe, expect, test } from 'vitest';
import {
  type BrokerLayers,
  ConfigSource,
  describeBrokerConfigs,
  describeTopicConfigs,
  topicDefaults,
} from '#model/config-layers';
import { parseTopicConfig } from '#model/topic-config';

function layers(
  of: Partial<Record<'perBroker' | 'clusterWide' | 'given', Record<string, string>>>,
  targetSize = 1,
): BrokerLayers {
  const map = (entries: Record<string, string> | undefined) => new Map(Object.entries(entries ?? {}));
  return { perBroker: map(of.perBroker), clusterWide: map(of.clusterWide), given: map(of.given), targetSize };
}

function topicEntry(name: string, overrides: Record<string, string>, of: BrokerLayers) {
  return describeTopicConfigs(new Map(Object.entries(overrides)), of).find((entry) => entry.name === name);
}

describe('the defaults that brokers give topics', () => {
  test.each([
    [{}, 604800000],
    [{ 'log.retention.hours': '1' }, 3600000],
    [{ 'log.retention.hours': '1', 'log.retention.minutes': '2' }, 120000],
    [{ 'log.retention.hours': '1', 'log.retention.minutes': '2', 'log.retention.ms': '3' }, 3],
    [{ 'log.retention.hours': '-1' }, -1],
  ])('retention with %j is %i ms', (given, retentionMs) => {
    expect(parseTopicConfig(new Map(), topicDefaults(layers({ given }))).retentionMs).toBe(retentionMs);
  });

  test('are the strongest layer: one broker, then all, then the file', () => {
    const name = 'message.max.bytes';
    const of = { perBroker: { [name]: '1' }, clusterWide: { [name]: '2' }, given: { [name]: '3' } };
    expect(topicDefaults(layers(of)).get('max.message.bytes')).toBe('1');
    expect(topicDefaults(layers({ ...of, perBroker: {} })).get('max.message.bytes')).toBe('2');
    expect(topicDefaults(layers({ given: of.given })).get('max.message.bytes')).toBe('3');
  });

  test.each([
    ['min.insync.replicas', '1', '2'],
    ['flush.policy', 'os', 'fsync'],
  ])('are never one broker’s own of %s, by which the controller elects leaders', (name, perBroker, clusterWide) => {
    const of = layers({ perBroker: { [name]: perBroker }, clusterWide: { [name]: clusterWide } });
    expect(topicDefaults(of).get(name)).toBe(clusterWide);
    expect(topicEntry(name, {}, of)).toMatchObject({ value: clusterWide, source: ConfigSource.DynamicDefaultBroker });
    const entry = describeBrokerConfigs(of).find((candidate) => candidate.name === name);
    expect(entry).toMatchObject({ value: clusterWide, source: ConfigSource.DynamicDefaultBroker });
  });

  test('need one in-sync replica, unless told otherwise', () => {
    expect(topicDefaults(layers({}, 3)).get('min.insync.replicas')).toBe('2');
    expect(topicDefaults(layers({ given: { 'min.insync.replicas': '1' } }, 3)).get('min.insync.replicas')).toBe('1');
  });
});

describe('describing configs (KIP-226)', () => {
  test('a topic config shows where its value comes from and what lies below', () => {
    const of = layers({ clusterWide: { 'log.segment.bytes': '2097152' } });
    expect(topicEntry('segment.bytes', {}, of)).toMatchObject({
      value: '2097152',
      source: ConfigSource.DynamicDefaultBroker,
      synonyms: [
        { name: 'log.segment.bytes', value: '2097152', source: ConfigSource.DynamicDefaultBroker },
        { name: 'log.segment.bytes', value: '1073741824', source: ConfigSource.Default },
      ],
    });
    expect(topicEntry('segment.bytes', { 'segment.bytes': '1048576' }, of)).toMatchObject({
      value: '1048576',
      source: ConfigSource.Topic,
      readOnly: false,
    });
    expect(topicEntry('retention.ms', {}, of)).toMatchObject({ value: '604800000', source: ConfigSource.Default });
  });

  test('a broker config shows what was given, as it was given', () => {
    const entries = describeBrokerConfigs(layers({ given: { 'node.id': ' 7' } }));
    const entry = (name: string) => entries.find((candidate) => candidate.name === name);
    expect(entry('node.id')).toMatchObject({ value: ' 7', source: ConfigSource.StaticBroker, readOnly: true });
    expect(entry('broker.rack')).toMatchObject({ value: null, source: ConfigSource.Default });
    expect(entry('log.retention.ms')).toMatchObject({ value: null, readOnly: false });
    expect(entries.map(({ name }) => name)).toEqual(entries.map(({ name }) => name).toSorted());
  });
});
