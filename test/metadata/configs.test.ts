import { describe, expect, test } from 'vitest';
import { AlterOperation, type ConfigChange } from '#metadata/configs';
import { ResourceType } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { TestCluster } from './support.ts';

const { Set: SET, Delete: DELETE, Append: APPEND, Subtract: SUBTRACT } = AlterOperation;

function change(key: string, operation: number, value: string | null): ConfigChange {
  return { key, operation, value };
}

function alter(
  cluster: TestCluster,
  type: number,
  name: string,
  changes: readonly ConfigChange[],
  validateOnly = false,
) {
  return cluster.run('incrementalAlterConfigs', { validateOnly, resources: [{ type, name, changes }] })[0];
}

function withTopic(given: Readonly<Record<string, string>> = {}): TestCluster {
  const cluster = TestCluster.withBrokers(1, given);
  cluster.create('t', { configs: { 'retention.ms': '5', 'cleanup.policy': 'delete' } });
  return cluster;
}

const configsOf = (cluster: TestCluster, type: ResourceType, name: string) =>
  Object.fromEntries(cluster.image.configs(type, name));

/** Counts how often all of it is read. */
class GivenConfigs extends Map<string, string> {
  reads = 0;

  override [Symbol.iterator](): MapIterator<[string, string]> {
    this.reads += 1;
    return super[Symbol.iterator]();
  }
}

test('what the cluster is given is read once for all resources of a request: a turn alters thousands', () => {
  const cluster = withTopic();
  const topics = Array.from({ length: 50 }, (_, at) => cluster.create(`t${at}`).name);
  const given = new GivenConfigs();
  Object.defineProperty(cluster, 'given', { value: given });
  const reads = (names: readonly string[]): number => {
    given.reads = 0;
    const changes = [change('segment.ms', SET, '9'), change('cleanup.policy', APPEND, 'compact')];
    const resources = names.map((name) => ({ type: ResourceType.Topic, name, changes }));
    const altered = cluster.run('incrementalAlterConfigs', { validateOnly: false, resources });
    expect(new Set(altered.map(({ errorCode }) => errorCode))).toEqual(new Set([ErrorCode.None]));
    return given.reads;
  };
  expect(reads(topics)).toBe(reads(['t']));
});

describe('IncrementalAlterConfigs (KIP-339)', () => {
  test('sets, deletes, appends and subtracts, and leaves the rest', () => {
    const cluster = withTopic();
    const changes = [
      change('segment.ms', SET, '9'),
      change('retention.ms', DELETE, null),
      change('cleanup.policy', APPEND, 'compact'),
    ];
    expect(alter(cluster, ResourceType.Topic, 't', changes)?.errorCode).toBe(ErrorCode.None);
    expect(configsOf(cluster, ResourceType.Topic, 't')).toEqual({
      'segment.ms': '9',
      'cleanup.policy': 'delete,compact',
    });
    alter(cluster, ResourceType.Topic, 't', [change('cleanup.policy', SUBTRACT, 'delete')]);
    expect(configsOf(cluster, ResourceType.Topic, 't')).toEqual({ 'segment.ms': '9', 'cleanup.policy': 'compact' });
  });

  test('appends to the default where nothing is set, and once', () => {
    const cluster = withTopic({ 'log.cleanup.policy': 'compact' });
    cluster.create('plain');
    alter(cluster, ResourceType.Topic, 'plain', [change('cleanup.policy', APPEND, 'delete,compact')]);
    expect(configsOf(cluster, ResourceType.Topic, 'plain')).toEqual({ 'cleanup.policy': 'compact,delete' });
  });

  test('writes no record for what stays the same, and none when only validated', () => {
    const cluster = withTopic();
    alter(cluster, ResourceType.Topic, 't', [change('retention.ms', SET, '5'), change('segment.ms', DELETE, null)]);
    expect(cluster.lastRecords).toEqual([]);
    expect(alter(cluster, ResourceType.Topic, 't', [change('retention.ms', SET, '6')], true)?.errorCode).toBe(
      ErrorCode.None,
    );
    expect(cluster.lastRecords).toEqual([]);
  });

  test.each<readonly [number, string, readonly ConfigChange[], ErrorCode, string]>([
    [2, 'none', [], ErrorCode.UnknownTopicOrPartition, "The topic 'none' does not exist."],
    [2, 't', [change('no.such', SET, '1')], ErrorCode.InvalidConfig, 'Unknown topic config name: no.such'],
    [
      2,
      't',
      [change('retention.ms', SET, 'x')],
      ErrorCode.InvalidConfig,
      'Invalid value x for configuration retention.ms',
    ],
    [
      2,
      't',
      [change('retention.ms', SET, null)],
      ErrorCode.InvalidRequest,
      'Null value not supported for : retention.ms',
    ],
    [
      2,
      't',
      [change('retention.ms', APPEND, '1')],
      ErrorCode.InvalidConfig,
      "Can't APPEND to key retention.ms because its type is not LIST.",
    ],
    [2, 't', [change('retention.ms', SUBTRACT, '1')], ErrorCode.InvalidConfig, "Can't SUBTRACT to key retention.ms"],
    [2, 't', [change('retention.ms', 9, '1')], ErrorCode.InvalidRequest, 'Unknown config operation 9'],
    [
      2,
      't',
      [change('segment.ms', SET, '1'), change('segment.ms', SET, '2')],
      ErrorCode.InvalidRequest,
      'Error due to duplicate config keys: segment.ms',
    ],
    [
      2,
      't',
      [change('min.compaction.lag.ms', SET, '9'), change('max.compaction.lag.ms', SET, '8')],
      ErrorCode.InvalidConfig,
      'min.compaction.lag.ms (9)',
    ],
    [
      2,
      't',
      [change('cleanup.policy', SET, 'x'.repeat(40_000))],
      ErrorCode.InvalidConfig,
      'exceeds the maximum value size',
    ],
    [
      4,
      'one',
      [],
      ErrorCode.InvalidRequest,
      'Node id must be an integer or empty for cluster defaults, but it is: one',
    ],
    [4, '007', [], ErrorCode.InvalidRequest, 'Node id must be an integer'],
    [4, '9', [], ErrorCode.BrokerIdNotRegistered, 'No broker with id 9 found.'],
    [
      4,
      '1',
      [change('node.id', SET, '2')],
      ErrorCode.InvalidRequest,
      'Cannot update these configs dynamically: Set(node.id)',
    ],
    [
      4,
      '1',
      [change('min.insync.replicas', SET, '1')],
      ErrorCode.InvalidConfig,
      'min.insync.replicas cannot be set for one broker',
    ],
    [4, '1', [change('flush.policy', SET, 'os')], ErrorCode.InvalidConfig, 'flush.policy cannot be set for one broker'],
    [4, '', [change('no.such', SET, '2')], ErrorCode.InvalidConfig, 'Unknown broker config name: no.such'],
    [
      4,
      '',
      [change('log.segment.bytes', SET, '2')],
      ErrorCode.InvalidConfig,
      'Invalid value 2 for configuration log.segment.bytes',
    ],
    [32, '', [], ErrorCode.InvalidRequest, 'Default group resources are not allowed.'],
    [32, 'g', [change('no.such', SET, '2')], ErrorCode.InvalidConfig, 'Unknown group config name: no.such'],
    [32, 'g', [change('consumer.session.timeout.ms', SET, 'x')], ErrorCode.InvalidConfig, 'Not a number of type INT'],
    [
      32,
      'g',
      [change('consumer.session.timeout.ms', SET, '44999')],
      ErrorCode.InvalidConfig,
      'consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms',
    ],
    [
      32,
      'g',
      [change('consumer.heartbeat.interval.ms', SET, '15001')],
      ErrorCode.InvalidConfig,
      'consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms',
    ],
    [8, '1', [], ErrorCode.InvalidRequest, 'resource type 8'],
    [99, '1', [], ErrorCode.InvalidRequest, 'resource type 99'],
  ])('of %i/%s with %j is refused', (type, name, changes, code, message) => {
    const cluster = withTopic();
    const result = alter(cluster, type, name, changes);
    expect(result).toMatchObject({ type, name, errorCode: code });
    expect(result?.message).toContain(message);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('a group has configs though nobody is in it, within the bounds of the brokers', () => {
    const cluster = TestCluster.withBrokers(1, { 'group.consumer.min.session.timeout.ms': '6000' });
    const changes = [change('consumer.session.timeout.ms', SET, '6000')];
    expect(alter(cluster, ResourceType.Group, 'g', changes)?.errorCode).toBe(ErrorCode.None);
    expect(configsOf(cluster, ResourceType.Group, 'g')).toEqual({ 'consumer.session.timeout.ms': '6000' });
  });

  test('each resource stands for itself, and only once', () => {
    const cluster = withTopic();
    const resource = (name: string, value: string) => ({
      type: ResourceType.Topic,
      name,
      changes: [change('segment.ms', SET, value)],
    });
    cluster.create('u');
    cluster.create('v');
    const results = cluster.run('incrementalAlterConfigs', {
      validateOnly: false,
      resources: [resource('t', '1'), resource('u', 'x'), resource('v', '1'), resource('v', '2')],
    });
    expect(results.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['t', ErrorCode.None],
      ['u', ErrorCode.InvalidConfig],
      ['v', ErrorCode.InvalidRequest],
    ]);
    expect(configsOf(cluster, ResourceType.Topic, 't')).toMatchObject({ 'segment.ms': '1' });
    expect(configsOf(cluster, ResourceType.Topic, 'v')).toEqual({});
  });

  test('a broker config is set for one broker or for all', () => {
    const cluster = withTopic();
    alter(cluster, ResourceType.Broker, '1', [change('log.retention.ms', SET, '7')]);
    alter(cluster, ResourceType.Broker, '', [change('log.cleanup.policy', APPEND, 'compact')]);
    expect(configsOf(cluster, ResourceType.Broker, '1')).toEqual({ 'log.retention.ms': '7' });
    expect(configsOf(cluster, ResourceType.Broker, '')).toEqual({ 'log.cleanup.policy': 'delete,compact' });
    expect([...cluster.image.configuredNames(ResourceType.Broker)].sort()).toEqual(['', '1']);
  });

  test.each([
    ['min.insync.replicas', '1'],
    ['flush.policy', 'os'],
  ])('%s is set for the cluster, and what an earlier version has set for one broker goes', (key, value) => {
    const cluster = withTopic();
    alter(cluster, ResourceType.Broker, '', [change(key, SET, value)]);
    expect(configsOf(cluster, ResourceType.Broker, '')).toEqual({ [key]: value });
    cluster.replay([{ kind: 'config', resourceType: ResourceType.Broker, resourceName: '1', key, value }]);
    alter(cluster, ResourceType.Broker, '1', [change('log.retention.ms', SET, '7'), change(key, DELETE, null)]);
    expect(configsOf(cluster, ResourceType.Broker, '1')).toEqual({ 'log.retention.ms': '7' });
  });

  test("a topic's limits are checked against the cluster's changed defaults", () => {
    const cluster = withTopic();
    alter(cluster, ResourceType.Broker, '', [change('log.cleaner.max.compaction.lag.ms', SET, '10')]);
    expect(alter(cluster, ResourceType.Topic, 't', [change('min.compaction.lag.ms', SET, '11')])?.errorCode).toBe(
      ErrorCode.InvalidConfig,
    );
    expect(alter(cluster, ResourceType.Topic, 't', [change('min.compaction.lag.ms', SET, '10')])?.errorCode).toBe(
      ErrorCode.None,
    );
  });
});

describe('AlterConfigs', () => {
  test('replaces all that is set', () => {
    const cluster = withTopic();
    const results = cluster.run('alterConfigs', {
      validateOnly: false,
      resources: [{ type: ResourceType.Topic, name: 't', changes: [{ key: 'segment.ms', value: '9' }] }],
    });
    expect(results).toMatchObject([{ errorCode: ErrorCode.None }]);
    expect(configsOf(cluster, ResourceType.Topic, 't')).toEqual({ 'segment.ms': '9' });
  });

  test('refuses null and duplicates, and changes nothing when only validated', () => {
    const cluster = withTopic();
    const run = (changes: readonly { key: string; value: string | null }[], validateOnly = false) =>
      cluster.run('alterConfigs', { validateOnly, resources: [{ type: ResourceType.Topic, name: 't', changes }] })[0]
        ?.errorCode;
    expect(run([{ key: 'segment.ms', value: null }])).toBe(ErrorCode.InvalidConfig);
    expect(
      run([
        { key: 'segment.ms', value: '1' },
        { key: 'segment.ms', value: '2' },
      ]),
    ).toBe(ErrorCode.InvalidRequest);
    expect(run([], true)).toBe(ErrorCode.None);
    expect(configsOf(cluster, ResourceType.Topic, 't')).toEqual({ 'retention.ms': '5', 'cleanup.policy': 'delete' });
  });
});
