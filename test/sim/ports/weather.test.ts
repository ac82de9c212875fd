import { describe, expect, it } from 'vitest';
import type { Ports } from '#base/ports';
import { FaultDisk } from '#faults/fault-disk';
import { createCodecs } from '#platform/codecs';
import { SimWorld } from '#sim/ports/sim-world';
import { codeOf, sync, write } from '../../platform/disk-contract.ts';
import { Recorder } from '../../platform/network-contract.ts';

const codecs = createCodecs();
const AT = { host: 'b', port: 9092 };

/** Two hosts, and how one calls the other. */
class Pair {
  readonly world: SimWorld;
  readonly a: Ports;
  readonly b: Ports;
  readonly accepted: Recorder[] = [];

  private constructor(seed: number) {
    this.world = new SimWorld({ seed, codecs });
    this.a = this.world.ports('a', { disks: [] });
    this.b = this.world.ports('b', { disks: [] });
  }

  static async listening(seed = 1): Promise<Pair> {
    const pair = new Pair(seed);
    await pair.world.complete(
      pair.b.network.listen(AT, (connection) => {
        const far = new Recorder(connection);
        pair.accepted.push(far);
        return far;
      }),
    );
    return pair;
  }

  /** A connection that stands, from a to b. */
  async connected(): Promise<{ near: Recorder; far: Recorder }> {
    let near: Recorder | undefined;
    const before = this.accepted.length;
    this.a.network.connect(AT, (connection) => {
      near = new Recorder(connection);
      return near;
    });
    await this.world.run(() => this.accepted.length > before);
    return { near: near as unknown as Recorder, far: this.accepted[before] as Recorder };
  }

  /** An attempt, and how it ended within that time. */
  async attempt(withinMs: number): Promise<Recorder> {
    let near: Recorder | undefined;
    this.a.network.connect(AT, (connection) => {
      near = new Recorder(connection);
      return near;
    });
    await this.pass(withinMs);
    return near as unknown as Recorder;
  }

  pass(ms: number): Promise<void> {
    return this.world.run(this.world.clock.now() + ms);
  }
}

const text = (word: string): Uint8Array[] => [Buffer.from(word)];

describe('a link', () => {
  it('that is cut one way carries nothing that way and everything the other; once whole, what was lost comes, in order', async () => {
    const pair = await Pair.listening();
    const { near, far } = await pair.connected();
    const link = pair.world.network.link('a', 'b');
    link.cut(pair.world.clock.now());
    near.connection.send(text('first '));
    far.connection.send(text('back'));
    await pair.pass(3000);
    near.connection.send(text('second'));
    await pair.pass(3000);
    expect([far.text, near.text]).toEqual(['', 'back']);
    link.heal(pair.world.clock.now());
    await pair.pass(7000);
    expect(far.text).toBe('first second');
    expect([...near.causes, ...far.causes]).toEqual([]);
  });

  it('that was cut brings what is sent after it behind what it had lost', async () => {
    const pair = await Pair.listening();
    const { near, far } = await pair.connected();
    const link = pair.world.network.link('a', 'b');
    link.cut(pair.world.clock.now());
    near.connection.send(text('first '));
    await pair.pass(1000);
    link.heal(pair.world.clock.now());
    near.connection.send(text('second'));
    await pair.pass(3000);
    expect(far.text).toBe('first second');
  });

  it('that is cut one way answers no handshake of the other', async () => {
    const pair = await Pair.listening();
    pair.world.network.link('b', 'a').cut(pair.world.clock.now());
    expect((await pair.attempt(5000)).causes).toEqual([]);
    expect(pair.accepted).toEqual([]);
  });

  it('says since when it carries everything, and since when nothing', async () => {
    const pair = await Pair.listening();
    const link = pair.world.network.link('a', 'b');
    await pair.pass(1000);
    expect([link.goodSince(pair.world.clock.now()), link.cutOffSince]).toEqual([0, Number.POSITIVE_INFINITY]);
    link.cut(1000);
    expect([link.goodSince(1000), link.cutOffSince]).toEqual([Number.POSITIVE_INFINITY, 1000]);
    await pair.pass(500);
    link.heal(1500);
    // What was lost at its end may be repeated as late as that.
    expect(link.goodSince(5000)).toBe(2200);
    expect(link.cutOffSince).toBe(Number.POSITIVE_INFINITY);
  });

  it('that is struck twice is well when both faults are over, or everything is healed', async () => {
    const pair = await Pair.listening();
    const link = pair.world.network.link('a', 'b');
    await pair.pass(1000);
    link.cut(1000);
    link.refuse();
    await pair.pass(500);
    link.cut(1500);
    link.slow(50, 1);
    link.over('cut', 1500);
    expect([link.isCut, link.cutOffSince]).toEqual([true, 1000]);
    await pair.pass(500);
    link.over('refusal', 2000);
    expect([link.isCut, link.refuses]).toEqual([true, false]);
    link.over('cut', 2000);
    expect([link.isCut, link.goodSince(2000)]).toEqual([false, Number.POSITIVE_INFINITY]);
    link.over('slow', 2000);
    // The cut lasted a second: what it has lost is repeated as late as that.
    expect(link.goodSince(5000)).toBe(3200);
    for (let strike = 0; strike < 2; strike += 1) {
      link.cut(5000);
      link.refuse();
      link.slow(50, 1);
    }
    link.clog(9000);
    link.heal(6000);
    expect([link.isCut, link.refuses, link.goodSince(10_000)]).toEqual([false, false, 9000]);
    expect(link.arrival(6000, 1000)).toBeLessThan(6001);
  });

  it('that is clogged carries everything at its end', async () => {
    const pair = await Pair.listening();
    const { near, far } = await pair.connected();
    pair.world.network.link('a', 'b').clog(pair.world.clock.now() + 2000);
    near.connection.send(text('hello'));
    await pair.pass(1999);
    expect(far.text).toBe('');
    await pair.pass(10);
    expect(far.text).toBe('hello');
  });

  it('that is slow takes its time for every byte', async () => {
    const pair = await Pair.listening();
    const { near, far } = await pair.connected();
    pair.world.network.link('a', 'b').slow(50, 1);
    near.connection.send([Buffer.alloc(2000)]);
    await pair.pass(1900);
    expect(far.receivedBytes).toBeLessThan(2000);
    await pair.pass(300);
    expect(far.receivedBytes).toBe(2000);
  });

  it('with a firewall refuses for whoever listens', async () => {
    const pair = await Pair.listening();
    pair.world.network.link('a', 'b').refuse();
    expect((await pair.attempt(100)).causes).toEqual(['refused']);
    expect(pair.accepted).toEqual([]);
  });

  it('brings the bytes of an old connection behind those of a newer one, if the old ones were lost under way', async () => {
    const pair = await Pair.listening();
    const order: string[] = [];
    const old = await pair.connected();
    old.far.onEvent = () => order.push('old');
    const link = pair.world.network.link('a', 'b');
    link.cut(pair.world.clock.now());
    old.near.connection.send(text('x'));
    await pair.pass(1000);
    link.heal(pair.world.clock.now());
    const fresh = await pair.connected();
    fresh.far.onEvent = () => order.push('new');
    fresh.near.connection.send(text('y'));
    await pair.pass(2000);
    expect(order).toEqual(['new', 'old']);
  });
});

describe('a connection', () => {
  it('that the network resets is closed at both ends', async () => {
    const pair = await Pair.listening();
    const { near, far } = await pair.connected();
    pair.world.network.connectionsOf('a')[0]?.sever(true, true);
    await pair.pass(10);
    expect([near.causes, far.causes]).toEqual([['reset'], ['reset']]);
  });

  it('that is half-open tells nobody, and carries nothing; a new one does', async () => {
    const pair = await Pair.listening();
    const { near, far } = await pair.connected();
    pair.world.network.connectionsOf('a')[0]?.sever(false, false);
    near.connection.send(text('into the void'));
    far.connection.send(text('into the void'));
    await pair.pass(60_000);
    expect([near.text, near.causes, far.text, far.causes]).toEqual(['', [], '', []]);
    const fresh = await pair.connected();
    fresh.near.connection.send(text('hello'));
    await pair.pass(10);
    expect(fresh.far.text).toBe('hello');
  });

  it('with a host that has gone dark hears nothing, and a new one runs into its time-out', async () => {
    const pair = await Pair.listening();
    const { near } = await pair.connected();
    pair.world.kill('b', true);
    near.connection.send(text('anybody there?'));
    await pair.pass(60_000);
    expect(near.causes).toEqual([]);
    expect((await pair.attempt(30_000)).causes).toEqual([]);
    expect((await pair.attempt(70_000)).causes).toEqual(['timeout']);
  });

  it('with a host whose process was restarted is reset by the kernel that does not know it', async () => {
    const pair = await Pair.listening();
    const { near } = await pair.connected();
    pair.world.kill('b', true);
    await pair.pass(1000);
    pair.world.ports('b', { disks: [] });
    near.connection.send(text('anybody there?'));
    await pair.pass(1000);
    expect(near.causes).toEqual(['reset']);
  });
});

describe('a stalled node', () => {
  it('gets nothing meanwhile, and all of it at the end: what came from outside first, its timers last and late', async () => {
    const pair = await Pair.listening();
    const { near, far } = await pair.connected();
    const order: string[] = [];
    far.onEvent = () => order.push('bytes');
    let lateMs = 0;
    pair.b.clock
      .timer((late) => {
        order.push('timer');
        lateMs = late;
      })
      .arm(100);
    pair.world.stall('b', 2000);
    await pair.pass(500);
    near.connection.send(text('hello'));
    await pair.pass(1499);
    expect(order).toEqual([]);
    await pair.pass(2);
    expect(order[0]).toBe('bytes');
    expect(order.at(-1)).toBe('timer');
    expect(far.text).toBe('hello');
    expect(lateMs).toBeGreaterThan(1890);
  });

  it('hears of what its disk has done when it awakes, and never if it is dead by then', async () => {
    const { world } = await Pair.listening();
    const heard: string[] = [];
    for (const name of ['c', 'd']) {
      const [disk] = world.ports(name, { disks: [world.disk(name)] }).disks;
      const file = await world.complete(
        disk?.open('log', 'write') ?? Promise.reject(new Error('a process has its disk')),
      );
      file.write(text('hello'), 0, () => heard.push(name));
      world.stall(name, 1000);
    }
    await world.run(world.clock.now() + 900);
    expect(heard).toEqual([]);
    world.kill('d');
    await world.run(world.clock.now() + 200);
    expect(heard).toEqual(['c']);
  });

  it('still answers the handshake of whoever connects when it awakes', async () => {
    const pair = await Pair.listening();
    pair.world.stall('b', 1000);
    const near = await pair.attempt(900);
    expect([pair.accepted.length, near.causes]).toEqual([0, []]);
    await pair.pass(200);
    expect(pair.accepted).toHaveLength(1);
  });
});

describe('the clocks of a machine', () => {
  it('run as fast as they are told, do not jump, and never go back', async () => {
    const { world, a } = await Pair.listening();
    const start = a.clock.now();
    await world.run(1000);
    world.time('a').setRate(1.05);
    expect(a.clock.now() - start).toBeCloseTo(1000 - start, 3);
    const fired: number[] = [];
    a.clock.timer(() => fired.push(world.clock.now())).arm(1050);
    await world.run(3000);
    expect(a.clock.now() - start).toBeCloseTo(1000 - start + 2100, 3);
    expect(fired[0]).toBeGreaterThanOrEqual(2000);
    expect(fired[0]).toBeLessThan(2001);
    world.time('a').setRate(0.95);
    expect(a.clock.now() - start).toBeCloseTo(1000 - start + 2100, 3);
  });

  it('on the wall jump, and nothing else does', async () => {
    const { world, a, b } = await Pair.listening();
    await world.run(1000);
    const [wall, now] = [a.clock.wall(), a.clock.now()];
    world.time('a').jumpWall(-86_400_000);
    expect([a.clock.wall(), a.clock.now()]).toEqual([wall - 86_400_000, now]);
    expect(b.clock.wall()).toBe(wall);
  });
});

describe('a disk whose folders are never synced', () => {
  it('loses a file that was named and synced, for some seed; one that syncs them does not', async () => {
    const lost = async (forgetsFolders: boolean): Promise<number> => {
      let count = 0;
      for (let seed = 0; seed < 10; seed += 1) {
        const world = new SimWorld({ seed, codecs });
        const memory = world.disk('a');
        const volatile = new FaultDisk(world.clock, memory, { ignoreSync: false });
        const { disks } = world.ports('a', { disks: [volatile], forgetsFolders });
        const [disk] = disks;
        if (disk === undefined) throw new Error('a process has its disk');
        const file = await world.complete(disk.open('log', 'write'));
        await world.complete(write(file, 'hello', 0));
        await world.complete(sync(file));
        await world.complete(disk.syncDir(''));
        world.kill('a');
        await world.complete(volatile.crash(world.random));
        if ((await codeOf(world.complete(memory.open('log', 'read')))) === 'ENOENT') count += 1;
      }
      return count;
    };
    expect(await lost(true)).toBeGreaterThan(0);
    expect(await lost(false)).toBe(0);
  });
});
