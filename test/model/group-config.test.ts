import { describe, expect, test } from 'vitest';
import type { BrokerConfig } from '#model/broker-config';
import { consumerGroupSettings, validateGroupConfigs } from '#model/group-config';
import { parseBrokerConfig } from '#model/parse-broker-config';

function brokers(given: Readonly<Record<string, string>> = {}): BrokerConfig {
  const parsed = parseBrokerConfig(new Map(Object.entries(given)));
  if ('errors' in parsed) throw new Error(parsed.errors.join());
  return parsed.config;
}

describe('what holds for a consumer group', () => {
  test('is the brokers’ value where it has none of its own', () => {
    const config = brokers({ 'group.consumer.assignment.interval.ms': '20' });
    expect(consumerGroupSettings(new Map([['consumer.session.timeout.ms', '50000']]), config)).toEqual({
      assignmentIntervalMs: 20,
      heartbeatIntervalMs: 5_000,
      sessionTimeoutMs: 50_000,
    });
  });

  test('is within the brokers’ bounds, though they were others when it was set', () => {
    const overrides = new Map([
      ['consumer.session.timeout.ms', '50000'],
      ['consumer.heartbeat.interval.ms', '5000'],
    ]);
    const config = brokers({
      'group.consumer.max.session.timeout.ms': '46000',
      'group.consumer.min.heartbeat.interval.ms': '6000',
    });
    expect(consumerGroupSettings(overrides, config)).toMatchObject({
      sessionTimeoutMs: 46_000,
      heartbeatIntervalMs: 6_000,
    });
  });

  test('a session must outlast the interval of its heartbeats', () => {
    const config = brokers({ 'group.consumer.min.session.timeout.ms': '6000' });
    const wanted = new Map([
      ['consumer.session.timeout.ms', '7000'],
      ['consumer.heartbeat.interval.ms', '7000'],
    ]);
    expect(validateGroupConfigs(wanted, config)).toBe(
      'consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms',
    );
    expect(validateGroupConfigs(new Map([['consumer.session.timeout.ms', '7000']]), config)).toBeUndefined();
  });
});

test('the migration policy ignores case, and the assignors are those that exist', () => {
  expect(brokers({ 'group.consumer.migration.policy': 'UPGRADE' }).groupConsumerMigrationPolicy).toBe('UPGRADE');
  for (const [name, text] of [
    ['group.consumer.migration.policy', 'sideways'],
    ['group.consumer.assignors', 'sticky'],
    ['group.consumer.assignors', ''],
  ] as const) {
    expect(parseBrokerConfig(new Map([[name, text]]))).toHaveProperty('errors');
  }
});
