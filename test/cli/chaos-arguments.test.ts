import { describe, expect, test } from 'vitest';
import type { Fault } from '#chaos/fault';
import { type ChaosArguments, durationFrom, faultFrom, healedFrom } from '#cli/chaos-arguments';

const one = { kind: 'node', id: 1 };
const two = { kind: 'node', id: 2 };
const controller = { kind: 'controller' };
const orders = { kind: 'leader', topic: 'orders-3' };
const cut = (between: object, how: object = {}) => ({
  kind: 'partition',
  between,
  oneWay: false,
  refuses: false,
  ...how,
});

describe('the arguments of odradek chaos', () => {
  test.each<readonly [Fault['kind'], ChaosArguments, unknown]>([
    ['kill', { node: '1' }, { kind: 'kill', node: one }],
    ['kill', { node: 'controller' }, { kind: 'kill', node: controller }],
    ['pause', { controller: true }, { kind: 'pause', node: controller }],
    ['disk-full', { leaderOf: 'orders-3' }, { kind: 'disk-full', node: orders }],
    ['delay', { node: '2', ms: '200' }, { kind: 'delay', node: two, ms: 200 }],
    ['lose-rack', { rack: 'a', how: 'cut' }, { kind: 'lose-rack', rack: 'a', how: 'cut' }],
    ['lose-rack', { rack: '1' }, { kind: 'lose-rack', rack: '1', how: 'kill' }],
    ['partition', { node: '1' }, cut({ kind: 'node', node: one, others: 'all' })],
    ['partition', { node: '1', nodes: true }, cut({ kind: 'node', node: one, others: 'nodes' })],
    ['partition', { controller: true, clients: true }, cut({ kind: 'node', node: controller, others: 'clients' })],
    ['partition', { rack: 'a', oneWay: true }, cut({ kind: 'rack', rack: 'a', others: 'all' }, { oneWay: true })],
    ['partition', { node: '1', other: '2' }, cut({ kind: 'two nodes', first: one, second: two })],
    [
      'partition',
      { node: '2', leaderOf: 'orders-3', refuse: true },
      cut({ kind: 'two nodes', first: orders, second: two }, { refuses: true }),
    ],
  ])('say for %s %j what is meant', (kind, args, expected) => expect(faultFrom(kind, args)).toEqual(expected));

  test.each<readonly [Fault['kind'], ChaosArguments, RegExp]>([
    ['kill', {}, /^which node\?/],
    ['kill', { controller: true, leaderOf: 'orders' }, /^one node: its id/],
    ['delay', { node: '1', ms: '0' }, /^--ms takes .* up to 60000, not "0"$/],
    ['delay', { node: '1', ms: 'much' }, /^--ms takes .*, not "much"$/],
    ['partition', {}, /^which node\?/],
    ['partition', { rack: 'a', node: '1' }, /^--rack is for a rack, without a node$/],
    ['partition', { node: '1', nodes: true, clients: true }, /^--nodes, --clients: .*exclude each other/],
    ['partition', { node: '1', other: '2', clients: true }, /^--nodes and --clients are for one node or a rack$/],
    ['partition', { node: '1', other: '2', controller: true }, /^one node: its id/],
  ])('are refused for %s %j', (kind, args, sentence) => expect(() => faultFrom(kind, args)).toThrow(sentence));

  test('say for how long, and whom to heal', () => {
    expect([durationFrom({}), durationFrom({ for: '2s' })]).toEqual([undefined, 2_000]);
    expect([healedFrom({}), healedFrom({ node: 'all' }), healedFrom({ node: '3' })]).toEqual([undefined, undefined, 3]);
  });
});
