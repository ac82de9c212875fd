import { describe, expect, it, test } from 'vitest';
import { type FaultOrders, parseFaultOrders } from '#faults/fault-orders';
import { NodeFaults } from '#faults/node-faults';
import { createCodecs } from '#platform/codecs';
import { SimWorld } from '#sim/ports/sim-world';
import { codeOf, write } from '../platform/disk-contract.ts';
import { Recorder } from '../platform/network-contract.ts';

function orders(value: unknown): FaultOrders {
  const parsed = parseFaultOrders(value);
  if (parsed.error !== undefined) throw new Error(parsed.error);
  return parsed.value;
}

describe('orders', () => {
  test('name lines and the disk, and leave out what stays', () => {
    const cut = { kind: 'cut', way: 'sent' };
    const delay = { kind: 'delay', ms: 0.5 };
    expect(orders({ lines: { 2: cut, 3: null, 4: { kind: 'refuse' }, clients: delay }, diskFull: true })).toEqual({
      lines: new Map<unknown, unknown>([
        [2, cut],
        [3, undefined],
        [4, { kind: 'refuse' }],
        ['clients', delay],
      ]),
      diskFull: true,
    });
    expect(orders({})).toEqual({ lines: new Map(), diskFull: undefined });
  });

  test.each<readonly [unknown, string]>([
    [null, 'orders are an object'],
    [[], 'orders are an object'],
    [{ line: {} }, 'orders have lines and diskFull, not line'],
    [{ diskFull: 'yes' }, 'diskFull is true or false'],
    [{ lines: [] }, 'lines are an object, by node id or "clients"'],
    [{ lines: { two: null } }, 'a line leads to a node or to "clients", not to "two"'],
    [{ lines: { '-1': null } }, 'a line leads to a node or to "clients", not to "-1"'],
    [{ lines: { 2: 'cut' } }, 'the line to 2: a fault is an object, or null to heal it'],
    [{ lines: { 2: {} } }, 'the line to 2: the kind of a fault is cut, refuse or delay'],
    [{ lines: { 2: { kind: 'cut' } } }, 'the line to 2: a cut has a way: sent, received, both'],
    [{ lines: { 2: { kind: 'delay' } } }, 'the line to 2: a delay has ms, more than 0 and at most 60000'],
    [{ lines: { 2: { kind: 'delay', ms: 60_001 } } }, 'the line to 2: a delay has ms, more than 0 and at most 60000'],
  ])('like %j are refused with a sentence', (value, sentence) => {
    expect(parseFaultOrders(value)).toEqual({ error: sentence });
  });
});

describe('the faults of a node', () => {
  const nodes = [1, 2, 3].map((id) => ({ id, clientPort: 9000 + id, nodePorts: [9100 + id, 9200 + id] }));

  function stage() {
    const world = new SimWorld({ seed: 3, codecs: createCodecs() });
    const ports = world.ports('host', { disks: [] });
    const faults = new NodeFaults({ ...ports, disks: [world.disk('/data')] }, 1, nodes);
    return { world, ports, faults };
  }

  it('cut both ways by which another node is reached, and not those to a third', async () => {
    const { world, ports, faults } = stage();
    const accepted: { port: number; recorder: Recorder }[] = [];
    for (const port of [9102, 9202, 9103, 9002]) {
      const listening = ports.network.listen({ host: 'host', port }, (connection) => {
        const recorder = new Recorder(connection);
        accepted.push({ port, recorder });
        return recorder;
      });
      await world.complete(listening);
    }
    expect(faults.obey(orders({ lines: { 2: { kind: 'cut', way: 'both' } } }))).toEqual({ value: undefined });
    for (const port of [9102, 9202, 9103, 9002]) {
      faults.network.connect({ host: 'host', port }, (connection) => new Recorder(connection));
    }
    await world.run(world.clock.now() + 1_000);
    expect(accepted.map(({ port }) => port).sort()).toEqual([9002, 9103]);
    faults.healAll();
    await world.run(world.clock.now() + 1_000);
    expect(accepted).toHaveLength(4);
  });

  it('fill all of its disks, and heal them', async () => {
    const { world, faults } = stage();
    const [disk] = faults.disks;
    const file = await world.complete(disk?.open('log', 'write') ?? Promise.reject(new Error('there is a disk')));
    faults.obey(orders({ diskFull: true }));
    expect(await codeOf(world.complete(write(file, 'a', 0)))).toBe('ENOSPC');
    expect(faults.isDiskFull).toBe(true);
    faults.healAll();
    expect(await world.complete(write(file, 'a', 0))).toBe(1);
  });

  it('take no order for a line that is none, nor any that comes with it', () => {
    const { faults } = stage();
    for (const id of [1, 4]) {
      const refused = faults.obey(
        orders({ lines: { 2: { kind: 'refuse' }, [id]: { kind: 'refuse' } }, diskFull: true }),
      );
      expect(refused).toEqual({ error: `there is no line to node ${id}` });
    }
    expect([...faults.lines, faults.isDiskFull]).toEqual([false]);
  });
});
