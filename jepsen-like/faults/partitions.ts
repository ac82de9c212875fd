/** Networks that fall apart: every one of them is a set of pairs, of which one loses what the other sends. */
import { at } from '#base/assert';
import type { Member } from '../../test/support/cluster/cluster.ts';
import { CLIENTS_HOST, type Links } from '../../test/support/cluster/sites.ts';
import type { Fault, Scene } from './fault.ts';

type Pair = readonly [from: string, to: string];

/** Both directions. */
function between(one: string, other: string): readonly Pair[] {
  return [
    [one, other],
    [other, one],
  ];
}

export function linksOf({ links }: Scene): Links {
  if (links === undefined) throw new Error('loopback loses nothing');
  return links;
}

function partition(
  name: string,
  what: string,
  expected: string,
  pairs: (members: readonly Member[], target: Member) => readonly Pair[],
): Fault {
  return {
    name,
    what,
    expected,
    needsHosts: true,
    // Whoever ends one ends all.
    mixes: false,
    begin: async (scene, id) => {
      const { members } = scene.cluster;
      for (const [from, to] of pairs(members, scene.cluster.member(id))) linksOf(scene).drop(from, to);
    },
    end: async (scene) => linksOf(scene).restore(),
  };
}

const others = (members: readonly Member[], target: Member): readonly Member[] =>
  members.filter(({ id }) => id !== target.id);

/** In a circle that begins with the target. */
function circle(members: readonly Member[], target: Member): readonly Member[] {
  const first = members.indexOf(target);
  return [...members.slice(first), ...members.slice(0, first)];
}

export const PARTITIONS: readonly Fault[] = [
  {
    name: 'cut',
    what: 'every packet of a node is lost',
    expected: 'it is fenced, others take over',
    needsHosts: true,
    mixes: true,
    begin: async ({ cluster }, id) => cluster.cut(id),
    end: ({ cluster }, id) => cluster.heal(id),
  },
  partition(
    'pair',
    'two nodes do not reach one another',
    'every partition has a leader that reaches its majority',
    (members, target) => {
      const [other] = circle(members, target).slice(1);
      return other === undefined ? [] : between(target.host, other.host);
    },
  ),
  partition('one-way-out', 'what a node sends to other nodes is lost', 'it leads nothing for long', (members, target) =>
    others(members, target).map(({ host }) => [target.host, host]),
  ),
  partition('one-way-in', 'what other nodes send to a node is lost', 'it leads nothing for long', (members, target) =>
    others(members, target).map(({ host }) => [host, target.host]),
  ),
  partition(
    'halves',
    'three nodes and three nodes',
    'one side goes on, the other acknowledges nothing',
    (members, target) => {
      const around = circle(members, target);
      const half = around.length / 2;
      return around
        .slice(0, half)
        .flatMap(({ host }) => around.slice(half).flatMap((other) => between(host, other.host)));
    },
  ),
  partition(
    'bridge',
    'two sides that only one node reaches both of',
    'one leader each, and no storm of elections',
    (members, target) => {
      const rest = circle(members, target).slice(1);
      const half = Math.ceil(rest.length / 2);
      return rest.slice(0, half).flatMap(({ host }) => rest.slice(half).flatMap((other) => between(host, other.host)));
    },
  ),
  partition(
    'ring',
    'each node reaches a majority, and no two the same one',
    'one leader each, and no storm of elections',
    (members, target) => {
      // None reaches those who are two places away, on either side: of six each reaches four, its neighbours and its opposite.
      const around = circle(members, target);
      return around.flatMap(({ host }, index) => between(host, at(around, (index + 2) % around.length).host));
    },
  ),
  partition(
    'clients-only',
    'a node reaches all nodes and no client',
    'it goes on leading; clients wait for it to come back',
    (_, target) => between(target.host, CLIENTS_HOST),
  ),
  partition(
    'nodes-only',
    'a node reaches all clients and no node',
    'it acknowledges nothing more, others take over',
    (members, target) => others(members, target).flatMap(({ host }) => between(target.host, host)),
  ),
];
