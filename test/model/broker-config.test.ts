import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { assert } from '#base/assert';
import { BROKER_CONFIG_NAMES, brokerConfigDef } from '#model/broker-config';
import { INERT_BROKER_CONFIGS, LISTENER_CONFIGS, MISSING_GUARDS } from '#model/inert-config';
import { nearestConfig, parseBrokerConfig, sizedDefaults, validateDynamicConfig } from '#model/parse-broker-config';

interface KafkaConfig {
  readonly name: string;
  readonly type: string;
  readonly default: string | null;
}

const facts: { readonly broker: readonly KafkaConfig[] } = JSON.parse(
  readFileSync(new URL('../fixtures/kafka-broker-configs.json', import.meta.url), 'utf8'),
);
const kafka = new Map(facts.broker.map((config) => [config.name, config]));

/** Those that Kafka does not have. */
const OURS = [
  'cluster.target.size',
  'flush.policy',
  'http.listener',
  'log.dir.min.free.bytes',
  'log.tail.cache.bytes',
  'metrics.partition.limit',
  'peer.listener',
  'request.memory.bytes',
];

function parse(entries: Readonly<Record<string, string>>, targetSize?: number) {
  return parseBrokerConfig(new Map(Object.entries(entries)), targetSize);
}

function parsed(entries: Readonly<Record<string, string>>, targetSize?: number) {
  const result = parse(entries, targetSize);
  assert('config' in result, JSON.stringify(result));
  return result;
}

function errors(entries: Readonly<Record<string, string>>): readonly string[] {
  const result = parse(entries);
  return 'errors' in result ? result.errors : [];
}

/** Kafka's, which has them among its quotas: its list of broker configs is without them. */
const DYNAMIC_ONLY: readonly string[] = [
  'follower.replication.throttled.rate',
  'leader.replication.throttled.rate',
  'replica.alter.log.dirs.io.max.bytes.per.second',
];

describe('broker configs', () => {
  test("are Kafka's by name and type, but for our own", () => {
    expect(BROKER_CONFIG_NAMES.filter((name) => !kafka.has(name) && !DYNAMIC_ONLY.includes(name))).toEqual(OURS);
    for (const name of BROKER_CONFIG_NAMES.filter((known) => kafka.has(known))) {
      const type = kafka.get(name)?.type;
      expect(brokerConfigDef(name)?.def.type, name).toBe(type === 'SHORT' ? 'INT' : type);
    }
  });

  test("have Kafka's defaults, but for those that design.md names", () => {
    const different = BROKER_CONFIG_NAMES.filter((name) => {
      const theirs = kafka.get(name);
      return theirs !== undefined && (brokerConfigDef(name)?.def.default ?? '') !== (theirs.default ?? '');
    });
    expect(different).toEqual([
      'broker.heartbeat.interval.ms',
      'broker.session.timeout.ms',
      'listeners',
      'log.dirs',
      'node.id',
      'offsets.topic.replication.factor',
      'process.roles',
      'replica.lag.time.max.ms',
      'transaction.state.log.min.isr',
      'transaction.state.log.replication.factor',
    ]);
  });

  test('without effect are names of Kafka, and none is honoured as well', () => {
    for (const name of INERT_BROKER_CONFIGS) {
      expect(kafka.has(name), name).toBe(true);
      expect(brokerConfigDef(name), name).toBeUndefined();
    }
  });

  test('that weaken a cluster when they are ignored are unknown, not inert', () => {
    for (const name of ['sasl.enabled.mechanisms', 'ssl.client.auth', 'security.inter.broker.protocol']) {
      expect(errors({ [name]: 'x' })[0]).toContain(`Unknown config: ${name}`);
    }
  });

  test.each([...MISSING_GUARDS])(
    '%s is refused in words, since this version lacks %s, unless it is empty',
    (name, guard) => {
      expect(kafka.has(name)).toBe(true);
      expect(errors({ [name]: 'org.example.Guard' })).toEqual([
        `${name}: org.example.Guard asks for ${guard}, which this version does not have`,
      ]);
      expect(parsed({ [name]: ' ' }).inert).toEqual([]);
    },
  );
});

describe('parsing the entries of a file', () => {
  test('gives every config its default', () => {
    const { config, given, inert } = parsed({});
    expect(config).toMatchObject({
      nodeId: 1,
      listeners: ['PLAINTEXT://127.0.0.1:9092'],
      advertisedListeners: undefined,
      brokerRack: undefined,
      logDirs: ['./odradek-data'],
      requestMemoryBytes: 64 * 1024 * 1024,
      brokerSessionTimeoutMs: 2000,
      autoCreateTopicsEnable: true,
      defaultReplicationFactor: 1,
    });
    expect([given.size, inert.length]).toEqual([0, 0]);
  });

  test("reads Kafka's own server.properties, with the controller's listener as the peer listener", () => {
    const { config, inert } = parsed({
      'process.roles': 'broker,controller',
      'node.id': '7',
      'controller.quorum.bootstrap.servers': 'localhost:9093',
      listeners: 'PLAINTEXT://:9092,CONTROLLER://:9093',
      'inter.broker.listener.name': 'PLAINTEXT',
      'advertised.listeners': 'PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093',
      'controller.listener.names': 'CONTROLLER',
      'listener.security.protocol.map':
        'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL',
      'num.network.threads': '3',
      'num.io.threads': '8',
      'socket.send.buffer.bytes': '102400',
      'socket.receive.buffer.bytes': '102400',
      'socket.request.max.bytes': '104857600',
      'log.dirs': '/tmp/kraft-combined-logs',
      'num.partitions': '1',
      'num.recovery.threads.per.data.dir': '2',
      'offsets.topic.replication.factor': '1',
      'share.coordinator.state.topic.replication.factor': '1',
      'share.coordinator.state.topic.min.isr': '1',
      'transaction.state.log.replication.factor': '1',
      'transaction.state.log.min.isr': '1',
      'log.retention.hours': '168',
      'log.segment.bytes': '1073741824',
      'log.retention.check.interval.ms': '300000',
    });
    expect(config).toMatchObject({
      nodeId: 7,
      listeners: ['PLAINTEXT://:9092'],
      advertisedListeners: ['PLAINTEXT://localhost:9092'],
      peerListener: ':9093',
      logDirs: ['/tmp/kraft-combined-logs'],
    });
    expect(inert).toContain('num.io.threads');
    for (const name of LISTENER_CONFIGS) expect(inert, name).not.toContain(name);
  });

  test('reports every wrong entry, and the nearest known name of an unknown one', () => {
    expect(errors({ 'node.id': 'one', 'num.partition': '3', 'log.retenton.ms': '1', xyzzy: '1' })).toEqual([
      'Invalid value one for configuration node.id: Not a number of type INT',
      'Unknown config: num.partition (did you mean num.partitions?)',
      'Unknown config: log.retenton.ms (did you mean log.retention.ms?)',
      'Unknown config: xyzzy',
    ]);
  });

  test('takes aliases, and refuses two names with different values', () => {
    expect(parsed({ 'data-dir': '/a' }).config.logDirs).toEqual(['/a']);
    expect(parsed({ 'queued.max.request.bytes': '8388608' }).config.requestMemoryBytes).toBe(8388608);
    expect(parsed({ 'broker.id': '4', 'node.id': '4' }).config.nodeId).toBe(4);
    expect(errors({ 'broker.id': '4', 'node.id': '5' })).toEqual([
      'broker.id and node.id are the same config and have different values',
    ]);
  });

  test.each([
    [{ listeners: 'SSL://:9092' }, 'SSL'],
    [{ listeners: 'OUT://:9092', 'listener.security.protocol.map': 'OUT:SASL_SSL' }, 'SASL_SSL'],
  ])('never serves in the clear what asks for security: %j', (entries, protocol) => {
    expect(errors(entries)[0]).toContain(`asks for ${protocol}, which this version does not serve`);
  });

  test.each([
    ['PLAINTEXT://:70000', 'not of the form'],
    ['9092', 'not of the form'],
    ['A://:1,A://:2', 'different name'],
    ['A://h:1,B://h:1', 'different port'],
  ])('refuses listeners=%s', (listeners, problem) => {
    expect(errors({ listeners })[0]).toContain(problem);
  });

  test.each([
    [1, 1, '1'],
    [2, 2, '1'],
    [3, 3, '2'],
    [5, 3, '2'],
  ])('on %i brokers a topic has %i replicas, %s in sync at least, unless told otherwise', (size, factor, minIsr) => {
    expect(parsed({ 'cluster.target.size': String(size) }).config.defaultReplicationFactor).toBe(factor);
    expect(parsed({}, size).config.offsetsTopicReplicationFactor).toBe(factor);
    expect(parsed({}, size).config.transactionStateLogReplicationFactor).toBe(factor);
    expect(parsed({ 'default.replication.factor': '4' }, size).config.defaultReplicationFactor).toBe(4);
    expect(sizedDefaults(size).get('min.insync.replicas')).toBe(minIsr);
  });
});

describe('changing a broker config at run time', () => {
  test.each([
    ['log.retention.ms', '1000', 'cluster-wide', undefined],
    ['log.retention.ms', '1000', 'per-broker', undefined],
    ['log.retention.ms', 'x', 'per-broker', 'invalid'],
    ['log.retention.hours', '1', 'cluster-wide', 'read-only'],
    ['node.id', '3', 'per-broker', 'read-only'],
    ['num.io.threads', '3', 'per-broker', 'read-only'],
    ['max.connections', '10', 'cluster-wide', undefined],
    ['min.insync.replicas', '2', 'cluster-wide', undefined],
    ['min.insync.replicas', '2', 'per-broker', 'invalid'],
    ['flush.policy', 'os', 'per-broker', 'invalid'],
    ['no.such.config', '1', 'cluster-wide', 'invalid'],
  ] as const)('%s=%s for %s: %s', (name, text, scope, kind) => {
    expect(validateDynamicConfig(name, text, scope)?.kind).toBe(kind);
  });
});

describe('the nearest config', () => {
  test.each([
    ['auto.create.topic.enable', 'auto.create.topics.enable'],
    ['listener', 'listeners'],
    ['datadir', 'data-dir'],
    ['zookeeper.connect', undefined],
  ])('of %s is %s', (name, nearest) => {
    expect(nearestConfig(name)).toBe(nearest);
  });
});
