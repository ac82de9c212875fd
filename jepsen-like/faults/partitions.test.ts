import { expect, test } from 'vitest';
import { SimRandom } from '#sim/ports/sim-random';
import type { Cluster, Member } from '../../test/support/cluster/cluster.ts';
import { CLIENTS_HOST, type Links } from '../../test/support/cluster/sites.ts';
import type { Scene } from './fault.ts';
import { PARTITIONS } from './partitions.ts';

const members = [1, 2, 3, 4, 5, 6].map((id) => ({ id, host: `n${id}` }) as Member);
const VOTERS = ['n1', 'n2', 'n3', 'n4', 'n5'];

/** By host, whom it hears, and clients with it, while a fault is at that node. */
async function heard(fault: string, target: number): Promise<ReadonlyMap<string, readonly string[]>> {
  const lost = new Set<string>();
  const links = { drop: (from: string, to: string) => void lost.add(`${from} > ${to}`) } as unknown as Links;
  const cluster = { members, member: (id: number) => members.find((one) => one.id === id) } as unknown as Cluster;
  const scene: Scene = { cluster, links, random: new SimRandom(fault), topics: [], record: () => undefined };
  await PARTITIONS.find(({ name }) => name === fault)?.begin(scene, target);
  const hosts = [...members.map(({ host }) => host), CLIENTS_HOST];
  return new Map(hosts.map((to) => [to, hosts.filter((from) => from === to || !lost.has(`${from} > ${to}`))]));
}

const nodes = (hosts: readonly string[] = []): readonly string[] => hosts.filter((host) => host !== CLIENTS_HOST);

const targets = members.map(({ id }) => id);

test.each(targets)(
  'ring at node %i: each node hears a majority of nodes and of voters, and no two the same one',
  async (id) => {
    const sets = [...(await heard('ring', id))]
      .filter(([host]) => host !== CLIENTS_HOST)
      .map(([, from]) => nodes(from));
    for (const set of sets) {
      expect(set).toHaveLength(4);
      expect(set.filter((host) => VOTERS.includes(host)).length).toBeGreaterThanOrEqual(3);
    }
    expect(new Set(sets.map((set) => set.join())).size).toBe(members.length);
  },
);

test.each(targets)('bridge at node %i: it alone hears everybody, and the others fall into two sides', async (id) => {
  const found = await heard('bridge', id);
  const sizes = [...found].filter(([host]) => host !== CLIENTS_HOST).map(([, from]) => nodes(from).length);
  expect(sizes.toSorted()).toEqual([3, 3, 4, 4, 4, 6]);
  expect(nodes(found.get(`n${id}`))).toHaveLength(6);
});

test.each(targets)('halves at node %i: three hear three', async (id) => {
  const sets = [...(await heard('halves', id))]
    .filter(([host]) => host !== CLIENTS_HOST)
    .map(([, from]) => nodes(from));
  expect(sets.map(({ length }) => length)).toEqual([3, 3, 3, 3, 3, 3]);
  expect(new Set(sets.map((set) => set.join())).size).toBe(2);
});

test('pair, one way, clients and nodes only: who hears whom', async () => {
  const everybody = [...members.map(({ host }) => host), CLIENTS_HOST];
  const without = (...hosts: readonly string[]) => everybody.filter((host) => !hosts.includes(host));
  const pair = await heard('pair', 6);
  expect([pair.get('n6'), pair.get('n1'), pair.get('n2')]).toEqual([without('n1'), without('n6'), everybody]);
  const out = await heard('one-way-out', 2);
  expect([out.get('n1'), out.get('n2'), out.get(CLIENTS_HOST)]).toEqual([without('n2'), everybody, everybody]);
  const into = await heard('one-way-in', 2);
  expect([into.get('n1'), into.get('n2')]).toEqual([everybody, ['n2', CLIENTS_HOST]]);
  const clients = await heard('clients-only', 2);
  expect([clients.get('n2'), clients.get(CLIENTS_HOST)]).toEqual([without(CLIENTS_HOST), without('n2')]);
  const alone = await heard('nodes-only', 2);
  expect([alone.get('n2'), alone.get('n1'), alone.get(CLIENTS_HOST)]).toEqual([
    ['n2', CLIENTS_HOST],
    without('n2'),
    everybody,
  ]);
});
