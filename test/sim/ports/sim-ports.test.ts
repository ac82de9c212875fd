import { describe, expect, it } from 'vitest';
import type { Ports } from '#base/ports';
import { createCodecs } from '#platform/codecs';
import { SimRandom } from '#sim/ports/sim-random';
import { SimWorld } from '#sim/ports/sim-world';
import { codeOf, describeDisk, read, write } from '../../platform/disk-contract.ts';
import { describeNetwork, Recorder } from '../../platform/network-contract.ts';

const codecs = createCodecs();
const newWorld = (seed = 1): SimWorld => new SimWorld({ seed, codecs });

describeDisk('MemoryDisk', async () => {
  const world = newWorld();
  return { disk: world.disk('/data'), settle: (promise) => world.complete(promise), dispose: async () => {} };
});

describeNetwork('SimNetwork', async () => {
  const world = newWorld();
  return {
    near: world.ports('a', { disks: [] }).network,
    far: world.ports('b', { disks: [] }).network,
    at: { host: 'b', port: 9092 },
    settle: (promise) => world.complete(promise),
    quiet: () => new Promise((resolve) => world.clock.timer(() => resolve()).arm(500)),
  };
});

/** An echo server on `b`, a client on `a` that sends 20,000 bytes; gives all that the client saw, with times. */
async function conversation(seed: number): Promise<{ trace: string[]; cuts: number[] }> {
  const world = newWorld(seed);
  const trace: string[] = [];
  const cuts: number[] = [];
  const [a, b] = [world.ports('a', { disks: [] }), world.ports('b', { disks: [] })];
  const listener = await world.complete(
    b.network.listen({ host: 'b', port: 0 }, (connection) => {
      const echo = new Recorder(connection);
      echo.received = (bytes) => connection.send([Buffer.from(echo.buffer().subarray(0, bytes))]);
      return echo;
    }),
  );
  let receivedBytes = 0;
  a.network.connect(listener.at, (connection) => {
    const client = new Recorder(connection);
    connection.send([Buffer.alloc(20_000, 'x')]);
    client.received = (bytes) => {
      receivedBytes += bytes;
      cuts.push(bytes);
      trace.push(`${a.clock.now()} received ${bytes}`);
    };
    client.flushed = (bytes) => trace.push(`${a.clock.now()} flushed ${bytes}`);
    return client;
  });
  await world.run(() => receivedBytes === 20_000);
  return { trace, cuts };
}

describe('a world', () => {
  it('has the same history for the same seed, and another for another', async () => {
    const first = await conversation(7);
    expect((await conversation(7)).trace).toEqual(first.trace);
    expect((await conversation(8)).trace).not.toEqual(first.trace);
  });

  it('cuts streams anywhere, down to one byte', async () => {
    const cuts: number[] = [];
    for (let seed = 0; seed < 200; seed++) cuts.push(...(await conversation(seed)).cuts);
    expect(Math.min(...cuts)).toBe(1);
    expect(new Set(cuts).size).toBeGreaterThan(100);
  });

  it('starts at time 0 and stands still between runs', async () => {
    const world = newWorld();
    expect(world.clock.now()).toBe(0);
    await world.run(1500);
    expect(world.clock.now()).toBe(1500);
    expect(world.clock.wall()).toBe(Date.UTC(2026, 0, 1) + 1500);
  });

  it('drains promises between two events, chains of them too', async () => {
    const world = newWorld();
    const order: string[] = [];
    world.clock
      .timer(() => {
        order.push('first');
        Promise.resolve()
          .then(() => {})
          .then(() => order.push('its promise'));
      })
      .arm(10);
    world.clock.timer(() => order.push('second')).arm(12);
    await world.run(20);
    expect(order).toEqual(['first', 'its promise', 'second']);
  });

  it('says so when nothing is left that could make a condition hold', async () => {
    await expect(newWorld().run(() => false)).rejects.toThrow('nothing is left to happen');
  });

  it('stops at what a node calls fatal', async () => {
    const world = newWorld();
    const node = world.ports('a', { disks: [] });
    node.clock.defer(() => {
      // Even if the node swallows it.
      Promise.reject(new Error('broken')).catch((error) => {
        try {
          node.fatal(error);
        } catch {
          // As a careless handler would.
        }
      });
    });
    await expect(world.run(1000)).rejects.toThrow('broken');
  });

  it('gives two incarnations of a node randomness of their own', () => {
    const draws = (ports: Ports): number[] => [ports.random.uint32(), ports.random.uint32()];
    const world = newWorld();
    const first = draws(world.ports('a', { disks: [] }));
    world.kill('a');
    expect(draws(world.ports('a', { disks: [] }))).not.toEqual(first);
    expect(draws(newWorld().ports('a', { disks: [] }))).toEqual(first);
  });
});

describe('a killed node', () => {
  it('gets no timer, no turn and no byte any more; its peers see a reset, and its port refuses', async () => {
    const world = newWorld();
    const [a, b] = [world.ports('a', { disks: [] }), world.ports('b', { disks: [] })];
    const happened: string[] = [];
    const accepted = Promise.withResolvers<Recorder>();
    const listening = b.network.listen({ host: '0.0.0.0', port: 9092 }, (connection) => {
      const far = new Recorder(connection);
      accepted.resolve(far);
      return far;
    });
    const listener = await world.complete(listening);
    expect(listener.at).toEqual({ host: 'b', port: 9092 });
    let near: Recorder | undefined;
    a.network.connect(listener.at, (connection) => {
      near = new Recorder(connection);
      return near;
    });
    const far = await world.complete(accepted.promise);
    b.clock.timer(() => happened.push('timer')).arm(1);
    b.clock.defer(() => happened.push('turn'));
    const client = near as unknown as Recorder;
    client.connection.send([Buffer.from('hello')]);
    world.kill('b');
    await world.complete(client.when(() => client.causes.length > 0));
    expect(client.causes).toEqual(['reset']);
    await world.run(world.clock.now() + 100);
    expect(happened).toEqual([]);
    expect([far.text, far.causes]).toEqual(['', []]);

    const refused = Promise.withResolvers<Recorder>();
    a.network.connect(listener.at, (connection) => {
      const again = new Recorder(connection);
      refused.resolve(again);
      return again;
    });
    const again = await world.complete(refused.promise);
    await world.complete(again.when(() => again.causes.length > 0));
    expect(again.causes).toEqual(['refused']);
  });

  it('leaves on a bare disk what has completed, and its lock free', async () => {
    const world = newWorld();
    const disk = world.disk('/data');
    await world.complete(disk.lock());
    const file = await world.complete(disk.open('log', 'write'));
    await world.complete(write(file, 'done', 0));
    let completed = false;
    expect(await codeOf(world.complete(disk.lock()))).toBe('ELOCKED');
    file.write([Buffer.from('lost')], 4, () => {
      completed = true;
    });
    disk.kill();
    await world.complete(disk.lock());
    const again = await world.complete(disk.open('log', 'read'));
    expect(await world.complete(read(again, 0, 100))).toBe('done');
    expect(completed).toBe(false);
  });
});

describe('a memory disk', () => {
  it('is full when it is full, serves reads, and takes writes when there is room again', async () => {
    const world = newWorld();
    const disk = world.disk('/data', 1000);
    const [log, other] = [
      await world.complete(disk.open('log', 'write')),
      await world.complete(disk.open('b', 'write')),
    ];
    await world.complete(write(log, 'x'.repeat(900), 0));
    expect(await world.complete(disk.freeBytes())).toBe(100);
    expect(await codeOf(world.complete(write(other, 'y'.repeat(200), 0)))).toBe('ENOSPC');
    expect(await world.complete(read(log, 0, 3))).toBe('xxx');
    await world.complete(log.truncate(0));
    expect(await world.complete(write(other, 'y'.repeat(200), 0))).toBe(200);
    await world.complete(disk.remove('b'));
    expect(await world.complete(disk.freeBytes())).toBe(1000);
  });
});

describe('a file that takes the place of another', () => {
  it('leaves the room of that one free', async () => {
    const world = newWorld();
    const disk = world.disk('/data', 1000);
    for (const [name, size] of [
      ['a', 600],
      ['b', 300],
    ] as const)
      await world.complete(write(await world.complete(disk.open(name, 'write')), 'x'.repeat(size), 0));
    await world.complete(disk.rename('b', 'a'));
    expect(await world.complete(disk.freeBytes())).toBe(700);
  });
});

describe('a simulated timer', () => {
  it('fires once, at its last due time or up to a millisecond later, and says how late', async () => {
    const world = newWorld();
    const fired: [number, number][] = [];
    const timer = world.clock.timer((lateMs) => fired.push([world.clock.now(), lateMs]));
    timer.arm(10);
    timer.arm(100);
    await world.run(50);
    timer.arm(20);
    await world.run(500);
    expect(fired).toHaveLength(1);
    const [at, lateMs] = fired[0] as [number, number];
    expect(at - lateMs).toBeCloseTo(70);
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThanOrEqual(1);
    timer.arm(10);
    timer.disarm();
    await world.run(1000);
    expect(fired).toHaveLength(1);
  });
});

describe('simulated randomness', () => {
  it('is a stream of its own per fork: one more draw here changes nothing there', () => {
    const [one, two] = [new SimRandom('seed'), new SimRandom('seed')];
    two.uint32();
    const left = one.fork('elections');
    const right = two.fork('elections');
    expect([left.uint32(), left.uint32()]).toEqual([right.uint32(), right.uint32()]);
    expect(one.fork('elections').uint32()).not.toBe(two.fork('placement').uint32());
  });

  it('is spread evenly', () => {
    const random = new SimRandom('spread');
    const counts = new Array<number>(16).fill(0);
    for (let draw = 0; draw < 16_000; draw++) {
      const bucket = random.uint32() >>> 28;
      counts[bucket] = (counts[bucket] as number) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(200);
  });
});
