import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { resolveConfig, type Sources, UsageError } from '../../src/cli/config-sources.ts';
import { repositoryRoot } from '../support/odradek-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('config');
afterAll(() => folder[Symbol.dispose]());

let fileCount = 0;
function file(suffix: string, text: string): string {
  fileCount += 1;
  const path = join(folder.path, `${fileCount}${suffix}`);
  writeFileSync(path, text);
  return path;
}
const yaml = (text: string) => file('.yaml', text);
const properties = (text: string) => file('.properties', text);

type Given = Partial<Omit<Sources, 'flags' | 'defaults'>> & {
  readonly flags?: Readonly<Record<string, string>>;
  readonly defaults?: Readonly<Record<string, string>>;
};

function resolved(given: Given) {
  return resolveConfig({
    flags: new Map(Object.entries(given.flags ?? {})),
    set: given.set ?? [],
    environment: given.environment ?? {},
    file: given.file,
    defaults: new Map(Object.entries(given.defaults ?? {})),
  }).config;
}

function complaint(given: Given): string {
  try {
    resolved(given);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

describe('the sources of a config', () => {
  test('rank flag before environment before file before default', () => {
    const sources = {
      defaults: { 'num.partitions': '1' },
      file: yaml('num.partitions: 2'),
      environment: { ODRADEK_NUM_PARTITIONS: '3' },
      flags: { 'num.partitions': '4' },
      set: ['num.partitions=5'],
    };
    const { defaults, file: path, environment, flags } = sources;
    expect(resolved({}).numPartitions).toBe(1);
    expect(resolved({ defaults: { 'num.partitions': '7' } }).numPartitions).toBe(7);
    expect(resolved({ defaults, file: path }).numPartitions).toBe(2);
    expect(resolved({ defaults, file: path, environment }).numPartitions).toBe(3);
    expect(resolved({ defaults, file: path, environment, flags }).numPartitions).toBe(4);
    expect(resolved(sources).numPartitions).toBe(5);
  });

  test('take ODRADEK_ variables before KAFKA_ ones, which serve compose files for Kafka', () => {
    const environment = { KAFKA_NUM_PARTITIONS: '3' };
    expect(resolved({ environment }).numPartitions).toBe(3);
    expect(resolved({ environment: { ...environment, ODRADEK_NUM_PARTITIONS: '4' } }).numPartitions).toBe(4);
  });

  test('find the stronger source whichever of its names a config goes by', () => {
    const path = properties('log.dirs=/file');
    expect(resolved({ file: path }).logDirs).toEqual(['/file']);
    expect(resolved({ file: path, environment: { ODRADEK_DATA_DIR: '/env' } }).logDirs).toEqual(['/env']);
    expect(resolved({ file: yaml('data-dir: /yaml'), flags: { 'log.dirs': '/flag' } }).logDirs).toEqual(['/flag']);
    expect(resolved({ file: path, set: ['data-dir=/set'] }).logDirs).toEqual(['/set']);
    expect(resolved({ flags: { 'log.dirs': '/flag' }, set: ['log.dir=/set'] }).logDirs).toEqual(['/set']);
    const both = { KAFKA_BROKER_ID: '4', ODRADEK_NODE_ID: '5' };
    expect(resolved({ environment: both }).nodeId).toBe(5);
  });

  test('refuse one config under two names within one source when the values differ', () => {
    expect(complaint({ file: yaml('data-dir: /a\nlog.dirs: /b') })).toMatch(
      /data-dir and log\.dirs are the same config/,
    );
    const environment = { ODRADEK_DATA_DIR: '/a', ODRADEK_LOG_DIRS: '/b' };
    expect(complaint({ environment })).toMatch(/are the same config/);
  });

  test.each([
    ['flat', 'connections.max.idle.ms: 60000\nnum.partitions: 6'],
    ['nested', 'connections:\n  max:\n    idle:\n      ms: 60000\nnum:\n  partitions: 6'],
    ['mixed', 'connections.max:\n  idle.ms: 60000\nnum.partitions: 6'],
  ])('may be YAML with %s keys', (_shape, text) => {
    expect(resolved({ file: yaml(text) })).toMatchObject({ connectionsMaxIdleMs: 60_000, numPartitions: 6 });
  });

  test('may be YAML with lists, empty, or only comments', () => {
    expect(resolved({ file: yaml('log:\n  dirs: [/a, /b]') }).logDirs).toEqual(['/a', '/b']);
    expect(resolved({ file: yaml('listeners:\n  - PLAINTEXT://a:1\n  - INNER://b:2') }).listeners).toHaveLength(2);
    expect(resolved({ file: yaml('') }).numPartitions).toBe(1);
    expect(resolved({ file: yaml('# nothing') }).numPartitions).toBe(1);
  });

  test("may be Kafka's server.properties", () => {
    const path = properties('# The id\nbroker.id=7\nlog.dirs=/a,/b\nnum.network.threads=3\nmax.connections = 9\n');
    expect(resolved({ file: path })).toMatchObject({ nodeId: 7, logDirs: ['/a', '/b'], maxConnections: 9 });
  });

  test.each<readonly [string, Given, RegExp]>([
    ['a YAML key', { file: yaml('num.partition: 2') }, /num\.partition \(did you mean num\.partitions\?\)/],
    ['a nested YAML key', { file: yaml('num:\n  partitons: 2') }, /num\.partitons \(did you mean num\.partitions\?\)/],
    ['a property', { file: properties('log.dirz=/a') }, /log\.dirz \(did you mean log\.dirs?\?\)/],
    ['--set', { set: ['log.retentoin.ms=1'] }, /log\.retentoin\.ms \(did you mean log\.retention\.ms\?\)/],
    [
      'an ODRADEK_ variable',
      { environment: { ODRADEK_NUM_PARTITION: '2' } },
      /ODRADEK_NUM_PARTITION .*ODRADEK_NUM_PARTITIONS\?/,
    ],
  ])('name the nearest known config when %s is unknown', (_source, given, message) => {
    expect(complaint(given)).toMatch(message);
  });

  test('leave KAFKA_ variables alone that name no config of ours', () => {
    expect(() => resolved({ environment: { KAFKA_HEAP_OPTS: '-Xmx1g', KAFKA_NUM_PARTITION: '2' } })).not.toThrow();
  });

  test('leave alone what Kubernetes says of a Service called odradek, and nothing that only looks like it', () => {
    const environment = {
      ODRADEK_SERVICE_HOST: '10.0.171.239',
      ODRADEK_SERVICE_PORT: '9092',
      ODRADEK_SERVICE_PORT_KAFKA: '9092',
      ODRADEK_PORT: 'tcp://10.0.171.239:9092',
      ODRADEK_PORT_9092_TCP: 'tcp://10.0.171.239:9092',
      ODRADEK_PORT_9092_TCP_PROTO: 'tcp',
      ODRADEK_PORT_9092_TCP_PORT: '9092',
      ODRADEK_PORT_9092_TCP_ADDR: '10.0.171.239',
      ODRADEK_0_SERVICE_HOST: '10.0.171.240',
      ODRADEK_0_PORT: 'tcp://10.0.171.240:9092',
    };
    expect(() => resolved({ environment })).not.toThrow();
    expect(complaint({ environment: { ODRADEK_PORT: '9092' } })).toMatch(/ODRADEK_PORT names no config/);
    expect(complaint({ environment: { ODRADEK_SERVICE: 'a' } })).toMatch(/ODRADEK_SERVICE names no config/);
  });

  test.each(['', 'num.partitions', '=5', ' =5'])('refuse --set %j, which is no KEY=VALUE', (text) => {
    expect(complaint({ set: [text] })).toMatch(/--set takes KEY=VALUE/);
  });

  test('take whatever stands behind the first = of --set as the value', () => {
    expect(resolved({ set: ['broker.rack = a=b '] }).brokerRack).toBe('a=b');
  });

  test('report every wrong entry at once', () => {
    const message = complaint({ set: ['num.partitions=none', 'no.such.config.at.all=1'] });
    expect(message).toMatch(/num\.partitions/);
    expect(message).toMatch(/no\.such\.config\.at\.all/);
  });

  test.each<readonly [string, string, RegExp]>([
    ['is missing', join(folder.path, 'nowhere.yaml'), /cannot be read: ENOENT/],
    ['is no YAML', yaml('a: [1,'), /is not YAML/],
    ['is a YAML list', yaml('- a'), /keys and values are expected/],
    ['has a bad escape', properties('a=\\u12'), /malformed/],
  ])('say so when the file %s', (_what, path, message) => {
    expect(complaint({ file: path })).toMatch(message);
  });

  test('refuse a listener that asks for TLS rather than serve it in the clear', () => {
    expect(complaint({ flags: { listeners: 'SSL://127.0.0.1:9093' } })).toMatch(
      /SSL, which this version does not serve/,
    );
    const environment = {
      KAFKA_LISTENERS: 'OUTER://0.0.0.0:9092',
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'OUTER:SASL_SSL',
    };
    expect(complaint({ environment })).toMatch(/OUTER:.* asks for SASL_SSL/);
  });

  test('refuse an authorizer, which this version lacks, also where a compose file for Kafka asks for it', () => {
    const environment = { KAFKA_AUTHORIZER_CLASS_NAME: 'org.apache.kafka.metadata.authorizer.StandardAuthorizer' };
    expect(complaint({ environment })).toMatch(/authorizer\.class\.name: .*StandardAuthorizer asks for an authorizer/);
    expect(() => resolved({ environment: { KAFKA_AUTHORIZER_CLASS_NAME: '' } })).not.toThrow();
  });

  test("take the roles and the quorum of Kafka's file for a single node", () => {
    const text = [
      'process.roles=controller,broker',
      'node.id=3',
      'controller.quorum.voters=3@localhost:9093',
      'controller.quorum.bootstrap.servers=localhost:9093',
      'listeners=PLAINTEXT://:9092,CONTROLLER://:9093',
      'advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093',
      'controller.listener.names=CONTROLLER',
      'listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL',
    ];
    expect(resolved({ file: properties(text.join('\n')) })).toMatchObject({
      nodeId: 3,
      listeners: ['PLAINTEXT://:9092'],
      advertisedListeners: ['PLAINTEXT://localhost:9092'],
    });
  });

  test('refuse an empty log.dirs', () => {
    expect(complaint({ set: ['log.dirs='] })).toMatch(/^log\.dirs \(--data-dir\) names no folder/);
    expect(complaint({ file: yaml('log.dirs: []') })).toMatch(/^log\.dirs \(--data-dir\) names no folder/);
    expect(complaint({ set: ['log.dirs=/a,,/b'] })).toMatch(/log\.dirs: Configuration values must not be empty/);
  });

  test("take the container image's file, under the variables of a compose file for Kafka", () => {
    const file = join(repositoryRoot, 'deploy/docker.yaml');
    expect(resolved({ file })).toMatchObject({
      listeners: ['PLAINTEXT://0.0.0.0:9092'],
      httpListener: '0.0.0.0:9094',
      logDirs: ['/var/lib/odradek'],
    });
    const environment = {
      KAFKA_NODE_ID: '2',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '2@broker:29093',
      KAFKA_LISTENERS: 'INNER://broker:29092,CONTROLLER://broker:29093,HOST://0.0.0.0:9092',
      KAFKA_ADVERTISED_LISTENERS: 'INNER://broker:29092,HOST://localhost:9092',
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'CONTROLLER:PLAINTEXT,INNER:PLAINTEXT,HOST:PLAINTEXT',
      KAFKA_INTER_BROKER_LISTENER_NAME: 'INNER',
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_HEAP_OPTS: '-Xmx1g',
      CLUSTER_ID: 'MkU3OEVBNTcwNTJENDM2Qk',
    };
    expect(resolved({ file, environment: { ODRADEK_LISTENERS: 'OUTSIDE://0.0.0.0:9092' } }).listeners).toHaveLength(1);
    expect(resolved({ file, environment })).toMatchObject({
      nodeId: 2,
      listeners: ['INNER://broker:29092', 'HOST://0.0.0.0:9092'],
      advertisedListeners: ['INNER://broker:29092', 'HOST://localhost:9092'],
      logDirs: ['/var/lib/odradek'],
    });
  });

  test("take each service of the cluster's compose file as a voter of one list, with addresses of its own", () => {
    const file = join(repositoryRoot, 'deploy/docker.yaml');
    const compose = parseYaml(readFileSync(join(repositoryRoot, 'deploy/compose-cluster.yaml'), 'utf8'), {
      merge: true,
    }) as { services: Record<string, { environment: Record<string, string> }> };
    const nodes = Object.entries(compose.services).map(([service, { environment }]) => {
      const config = resolved({ file, environment });
      expect(config.controllerQuorumVoters).toContain(`${config.nodeId}@${service}:9093`);
      expect(config.peerListener).toBe(`${service}:9093`);
      expect(config.advertisedListeners?.[0]).toBe(`INSIDE://${service}:9092`);
      return config;
    });
    expect(nodes.map(({ nodeId, brokerRack }) => [nodeId, brokerRack])).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ]);
    expect(new Set(nodes.map(({ controllerQuorumVoters }) => controllerQuorumVoters.join())).size).toBe(1);
    expect(new Set(nodes.map(({ advertisedListeners }) => advertisedListeners?.[1])).size).toBe(3);
  });
});
