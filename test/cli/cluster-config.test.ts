import { describe, expect, test } from 'vitest';
import { clusterProblems, parseVoter } from '#cli/cluster-config';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { resolveConfig } from '../../src/cli/config-sources.ts';

const three = '1@127.0.0.1:9093,2@127.0.0.1:9103,3@127.0.0.1:9113';
const apart = '1@a:9093,2@b:9093,3@c:9093';

type Settings = Readonly<Record<string, string>>;

function problems(settings: Settings): readonly string[] {
  const parsed = parseBrokerConfig(new Map(Object.entries(settings)));
  if ('errors' in parsed) throw new Error(parsed.errors.join());
  return clusterProblems(parsed);
}

function resolved(settings: Settings) {
  const flags = new Map(Object.entries(settings));
  return resolveConfig({ flags, set: [], environment: {}, file: undefined, defaults: new Map() }).config;
}

describe('a voter', () => {
  test.each([
    ['1@localhost:9093', { id: 1, host: 'localhost', port: 9093 }],
    [' 0@10.0.0.1:1 ', { id: 0, host: '10.0.0.1', port: 1 }],
    ['7@[::1]:9093', { id: 7, host: '::1', port: 9093 }],
  ])('is read from %j', (text, voter) => {
    expect(parseVoter(text)).toEqual(voter);
  });

  test.each([
    '',
    '1',
    'a:9093',
    '@a:9093',
    '1@a',
    '1@:9093',
    '1@a:0',
    '1@a:65536',
    '-1@a:1',
    '1.5@a:1',
    '2147483648@a:1',
  ])('is not read from %j', (text) => {
    expect(parseVoter(text)).toBeUndefined();
  });
});

describe('a node of a cluster', () => {
  test.each<readonly [string, Settings]>([
    ['alone', {}],
    ['alone, on whatever ports are free', { listeners: 'A://:0,B://:0', 'peer.listener': ':0', 'http.listener': ':0' }],
    ['with one port on two addresses', { listeners: 'A://127.0.0.1:9092', 'http.listener': '127.0.0.2:9092' }],
    [
      'a controller only, whose port is as that of clients',
      {
        'process.roles': 'controller',
        'controller.quorum.voters': '1@127.0.0.1:9092',
        'peer.listener': '127.0.0.1:9092',
      },
    ],
    [
      'with a listener for brokers, named in another case',
      {
        listeners: 'OUT://:9092,IN://:9095',
        'advertised.listeners': 'out://a:9092',
        'inter.broker.listener.name': 'in',
      },
    ],
    [
      'on one machine with all voters, under its name',
      { 'controller.quorum.voters': '1@m:9093,2@m:9103', 'peer.listener': ':9093' },
    ],
    [
      'among voters elsewhere, with one address for brokers and another for its own machine',
      {
        'controller.quorum.voters': apart,
        'peer.listener': ':9093',
        listeners: 'OUT://:9092,IN://:9095',
        'advertised.listeners': 'OUT://localhost:9092,IN://a:9095',
        'inter.broker.listener.name': 'in',
      },
    ],
    [
      'a controller among voters elsewhere, which has no clients',
      { 'process.roles': 'controller', 'controller.quorum.voters': apart, 'peer.listener': ':9093' },
    ],
    ['without a name for what brokers use', { 'inter.broker.listener.name': '' }],
    [
      'a controller only, that tells clients nothing',
      { 'process.roles': 'controller', 'controller.quorum.voters': three, 'advertised.listeners': 'OUT://a:9092' },
    ],
    ['one of three voters', { 'node.id': '2', 'controller.quorum.voters': three, 'peer.listener': '127.0.0.1:9103' }],
    [
      'a voter that listens on every interface',
      { 'node.id': '2', 'controller.quorum.voters': apart, 'peer.listener': ':9093', listeners: 'PLAINTEXT://b:9092' },
    ],
    ['a voter without being a broker', { 'controller.quorum.voters': three, 'process.roles': 'controller' }],
    [
      'a broker that is no voter',
      { 'node.id': '4', 'controller.quorum.voters': three, 'process.roles': 'broker', 'peer.listener': ':9123' },
    ],
    [
      "a broker of Kafka's newer file, with the voters beside",
      {
        'process.roles': 'broker',
        'node.id': '4',
        'controller.quorum.voters': three,
        'controller.quorum.bootstrap.servers': 'a:9093',
      },
    ],
    ['alone, its own bootstrap server', { 'controller.quorum.bootstrap.servers': 'localhost:9093' }],
    ["the only voter of Kafka's single-node file", { 'controller.quorum.voters': '1@localhost:9093' }],
  ])('may be %s', (_what, settings) => {
    expect(problems(settings)).toEqual([]);
  });

  test.each<readonly [string, Settings, string]>([
    [
      'the port of its peers for clients',
      { listeners: 'PLAINTEXT://127.0.0.1:9093' },
      'listeners (--listen) 127.0.0.1:9093 and peer.listener (--peer-listen) 127.0.0.1:9093 are one port: give each its own',
    ],
    [
      'a port for HTTP that another listener has on every interface',
      { listeners: 'A://:9092,B://0.0.0.0:9094' },
      'listeners (--listen) 0.0.0.0:9094 and http.listener (--http-listen) 127.0.0.1:9094 are one port: give each its own',
    ],
    [
      'one port under two names of this machine',
      { 'peer.listener': 'localhost:9094' },
      'peer.listener (--peer-listen) localhost:9094 and http.listener (--http-listen) 127.0.0.1:9094 are one port: give each its own',
    ],
    [
      'an address to tell under a name that no listener has',
      {
        listeners: 'INSIDE://:9092,OUTSIDE://:9095',
        'advertised.listeners': 'INSIDE://a:9092,OUTSIED://a.example:9095',
      },
      'advertised.listeners (--advertise) names the listener OUTSIED, and listeners are INSIDE, OUTSIDE: give both the same names',
    ],
    [
      'a listener for brokers that there is not',
      { listeners: 'INSIDE://:9092', 'inter.broker.listener.name': 'INTERNAL' },
      'inter.broker.listener.name is INTERNAL, and listeners are INSIDE: name one of these',
    ],
    [
      'a voter that is none',
      { 'controller.quorum.voters': '1@127.0.0.1:9093,b:9093' },
      'controller.quorum.voters (--voters): "b:9093" is not of the form ID@HOST:PORT, the port from 1 to 65535',
    ],
    [
      'an id given twice',
      { 'controller.quorum.voters': '1@127.0.0.1:9093,1@127.0.0.1:9103' },
      'the voters name node 1 twice: give each node an id of its own',
    ],
    [
      'an address given twice',
      { 'controller.quorum.voters': '1@127.0.0.1:9093,2@127.0.0.1:9093' },
      'the voters have nodes 1 and 2 at one address, 127.0.0.1:9093',
    ],
    [
      'a voter without the role',
      { 'controller.quorum.voters': three, 'process.roles': 'broker' },
      'node 1 is among the voters, which needs the role controller: process.roles (--roles) is broker',
    ],
    [
      'a controller that is not listed',
      { 'node.id': '4', 'controller.quorum.voters': three },
      'node 4 is not among the voters (1, 2, 3): name it there with its address, or make it a broker only (--roles broker)',
    ],
    [
      'a broker that knows no voter',
      { 'process.roles': 'broker' },
      'process.roles=broker makes sense beside other nodes only: name their voters (--voters ID@HOST:PORT,…)',
    ],
    [
      'bootstrap servers, which nobody would ask',
      { 'controller.quorum.bootstrap.servers': 'a:9093,localhost:9093,localhost:9103' },
      'controller.quorum.bootstrap.servers names other nodes (a:9093,localhost:9103), and only the voters are asked: name them (--voters ID@HOST:PORT,…)',
    ],
    [
      'another port than the listed one',
      { 'node.id': '2', 'controller.quorum.voters': three, 'peer.listener': '127.0.0.1:9093' },
      'the voters have node 2 at 127.0.0.1:9103, and its peer listener (--peer-listen) is 127.0.0.1:9093: the others would not reach it there',
    ],
    [
      'a peer listener on loopback of a node that others dial from elsewhere',
      { 'controller.quorum.voters': apart },
      "the voters have node 1 at a:9093, and its peer listener (--peer-listen) 127.0.0.1:9093 takes this machine's nodes only",
    ],
    [
      'an address to tell that each other machine takes for its own',
      { 'controller.quorum.voters': apart, 'peer.listener': 'a:9093', listeners: 'PLAINTEXT://0.0.0.0:9092' },
      'other nodes, as voter 2 at b, are told localhost:9092 for this broker, and that is themselves: give it an address that they reach (--listen or --advertise HOST:PORT)',
    ],
    [
      'no address to tell beside voters elsewhere, as a broker that does not vote',
      {
        'node.id': '4',
        'process.roles': 'broker',
        'controller.quorum.voters': apart,
        'peer.listener': 'd:9093',
      },
      'other nodes, as voter 1 at a, are told 127.0.0.1:9092 for this broker, and that is themselves: give it an address that they reach (--listen or --advertise HOST:PORT)',
    ],
    [
      'no peer listener that voters elsewhere reach, as a broker that does not vote',
      { 'node.id': '4', 'process.roles': 'broker', 'controller.quorum.voters': apart, 'peer.listener': ':9093' },
      'nodes elsewhere, as voter 1 at a, do not reach this one by its peer listener (--peer-listen) :9093: name an address of this machine',
    ],
    [
      'a loopback address among others',
      { 'controller.quorum.voters': '1@localhost:9093,2@b:9093' },
      'the voters have node 1 at localhost:9093, an address that nodes elsewhere, as voter 2 at b, do not reach',
    ],
  ])('is refused with %s, in one sentence', (_what, settings, sentence) => {
    expect(problems(settings)).toEqual([sentence]);
  });

  test('listens for its peers where the voters have it, unless told otherwise', () => {
    const voters = { 'node.id': '2', 'controller.quorum.voters': three };
    expect(resolved(voters).peerListener).toBe('127.0.0.1:9103');
    expect(resolved({ ...voters, 'peer.listener': '0.0.0.0:9103' }).peerListener).toBe('0.0.0.0:9103');
    expect(resolved({ 'controller.quorum.voters': '1@[::1]:7' }).peerListener).toBe('[::1]:7');
    const kafkaFile = { listeners: 'PLAINTEXT://:9092,CONTROLLER://:9103', 'controller.listener.names': 'CONTROLLER' };
    expect(resolved({ ...voters, ...kafkaFile }).peerListener).toBe(':9103');
    expect(resolved({}).peerListener).toBe('127.0.0.1:9093');
  });
});
